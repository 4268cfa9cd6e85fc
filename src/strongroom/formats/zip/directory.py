"""Finds and reads the central directory of a ZIP file: which entries there are, and where."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.compression import BY_ZIP_METHOD
from strongroom.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from strongroom.flow import CHUNK
from strongroom.formats import Entry
from strongroom.formats.zip import extras, spec
from strongroom.names import check_tree
from strongroom.source import Cursor, read

if TYPE_CHECKING:
    from typing import Literal

    from strongroom.limits import Limits
    from strongroom.source import Source

LONGEST_COMMENT: Final = 0xFFFF
"""Of an archive, in bytes, by the size of its length. APPNOTE 4.3.16."""
_DOS_DIRECTORY: Final = 0x10  # in the external attributes (APPNOTE 4.4.15)
_NAMELESS: Final = "-"  # 7-Zip gives what it reads from a pipe no name (so APPNOTE 4.4.17); this is the one of Info-ZIP


class Record(NamedTuple):
    """An entry as the central directory has it, with its ZIP64 values in place.

    `offset` is the position of the local header in the file, `limit` that of whatever comes next. `manifest` is what
    the manifest stored with it.
    """

    number: int
    entry: Entry
    header: spec.CentralHeader
    aes: extras.AesExtra | None
    manifest: bytes
    offset: int
    limit: int = 0

    @property
    def method(self) -> int:
        """The number of the compression method, also where the entry is encrypted."""
        return self.aes.method if self.aes else self.header.method


class _End(NamedTuple):
    """What the end records say: `shift` is the length of what was put before the archive, a program for instance."""

    entries: int
    start: int
    size: int
    shift: int
    comment: bytes


class Directory:
    """The records of an archive's central directory, by name and in order.

    `start` is its place in the file, `shift` the length of what was put before the archive; `raw` are its bytes, `ends`
    those of the end records and of the archive comment.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        end = _find_end(source)
        if end.entries > limits.entries:
            message = f"the archive has {end.entries} entries, above the entries limit of {limits.entries}"
            raise LimitError(message)
        if end.size > limits.header_size:
            message = f"the central directory has {end.size} bytes, above the header_size limit of {limits.header_size}"
            raise LimitError(message)
        self.start: int = end.start
        self.shift: int = end.shift
        self.comment: bytes = end.comment
        self.raw: bytes = read(source, end.start, end.size)
        self.ends: bytes = read(source, end.start + end.size, source.size - end.start - end.size)
        cursor = Cursor(self.raw, end.start)
        found = [_decode(number, cursor, end, limits) for number in range(end.entries)]
        if cursor.left:
            if cursor.take(min(cursor.left, len(spec.SIGNATURE)), "a record") == spec.SIGNATURE:
                message = "the central directory has a digital signature"
                raise UnsupportedError(message)
            message = f"{cursor.left} bytes follow the last of {end.entries} central directory headers"
            raise FormatError(message, offset=cursor.offset, spec="APPNOTE 4.3.12")
        self.records: list[Record] = _bound(found, end.start)
        _refuse_hidden_start(source, min((record.offset for record in found), default=end.start))
        self.by_name: dict[str, Record] = {record.entry.name: record for record in self.records}
        check_tree(((record.entry.name, record.entry.kind) for record in self.records), limits.entries)
        size = sum(record.entry.size for record in self.records)
        packed_size = sum(record.entry.packed_size for record in self.records)
        if limits.is_bomb(size, packed_size):
            message = f"the entries unpack to {size} bytes from {packed_size}, above the ratio limit of {limits.ratio}"
            raise LimitError(message)


def _find_end(source: Source) -> _End:
    """Find the end of central directory record, and the ZIP64 one. APPNOTE 4.3.14 to 4.3.16."""
    tail_size = min(source.size, LONGEST_COMMENT + spec.END_SIZE)
    tail_offset = source.size - tail_size
    tail = read(source, tail_offset, tail_size)
    position = tail.rfind(spec.END)
    if position < 0:
        message = "the end of the ZIP file is missing: there is no end of central directory record"
        raise FormatError(message, spec="APPNOTE 4.3.16")
    offset = tail_offset + position
    if len(tail) - position < spec.END_SIZE:
        message = "the end of central directory record is cut off"
        raise TruncatedError(message, offset=offset, spec="APPNOTE 4.3.16")
    record = spec.EndRecord.decode(tail[position : position + spec.END_SIZE])
    if record.comment_length > len(tail) - position - spec.END_SIZE:
        # The signature may also stand inside a comment, behind the record that other readers take.
        message = "the archive comment is cut off, or hides a second end record"
        raise FormatError(message, offset=offset, spec="APPNOTE 4.3.16")
    _refuse_second_end(tail, position, tail_offset)
    values, end = _resolve_zip64(source, record, offset)
    count, size, start = values
    shift = end - size - start
    if shift < 0:
        message = f"the central directory of {size} bytes at {start} reaches past its end record"
        raise FormatError(message, offset=end, spec="APPNOTE 4.3.16")
    if count * spec.CENTRAL_SIZE > size:
        message = f"{count} entries do not fit in a central directory of {size} bytes"
        raise FormatError(message, offset=offset, spec="APPNOTE 4.4.22")
    comment = tail[position + spec.END_SIZE :][: record.comment_length]
    return _End(count, start + shift, size, shift, comment)


