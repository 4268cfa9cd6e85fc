from __future__ import annotations

import hashlib
import hmac
import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

import pytest
import pyzipper  # type: ignore[import-untyped]
from Cryptodome.Cipher import AES
from Cryptodome.Util import Counter

import strongroom
from strongroom import Secret
from strongroom.flow import CHUNK, Chunk, chunks_of
from strongroom.formats import Member, WriterOptions
from strongroom.formats.zip.writer import Writer
from strongroom.output import Patch, Piece
from tests.helpers import noise, text

PASSWORD = b"correct horse"
WHEN = datetime(2024, 2, 3, 4, 5, 7, tzinfo=UTC)
DOS_TIME = (2024 - 1980) << 25 | 2 << 21 | 3 << 16 | 4 << 11 | 5 << 5 | 3
STAMP = b"UT\x05\x00\x01" + struct.pack("<i", int(WHEN.timestamp()))


def salts() -> Iterator[bytes]:
    """Salts that only count up."""
    return (bytes([number]) * 16 for number in count(1))


def options(password: Secret, **changes: object) -> WriterOptions:
    """Options of a writer, with the seam."""
    source = salts()
    values: dict[str, Any] = {
        "password": password,
        "compression": "store",
        "level": None,
        "threads": 1,
        "patchable": True,
        "random": lambda size: next(source)[:size],
    }
    return WriterOptions(**values | changes)


def member(name: str, kind: Literal["file", "directory"] = "file", mode: int = 0o600) -> Member:
    """What a writer is told of an entry."""
    return Member(name=name, kind=kind, modified=WHEN, mode=mode)


def written(entries: list[tuple[Member, bytes]], **changes: object) -> bytes:
    """An archive as the pieces and patches of a writer make it."""
    out = bytearray()
    with Secret(PASSWORD) as password:
        writer = Writer(options(password, **changes))
        try:
            for one, data in entries:
                encoder = writer.entry(one)
                try:
                    for chunk in chunks_of(data):
                        put(out, encoder.update(chunk))
                    put(out, encoder.finish())
                finally:
                    encoder.close()
            put(out, writer.finish())
        finally:
            writer.close()
    return bytes(out)


def put(out: bytearray, pieces: Iterable[Piece]) -> None:
    """Take up pieces as an output does."""
    for piece in pieces:
        if isinstance(piece, Patch):
            out[piece.offset : piece.offset + len(piece.data)] = piece.data
        else:
            out += piece


def sealed(salt: bytes, data: bytes) -> bytes:
    """What WinZip AES makes of data, with other libraries: salt, verifier, ciphertext, authentication code."""
    derived = hashlib.pbkdf2_hmac("sha1", PASSWORD, salt, 1000, 66)
    counter = Counter.new(128, initial_value=1, little_endian=True)
    encrypted = AES.new(derived[:32], AES.MODE_CTR, counter=counter).encrypt(data)
    return salt + derived[64:] + encrypted + hmac.new(derived[32:64], encrypted, "sha1").digest()[:10]


def aes_extra(method: int) -> bytes:
    """The AES extra field for a method."""
    return b"\x01\x99\x07\x00\x02\x00AE\x03" + struct.pack("<H", method)


def local(name: bytes, size: int, packed: int, extra: bytes, *, flags: int = 0x0801) -> bytes:
    """A local header, made by hand."""
    fields = struct.pack("<HHHIIIIHH", 51, flags, 99, DOS_TIME, 0, packed, size, len(name), len(extra))
    return b"PK\x03\x04" + fields + name + extra


def central(name: bytes, size: int, packed: int, offset: int, extra: bytes, *, flags: int = 0x0801) -> bytes:
    """A central directory header, made by hand."""
    fields = struct.pack(
        "<HHHHIIIIHHHHHII",
        0x033F, 51, flags, 99, DOS_TIME, 0, packed, size, len(name), len(extra), 0, 0, 0, 0o100600 << 16, offset,
    )  # fmt: skip
    return b"PK\x01\x02" + fields + name + extra


def end(entries: int, size: int, offset: int) -> bytes:
    """An end record, made by hand."""
    return b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, entries, entries, size, offset, 0)


def test_empty_archive() -> None:
    """No entries are an end record alone."""
    assert written([]) == end(0, 0, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"xyz" * 10, noise(CHUNK)])
@pytest.mark.parametrize("patchable", [True, False])
def test_one_chunk(data: bytes, *, patchable: bool) -> None:
    """An entry of one chunk has its sizes in the local header, on a pipe as well; every byte made by hand."""
    packed = len(data) + 28
    extra = aes_extra(0) + STAMP
    body = local(b"a", len(data), packed, extra) + sealed(b"\x01" * 16, data)
    directory = central(b"a", len(data), packed, 0, extra)
    expected = body + directory + end(1, len(directory), len(body))
    assert written([(member("a"), data)], patchable=patchable) == expected


