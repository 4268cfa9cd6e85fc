from __future__ import annotations

import bz2
import importlib
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator

import pytest

from strongroom import FormatError, LimitError, Limits
from strongroom.compression import BY_ZIP_METHOD, CODECS, Codec, Request, check_level, decode, encoder_for
from strongroom.flow import CHUNK
from tests.helpers import noise, text

WRITTEN = [codec for codec in CODECS.values() if codec.encoder]
SIZES = [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 12345]


def encode(codec: Codec, data: bytes, level: int | None = None) -> bytes:
    """Pack data chunk by chunk."""
    encoder = encoder_for(codec, level)
    assert encoder is not None
    view = memoryview(data)
    pieces = [encoder.update(view[start : start + CHUNK]) for start in range(0, len(data), CHUNK)]
    return b"".join(pieces) + encoder.finish()


def unpack(codec: Codec, packed: bytes, size: int, step: int = CHUNK, **options: object) -> bytes:
    """Unpack data that arrives in steps."""
    view = memoryview(packed)
    request = Request(size=size, limits=Limits(), **options)  # type: ignore[arg-type]
    found = []
    for piece in decode(codec, request, (view[start : start + step] for start in range(0, len(packed), step))):
        assert 0 < len(piece) <= CHUNK
        found.append(bytes(piece))
    return b"".join(found)


def ids(value: object) -> str | None:
    """Name a codec in the names of tests."""
    return value.name if isinstance(value, Codec) else None


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [text, noise])
def test_round_trip(codec: Codec, size: int, make: Callable[[int], bytes]) -> None:
    """Data of any size comes back, whether it was made of chunks or at once, and however it arrives."""
    data = make(size)
    packed = encode(codec, data)
    assert unpack(codec, packed, size) == data
    assert unpack(codec, packed, size, 65_521) == data
    encoder = encoder_for(codec, None)
    assert encoder is not None
    whole = encoder.whole(memoryview(data[:CHUNK]))
    assert unpack(codec, whole, min(size, CHUNK)) == data[:CHUNK]


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
def test_byte_by_byte(codec: Codec) -> None:
    """Packed data that arrives byte by byte gives the same as at once."""
    data = text(5000)
    assert unpack(codec, encode(codec, data), len(data), 1) == data


@pytest.mark.parametrize(("codec", "level"), [(codec, level) for codec in WRITTEN for level in codec.levels], ids=ids)
def test_every_level(codec: Codec, level: int) -> None:
    """Every level that the table names works, and shortens text."""
    data = text(20_000)
    check_level(codec, level)
    packed = encode(codec, data, level)
    assert len(packed) < len(data) / 2
    assert unpack(codec, packed, len(data)) == data


@pytest.mark.parametrize("codec", CODECS.values(), ids=ids)
def test_levels_end(codec: Codec) -> None:
    """A level beyond those of the table is a ValueError; None is always right."""
    check_level(codec, None)
    for level in (codec.levels[0] - 1, codec.levels[-1] + 1, "5", 1.5):
        with pytest.raises(ValueError):
            check_level(codec, level)  # type: ignore[arg-type]


def test_default_levels_are_levels() -> None:
    """The table's defaults are within its own ranges, and its numbers are those of ZIP's specification."""
    assert all(codec.default_level in codec.levels for codec in CODECS.values())
    numbers = {codec.name: number for number, codec in BY_ZIP_METHOD.items()}
    assert numbers == {
        "store": 0,
        "deflate": 8,
        "deflate64": 9,
        "bzip2": 12,
        "lzma": 14,
        "zstd": 93,
        "xz": 95,
        "ppmd": 98,
    }


def test_others_read_what_we_write() -> None:
    """The standard library's own decoders agree."""
    data = text(2 * CHUNK + 99)
    assert zlib.decompress(encode(CODECS["deflate"], data), -15) == data
    assert bz2.decompress(encode(CODECS["bzip2"], data)) == data
    assert lzma.decompress(encode(CODECS["xz"], data), lzma.FORMAT_XZ) == data
    packed = encode(CODECS["lzma"], data)
    assert packed[:4] == b"\x09\x04\x05\x00"
    filters = [lzma._decode_filter_properties(lzma.FILTER_LZMA1, packed[4:9])]  # type: ignore[attr-defined]
    assert lzma.decompress(packed[9:], lzma.FORMAT_RAW, filters=filters) == data