def _refuse_second_end(tail: bytes, position: int, tail_offset: int) -> None:
    """Refuse an earlier end record whose comment would hold this one: readers that search forward take that."""
    earlier = tail.rfind(spec.END, 0, position)
    while earlier >= 0:
        record = spec.EndRecord.decode(tail[earlier : earlier + spec.END_SIZE])
        if earlier + spec.END_SIZE + record.comment_length == len(tail):
            message = "a second end of central directory record stands in the archive comment"
            raise FormatError(message, offset=tail_offset + earlier, spec="APPNOTE 4.3.16")
        earlier = tail.rfind(spec.END, 0, earlier)


def _resolve_zip64(source: Source, record: spec.EndRecord, offset: int) -> tuple[tuple[int, int, int], int]:
    """Return count, size and start of the directory, and where it must end."""
    values = record.entries, record.directory_size, record.directory_offset
    locator_offset = offset - spec.ZIP64_LOCATOR_SIZE
    raw = read(source, locator_offset, spec.ZIP64_LOCATOR_SIZE) if locator_offset >= 0 else b""
    if not raw.startswith(spec.ZIP64_LOCATOR):
        _refuse_disks(record.disk, record.directory_disk, record.entries_here, record.entries)
        return values, offset
    locator = spec.Zip64Locator.decode(raw)
    if locator.disk or locator.disks > 1:
        _refuse_disks(1, 0, 0, 0)
    end = locator_offset - spec.ZIP64_END_SIZE
    if end < locator.offset:
        message = "the ZIP64 end record does not stand right before its locator"
        raise FormatError(message, offset=locator_offset, spec="APPNOTE 4.3.15")
    zip64 = spec.Zip64EndRecord.decode(read(source, end, spec.ZIP64_END_SIZE), end)
    _refuse_disks(zip64.disk, zip64.directory_disk, zip64.entries_here, zip64.entries)
    wide = zip64.entries, zip64.directory_size, zip64.directory_offset
    for value, sentinel, true in zip(values, (spec.U16, spec.U32, spec.U32), wide, strict=True):
        if value not in (sentinel, true):
            message = f"the end record says {value} where the ZIP64 end record says {true}"
            raise FormatError(message, offset=offset, spec="APPNOTE 4.4.1.4")
    if end - zip64.directory_size - zip64.directory_offset != end - locator.offset:
        message = "the ZIP64 end record does not follow the central directory"
        raise FormatError(message, offset=end, spec="APPNOTE 4.3.6")
    return wide, end


def _refuse_disks(disk: int, directory_disk: int, here: int, entries: int) -> None:
    if disk or directory_disk or here != entries:
        message = "the archive is one part of several (multi-disk)"
        raise UnsupportedError(message)


def _decode(number: int, cursor: Cursor, end: _End, limits: Limits) -> Record:
    place = cursor.offset
    header = spec.CentralHeader.decode(cursor)
    if len(header.name) > limits.name_length:
        message = f"a name has {len(header.name)} bytes, above the name_length limit of {limits.name_length}"
        raise LimitError(message)
    extra_place = place + spec.CENTRAL_SIZE + len(header.name)
    records = extras.decode_extra(header.extra, extra_place)
    size, packed_size, offset, disk = extras.resolve_zip64(
        records, (header.size, header.packed_size, header.offset, header.disk), extra_place
    )
    _refuse_disks(disk, 0, 0, 0)
    if header.flags & spec.MASKED:
        message = "the central directory is encrypted (PKWARE strong encryption)"
        raise UnsupportedError(message)
    aes = aes_of(header, records, extra_place)
    name = extras.decode_name(header.name, header.flags, records, place, unix=header.unix) or _NAMELESS
    kind = _kind(header, name, place)
    method = aes.method if aes else header.method
    entry = Entry(
        name=name.rstrip("/") if kind == "directory" else name,
        kind=kind,
        size=size,
        packed_size=packed_size,
        modified=extras.decode_time(header.dos_time, records),
        mode=header.external >> 16 or None if header.unix else None,
        method=BY_ZIP_METHOD[method].name if method in BY_ZIP_METHOD else str(method),
        encryption=encryption_of(header, aes),
    )
    _check_sizes(entry, header, place)
    if limits.is_bomb(size, packed_size):
        ratio = size // max(packed_size, 1)
        message = f"{entry.name!r} unpacks to {ratio} times its size, above the ratio limit of {limits.ratio}"
        raise LimitError(message)
    return Record(number, entry, header, aes, records.get(extras.MANIFEST_ID, b""), offset + end.shift)


