"""Tables of Arrow: Parquet and IPC through files of the archive, and a dataset of many files through a RamFS.

A dataset is a folder, which pyarrow writes with many threads at once. It is staged in a RamFS, encrypted in memory, and
sealed from there; unsealed, it is a RamFS again, from which pyarrow reads the columns and rows that it is asked for.
`python -m examples.arrow_dataset`
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

import strongroom
from strongroom import RamFS

WARDS = ("Cardiology", "Oncology", "Surgery")


def main(folder: Path, password: bytearray) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Seal a table as two files and as a dataset, and read the three back."""
    table = pa.table({"id": range(300), "ward": [WARDS[number % 3] for number in range(300)]})
    with strongroom.create(folder / "arrow.zip", password=password) as room:
        with room.open("wards.parquet", "wb") as file:
            pq.write_table(table, file)
        with room.open("wards.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    with RamFS() as ram:
        files = {"format": "parquet", "partitioning": ["ward"], "filesystem": PyFileSystem(FSSpecHandler(ram))}
        ds.write_dataset(table, "/wards", **files)
        strongroom.seal(ram, folder / "dataset.7z", password=password)

    with strongroom.open(folder / "arrow.zip", password=password) as room:
        with room.open("wards.parquet", "rb") as file:
            parquet = pq.read_table(file, columns=["id"])
        with room.open("wards.arrow", "rb") as file:
            ipc = pa.ipc.open_file(file).read_all()
    with strongroom.unseal(folder / "dataset.7z", password=password) as ram:
        files["filesystem"] = PyFileSystem(FSSpecHandler(ram))
        return parquet, ipc, ds.dataset("/wards", **files).to_table(filter=ds.field("ward") == "Surgery")


if __name__ == "__main__":
    print(*(table.num_rows for table in main(Path(), bytearray(b"nine tame owls read maps"))))
