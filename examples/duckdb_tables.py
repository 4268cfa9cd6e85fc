"""SQL by DuckDB over files in memory, and over sealed files on the disk.

`register_filesystem` has DuckDB read and write a RamFS, whose tree is then sealed, and a SealedFileSystem, whose files
are age on the disk. DuckDB writes to the disk by itself when memory is short, so `temp_directory` is off: a query that
would need it fails. Its own database files are not encrypted; keep tables in memory. `python -m examples.duckdb_tables`
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import fsspec

import strongroom
from strongroom import RamFS
from strongroom.fs import SealedFileSystem

TABLE = "SELECT i AS id, ['Cardiology', 'Oncology', 'Surgery'][1 + i % 3] AS ward FROM range(300) t(i)"


def main(folder: Path, password: bytearray, recipient: str, identity: Path) -> tuple[int, int]:
    """Seal what a query gives in both ways, and count the rows of one ward in what was sealed."""
    with database() as sql, RamFS() as ram:
        sql.register_filesystem(ram)
        sql.execute(f"COPY ({TABLE}) TO '{ram.url('/wards.parquet')}'")
        strongroom.seal(ram, folder / "duckdb.zip", password=password)
    with strongroom.unseal(folder / "duckdb.zip", password=password) as ram, database() as sql:
        sql.register_filesystem(ram)
        unsealed = count(sql, ram.url("/wards.parquet"))

    with database() as sql, SealedFileSystem(fs=fsspec.filesystem("file"), recipients=recipient) as writes:
        sql.register_filesystem(writes)
        sql.execute(f"COPY ({TABLE}) TO 'sealed://{folder.absolute()}/wards.csv'")
    with database() as sql, SealedFileSystem(fs=fsspec.filesystem("file"), identities=str(identity)) as reads:
        sql.register_filesystem(reads)
        return unsealed, count(sql, f"sealed://{folder.absolute()}/wards.csv")


def database() -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, which fails where it would otherwise put data onto the disk."""
    return duckdb.connect(config={"temp_directory": ""})


def count(sql: duckdb.DuckDBPyConnection, file: str) -> int:
    """Count the rows of one ward."""
    ((rows,),) = sql.execute(
        "SELECT count(*) FROM query_table([$file]) WHERE ward = 'Surgery'", {"file": file}
    ).fetchall()
    return rows


if __name__ == "__main__":
    from strongroom.formats.age import identities

    key = identities.generate()
    with identities.encode(key) as text:
        Path("identity.txt").write_bytes(bytes(text))
    print(*main(Path(), bytearray(b"nine tame owls read maps"), key.recipient, Path("identity.txt")))
