from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

import pytest
from Cryptodome.Cipher import AES

import strongroom
from strongroom import Limits, Secret
from strongroom.flow import CHUNK, Chunk, chunks_of
from strongroom.formats import FORMATS, Entry, Member, WriterOptions
from strongroom.formats.sevenzip import crypto, files, spec
from strongroom.formats.sevenzip.crypto import AesProperties
from strongroom.formats.sevenzip.spec import EncodedHeader, Header, SignatureHeader, decode_header
from strongroom.formats.sevenzip.streams import Folder, Stream, Streams
from strongroom.formats.sevenzip.writer import Writer, check_password
from strongroom.limits import MIB
from strongroom.manifest.spec import RECORD_SIZE, TAIL_SIZE
from strongroom.output import Patch, Piece
from tests.helpers import noise, nothing_left, text

PASSWORD = "correct horse \N{GRINNING FACE}"
WHEN = datetime(2024, 2, 3, 4, 5, 7, 890_000, tzinfo=UTC)
METHODS = {"lzma": spec.LZMA2, "deflate": spec.DEFLATE, "bzip2": spec.BZIP2, "store": spec.COPY}


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^19 rounds have no part in what is tested here, and cost 20 ms an archive."""
    monkeypatch.setattr(crypto, "CYCLES_POWER", 1)


def options(password: Secret, **changes: object) -> WriterOptions:
    """Options of a writer, with the seam: the first 16 bytes asked for are 1, and so on."""
    numbers = count(1)
    values: dict[str, Any] = {
        "password": password,
        "compression": "store",
        "level": None,
        "threads": 1,
        "patchable": True,
        "random": lambda size: bytes([next(numbers) % 256]) * size,
    }
    return WriterOptions(**values | changes)


def member(name: str, kind: Literal["file", "directory"] = "file", mode: int = 0o600) -> Member:
    """What a writer is told of an entry."""
    return Member(name=name, kind=kind, modified=WHEN, mode=mode)


def put(out: bytearray, pieces: Iterable[Piece]) -> None:
    """Take up pieces as an output does."""
    for piece in pieces:
        if isinstance(piece, Patch):
            out[piece.offset : piece.offset + len(piece.data)] = piece.data
        else:
            out += piece


def written(entries: list[tuple[Member, bytes]], **changes: object) -> tuple[bytes, list[Entry]]:
    """An archive as the pieces and patches of a writer make it, and the writer's entries."""
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
            return bytes(out), writer.entries
        finally:
            writer.close()


def written_files(data: dict[str, bytes], **changes: object) -> bytes:
    """An archive of files."""
    return written([(member(name), value) for name, value in data.items()], **changes)[0]


@dataclass(frozen=True)
class Read:
    """An archive taken apart with other libraries: its header, and what each folder packs, and unpacks to."""

    header: Header
    packed: list[bytes]
    plain: list[bytes]


def aes(folder: Folder) -> AesProperties:
    """The properties of a folder's AES coder, which comes first."""
    assert folder.coders[0].method == spec.AES
    return AesProperties.decode(folder.coders[0].properties)


