"""What the 7z reader refuses, and what it accepts: archives made field by field."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import (
    FormatError,
    LimitError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.formats.sevenzip import coders, crypto, reader, spec
from strongroom.formats.sevenzip.fields import encode_number
from strongroom.formats.sevenzip.files import File, encode_attributes
from strongroom.formats.sevenzip.streams import BindPair, Coder, Folder, Stream, Streams
from strongroom.limits import MIB, Limits
from tests.helpers import noise, text
from tests.sevenzipcraft import AES, CODERS, COPY, PASSWORD, archive, encrypted, folder, join, pack_header, packed

DATA = text(600)
FILES = {"a.txt": DATA, "b/c.txt": text(90, 1), "d": b"d"}


def open_(data: bytes, **options: object) -> strongroom.ReadRoom:
    """Open an archive in memory, with the password that it has unless another is given."""
    return strongroom.open(io.BytesIO(data), **{"password": PASSWORD, "threads": 1} | options)  # type: ignore[arg-type]


def read_all(data: bytes, **options: object) -> dict[str, bytes]:
    """Open an archive and read every entry."""
    with open_(data, **options) as room:
        return {entry.name: room.read(entry.name) for entry in room}


def refused(
    data: bytes,
    error: type[StrongroomError] | tuple[type[StrongroomError], ...] = FormatError,
    **options: object,
) -> None:
    """Hold that an archive is refused, at the latest where its entries are read."""
    with pytest.raises(error):
        read_all(data, **options)


def header(streams: Streams, *files: File) -> bytes:
    """Encode a header."""
    return spec.Header(streams, files).encode()


def single(made: Folder, body: bytes, size: int = 4, crc: int | None = zlib.crc32(b"data")) -> bytes:
    """An archive of one file, `a`, from one folder of one pack stream."""
    return join(body, header(Streams(0, (Stream(len(body)),), (made,), ((Stream(size, crc),),)), File("a")))


# What is accepted


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("solid", [False, True])
@pytest.mark.parametrize("method", CODERS)
def test_made_archives_open(method: str, solid: bool, hidden: bool) -> None:  # noqa: FBT001
    """What the tests below damage is sound before."""
    assert read_all(archive(FILES, method=method, solid=solid, hidden=hidden)) == FILES


def test_a_gap_before_the_header_is_nobodys() -> None:
    """Between pack streams and header there may be something that the format knows nothing of."""
    made, body = folder("store", b"data", secret=True)
    stream = Stream(4, zlib.crc32(b"data"))
    record = header(Streams(0, (Stream(len(body)),), (made,), ((stream,),)), File("a"))
    assert read_all(join(body, record, gap=noise(100))) == {"a": b"data"}


def test_an_archive_of_nothing() -> None:
    """An archive without a header has no entries; what claims to be behind it is refused."""
    assert read_all(join(b"", b"")) == {}
    refused(join(b"", b"", after=b"x"))
    refused(spec.SignatureHeader(1, 0, 0).encode() + b"x")
    refused(spec.SignatureHeader(0, 0, 1).encode())


def test_empty_files_folders_and_anti_items() -> None:
    """Empty files and folders have no data; an anti-item, which asks for a deletion, is left out and named."""
    extra = (File("empty", has_data=False), File("dir", has_data=False, directory=True))
    anti = File("gone", has_data=False, anti=True)
    with open_(archive({"a": b"data"}, extra=extra), password=PASSWORD) as room:
        assert [(entry.name, entry.kind) for entry in room] == [("a", "file"), ("empty", "file"), ("dir", "directory")]
        assert room.read("empty") == room.read("dir") == b""
    with pytest.warns(StrongroomWarning, match="gone"), open_(archive({"a": b"data"}, extra=(anti,))) as room:
        assert [entry.name for entry in room] == ["a"]


def test_method_ids_are_numbers() -> None:
    """Leading zeros in a method ID say nothing, as in 7-Zip."""
    for method in (b"", b"\0", b"\0\0\0"):
        made = Folder((Coder(method), AES), (BindPair(0, 1),), (1,), (4, 4))
        assert read_all(single(made, encrypted(b"data"))) == {"a": b"data"}


def test_separators_of_windows() -> None:
    """A name with backslashes alone is a path; with both, nobody knows."""
    assert list(read_all(archive({"b\\c": b"x"}))) == ["b/c"]
    refused(archive({"a/b\\c": b"x"}))


# Damage


SMALL = {"a": text(40), "b": b"b" * 30}


@pytest.mark.parametrize("solid", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("method", CODERS)
def test_every_flip_and_cut(method: str, secret: bool, hidden: bool, solid: bool) -> None:  # noqa: FBT001
    """Any changed byte, and any cut, gives the data unchanged or a `StrongroomError`, and nothing else."""
    sound = archive(SMALL, method=method, secret=secret, hidden=hidden, solid=solid)
    unnoticed = 0
    for position in range(len(sound)):
        changed = bytearray(sound)
        changed[position] ^= 1 << position % 8
        try:
            found = read_all(bytes(changed), allow_plaintext=not secret)
        except StrongroomError:
            continue
        unnoticed += 1
        assert found == SMALL, position
    assert unnoticed <= 20  # the minor version, and the zeros that fill up AES blocks
    for length in range(len(sound)):
        refused(sound[:length], StrongroomError, allow_plaintext=not secret)


@pytest.mark.parametrize("seed", range(20))
def test_headers_changed_at_random(seed: int) -> None:
    """Whatever a header says, with CRCs that hold, an archive gives data or a `StrongroomError`, and soon."""
    dice = random.Random(seed)
    method, secret, solid = dice.choice(list(CODERS)), dice.random() < 0.5, dice.random() < 0.5
    sound = archive(SMALL, method=method, secret=secret, solid=solid)
    start = spec.SignatureHeader.decode(sound[:32])
    body, record = sound[32 : 32 + start.offset], sound[32 + start.offset :]
    begin = time.process_time()
    for _ in range(100):
        changed = bytearray(record)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(changed))
            changed[place : place + dice.randint(0, 2)] = dice.randbytes(dice.randint(0, 3))
        with suppress(StrongroomError), warnings.catch_warnings():
            warnings.simplefilter("ignore", StrongroomWarning)  # of anti-items
            with open_(join(body, bytes(changed)), allow_plaintext=True, limits=Limits(kdf_work=1 << 10)) as room:
                room.verify()
                for entry in room:
                    with suppress(StrongroomError):
                        room.read(entry.name)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("method", CODERS)
@pytest.mark.parametrize("held", [16 * MIB, MIB])
def test_nothing_is_given_out_before_the_crc_holds(method: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an entry whose last byte is wrong, not one byte leaves `chunks`, whether it is held in memory or not."""
    monkeypatch.setattr(reader, "_HELD", held)
    data = text(2 * MIB)
    made, body = folder(method, data, secret=True)
    with open_(single(made, body, len(data), zlib.crc32(data[:-1] + b"?"))) as room:
        with pytest.raises(TamperedError):
            next(room.chunks("a"))
        buffer = bytearray(len(data))
        with pytest.raises(TamperedError):
            room.read_into("a", buffer)
        assert not any(buffer)
        assert not room.verify().ok


