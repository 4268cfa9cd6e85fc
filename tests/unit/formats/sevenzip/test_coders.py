"""The coders by themselves: where pieces are cut, what a filter keeps from one piece to the next, and when they end."""

from __future__ import annotations

import lzma
import random
from collections.abc import Iterator

import pytest

from strongroom.errors import FormatError, LimitError, StrongroomError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import coders, crypto, lzma2, spec
from strongroom.formats.sevenzip.streams import Coder, Folder
from strongroom.limits import MIB, Limits
from tests.helpers import noise, text

FILTERS = {
    "03030103": lzma.FILTER_X86,
    "03030205": lzma.FILTER_POWERPC,
    "03030401": lzma.FILTER_IA64,
    "03030501": lzma.FILTER_ARM,
    "03030701": lzma.FILTER_ARMTHUMB,
    "03030805": lzma.FILTER_SPARC,
}


def no_key(_: crypto.AesProperties) -> crypto.Key:
    """Stand in where nothing is encrypted."""
    raise AssertionError


def cut(data: bytes, step: int) -> Iterator[memoryview]:
    """Give data in pieces, in one buffer that is used again, as pieces are valid until the next only."""
    buffer = bytearray(step)
    for start in range(0, len(data), step):
        part = data[start : start + step]
        buffer[: len(part)] = part
        yield memoryview(buffer)[: len(part)]


def unpack(
    method: str, data: bytes, size: int, *, properties: bytes = b"", step: int = CHUNK, threads: int = 1
) -> bytes:
    """Run one coder."""
    folder = Folder((Coder(bytes.fromhex(method), properties),), (), (0,), (size,))
    tools = coders.Tools(Limits(), threads, no_key)
    out = b""
    for piece in coders.unpack(folder, [cut(data, step)], tools):
        assert 0 < len(piece) <= CHUNK
        out += piece
    return out


def lzma2_blocks(blocks: list[bytes], dictionary: int = 1 << 16) -> bytes:
    """Compress blocks that need nothing of each other."""
    chain = [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary}]
    return b"".join(lzma.compress(block, lzma.FORMAT_RAW, filters=chain)[:-1] for block in blocks) + b"\0"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("step", [1, 1000, CHUNK])
def test_lzma2_in_blocks(step: int, threads: int) -> None:
    """Blocks short and long, compressed and not, come out in order, wherever the packed data is cut."""
    blocks = [text(3000), noise(70_000), b"x", text(MIB, 1), text(1, 2), noise(5), text(2 * MIB, 3)]
    if step == 1:
        blocks = blocks[:3]
    data = lzma2_blocks(blocks)
    assert unpack("21", data, sum(map(len, blocks)), properties=b"\x08", step=step, threads=threads) == b"".join(blocks)


def test_lzma2_long_blocks() -> None:
    """A block too long to be held is decoded as it comes, between others that are not."""
    blocks = [text(2 * MIB), bytes(18 * MIB) + text(MIB, 1), text(2 * MIB, 2)]
    data = lzma2_blocks(blocks, 1 << 20)
    assert unpack("21", data, sum(map(len, blocks)), properties=b"\x10", threads=2) == b"".join(blocks)


def test_lzma2_is_decoded_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a chunk or more gets a decoder of its own, with no larger a window than it needs."""
    windows: list[int] = []
    original = lzma2._decoder

    def counted(dictionary: int, size: int) -> object:
        windows.append(size)
        return original(dictionary, size)

    monkeypatch.setattr(lzma2, "_decoder", counted)
    blocks = [text(CHUNK, seed) for seed in range(4)]
    unpack("21", lzma2_blocks(blocks), 4 * CHUNK, properties=b"\x28", threads=2)
    assert windows == [CHUNK] * 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\1\0",
        b"\1\0\0",
        b"\2\0\0x\0",
        b"\3\0\0x\0",
        b"\x7f",
        b"\xe0\0\0\0\0",
        b"\1\0\0xx",
        b"\1\0\0x\0\0",
        b"\0",
    ],
    ids=bytes.hex,
)
def test_lzma2_damage(data: bytes) -> None:
    """What is cut off, continues nothing, or goes on behind the end is refused."""
    with pytest.raises(FormatError):
        unpack("21", data, 1, properties=b"\x08")
    assert unpack("21", b"\1\0\0x\0", 1, properties=b"\x08") == b"x"


def test_lzma2_of_nothing() -> None:
    """An empty stream is empty with and without its end mark."""
    assert unpack("21", b"\0", 0, properties=b"\x08") == unpack("21", b"", 0, properties=b"\x08") == b""


@pytest.mark.parametrize("bits", range(41))
def test_dictionary_sizes(bits: int) -> None:
    """The sizes are those of liblzma, and no larger window is made than the data needs."""
    expected = lzma._decode_filter_properties(lzma.FILTER_LZMA2, bytes((bits,)))  # type: ignore[attr-defined]
    assert lzma2.dictionary_size(bytes((bits,))) == expected["dict_size"]
    assert unpack("21", b"\1\0\0x\0", 1, properties=bytes((bits,))) == b"x"


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 15, 16, 17, 65535, 65536, 65537, 200_003])
@pytest.mark.parametrize("start", [0, 0x1000])
def test_branch_filters(method: str, size: int, start: int) -> None:
    """Each filter gives back what liblzma's own encoder made of the bytes, of any size, in pieces of any size."""
    code = random.Random(size).choices(b"\xe8\xe9\x0f\x85\xeb\x40\x48\x00\xff\xf0\xf8", k=size)
    plain = bytes(code)
    option = {"start_offset": start} if start else {}
    chain = [{"id": FILTERS[method], **option}, {"id": lzma.FILTER_LZMA2, "preset": 0}]
    packed = lzma.compress(plain, lzma.FORMAT_RAW, filters=chain)
    filtered = lzma.decompress(packed, lzma.FORMAT_RAW, filters=chain[1:])
    properties = start.to_bytes(4, "little") if start else b""
    for step in (7, 65536, CHUNK) if size < 1000 else (65536, 70_001):
        assert unpack(method, filtered, size, properties=properties, step=step) == plain


