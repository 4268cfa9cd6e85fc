"""A database of SQLite that lives in memory, and on the disk only as an entry of an archive.

`serialize` gives the bytes that the database file would have, and `deserialize` opens such bytes in memory. Sorting and
temporary tables would go to files beside it, so `temp_store` is memory; a database in memory keeps its journal there
too. `python -m examples.sqlite_database`
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import strongroom

NAME = "patients.sqlite"


def main(folder: Path, password: bytearray) -> list[tuple[int, str]]:
    """Make a database, seal it, change it in memory, seal it again, and ask the sealed one."""
    path = folder / "sqlite.zip"
    with closing(connect()) as database:
        database.execute("CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO patient (name) VALUES (?)", [("Ada",), ("Zoë",)])
        database.commit()
        strongroom.seal({NAME: database.serialize()}, path, password=password)

    with changed(path, password) as database:
        database.execute("INSERT INTO patient (name) VALUES ('Omar')")

    with strongroom.open(path, password=password) as room, closing(connect()) as database:
        database.deserialize(room.read(NAME))
        return database.execute("SELECT id, name FROM patient ORDER BY name").fetchall()


def connect() -> sqlite3.Connection:
    """An empty database that stays in memory."""
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA temp_store = MEMORY")
    return database


@contextmanager
def changed(path: Path, password: bytearray) -> Iterator[sqlite3.Connection]:
    """Open a sealed database, and replace it by what the block made of it; an exception leaves the old one."""
    with closing(connect()) as database:
        with strongroom.open(path, password=password) as room:
            database.deserialize(room.read(NAME))
        yield database
        database.commit()
        strongroom.seal({NAME: database.serialize()}, path, password=password, overwrite=True)


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps")))
