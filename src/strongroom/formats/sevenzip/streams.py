"""The streams of a 7z file, as bytes: pack streams, the folders that unpack them, and the files' parts of these.

"7zFormat" and "7zIn" are as in `fields`. Every count is held against what is left of the header before anything is
allocated for it.

A *folder* is a tree of coders that makes one stream out of its pack streams; a *substream* is a file's part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError, LimitError
from strongroom.formats.sevenzip import fields
from strongroom.formats.sevenzip.fields import decode_count, decode_id, decode_number, encode_number, expect_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.limits import Limits
    from strongroom.source import Cursor

# Property IDs (7zFormat, "Property IDs")
_END: Final = 0x00
_PACK_INFO: Final = 0x06
_UNPACK_INFO: Final = 0x07
_SUBSTREAMS_INFO: Final = 0x08
_SIZE: Final = 0x09
_CRC: Final = 0x0A
_FOLDER: Final = 0x0B
_CODERS_UNPACK_SIZE: Final = 0x0C
_NUM_UNPACK_STREAM: Final = 0x0D

_MOST_STREAMS: Final = 32  # in a folder; 7-Zip makes up to 8 coders (BCJ2 with AES), and takes 32
_METHOD_SIZE, _COMPLEX_CODER, _CODER_PROPERTIES, _CODER_RESERVED = 0x0F, 0x10, 0x20, 0xC0


class Stream(NamedTuple):
    """A pack stream or a substream: its size in bytes, and its CRC-32 where the header has one."""

    size: int
    crc: int | None = None


class Coder(NamedTuple):
    """One coder of a folder. 7zFormat, "Folder".

    size  field
    1     bits 0 to 3 length of the method ID, bit 4 numbers of streams follow, bit 5 properties follow, else 0
    0-15  method ID, big-endian
    1-9   number of in-streams, and again number of out-streams, where not 1 and 1
    1-9   length of the properties, then the properties, where there are any

    Seen from the decoder: in-streams are what it reads.
    """

    method: bytes
    properties: bytes = b""
    inputs: int = 1
    outputs: int = 1

    def encode(self) -> bytes:
        """Return the coder as bytes."""
        simple = self.inputs == self.outputs == 1
        flags = len(self.method) | (0 if simple else _COMPLEX_CODER) | (_CODER_PROPERTIES if self.properties else 0)
        streams = b"" if simple else encode_number(self.inputs) + encode_number(self.outputs)
        properties = encode_number(len(self.properties)) + self.properties if self.properties else b""
        return bytes((flags,)) + self.method + streams + properties

    @classmethod
    def decode(cls, cursor: Cursor) -> Coder:
        """Read a coder; raises `FormatError` where there is none."""
        offset = cursor.offset
        flags = cursor.take(1, "a coder")[0]
        if flags & _CODER_RESERVED:
            message = f"the coder has reserved flags: 0x{flags:02x}"
            raise FormatError(message, offset=offset, spec="7zFormat, Folder")
        method = cursor.take(flags & _METHOD_SIZE, "a method ID")
        inputs = outputs = 1
        if flags & _COMPLEX_CODER:
            inputs = decode_number(cursor, "the number of in-streams")
            outputs = decode_number(cursor, "the number of out-streams")
            if not 1 <= inputs <= _MOST_STREAMS or outputs != 1:
                # Coders of several out-streams went with 7-Zip 4; its readers since 15 refuse them (7zIn, ReadFolder).
                message = f"the coder has {inputs} in-streams and {outputs} out-streams"
                raise FormatError(message, offset=offset, spec="7zFormat, Folder")
        properties = b""
        if flags & _CODER_PROPERTIES:
            properties = cursor.take(decode_number(cursor, "the size of properties"), "the properties of a coder")
        return cls(method, properties, inputs, outputs)


class BindPair(NamedTuple):
    """In-stream `in_index` of a folder reads what out-stream `out_index` gives. 7zFormat, "Folder"."""

    in_index: int
    out_index: int


class Folder(NamedTuple):
    """A folder: coders, and how they are joined. 7zFormat, "Folder" and "Coders Info".

    Streams are numbered through all coders in their order. `packed` are the in-streams that read pack streams, in the
    order of these; `sizes` has the size of every out-stream. `crc` is that of the whole folder, or None.
    """

    coders: tuple[Coder, ...]
    bind_pairs: tuple[BindPair, ...]
    packed: tuple[int, ...]
    sizes: tuple[int, ...]
    crc: int | None = None

    @property
    def main(self) -> int:
        """The out-stream that no coder reads: the folder's own. Since a coder has one, also the number of its coder."""
        bound = {pair.out_index for pair in self.bind_pairs}
        return next(index for index in range(len(self.coders)) if index not in bound)

    @property
    def size(self) -> int:
        """The size of what the folder unpacks to, in bytes."""
        return self.sizes[self.main]

    def encode(self) -> bytes:
        """Return coders, bind pairs and packed streams; sizes and CRC stand elsewhere."""
        parts = [encode_number(len(self.coders)), *(coder.encode() for coder in self.coders)]
        parts += [encode_number(pair.in_index) + encode_number(pair.out_index) for pair in self.bind_pairs]
        if len(self.packed) > 1:
            parts += map(encode_number, self.packed)
        return b"".join(parts)

    @classmethod
    def decode(cls, cursor: Cursor) -> Folder:
        """Read a folder, as yet without sizes; raises `FormatError` where its coders are not joined to one tree."""
        offset = cursor.offset
        count = decode_count(cursor, "the number of coders")
        if not 1 <= count <= _MOST_STREAMS:
            message = f"the folder has {count} coders, expected 1 to {_MOST_STREAMS}"
            raise FormatError(message, offset=offset, spec="7zFormat, Folder")
        coders = tuple(Coder.decode(cursor) for _ in range(count))
        inputs = sum(coder.inputs for coder in coders)
        packs = inputs - (count - 1)
        if packs < 1 or inputs > _MOST_STREAMS:
            message = f"the folder has {inputs} in-streams for {count} coders"
            raise FormatError(message, offset=offset, spec="7zFormat, Folder")
        pairs = tuple(
            BindPair(decode_number(cursor, "an in-stream index"), decode_number(cursor, "an out-stream index"))
            for _ in range(count - 1)
        )
        bound = {pair.in_index for pair in pairs}
        if packs > 1:
            packed = tuple(decode_number(cursor, "a packed stream index") for _ in range(packs))
        else:
            packed = tuple(index for index in range(inputs) if index not in bound)
        folder = cls(coders, pairs, packed, ())
        if sorted((*(pair.in_index for pair in pairs), *packed)) != list(range(inputs)) or not folder._is_tree():
            message = "the coders of the folder are not joined to one tree"
            raise FormatError(message, offset=offset, spec="7zFormat, Folder; 7zIn, CFolder::CheckStructure")
        return folder

    def _is_tree(self) -> bool:
        """Whether every coder is reached from the one whose output is the folder's, so that there is no circle."""
        outputs = [pair.out_index for pair in self.bind_pairs]
        if len(set(outputs)) != len(outputs) or not set(outputs) <= set(range(len(self.coders))):
            return False
        owner = [number for number, coder in enumerate(self.coders) for _ in range(coder.inputs)]
        reached, grown = {self.main}, True
        while grown:
            more = {pair.out_index for pair in self.bind_pairs if owner[pair.in_index] in reached} - reached
            reached |= more
            grown = bool(more)
        return len(reached) == len(self.coders)