def test_deflate_blocks_stand_alone() -> None:
    """Chunks packed in any order, side by side, join to the same stream."""
    data = text(3 * CHUNK)
    encoder = encoder_for(CODECS["deflate"], None)
    assert encoder is not None
    assert encoder.parallel
    parts = {start: encoder.update(memoryview(data)[start : start + CHUNK]) for start in (2 * CHUNK, 0, CHUNK)}
    packed = b"".join(parts[start] for start in sorted(parts)) + encoder.finish()
    assert unpack(CODECS["deflate"], packed, len(data)) == data
    assert packed == encode(CODECS["deflate"], data)


# Damage


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
@pytest.mark.parametrize("size", [1, 5000, CHUNK + 5])
def test_wrong_sizes(codec: Codec, size: int) -> None:
    """Data that is longer or shorter than declared, if only by a byte, is a FormatError."""
    packed = encode(codec, text(size))
    for declared in (size - 1, size + 1):
        given: list[int] = []
        pieces = decode(codec, Request(size=declared, limits=Limits()), [memoryview(packed)])
        with pytest.raises(FormatError):
            given.extend(map(len, pieces))
        assert sum(given) <= declared


@pytest.mark.parametrize("codec", CODECS.values(), ids=ids)
def test_nothing_is_not_something(codec: Codec) -> None:
    """No bytes at all are an empty entry, and not one with content."""
    assert unpack(codec, b"", 0) == b""
    with pytest.raises(FormatError):
        unpack(codec, b"", 1)


@pytest.mark.parametrize("size", [4, 6])
def test_stored_sizes(size: int) -> None:
    """Stored data has exactly the declared size."""
    assert unpack(CODECS["store"], b"12345", 5) == b"12345"
    with pytest.raises(FormatError):
        unpack(CODECS["store"], b"12345", size)


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
def test_every_cut(codec: Codec) -> None:
    """Wherever packed data is cut off, also in its end mark, it is a FormatError."""
    data = text(300)
    packed = encode(codec, data)
    for length in range(1, len(packed)):
        with pytest.raises(FormatError):
            unpack(codec, packed[:length], len(data))


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
@pytest.mark.parametrize("tail", [b"\x00", b"tail of no meaning"])
def test_bytes_behind_the_end(codec: Codec, tail: bytes) -> None:
    """Bytes behind the end mark, in the same piece or the next, are a FormatError."""
    data = text(300)
    packed = encode(codec, data)
    for step in (CHUNK, len(packed)):
        with pytest.raises(FormatError):
            unpack(codec, packed + tail, len(data), step)


@pytest.mark.parametrize("codec", [*WRITTEN, CODECS["deflate64"], CODECS["ppmd"]], ids=ids)
def test_every_flip(codec: Codec) -> None:
    """Whatever byte is changed, the result is data of the declared size or an error of ours, and no other."""
    data = text(200)
    packed = encode(codec, data) if codec.encoder else bytes(range(1, 120))
    for position in range(len(packed)):
        for flip in (1, 0x80, 0xFF):
            changed = bytearray(packed)
            changed[position] ^= flip
            try:
                found = unpack(codec, bytes(changed), len(data))
            except (FormatError, LimitError):
                continue
            assert len(found) == len(data)


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
def test_noise(codec: Codec) -> None:
    """Bytes that are no packed data at all are a FormatError."""
    for seed in range(20):
        with pytest.raises((FormatError, LimitError)):
            unpack(codec, noise(5000, seed), 10_000)


