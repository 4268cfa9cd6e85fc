"""The header of an age file: records and bytes. "age" is C2SP's age.md, cited by heading.

One value has one encoding: what is decoded here encodes to the same bytes, so that the MAC is of what was read.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, LimitError, TruncatedError
from strongroom.limits import KIB, MIB
from strongroom.source import read

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.source import Source

MAGIC: Final = b"age-encryption.org/"
VERSION_LINE: Final = MAGIC + b"v1\n"
FILE_KEY_SIZE: Final = 16
"""age, "File key"."""
WRAPPED_SIZE: Final = FILE_KEY_SIZE + 16
"""A file key under ChaCha20-Poly1305: what the body of each native stanza has."""
NONCE_SIZE: Final = 16
"""age, "Payload"."""
MAC_SIZE: Final = 32
LARGEST_HEADER: Final = 2 * MIB
"""1,300 post-quantum recipients, or 20,000 others, which take a second to read and another to try.
`Limits.header_size` may allow less."""

_COLUMNS: Final = 64
_FIRST_READ: Final = 4 * KIB  # more than most headers have
_STANZA: Final = b"-> "
_END: Final = b"--- "
_END_LINE: Final = re.compile(rb"\n---[^\n]*\n")
_ARGUMENTS: Final = re.compile(rb"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_HEADER: Final = "age, Header"


def encode_base64(data: bytes | memoryview) -> str:
    """Return base64 without padding. age, "Conventions used in this document"."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode()


def decode_base64(text: str) -> bytes:
    """Return what `text` encodes; raises `ValueError` for padding, and for an encoding that nobody writes."""
    data = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    if encode_base64(data) != text:
        message = "base64 is not canonical"
        raise ValueError(message)
    return data


@dataclass(frozen=True, slots=True)
class Stanza:
    """A recipient stanza: the file key, wrapped for one recipient. age, "Recipient stanza".

    stanza     = arg-line *full-line final-line
    arg-line   = "-> " argument *(SP argument) LF
    full-line  = 64base64char LF
    final-line = *63base64char LF
    """

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """Return the lines."""
        text = encode_base64(self.body)
        # One more where the last line is full, since the final one is shorter.
        lines = [text[start : start + _COLUMNS] for start in range(0, len(text) + 1, _COLUMNS)]
        return "\n".join(("-> " + " ".join((self.kind, *self.arguments)), *lines, "")).encode()


@dataclass(frozen=True, slots=True)
class Header:
    """header = v1-line 1*stanza end; end = "--- " 43base64char LF. age, "ABNF definition of file header"."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    @property
    def authenticated(self) -> bytes:
        """What the MAC is of: all up to the mark, without the space behind it. age, "Header MAC"."""
        return authenticated(self.stanzas)

    def encode(self) -> bytes:
        """Return the bytes before the payload."""
        return self.authenticated + f" {encode_base64(self.mac)}\n".encode()

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Read a header, which is all of `data`. Raises `FormatError`."""
        _check_version(data)
        lines = _Lines(data, len(VERSION_LINE))
        stanzas: list[Stanza] = []
        while not (line := lines.take()).startswith(b"---"):
            stanzas.append(_stanza(line, lines))
        if not stanzas:
            raise lines.fault("the header has no recipient stanza")
        try:
            mac = decode_base64(line.removeprefix(_END).decode("ascii"))
        except ValueError:  # UnicodeDecodeError and binascii.Error as well
            mac = b""
        if not line.startswith(_END) or len(mac) != MAC_SIZE:
            raise lines.fault("the header's last line has no MAC in base64")
        if lines.position != len(data):
            raise lines.fault("something follows the header's MAC")
        return cls(tuple(stanzas), mac)


def authenticated(stanzas: tuple[Stanza, ...]) -> bytes:
    """Return what the MAC of a header with `stanzas` is of."""
    return b"".join((VERSION_LINE, *(stanza.encode() for stanza in stanzas), b"---"))


def read_header(source: Source, limits: Limits) -> tuple[Header, int]:
    """Return the header of a file, and where it ends. Raises `FormatError`, `LimitError`."""
    bound = min(limits.header_size, LARGEST_HEADER)
    length = min(_FIRST_READ, source.size)
    while True:
        data = read(source, 0, length)
        _check_version(data)
        if end := header_end(data):
            if end > bound:
                raise _too_large(bound)
            return Header.decode(data[:end]), end
        if length > bound:
            raise _too_large(bound)
        if length == source.size:
            Header.decode(data)  # where a line is wrong, that is the better word
            message = "the header is cut off"
            raise TruncatedError(message, offset=length, spec=_HEADER)
        length = min(4 * length, source.size)


def header_end(data: bytes) -> int | None:
    """Return where the header in `data` ends, or None where it does not."""
    end = _END_LINE.search(data)
    return end.end() if end else None


def _too_large(bound: int) -> LimitError:
    return LimitError(f"the header is above the header_size limit of {bound} bytes")


def _check_version(data: bytes) -> None:
    if data.startswith(VERSION_LINE):
        return
    line = data[:80].split(b"\n")[0]
    if VERSION_LINE.startswith(data):
        message = "the version line is cut off"
        raise TruncatedError(message, offset=len(data), spec="age, Version line")
    if line.startswith(MAGIC):
        message = f"the file is of version {line[len(MAGIC) :].decode('ascii', 'replace')!r}, and there is only 'v1'"
    else:
        message = "the file does not begin with age's version line"
    raise FormatError(message, offset=0, spec="age, Version line")


class _Lines:
    """Gives the lines of a header."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._start = position
        self.position = position

    def take(self) -> bytes:
        self._start = self.position
        end = self._data.find(b"\n", self._start)
        if end < 0:
            message = "the header is cut off"
            raise TruncatedError(message, offset=len(self._data), spec=_HEADER)
        self.position = end + 1
        return self._data[self._start : end]

    def fault(self, message: str) -> FormatError:
        return FormatError(message, offset=self._start, spec=_HEADER)


def _stanza(line: bytes, lines: _Lines) -> Stanza:
    if not line.startswith(_STANZA) or not _ARGUMENTS.fullmatch(line, len(_STANZA)):
        raise lines.fault("a line begins neither a stanza nor the end of the header")
    kind, *arguments = line[len(_STANZA) :].decode("ascii").split(" ")
    body: list[bytes] = []
    while True:
        text = lines.take()
        if len(text) > _COLUMNS:
            raise lines.fault(f"a line of a stanza's body has {len(text)} columns, and at most {_COLUMNS} are allowed")
        try:
            body.append(decode_base64(text.decode("ascii")))
        except ValueError:
            raise lines.fault("a line of a stanza's body is no canonical base64") from None
        if len(text) < _COLUMNS:
            return Stanza(kind, tuple(arguments), b"".join(body))
