"""The calls of strongroom that are measured for age; run as a program, it seals its standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import strongroom


def seal(target: Path, data: bytes | BinaryIO, recipient: str, password: strongroom.Secret | None = None) -> None:
    """Encrypt to a recipient, or with a password."""
    recipients = [recipient] if recipient else []
    with strongroom.create(target, format="age", recipients=recipients, password=password, overwrite=True) as room:
        room.write("data", data)


def open_file(source: Path, target: Path, identity: Path, *, streaming: bool = False) -> None:
    """Decrypt into a file: after a check of the whole, or each chunk once it is authenticated."""
    with (
        strongroom.open(source, format="age", identities=[identity], streaming=streaming) as room,
        target.open("wb", buffering=0) as file,
    ):
        for piece in room.chunks(room.entries[0].name):
            file.write(piece)


def open_memory(source: Path, identity: Path, memory: Callable[[int], bytearray]) -> int:
    """Decrypt into memory that the caller owns; return the size."""
    with strongroom.open(source, format="age", identities=[identity]) as room:
        (entry,) = room.entries
        return room.read_into(entry.name, memory(entry.size))


def seal_csv(target: Path, data: bytes, recipient: str) -> None:
    """Seal a table into a ZIP with zstd: to a recipient, or, as what that is measured against, with a password."""
    keys = {"recipients": [recipient]} if recipient else {"password": "correct horse"}
    with strongroom.create(target, compression="zstd", overwrite=True, **keys) as room:  # type: ignore[arg-type]
        room.write("records.csv", data)


def seal_large(target: Path, pieces: Iterable[bytes], recipient: str) -> None:
    """Seal an entry as it is."""
    with strongroom.create(target, compression="store", recipients=[recipient]) as room:
        room.write("noise", pieces)


def read_middle(source: Path, identity: Path, seconds: Callable[[Callable[[], object]], float]) -> float:
    """Read 1 MiB out of the middle of a stored entry, and return the time that takes once the archive is open."""
    buffer = bytearray(1 << 20)
    with strongroom.open(source, identities=[identity]) as room:
        (entry,) = room.entries

        def middle() -> None:
            with room.open(entry.name, "rb") as file:
                file.seek(entry.size // 2)
                file.readinto(buffer)

        return seconds(middle)


def main(target: str, recipient: str, password_file: str = "") -> None:
    """Seal standard input."""
    password = None
    if password_file:
        password = strongroom.Secret.take(bytearray(Path(password_file).read_bytes().rstrip(b"\n")))
    seal(Path(target), sys.stdin.buffer, recipient, password)


if __name__ == "__main__":
    main(*sys.argv[1:])