@pytest.mark.parametrize("codec", WRITTEN, ids=ids)
def test_a_bomb_costs_its_declared_size(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decoder is asked for more than one byte past the declared size."""
    packed = encode(codec, bytes(20 * CHUNK))
    asked: list[int] = []
    given: list[int] = []
    real = codec.decoder

    class Counting:
        def __init__(self, request: Request) -> None:
            assert real is not None
            self._decoder = real(request)

        def __getattr__(self, name: str) -> object:
            return getattr(self._decoder, name)

        def decompress(self, data: bytes, length: int) -> bytes:
            asked.append(length)
            out = self._decoder.decompress(data, length)
            given.append(len(out))
            return out

    counting = codec._replace(decoder=Counting)  # type: ignore[arg-type]  # the rest is by __getattr__
    with pytest.raises(FormatError):
        unpack(counting, packed, 3 * CHUNK)
    assert sum(given) <= 3 * CHUNK + 1
    assert all(0 < length <= CHUNK for length in asked)


def test_frames() -> None:
    """Zstandard frames may follow each other, also an empty one, and nothing else may."""
    codec = CODECS["zstd"]
    parts = [text(1000), b"", text(70_000, 1), text(5, 2)]
    packed = b"".join(encode(codec, part) for part in parts)
    data = b"".join(parts)
    for step in (CHUNK, 7):
        assert unpack(codec, packed, len(data), step) == data
    with pytest.raises(FormatError):
        unpack(codec, packed + b"tail", len(data))
    with pytest.raises(FormatError):
        unpack(CODECS["xz"], encode(CODECS["xz"], b"a") * 2, 2)


# What other writers do


def lzma_stream(data: bytes, dictionary: int, *, end_mark: bool) -> bytes:
    """LZMA data as ZIP has it, with another dictionary than ours."""
    chain = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "preset": 1}
    alone = lzma.compress(data, lzma.FORMAT_ALONE, filters=[chain])  # liblzma always writes an end mark
    assert end_mark
    return b"\x09\x14\x05\x00" + alone[:5] + alone[13:]


def test_lzma_dictionary_is_bounded() -> None:
    """A header may name a dictionary of 4 GiB: no more is taken than the entry's size, and the limit holds."""
    data = text(10_000)
    packed = bytearray(lzma_stream(data, 1 << 20, end_mark=True))
    packed[5:9] = b"\xff" * 4
    assert unpack(CODECS["lzma"], bytes(packed), len(data)) == data
    limits = Limits(dictionary=1 << 16)
    with pytest.raises(LimitError):
        list(decode(CODECS["lzma"], Request(size=1 << 30, limits=limits), [memoryview(packed)]))


def test_xz_and_zstd_windows_are_bounded() -> None:
    """A stream that asks for a larger window than the limit is an error before it is allocated."""
    limits = Limits(dictionary=1 << 20)
    packed = lzma.compress(bytes(100), filters=[{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}])
    with pytest.raises((LimitError, FormatError)):
        list(decode(CODECS["xz"], Request(size=100, limits=limits), [memoryview(packed)]))
    # Magic, a frame header with a window of 2^31 bytes, and an empty raw block (RFC 8878, 3.1.1).
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises((LimitError, FormatError)):
        list(decode(CODECS["zstd"], Request(size=1, limits=limits), [memoryview(frame)]))


def test_deflate_bomb_of_deflate64() -> None:
    """Deflate64, whose library has no bound of its own, gives pieces of at most a chunk."""
    import inflate64

    data = bytes(30 * CHUNK)
    deflater = inflate64.Deflater()
    packed = deflater.deflate(data) + deflater.flush()

    def chunks() -> Iterator[memoryview]:
        yield memoryview(packed)

    request = Request(size=len(data), limits=Limits())
    total = 0
    for piece in decode(CODECS["deflate64"], request, chunks()):
        assert len(piece) <= CHUNK
        total += len(piece)
    assert total == len(data)


def test_many_empty_frames() -> None:
    """Frames that give nothing are bounded in number, and so in the time that they cost."""
    zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    few, many = zstd.compress(b"x") + zstd.compress(b"") * 500, zstd.compress(b"x") + zstd.compress(b"") * 5000
    request = Request(size=1, limits=Limits())
    assert b"".join(decode(CODECS["zstd"], request, [memoryview(few)])) == b"x"
    with pytest.raises(LimitError):
        list(decode(CODECS["zstd"], request, [memoryview(many)]))
