"""LZMA2, decoded side by side: it splits wherever a chunk starts without the dictionary of those before it.

"LZMA2" is liblzma's own description, in lzma2_decoder.c and lzma2_encoder.h of XZ Utils 5.4: there is no other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from strongroom.errors import FormatError, LimitError
from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_END, _FRESH, _CONTINUED = 0x00, 0x01, 0x02  # control bytes: the end, an uncompressed chunk with and without a reset
_COMPRESSED, _NEW_PROPERTIES, _RESET = 0x80, 0xC0, 0xE0
_UNCOMPRESSED_HEADER, _COMPRESSED_HEADER = 3, 5
_UNCOMPRESSED_MOST: Final = 1 << 16
_MIN_DICTIONARY: Final = 1 << 12  # liblzma's smallest
_MOST_BITS: Final = 40  # of the dictionary size's byte: 4 GiB less one

_LEAST_PIECE: Final = CHUNK  # less than that is not worth a decoder of its own
_MOST_PIECE: Final = 16 * MIB  # 7-Zip's blocks at -mx3; longer ones are decoded one after the other, in little memory
_MOST_THREADS: Final = 8  # each holds a piece or two


@dataclass(slots=True)
class _Piece:
    """Whole LZMA2 chunks: packed data, the size that it unpacks to, and whether it starts with an empty dictionary."""

    data: bytearray
    size: int
    fresh: bool


def dictionary_size(properties: bytes) -> int:
    """Return the size of the dictionary that a coder asks for, in bytes. lzma2_decoder.c, lzma_lzma2_props_decode."""
    if len(properties) != 1 or properties[0] > _MOST_BITS:
        message = "the LZMA2 coder does not have one byte of properties, up to 40"
        raise FormatError(message, spec="LZMA2")
    bits = properties[0]
    return (1 << 32) - 1 if bits == _MOST_BITS else (2 | bits & 1) << bits // 2 + 11


def wrap(data: memoryview, *, fresh: bool) -> bytes:
    """Return `data` as LZMA2 that is not compressed. LZMA2 wants its first chunk to be `fresh`."""
    parts: list[bytes | memoryview] = []
    for start in range(0, len(data), _UNCOMPRESSED_MOST):
        part = data[start : start + _UNCOMPRESSED_MOST]
        parts += [bytes((_FRESH if fresh else _CONTINUED,)), (len(part) - 1).to_bytes(2, "big"), part]
        fresh = False
    return b"".join(parts)


def decode(dictionary: int, size: int, threads: int, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Decode into pieces of at most `CHUNK` bytes, exactly `size` bytes in all.

    The sizes that the chunks' headers add up to are held against `size` before anything is decoded.
    """
    dictionary = max(min(dictionary, size), _MIN_DICTIONARY)

    def whole(piece: _Piece) -> bytes:
        return _run(_decoder(dictionary, piece.size), piece)

    decoder: Any = None
    threads = min(threads, _MOST_THREADS) if size > _LEAST_PIECE else 1
    with Pipeline[_Piece, bytes]([Stage(whole, parallel=True)], threads, ahead=threads) as pipeline:
        for piece, alone in _look_ahead(_pieces(size, chunks)):
            if alone:
                decoder = None
                for data in pipeline.push(piece):
                    yield from _cut(data)
                continue
            for data in pipeline.drain():
                yield from _cut(data)
            if piece.fresh:
                decoder = _decoder(dictionary, dictionary)
            yield from _follow(decoder, piece)
        for data in pipeline.drain():
            yield from _cut(data)


def _look_ahead(pieces: Iterator[_Piece]) -> Iterator[tuple[_Piece, bool]]:
    """Give each piece, and whether it stands alone: neither it nor the next one needs what is before it."""
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        yield piece, piece.fresh and (following is None or following.fresh)
        piece = following


