"""The compression methods: one table, `CODECS`, from a name to an encoder, a decoder and the number that ZIP gives it.

Encoders and decoders are small objects of one shape each; the libraries behind them load when they are first used.
"""

from __future__ import annotations

import struct
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from strongroom.errors import FormatError, LimitError, UnsupportedError
from strongroom.flow import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from strongroom.limits import Limits

_WORTH_A_LIBRARY: Final = 1 << 16  # bytes, of a CRC-32
_RAW_DEFLATE: Final = -15  # zlib's sign for "no header", with the 32 KiB window that the format has
_LZMA_PROPERTIES: Final = struct.Struct("<BI")
_ALONE_HEADER: Final = struct.Struct("<BIq")  # of an .lzma file (liblzma's lzma-file-format.txt)
_LZMA_HEADER: Final = struct.Struct("<BBH")
_LZMA_DICTIONARIES: Final = tuple(size << 18 for size in (1, 4, 8, 16, 16, 32, 32, 64, 128, 256))  # as xz has them
_BITE: Final = 1 << 15
_MANY_FRAMES, _SMALL_FRAME = 1024, 1024  # a frame costs 10 us even where it is empty; real ones have 64 KiB or more
_MIN_DICTIONARY: Final = 1 << 12  # liblzma's smallest
_MAX_MEMORY: Final = 1 << 62  # what its 64 bits take
_PPMD_HEADER: Final = struct.Struct("<H")
_TOO_MUCH_MEMORY: Final = ("Memory usage limit exceeded", "Frame requires too much memory for decoding")
"""How liblzma and libzstd refuse a window above the bound that they were given; they have no class or code for it."""


class Encoder(Protocol):
    """Compresses the chunks of one entry. Where `parallel` is true, `update` may be called on chunks side by side."""

    parallel: bool

    def update(self, data: memoryview) -> bytes:
        """Compress one chunk; what comes out may lag behind."""
        ...

    def finish(self) -> bytes:
        """Give what is left, and the end mark."""
        ...

    def whole(self, data: memoryview) -> bytes:
        """Compress an entry that is one chunk."""
        ...


