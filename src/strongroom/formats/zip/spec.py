"""The records of a ZIP file, as bytes.

APPNOTE is PKWARE's APPNOTE.TXT 6.3.10, "AES" is WinZip's "AES Encryption Information", version 1.04. All integers are
little-endian. Records decode strictly: one value, one encoding, and what is left over is an error.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError

if TYPE_CHECKING:
    from strongroom.source import Cursor

LOCAL: Final = b"PK\x03\x04"
CENTRAL: Final = b"PK\x01\x02"
DESCRIPTOR: Final = b"PK\x07\x08"
END: Final = b"PK\x05\x06"
ZIP64_END: Final = b"PK\x06\x06"
ZIP64_LOCATOR: Final = b"PK\x06\x07"
SIGNATURE: Final = b"PK\x05\x05"

U16: Final = 0xFFFF
U32: Final = 0xFFFFFFFF

# General purpose bit flag (APPNOTE 4.4.4)
ENCRYPTED: Final = 1 << 0
LZMA_END_MARK: Final = 1 << 1
STREAMED: Final = 1 << 3
PATCH_DATA: Final = 1 << 5
STRONG: Final = 1 << 6
UTF8: Final = 1 << 11
MASKED: Final = 1 << 13

AES_METHOD: Final = 99
UNIX_HOST, DARWIN_HOST = 3, 19  # APPNOTE 4.4.2.2

_LOCAL: Final = Struct("<4sHHHIIIIHH")
_CENTRAL: Final = Struct("<4sHHHHIIIIHHHHHII")
_END: Final = Struct("<4sHHHHIIH")
_ZIP64_END: Final = Struct("<4sQHHIIQQQQ")
_ZIP64_LOCATOR: Final = Struct("<4sIQI")
_DESCRIPTOR32: Final = Struct("<III")
_DESCRIPTOR64: Final = Struct("<IQQ")

LOCAL_SIZE: Final = _LOCAL.size
CENTRAL_SIZE: Final = _CENTRAL.size
END_SIZE: Final = _END.size
ZIP64_END_SIZE: Final = _ZIP64_END.size
ZIP64_LOCATOR_SIZE: Final = _ZIP64_LOCATOR.size

VERSION_DEFAULT, VERSION_ZIP64, VERSION_BZIP2, VERSION_AES, VERSION_NEWEST = 20, 45, 46, 51, 63
"""APPNOTE 4.4.3.2; 63 has LZMA."""


class LocalHeader(NamedTuple):
    """Local file header. APPNOTE 4.3.7; 30 bytes, then the name and the extra field.

    offset  size  field
    0       4     signature, "PK" 3 4
    4       2     version needed to extract, times ten
    6       2     general purpose bit flag
    8       2     compression method; 99 for AES
    10      4     DOS time, then DOS date
    14      4     CRC-32 of the plaintext; 0 for AE-2
    18      4     packed size; 0xFFFFFFFF where the ZIP64 extra field has it
    22      4     size; 0xFFFFFFFF likewise
    26      2     length of the name
    28      2     length of the extra field
    """

    version: int
    flags: int
    method: int
    dos_time: int
    crc: int
    packed_size: int
    size: int
    name: bytes
    extra: bytes

    def encode(self) -> bytes:
        """Return the header as bytes."""
        fixed = _LOCAL.pack(
            LOCAL,
            self.version,
            self.flags,
            self.method,
            self.dos_time,
            self.crc,
            self.packed_size,
            self.size,
            len(self.name),
            len(self.extra),
        )
        return fixed + self.name + self.extra

    @classmethod
    def decode(cls, cursor: Cursor) -> LocalHeader:
        """Read a header; raises `FormatError` where there is none."""
        offset = cursor.offset
        signature, version, flags, method, dos_time, crc, packed_size, size, name_length, extra_length = _LOCAL.unpack(
            cursor.take(LOCAL_SIZE, "the local header")
        )
        if signature != LOCAL:
            message = "no local header where the central directory points"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.3.7")
        name = cursor.take(name_length, "the name in the local header")
        extra = cursor.take(extra_length, "the extra field in the local header")
        return cls(version, flags, method, dos_time, crc, packed_size, size, name, extra)


class CentralHeader(NamedTuple):
    """Central directory header. APPNOTE 4.3.12; 46 bytes, then name, extra field and comment.

    offset  size  field
    0       4     signature, "PK" 1 2
    4       2     version made by: specification version times ten, and the host system in the high byte
    6       24    as in the local header, bytes 4 to 28
    30      2     length of the extra field
    32      2     length of the comment
    34      2     number of the disk where the entry starts
    36      2     internal attributes
    38      4     external attributes: for Unix the mode in the high half, DOS attributes in the low byte
    42      4     offset of the local header; 0xFFFFFFFF where the ZIP64 extra field has it
    """

    made_by: int
    version: int
    flags: int
    method: int
    dos_time: int
    crc: int
    packed_size: int
    size: int
    disk: int
    internal: int
    external: int
    offset: int
    name: bytes
    extra: bytes
    comment: bytes = b""

    @property
    def unix(self) -> bool:
        """Whether its host was Unix or Darwin: then attributes are Unix modes, and a backslash is no separator."""
        return self.made_by >> 8 in (UNIX_HOST, DARWIN_HOST)

    def encode(self, more: bytes = b"") -> bytes:
        """Return the header as bytes, its extra field lengthened by `more`."""
        extra = self.extra + more
        fixed = _CENTRAL.pack(
            CENTRAL,
            self.made_by,
            self.version,
            self.flags,
            self.method,
            self.dos_time,
            self.crc,
            self.packed_size,
            self.size,
            len(self.name),
            len(extra),
            len(self.comment),
            self.disk,
            self.internal,
            self.external,
            self.offset,
        )
        return fixed + self.name + extra + self.comment

    @classmethod
    def decode(cls, cursor: Cursor) -> CentralHeader:
        """Read a header; raises `FormatError` where there is none."""
        offset = cursor.offset
        signature, *front, name_length, extra_length, comment_length, disk, internal, external, start = _CENTRAL.unpack(
            cursor.take(CENTRAL_SIZE, "the central directory header")
        )
        if signature != CENTRAL:
            message = "no central directory header where one must follow"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.3.12")
        made_by, version, flags, method, dos_time, crc, packed_size, size = front
        name = cursor.take(name_length, "the name in the central directory")
        extra = cursor.take(extra_length, "the extra field in the central directory")
        comment = cursor.take(comment_length, "the comment in the central directory")
        return cls(
            made_by,
            version,
            flags,
            method,
            dos_time,
            crc,
            packed_size,
            size,
            disk,
            internal,
            external,
            start,
            name,
            extra,
            comment,
        )


class EndRecord(NamedTuple):
    """End of central directory record. APPNOTE 4.3.16; 22 bytes, then the archive comment.

    offset  size  field
    0       4     signature, "PK" 5 6
    4       2     number of this disk
    6       2     number of the disk where the central directory starts
    8       2     entries on this disk
    10      2     entries in all; 0xFFFF where the ZIP64 record has it
    12      4     size of the central directory
    16      4     offset of the central directory
    20      2     length of the comment
    """

    disk: int
    directory_disk: int
    entries_here: int
    entries: int
    directory_size: int
    directory_offset: int
    comment_length: int = 0

    def encode(self) -> bytes:
        """Return the record as bytes, without its comment."""
        return _END.pack(
            END,
            self.disk,
            self.directory_disk,
            self.entries_here,
            self.entries,
            self.directory_size,
            self.directory_offset,
            self.comment_length,
        )

    @classmethod
    def decode(cls, record: bytes) -> EndRecord:
        """Read 22 bytes that start with the signature."""
        return cls(*_END.unpack(record)[1:])


class Zip64EndRecord(NamedTuple):
    """ZIP64 end of central directory record, version 1. APPNOTE 4.3.14; 56 bytes.

    offset  size  field
    0       4     signature, "PK" 6 6
    4       8     size of what follows: 44, since we neither write nor accept the extensible data sector
    12      2     version made by
    14      2     version needed to extract
    16      4     number of this disk
    20      4     number of the disk where the central directory starts
    24      8     entries on this disk
    32      8     entries in all
    40      8     size of the central directory
    48      8     offset of the central directory
    """

    made_by: int
    version: int
    disk: int
    directory_disk: int
    entries_here: int
    entries: int
    directory_size: int
    directory_offset: int

    def encode(self) -> bytes:
        """Return the record as bytes."""
        return _ZIP64_END.pack(
            ZIP64_END,
            ZIP64_END_SIZE - 12,
            self.made_by,
            self.version,
            self.disk,
            self.directory_disk,
            self.entries_here,
            self.entries,
            self.directory_size,
            self.directory_offset,
        )

    @classmethod
    def decode(cls, record: bytes, offset: int) -> Zip64EndRecord:
        """Read the 56 bytes at `offset`; raises `FormatError` where they are something else."""
        signature, size, *fields = _ZIP64_END.unpack(record)
        if signature != ZIP64_END:
            message = "no ZIP64 end record right before its locator"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.3.14")
        if size != ZIP64_END_SIZE - 12:
            message = f"the ZIP64 end record says {size} bytes, expected {ZIP64_END_SIZE - 12}"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.3.14")
        return cls(*fields)


class Zip64Locator(NamedTuple):
    """ZIP64 end of central directory locator. APPNOTE 4.3.15; 20 bytes.

    offset  size  field
    0       4     signature, "PK" 6 7
    4       4     number of the disk where the ZIP64 end record starts
    8       8     offset of that record
    16      4     number of disks
    """

    disk: int
    offset: int
    disks: int

    def encode(self) -> bytes:
        """Return the locator as bytes."""
        return _ZIP64_LOCATOR.pack(ZIP64_LOCATOR, self.disk, self.offset, self.disks)

    @classmethod
    def decode(cls, record: bytes) -> Zip64Locator:
        """Read 20 bytes that start with the signature."""
        return cls(*_ZIP64_LOCATOR.unpack(record)[1:])


def encode_descriptor(crc: int, packed_size: int, size: int) -> bytes:
    """Return a data descriptor with signature and 8-byte sizes, as it goes with a ZIP64 local header. APPNOTE 4.3.9."""
    return DESCRIPTOR + _DESCRIPTOR64.pack(crc, packed_size, size)


def descriptors(crc: int, packed_size: int, size: int) -> list[bytes]:
    """Return the encodings that a data descriptor of these values may have, the longest first. APPNOTE 4.3.9.

    The signature is optional, and writers disagree on when the sizes have 8 bytes; so they are told apart by content.
    """
    wide = _DESCRIPTOR64.pack(crc, packed_size, size)
    forms = [DESCRIPTOR + wide, wide]
    if packed_size <= U32 and size <= U32:
        narrow = _DESCRIPTOR32.pack(crc, packed_size, size)
        forms += [DESCRIPTOR + narrow, narrow]
    return sorted(forms, key=len, reverse=True)
