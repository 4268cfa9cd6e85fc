"""Finds and reads the header of a 7z file: which entries there are, and where their data is."""

from __future__ import annotations

import stat
import warnings
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError, LimitError, StrongroomWarning, UnsupportedError, WrongKeyError
from strongroom.flow import CHUNK
from strongroom.formats import Entry
from strongroom.formats.sevenzip import coders, spec
from strongroom.formats.sevenzip.files import DIRECTORY, File, decode_time
from strongroom.limits import MIB
from strongroom.names import check_tree
from strongroom.source import read, truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal

    from strongroom.formats.sevenzip.streams import Folder, Stream, Streams
    from strongroom.limits import Limits
    from strongroom.source import Source

_LONGEST_STUB: Final = 4 * MIB  # 7-Zip's own are up to 0.5 MiB; installers put theirs in front, too
_NAMELESS: Final = "-"  # 7-Zip derives a name from the archive's, which we do not know; the same as for ZIP
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REPARSE_POINT: Final = 0x400  # a Windows attribute, of links among others


class Place(NamedTuple):
    """Where a pack stream stands in the file."""

    offset: int
    size: int


class Outline(NamedTuple):
    """The parts of an archive from its signature header on, which stands at `origin`, as they are in the file.

    `start` is the signature header, `raw` the header that it points to, at `offset`. Where that is packed, `packs` are
    its pack streams, and `places` says where they are.
    """

    origin: int
    start: bytes
    raw: bytes
    header: spec.Header | spec.EncodedHeader
    offset: int
    places: tuple[Place, ...] = ()
    packs: tuple[bytes, ...] = ()

    @property
    def base(self) -> int:
        """Where the pack streams start."""
        return self.origin + spec.SIGNATURE_SIZE

    @property
    def gap(self) -> Place:
        """What stands between the pack stream of a packed header and that header itself."""
        start = self.places[-1].offset + self.places[-1].size if self.places else self.offset
        return Place(start, self.offset - start)


class Record(NamedTuple):
    """An entry, and where its data is: from byte `start` of what folder number `folder` unpacks to.

    `file` is what the header says of it, and `number` where it stands there. `nth` counts the entries of the folder.
    `folder` is None for what has no data.
    """

    entry: Entry
    file: File
    number: int
    folder: int | None = None
    nth: int = 0
    start: int = 0
    crc: int | None = None


class Archive(NamedTuple):
    """The records of an archive in order, its folders, their pack streams, and each folder's records.

    `encrypted` says whether the header was.
    """

    records: tuple[Record, ...]
    folders: tuple[Folder, ...]
    places: tuple[tuple[Place, ...], ...]
    groups: tuple[tuple[Record, ...], ...]
    encrypted: bool


def find(source: Source) -> int | None:
    """Return where the signature header is: at the start, or behind a program that unpacks the archive.

    The program has the signature in its code, so the first place counts where a sound signature header stands.
    """
    if read(source, 0, min(source.size, len(spec.SIGNATURE))) == spec.SIGNATURE:
        return 0
    head = read(source, 0, min(source.size, _LONGEST_STUB + spec.SIGNATURE_SIZE))
    position = head.find(spec.SIGNATURE)
    while position >= 0:
        record = head[position : position + spec.SIGNATURE_SIZE]
        if len(record) == spec.SIGNATURE_SIZE and zlib.crc32(record[12:]) == int.from_bytes(record[8:12], "little"):
            return position
        position = head.find(spec.SIGNATURE, position + 1)
    return None


def locate(source: Source, limits: Limits) -> Outline:
    """Find the parts of an archive, without a password.

    Raises `FormatError` also where anything follows the header: only between it and the last pack stream, which may be
    its own, there may be something else, which the format does not know of.
    """
    origin = find(source)
    if origin is None:
        message = "no 7z signature: not a 7z file"
        raise FormatError(message, spec="7zFormat, SignatureHeader")
    raw = read(source, origin, min(spec.SIGNATURE_SIZE, source.size - origin))
    start = spec.SignatureHeader.decode(raw, origin)
    base = origin + spec.SIGNATURE_SIZE
    offset = base + start.offset
    end = offset + start.size
    if end > source.size:
        raise truncated(source, end)
    if end < source.size:
        message = f"{source.size - end} bytes follow the header"
        raise FormatError(message, offset=end, spec="7zFormat, Archive structure")
    if not start.size:
        if start.offset or start.crc:
            message = "an archive without a header has bytes before it, or a CRC of it"
            raise FormatError(message, offset=origin, spec="7zFormat, SignatureHeader")
        return Outline(origin, raw, b"", spec.Header(), offset)
    _check_header_size(start.size, limits)
    data = read(source, offset, start.size)
    if zlib.crc32(data) != start.crc:
        message = "the header does not match its CRC"
        raise FormatError(message, offset=offset, spec="7zFormat, SignatureHeader")
    header = spec.decode_header(data, offset, limits)
    if not isinstance(header, spec.EncodedHeader):
        return Outline(origin, raw, data, header, offset)
    places = _places(header.streams, base, offset)
    if len(places) != 1 or len(header.streams.substreams[0]) != 1:
        message = "the packed header is not one folder with one stream"
        raise FormatError(message, spec="7zFormat, HeaderInfo")
    _check_header_size(max(header.streams.folders[0].size, *(place.size for place in places[0])), limits)
    _check_folders(header.streams, places, limits)
    return Outline(origin, raw, data, header, offset, places[0], _packs(source, header.streams, places[0]))