def test_newer_ids_are_the_same_filters() -> None:
    """IDs 04 to 09 are what XZ calls the filters."""
    for method, code in FILTERS.items():
        assert coders.METHODS[bytes((code,))] is coders.METHODS[bytes.fromhex(method)]


@pytest.mark.parametrize("distance", [1, 2, 4, 256])
def test_delta(distance: int) -> None:
    """Differences are summed up across pieces."""
    plain = noise(1000)
    delta = bytes((byte - (plain[i - distance] if i >= distance else 0)) & 0xFF for i, byte in enumerate(plain))
    for step in (1, 13, 1000):
        assert unpack("03", delta, 1000, properties=bytes((distance - 1,)), step=step) == plain


@pytest.mark.parametrize("step", [1, 3, 4, 4096])
def test_arm64(step: int) -> None:
    """Branches become relative again, near pages too; far pages, and what is no whole word, stay as they are."""
    words = [0x94000010, 0x9000000A, 0x90200000, 0x14000001, 0x97FFFFFF, 0xB0000001, 0xD503201F]
    data = b"".join(word.to_bytes(4, "little") for word in words) + b"\x94\x94"
    found = unpack("0a", data, len(data), properties=(0x2000).to_bytes(4, "little"), step=step)
    expected = [
        0x97FFF810,  # 0x10 words ahead, less the address in words
        0xD0FFFFEA,  # two pages less than 0
        0x90200000,
        0x14000001,
        0x97FFF7FB,
        0xF0FFFFE1,  # the page of 1, less two
        0xD503201F,
    ]
    assert found == b"".join(word.to_bytes(4, "little") for word in expected) + b"\x94\x94"


def test_bcj2_ends_early() -> None:
    """Streams that end before the bits, or the targets, that they must have are damage."""
    folder = Folder((Coder(bytes.fromhex("0303011b"), b"", 4),), (), (0, 1, 2, 3), (10,))
    for streams in (
        [b"\xe8" * 10, b"", b"", b""],
        [b"\xe8" * 10, b"", b"", b"\0\xff\xff\xff\xff\xff"],
        [b"x"] + [b""] * 3,
    ):
        packs = [cut(data, 4) for data in streams]
        with pytest.raises(FormatError):
            list(coders.unpack(folder, packs, coders.Tools(Limits(), 1, no_key)))


@pytest.mark.parametrize("order", [0, 1, 2, 64, 65])
def test_ppmd_bounds(order: int) -> None:
    """Order and memory are held against what the library takes, and `Limits`, before it starts."""
    for memory in (0, 1 << 10, 1 << 30):
        with pytest.raises(LimitError if memory > MIB and order in range(2, 65) else FormatError):
            unpack("030401", b"data", 4, properties=bytes((order,)) + memory.to_bytes(4, "little"))


@pytest.mark.parametrize("method", ["030101", "21", "030401", "040202", "040108", "040109", "04f71101", "0303011b"])
def test_noise(method: str) -> None:
    """Data that is none gives a `StrongroomError`, whatever the library behind a method thinks of it."""
    properties = {"030101": b"\x5d\0\0\1\0", "21": b"\x08", "030401": b"\6\0\0\1\0"}.get(method, b"")
    inputs = coders.METHODS[bytes.fromhex(method)].inputs
    folder = Folder((Coder(bytes.fromhex(method), properties, inputs),), (), tuple(range(inputs)), (10_000,))
    for seed in range(5 if method in ("030401", "040109") else 100):
        packs = [cut(noise(300, seed), 64) for _ in range(inputs)]
        try:
            found = b"".join(map(bytes, coders.unpack(folder, packs, coders.Tools(Limits(), 1, no_key))))
        except StrongroomError:
            continue
        assert len(found) == 10_000  # PPMd makes something of anything; the CRC tells


def test_names_are_the_table_s() -> None:
    """What `create` writes and the reader reads are the same words."""
    assert coders.METHODS[spec.LZMA2].name == coders.METHODS[spec.LZMA].name == "lzma"
