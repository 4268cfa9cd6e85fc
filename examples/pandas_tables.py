"""Tables of pandas: CSV and Parquet go through files of the archive, and never through the disk. No pickles.

A pickle is a program. `pandas.read_pickle` runs it, whoever wrote it, so a pickle in an archive is worth as much as the
archive's password is secret; and the manifest cannot help, since it says who could have written, not what for. CSV,
Parquet and JSON are data. `read_table` reads those, and refuses a pickle before a byte of it is unpickled.
`python -m examples.pandas_tables`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pandas as pd

import strongroom

READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".json": pd.read_json,
}


def main(folder: Path, password: bytearray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seal a table in two formats, and read both back."""
    frame = pd.DataFrame({"id": [1, 2, 3], "name": ["Ada", "Zoë", "Omar"], "dose": [0.5, 0.25, 1.0]})
    path = folder / "pandas.zip"
    with strongroom.create(path, password=password) as room:
        with room.open("patients.csv", "w") as file:
            frame.to_csv(file, index=False)
        with room.open("patients.parquet", "wb") as file:
            frame.to_parquet(file, index=False)

    with strongroom.open(path, password=password) as room:
        return read_table(room, "patients.csv"), read_table(room, "patients.parquet")


def read_table(room: strongroom.ReadRoom, name: str) -> pd.DataFrame:
    """Read a table by its suffix; raises `ValueError` for a pickle, and for what is no table."""
    suffix = PurePosixPath(name).suffix
    if suffix in {".pkl", ".pickle"}:
        message = f"{name!r} is a pickle: to read it is to run what its author put in it; ask for Parquet"
        raise ValueError(message)
    if suffix not in READERS:
        message = f"{name!r} is none of {', '.join(READERS)}"
        raise ValueError(message)
    with room.open(name, "rb") as file:
        return READERS[suffix](file)


if __name__ == "__main__":
    print(*main(Path(), bytearray(b"nine tame owls read maps")), sep="\n")
