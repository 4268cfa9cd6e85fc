"""ASCII armor, written and read. age, "ASCII armor"; RFC 7468, 3, Figure 3 (the strict form).

All lines but the last have 64 columns, so that any byte's place is arithmetic. Each line is checked when it is read.
Stricter than age itself: all lines end alike, in LF or in CRLF.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, TruncatedError
from strongroom.flow import CHUNK, as_bytes
from strongroom.limits import KIB
from strongroom.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from strongroom.source import Source

BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
END: Final = b"-----END AGE ENCRYPTED FILE-----"
_COLUMNS: Final = 64
_LINE: Final = 48  # bytes
_LINES: Final = CHUNK // _LINE  # at once
_SPACE: Final = b" \t\r\n"
_ROOM: Final = 4 * KIB  # for whitespace before and after, which mail and editors add
_SPEC: Final = "age, ASCII armor"


def is_armored(source: Source) -> bool:
    """Whether a file begins as an armored one."""
    start = read(source, 0, min(_ROOM + len(BEGIN), source.size))
    return start.lstrip(_SPACE).startswith(b"-----BEGIN")


class Armorer:
    """Encodes what comes in pieces."""

    def __init__(self) -> None:
        self._carry = b""
        self._begun = False

    def update(self, data: Buffer) -> Iterator[bytes]:
        """Take a piece of any size."""
        view = as_bytes(data)
        assert view is not None  # noqa: S101 - a Buffer is one
        if not self._begun:
            self._begun = True
            yield BEGIN + b"\n"
        if self._carry:
            missing = _LINE - len(self._carry)
            self._carry += view[:missing]
            view = view[missing:]
            if len(self._carry) < _LINE:
                return
            yield _encode(self._carry)
        whole = len(view) // _LINE * _LINE
        for start in range(0, whole, _LINES * _LINE):
            yield _encode(view[start : min(start + _LINES * _LINE, whole)])
        self._carry = bytes(view[whole:])

    def finish(self) -> Iterator[bytes]:
        """Give the end."""
        yield from self.update(b"")
        yield (_encode(self._carry) if self._carry else b"") + END + b"\n"


class ArmoredSource:
    """What an armored file holds, as a `Source`; `source` is the caller's. Raises `FormatError`, `TruncatedError`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        head = read(source, 0, min(_ROOM + len(BEGIN) + 2, source.size))
        before = len(head) - len(head.lstrip(_SPACE))
        if not head.startswith(BEGIN, before):
            message = "the armor does not begin with its first line"
            raise FormatError(message, offset=before, spec=_SPEC)
        start = before + len(BEGIN)
        self._eol = b"\r\n" if head.startswith(b"\r\n", start) else b"\n"
        if not head.startswith(self._eol, start):
            raise _fault("the armor's first line does not end there", start)
        self._start = start + len(self._eol)
        end = self._find_end()
        self._width = _COLUMNS + len(self._eol)
        full, rest = divmod(end - self._start, self._width)
        if rest:
            rest -= len(self._eol)
            if rest <= 0 or rest % 4:
                raise _fault("the armor's lines have not 64 columns each", end)
            self._full, self._last = full, self._decode_last(full, rest)
        else:
            # The last line may be full, and then its end may be padded.
            self._full, self._last = max(full - 1, 0), self._decode_last(full - 1, _COLUMNS) if full else b""
        self.size: int = self._full * _LINE + len(self._last)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`. Raises `FormatError` where a line is not as it should be."""
        if offset + len(buffer) > self.size:
            message = "the armor ends early"
            raise TruncatedError(message, offset=self.size, spec=_SPEC)
        while buffer:
            line, skip = divmod(offset, _LINE)
            if line >= self._full:
                buffer[:] = self._last[skip : skip + len(buffer)]
                return
            count = min(-(-(skip + len(buffer)) // _LINE), self._full - line, _LINES)
            data = memoryview(self._decode(line, count))[skip : skip + len(buffer)]
            buffer[: len(data)] = data
            offset, buffer = offset + len(data), buffer[len(data) :]

    def close(self) -> None:
        """See `Source`; what it reads is the caller's."""

    def _find_end(self) -> int:
        """Return where the last line begins."""
        size = self._source.size
        start = max(size - _ROOM - len(END), self._start)
        tail = read(self._source, start, max(size - start, 0))
        stripped = tail.rstrip(_SPACE)
        if not stripped.endswith(END):
            message = "the armor ends without its last line"
            raise TruncatedError(message, offset=size, spec=_SPEC)
        return start + len(stripped) - len(END)

    def _decode(self, line: int, count: int) -> bytes:
        """Return what whole lines hold, none of which is padded."""
        place = self._start + line * self._width
        text = read(self._source, place, count * self._width)
        ends = all(
            text[_COLUMNS + index :: self._width] == self._eol[index : index + 1] * count
            for index in range(len(self._eol))
        )
        packed = text.replace(self._eol, b"")
        if not ends or len(packed) != count * _COLUMNS:
            raise _fault("a line of the armor has not 64 columns", place)
        data = _strict(packed, place)
        if len(data) != count * _LINE:
            raise _fault("a line of the armor is padded, and not the last", place)
        return data

    def _decode_last(self, line: int, columns: int) -> bytes:
        place = self._start + line * self._width
        text = read(self._source, place, columns + len(self._eol))
        data = _strict(text[:columns], place)
        if text[columns:] != self._eol or binascii.b2a_base64(data, newline=False) != text[:columns]:
            raise _fault("the armor's last line is no canonical base64", place)
        return data


def _encode(data: bytes | memoryview) -> bytes:
    text = binascii.b2a_base64(data, newline=False)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join((*lines, b""))


def _strict(text: bytes, place: int) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise _fault("a line of the armor is no base64", place) from None


def _fault(message: str, offset: int) -> FormatError:
    return FormatError(message, offset=offset, spec=_SPEC)
