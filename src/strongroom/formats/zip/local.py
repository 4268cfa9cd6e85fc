"""Finds an entry in the file, and checks what stands around its data against the central directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError
from strongroom.formats.zip import crypto, extras, spec
from strongroom.source import Cursor, read

if TYPE_CHECKING:
    from strongroom.formats.zip.directory import Record
    from strongroom.source import Source

_GAP: Final = 64  # bytes that are looked at behind an entry; a data descriptor has at most 24


class Place(NamedTuple):
    """Where an entry's data stands, and what is around it, read once and used from this copy.

    `offset` and `size` are those of the data, with salt and codes where it is encrypted. `gap` is the front of what
    follows it, before the next entry. `head` is AES's salt with the password verifier, `code` its authentication code.
    """

    offset: int
    size: int
    header: spec.LocalHeader
    gap: bytes
    head: bytes = b""
    code: bytes = b""


def locate(source: Source, record: Record) -> Place:
    """Find an entry. Raises `FormatError` where no whole entry stands there; what it says is not checked."""
    offset = record.offset
    fixed = read(source, offset, spec.LOCAL_SIZE)
    lengths = int.from_bytes(fixed[26:28], "little") + int.from_bytes(fixed[28:30], "little")
    length = min(spec.LOCAL_SIZE + lengths, record.limit - offset)
    cursor = Cursor(read(source, offset, length), offset)
    header = spec.LocalHeader.decode(cursor)
    start, size = cursor.offset, record.entry.packed_size
    end = start + size
    if end > record.limit:
        message = f"entry {record.entry.name!r} overlaps what follows it at byte {record.limit}"
        raise FormatError(message, offset=offset)
    gap = read(source, end, min(record.limit - end, _GAP))
    if record.aes is None:
        return Place(start, size, header, gap)
    bits = record.aes.key_bits
    if size < crypto.overhead(bits):
        message = f"encrypted entry {record.entry.name!r} is too short for its salt and codes"
        raise FormatError(message, offset=start, spec="AES II.A")
    head = read(source, start, crypto.salt_size(bits) + crypto.VERIFIER_SIZE)
    code = read(source, end - crypto.TAG_SIZE, crypto.TAG_SIZE)
    return Place(start, size, header, gap, head, code)


def check_local(record: Record, place: Place) -> None:
    """Check the local header, and all that stands before the next entry, against the central directory."""
    header, local = record.header, place.header
    extra_place = place.offset - len(local.extra)
    records = extras.decode_extra(local.extra, extra_place)
    size, packed_size = extras.resolve_zip64(records, (local.size, local.packed_size), extra_place)
    streamed = bool(local.flags & spec.STREAMED)
    _same("name", local.name, header.name, record)
    # Info-ZIP takes bit 3 back in the local header alone, where it could seek.
    _same("flags", local.flags | spec.STREAMED, header.flags | spec.STREAMED, record)
    if extras.UNICODE_PATH_ID in records:
        path = extras.decode_name(local.name, local.flags, records, record.offset, unix=record.header.unix)
        _same("name", path, record.entry.name + "/" * (record.entry.kind == "directory"), record)
    _same("compression method", local.method, header.method, record)
    _same("time", local.dos_time, header.dos_time, record)
    if record.aes:
        aes = records.get(extras.AES_ID)
        found = extras.AesExtra.decode(aes, extra_place) if aes is not None else None
        _same("AES extra field", found, record.aes, record)
    declared = (local.crc, packed_size, size)
    if streamed and record.entry.encrypted and not record.aes and local.crc == (local.dos_time & spec.U16) << 16:
        declared = (0, packed_size, size)  # Info-ZIP puts the time there: the encryption header's check byte
    central = (header.crc, record.entry.packed_size, record.entry.size)
    for what, mine, theirs in zip(("CRC-32", "packed size", "size"), declared, central, strict=True):
        if not (streamed and mine == 0):
            _same(what, mine, theirs, record)
    _check_gap(record, place, central if streamed else None)


def _same(what: str, local: object, central: object, record: Record) -> None:
    if local != central:
        message = f"local header and central directory differ in the {what} of {record.entry.name!r}"
        raise FormatError(message, offset=record.offset, spec="APPNOTE 4.3.7")


def _check_gap(record: Record, place: Place, descriptor: tuple[int, int, int] | None) -> None:
    """Check the data descriptor (APPNOTE 4.3.9), and that nothing hides behind the data.

    Readers that go through the file from its front look for an entry there, some of them byte by byte.
    """
    gap, end = place.gap, place.offset + place.size
    if descriptor is not None:
        form = next((form for form in spec.descriptors(*descriptor) if gap.startswith(form)), None)
        if form is None:
            message = f"the data descriptor of {record.entry.name!r} differs from the central directory"
            raise FormatError(message, offset=end, spec="APPNOTE 4.3.9")
        gap, end = gap[len(form) :], end + len(form)
    if gap:
        message = f"bytes that the central directory does not have follow {record.entry.name!r}"
        raise FormatError(message, offset=end, spec="APPNOTE 4.3.6")
