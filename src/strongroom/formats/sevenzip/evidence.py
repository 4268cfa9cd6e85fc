"""What the manifest is shown of a 7z file, by its writer as by its reader: raw bytes, and where it is stored.

It stands between the pack stream of the header and the header that points to it, where nothing refers to; 7-Zip and
py7zr seek past it. First the records, one an entry, then the tail. Its key comes from the archive's own.
"""

from __future__ import annotations

import threading
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError, LimitError, StrongroomError
from strongroom.formats.sevenzip import coders, crypto, spec
from strongroom.formats.sevenzip.digests import Digests, TagKey
from strongroom.formats.sevenzip.streams import Stream
from strongroom.manifest import Evidence
from strongroom.manifest.keys import Key, stamp
from strongroom.manifest.spec import RECORD_SIZE, TAG_SIZE, TAIL_SIZE, Tail
from strongroom.source import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats.sevenzip.directory import Archive, Outline, Record
    from strongroom.formats.sevenzip.files import File
    from strongroom.formats.sevenzip.streams import Folder
    from strongroom.limits import Limits
    from strongroom.source import Source

LABEL: Final = "strongroom manifest 1 7z"
_TIME: Final = Struct("<?Q")
_ATTRIBUTES: Final = Struct("<???I")
_DATA: Final = Struct("<QQI")
_PLACE: Final = Struct("<Q")


def derive(key: Callable[[crypto.AesProperties], crypto.Key], front: bytes, rounds: int) -> Key:
    """Make the manifest's key of the archive's own, which `front` and `rounds` name; see `Sealer.share`.

    Raises `FormatError` for a number of rounds that no key of the format has.
    """
    return Key.expand(_own(key, front, rounds).secret, LABEL, front, rounds)


def _own(key: Callable[[crypto.AesProperties], crypto.Key], front: bytes, rounds: int) -> crypto.Key:
    if rounds.bit_count() != 1:
        message = f"the manifest's key takes {rounds} rounds, not a power of two"
        raise FormatError(message)
    return key(crypto.AesProperties(rounds.bit_length() - 1, stamp(front), b""))


class Part(NamedTuple):
    """An entry's part of a folder: its number there, size and CRC-32, and the digests of the folder's pack streams."""

    folder: Folder
    packs: tuple[Stream, ...]
    digests: tuple[bytes, ...]
    nth: int
    stream: Stream


def evidence(file: File, part: Part | None) -> Evidence:
    """Return what the manifest is shown of an entry; `part` is None for what has no data.

    Folders and pack streams have no numbers in it: these change where another entry is deleted.
    """
    name = file.name.encode("utf-16-le", "surrogatepass")
    times = b"".join(map(_time, (file.created, file.accessed, file.modified, file.start)))
    attributes = _ATTRIBUTES.pack(file.directory, file.anti, file.attributes is not None, file.attributes or 0)
    packing, data, salt, words = b"", b"", b"", "no data"
    digests: tuple[bytes, ...] = ()
    if part is not None:
        folder, digests = part.folder, part.digests
        sizes = (*folder.sizes, *(pack.size for pack in part.packs), part.stream.size)
        methods = b"".join(
            bytes((len(coder.method),)) + coder.method + (b"" if coder.method == spec.AES else coder.properties)
            for coder in folder.coders
        )
        packing = methods + b"".join(_PLACE.pack(size) for size in sizes)
        data = _DATA.pack(part.nth, part.stream.size, part.stream.crc or 0) + folder.encode()
        salt = next(iter(salts(folder)), b"")
        words = f"{', '.join(coders.method(coder).name for coder in folder.coders)}, {part.stream.size} bytes"
    return Evidence(
        parts=(name, times, attributes, packing, data, *digests),
        aspects=(name, times, attributes, packing, data),
        salt=salt,
        name=file.name,
        packing=words,
        rest="other data",
    )


def _time(ticks: int | None) -> bytes:
    return _TIME.pack(ticks is not None, ticks or 0)


def salts(folder: Folder) -> list[bytes]:
    """Return the salts of a folder's encryption."""
    return [properties.salt for properties in coders.encryption(folder)]


def whole(origin: int, start: bytes, header: bytes, packs: tuple[bytes, ...], manifest: bytes) -> tuple[bytes, ...]:
    """Return the parts of the whole: all of the file but the pack streams of entries, and the tag that ends `manifest`.

    They begin with the length of what stands before the archive, which is nothing when it is written.
    """
    return _PLACE.pack(origin), start, header, b"".join(packs), manifest[:-TAG_SIZE]


