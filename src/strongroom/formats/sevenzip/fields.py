"""The fields that the records of a 7z header are made of: numbers, bits, digests.

"7zFormat" is DOC/7zFormat.txt of the 7-Zip source, edition 18.06, cited by heading; "7zIn" and "7zOut" are 7-Zip's own
reader and writer, CPP/7zip/Archive/7z/7zIn.cpp and 7zOut.cpp, cited by function.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from strongroom.source import Cursor

_MOST_EXTRA: Final = 8  # bytes that follow the first one of a number
_BITS: Final = [tuple(bool(byte >> 7 - bit & 1) for bit in range(8)) for byte in range(256)]


def encode_number(value: int) -> bytes:
    """Return a number of up to 64 bits in 1 to 9 bytes. 7zFormat, "Notes about Notation and encoding"; UINT64 there.

    The leading ones of the first byte count the bytes that follow it, little-endian; its other bits are the highest.
    """
    extra = min((max(value.bit_length(), 1) - 1) // 7, _MOST_EXTRA)
    mark = 0x100 - (0x100 >> extra)
    return bytes((mark | value >> 8 * extra,)) + (value & (1 << 8 * extra) - 1).to_bytes(extra, "little")


def decode_number(cursor: Cursor, what: str) -> int:
    """Read a number; raises `FormatError` for one in more bytes than it needs, which no writer is known to make."""
    offset = cursor.offset
    first = cursor.take(1, what)[0]
    if first < 0x80:  # noqa: PLR2004 - no leading one
        return first
    extra = 8 - (first ^ 0xFF).bit_length()
    value = int.from_bytes(cursor.take(extra, what), "little") | (first & 0x7F >> extra) << 8 * extra
    if value < 1 << 7 * extra:
        message = f"{what} is a number in {extra + 1} bytes that would fit in {extra}"
        raise FormatError(message, offset=offset, spec="7zFormat, Notes about Notation and encoding")
    return value


def decode_count(cursor: Cursor, what: str, *, each: int = 1) -> int:
    """Read how many items follow; raises `FormatError` where what is left cannot hold them at `each` bytes an item."""
    offset = cursor.offset
    count = decode_number(cursor, what)
    if count * each > cursor.left:
        message = f"{what} is {count}, with {cursor.left} bytes left"
        raise FormatError(message, offset=offset)
    return count


def decode_id(cursor: Cursor) -> int:
    """Read a property ID. 7zFormat, "Property IDs"."""
    return decode_number(cursor, "a property ID")


def expect_id(cursor: Cursor, wanted: int, what: str) -> None:
    """Read the property ID `wanted`; raises `FormatError` where another one stands there."""
    offset = cursor.offset
    found = decode_id(cursor)
    if found != wanted:
        message = f"property 0x{found:02x} stands where {what} (0x{wanted:02x}) must"
        raise FormatError(message, offset=offset, spec="7zFormat")


def refuse_id(found: int, offset: int, where: str) -> FormatError:
    """Return the error for a property that does not belong there."""
    message = f"property 0x{found:02x} does not belong into {where}, or not a second time"
    return FormatError(message, offset=offset, spec=f"7zFormat, {where}")


def refuse_external(cursor: Cursor, what: str) -> None:
    """Read the byte that says whether the data stands elsewhere, in a stream of its own: no writer does that."""
    offset = cursor.offset
    external = cursor.take(1, what)[0]
    if external > 1:
        message = f"{what} says neither here nor elsewhere, but {external}"
        raise FormatError(message, offset=offset, spec="7zFormat")
    if external:
        message = f"{what} stands in a stream of its own (External)"
        raise UnsupportedError(message)


def encode_bits(bits: Sequence[bool]) -> bytes:
    """Return bits, the first one highest. 7zOut, Write_BoolVector."""
    size = -(-len(bits) // 8)
    digits = "".join("1" if bit else "0" for bit in bits)
    return int(digits.ljust(8 * size, "0"), 2).to_bytes(size, "big") if bits else b""


def decode_bits(cursor: Cursor, count: int, what: str) -> tuple[bool, ...]:
    """Read `count` bits; raises `FormatError` where the bits that fill up the last byte are not 0."""
    offset = cursor.offset
    bits = tuple(chain.from_iterable(map(_BITS.__getitem__, cursor.take(-(-count // 8), what))))
    if any(bits[count:]):
        message = f"{what} has bits beyond its {count} items"
        raise FormatError(message, offset=offset, spec="7zIn, ReadBoolVector")
    return bits[:count]


def encode_defined(values: Sequence[int | None]) -> bytes:
    """Return which values are there: a byte 1 for all, or a byte 0 and bits. 7zFormat, "Digests"; AllAreDefined."""
    defined = [value is not None for value in values]
    return b"\1" if all(defined) else b"\0" + encode_bits(defined)


def decode_defined(cursor: Cursor, count: int, what: str) -> tuple[bool, ...]:
    """Read which values are there. Bits that are all 1 are accepted, since some writers never write the short form."""
    offset = cursor.offset
    everything = cursor.take(1, what)[0]
    if everything > 1:
        message = f"{what} says neither all nor some, but {everything}"
        raise FormatError(message, offset=offset, spec="7zFormat, Digests")
    return (True,) * count if everything else decode_bits(cursor, count, what)


def encode_values(values: Iterable[int | None], size: int) -> bytes:
    """Return the values that are there, in `size` bytes each, little-endian."""
    there = [value for value in values if value is not None]
    return struct.pack(f"<{len(there)}{_CODES[size]}", *there)


def decode_values(cursor: Cursor, defined: Sequence[bool], size: int, what: str) -> tuple[int | None, ...]:
    """Read the values that are there, of `size` bytes each."""
    count = sum(defined)
    values = iter(struct.unpack(f"<{count}{_CODES[size]}", cursor.take(size * count, what)))
    return tuple(next(values) if there else None for there in defined)


def encode_digests(crcs: Sequence[int | None]) -> bytes:
    """Return CRC-32s. 7zFormat, "Digests"."""
    return encode_defined(crcs) + encode_values(crcs, 4)


def decode_digests(cursor: Cursor, count: int, what: str) -> tuple[int | None, ...]:
    """Read `count` CRC-32s, each of which may be missing. 7zFormat, "Digests"."""
    return decode_values(cursor, decode_defined(cursor, count, what), 4, what)


_CODES: Final = {4: "I", 8: "Q"}
