from __future__ import annotations

import stat
import subprocess
import tracemalloc
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import FormatError, LimitError, Limits, StrongroomError, UnsupportedError
from strongroom.formats.sevenzip import fields, files, spec
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.spec import EncodedHeader, Header, SignatureHeader, decode_header
from strongroom.formats.sevenzip.streams import BindPair, Coder, Folder, Stream, Streams
from strongroom.source import Cursor
from tests.helpers import text, tool

u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (32, 64))
crcs = st.none() | u32
names = st.text(st.characters(exclude_characters="\0"), max_size=12)


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    """A folder whose coders are a chain, or one of four in-streams with what feeds some of them, in any order."""
    methods = st.binary(min_size=0, max_size=15)
    count = draw(st.integers(1, 5))
    order = draw(st.permutations(range(count)))
    inputs = [1] * count
    wide = draw(st.integers(1, 4))
    inputs[order[0]] = wide
    coders = tuple(Coder(draw(methods), draw(st.binary(max_size=20)), number) for number in inputs)
    free = [sum(inputs[:number]) for number in range(count)]
    pairs = [BindPair(free[order[step]], order[step + 1]) for step in range(count - 1)]
    bound = {pair.in_index for pair in pairs}
    packed = draw(st.permutations([index for index in range(sum(inputs)) if index not in bound]))
    sizes = tuple(draw(st.lists(u64, min_size=count, max_size=count)))
    return Folder(coders, tuple(draw(st.permutations(pairs))), tuple(packed), sizes, draw(crcs))


@st.composite
def streams(draw: st.DrawFn) -> Streams:
    """Streams that fit together, of none or several folders with none or several substreams."""
    found = draw(st.lists(folders(), max_size=3))
    packs = tuple(Stream(draw(u64), draw(crcs)) for folder in found for _ in folder.packed)
    substreams: list[tuple[Stream, ...]] = []
    for folder in found:
        count = draw(st.integers(0, 4))
        cuts = (
            sorted(draw(st.lists(st.integers(0, folder.size), min_size=count - 1, max_size=count - 1))) if count else []
        )
        sizes = [end - start for start, end in zip([0, *cuts], [*cuts, folder.size], strict=True)] if count else []
        own = count == 1 and folder.crc is not None
        substreams.append(tuple(Stream(size, folder.crc if own else draw(crcs)) for size in sizes))
    return Streams(draw(u64), packs, tuple(found), tuple(substreams))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """A header whose files have as many substreams as there are."""
    found = draw(streams())
    with_data = sum(map(len, found.substreams))
    kinds = draw(st.permutations([True] * with_data + [False] * draw(st.integers(0, 3))))
    made = tuple(
        File(
            draw(names) + ("x" if len(kinds) > 3 else ""),
            has_data,
            directory=not has_data and draw(st.booleans()),
            anti=not has_data and draw(st.booleans()),
            created=draw(st.none() | u64),
            accessed=draw(st.none() | u64),
            modified=draw(st.none() | u64),
            attributes=draw(st.none() | u32),
            start=draw(st.none() | u64),
        )
        for has_data in kinds
    )
    properties = draw(st.lists(st.tuples(st.integers(1, 1 << 62), st.binary(max_size=9)), max_size=2))
    return Header(found, made, tuple(properties))


