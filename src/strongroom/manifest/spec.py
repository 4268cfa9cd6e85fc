"""The bytes of a manifest. All integers are little-endian.

A format stores one record an entry, and the tail behind the last of them, where other tools skip them: ZIP in an extra
field of the central directory. Docs/design.md gives each field's reason.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from strongroom.errors import FormatError

TAG_SIZE: Final = 16
"""HMAC-SHA256 cut in half, as in RFC 4868: nobody guesses 128 bits, and each entry pays for them."""
HINT_SIZE: Final = 4
"""A hint chooses words in an error, never whether there is one; two in 4 billion changes get the wrong words."""
SALT_SIZE: Final = 10
ASPECTS: Final = ("name", "time", "attributes", "packing", "data")
"""What a hint each is made of."""

_RECORD: Final = Struct(f"<I{TAG_SIZE}s" + f"{HINT_SIZE}s" * len(ASPECTS))
_TAIL: Final = Struct(f"<{SALT_SIZE}sII{TAG_SIZE}s{TAG_SIZE}s")

RECORD_SIZE: Final = _RECORD.size
TAIL_SIZE: Final = _TAIL.size


class Record(NamedTuple):
    """What the manifest says of one entry; 40 bytes.

    offset  size  field
    0       4     number of the entry, from 0: where it stood, if it was moved, and which one is missing
    4       16    tag of the number and of every raw byte of the entry's headers, salt and authentication code
    20      20    hints of name, time, attributes, packing and data, 4 bytes each
    """

    number: int
    tag: bytes
    hints: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the record as bytes."""
        return _RECORD.pack(self.number, self.tag, *self.hints)

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Read the 40 bytes."""
        number, tag, *hints = _RECORD.unpack(data)
        return cls(number, tag, tuple(hints))


class Tail(NamedTuple):
    """What the manifest says of the archive; 50 bytes.

    offset  size  field
    0       10    the archive's random bytes: salt of the manifest's key, and front of every entry's salt
    10      4     rounds of the key's derivation
    14      4     number of entries
    18      16    check of the key: a wrong password shows at once, and not to one in 65,536 as in ZIP
    34      16    tag of the whole: the directory with all records in it, the end records, the place of both
    """

    salt: bytes
    rounds: int
    entries: int
    check: bytes
    tag: bytes = bytes(TAG_SIZE)

    def encode(self) -> bytes:
        """Return the tail as bytes; the tag is their end."""
        return _TAIL.pack(self.salt, self.rounds, self.entries, self.check, self.tag)

    @classmethod
    def decode(cls, data: bytes) -> Tail:
        """Read the 50 bytes; raises `FormatError` where no key can be derived."""
        tail = cls(*_TAIL.unpack(data))
        if not tail.rounds:
            message = "the manifest names no rounds for its key"
            raise FormatError(message)
        return tail


def decode_field(data: bytes) -> tuple[Record | None, Tail | None]:
    """Split what stands with an entry: a record, in the last one also the tail; without entries the tail alone.

    Raises `FormatError`. A manifest of another version would have other lengths.
    """
    if len(data) not in (RECORD_SIZE, RECORD_SIZE + TAIL_SIZE, TAIL_SIZE):
        message = f"a field of the manifest has {len(data)} bytes, expected {RECORD_SIZE} or {RECORD_SIZE + TAIL_SIZE}"
        raise FormatError(message)
    record = Record.decode(data[:RECORD_SIZE]) if len(data) != TAIL_SIZE else None
    return record, Tail.decode(data[-TAIL_SIZE:]) if len(data) != RECORD_SIZE else None