def test_what_changes_between_two_readings(tmp_path: Path) -> None:
    """A long entry is read twice; what was sound the first time and is another thing the second is tampering."""
    data = noise(17 * MIB)
    path = tmp_path / "a.7z"
    path.write_bytes(archive({"a": data}))
    with strongroom.open(path, password=PASSWORD) as room:
        pieces = room.chunks("a")
        assert next(pieces) == data[:MIB]
        with path.open("r+b") as file:
            file.seek(10 * MIB)
            file.write(b"changed")
        with pytest.raises(TamperedError):
            list(map(bytes, pieces))


def test_wrong_passwords() -> None:
    """A wrong password is told by the header, by the CRC of a short entry, or by a decoder that chokes."""
    for made in (
        archive(FILES, hidden=True),
        archive(FILES),
        archive({"a": noise(2 * MIB)}, method="lzma2"),
        archive({"a": text(9 * MIB)}, method="deflate"),
    ):
        refused(made, WrongKeyError, password="another")
    refused(archive(FILES, hidden=True), WrongKeyError, password=None)
    with open_(archive(FILES), password=None) as room:
        assert [entry.name for entry in room] == list(FILES)
        with pytest.raises(WrongKeyError):
            room.read("d")


def test_a_long_stored_entry_tells_late() -> None:
    """Nothing tells a wrong password from damage in a single long stored entry: `TamperedError`, once it is read."""
    with open_(archive({"a": noise(2 * MIB)}), password="another") as room, pytest.raises(TamperedError):
        room.read("a")


