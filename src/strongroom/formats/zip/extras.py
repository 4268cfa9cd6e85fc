"""What stands around the records of a ZIP file: extra fields, names and times.

APPNOTE and AES are as in `spec`, whose integers are little-endian. What matters to us decodes strictly.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError
from strongroom.formats.zip.spec import U16, U32, UTF8

if TYPE_CHECKING:
    from collections.abc import Iterator

ZIP64_ID: Final = 0x0001
NTFS_ID: Final = 0x000A
TIME_ID: Final = 0x5455
UNICODE_PATH_ID: Final = 0x7075
AES_ID: Final = 0x9901
MANIFEST_ID: Final = 0x5253
"""Ours, "SR" in the file: above the 32 that are PKWARE's (APPNOTE 4.5.2), and on none of the lists of APPNOTE 4.6,
Info-ZIP's extrafld.txt, libarchive, zip.js and Perl's zipdetails."""

_EXTRA: Final = Struct("<HH")
_AES: Final = Struct("<H2sBH")
_TIME: Final = Struct("<Bi")
_NTFS: Final = Struct("<4xHHQ")
_UNICODE_PATH: Final = Struct("<BI")

# The fields of a ZIP64 record in their order: length, and what stands in the header in place of a value that is there
_ZIP64_FIELDS: Final = ((8, U32), (8, U32), (8, U32), (4, U16))
_ZIP64_PREFIXES: Final = [list(range(count)) for count in range(1, 5)]

_DOS_EPOCH: Final = datetime(1980, 1, 1, tzinfo=UTC)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NTFS_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)


# Extra fields (APPNOTE 4.5)


def encode_extra(header_id: int, data: bytes) -> bytes:
    """Return one record of an extra field: ID, length, data. APPNOTE 4.5.1."""
    return _EXTRA.pack(header_id, len(data)) + data


def decode_extra(extra: bytes, offset: int) -> dict[int, bytes]:
    """Split an extra field that stands at `offset` into its records. APPNOTE 4.5.1.

    Raises `FormatError` where they don't fill it, or where one that matters to us comes twice: readers would differ.
    """
    records: dict[int, bytes] = {}
    for position, header_id, data in extra_records(extra, offset):
        if header_id in records and header_id in (ZIP64_ID, AES_ID, UNICODE_PATH_ID, MANIFEST_ID):
            message = f"extra field 0x{header_id:04x} is there twice"
            raise FormatError(message, offset=position, spec="APPNOTE 4.5")
        records.setdefault(header_id, data)
    return records


def extra_records(extra: bytes, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """Give the records of an extra field that stands at `offset`: place, ID, data. Raises `FormatError`."""
    position = 0
    while position < len(extra):
        rest = len(extra) - position
        header_id, length = _EXTRA.unpack_from(extra, position) if rest >= _EXTRA.size else (0, rest)
        if length > rest - _EXTRA.size:
            message = "the extra field is not made of whole records"
            raise FormatError(message, offset=offset + position, spec="APPNOTE 4.5.1")
        start = position + _EXTRA.size
        yield offset + position, header_id, extra[start : start + length]
        position = start + length


class AesExtra(NamedTuple):
    """AES extra data field. AES II.D; 7 bytes behind ID 0x9901 and length.

    offset  size  field
    0       2     vendor version: 1 is AE-1, 2 is AE-2
    2       2     vendor ID, "AE"
    4       1     strength: 1, 2, 3 for AES-128, -192, -256
    5       2     compression method in use

    We write AE-2 only: AE-1 stores the CRC-32 of the plaintext.
    """

    version: int
    strength: int
    method: int

    @property
    def key_bits(self) -> int:
        """128, 192 or 256."""
        return 64 + 64 * self.strength

    def encode(self) -> bytes:
        """Return the record, ID and length included."""
        return encode_extra(AES_ID, _AES.pack(self.version, b"AE", self.strength, self.method))

    @classmethod
    def decode(cls, data: bytes, offset: int) -> AesExtra:
        """Read the data of a record whose header stands at `offset`."""
        if len(data) != _AES.size:
            message = f"the AES extra field is {len(data)} bytes, expected {_AES.size}"
            raise FormatError(message, offset=offset, spec="AES II.D")
        version, vendor, strength, method = _AES.unpack(data)
        if vendor != b"AE" or version not in (1, 2) or strength not in (1, 2, 3):
            message = "the AES extra field names a vendor, version or strength that does not exist"
            raise FormatError(message, offset=offset, spec="AES II.D")
        return cls(version, strength, method)


def encode_zip64(*values: int) -> bytes:
    """Return the ZIP64 extended information record of 8-byte values. APPNOTE 4.5.3."""
    return encode_extra(ZIP64_ID, b"".join(value.to_bytes(8, "little") for value in values))


def resolve_zip64(records: dict[int, bytes], fields: tuple[int, ...], offset: int) -> list[int]:
    """Return `fields` with those that are all ones taken from the ZIP64 record, in its order. APPNOTE 4.5.3.

    The order is size, packed size, offset, disk; a local header has the first two fields only. Fields that are complete
    have no place in the record; some writers list all of them all the same, which is accepted where they agree.
    """
    data = records.get(ZIP64_ID, b"")
    if not data:
        return list(fields)  # all ones is then a value like others, and the bounds of the file judge it
    missing = [index for index, field in enumerate(fields) if field == _ZIP64_FIELDS[index][1]]
    listed = next((order for order in (missing, *_ZIP64_PREFIXES) if _zip64_size(order) == len(data)), list[int]())
    if not set(missing) <= set(listed) or not listed:
        message = f"the ZIP64 extra field has {len(data)} bytes, expected {_zip64_size(missing)}"
        raise FormatError(message, offset=offset, spec="APPNOTE 4.5.3")
    resolved = list(fields)
    start = 0
    for index in listed:
        size, absent = _ZIP64_FIELDS[index]
        value = int.from_bytes(data[start : start + size], "little")
        start += size
        if index >= len(fields):
            break  # offset and disk in a local header, where nobody reads them
        if fields[index] not in (absent, value):
            message = f"the ZIP64 extra field says {value} where the header says {fields[index]}"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.5.3")
        resolved[index] = value
    return resolved


def _zip64_size(indices: list[int]) -> int:
    return sum(_ZIP64_FIELDS[index][0] for index in indices)


# Names and times


def decode_name(raw: bytes, flags: int, records: dict[int, bytes], offset: int, *, unix: bool) -> str:
    """Return an entry's name: UTF-8 with flag bit 11, else the Unicode Path record, else what its host writes.

    APPNOTE 4.6.9, D. The record is ignored, as it says, where it belongs to another name. Beside a name in UTF-8 it
    must agree, since some readers prefer it; its version must be the one that there is, at which not all of them look.

    Without either a name is CP437. Under a Unix host it is UTF-8 where it can be that, as 7-Zip has it: Archive Utility
    and old Info-ZIP do not set the flag. Backslashes of other hosts become slashes.
    """
    try:
        name = _decoded(raw, utf8=bool(flags & UTF8), unix=unix)
        record = records.get(UNICODE_PATH_ID)
        version, crc = _UNICODE_PATH.unpack_from(record) if record and len(record) > _UNICODE_PATH.size else (0, 0)
        if record is not None and version != 1:
            message = "the Unicode Path record is empty, or of a version that does not exist"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.6.9")
        if record and crc == zlib.crc32(raw):
            path = record[_UNICODE_PATH.size :].decode()
            if flags & UTF8 and path != name:
                message = "the Unicode Path record has another name than its header"
                raise FormatError(message, offset=offset, spec="APPNOTE 4.6.9")
            name = path
    except UnicodeDecodeError:
        message = "the name is not UTF-8, as its header says"
        raise FormatError(message, offset=offset, spec="APPNOTE D.2") from None
    return name if unix else name.replace("\\", "/")


def _decoded(raw: bytes, *, utf8: bool, unix: bool) -> str:
    if utf8:
        return raw.decode()
    if unix:
        with suppress(UnicodeDecodeError):
            return raw.decode()
    return raw.decode("cp437")


@lru_cache(maxsize=16)  # each entry needs it twice, and many entries have the same
def encode_dos_time(moment: datetime) -> int:
    """Return DOS date and time, the date in the high half; clamped to 1980 to 2107. APPNOTE 4.4.6.

    We write UTC, where others write local time: the difference would give away where the archive was made.
    """
    moment = max(moment.astimezone(UTC), _DOS_EPOCH)
    year = min(moment.year - 1980, 127)
    date = year << 9 | moment.month << 5 | moment.day
    return date << 16 | moment.hour << 11 | moment.minute << 5 | moment.second // 2


@lru_cache(maxsize=16)
def encode_times(moment: datetime) -> bytes:
    """Return the extended timestamp record with the modification time, or nothing after 2038. Info-ZIP 0x5455."""
    seconds = (moment - _UNIX_EPOCH) // timedelta(seconds=1)
    fits = -(1 << 31) <= seconds < 1 << 31
    return encode_extra(TIME_ID, _TIME.pack(1, seconds)) if fits else b""


def decode_time(dos_time: int, records: dict[int, bytes]) -> datetime:
    """Return an entry's modification time from the best record that it has: extended timestamp, NTFS, DOS.

    DOS fields are taken as UTC, and impossible ones as 1980.
    """
    data = records.get(TIME_ID, b"")
    if len(data) >= _TIME.size and data[0] & 1:
        return _UNIX_EPOCH + timedelta(seconds=_TIME.unpack_from(data)[1])
    data = records.get(NTFS_ID, b"")
    if len(data) >= _NTFS.size:
        tag, size, ticks = _NTFS.unpack_from(data)
        if tag == 1 and size >= 8 and ticks < 1 << 61:  # noqa: PLR2004 - APPNOTE 4.5.5; beyond is past the year 9999
            return _NTFS_EPOCH + timedelta(microseconds=ticks // 10)
    date, time = divmod(dos_time, 1 << 16)
    try:
        return datetime(
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63,
            (time & 31) * 2,
            tzinfo=UTC,
        )
    except ValueError:
        return _DOS_EPOCH