class Shown:
    """See `manifest.Shown`. `load` decodes the header, which happens only once the manifest has spoken of it.

    `key` gives the archive's own keys. Wiped by `close()`.
    """

    def __init__(
        self,
        source: Source,
        outline: Outline,
        limits: Limits,
        load: Callable[[], Archive],
        key: Callable[[crypto.AesProperties], crypto.Key],
    ) -> None:
        self._source = source
        self._outline = outline
        self._load = load
        self._key = key
        manifest = manifest_of(source, outline, limits)
        self.fields: Sequence[bytes] = _fields(manifest)
        self.whole: tuple[bytes, ...] = ()
        if manifest:
            self.whole = whole(outline.origin, outline.start, outline.raw, outline.packs, manifest)
        self._archive: Archive | None = None
        self._digests: Digests | None = None
        self._tag_key: TagKey | None = None
        self._lock = threading.Lock()

    @property
    def salt(self) -> bytes:
        """See `manifest.Shown`."""
        header = self._outline.header
        return b"" if isinstance(header, spec.Header) else next(iter(salts(header.streams.folders[0])), b"")

    @property
    def oddities(self) -> list[str]:
        """See `manifest.Shown`."""
        return [f"{self._outline.origin} bytes were put before the archive"] if self._outline.origin else []

    @property
    def count(self) -> int:
        """See `manifest.Shown`."""
        return len(self.archive().records)

    def evidence(self, position: int) -> Evidence:
        """See `manifest.Shown`. Reads the pack streams of the entry's folder, to tell whether they are as they were."""
        archive = self.archive()
        record = archive.records[position]
        if self._digests is None:
            self._digests = self.digests(threads=1)
        digests = () if record.folder is None else self._digests.of(record.folder)
        return described(archive, record, digests)

    def authentic(self) -> bool:
        """See `manifest.Shown`; that the header decodes to its CRC-32 says it."""
        try:
            self.archive()
        except StrongroomError:
            return False
        return True

    def digests(self, threads: int) -> Digests:
        """Return what takes digests that can be held against the manifest's."""
        archive = self.archive()
        return Digests(self._source, archive.folders, archive.places, self._tags, threads)

    def close(self) -> None:
        """Wipe the key of the tags."""
        if self._tag_key is not None:
            self._tag_key.close()

    def _tags(self) -> TagKey:
        """Return the key of the tags, of the archive's own as the manifest's tail names it."""
        with self._lock:
            if self._tag_key is None:
                tail = Tail.decode(self.fields[-1][-TAIL_SIZE:])
                self._tag_key = TagKey(_own(self._key, tail.salt, tail.rounds).secret)
            return self._tag_key

    def archive(self) -> Archive:
        """Return what the header decodes to; raises as `directory.load`."""
        if self._archive is None:
            self._archive = self._load()
        return self._archive


def described(archive: Archive, record: Record, digests: tuple[bytes, ...]) -> Evidence:
    """Return the evidence of an entry whose folder's pack streams have these digests."""
    if record.folder is None:
        return evidence(record.file, None)
    folder = archive.folders[record.folder]
    stream = Stream(record.entry.size, record.crc)
    packs = tuple(Stream(place.size) for place in archive.places[record.folder])
    return evidence(record.file, Part(folder, packs, digests, record.nth, stream))


def manifest_of(source: Source, outline: Outline, limits: Limits) -> bytes:
    """Return what stands in the gap, if it has the shape of a manifest; else nothing.

    A gap of other tools has this shape once in 2^32 times.
    """
    gap = outline.gap
    if gap.size < TAIL_SIZE:
        return b""
    try:
        tail = Tail.decode(read(source, gap.offset + gap.size - TAIL_SIZE, TAIL_SIZE))
    except FormatError:
        return b""
    if gap.size != tail.entries * RECORD_SIZE + TAIL_SIZE:
        return b""
    if gap.size > limits.header_size:
        message = f"the manifest has {gap.size} bytes, above the header_size limit of {limits.header_size}"
        raise LimitError(message)
    return read(source, gap.offset, gap.size)


def _fields(manifest: bytes) -> Sequence[bytes]:
    """Return the records, the last with the tail."""
    starts = range(0, max(len(manifest) - TAIL_SIZE, 0), RECORD_SIZE)
    fields = [manifest[start : start + RECORD_SIZE] for start in starts]
    if not fields:
        return [manifest] if manifest else []
    return [*fields[:-1], fields[-1] + manifest[-TAIL_SIZE:]]