class Streams(NamedTuple):
    """Streams info: pack streams, folders, substreams. 7zFormat, "Streams Info", "PackInfo" to "SubStreams Info".

    `position` is where the first pack stream starts, from byte 32 of the file; they follow each other without a gap.
    `substreams` has those of each folder in turn.
    """

    position: int = 0
    packs: tuple[Stream, ...] = ()
    folders: tuple[Folder, ...] = ()
    substreams: tuple[tuple[Stream, ...], ...] = ()

    def encode(self) -> bytes:
        """Return the streams info as bytes, the end mark included."""
        parts: list[bytes] = []
        if self.packs or self.position:
            parts += [bytes((_PACK_INFO,)), encode_number(self.position), encode_number(len(self.packs))]
            parts += [bytes((_SIZE,)), *(encode_number(pack.size) for pack in self.packs)]
            parts += [_encode_crcs([pack.crc for pack in self.packs]), bytes((_END,))]
        if self.folders:
            parts += [bytes((_UNPACK_INFO, _FOLDER)), encode_number(len(self.folders)), b"\0"]
            parts += [folder.encode() for folder in self.folders]
            parts += [bytes((_CODERS_UNPACK_SIZE,))]
            parts += [encode_number(size) for folder in self.folders for size in folder.sizes]
            parts += [_encode_crcs([folder.crc for folder in self.folders]), bytes((_END,))]
            parts += [_encode_substreams(self.folders, self.substreams)]
        return b"".join((*parts, bytes((_END,))))

    @classmethod
    def decode(cls, cursor: Cursor, limits: Limits) -> Streams:
        """Read streams info; raises `FormatError` where its parts don't fit together."""
        offset = cursor.offset
        position = 0
        packs: tuple[Stream, ...] = ()
        folders: tuple[Folder, ...] = ()
        found = decode_id(cursor)
        if found == _PACK_INFO:
            position, packs = _decode_packs(cursor)
            found = decode_id(cursor)
        if found == _UNPACK_INFO:
            folders = _decode_folders(cursor)
            found = decode_id(cursor)
        if sum(len(folder.packed) for folder in folders) != len(packs):
            message = f"the folders do not read {len(packs)} pack streams, as many as there are"
            raise FormatError(message, offset=offset, spec="7zFormat, Streams Info")
        substreams: tuple[tuple[Stream, ...], ...] = tuple((Stream(folder.size, folder.crc),) for folder in folders)
        if found == _SUBSTREAMS_INFO:
            substreams = _decode_substreams(cursor, folders, limits)
            found = decode_id(cursor)
        if found != _END:
            raise fields.refuse_id(found, cursor.offset - 1, "Streams Info")
        return cls(position, packs, folders, substreams)