class Decoder(Protocol):
    """Decompresses one entry; the shape of the standard library's decompressors."""

    @property
    def eof(self) -> bool: ...  # noqa: D102
    @property
    def needs_input(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...  # noqa: D102


class Request(NamedTuple):
    """What a decoder is made for: the size that the entry must come to, in bytes, and the bounds that hold.

    `end_mark` is False where only the size ends the data, which LZMA leaves to the writer.
    """

    size: int
    limits: Limits
    end_mark: bool = True


class Codec(NamedTuple):
    """A compression method. `encoder` takes a level; None where we only read.

    `apart` is what takes the place of a decoder where that runs in a process of its own.
    """

    name: str
    zip_method: int
    decoder: Callable[[Request], Decoder] | None
    encoder: Callable[[int], Encoder] | None = None
    levels: range = range(1)
    default_level: int = 0
    apart: Callable[[Request, Iterable[memoryview]], Iterator[memoryview]] | None = None
    frames: bool = False  # several compressed frames may follow each other


def encoder_for(codec: Codec, level: int | None) -> Encoder | None:
    """Make an encoder, or None for `store`."""
    if codec.encoder is None:
        return None
    return codec.encoder(codec.default_level if level is None else level)


def check_level(codec: Codec, level: int | None) -> None:
    """Raise `ValueError` for a level that the method does not have."""
    if level is not None and level not in codec.levels:
        span = f"{codec.levels[0]} to {codec.levels[-1]}" if len(codec.levels) > 1 else "none"
        message = f"{codec.name} has no level {level!r} (levels: {span})"
        raise ValueError(message)


def decode(codec: Codec, request: Request, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Decompress `chunks` into pieces of at most `CHUNK` bytes, exactly `request.size` bytes in all.

    Never asks a decoder for more than one byte past the declared size, so a bomb costs its declared size at most.
    Raises `FormatError` where the data is damaged, or longer or shorter than declared.
    """
    if codec.apart is not None:
        yield from codec.apart(request, chunks)
        return
    if codec.decoder is None:
        yield from _stored(request.size, chunks)
        return
    decoder = codec.decoder(request)
    left = request.size
    ended = not left  # nothing at all is an empty entry
    frames = 1
    for chunk in _bites(chunks) if codec.frames else chunks:
        data: memoryview | bytes = chunk
        while True:
            if decoder.eof:
                if not codec.frames:
                    message = f"bytes follow the end of the {codec.name} data"
                    raise FormatError(message)
                frames += 1
                if frames > _MANY_FRAMES + request.size // _SMALL_FRAME:
                    message = f"the {codec.name} data is {frames} frames or more, for {request.size} bytes"
                    raise LimitError(message)
                decoder = codec.decoder(request)
            out = _decompress(codec, decoder, data, min(CHUNK, left or 1))
            left -= len(out)
            if left < 0:
                message = f"the {codec.name} data is longer than the {request.size} bytes that its header declares"
                raise FormatError(message)
            if out:
                yield memoryview(out)
            ended = decoder.eof
            data = decoder.unused_data if decoder.eof else b""
            if not data and (decoder.eof or decoder.needs_input or not out):
                break
    if left or not ended:
        message = f"the {codec.name} data ends early: {left} bytes of {request.size} are missing, or its end mark"
        raise FormatError(message)


def _bites(chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Cut chunks up: where a frame ends, a decoder copies all that it was given and has not used."""
    for chunk in chunks:
        for start in range(0, len(chunk), _BITE):
            yield chunk[start : start + _BITE]


def _stored(size: int, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    left = size
    for chunk in chunks:
        left -= len(chunk)
        yield chunk
    if left:
        message = f"the stored data is not the {size} bytes that its header declares"
        raise FormatError(message)


def _decompress(codec: Codec, decoder: Decoder, data: memoryview | bytes, length: int) -> bytes:
    try:
        return decoder.decompress(data, length)
    except (FormatError, LimitError, UnsupportedError):
        raise
    except Exception as error:  # noqa: BLE001 - each library has error classes of its own, some of them plain Exception
        if str(error).endswith(_TOO_MUCH_MEMORY):
            message = f"the {codec.name} decoder needs more memory than the dictionary limit allows"
            raise LimitError(message) from None
        message = f"the {codec.name} data is damaged ({type(error).__name__})"
        raise FormatError(message) from None


# Deflate (RFC 1951)


class _Deflate:
    """Blocks that stand alone, and so can be made side by side, joined by empty stored blocks (RFC 1951, 3.2.4)."""

    parallel = True

    def __init__(self, level: int) -> None:
        self._level = level
        if level <= 3:  # noqa: PLR2004 - ISA-L's highest
            from isal import isal_zlib  # noqa: PLC0415

            self._library: Any = isal_zlib
        else:
            self._library = zlib

    def update(self, data: memoryview) -> bytes:
        stream = self._library.compressobj(self._level, zlib.DEFLATED, _RAW_DEFLATE)
        return cast("bytes", stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> bytes:
        return b"\x03\x00"  # a last block with fixed codes that holds only its end mark

    def whole(self, data: memoryview) -> bytes:
        stream = self._library.compressobj(self._level, zlib.DEFLATED, _RAW_DEFLATE)
        return cast("bytes", stream.compress(data) + stream.flush(zlib.Z_FINISH))


def _inflate(request: Request) -> Decoder:  # noqa: ARG001
    from isal import igzip_lib  # noqa: PLC0415

    return cast("Decoder", igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE))


def crc32(data: memoryview, before: int = 0) -> int:
    """Return the CRC-32 of `data`, which follows what has the CRC-32 `before`. RFC 1952, 8; APPNOTE 4.4.7."""
    if len(data) < _WORTH_A_LIBRARY:
        return zlib.crc32(data, before)
    from isal import isal_zlib  # noqa: PLC0415 - for large data; ten times as fast

    library: Any = isal_zlib
    crc: int = library.crc32(data, before)
    return crc


# Zstandard (RFC 8878)


class _Zstd:
    """Frames that stand alone, so that they can be made side by side; a file is any number of them (RFC 8878, 3)."""

    parallel = True

    def __init__(self, level: int) -> None:
        self._library = _zstd()
        parameter = self._library.CompressionParameter
        self._options = {parameter.compression_level: level}
        if level == 1:  # for blocks of a MiB libzstd has 14 and 7, which make CSV 4% larger, and are not faster
            self._options |= {parameter.hash_log: 15, parameter.min_match: 5}

    def update(self, data: memoryview) -> bytes:
        return cast("bytes", self._library.compress(data, options=self._options))

    def finish(self) -> bytes:
        return b""

    def whole(self, data: memoryview) -> bytes:
        return self.update(data)


def _zstd_decoder(request: Request) -> Decoder:
    zstd = _zstd()
    low, high = zstd.DecompressionParameter.window_log_max.bounds()
    window = min(max(request.limits.dictionary.bit_length() - 1, low), high)
    return cast("Decoder", zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window}))


def _zstd() -> Any:  # noqa: ANN401 - one of two modules
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError:
        from backports import zstd  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - with backports.tarfile
    return cast("Any", zstd)


# The compressors of one thread: LZMA, XZ, BZip2


class _Serial:
    """A compressor of the standard library, behind a header."""

    parallel = False

    def __init__(self, compressor: Any, header: bytes = b"") -> None:  # noqa: ANN401 - four classes without a common type
        self._compressor = compressor
        self._header = header

    def update(self, data: memoryview) -> bytes:
        header, self._header = self._header, b""
        return cast("bytes", header + self._compressor.compress(data))

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return cast("bytes", header + self._compressor.flush())

    def whole(self, data: memoryview) -> bytes:
        return self.update(data) + self.finish()


def _lzma_encoder(level: int) -> Encoder:
    """LZMA in ZIP: version, size of properties, properties, raw data (APPNOTE 5.8.8)."""
    import lzma  # noqa: PLC0415

    dictionary = _LZMA_DICTIONARIES[level]
    chain: dict[str, int] = {
        "id": lzma.FILTER_LZMA1,
        "preset": level,
        "dict_size": dictionary,
        "lc": 3,
        "lp": 0,
        "pb": 2,
    }
    properties = _LZMA_PROPERTIES.pack((2 * 5 + 0) * 9 + 3, dictionary)
    header = _LZMA_HEADER.pack(9, 4, len(properties)) + properties  # 9.4, the version that zipfile and 7-Zip name
    return _Serial(lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[chain]), header)


