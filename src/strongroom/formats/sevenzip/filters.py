"""The filters: what turns addresses in machine code, or differences between bytes, back.

They change no size. liblzma has most of them, but as a step before LZMA or LZMA2 only, and not by itself: so what goes
in is wrapped as LZMA2 that is not compressed, three bytes for 64 KiB.

"Bcj2" and "Bra" are C/Bcj2.c and C/Bra.c of 7-Zip 23.01, the only specification of these two.
"""

from __future__ import annotations

import re
import struct
from itertools import chain
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import lzma2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

_WORD: Final = 4
_U32: Final = 0xFFFFFFFF

# BCJ2 (Bcj2, Bcj2Dec_Decode): x86 code in four streams, of which the last is a range coder's bits
_MARKS: Final = re.compile(rb"[\xe8\xe9]|(?<=\x0f)[\x80-\x8f]", re.DOTALL)
_CALL, _JUMP, _ESCAPE = 0xE8, 0xE9, 0x0F
_CONDITIONS: Final = range(0x80, 0x90)  # behind the escape
_TOP: Final = 1 << 24
_MODEL_BITS, _MOVE_BITS = 11, 5
_RANGE_START_SIZE: Final = 5


def pass_through(code: int, name: str, option: dict[str, int], chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Run `chunks` through the filter of liblzma with the ID `code`."""
    import lzma  # noqa: PLC0415

    chain = [{"id": code, **option}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 12}]
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain)
    except (lzma.LZMAError, ValueError):
        message = f"the properties of the {name} filter are out of range"
        raise FormatError(message) from None
    fresh = True
    for chunk in chunks:
        data = lzma2.wrap(chunk, fresh=fresh)
        fresh = False
        while data or not decoder.needs_input:
            out = lzma2.run(decoder, name, data, CHUNK)
            if out:
                yield memoryview(out)
            data = b""
    if not fresh and (out := lzma2.run(decoder, name, b"\0", CHUNK)):
        yield memoryview(out)


def arm64(start: int, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Turn the targets of BL and the pages of ADRP back. Bra, Z7_BRANCH_CONV_DEC(ARM64).

    liblzma has this filter since 5.4, but Python does not let it be asked for.
    """
    import numpy as np  # noqa: PLC0415

    rest = b""
    for chunk in chunks:
        data = bytearray(rest + chunk)
        size = len(data) // _WORD * _WORD
        rest = bytes(data[size:])
        if size:
            _arm64_words(np.frombuffer(data, "<u4", size // _WORD), start)
            start = (start + size) & _U32
            view = memoryview(data)[:size]
            yield from (view[place : place + CHUNK] for place in range(0, size, CHUNK))
    if rest:
        yield memoryview(rest)


def _arm64_words(words: NDArray[np.uint32], start: int) -> None:
    import numpy as np  # noqa: PLC0415

    place = np.arange(start, start + _WORD * len(words), _WORD, dtype=np.uint64).astype(np.uint32)
    branch = (words & 0xFC000000) == 0x94000000  # noqa: PLR2004
    page = (words & 0x9F000000) == 0x90000000  # noqa: PLR2004
    moved = 0x94000000 | (words - (place >> 2) & 0x03FFFFFF)
    target = (words >> 29 & 3) | (words >> 3 & 0x001FFFFC)
    page &= (target + 0x00020000 & 0x001C0000) == 0  # further away than 512 MiB, they are left as they are
    target = target - (place >> 12)
    paged = words & 0x9000001F | (target & 3) << 29 | (target & 0x0003FFFC) << 3
    paged |= (0 - (target & 0x00020000)) & 0x00E00000
    words[:] = np.where(branch, moved, np.where(page, paged, words))


def bcj2(size: int, inputs: list[Iterator[memoryview]]) -> Iterator[memoryview]:
    """Put the absolute targets of calls and jumps back into x86 code. Bcj2, Bcj2Dec_Decode.

    Behind each opcode that may have one, a bit says whether the target was taken out. In code that is every 37 bytes;
    16 MB/s here, about half of what Python needs for a bit being the range coder.
    """
    main, calls, jumps = inputs[0], _words(inputs[1]), _words(inputs[2])
    decide = _decider(chain.from_iterable(inputs[3]))
    done, previous = 0, 0  # bytes that came out, and the last one of them
    try:
        for chunk in main:
            data = chunk.tobytes()
            out = bytearray()
            last, ahead, left = 0, done, size - done  # `ahead`: how far the output is ahead of `data`
            for place in _places(data, previous):
                at = place
                while at:
                    opcode = data[at - 1]
                    before = data[at - 2] if at - last > 1 else previous
                    out += data[last:at]
                    last, previous, at = at, opcode, 0
                    if ahead + last < size and decide(before + 2 if opcode == _CALL else opcode == _JUMP):
                        ahead += _WORD
                        target = next(calls if opcode == _CALL else jumps) - ahead - last & _U32
                        out += target.to_bytes(_WORD, "little")
                        previous = target >> 24
                        if previous == _ESCAPE:
                            at = _follows(data, last, previous)
            out += data[last:]
            del out[left:]  # the last target may be cut off
            previous = data[-1] if len(data) > last else previous
            done += len(out)
            view = memoryview(out)
            yield from (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))
    except _EndsEarlyError:
        message = "a stream of the BCJ2 filter ends early"
        raise FormatError(message) from None


class _EndsEarlyError(Exception):
    """Not `StopIteration`, which a generator must not raise."""


def _places(data: bytes, previous: int) -> Iterator[int]:
    """Give the places behind all opcodes of calls and jumps. `previous` came out before `data`."""
    first = _follows(data, 0, previous)
    return chain((first,) if first else (), map(re.Match[bytes].end, _MARKS.finditer(data)))


def _follows(data: bytes, place: int, previous: int) -> int:
    """Return the place behind the second byte of a conditional jump, whose first came out as `previous`, or 0."""
    return place + 1 if previous == _ESCAPE and place < len(data) and data[place] in _CONDITIONS else 0


def _words(chunks: Iterator[memoryview]) -> Iterator[int]:
    """Give big-endian words."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        size = len(data) // _WORD * _WORD
        rest = data[size:]
        yield from (word for (word,) in struct.iter_unpack(">I", data[:size]))
    raise _EndsEarlyError


def _decider(source: Iterator[int]) -> Callable[[int], bool]:
    """Return the decoder of the bits: an adaptive binary range coder. Bcj2, Bcj2Dec_Decode."""

    def take() -> int:
        byte = next(source, None)
        if byte is None:
            raise _EndsEarlyError
        return byte

    code, width = 0, 0
    odds = [1 << _MODEL_BITS - 1] * (2 + 256)

    def decide(model: int) -> bool:
        nonlocal code, width
        if not width:
            code, width = int.from_bytes([take() for _ in range(_RANGE_START_SIZE)], "big"), _U32
            if code > _U32:
                message = "the BCJ2 range coder does not start with a zero"
                raise FormatError(message, spec="Bcj2, Bcj2Dec_Decode")
        elif width < _TOP:
            width <<= 8
            code = code << 8 | take()
        odd = odds[model]
        bound = (width >> _MODEL_BITS) * odd
        if code < bound:
            width = bound
            odds[model] = odd + ((1 << _MODEL_BITS) - odd >> _MOVE_BITS)
            return False
        width -= bound
        code -= bound
        odds[model] = odd - (odd >> _MOVE_BITS)
        return True

    return decide