def test_unencrypted_files() -> None:
    """A file that is not encrypted, or only in parts, is refused unless that is allowed."""
    plain = archive(FILES, secret=False)
    for password in (None, PASSWORD):
        refused(plain, UnsupportedError, password=password)
        assert read_all(plain, password=password, allow_plaintext=True) == FILES
    main, body = b"\x90" * 50, bytes(5)
    parts = Folder(
        (Coder(bytes.fromhex("0303011b"), inputs=4), AES), (BindPair(0, 1),), (4, 1, 2, 3), (len(main), len(main))
    )
    packs = (Stream(64), Stream(0), Stream(0), Stream(len(body)))
    streams = Streams(0, packs, (parts,), ((Stream(len(main), zlib.crc32(main)),),))
    partly = join(encrypted(main) + body, header(streams, File("a")))
    refused(partly, UnsupportedError)
    assert read_all(partly, allow_plaintext=True) == {"a": main}


def test_no_crc_is_no_data() -> None:
    """An entry without a CRC is refused: nothing would say whether it is whole."""
    made, body = folder("store", b"data", secret=True)
    refused(single(made, body, crc=None), UnsupportedError)


# The structure


def test_what_stands_where_nothing_may() -> None:
    """Bytes before the pack streams or behind the header, and pack streams that reach into it, are refused."""
    made, body = folder("store", b"data", secret=True)
    stream = ((Stream(4, zlib.crc32(b"data")),),)
    plain = header(Streams(0, (Stream(len(body)),), (made,), stream), File("a"))
    refused(join(body, plain, after=b"x"))
    refused(join(b"x" + body, header(Streams(1, (Stream(len(body)),), (made,), stream), File("a"))))
    refused(join(body, header(Streams(0, (Stream(len(body) + 16),), (made,), stream), File("a"))))
    refused(join(body[:-1], plain))
    refused(pack_header(body[:8], plain), (FormatError, TamperedError))


def test_cut_off_header() -> None:
    """A file that ends before its header is cut off, and says by how much."""
    sound = archive(FILES)
    refused(sound[:-5], TruncatedError)
    refused(sound[:40], TruncatedError)


@pytest.mark.parametrize(
    "made",
    [
        Folder((COPY, COPY), (BindPair(0, 0),), (1,), (4, 4)),
        Folder((COPY, COPY, COPY), (BindPair(0, 1), BindPair(1, 0)), (2,), (4, 4, 4)),
        Folder((COPY, COPY, COPY), (BindPair(0, 1), BindPair(0, 2)), (1,), (4, 4, 4)),
        Folder((COPY, COPY), (BindPair(5, 1),), (1,), (4, 4)),
        Folder((COPY, COPY), (BindPair(0, 7),), (1,), (4, 4)),
        Folder((COPY,) * 33, tuple(BindPair(n, n + 1) for n in range(32)), (32,), (4,) * 33),
        Folder((Coder(spec.COPY, inputs=2),), (), (0, 1), (4,)),
        Folder((Coder(spec.COPY, inputs=33),), (), tuple(range(33)), (4,)),
        Folder((Coder(spec.COPY, outputs=2),), (), (0,), (4, 4)),
    ],
    ids=["itself", "circle", "twice", "no-in", "no-out", "33-coders", "two-ins", "33-ins", "two-outs"],
)
def test_coders_that_are_no_tree(made: Folder) -> None:
    """Circles, loose ends and crowds of coders are refused."""
    refused(single(made, b"data"), allow_plaintext=True)


