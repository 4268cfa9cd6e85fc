"""age's armor. What is read has one encoding, but for line ends and what stands around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from fuzz.reading import corpus
from strongroom.errors import StrongroomError
from strongroom.formats.age.armor import ArmoredSource, Armorer
from strongroom.source import read
from tests import agecraft


def seeds() -> Iterator[bytes]:
    """Give armored text of lengths around a line's, and the test kit's."""
    for size in (0, 1, 2, 3, 47, 48, 49, 96, 1000):
        armorer = Armorer()
        yield b"".join([*armorer.update(bytes(size)), *armorer.finish()])
    yield from corpus("age", "CCTV__armor*")


def one(data: bytes) -> None:
    """Read all of it, and byte by byte from its end, and encode it again."""
    with suppress(StrongroomError):
        source = ArmoredSource(agecraft.source(data))
        whole = read(source, 0, source.size)
        assert whole == b"".join(read(source, place, 1) for place in reversed(range(len(whole))))[::-1]
        armorer = Armorer()
        text = b"".join([*armorer.update(whole), *armorer.finish()])
        assert text == data.replace(b"\r\n", b"\n").strip() + b"\n"