def decrypted(folder: Folder, packed: bytes) -> bytes:
    """What a folder's other coder reads, by another AES; the padding is zeros."""
    properties = aes(folder)
    rounds = (properties.salt + PASSWORD.encode("utf-16-le") + number.to_bytes(8, "little") for number in range(2))
    key = hashlib.sha256(b"".join(rounds)).digest()
    plain = AES.new(key, AES.MODE_CBC, properties.iv).decrypt(packed)
    assert len(packed) == -(-folder.sizes[0] // 16) * 16
    assert not any(plain[folder.sizes[0] :])
    return plain[: folder.sizes[0]]


def decompressed(folder: Folder, data: bytes) -> bytes:
    """What a folder unpacks to."""
    coder = folder.coders[1]
    if coder.method == spec.LZMA2:
        size = (2 | coder.properties[0] & 1) << coder.properties[0] // 2 + 11
        return lzma.decompress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": size}])
    if coder.method == spec.DEFLATE:
        return zlib.decompress(data, -15)
    return bz2.decompress(data) if coder.method == spec.BZIP2 else data


def read(archive: bytes) -> Read:
    """Take an archive apart; the header's pack stream follows the files', the manifest that, and the header all."""
    start = SignatureHeader.decode(archive[:32])
    assert 32 + start.offset + start.size == len(archive)
    front = archive[32 + start.offset :]
    assert zlib.crc32(front) == start.crc
    outer = decode_header(front, 0, Limits())
    assert isinstance(outer, EncodedHeader)
    packed, plain = _folders(archive, outer.streams)
    manifest = start.offset - outer.streams.position - len(packed[0])
    assert zlib.crc32(plain[0]) == outer.streams.folders[0].crc
    header = decode_header(plain[0], 0, Limits())
    assert isinstance(header, Header)
    assert manifest in (0, len(header.files) * RECORD_SIZE + TAIL_SIZE)
    if header.streams.packs:
        assert header.streams.position == 0
        assert sum(pack.size for pack in header.streams.packs) == outer.streams.position
    return Read(header, *_folders(archive, header.streams))


def _folders(archive: bytes, streams: Streams) -> tuple[list[bytes], list[bytes]]:
    packed, plain = [], []
    place = 32 + streams.position
    for folder, pack, parts in zip(streams.folders, streams.packs, streams.substreams, strict=True):
        packed.append(archive[place : place + pack.size])
        place += pack.size
        data = decompressed(folder, decrypted(folder, packed[-1]))
        assert len(data) == folder.size == sum(part.size for part in parts)
        plain.append(data)
    return packed, plain


def substreams(data: dict[str, bytes]) -> tuple[Stream, ...]:
    """The substreams of some files."""
    return tuple(Stream(len(value), zlib.crc32(value)) for value in data.values())


SIZES = [1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17, 5 * CHUNK + 3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_sizes(method: str, size: int) -> None:
    """A file of any size unpacks to itself, by other libraries, and the number of threads changes no byte of it."""
    data = text(size)
    archive = written_files({"a": data}, compression=method)
    found = read(archive)
    assert found.plain == [data]
    assert found.header.streams.substreams == (substreams({"a": data}),)
    assert found.header.streams.folders[0].coders[1].method == (METHODS[method] if size > 17 else spec.COPY)
    assert written_files({"a": data}, compression=method, threads=3) == archive


def test_no_entries() -> None:
    """An archive of nothing has its header, compressed or not, encrypted all the same, so that a password is asked."""
    found = read(written([])[0])
    assert found.header == Header()


@pytest.mark.parametrize("method", METHODS)
def test_order(method: str) -> None:
    """Files stand in the order in which they came; small ones share a folder until a large one comes between."""
    small = {"a": b"1", "b": text(1000), "c": b"33"}
    large, after = text(CHUNK + 5, 1), {"e": b"5", "f": b"66"}
    entries = [(member(name), value) for name, value in small.items()]
    entries[1:1] = [(member("folder", "directory", 0o700), b""), (member("empty"), b"")]
    entries += [(member("d"), large), *((member(name), value) for name, value in after.items())]
    found = read(written(entries, compression=method)[0])
    assert [file.name for file in found.header.files] == ["a", "folder", "empty", "b", "c", "d", "e", "f"]
    assert found.plain == [b"".join(small.values()), large, b"566"]
    assert found.header.streams.substreams == (substreams(small), substreams({"d": large}), substreams(after))


def test_header_fields() -> None:
    """The header has times to 100 ns, the Unix mode, and what is a folder or an empty file."""
    entries = [
        (member("f", "directory", 0o700), b""),
        (member("e", mode=0o644), b""),
        (member("\xe4/\U0001f600"), b"x"),
    ]
    time = files.encode_time(WHEN)
    assert time % 10**7 == 8_900_000
    attributes = (stat.S_IFDIR | 0o700) << 16 | 0x10, (stat.S_IFREG | 0o644) << 16 | 0x20, 0o100600 << 16 | 0x20
    folder, empty, full = (value | 0x8000 for value in attributes)
    assert read(written(entries)[0]).header.files == (
        files.File("f", has_data=False, directory=True, modified=time, attributes=folder),
        files.File("e", has_data=False, modified=time, attributes=empty),
        files.File("\xe4/\U0001f600", modified=time, attributes=full),
    )


def test_solid_folders_are_bounded() -> None:
    """A solid folder ends with the file that brings it to 4 MiB: less than 5 MiB unpack to read one."""
    data = {f"{number:02}": noise(CHUNK - 1000, number) for number in range(9)}
    found = read(written_files(data))
    assert [len(parts) for parts in found.header.streams.substreams] == [5, 4]
    assert b"".join(found.plain) == b"".join(data.values())
    assert max(map(len, found.plain)) < 5 * MIB


def test_many_entries_cost_few_bytes() -> None:
    """20,000 entries of 1 KiB cost less than 16 bytes each above their data, with one salt for all folders."""
    number = 20_000
    content = noise(1024 * number)
    data = {f"{n:06}.bin": content[n * 1024 : (n + 1) * 1024] for n in range(number)}
    archive = written_files(data)
    assert len(archive) - len(content) < 16 * number
    found = read(archive)
    assert len(found.header.files) == number
    assert len(found.plain) == 5
    assert b"".join(found.plain) == content
    assert len({aes(folder).salt for folder in found.header.streams.folders}) == 1


def test_salt_and_ivs() -> None:
    """One salt an archive, hence one key, and a fresh IV for every folder, the header's included."""
    salts, ivs = set(), []
    for _ in range(2):
        stream = io.BytesIO()
        data = {"a": b"same", "b": bytes(CHUNK), "c": b"same", "d": bytes(CHUNK)}
        strongroom.seal(data, stream, format="7z", password=PASSWORD, compression="store")
        archive = stream.getvalue()
        start = SignatureHeader.decode(archive[:32])
        outer = decode_header(archive[32 + start.offset :], 0, Limits())
        assert isinstance(outer, EncodedHeader)
        properties = [aes(folder) for folder in (*outer.streams.folders, *read(archive).header.streams.folders)]
        assert len(properties) == 5
        assert len({one.salt for one in properties}) == 1
        assert {(len(one.salt), len(one.iv)) for one in properties} == {(16, 16)}
        salts.add(properties[0].salt)
        ivs += [one.iv for one in properties]
    assert len(salts) == 2
    assert len(set(ivs)) == len(ivs)


def test_random_comes_through_the_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users' archives take salt and IVs from `os.urandom`, and from nowhere else; the salt has 10 bytes of it."""
    asked = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return noise(size, len(asked))

    monkeypatch.setattr("os.urandom", urandom)
    strongroom.seal({"a": b"1", "b": b"2"}, io.BytesIO(), format="7z", password="pass", threads=1)
    assert asked == [10, 3, 16, 16]


def test_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives name 2^19 rounds, as 7-Zip does."""
    monkeypatch.undo()
    archive = written_files({"a": b"1"})
    start = SignatureHeader.decode(archive[:32])
    outer = decode_header(archive[32 + start.offset :], 0, Limits())
    assert isinstance(outer, EncodedHeader)
    assert aes(outer.streams.folders[0]).cycles_power == 19


def test_lzma2_blocks() -> None:
    """Every chunk begins an LZMA2 block that stands alone: up to level 3 all of them, above only the first."""
    data = text(3 * CHUNK)
    for level, resets in ((0, 3), (1, 3), (3, 3), (4, 1)):
        archive = written_files({"a": data}, compression="lzma", level=level)
        found = read(archive)
        stream = decrypted(found.header.streams.folders[0], found.packed[0])
        controls = list(lzma2_controls(stream))
        assert controls[0] >= 0xE0
        assert sum(control == 0x01 or control >= 0xE0 for control in controls) == resets
        assert found.plain == [data]


def lzma2_controls(stream: bytes) -> Iterator[int]:
    """The control bytes of LZMA2 chunks, up to the end mark, behind which nothing stands."""
    place = 0
    while control := stream[place]:
        yield control
        if control < 0x80:
            place += 3 + int.from_bytes(stream[place + 1 : place + 3], "big") + 1
        else:
            packed = int.from_bytes(stream[place + 3 : place + 5], "big") + 1
            place += 5 + (control >= 0xC0) + packed
    assert place + 1 == len(stream)


def test_what_does_not_shrink_is_stored() -> None:
    """One chunk that compression would lengthen is stored, in every method, and the entry says so."""
    for method in METHODS:
        archive, entries = written([(member("a"), noise(1000))], compression=method)
        assert read(archive).header.streams.folders[0].coders[1].method == spec.COPY
        assert entries[0].method == "store"


def test_entries() -> None:
    """Entries say what a reader will find: in a solid folder each has its share of the packed size."""
    data = [(member("f", "directory"), b""), (member("a"), text(1000)), (member("b"), text(3000)), (member("e"), b"")]
    archive, entries = written([*data, (member("c"), text(2 * CHUNK))], compression="deflate")
    packs = [pack.size for pack in read(archive).header.streams.packs]
    assert [(entry.name, entry.kind, entry.size) for entry in entries] == [
        ("f", "directory", 0), ("a", "file", 1000), ("b", "file", 3000), ("e", "file", 0), ("c", "file", 2 * CHUNK)
    ]  # fmt: skip
    assert [entry.packed_size for entry in entries] == [0, packs[0] // 4, packs[0] * 3 // 4, 0, packs[1]]
    assert [entry.method for entry in entries] == ["store", "deflate", "deflate", "store", "deflate"]
    assert {entry.encryption for entry in entries} == {"AES-256"}
    assert {entry.modified for entry in entries} == {WHEN}


def test_names_and_data_are_hidden() -> None:
    """Without the password nothing can be seen of names, of data, or of checksums of it."""
    data = {"secret-name": b"secret data " * 5, "other": text(CHUNK)}
    for method in METHODS:
        archive = written_files(data, compression=method)
        for name, value in data.items():
            assert name.encode("utf-16-le")[:8] not in archive
            assert value[:12] not in archive
            assert zlib.crc32(value).to_bytes(4, "little") not in archive


class Pipe(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(self.data)


def test_pipe() -> None:
    """An output that cannot be patched is refused before a byte is written, and nothing stays open."""
    pipe = Pipe()
    with nothing_left(), pytest.raises(ValueError, match="seek"):
        strongroom.create(pipe, format="7z", password="pass")  # type: ignore[arg-type]
    assert pipe.data == b""


def test_folder_has_no_data() -> None:
    """Data for a folder is refused."""
    with Secret(PASSWORD) as password:
        encoder = Writer(options(password)).entry(member("f", "directory"))
        with pytest.raises(ValueError):
            list(encoder.update(Chunk(memoryview(b"data"))))


def test_an_entry_that_is_left() -> None:
    """Closing in the middle, or before anything came, wipes chunks that wait and ends the threads."""
    with Secret(PASSWORD) as password, nothing_left():
        for method in METHODS:
            for sizes in ([], [10], [CHUNK], [CHUNK] * 2, [CHUNK] * 4, [CHUNK, 10]):
                writer = Writer(options(password, threads=2, compression=method))
                encoder = writer.entry(member("a"))
                buffers = [bytearray(b"x" * size) for size in sizes]
                for buffer in buffers:
                    list(encoder.update(Chunk(memoryview(buffer), buffer)))
                encoder.close()
                encoder.close()
                writer.close()
                writer.close()
                if len(sizes) == 1:
                    assert not any(buffers[0])


@pytest.mark.parametrize("level", [10, -1, 99])
def test_levels(level: int) -> None:
    """A level that the method does not have is refused when the writer is made."""
    with Secret(PASSWORD) as password:
        for method in METHODS:
            with pytest.raises(ValueError):
                Writer(options(password, compression=method, level=level))


@pytest.mark.parametrize("password", ["a\0b", "x" * 2001, "\N{GRINNING FACE}" * 1001, b"\xff\xfe", b"\xed\xa0\x80"])
def test_refused_passwords(password: str | bytes) -> None:
    """NULs, what is no text, and more than 2,000 UTF-16 units are refused when the archive is made."""
    with pytest.raises(ValueError):
        strongroom.create(io.BytesIO(), format="7z", password=password)


@pytest.mark.parametrize("password", ["x", "x" * 2000, "\N{GRINNING FACE}" * 1000, "p\xe4ss", b"p\xc3\xa4ss"])
def test_accepted_passwords(password: str | bytes) -> None:
    """Any other password is taken without a warning, since all tools encode it alike."""
    with Secret(password) as secret:
        check_password(secret)
        FORMATS["7z"].check_password(secret)


def test_small_work_is_light() -> None:
    """An archive of small files starts no thread, also where threads may be used."""
    with Secret(PASSWORD) as password:
        writer = Writer(options(password, threads=4, compression="lzma"))
        out = bytearray()
        for name in ("a", "b"):
            encoder = writer.entry(member(name))
            put(out, encoder.update(Chunk(memoryview(b"data"))))
            put(out, encoder.finish())
        with nothing_left():
            put(out, writer.finish())
        writer.close()
    assert read(bytes(out)).plain == [b"datadata"]
