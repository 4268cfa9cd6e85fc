"""Tables of polars: CSV and Parquet, through files of the archive.

Polars writes to any binary file and reads from any that can seek. Its lazy scans want paths or URLs of their own; what
is to be scanned lazily is read into memory here first. `python -m examples.polars_tables`
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

import strongroom


def main(folder: Path, password: bytearray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seal a table in two formats, and read both back."""
    frame = pl.DataFrame({"id": [1, 2, 3], "name": ["Ada", "Zoë", "Omar"], "dose": [0.5, 0.25, 1.0]})
    path = folder / "polars.zip"
    with strongroom.create(path, password=password) as room:
        with room.open("patients.csv", "wb") as file:
            frame.write_csv(file)
        with room.open("patients.parquet", "wb") as file:
            frame.write_parquet(file)

    with strongroom.open(path, password=password) as room:
        with room.open("patients.csv", "rb") as file:
            rows = pl.read_csv(file)
        with room.open("patients.parquet", "rb") as file:
            return rows, pl.read_parquet(file, columns=["id", "dose"])


if __name__ == "__main__":
    print(*main(Path(), bytearray(b"nine tame owls read maps")), sep="\n")