@pytest.mark.parametrize("size", [CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("patchable", [True, False])
def test_many_chunks(size: int, threads: int, *, patchable: bool) -> None:
    """A longer entry has its sizes in a ZIP64 field of the local header, or, on a pipe, in a descriptor behind it."""
    data = noise(size)
    packed = size + 28
    flags = 0x0801 if patchable else 0x0809
    sizes = (size, packed) if patchable else (0, 0)
    wide = b"\x01\x00\x10\x00" + struct.pack("<QQ", *sizes)
    body = local(b"a", 0xFFFFFFFF, 0xFFFFFFFF, wide + aes_extra(0) + STAMP, flags=flags) + sealed(b"\x01" * 16, data)
    if not patchable:
        body += b"PK\x07\x08" + struct.pack("<IQQ", 0, packed, size)
    directory = central(b"a", size, packed, 0, aes_extra(0) + STAMP, flags=flags)
    expected = body + directory + end(1, len(directory), len(body))
    assert written([(member("a"), data)], patchable=patchable, threads=threads) == expected


def test_several_entries() -> None:
    """Entries follow each other with a salt each, and the directory has their offsets."""
    extra = aes_extra(0) + STAMP
    first = local(b"a", 1, 29, extra) + sealed(b"\x01" * 16, b"1")
    second = local("ä/b".encode(), 2, 30, extra) + sealed(b"\x02" * 16, b"22")
    directory = central(b"a", 1, 29, 0, extra) + central("ä/b".encode(), 2, 30, len(first), extra)
    expected = first + second + directory + end(2, len(directory), len(first) + len(second))
    entries = [(member("a"), b"1"), (member("ä/b"), b"22")]
    for threads in (1, 2, 5):
        assert written(entries, threads=threads) == expected


def test_folder() -> None:
    """A folder has a slash behind its name, no data, no encryption, and the attributes of one."""
    archive = written([(member("f/g", "directory", 0o700), b"")])
    assert archive.startswith(
        b"PK\x03\x04" + struct.pack("<HHHIIIIHH", 20, 0x0800, 0, DOS_TIME, 0, 0, 0, 4, 9) + b"f/g/"
    )
    place = archive.index(b"PK\x01\x02")
    assert struct.unpack_from("<I", archive, place + 38) == (0o040700 << 16 | 0x10,)
    with Secret(PASSWORD) as password:
        encoder = Writer(options(password)).entry(member("f", "directory"))
        with pytest.raises(ValueError):
            list(encoder.update(Chunk(memoryview(b"data"))))


def test_compressed_entry() -> None:
    """A compressed entry is what deflate gives, encrypted; its method stands in the AES field."""
    data = text(5000)
    archive = written([(member("a"), data)], compression="deflate", level=9)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packed.compress(data) + packed.flush()
    expected = local(b"a", len(data), len(stream) + 28, aes_extra(8) + STAMP) + sealed(b"\x01" * 16, stream)
    assert archive.startswith(expected + b"PK\x01\x02")


@pytest.mark.parametrize(
    ("method", "number", "version"), [("zstd", 93, 63), ("lzma", 14, 63), ("xz", 95, 63), ("bzip2", 12, 51)]
)
@pytest.mark.parametrize("size", [5000, CHUNK + 5000])
def test_methods_in_the_headers(method: str, number: int, version: int, size: int) -> None:
    """Local header and directory agree on version, flags and method, and LZMA says that it has an end mark."""
    archive = written([(member("a"), text(size))], compression=method)
    place = archive.index(b"PK\x01\x02")
    for start in (4, place + 6):
        flags = 0x0803 if method == "lzma" else 0x0801
        assert struct.unpack_from("<HHH", archive, start) == (version, flags, 99)
    assert archive.count(aes_extra(number)) == 2


def test_what_does_not_shrink_is_stored() -> None:
    """One chunk that compression would lengthen is stored, in every method."""
    for method in ("deflate", "zstd", "lzma", "xz", "bzip2"):
        assert aes_extra(0) in written([(member("a"), noise(1000))], compression=method)


def test_no_checksum_of_the_plaintext() -> None:
    """AE-2 keeps the CRC-32 of what is inside to itself: the field is zero everywhere."""
    data = text(3 * CHUNK)
    for size in (100, 3 * CHUNK):
        for patchable in (True, False):
            archive = written([(member("a"), data[:size])], compression="deflate", patchable=patchable)
            assert zlib.crc32(data[:size]).to_bytes(4, "little") not in archive


@pytest.mark.parametrize("offset", [(1 << 32) - 2, (1 << 32) - 1, 1 << 32, 1 << 40])
def test_zip64_offsets(offset: int) -> None:
    """From 2^32 - 1 on an offset stands in a ZIP64 field, and the directory gets ZIP64 end records."""
    with Secret(PASSWORD) as password:
        writer = Writer(options(password))
        writer.offset = offset
        encoder = writer.entry(member("a"))
        list(encoder.update(Chunk(memoryview(b"data"))))
        body = bytearray()
        put(body, encoder.finish())
        encoder.close()
        tail = bytearray()
        put(tail, writer.finish())
        writer.close()
    start = offset + len(body)
    large = offset >= 0xFFFFFFFF
    extra = (b"\x01\x00\x08\x00" + struct.pack("<Q", offset) if large else b"") + aes_extra(0) + STAMP
    directory = central(b"a", 4, 32, min(offset, 0xFFFFFFFF), extra)
    assert tail.startswith(directory)
    assert tail[len(directory) :].startswith(b"PK\x06\x06")
    record = struct.pack("<QHHIIQQQQ", 44, 0x033F, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<IQI", 0, start + len(directory), 1)
    ends = b"PK\x06\x06" + record + b"PK\x06\x07" + locator + end(1, len(directory), 0xFFFFFFFF)
    assert tail[len(directory) :] == ends


@pytest.mark.parametrize("entries", [65_534, 65_535, 65_536])
def test_zip64_counts(entries: int) -> None:
    """From 65,535 entries on, whose number is the mark itself, there are ZIP64 end records."""
    archive = written([(member(f"{number}", "directory"), b"") for number in range(entries)])
    large = entries >= 65_535
    assert (b"PK\x06\x07" in archive) == large
    assert archive[-22:-10] == b"PK\x05\x06" + struct.pack("<HHHH", 0, 0, *[min(entries, 65_535)] * 2)


def test_others_read_it() -> None:
    """Pyzipper opens what we write, with every method that it knows."""
    data = {"a": b"", "b": text(5000), "c": text(2 * CHUNK + 5)}
    for method in ("store", "deflate", "bzip2", "lzma"):
        archive = written([(member(name), value) for name, value in data.items()], compression=method)
        with pyzipper.AESZipFile(io.BytesIO(archive)) as other:
            other.setpassword(PASSWORD)
            assert {name: other.read(name) for name in other.namelist()} == data


def test_salts_are_never_used_twice() -> None:
    """Every entry has a salt of its own, and so has every archive, also of the same data and with one chunk or many."""
    found = []
    for threads in (1, 2):
        stream = io.BytesIO()
        data = {f"{number:03}": b"same" for number in range(200)} | {"long": bytes(2 * CHUNK), "more": bytes(2 * CHUNK)}
        strongroom.seal(data, stream, format="zip", password="pass", compression="store", threads=threads)
        archive = stream.getvalue()
        place = archive.index(b"PK\x01\x02")
        while archive[place : place + 4] == b"PK\x01\x02":
            name, extra = struct.unpack_from("<HH", archive, place + 28)
            (offset,) = struct.unpack_from("<I", archive, place + 42)
            start = offset + 30 + sum(struct.unpack_from("<HH", archive, offset + 26))
            found.append(archive[start : start + 16])
            place += 46 + name + extra
    assert len(found) == 2 * 202
    assert len(set(found)) == len(found)


def test_salts_come_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users' archives take from `os.urandom` what makes their salts: 10 bytes, and 3 of where the counter starts."""
    asked = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return noise(size, len(asked))

    monkeypatch.setattr("os.urandom", urandom)
    strongroom.seal({"a": b"1", "b": b"2"}, io.BytesIO(), format="zip", password="pass", threads=1)
    assert asked == [10, 3]


def test_pieces_are_counted() -> None:
    """What the writer takes for its offset is what it gave."""
    archive = written([(member("a"), text(3 * CHUNK)), (member("b"), b"b")], compression="zstd", threads=2)
    with pyzipper.AESZipFile(io.BytesIO(archive)) as other:
        second = other.getinfo("b").header_offset
    assert archive[second : second + 4] == b"PK\x03\x04"
    assert archive[second + 30 : second + 31] == b"b"


def test_an_entry_that_is_left() -> None:
    """Closing an encoder in the middle, or before anything came, wipes its chunk and ends its threads."""
    with Secret(PASSWORD) as password:
        for chunks in range(4):
            writer = Writer(options(password, threads=2))
            encoder = writer.entry(member("a"))
            buffers = [bytearray(b"x" * CHUNK) for _ in range(chunks)]
            for buffer in buffers:
                list(encoder.update(Chunk(memoryview(buffer), buffer)))
            encoder.close()
            encoder.close()
            writer.close()
            if chunks == 1:
                assert buffers[0] == bytes(CHUNK)