def aes_of(header: spec.CentralHeader, records: dict[int, bytes], place: int) -> extras.AesExtra | None:
    """Return the AES field of an entry whose header stands at `place`, or None. Raises `FormatError`."""
    data = records.get(extras.AES_ID)
    if header.method != spec.AES_METHOD:
        return None  # a record without the method says nothing
    if data is None or not header.flags & spec.ENCRYPTED:
        message = "compression method 99 without the AES extra field and the encryption flag"
        raise FormatError(message, offset=place, spec="AES II.D")
    return extras.AesExtra.decode(data, place)


def encryption_of(header: spec.CentralHeader, aes: extras.AesExtra | None) -> str | None:
    """Return what `Entry.encryption` says."""
    if aes:
        return f"AES-{aes.key_bits} (AE-{aes.version})"
    if header.flags & spec.STRONG:
        return "PKWARE strong encryption"
    return "ZipCrypto" if header.flags & spec.ENCRYPTED else None


def _kind(header: spec.CentralHeader, name: str, place: int) -> Literal["file", "directory", "symlink"]:
    """Tell what an entry is. Readers go by its name, by its Unix type or by its DOS attributes, which must agree.

    A pipe is a file here: Info-ZIP and 7-Zip keep that type of what they read from one. A link or folder that only
    the Unix type says, under a host that has none, is refused: 7-Zip makes that link, and other readers a file.
    """
    kind, named = stat.S_IFMT(header.external >> 16), name.endswith("/")
    if kind == stat.S_IFLNK and header.unix and not named:
        return "symlink"
    dos = bool(header.external & _DOS_DIRECTORY) and not (header.unix and kind)
    folder = kind == stat.S_IFDIR or dos
    other = kind == stat.S_IFLNK or (header.unix and kind not in (0, stat.S_IFDIR))
    if (folder and not named) or (named and other) or (kind == stat.S_IFLNK and not header.unix):
        message = f"entry {name!r} has external attributes 0x{header.external:08x}, which are of another kind"
        raise FormatError(message, offset=place, spec="APPNOTE 4.4.15")
    return "directory" if named else "file"


def _check_sizes(entry: Entry, header: spec.CentralHeader, place: int) -> None:
    """Refuse sizes that cannot be. Folders carry no data in any tool; some have the end mark of an empty stream."""
    if entry.kind == "directory" and entry.size:
        message = f"folder {entry.name!r} has data"
        raise FormatError(message, offset=place)
    if entry.method == "store" and not header.flags & spec.ENCRYPTED and entry.size != entry.packed_size:
        message = f"stored entry {entry.name!r} has {entry.packed_size} bytes, but its header declares {entry.size}"
        raise FormatError(message, offset=place, spec="APPNOTE 4.4.8")


def _refuse_hidden_start(source: Source, first: int) -> None:
    """Refuse entries before the first one of the directory: readers that go through the file from its front take them.

    What else stands there, such as the program of a self-extracting archive, is nobody's entry.
    """
    overlap = len(spec.LOCAL) - 1
    for start in range(0, first, CHUNK):
        place = read(source, start, min(CHUNK + overlap, first - start)).find(spec.LOCAL)
        if place >= 0:
            message = "an entry that the central directory does not have stands before the first one"
            raise FormatError(message, offset=start + place, spec="APPNOTE 4.3.6")


def _bound(found: list[Record], end: int) -> list[Record]:
    """Give each entry the place where the next thing begins, and refuse those that reach into it."""
    order = sorted(range(len(found)), key=lambda number: found[number].offset)
    following = [found[number].offset for number in order[1:]] + [end]
    records = list(found)
    for number, limit in zip(order, following, strict=False):
        record = found[number]
        least = spec.LOCAL_SIZE + len(record.header.name) + record.entry.packed_size
        if record.offset + least > limit:
            message = f"entry {record.entry.name!r} overlaps what follows it at byte {limit}"
            raise FormatError(message, offset=record.offset)
        records[number] = record._replace(limit=limit)
    return records
