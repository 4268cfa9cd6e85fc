"""The filters: what turns addresses in machine code, or differences between bytes, back.

They change no size. liblzma has most of them, but as a step before LZMA or LZMA2 only, and not by itself: so what goes
in is wrapped as LZMA2 that is not compressed, three bytes for 64 KiB.

"Bcj2" and "Bra" are C/Bcj2.c and C/Bra.c of 7-Zip 23.01, the only specification of these two.
"""

from __future__ import annotations

import re
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

    In front of each possible target stands its opcode, and a bit says whether the target was taken out.
    """
    main, *others = inputs
    calls, jumps = (_Bytes(chunks).take for chunks in others[:2])
    decide = _decider(_Bytes(others[2]).take)
    done, previous = 0, 0
    for chunk in main:
        data = chunk.tobytes()
        out = bytearray()
        copied = place = 0
        while match := _next_mark(data, place, previous):
            opcode = data[match - 1]
            before = data[match - 2] if match - place >= 2 else previous  # noqa: PLR2004
            out += data[copied:match]
            copied = place = match
            previous = opcode
            if done + len(out) < size and decide(before + 2 if opcode == _CALL else int(opcode == _JUMP)):
                absolute = int.from_bytes((calls if opcode == _CALL else jumps)(_WORD), "big")
                target = (absolute - (done + len(out) + _WORD) & _U32).to_bytes(_WORD, "little")
                out += target[: size - done - len(out)]
                previous = target[-1]
        out += data[copied:]
        if len(data) > place:
            previous = data[-1]
        done += len(out)
        view = memoryview(out)
        yield from (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))


def _next_mark(data: bytes, place: int, previous: int) -> int:
    """Return the place behind the next opcode of a call or jump, or 0. `previous` came out before byte `place`."""
    if place < len(data) and previous == _ESCAPE and data[place] in _CONDITIONS:
        return place + 1
    match = _MARKS.search(data, place)
    return match.end() if match else 0


def _decider(take: Callable[[int], bytes]) -> Callable[[int], bool]:
    """Return the decoder of the bits: an adaptive binary range coder. Bcj2, Bcj2Dec_Decode."""
    start = take(_RANGE_START_SIZE)
    if start[0]:
        message = "the BCJ2 range coder does not start with a zero"
        raise FormatError(message, spec="Bcj2, Bcj2Dec_Decode")
    code, width = int.from_bytes(start, "big"), _U32
    odds = [1 << _MODEL_BITS - 1] * (2 + 256)

    def decide(model: int) -> bool:
        nonlocal code, width
        if width < _TOP:
            width <<= 8
            code = code << 8 | take(1)[0]
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


class _Bytes:
    """Takes a few bytes at a time out of chunks."""

    def __init__(self, chunks: Iterator[memoryview]) -> None:
        self._chunks = chunks
        self._data = b""
        self._place = 0

    def take(self, count: int) -> bytes:
        """Return `count` bytes; raises `FormatError` where there are fewer."""
        end = self._place + count
        while end > len(self._data):
            chunk = next(self._chunks, None)
            if chunk is None:
                message = "a stream of the BCJ2 filter ends early"
                raise FormatError(message)
            self._data = self._data[self._place :] + chunk
            self._place, end = 0, count
        data = self._data[self._place : end]
        self._place = end
        return data