# The parts of streams info


def _encode_crcs(crcs: Sequence[int | None]) -> bytes:
    """Return the CRC property, or nothing where there are none."""
    return b"" if all(crc is None for crc in crcs) else bytes((_CRC,)) + fields.encode_digests(crcs)


def _decode_crcs(cursor: Cursor, found: int, count: int, what: str) -> tuple[int | None, ...]:
    """Read the CRC property, if `found` is it, and the end mark of the part that it ends."""
    crcs: tuple[int | None, ...] = (None,) * count
    if found == _CRC:
        crcs = fields.decode_digests(cursor, count, what)
        found = decode_id(cursor)
    if found != _END:
        raise fields.refuse_id(found, cursor.offset - 1, "Digests")
    return crcs


def _decode_packs(cursor: Cursor) -> tuple[int, tuple[Stream, ...]]:
    """7zFormat, "PackInfo"."""
    position = decode_number(cursor, "the position of the pack streams")
    count = decode_count(cursor, "the number of pack streams")
    found = decode_id(cursor)
    sizes: list[int] = []
    if found == _SIZE:
        sizes = [decode_number(cursor, "the size of a pack stream") for _ in range(count)]
        found = decode_id(cursor)
    elif count:
        raise fields.refuse_id(found, cursor.offset - 1, "PackInfo")
    crcs = _decode_crcs(cursor, found, count, "the CRCs of pack streams")
    return position, tuple(map(Stream, sizes, crcs))