def _packs(source: Source, streams: Streams, places: Sequence[Place]) -> tuple[bytes, ...]:
    packs = tuple(read(source, place.offset, place.size) for place in places)
    for stream, place, pack in zip(streams.packs, places, packs, strict=True):
        if stream.crc is not None and zlib.crc32(pack) != stream.crc:
            message = "the packed header does not match its CRC"
            raise FormatError(message, offset=place.offset, spec="7zFormat, PackInfo")
    return packs


def load(outline: Outline, limits: Limits, tools: coders.Tools) -> Archive:
    """Decode the header, decrypted and unpacked where it is; raises `WrongKeyError` where the password does not fit it.

    Raises `FormatError` also where anything stands before or behind the pack streams that the format does not know of.
    """
    header, encrypted = outline.header, False
    limit = outline.offset
    if isinstance(header, spec.EncodedHeader):
        encrypted = is_encrypted(header.streams.folders[0])
        data = _unpack(outline, header.streams, tools)
        limit = outline.places[0].offset
        header = spec.decode_header(data, limit, limits)
        if isinstance(header, spec.EncodedHeader):
            message = "the packed header has another packed header in it"
            raise UnsupportedError(message)
    if header.streams.packs and header.streams.position:
        message = f"{header.streams.position} bytes stand before the first pack stream"
        raise FormatError(message, offset=outline.base, spec="7zFormat, PackInfo")
    places = _places(header.streams, outline.base, limit)
    end = outline.base + sum(pack.size for pack in header.streams.packs)
    if outline.places and end != limit:
        message = f"{limit - end} bytes stand between the pack streams and the packed header"
        raise FormatError(message, offset=end, spec="7zFormat, Archive structure")
    _check_folders(header.streams, places, limits)
    return _archive(header, places, limits, encrypted=encrypted)


def _check_header_size(size: int, limits: Limits) -> None:
    if size > limits.header_size:
        message = f"the header has {size} bytes, above the header_size limit of {limits.header_size}"
        raise LimitError(message)


def _places(streams: Streams, base: int, limit: int) -> tuple[tuple[Place, ...], ...]:
    """Return where the pack streams of each folder stand; they follow each other, up to `limit` at most."""
    offset = base + streams.position
    found: list[Place] = []
    for pack in streams.packs:
        found.append(Place(offset, pack.size))
        offset += pack.size
    if offset > limit:
        message = f"the pack streams overlap what follows them at byte {limit}"
        raise FormatError(message, offset=base + streams.position, spec="7zFormat, PackInfo")
    places = iter(found)
    return tuple(tuple(next(places) for _ in folder.packed) for folder in streams.folders)


def _unpack(outline: Outline, streams: Streams, tools: coders.Tools) -> bytes:
    """Unpack a header. That its CRC holds is what says that the password is right; py7zr once wrote none."""
    folder, crc = streams.folders[0], streams.substreams[0][0].crc
    coders.check(folder)
    encrypted = is_encrypted(folder)
    coders.derive_keys(folder, tools)
    try:
        packs = [_chunks(pack) for pack in outline.packs]
        data = b"".join(map(bytes, coders.unpack(folder, packs, tools)))
    except (FormatError, LimitError):
        if not encrypted:
            raise
        data = None
    if data is None or (crc is not None and zlib.crc32(data) != crc):
        if encrypted:
            message = "the password does not fit the header, or that is damaged: nothing tells these apart"
            raise WrongKeyError(message)
        message = "the unpacked header does not match its CRC"
        raise FormatError(message, offset=outline.places[0].offset, spec="7zFormat, HeaderInfo")
    return data


def _chunks(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))


