"""The files of a 7z header: names, times, attributes, and which of them are empty or folders.

"7zFormat" and "7zIn" are as in `fields`. All integers are little-endian.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError, LimitError
from strongroom.formats.sevenzip import fields
from strongroom.formats.sevenzip.fields import decode_count, decode_id, decode_number, encode_number
from strongroom.source import Cursor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.limits import Limits

# Property IDs (7zFormat, "Property IDs")
FILES_INFO: Final = 0x05
_END: Final = 0x00
_EMPTY_STREAM: Final = 0x0E
_EMPTY_FILE: Final = 0x0F
_ANTI: Final = 0x10
_NAMES: Final = 0x11
_CREATED: Final = 0x12
_ACCESSED: Final = 0x13
_MODIFIED: Final = 0x14
_ATTRIBUTES: Final = 0x15
_START_POSITION: Final = 0x18
_DUMMY: Final = 0x19

_TIMES: Final = (_CREATED, _ACCESSED, _MODIFIED, _START_POSITION)
_KNOWN: Final = (_EMPTY_STREAM, _EMPTY_FILE, _ANTI, _NAMES, *_TIMES, _ATTRIBUTES)

# Attributes: those of Windows, and p7zip's extension that 7-Zip shares (7zHeader.h and 7zHandler.cpp, 16 and later)
DIRECTORY: Final = 0x10
_ARCHIVE: Final = 0x20
_UNIX_EXTENSION: Final = 0x8000  # the high half is then the Unix mode

_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_TICK: Final = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 10


class File(NamedTuple):
    """What the header says of a file. 7zFormat, "FilesInfo".

    `has_data` is False for what has no substream: a folder where `directory` is True, else an empty file. `anti` marks
    what an update deletes. Times are FILETIMEs: 100 ns since 1601, UTC. `start` is a position that nobody uses.
    """

    name: str
    has_data: bool = True
    directory: bool = False
    anti: bool = False
    created: int | None = None
    accessed: int | None = None
    modified: int | None = None
    attributes: int | None = None
    start: int | None = None

    @property
    def mode(self) -> int | None:
        """The Unix mode with its type bits, or None where the archive has none."""
        if self.attributes is None or not self.attributes & _UNIX_EXTENSION:
            return None
        return self.attributes >> 16


def encode_attributes(mode: int) -> int:
    """Return the attributes for a Unix mode with its type bits."""
    return mode << 16 | _UNIX_EXTENSION | (DIRECTORY if stat.S_ISDIR(mode) else _ARCHIVE)


def encode_time(moment: datetime) -> int:
    """Return a FILETIME; what is before 1601 becomes that year's start."""
    return max((moment - _EPOCH) // timedelta(microseconds=1), 0) * 10


def decode_time(ticks: int) -> datetime:
    """Return the time of a FILETIME; what is past the year 9999 becomes its last second."""
    return _EPOCH + timedelta(microseconds=min(ticks, _LAST_TICK) // 10)


def encode_files(files: Sequence[File]) -> bytes:
    """Return the files info, ID and end mark included. 7zFormat, "FilesInfo"; the order is that of 7-Zip.

    7-Zip pads some properties with a kDummy to whole words; no reader needs that, and we don't.
    """
    empty = [file for file in files if not file.has_data]
    parts = [bytes((FILES_INFO,)), encode_number(len(files))]
    if empty:
        parts += [_property(_EMPTY_STREAM, fields.encode_bits([not file.has_data for file in files]))]
        for number, bits in (
            (_EMPTY_FILE, [not file.directory for file in empty]),
            (_ANTI, [file.anti for file in empty]),
        ):
            if any(bits):
                parts += [_property(number, fields.encode_bits(bits))]
    if any(file.name for file in files):
        text = "".join(file.name + "\0" for file in files)
        parts += [_property(_NAMES, b"\0" + text.encode("utf-16-le", "surrogatepass"))]
    for number, values, size in (
        (_CREATED, [file.created for file in files], 8),
        (_ACCESSED, [file.accessed for file in files], 8),
        (_MODIFIED, [file.modified for file in files], 8),
        (_START_POSITION, [file.start for file in files], 8),
        (_ATTRIBUTES, [file.attributes for file in files], 4),
    ):
        if any(value is not None for value in values):
            data = fields.encode_defined(values) + b"\0" + fields.encode_values(values, size)
            parts += [_property(number, data)]
    return b"".join((*parts, bytes((_END,))))


def _property(number: int, data: bytes) -> bytes:
    return encode_number(number) + encode_number(len(data)) + data


def decode_files(cursor: Cursor, limits: Limits) -> tuple[File, ...]:
    """Read the files info behind its ID; raises `FormatError` where its properties don't fit together.

    Properties may come in any order, but those of empty streams after these, as 7zIn needs it, and none twice.
    """
    count = decode_count(cursor, "the number of files")
    if count > limits.entries:
        message = f"the archive has {count} entries, above the entries limit of {limits.entries}"
        raise LimitError(message)
    names = ("",) * count
    no_data, empty_file, anti = (False,) * count, tuple[bool, ...](), tuple[bool, ...]()
    missing: tuple[int | None, ...] = (None,) * count
    values: dict[int, tuple[int | None, ...]] = dict.fromkeys((*_TIMES, _ATTRIBUTES), missing)
    seen: set[int] = set()
    while (found := decode_id(cursor)) != _END:
        start = cursor.offset
        size = decode_number(cursor, "the size of a property")
        part_offset = cursor.offset
        part = Cursor(cursor.take(size, f"file property 0x{found:02x}"), part_offset)
        if found == _DUMMY:
            if any(part.take(part.left, "padding")):
                message = "the padding is not zeros"
                raise FormatError(message, offset=start, spec="7zFormat, FilesInfo; 7zIn, kDummy")
            continue
        if found in seen or found not in _KNOWN or (found in (_EMPTY_FILE, _ANTI) and _EMPTY_STREAM not in seen):
            raise fields.refuse_id(found, start, "FilesInfo")
        seen.add(found)
        if found == _EMPTY_STREAM:
            no_data = fields.decode_bits(part, count, "which files have no data")
            empty_file = anti = (False,) * sum(no_data)
        elif found == _EMPTY_FILE:
            empty_file = fields.decode_bits(part, sum(no_data), "which files are empty")
        elif found == _ANTI:
            anti = fields.decode_bits(part, sum(no_data), "which files are anti-items")
        elif found == _NAMES:
            names = _decode_names(part, count)
        else:
            what = "the attributes" if found == _ATTRIBUTES else "the times"
            defined = fields.decode_defined(part, count, what)
            fields.refuse_external(part, what)
            values[found] = fields.decode_values(part, defined, 4 if found == _ATTRIBUTES else 8, what)
        if part.left:
            message = f"{part.left} bytes follow file property 0x{found:02x}"
            raise FormatError(message, offset=part.offset, spec="7zFormat, FilesInfo")
    kinds = iter(zip(empty_file, anti, strict=True))
    files: list[File] = []
    rows = zip(names, no_data, *(values[number] for number in (*_TIMES, _ATTRIBUTES)), strict=True)
    for name, without, created, accessed, modified, position, attributes in rows:
        is_file, is_anti = next(kinds) if without else (True, False)
        files.append(File(name, not without, not is_file, is_anti, created, accessed, modified, attributes, position))
    return tuple(files)


def _decode_names(part: Cursor, count: int) -> tuple[str, ...]:
    """Read names in UTF-16, each ended by a NUL. Lone surrogates stay, since Windows has such names."""
    offset = part.offset
    fields.refuse_external(part, "the list of names")
    data = part.take(part.left, "the names")
    if len(data) % 2:
        message = "the names are not whole UTF-16 units"
        raise FormatError(message, offset=offset, spec="7zFormat, FilesInfo")
    names = data.decode("utf-16-le", "surrogatepass").split("\0")
    if len(names) != count + 1 or names.pop():
        message = f"the names are not {count}, each ended by a NUL"
        raise FormatError(message, offset=offset, spec="7zFormat, FilesInfo")
    return tuple(names)
