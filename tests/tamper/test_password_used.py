"""A password that was given is used (P6): in every format, by every method, in every way to write."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import py7zr
import py7zr.properties
import pytest

import strongroom
from strongroom.errors import StrongroomError
from strongroom.flow import CHUNK
from strongroom.formats import FORMATS
from strongroom.fs.ram import RamFS
from tests.helpers import noise
from tests.proof import Tried
from tests.traits import SINGLE

PASSWORD: Final = "a made-up password"
NEEDLE: Final = b"the patient's name is known to nobody else"
SMALL: Final = NEEDLE + noise(100)
LONG: Final = NEEDLE + noise(CHUNK) + NEEDLE
"""Noise, which no method makes shorter: so the needle stands in the file as it is, if it is not encrypted."""


Write = Callable[[strongroom.WriteRoom, str], object]


def by_write(data: bytes, options: dict[str, Any]) -> bytes:
    """Bytes, a file, and what comes in pieces."""
    return _written(
        options,
        lambda room, name: room.write(name, data),
        lambda room, name: room.write(name, io.BytesIO(data)),
        lambda room, name: room.write(name, iter([data[:50], data[50:]])),
    )


def by_open(data: bytes, options: dict[str, Any]) -> bytes:
    """A file that is written to, as bytes and as text."""

    def write(room: strongroom.WriteRoom, name: str) -> None:
        with room.open(name, "wb") as file:
            file.write(data)

    def write_text(room: strongroom.WriteRoom, name: str) -> None:
        with room.open(name, "w") as file:
            file.write(data.decode("latin-1"))

    return _written(options, write, write_text)


def _written(options: dict[str, Any], *writes: Write) -> bytes:
    """Archives that these have written to: one, or where it holds but one entry, one each."""
    groups = [[write] for write in writes] if options["format"] == SINGLE else [list(writes)]
    made: list[bytes] = []
    for group in groups:
        stream = io.BytesIO()
        with strongroom.create(stream, **options) as room:
            for number, write in enumerate(group):
                write(room, "data" if options["format"] == SINGLE else str(number))
        made.append(stream.getvalue())
    return b"".join(made)


def by_seal(data: bytes, options: dict[str, Any]) -> bytes:
    """Of a mapping and a RamFS; for age of bytes."""
    out: list[bytes] = []
    with RamFS() as ram:
        ram.pipe("/a", data)
        sources: tuple[Any, ...] = (data,) if options["format"] == SINGLE else ({"a": data}, ram)
        for source in sources:
            stream = io.BytesIO()
            strongroom.seal(source, stream, **options)
            out.append(stream.getvalue())
    return b"".join(out)


def into_a_pipe(data: bytes, options: dict[str, Any]) -> bytes:
    """An output that cannot go back; 7z takes none."""
    stream = _Pipe()
    strongroom.seal(data if options["format"] == SINGLE else {"a": data}, stream, **options)
    return stream.getvalue()


class _Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


WAYS: Final = (by_write, by_open, by_seal, into_a_pipe)


def cells() -> Iterator[tuple[str, str]]:
    """Every format with each of its methods."""
    for row in FORMATS.values():
        yield from ((row.name, method) for method in row.compressions)


@pytest.mark.parametrize(("form", "method"), cells())
def test_no_data_in_the_clear(form: str, method: str, tried: Tried) -> None:
    """Neither the data nor its CRC-32 is in the file, whichever way it went there."""
    count = 0
    for way in WAYS:
        if way is into_a_pipe and form == "7z":
            continue
        for data in (SMALL, LONG) if way is by_seal else (SMALL,):
            level = None if method == "store" else 1  # of which LZMA takes a tenth of the time
            made = way(data, {"password": PASSWORD, "format": form, "compression": method, "level": level})
            assert len(made) > len(data)
            assert NEEDLE not in made
            assert data[-40:] not in made
            for stored in (data, data.decode("latin-1").encode()):
                assert zlib.crc32(stored).to_bytes(4, "little") not in made
            count += 1
    tried("P6", f"{form}: the plaintext and its CRC-32 looked for in the file", "is not there", count=count)


@pytest.mark.parametrize(("form", "method"), cells())
def test_no_entry_is_left_out(form: str, method: str) -> None:
    """Every entry says that it is encrypted, the empty one too, and none is read without the password."""
    data = {"data": SMALL} if form == SINGLE else {"a": b"", "b": SMALL}
    stream = io.BytesIO()
    with strongroom.create(stream, format=form, password=PASSWORD, compression=method) as room:
        for name, value in data.items():
            room.write(name, value)
    with strongroom.open(stream, format=form, password=PASSWORD) as room:
        assert all(entry.encrypted for entry in room)
        assert {entry.name for entry in room} == set(data)
    for name in data:
        with pytest.raises(StrongroomError), strongroom.open(stream, format=form, allow_plaintext=True) as other:
            other.read(name)


def test_py7zr_with_filters_of_its_own(tried: Tried) -> None:
    """A password, and filters without that of encryption: it writes plaintext, and says nothing."""
    stream = io.BytesIO()
    with py7zr.SevenZipFile(stream, "w", password=PASSWORD, filters=[{"id": py7zr.properties.FILTER_COPY}]) as other:
        other.writestr(SMALL, "a")
    assert NEEDLE in stream.getvalue()
    with pytest.raises(StrongroomError), strongroom.open(stream, password=PASSWORD) as room:
        room.read("a")
    with pytest.raises(ValueError, match="aes"):
        strongroom.create(io.BytesIO(), format="7z", password=PASSWORD, compression="aes")
    tried("P6", "7z: a password, with compression of one's own", "is used", peers={"py7zr": "writes plaintext"})