def _check_folders(streams: Streams, places: Sequence[Sequence[Place]], limits: Limits) -> None:
    """Refuse folders that unpack to too much, or make a coder do so on the way."""
    sizes = [(max(folder.sizes), sum(place.size for place in group)) for folder, group in _zip(streams.folders, places)]
    sizes.append((sum(folder.size for folder in streams.folders), sum(packed_size for _, packed_size in sizes)))
    for size, packed_size in sizes:
        if limits.is_bomb(size, packed_size):
            message = f"a folder unpacks to {size} bytes from {packed_size}, above the ratio limit of {limits.ratio}"
            raise LimitError(message)


def _zip(folders: Sequence[Folder], places: Sequence[Sequence[Place]]) -> Iterator[tuple[Folder, Sequence[Place]]]:
    return zip(folders, places, strict=True)


def _archive(header: spec.Header, places: tuple[tuple[Place, ...], ...], limits: Limits, *, encrypted: bool) -> Archive:
    streams = header.streams
    describe = [_describer(folder, group) for folder, group in _zip(streams.folders, places)]
    groups: list[list[Record]] = [[] for _ in streams.folders]
    substreams = _walk(streams)
    nameless = sum(not file.name for file in header.files) > 1
    records: list[Record] = []
    for number, file in enumerate(header.files):
        _check_name_length(file, limits)
        if file.anti:
            message = f"{file.name!r} is an anti-item, which has other tools delete a file, and was left out"
            warnings.warn(message, StrongroomWarning, stacklevel=2)
            continue
        name = _name(file) or (f"{_NAMELESS}{number + 1}" if nameless else _NAMELESS)
        if file.has_data:
            folder, start, stream = next(substreams)
            entry = describe[folder](file, name, stream.size)
            record = Record(entry, file, number, folder, len(groups[folder]), start, stream.crc)
            groups[folder].append(record)
        else:
            record = Record(_entry(file, name, encryption="AES-256" if encrypted else None), file, number)
        records.append(record)
    check_tree(((record.entry.name, record.entry.kind) for record in records), limits.entries)
    return Archive(tuple(records), streams.folders, places, tuple(map(tuple, groups)), encrypted)


def _walk(streams: Streams) -> Iterator[tuple[int, int, Stream]]:
    """Give each substream with its folder's number, and where it starts in what that unpacks to."""
    for number, group in enumerate(streams.substreams):
        start = 0
        for stream in group:
            yield number, start, stream
            start += stream.size


def _name(file: File) -> str:
    """Return the name. Some writers on Windows leave its separators in it, which no name that we take can have."""
    return file.name if "/" in file.name else file.name.replace("\\", "/")


def _check_name_length(file: File, limits: Limits) -> None:
    size = len(file.name.encode("utf-8", "surrogatepass"))  # as `create` counts, whatever the format
    if size > limits.name_length:
        message = f"a name has {size} bytes, above the name_length limit of {limits.name_length}"
        raise LimitError(message)


def _describer(folder: Folder, places: Sequence[Place]) -> Callable[[File, str, int], Entry]:
    """Return what makes entries of a folder. Of several entries each gets its share of the packed size."""
    method = _method(folder)
    encryption = "AES-256" if is_encrypted(folder) else None
    packed_size = sum(place.size for place in places)

    def describe(file: File, name: str, size: int) -> Entry:
        share = packed_size * size // folder.size if folder.size else 0
        return _entry(file, name, size=size, packed_size=share, method=method, encryption=encryption)

    return describe


def _method(folder: Folder) -> str:
    """Return the name of the method that compresses, or of the filter where there is only that."""
    methods = [coders.method(coder) for coder in folder.coders]
    return min(methods, key=lambda method: method.role).name


def is_encrypted(folder: Folder) -> bool:
    """Whether all that the folder reads is encrypted; what is so in parts only counts as if it were not."""
    owner = [coder.method for coder in folder.coders for _ in range(coder.inputs)]
    return all(owner[index] == spec.AES for index in folder.packed)


def _entry(  # noqa: PLR0913 - an entry has as many parts
    file: File, name: str, *, size: int = 0, packed_size: int = 0, method: str = "store", encryption: str | None
) -> Entry:
    kind = _kind(file)
    return Entry(
        name=name.rstrip("/") if kind == "directory" else name,
        kind=kind,
        size=size,
        packed_size=packed_size,
        modified=_NO_TIME if file.modified is None else decode_time(file.modified),
        mode=file.mode,
        method=method,
        encryption=encryption,
    )


def _kind(file: File) -> Literal["file", "directory", "symlink"]:
    """Return what the entry is; raises `FormatError` where its attributes say something else than its streams do."""
    attributes, mode = file.attributes or 0, file.mode or 0
    if (attributes & DIRECTORY or stat.S_ISDIR(mode)) and not file.directory:
        message = f"{file.name!r} is a folder by its attributes, and a file by its data"
        raise FormatError(message, spec="7zFormat, FilesInfo")
    if file.directory:
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) or attributes & _REPARSE_POINT else "file"
