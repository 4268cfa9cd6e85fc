"""All ways to read an archive, as what each of them releases: so that a test can hold every byte against the truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import strongroom
from strongroom.errors import StrongroomError, TamperedError
from strongroom.flow import CHUNK
from strongroom.fs.ram import RamFS

Read = Iterator[tuple[str, int, bytes]]
"""What is released, piece by piece: of which entry, from which byte on."""
Way = Callable[[strongroom.ReadRoom, random.Random, Path], Read]


def by_read(room: strongroom.ReadRoom, _: random.Random, __: Path) -> Read:
    """Whole, as bytes."""
    for entry in room:
        yield entry.name, 0, room.read(entry.name)


def by_read_into(room: strongroom.ReadRoom, _: random.Random, __: Path) -> Read:
    """Whole, into memory of the caller, in which nothing is left where that raises."""
    for entry in room:
        buffer = bytearray(b"\1" * entry.size)
        try:
            room.read_into(entry.name, buffer)
        except StrongroomError:
            assert not any(buffer) or buffer == b"\1" * entry.size
            raise
        yield entry.name, 0, bytes(buffer)


def by_chunks(room: strongroom.ReadRoom, _: random.Random, __: Path) -> Read:
    """In chunks, as `cat` does."""
    for entry in room:
        position = 0
        for chunk in room.chunks(entry.name):
            yield entry.name, position, bytes(chunk)
            position += len(chunk)


def by_seeking(room: strongroom.ReadRoom, dice: random.Random, _: Path) -> Read:
    """As a file, here and there, and on after an error, as a careless program would."""
    for entry in room:
        errors = 0
        try:
            with room.open(entry.name, "rb") as file:
                for _number in range(8):
                    place = file.seek(dice.randrange(entry.size + 1))
                    try:
                        yield entry.name, place, file.read(dice.choice((1, 100, CHUNK, CHUNK + 1)))
                    except StrongroomError as error:
                        errors += 1
                        last = error
        except StrongroomError as error:
            errors, last = errors + 1, error
        if errors:
            raise last


def by_line(room: strongroom.ReadRoom, _: random.Random, __: Path) -> Read:
    """As a file, from its start, in pieces of some length."""
    for entry in room:
        with room.open(entry.name, "rb") as file:
            while data := file.read(100_000):
                yield entry.name, file.tell() - len(data), data


def by_verifying(room: strongroom.ReadRoom, dice: random.Random, folder: Path) -> Read:
    """Verified first, as a careful program would, then by another way."""
    report = room.verify()
    yield from dice.choice((by_read, by_chunks, by_seeking, by_read_into))(room, dice, folder)
    if not report.ok:  # and yet what was read is sound: in age, chunks that are
        raise TamperedError(report.findings[0].problem)


def by_extract(room: strongroom.ReadRoom, _: random.Random, folder: Path) -> Read:
    """Onto the disk, where nothing is left if that raises."""
    try:
        room.extract(folder / "out")
    except StrongroomError:
        assert not (folder / "out").exists()
        raise
    for path in (folder / "out").iterdir():
        yield path.name, 0, path.read_bytes()
        path.unlink()
    (folder / "out").rmdir()


def by_load(room: strongroom.ReadRoom, _: random.Random, __: Path) -> Read:
    """Into a RamFS."""
    ram: RamFS = room.load()
    with ram:
        for name in ram.find("/"):
            yield name.strip("/"), 0, ram.cat(name)


WAYS: Final = (by_read, by_read_into, by_chunks, by_seeking, by_line, by_verifying, by_extract, by_load)
