"""One reading only (P8), for 7z: what its records leave open is refused, or read as 7zz reads it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from strongroom.errors import StrongroomError
from strongroom.formats.sevenzip import spec
from strongroom.formats.sevenzip.fields import encode_number
from strongroom.formats.sevenzip.files import FILES_INFO, File
from strongroom.formats.sevenzip.streams import Folder, Stream, Streams
from tests import sevenzipcraft
from tests.proof import Tried
from tests.sevenzipcraft import COPY, PASSWORD, join
from tests.tamper.oracle import Reading, ours, sevenzip

A, B = b"alice's data", b"bob's data"
EMPTY_STREAM, EMPTY_FILE, ANTI, NAMES, MODIFIED, ATTRIBUTES, DUMMY = 0x0E, 0x0F, 0x10, 0x11, 0x14, 0x15, 0x19


class Case(NamedTuple):
    """An archive, and what is odd about it."""

    label: str
    archive: bytes


def streams(*data: bytes, position: int = 0) -> Streams:
    """Each piece of data is stored in a folder of its own."""
    folders = tuple(Folder((COPY,), (), (0,), (len(one),)) for one in data)
    substreams = tuple((Stream(len(one), zlib.crc32(one)),) for one in data)
    return Streams(position, tuple(Stream(len(one)) for one in data), folders, substreams)


def header(*files: File, of: Streams | None = None) -> bytes:
    """A header."""
    return spec.Header(streams(A, B) if of is None else of, files).encode()


def prop(number: int, data: bytes) -> bytes:
    """A property of the files info."""
    return encode_number(number) + encode_number(len(data)) + data


def names(*found: str) -> bytes:
    """The property of names."""
    return prop(NAMES, b"\0" + "".join(name + "\0" for name in found).encode("utf-16-le"))


def raw(*properties: bytes, count: int = 2, of: Streams | None = None, behind: bytes = b"") -> bytes:
    """A header whose files info is made by hand."""
    main = b"\x04" + (streams(A, B) if of is None else of).encode()
    return b"\x01" + main + bytes((FILES_INFO,)) + encode_number(count) + b"".join(properties) + b"\0\0" + behind


def made(what: bytes, body: bytes = A + B) -> bytes:
    """An archive with a header."""
    return join(body, what)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _structure()
    yield from _properties()
    yield from _files()


def _structure() -> Iterator[Case]:
    """Where things stand."""
    right, other = header(File("a"), File("b")), header(File("x"), File("y"))
    yield Case("as it should be", made(right))
    yield Case("bytes behind the header", made(right) + b"more")
    yield Case("a second archive behind it", made(right) + made(other))
    yield Case("a second header behind it", made(right) + other)
    yield Case("a second header before it", join(A + B, right, gap=other))
    yield Case("a program before it", b"MZ" + bytes(500) + made(right))
    yield Case("a signature before it", spec.SIGNATURE + bytes(26) + made(right))
    yield Case("an archive before it", made(other) + made(right))
    both = A + B + other + right
    for label, start, length in (("the first", 0, len(other)), ("the second", len(other), len(right))):
        place = len(A + B) + start
        crc = zlib.crc32(both[place : place + length])
        yield Case(f"two headers, the start names {label}", spec.SignatureHeader(place, length, crc).encode() + both)
    yield Case("a header inside of pack streams", _inside(right))
    yield Case("a start of another length", spec.SignatureHeader(22, len(right) - 1, zlib.crc32(right)).encode() + both)
    yield Case("a start with another CRC-32", spec.SignatureHeader(22, len(right), 1).encode() + A + B + right)
    yield Case("pack streams that begin later", made(header(File("a"), of=streams(A, position=4)), b"more" + A))
    yield Case("pack streams that overlap the header", made(header(File("a"), of=streams(A + right)), A))
    yield Case("a gap behind the pack streams", join(A + B, right, gap=b"more"))
    yield Case("a packed header", sevenzipcraft.pack_header(A + B, right, secret=False))
    yield Case("a packed header, encrypted", sevenzipcraft.pack_header(A + B, right))
    packed = spec.EncodedHeader(streams(right, position=len(A + B))).encode()
    twice = spec.EncodedHeader(streams(packed, position=len(A + B + right))).encode()
    yield Case("a packed header in a packed header", join(A + B + right + packed, twice))
    yield Case("a packed header of two folders", _two_folders(right, other))


def _inside(right: bytes) -> bytes:
    """The header is what an entry holds as well."""
    body = A + B + right
    return spec.SignatureHeader(len(A + B), len(right), zlib.crc32(right)).encode() + body


def _two_folders(right: bytes, other: bytes) -> bytes:
    outer = spec.EncodedHeader(streams(right, other, position=len(A + B))).encode()
    return join(A + B + right + other, outer)


def _properties() -> Iterator[Case]:
    """What the files info has twice, in another order, or that nobody knows."""
    two = names("a", "b")
    times = prop(MODIFIED, b"\1\0" + (b"\0\0\0\0\0\0\xd0\1") * 2)
    kinds = prop(ATTRIBUTES, b"\1\0" + b"\x20\0\0\0" * 2)
    for order in permutations((two, times, kinds)):
        yield Case("properties in any order", made(raw(*order)))
    yield Case("names twice, the same", made(raw(two, two)))
    yield Case("names twice, others", made(raw(two, names("x", "y"))))
    yield Case("times twice", made(raw(two, times, times)))
    yield Case("attributes twice", made(raw(two, kinds, prop(ATTRIBUTES, b"\1\0" + b"\x10\0\0\0" * 2))))
    for data in (b"", bytes(3), b"dummy"):
        yield Case(f"a dummy of {data!r}", made(raw(prop(DUMMY, data), two)))
    for number in (0x1A, 0x16, 0x40, 0x7F):
        yield Case(f"an unknown property {number:02x}", made(raw(two, prop(number, b"junk"))))
    yield Case("names in another stream", made(raw(prop(NAMES, b"\1\0"))))
    yield Case("a name more than files", made(raw(names("a", "b", "c"))))
    yield Case("a name less than files", made(raw(names("a"))))
    yield Case("a last name without its end", made(raw(prop(NAMES, b"\0a\0\0\0b\0"))))
    yield Case("no names", made(raw(times)))
    yield Case("bytes behind the header's end", made(raw(two, behind=b"\0")))
    yield Case("a number that is longer than it needs to be", made(raw(two).replace(b"\x05\x02", b"\x05\x80\x02")))
    yield Case("attributes of one file alone", made(raw(two, prop(ATTRIBUTES, b"\0\x80\0\x20\0\0\0"))))
    yield Case("times of fewer files than it says", made(raw(two, prop(MODIFIED, b"\1\0" + bytes(8)))))


def _files() -> Iterator[Case]:
    """What the files info says against the streams, or twice."""
    one = streams(A)
    yield Case("more files than streams", made(header(File("a"), File("b"), of=one), A))
    yield Case("more streams than files", made(header(File("a"))))
    for bits in (b"\x40", b"\x80", b"\xc0", b"\0"):
        yield Case(f"{bits!r} for empty streams", made(raw(names("a", "b"), prop(EMPTY_STREAM, bits), of=one), A))
        both = prop(EMPTY_STREAM, b"\x40"), prop(EMPTY_FILE, bits)
        yield Case(f"{bits!r} for empty files", made(raw(names("a", "b"), *both, of=one), A))
        yield Case(f"{bits!r} for empty files, first", made(raw(names("a", "b"), *both[::-1], of=one), A))
        yield Case(f"{bits!r} for empty files alone", made(raw(names("a", "b"), both[1])))
        yield Case(f"{bits!r} for anti-items", made(raw(names("a", "b"), *both, prop(ANTI, bits), of=one), A))
    empty = prop(EMPTY_STREAM, b"\x40")
    yield Case("empty streams twice", made(raw(names("a", "b"), empty, empty, of=one), A))
    yield Case("a property longer than its bits", made(raw(names("a", "b"), prop(EMPTY_STREAM, b"\x40\0"), of=one), A))
    yield Case("a name twice", made(header(File("a"), File("a"))))
    yield Case("a file and one below it", made(header(File("a"), File("a/b"))))
    yield Case("a file and a folder", made(header(File("a"), File("a", has_data=False, directory=True), of=one), A))
    for name in ("a\\b", "a/b\\c", "/a", "a//b", "./a", "a/../b", "../a", "C:/a", "a/", "a.", "\u00e9"):
        yield Case(f"the name {name!r}", made(header(File(name), of=one), A))
        yield Case(
            f"the folder {name!r}", made(header(File("x"), File(name, has_data=False, directory=True), of=one), A)
        )
    for attributes in (0x10, 0x20, 0x8010, 0x8000 | 0o100644 << 16, 0x8000 | 0o040755 << 16, 0x8000 | 0o120777 << 16):
        yield Case(f"attributes {attributes:x} of a file", made(header(File("a", attributes=attributes), of=one), A))
        folder = File("f", has_data=False, directory=True, attributes=attributes)
        yield Case(f"attributes {attributes:x} of a folder", made(header(File("a"), folder, of=one), A))
        nothing = File("e", has_data=False, attributes=attributes)
        yield Case(f"attributes {attributes:x} of an empty file", made(header(File("a"), nothing, of=one), A))


AS_7ZZ_NAMES_IT: Final = "no names"  # like the archive's file, and one over the other; we number them


@pytest.mark.filterwarnings("ignore::strongroom.StrongroomWarning")
def test_one_reading(tried: Tried, tmp_path: Path) -> None:
    """Each is refused, or read as 7zz reads it."""
    found = list(cases())
    theirs = sevenzip(tmp_path / "7zz", {f"{at:03}": case.archive for at, case in enumerate(found)}, "7z", PASSWORD)
    refused = 0
    for at, case in enumerate(found):
        reading = ours(case.archive, "7z", PASSWORD)
        if isinstance(reading, StrongroomError):
            refused += 1
        elif case.label != AS_7ZZ_NAMES_IT:
            assert same(reading, theirs[f"{at:03}"]), (case.label, reading, theirs[f"{at:03}"])
    assert 0 < refused < len(found)
    tried("P8", "7z of two readings", "refused, or read as 7zz reads it", count=len(found))


def same(reading: Reading, theirs: Reading) -> bool:
    """Whether two readings are one.

    7zz makes folders that are only implied, and links that we only report. On Linux it leaves the backslashes of names
    that Windows wrote, which separate folders there, and here.
    """
    data = {path.replace(b"\\", b"/"): value for path, value in (*theirs.files.items(), *theirs.links.items())}
    folders = {path.replace(b"\\", b"/") for path in theirs.folders}
    return {**reading.files, **reading.links} == data and reading.folders <= folders