def _pieces(size: int, chunks: Iterable[memoryview]) -> Iterator[_Piece]:
    """Cut packed data up, at places where no dictionary is needed, and where a piece would be too long."""
    data = bytearray()
    cut = position = 0  # where the current piece starts, and where its next LZMA2 chunk does
    unpacked = 0
    fresh = ended = False
    left = size
    for chunk in chunks:
        if ended and chunk:
            message = "bytes follow the end of the LZMA2 data"
            raise FormatError(message)
        data += chunk
        while (header := _header(data, position)) is not None:
            length, more, resets = header
            if not length:
                ended = True
                break
            if (resets and unpacked >= _LEAST_PIECE) or unpacked + more > _MOST_PIECE:
                yield _Piece(data[cut:position], unpacked, fresh)
                del data[:position]
                cut = position = unpacked = 0
            if not unpacked:
                fresh = resets
            left -= more
            if left < 0:
                message = f"the LZMA2 data is longer than the {size} bytes that its header declares"
                raise FormatError(message)
            unpacked += more
            position += length
    if left or position > len(data) or (not ended and size):
        message = f"the LZMA2 data ends early: {left} bytes of {size} are missing, or its end mark"
        raise FormatError(message)
    if len(data) > position + ended:
        message = "bytes follow the end of the LZMA2 data"
        raise FormatError(message)
    if unpacked:
        yield _Piece(data[cut:position], unpacked, fresh)


def _header(data: bytearray, position: int) -> tuple[int, int, bool] | None:
    """Return a chunk's length with its header, the size that it unpacks to, and whether it resets the dictionary.

    None where that is not all there yet; a length of 0 at the end mark.
    """
    if position >= len(data):
        return None
    control = data[position]
    if control == _END:
        return 0, 0, False
    if control < _COMPRESSED:
        if control > _CONTINUED:
            message = f"the LZMA2 data is damaged: 0x{control:02x} is no control byte"
            raise FormatError(message, spec="LZMA2")
        if position + _UNCOMPRESSED_HEADER > len(data):
            return None
        size = (data[position + 1] << 8 | data[position + 2]) + 1
        return _UNCOMPRESSED_HEADER + size, size, control == _FRESH
    if position + _COMPRESSED_HEADER > len(data):
        return None
    size = ((control & 0x1F) << 16 | data[position + 1] << 8 | data[position + 2]) + 1
    packed = (data[position + 3] << 8 | data[position + 4]) + 1
    return _COMPRESSED_HEADER + (control >= _NEW_PROPERTIES) + packed, size, control >= _RESET


def _decoder(dictionary: int, size: int) -> Any:  # noqa: ANN401 - lzma loads when it is first used
    import lzma  # noqa: PLC0415

    window = max(min(dictionary, size), _MIN_DICTIONARY)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": window}])


def _run(decoder: Any, piece: _Piece) -> bytes:  # noqa: ANN401
    """Decode a piece that stands alone."""
    piece.data.append(_END)
    data = run(decoder, "LZMA2", piece.data, piece.size + 1)
    if len(data) != piece.size or not decoder.eof:
        message = "the LZMA2 data is damaged: a chunk is not as long as its header says"
        raise FormatError(message, spec="LZMA2")
    return data


def _follow(decoder: Any, piece: _Piece) -> Iterator[memoryview]:  # noqa: ANN401
    """Decode a piece that follows another one, or that another one follows."""
    if decoder is None:
        message = "the LZMA2 data is damaged: it needs a dictionary that is not there"
        raise FormatError(message, spec="LZMA2")
    left, data = piece.size, piece.data
    while left:
        out = run(decoder, "LZMA2", data, min(CHUNK, left))
        if not out:
            message = "the LZMA2 data is damaged: a chunk is not as long as its header says"
            raise FormatError(message, spec="LZMA2")
        left -= len(out)
        yield memoryview(out)
        data = bytearray()


def run(decoder: Any, name: str, data: bytes | bytearray, length: int) -> bytes:  # noqa: ANN401
    """Call a decoder of liblzma, and translate what it raises."""
    import lzma  # noqa: PLC0415

    try:
        out: bytes = decoder.decompress(data, length)
    except MemoryError:
        message = f"the {name} decoder needs more memory than there is"
        raise LimitError(message) from None
    except (lzma.LZMAError, EOFError):
        message = f"the {name} data is damaged"
        raise FormatError(message) from None
    return out


def _cut(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        yield view[start : start + CHUNK]