def test_a_long_chain_of_coders() -> None:
    """32 coders are the most, and work."""
    made = Folder((COPY,) * 32, tuple(BindPair(n, n + 1) for n in range(31)), (31,), (4,) * 32)
    assert read_all(single(made, b"data"), allow_plaintext=True) == {"a": b"data"}


def test_sizes_that_disagree() -> None:
    """A folder that unpacks to more or less than it says, in any coder, is refused."""
    for method in CODERS:
        body = packed(method, b"data" * 50)
        for size in (0, 1, 199, 201):
            made = Folder((CODERS[method],), (), (0,), (size,))
            refused(single(made, body, size, zlib.crc32((b"data" * 50)[:size])), allow_plaintext=True)
        refused(single(folder(method, b"data", secret=False)[0], packed(method, b"data") + b"x"), allow_plaintext=True)
    refused(single(folder("store", b"data", secret=True)[0], encrypted(b"data") + bytes(16)), WrongKeyError)


@pytest.mark.parametrize(
    ("size", "packed_size"), [(1 << 40, 1 << 20), (1 << 63, 4), ((1 << 64) - 1, 4)], ids=["ratio", "2^63", "negative"]
)
@pytest.mark.parametrize("method", CODERS)
def test_bombs(method: str, size: int, packed_size: int) -> None:
    """A size that no honest data has is refused before anything is decoded, also where a coder has it on the way."""
    body = bytes(packed_size)
    for made in (
        Folder((CODERS[method],), (), (0,), (size,)),
        Folder((COPY, CODERS[method]), (BindPair(0, 1),), (1,), (4, size)),
    ):
        refused(single(made, body, made.size), LimitError, allow_plaintext=True)


