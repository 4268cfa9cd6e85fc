"""The records of a 7z file, as bytes: how it starts, and its header, of which `streams` and `files` have the parts.

"7zFormat" is as in `fields`. All integers are little-endian. Decoding is stricter than 7-Zip's: what that would skip
(properties that it does not know) or ignore (bytes behind the last one) is an error, so that two readers cannot differ.

The file is the signature header, the pack streams, a gap, and the header. The gap, which the format knows nothing of,
is where an attachment of ours stands. An encoded header is itself packed: its pack stream is then the last one.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError, UnsupportedError
from strongroom.formats.sevenzip import fields
from strongroom.formats.sevenzip.fields import decode_id, decode_number, encode_number
from strongroom.formats.sevenzip.files import FILES_INFO, File, decode_files, encode_files
from strongroom.formats.sevenzip.streams import Streams
from strongroom.source import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.limits import Limits

SIGNATURE: Final = b"7z\xbc\xaf\x27\x1c"
VERSION: Final = (0, 4)

# Property IDs (7zFormat, "Property IDs")
_END: Final = 0x00
_HEADER: Final = 0x01
_ARCHIVE_PROPERTIES: Final = 0x02
_ADDITIONAL_STREAMS: Final = 0x03
_MAIN_STREAMS: Final = 0x04
_ENCODED_HEADER: Final = 0x17

# Method IDs (DOC/Methods.txt of the 7-Zip source, 18.06 and later)
COPY: Final = b"\x00"
DELTA: Final = b"\x03"
BCJ_X86: Final = b"\x03\x03\x01\x03"
ARM: Final = b"\x03\x03\x05\x01"
ARM64: Final = b"\x0a"
LZMA: Final = b"\x03\x01\x01"
LZMA2: Final = b"\x21"
PPMD: Final = b"\x03\x04\x01"
BZIP2: Final = b"\x04\x02\x02"
DEFLATE: Final = b"\x04\x01\x08"
DEFLATE64: Final = b"\x04\x01\x09"
AES: Final = b"\x06\xf1\x07\x01"

METHOD_NAMES: Final = {
    COPY: "store",
    LZMA: "lzma",
    LZMA2: "lzma",  # one word for both, that of `create`
    PPMD: "ppmd",
    BZIP2: "bzip2",
    DEFLATE: "deflate",
    DEFLATE64: "deflate64",
}
"""What `Entry.method` says of the coder that compresses."""

_START: Final = Struct("<6sBBI")
_NEXT: Final = Struct("<QQI")
SIGNATURE_SIZE: Final = _START.size + _NEXT.size


class SignatureHeader(NamedTuple):
    """Signature header. 7zFormat, "SignatureHeader"; the first 32 bytes of the file.

    offset  size  field
    0       6     signature, "7z" BC AF 27 1C
    6       2     version, major and minor: 0 and 4; minor versions from 0 on are read
    8       4     CRC-32 of the 20 bytes that follow
    12      8     offset of the header, from byte 32
    20      8     size of the header
    28      4     CRC-32 of the header
    """

    offset: int
    size: int
    crc: int

    def encode(self) -> bytes:
        """Return the signature header as bytes."""
        start = _NEXT.pack(self.offset, self.size, self.crc)
        return _START.pack(SIGNATURE, *VERSION, zlib.crc32(start)) + start

    @classmethod
    def decode(cls, record: bytes, offset: int = 0) -> SignatureHeader:
        """Read the 32 bytes at `offset`; raises `FormatError` where they are something else, or damaged."""
        cursor = Cursor(record, offset)
        signature, major, minor, crc = _START.unpack(cursor.take(_START.size, "the signature header"))
        start = cursor.take(_NEXT.size, "the signature header")
        if signature != SIGNATURE:
            message = "no 7z signature"
            raise FormatError(message, offset=offset, spec="7zFormat, SignatureHeader")
        if major != VERSION[0]:
            message = f"version {major}.{minor} of the 7z format"
            raise UnsupportedError(message)
        if zlib.crc32(start) != crc:
            message = "the start header does not match its CRC"
            raise FormatError(message, offset=offset + 8, spec="7zFormat, SignatureHeader")
        return cls(*_NEXT.unpack(start))


class EncodedHeader(NamedTuple):
    """A header that is packed: the streams of which the first folder is the header. 7zFormat, "HeaderInfo"."""

    streams: Streams

    def encode(self) -> bytes:
        """Return the encoded header as bytes."""
        return bytes((_ENCODED_HEADER,)) + self.streams.encode()


class Header(NamedTuple):
    """The header: streams, and files. 7zFormat, "Header".

    The files that have data take the substreams in order. `properties` are those of the archive, by ID; nobody is
    known to write any.
    """

    streams: Streams = Streams()
    files: tuple[File, ...] = ()
    properties: tuple[tuple[int, bytes], ...] = ()

    def encode(self) -> bytes:
        """Return the header as bytes."""
        parts = [bytes((_HEADER,))]
        if self.properties:
            parts += [bytes((_ARCHIVE_PROPERTIES,))]
            parts += [encode_number(number) + encode_number(len(data)) + data for number, data in self.properties]
            parts += [bytes((_END,))]
        if self.streams != Streams():
            parts += [bytes((_MAIN_STREAMS,)), self.streams.encode()]
        if self.files:
            parts += [encode_files(self.files)]
        return b"".join((*parts, bytes((_END,))))


def decode_header(data: bytes, offset: int, limits: Limits) -> Header | EncodedHeader:
    """Read the header, packed or not, that stands at `offset`; raises `FormatError` also for bytes that follow it."""
    cursor = Cursor(data, offset)
    found = decode_id(cursor)
    if found not in (_HEADER, _ENCODED_HEADER):
        raise fields.refuse_id(found, offset, "Header")
    if found == _ENCODED_HEADER:
        result: Header | EncodedHeader = EncodedHeader(Streams.decode(cursor, limits))
    else:
        result = _decode_plain_header(cursor, limits)
    if cursor.left:
        message = f"{cursor.left} bytes follow the end of the header"
        raise FormatError(message, offset=cursor.offset, spec="7zFormat, Header")
    return result


def _decode_plain_header(cursor: Cursor, limits: Limits) -> Header:
    properties: tuple[tuple[int, bytes], ...] = ()
    streams = Streams()
    files: tuple[File, ...] = ()
    found = decode_id(cursor)
    if found == _ARCHIVE_PROPERTIES:
        properties = tuple(_decode_properties(cursor))
        found = decode_id(cursor)
    if found == _ADDITIONAL_STREAMS:
        message = "the header has additional streams"
        raise UnsupportedError(message)
    if found == _MAIN_STREAMS:
        streams = Streams.decode(cursor, limits)
        found = decode_id(cursor)
    offset = cursor.offset
    if found == FILES_INFO:
        files = decode_files(cursor, limits)
        found = decode_id(cursor)
    if found != _END:
        raise fields.refuse_id(found, cursor.offset - 1, "Header")
    with_data = sum(file.has_data for file in files)
    substreams = sum(map(len, streams.substreams))
    if with_data != substreams:
        message = f"{with_data} files have data, and there are {substreams} substreams"
        raise FormatError(message, offset=offset, spec="7zFormat, FilesInfo")
    return Header(streams, files, properties)


def _decode_properties(cursor: Cursor) -> Iterator[tuple[int, bytes]]:
    while found := decode_id(cursor):
        yield found, cursor.take(decode_number(cursor, "the size of a property"), "an archive property")