@given(u64)
def test_number(value: int) -> None:
    """A number decodes to what was encoded, in as few bytes as it can."""
    encoded = fields.encode_number(value)
    assert fields.decode_number(Cursor(encoded), "it") == value
    assert len(encoded) == min(max(-(-value.bit_length() // 7), 1), 9)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (0x7F, "7f"),
        (0x80, "80 80"),
        (0x3FFF, "bf ff"),
        (0x4000, "c0 00 40"),
        (0x123456, "d2 56 34"),
        (1 << 55, "fe 00 00 00 00 00 00 80"),
        ((1 << 64) - 1, "ff ff ff ff ff ff ff ff ff"),
    ],
)
def test_number_of_the_specification(value: int, encoded: str) -> None:
    """The bytes are those of the table in 7zFormat.txt, worked out by hand."""
    assert fields.encode_number(value).hex(" ") == encoded


@pytest.mark.parametrize("encoded", ["80 7f", "c0 ff 3f", "fe ff ff ff ff ff ff 00", "ff ff ff ff ff ff ff ff 00"])
def test_number_has_one_encoding(encoded: str) -> None:
    """A number in more bytes than it needs is refused."""
    with pytest.raises(FormatError):
        fields.decode_number(Cursor(bytes.fromhex(encoded)), "it")


@given(st.lists(st.booleans(), max_size=40))
def test_bits(bits: list[bool]) -> None:
    """Bits decode to what was encoded, and those beyond the last are zeros."""
    encoded = fields.encode_bits(bits)
    assert fields.decode_bits(Cursor(encoded), len(bits), "they") == tuple(bits)
    if len(bits) % 8:
        with pytest.raises(FormatError):
            fields.decode_bits(Cursor(encoded[:-1] + bytes([encoded[-1] | 1])), len(bits), "they")


@given(st.builds(SignatureHeader, u64, u64, u32))
def test_signature_header(record: SignatureHeader) -> None:
    """A signature header decodes to what was encoded, and no changed bit of it is taken for another one."""
    encoded = record.encode()
    assert len(encoded) == 32
    assert SignatureHeader.decode(encoded) == record
    for position in range(len(encoded)):
        if position == 7:
            continue  # the minor version, which readers leave open
        changed = bytearray(encoded)
        changed[position] ^= 1
        with pytest.raises((FormatError, UnsupportedError)):
            SignatureHeader.decode(bytes(changed))
        with pytest.raises(FormatError):
            SignatureHeader.decode(encoded[:position])


def test_bytes_of_the_specification() -> None:
    """Every field stands where 7zFormat.txt has it; the bytes are typed from it."""
    coders = Coder(spec.AES, b"\x53\x07" + b"I" * 8), Coder(spec.LZMA2, b"\x0c")
    folder = Folder(coders, (BindPair(1, 0),), (0,), (300, 1000))
    packed = Streams(0, (Stream(304),), (folder,), ((Stream(600, 0x11223344), Stream(400, 0x55667788)),))
    one = File("a", attributes=0x81A48020, modified=0x0102030405060708)
    two = File("\u00e9", has_data=False, directory=True)
    three = File("b", modified=9)
    expected = [
        "01 04",  # header, main streams
        "06 00 01 09 81 30 00",  # pack info: position, count, sizes, end
        "07 0b 01 00 02",  # unpack info, folders: one of them, here; coders
        "24 06 f1 07 01 0a 53 07 49 49 49 49 49 49 49 49 21 21 01 0c",
        "01 00",  # bind pair
        "0c 81 2c 83 e8 00",  # sizes of both out-streams; no CRCs; end
        "08 0d 02 09 82 58",  # substreams: two, the size of the first
        "0a 01 44 33 22 11 88 77 66 55 00",  # CRCs, all of them; end
        "00",  # end of main streams
        "05 03",  # files: three
        "0e 01 40",  # the second has no data, and is no empty file
        "11 0d 00 61 00 00 00 e9 00 00 00 62 00 00 00",
        "14 13 00 a0 00 08 07 06 05 04 03 02 01 09 00 00 00 00 00 00 00",
        "15 07 00 80 00 20 80 a4 81",
        "00 00",  # end of files, of header
    ]
    assert Header(packed, (one, two, three)).encode().hex(" ") == " ".join(expected)


@given(headers())
def test_header(header: Header) -> None:
    """A header decodes to what was encoded, with nothing behind it."""
    encoded = header.encode()
    assert decode_header(encoded, 0, Limits()) == header
    with pytest.raises(FormatError):
        decode_header(encoded + b"\0", 0, Limits())


@given(streams())
def test_encoded_header(packed: Streams) -> None:
    """So does an encoded header."""
    encoded = EncodedHeader(packed).encode()
    assert decode_header(encoded, 0, Limits()) == EncodedHeader(packed)


@given(headers(), st.data())
def test_any_change(header: Header, data: st.DataObject) -> None:
    """Whatever a byte is changed to, or cut off, there is a value that encodes and decodes again, or our error."""
    encoded = bytearray(header.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = decode_header(bytes(encoded), 0, Limits())
    except StrongroomError:
        return
    assert decode_header(changed.encode(), 0, Limits()) == changed


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes behind the ID of a header give a value or our error."""
    for front in (b"\x01\x04\x06", b"\x17\x06", b"\x01\x05"):
        with suppress(FormatError, UnsupportedError, LimitError):
            decode_header(front + data, 0, Limits())


@pytest.fixture(scope="module")
def header_of_7zz(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A header that 7-Zip made: solid, with a folder, an empty file, and several times."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "sub").mkdir()
    (folder / "empty").touch()
    for number in range(3):
        (folder / f"{number}.txt").write_bytes(text(1000, number))
    archive = folder / "made.7z"
    options = ["-mhc=off", "-mtc=on", "-mta=on", "-ms=on", "-pword"]
    subprocess.run([tool("7zz"), "a", *options, archive, "."], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    data = archive.read_bytes()
    start = SignatureHeader.decode(data[:32])
    header = data[32 + start.offset :]
    assert (len(header), zlib.crc32(header)) == (start.size, start.crc)
    return header


def test_header_of_7zz(header_of_7zz: bytes) -> None:
    """What 7-Zip wrote decodes, and encodes to the same but for its padding."""
    header = decode_header(header_of_7zz, 0, Limits())
    assert isinstance(header, Header)
    assert sorted(file.name for file in header.files) == ["0.txt", "1.txt", "2.txt", "empty", "sub"]
    assert [file.name for file in header.files if file.directory] == ["sub"]
    assert [stream.size for stream in header.streams.substreams[0]] == [1000] * 3
    assert all(None not in (file.created, file.accessed, file.modified, file.mode) for file in header.files)
    again = header.encode()
    assert decode_header(again, 0, Limits()) == header
    padding = len(header_of_7zz) - len(again)
    assert 0 <= padding < 16 * 5


def test_every_flip_and_cut(header_of_7zz: bytes) -> None:
    """Every bit flipped, and every length, gives a value or our error."""
    for position in range(len(header_of_7zz)):
        for bit in range(8):
            changed = bytearray(header_of_7zz)
            changed[position] ^= 1 << bit
            with suppress(FormatError, UnsupportedError, LimitError):
                decode_header(bytes(changed), 0, Limits())
        with pytest.raises(FormatError):
            decode_header(header_of_7zz[:position], 0, Limits())


HUGE = "ff ff ff ff ff ff ff ff 7f"


@pytest.mark.parametrize(
    "header",
    [
        f"01 05 {HUGE}",  # files
        f"01 04 06 00 {HUGE} 09",  # pack streams
        f"01 04 07 0b {HUGE} 00",  # folders
        f"01 04 07 0b 01 00 {HUGE}",  # coders
        f"01 04 07 0b 01 00 01 11 21 {HUGE} 01",  # in-streams
        f"01 04 07 0b 01 00 01 11 21 01 {HUGE}",  # out-streams
        f"01 04 07 0b 01 00 01 21 21 {HUGE}",  # properties of a coder
        f"01 04 06 00 01 09 05 00 07 0b 01 00 01 01 00 0c 05 00 08 0d {HUGE} 09",  # substreams
        f"01 02 01 {HUGE}",  # archive properties
        f"01 05 01 11 {HUGE}",  # names
        f"01 05 01 19 {HUGE}",  # padding
    ],
)
def test_counts_cost_nothing(header: str) -> None:
    """A count that the header cannot hold is refused before anything is allocated for it."""
    data = bytes.fromhex(header) + bytes(100)
    tracemalloc.start()
    with pytest.raises((FormatError, LimitError)):
        decode_header(data, 0, Limits())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_entries_limit() -> None:
    """More files or substreams than `Limits.entries` are refused, though the header has them all."""
    header = Header(files=tuple(File(f"{number}", has_data=False) for number in range(20))).encode()
    assert isinstance(decode_header(header, 0, Limits(entries=20)), Header)
    with pytest.raises(LimitError):
        decode_header(header, 0, Limits(entries=19))
    folder = Folder((Coder(spec.COPY),), (), (0,), (20,))
    packed = Streams(0, (Stream(20),), (folder,), ((Stream(1, 1),) * 20,))
    header = Header(packed, tuple(File(f"{number}") for number in range(20))).encode()
    with pytest.raises(LimitError):
        decode_header(header, 0, Limits(entries=19))


FOLDER = "06 00 01 09 05 00 07 0b 01 00"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("01 04 " + FOLDER + " 02 01 00 01 00 00 00 0c 05 05 00 00 00", FormatError),  # a coder reads itself
        ("01 04 " + FOLDER + " 02 01 00 01 00 05 00 0c 05 05 00 00 00", FormatError),  # an in-stream that is not there
        ("01 04 " + FOLDER + " 02 01 00 01 00 00 05 0c 05 05 00 00 00", FormatError),  # so an out-stream
        ("01 04 " + FOLDER + " 00 0c 05 00 00 00", FormatError),  # no coder at all
        ("01 04 " + FOLDER + " 01 41 00 0c 05 00 00 00", FormatError),  # reserved flags
        ("01 04 07 0b 01 00 01 01 00 0c 05 00 00 00", FormatError),  # a folder without a pack stream
        ("01 04 06 00 01 09 05 00 00 00", FormatError),  # a pack stream without a folder
        ("01 04 " + FOLDER + " 01 01 00 0c 05 00 00 00", FormatError),  # a substream without a file
        ("01 04 " + FOLDER + " 01 01 00 0c 05 00 08 0d 02 09 06 00 00 00", FormatError),  # larger than their folder
        ("01 04 " + FOLDER + " 01 01 00 0c 05 00 08 0d 02 00 00 00", FormatError),  # two, without sizes
        ("01 04 07 0b 01 01 00", UnsupportedError),  # folders in a stream of their own
        ("01 03 00 00", UnsupportedError),  # additional streams
        ("01 05 01 11 03 01 00 00 00 00", UnsupportedError),  # names in a stream of their own
        ("01 05 01 11 04 00 61 00 00 00 00", FormatError),  # half a unit of UTF-16
        ("01 05 01 11 03 00 61 00 00 00", FormatError),  # a name without its end
        ("01 05 01 11 07 00 61 00 00 00 62 00 00 00", FormatError),  # a name too many
        ("01 05 01 0f 01 80 00 00", FormatError),  # empty files before empty streams
        ("01 05 01 0e 01 80 0e 01 80 00 00", FormatError),  # a property twice
        ("01 05 01 16 01 00 00 00", FormatError),  # a property that nobody writes
        ("01 05 01 19 01 01 00 00", FormatError),  # padding that says something
        ("01 05 01 0e 02 80 00 00 00", FormatError),  # more bits than files
        ("02 00", FormatError),
        ("", FormatError),
    ],
)
def test_refused(header: str, error: type[StrongroomError]) -> None:
    """What does not fit together is refused, and so is what two readers would read in two ways."""
    with pytest.raises(error):
        decode_header(bytes.fromhex(header), 0, Limits())


def test_circle_of_coders() -> None:
    """Coders in a circle are refused, though every stream of theirs is bound once."""
    coders = (Coder(spec.COPY), Coder(b"\x03\x03\x01\x1b", inputs=2), Coder(spec.COPY))
    circle = Folder(coders, (BindPair(1, 2), BindPair(3, 1)), (0, 2), ())
    with pytest.raises(FormatError):
        Folder.decode(Cursor(circle.encode()))


def test_version() -> None:
    """Another major version is not supported, and any minor one is."""
    encoded = bytearray(SignatureHeader(1, 2, 3).encode())
    encoded[7] = 2
    assert SignatureHeader.decode(bytes(encoded)).size == 2
    encoded[6] = 1
    with pytest.raises(UnsupportedError):
        SignatureHeader.decode(bytes(encoded))


def test_offset_of_an_error() -> None:
    """An error says where in the archive it is."""
    with pytest.raises(FormatError) as caught:
        decode_header(bytes.fromhex("01 05 01 19 01 01 00 00"), 1000, Limits())
    assert caught.value.offset == 1004


@pytest.mark.parametrize(
    ("moment", "ticks"),
    [
        (datetime(1601, 1, 1, tzinfo=UTC), 0),
        (datetime(1, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, tzinfo=UTC), 116_444_736_000_000_000),
        (datetime(2024, 2, 29, 1, 2, 3, 456_789, tzinfo=UTC), 133_536_421_234_567_890),
    ],
)
def test_time(moment: datetime, ticks: int) -> None:
    """Times are 100 ns since 1601, which is also the earliest."""
    assert files.encode_time(moment) == ticks
    assert files.decode_time(ticks) == max(moment, datetime(1601, 1, 1, tzinfo=UTC))


@given(u64)
def test_any_time(ticks: int) -> None:
    """Every FILETIME is a time; one past the year 9999 is its last second."""
    assert files.decode_time(ticks).utcoffset() == timedelta(0)


def test_attributes() -> None:
    """The Unix mode stands in the high half, with p7zip's mark, beside what Windows needs."""
    assert files.encode_attributes(stat.S_IFREG | 0o600) == 0o100600 << 16 | 0x8000 | 0x20
    assert files.encode_attributes(stat.S_IFDIR | 0o700) == 0o040700 << 16 | 0x8000 | 0x10
    assert File("a", attributes=0o100644 << 16 | 0x8020).mode == 0o100644
    assert File("a", attributes=0x20).mode is None
    assert File("a").mode is None
