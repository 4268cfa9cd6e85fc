"""What the manifest is shown of a ZIP file, by its writer as by its reader: raw bytes, and where it is stored.

It is stored in an extra field of each central directory header, which other tools skip (APPNOTE 4.5.2); in an archive
without entries, which has no such header, as text in the archive comment.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import StrongroomError
from strongroom.formats.zip import crypto, extras, spec
from strongroom.formats.zip.local import Place, locate
from strongroom.manifest import Evidence
from strongroom.manifest.spec import TAG_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.formats import Entry
    from strongroom.formats.zip.directory import Directory, Record
    from strongroom.source import Source

_COMMENT: Final = b"strongroom manifest 1: "
_ATTRIBUTES: Final = Struct("<HHI")
_PACKING: Final = Struct("<HHHIQQ")
_PLACE: Final = Struct("<QQ")


class Around(NamedTuple):
    """The raw bytes around an entry's data: local header, data descriptor, salt with verifier, authentication code."""

    local: bytes = b""
    descriptor: bytes = b""
    head: bytes = b""
    code: bytes = b""


def evidence(entry: Entry, header: spec.CentralHeader, around: Around) -> Evidence:
    """Return what the manifest is shown of an entry; `header` is without the manifest's own field."""
    times, others = list[bytes](), list[bytes]()
    aes = b""
    for _, header_id, data in extras.extra_records(header.extra, 0):
        if header_id in (extras.TIME_ID, extras.NTFS_ID):
            times.append(data)
        elif header_id == extras.AES_ID:
            aes = data
        elif header_id != extras.ZIP64_ID:
            others.append(extras.encode_extra(header_id, data))
    attributes = _ATTRIBUTES.pack(header.made_by, header.internal, header.external)
    # The sizes are the true ones: the ZIP64 field also has the offset, and what was only moved was not repacked.
    packing = _PACKING.pack(header.version, header.flags, header.method, header.crc, entry.packed_size, entry.size)
    return Evidence(
        parts=(header.encode(), around.local, around.descriptor, around.head, around.code),
        aspects=(
            header.name,
            header.dos_time.to_bytes(4, "little") + b"".join(times),
            attributes + b"".join(others) + header.comment,
            packing + aes,
            around.head + around.code,
        ),
        salt=around.head[: -crypto.VERIFIER_SIZE],
        name=entry.name,
        packing=f"{entry.method}, {entry.encryption or 'not encrypted'}, {entry.size} bytes",
        rest="another local header",
    )


def encode_with_field(header: spec.CentralHeader, field: bytes) -> bytes:
    """Return the header as bytes, with the manifest's field, which stands last in the extra field."""
    return header.encode(extras.encode_extra(extras.MANIFEST_ID, field) if field else b"")


def without_field(header: spec.CentralHeader) -> spec.CentralHeader:
    """Return the header without the manifest's field."""
    rest = [
        extras.encode_extra(header_id, data)
        for _, header_id, data in extras.extra_records(header.extra, 0)
        if header_id != extras.MANIFEST_ID
    ]
    return header._replace(extra=b"".join(rest))


def encode_comment(tail: bytes) -> bytes:
    """Return the archive comment that holds the manifest where there is no entry; the tag is its end, in digits."""
    return _COMMENT + tail.hex().encode()


def decode_comment(comment: bytes) -> bytes:
    """Return what `encode_comment` was given, or nothing where it is another comment."""
    try:
        tail = bytes.fromhex(comment.removeprefix(_COMMENT).decode("ascii"))
    except ValueError:
        return b""
    return tail if tail and encode_comment(tail) == comment else b""


def whole(start: int, directory: bytes, ends: bytes, shift: int = 0) -> tuple[bytes, ...]:
    """Return the parts of the whole without its tag, which ends the directory, or else the comment that ends the file.

    They begin with the place of the directory, and the length of what stands before the archive: nothing, when it was
    written.
    """
    place = _PLACE.pack(start, shift)
    return (place, directory[:-TAG_SIZE], ends) if directory else (place, b"", ends[: -2 * TAG_SIZE])


def with_tag(directory: bytes, ends: bytes, tag: bytes) -> tuple[bytes, bytes]:
    """Put the tag of the whole into its place; see `whole`."""
    if directory:
        return directory[:-TAG_SIZE] + tag, ends
    return directory, ends[: -2 * TAG_SIZE] + tag.hex().encode()


class Shown:
    """See `manifest.Shown`."""

    salt = b""
    count = None

    def __init__(self, source: Source, directory: Directory, authentic: Callable[[], bool]) -> None:
        self._source = source
        self._directory = directory
        self.authentic = authentic
        tail = decode_comment(directory.comment)
        self.fields: list[bytes] = [record.manifest for record in directory.records] or ([tail] if tail else [])
        self.whole: tuple[bytes, ...] = whole(directory.start, directory.raw, directory.ends, directory.shift)

    @property
    def oddities(self) -> list[str]:
        """See `manifest.Shown`."""
        directory = self._directory
        added = [f"{directory.shift} bytes were put before the archive"] if directory.shift else []
        return added + ["an archive comment was added"] * bool(directory.comment and directory.records)

    def evidence(self, position: int) -> Evidence:
        """See `manifest.Shown`."""
        record = self._directory.records[position]
        try:
            return located(record, locate(self._source, record))
        except StrongroomError:
            return evidence(record.entry, without_field(record.header), Around())


def located(record: Record, place: Place) -> Evidence:
    """Return the evidence of an entry that was found in the file."""
    around = Around(place.header.encode(), place.gap, place.head, place.code)
    return evidence(record.entry, without_field(record.header), around)