class _ZipLzmaDecoder:
    """LZMA in ZIP (APPNOTE 5.8.8)."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._header = b""
        self._decoder: Decoder | None = None

    @property
    def eof(self) -> bool:
        return self._decoder is not None and self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return self._decoder is None or self._decoder.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data if self._decoder else b""

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        if self._decoder is None:
            wanted = _LZMA_HEADER.size + _LZMA_PROPERTIES.size - len(self._header)
            self._header += bytes(data[:wanted])
            data = data[wanted:]
            if len(self._header) < _LZMA_HEADER.size + _LZMA_PROPERTIES.size:
                return b""
            self._decoder = self._open()
        return self._decoder.decompress(data, max_length)

    def _open(self) -> Decoder:
        _, _, size = _LZMA_HEADER.unpack_from(self._header)
        if size != _LZMA_PROPERTIES.size:
            message = f"LZMA properties are {size} bytes, expected {_LZMA_PROPERTIES.size}"
            raise FormatError(message, spec="APPNOTE 5.8.8")
        return open_lzma(self._header[_LZMA_HEADER.size :], self._request)


def open_lzma(properties: bytes, request: Request) -> Decoder:
    """Return the decoder of the raw data behind LZMA's `properties`. The window never needs to exceed the entry.

    It decodes as an .lzma file, whose header has the size or asks for an end mark: so liblzma checks the end.
    """
    import lzma  # noqa: PLC0415

    if len(properties) != _LZMA_PROPERTIES.size:
        message = f"LZMA properties are {len(properties)} bytes, expected {_LZMA_PROPERTIES.size}"
        raise FormatError(message)
    packed, dictionary = _LZMA_PROPERTIES.unpack(properties)
    dictionary = max(min(dictionary, request.size), _MIN_DICTIONARY)
    check_dictionary(dictionary, request.limits)
    decoder = cast("Decoder", lzma.LZMADecompressor(lzma.FORMAT_ALONE))
    size = -1 if request.end_mark else request.size
    try:
        decoder.decompress(_ALONE_HEADER.pack(packed, dictionary, size), 0)
    except lzma.LZMAError:
        message = f"the LZMA properties 0x{packed:02x} are out of range"
        raise FormatError(message) from None
    return decoder


def check_dictionary(size: int, limits: Limits) -> None:
    """Raise `LimitError` for a window, or the memory of PPMd, above the limit."""
    if size > limits.dictionary:
        message = f"the decoder needs a dictionary of {size} bytes, above the dictionary limit of {limits.dictionary}"
        raise LimitError(message)


def _xz_encoder(level: int) -> Encoder:
    import lzma  # noqa: PLC0415

    return _Serial(lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, preset=level))


def _xz_decoder(request: Request) -> Decoder:
    import lzma  # noqa: PLC0415

    # liblzma refuses, instead of allocating, what needs more; 1 MiB is for its own tables.
    most = min(request.limits.dictionary, _MAX_MEMORY) + CHUNK
    return cast("Decoder", lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=most))


def _bzip2_encoder(level: int) -> Encoder:
    import bz2  # noqa: PLC0415

    return _Serial(bz2.BZ2Compressor(level))


def _bzip2_decoder(request: Request) -> Decoder:  # noqa: ARG001
    import bz2  # noqa: PLC0415

    return cast("Decoder", bz2.BZ2Decompressor())


# Read only: Deflate64 and PPMd, of the extra "codecs", whose libraries hostile data can crash


def _deflate64(request: Request, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Deflate64 (APPNOTE 4.4.5, method 9)."""
    from strongroom.isolated import Job, decode_apart  # noqa: PLC0415

    return decode_apart("deflate64", Job(size=request.size), chunks)