COUNT = encode_number((1 << 64) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"\1\4\6\0" + COUNT,
        b"\1\4\6\0\1\t\4\0\7\x0b" + COUNT,
        b"\1\4\6\0\1\t\4\0\7\x0b\1\0" + COUNT,
        b"\1\4\6\0\1\t\4\0\7\x0b\1\0\1\1\0\x0c\4\0\x08\x0d" + COUNT,
        b"\1\5" + COUNT,
        b"\1\5\1\x11" + COUNT + b"\0a\0",
        b"\1\5\1\x11\x03\0a\0\0\0",
        b"\1\5\1\x11\x05\0a\0b\0\0\0",
        b"\1\4\6\0\0\0\7\x0b\0\0\x0c\0\x08\x0d\0\0\5\1\x11\5\0a\0\0\0\0\0",
        b"\1\4\6\0\0\0\0\5\1\x11\5\0a\0\0\0\0\0",
        b"\1" * 40,
        b"\x17" * 40,
        b"\x17\6\0\0\0\0\0",
        b"",
    ],
    ids=range(14),
)
def test_hostile_headers(data: bytes) -> None:
    """Counts without items, names without an end, substreams without folders: refused, in no time and memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        refused(join(b"data", data + b"\0" * 8), (FormatError, LimitError), allow_plaintext=True)
        assert time.process_time() - start < 1
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_many_rounds_are_refused_before_any_work() -> None:
    """A round count above the limit is a `LimitError`, at once."""
    start = time.process_time()
    for power in (30, 62):
        coder = Coder(spec.AES, crypto.AesProperties(power, b"salt", b"iv").encode())
        made = Folder((COPY, coder), (BindPair(0, 1),), (1,), (4, 4))
        refused(single(made, bytes(16)), LimitError)
        record = Streams(0, (Stream(16),), (made,), ((Stream(4, 0),),))
        refused(join(bytes(16), spec.EncodedHeader(record).encode()), LimitError)
    assert time.process_time() - start < 1


def test_many_keys_are_bounded() -> None:
    """Keys that are each within the limit are not, all together; what has been read before is read."""
    sound, body = folder("store", b"data", secret=True)
    salts = [Coder(spec.AES, crypto.AesProperties(10, bytes((number,)), b"").encode()) for number in range(40)]
    made = (sound, *(Folder((COPY, coder), (BindPair(0, 1),), (1,), (4, 4)) for coder in salts))
    substreams = ((Stream(4, zlib.crc32(b"data")),), *((Stream(4, 1),) for _ in salts))
    record = header(Streams(0, (Stream(16),) * 41, made, substreams), *(File(str(number)) for number in range(41)))
    with open_(join(body * 41, record), limits=Limits(kdf_work=1 << 10)) as room:
        assert room.read("0") == b"data"
        for name, error in (("1", TamperedError), ("15", TamperedError)):
            with pytest.raises(error):
                room.read(name)
        assert not room.verify().ok
        with pytest.raises(LimitError):
            room.read("40")
        assert room.read("0") == b"data"


def test_a_long_header() -> None:
    """A packed header of more than a chunk is unpacked piece by piece."""
    names = [noise(100, number).hex() for number in range(4000)]
    record = header(Streams(), *(File(name, has_data=False) for name in names))
    for method in CODERS:
        with open_(pack_header(b"", record, method=method)) as room:
            assert [entry.name for entry in room] == names


def test_limits() -> None:
    """Dictionaries, entries, names and headers are held against `Limits` before memory is taken for them."""
    big = Folder((CODERS["lzma2"]._replace(properties=b"\x28"),), (), (0,), (1 << 29,))
    body = bytes(1 << 20)
    refused(single(big, body, 1 << 29), LimitError, allow_plaintext=True)
    many = archive({str(number): b"x" for number in range(20)})
    refused(many, LimitError, limits=Limits(entries=10))
    refused(many, LimitError, limits=Limits(header_size=100))
    refused(
        archive({str(number): b"x" for number in range(20)}, hidden=True), LimitError, limits=Limits(header_size=200)
    )
    refused(archive({"a" * 5000: b"x"}), LimitError)


@pytest.mark.parametrize(
    "name", ["../a", "/a", "C:/a", "a//b", "a/./b", "a\x01", "\ud800"], ids=["up", "root", "drive", "//", ".", "c", "s"]
)
def test_names_that_cannot_be_extracted(name: str) -> None:
    """Names are held to the rules of every format."""
    refused(archive({name: b"x"}))


def test_names_that_clash() -> None:
    """No name stands twice, and no file where a folder is."""
    for other in (File("a", has_data=False), File("a/b", has_data=False), File("a", has_data=False, directory=True)):
        refused(archive({"a": b"x"}, extra=(other,)))


def test_a_folder_by_its_attributes() -> None:
    """What is a folder by its attributes and a file by its data is refused: readers differ over it."""
    made, body = folder("store", b"data", secret=True)
    streams = Streams(0, (Stream(len(body)),), (made,), ((Stream(4, zlib.crc32(b"data")),),))
    for attributes in (0x10, encode_attributes(0o040755)):
        refused(join(body, header(streams, File("a", attributes=attributes))))


def test_methods_that_we_lack() -> None:
    """A method that we do not have is an `UnsupportedError` with its name, or its number."""
    for method, name in (("04f71102", "Brotli"), ("04f71104", "LZ4"), ("020302", "Swap2"), ("7f", "0x7f")):
        data = single(Folder((Coder(bytes.fromhex(method)),), (), (0,), (4,)), b"data")
        with open_(data, allow_plaintext=True) as room, pytest.raises(UnsupportedError, match=name):
            room.read("a")


@pytest.mark.parametrize("method", [row for row in coders.METHODS if coders.METHODS[row].decode], ids=bytes.hex)
@pytest.mark.parametrize("properties", [b"", b"\xff", b"\xff" * 4, b"\xff" * 5, b"\xff" * 30], ids=len)
def test_properties_of_any_length(method: bytes, properties: bytes) -> None:
    """Properties that a coder cannot have are refused as any damage is."""
    inputs = coders.METHODS[method].inputs
    made = Folder((Coder(method, properties, inputs),), (), tuple(range(inputs)), (100,))
    streams = Streams(0, (Stream(30),) * inputs, (made,), ((Stream(100, 1),),))
    refused(join(noise(30 * inputs), header(streams, File("a"))), StrongroomError, allow_plaintext=True)


# Solid folders


def test_solid_folders_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in order, verifying and extracting are not quadratic; threads change nothing about that."""
    files = {f"{number:03}": noise(1000, number) for number in range(200)}
    data = archive(files, method="deflate", solid=True)
    begun = count(monkeypatch)
    with open_(data, threads=4) as room:
        assert [room.read(name) for name in files] == list(files.values())
        assert begun() <= 2  # one to see that the password fits
        assert room.verify().ok
        assert room.verify().ok
        assert begun() == 2