def _decode_folders(cursor: Cursor) -> tuple[Folder, ...]:
    """7zFormat, "Coders Info"."""
    expect_id(cursor, _FOLDER, "the folders")
    count = decode_count(cursor, "the number of folders", each=2)
    fields.refuse_external(cursor, "the list of folders")
    folders = [Folder.decode(cursor) for _ in range(count)]
    expect_id(cursor, _CODERS_UNPACK_SIZE, "the sizes of out-streams")
    sizes = [tuple(decode_number(cursor, "a size") for _ in folder.coders) for folder in folders]
    crcs = _decode_crcs(cursor, decode_id(cursor), count, "the CRCs of folders")
    return tuple(
        Folder(folder.coders, folder.bind_pairs, folder.packed, size, crc)
        for folder, size, crc in zip(folders, sizes, crcs, strict=True)
    )


def _has_own_crc(folder: Folder, count: int) -> bool:
    """Whether the folder's CRC is that of its only substream, which then has none of its own in the file."""
    return count == 1 and folder.crc is not None


def _encode_substreams(folders: Sequence[Folder], substreams: Sequence[Sequence[Stream]]) -> bytes:
    """7zFormat, "SubStreams Info"; left out where every folder is one file and has its CRC."""
    if all(
        list(streams) == [Stream(folder.size, folder.crc)] for folder, streams in zip(folders, substreams, strict=True)
    ):
        return b""
    counts = list(map(len, substreams))
    parts = [bytes((_SUBSTREAMS_INFO,))]
    if any(count != 1 for count in counts):
        parts += [bytes((_NUM_UNPACK_STREAM,)), *map(encode_number, counts)]
    if any(count > 1 for count in counts):
        parts += [bytes((_SIZE,))]
        parts += [encode_number(stream.size) for streams in substreams for stream in streams[:-1]]
    crcs = [
        stream.crc
        for folder, streams in zip(folders, substreams, strict=True)
        for stream in streams
        if not _has_own_crc(folder, len(streams))
    ]
    return b"".join((*parts, _encode_crcs(crcs), bytes((_END,))))


def _decode_substreams(cursor: Cursor, folders: Sequence[Folder], limits: Limits) -> tuple[tuple[Stream, ...], ...]:
    """7zFormat, "SubStreams Info"."""
    found = decode_id(cursor)
    counts = [1] * len(folders)
    if found == _NUM_UNPACK_STREAM:
        offset = cursor.offset
        counts = [decode_number(cursor, "the number of substreams") for _ in folders]
        if sum(counts) > limits.entries:
            message = f"the archive has {sum(counts)} substreams, above the entries limit of {limits.entries}"
            raise LimitError(message)
        if sum(max(count - 1, 0) for count in counts) > cursor.left:
            message = f"the archive has {sum(counts)} substreams, with {cursor.left} bytes left"
            raise FormatError(message, offset=offset, spec="7zFormat, SubStreams Info")
        found = decode_id(cursor)
    several = any(count > 1 for count in counts)
    if several and found != _SIZE:
        raise fields.refuse_id(found, cursor.offset - 1, "SubStreams Info")
    sizes = [_decode_sizes(cursor, folder, count) for folder, count in zip(folders, counts, strict=True)]
    if found == _SIZE:  # which some writers have also where there is none
        found = decode_id(cursor)
    unknown = sum(count for folder, count in zip(folders, counts, strict=True) if not _has_own_crc(folder, count))
    crcs = iter(_decode_crcs(cursor, found, unknown, "the CRCs of substreams"))
    return tuple(
        tuple(Stream(size, folder.crc if _has_own_crc(folder, len(group)) else next(crcs)) for size in group)
        for folder, group in zip(folders, sizes, strict=True)
    )


def _decode_sizes(cursor: Cursor, folder: Folder, count: int) -> list[int]:
    """Read the sizes of a folder's substreams; the last is what the others leave."""
    if not count:
        return []
    offset = cursor.offset
    sizes = [decode_number(cursor, "the size of a substream") for _ in range(count - 1)]
    last = folder.size - sum(sizes)
    if last < 0:
        message = f"the substreams have more than the {folder.size} bytes of their folder"
        raise FormatError(message, offset=offset, spec="7zFormat, SubStreams Info")
    return [*sizes, last]