def _ppmd(request: Request, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """PPMd variant I, revision 1, behind two bytes of order, memory and restoration method (APPNOTE 5.10)."""
    from strongroom.isolated import Job, decode_apart  # noqa: PLC0415

    source = iter(chunks)
    head, rest = b"", memoryview(b"")
    while len(head) < _PPMD_HEADER.size:
        chunk = next(source, None)
        if chunk is None:
            job = Job(size=request.size or len(head))  # half a header is not the empty entry that nothing at all is
            return decode_apart("ppmd", job, ())
        wanted = _PPMD_HEADER.size - len(head)
        head, rest = head + bytes(chunk[:wanted]), chunk[wanted:]
    (packed,) = _PPMD_HEADER.unpack(head)
    order, memory, restore = (packed & 0xF) + 1, ((packed >> 4 & 0xFF) + 1) << 20, packed >> 12
    if order < 2 or restore > 1:  # noqa: PLR2004
        message = "PPMd order or restoration method is out of range"
        raise FormatError(message, spec="APPNOTE 5.10")
    check_dictionary(memory, request.limits)
    job = Job(size=request.size, memory=memory, order=order, restore=restore)
    return decode_apart("ppmd", job, chain((rest,), source))


_TABLE: Final = (
    Codec(name="store", zip_method=0, decoder=None),
    Codec(name="deflate", zip_method=8, decoder=_inflate, encoder=_Deflate, levels=range(1, 10), default_level=2),
    Codec(name="deflate64", zip_method=9, decoder=None, apart=_deflate64),
    Codec(
        name="bzip2",
        zip_method=12,
        decoder=_bzip2_decoder,
        encoder=_bzip2_encoder,
        levels=range(1, 10),
        default_level=9,
    ),
    Codec(
        name="lzma",
        zip_method=14,
        decoder=_ZipLzmaDecoder,
        encoder=_lzma_encoder,
        levels=range(10),
        default_level=1,
    ),
    Codec(
        name="zstd",
        zip_method=93,
        decoder=_zstd_decoder,
        encoder=_Zstd,
        levels=range(1, 23),
        default_level=1,
        frames=True,
    ),
    Codec(name="xz", zip_method=95, decoder=_xz_decoder, encoder=_xz_encoder, levels=range(10), default_level=1),
    Codec(name="ppmd", zip_method=98, decoder=None, apart=_ppmd),
)

CODECS: Final = {codec.name: codec for codec in _TABLE}
BY_ZIP_METHOD: Final = {codec.zip_method: codec for codec in _TABLE}