def test_extraction_of_long_entries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of long entries in a solid folder two ways are kept, one that checks and one that releases."""
    files = {name: noise(17 * MIB, seed) for seed, name in enumerate("abc")}
    path = tmp_path / "a.7z"
    path.write_bytes(archive(files, solid=True))
    begun = count(monkeypatch)
    with strongroom.open(path, password=PASSWORD) as room:
        assert begun() == 1
        for name, content in files.items():
            assert b"".join(map(bytes, room.chunks(name))) == content
        assert begun() == 2
        room.extract(tmp_path / "out")
        assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == files


@pytest.mark.parametrize("size", [3, 17])
def test_entries_read_by_turns(size: int) -> None:
    """Two entries of one folder that are read at once do not disturb each other."""
    files = {"a": noise(size * MIB, 1), "b": noise(size * MIB, 2)}
    with open_(archive(files, solid=True)) as room, room.open("b", "rb") as second, room.open("a", "rb") as first:
        found = {"a": b"", "b": b""}
        for _ in range(50):
            found["a"] += first.read(size * 24_000)
            found["b"] += second.read(size * 24_000)
        assert found == files
        first.seek(MIB + 5)
        assert first.read(10) == files["a"][MIB + 5 : MIB + 15]


def test_damage_in_a_solid_folder() -> None:
    """One damaged entry of a stored folder does not take the others with it."""
    files = {name: noise(160, seed) for seed, name in enumerate("abc")}
    data = bytearray(archive(files, solid=True))
    data[32 + 200] ^= 1
    with open_(bytes(data)) as room:
        assert [finding.entry for finding in room.verify().findings] == ["b"]
        assert room.read("a") == files["a"]
        assert room.read("c") == files["c"]
        with pytest.raises(TamperedError):
            room.read("b")


def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count how often a folder's decoder was begun since this was last asked."""
    begun: list[int] = []
    unpack = reader.coders.unpack

    def counted(*arguments: object) -> object:
        begun.append(1)
        return unpack(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reader.coders, "unpack", counted)

    def since() -> int:
        found = len(begun)
        begun.clear()
        return found

    return since


def test_the_start_header_is_checked() -> None:
    """The signature header has a CRC of its own, and a major version."""
    sound = archive(FILES)
    refused(sound[:6] + b"\1\4" + sound[8:], UnsupportedError)
    refused(sound[:8] + struct.pack("<I", 1) + sound[12:])
    refused(b"MZ" + sound[:20])
