"""Writes a 7z file: every file's data and the header under AES-256, one key for all of it.

An entry of a chunk or more has a folder of its own, and can be read without any other. Smaller ones share a solid
folder (ADR 8). Folders stand in the file in the order of the entries; the header follows them, compressed and
encrypted, then the manifest; the signature header, which says where it is, is patched at the end.
"""

from __future__ import annotations

import stat
import zlib
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from strongroom.compression import CODECS, check_level, crc32
from strongroom.flow import CHUNK, Chunk, Chunker, Pipeline, Stage
from strongroom.formats import Entry
from strongroom.formats.sevenzip import crypto, encoders, files, spec
from strongroom.formats.sevenzip.digests import PackHash, TagKey
from strongroom.formats.sevenzip.evidence import Part, derive, evidence, whole
from strongroom.formats.sevenzip.streams import BindPair, Coder, Folder, Stream, Streams
from strongroom.limits import MIB, Limits
from strongroom.manifest.spec import TAG_SIZE
from strongroom.memory.secret import wipe
from strongroom.output import Patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from strongroom.formats import Member, WriterOptions
    from strongroom.memory.secret import Secret
    from strongroom.output import Piece

    Bytes = bytes | bytearray | memoryview

_ENCRYPTION: Final = "AES-256"
_SOLID: Final = 4 * MIB  # at most a chunk more must be decoded to read one small entry: 20 ms
_ROOM: Final = CHUNK + CHUNK // 16 + crypto.SLACK  # also for a chunk that compression made longer
_LONGEST_PASSWORD: Final = 2000  # UTF-16 units, so that a buffer of 256 rounds stays within 1 MiB; 7-Zip has no limit
_NEVER: Final = "the 7z format is written with a patch at its start, so it needs a file or a stream that can seek"


def check_password(password: Secret) -> None:
    """See `Format.check_password`. Unlike in ZIP, every tool encodes text alike."""
    with memoryview(password) as view:
        if 0 in view:
            message = "the password has a NUL character, at which many tools end it"
            raise ValueError(message)
    with crypto.utf16(password) as text:
        if (units := len(text) // 2) > _LONGEST_PASSWORD:
            message = f"the password has {units} characters; 7z files are written with at most {_LONGEST_PASSWORD}"
            raise ValueError(message)


class Writer:
    """See `formats.Writer`."""

    def __init__(self, options: WriterOptions) -> None:
        if not options.patchable:
            raise ValueError(_NEVER)
        self.options = options
        check_level(CODECS[options.compression], options.level)
        self.entries: list[Entry] = []
        self._offset = 0
        self._manifest = options.manifest
        self._salt = b""
        self._key: crypto.Key | None = None
        self._tags: TagKey | None = None
        self._solid: _Solid | None = None
        self._files: list[files.File] = []
        self._folders: list[tuple[Folder, Stream, tuple[Stream, ...]]] = []
        self._parts: dict[int, Part] = {}  # by the number of the entry

    def entry(self, member: Member) -> DirectoryEncoder | FileEncoder:
        """See `formats.Writer`."""
        return DirectoryEncoder(self, member) if member.kind == "directory" else FileEncoder(self, member)

    def finish(self) -> Iterator[Piece]:
        """See `formats.Writer`. 7zFormat, "Archive structure"."""
        yield from self.end_solid()
        streams = self._streams(0, self._folders)
        header = spec.Header(streams, tuple(self._files)).encode()
        stream = FolderEncoder(self, encoders.method("lzma", None))
        position = max(self._offset - spec.SIGNATURE_SIZE, 0)
        try:
            packs: list[bytes] = []
            for start in range(0, len(header), CHUNK):
                packs += map(bytes, stream.update(Chunk(memoryview(header)[start : start + CHUNK])))
            packs += map(bytes, stream.finish())
        finally:
            stream.close()
        yield from self.emit(packs)
        crc = zlib.crc32(header)
        packed = stream.folder(crc), Stream(stream.packed_size), (Stream(len(header), crc),)
        encoded = spec.EncodedHeader(self._streams(position, [packed])).encode()
        records = self._records()
        offset = self._offset - spec.SIGNATURE_SIZE + len(records)
        signature = spec.SignatureHeader(offset, len(encoded), zlib.crc32(encoded)).encode()
        if self._manifest is not None:
            parts = whole(0, signature, encoded, (b"".join(packs),), records)
            yield from self.emit((records[:-TAG_SIZE], self._manifest.whole(*parts)))
        yield from self.emit((encoded,))
        yield Patch(0, signature)

    def _records(self) -> bytes:
        """Return the manifest, without the tag of the whole that ends it."""
        if self._manifest is None:
            return b""
        shown = (evidence(file, self._parts.get(number)) for number, file in enumerate(self._files))
        return b"".join((*map(self._manifest.record, shown), self._manifest.tail()))

    def close(self) -> None:
        """See `formats.Writer`."""
        if self._solid is not None:
            self._solid.close()
        for key in (self._key, self._tags):
            if key is not None:
                key.close()

    @staticmethod
    def _streams(position: int, folders: list[tuple[Folder, Stream, tuple[Stream, ...]]]) -> Streams:
        if not folders:
            return Streams()
        parts, packs, substreams = zip(*folders, strict=True)
        return Streams(position, packs, parts, substreams)

    def cipher(self) -> tuple[bytes, Any, PackHash | None]:
        """Return properties, encryptor and hasher of one more folder: a fresh IV under the archive's keys.

        Without a manifest nobody asks for the hash.
        """
        if self._key is None:
            if self._manifest is None:
                self._salt = self.options.random(crypto.SALT_SIZE)
            else:
                self._salt = self._manifest.share(partial(derive, self._own_key), 1 << crypto.CYCLES_POWER)
            self._key = crypto.Key(self.options.secret, self._salt, crypto.CYCLES_POWER, Limits())
            if self._manifest is not None:
                self._tags = TagKey(self._key.secret)
        iv = self.options.random(crypto.IV_SIZE)
        properties = crypto.AesProperties(crypto.CYCLES_POWER, self._salt, iv).encode()
        return properties, self._key.encryptor(iv), None if self._tags is None else PackHash(self._tags, iv)

    def _own_key(self, _: crypto.AesProperties) -> crypto.Key:
        return cast("crypto.Key", self._key)

    def emit(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        """Count pieces on their way out, the room for the signature header before the first."""
        for piece in pieces:
            if not self._offset:
                self._offset = spec.SIGNATURE_SIZE
                yield bytes(spec.SIGNATURE_SIZE)
            self._offset += len(piece)
            yield piece

    def solid(self) -> _Solid:
        """Return the solid folder that takes small entries now."""
        if self._solid is None:
            self._solid = _Solid(self)
        return self._solid

    def end_solid(self, least: int = 0) -> Iterator[Bytes]:
        """End the solid folder, if there is one that has `least` bytes: its place is before what comes next."""
        solid = self._solid
        if solid is None or solid.encoder.size < least:
            return
        yield from self.emit(solid.finish())
        self._solid = None
        self.add_folder(solid.encoder, solid.streams)

    def add_folder(self, encoder: FolderEncoder, streams: dict[int, Stream]) -> None:
        """Take up a folder that is complete, with its substreams by the number of their entries."""
        folder, pack = encoder.folder(), Stream(encoder.packed_size)
        self._folders.append((folder, pack, tuple(streams.values())))
        for index, (number, stream) in enumerate(streams.items()):
            self._parts[number] = Part(folder, (pack,), (encoder.digest,), index, stream)
            share = encoder.packed_size * stream.size // encoder.size
            self.entries[number] = replace(self.entries[number], packed_size=share, method=encoder.method)

    def add(self, member: Member, size: int = 0) -> int:
        """Take up an entry, and return its number. What it is packed to is known once its folder is complete."""
        folder = member.kind == "directory"
        mode = (stat.S_IFDIR if folder else stat.S_IFREG) | member.mode
        time = files.encode_time(member.modified)
        entry = Entry(
            name=member.name,
            kind=member.kind,
            size=size,
            packed_size=0,
            modified=files.decode_time(time),
            mode=mode,
            method="store",
            encryption=_ENCRYPTION,
        )
        attributes = files.encode_attributes(mode)
        self.entries.append(entry)
        self._files.append(files.File(member.name, bool(size), folder, modified=time, attributes=attributes))
        return len(self.entries) - 1


class DirectoryEncoder:
    """A folder of the file system: a name in the header, which is encrypted, and no data."""

    def __init__(self, writer: Writer, member: Member) -> None:
        self._writer = writer
        self._member = member

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`; raises `ValueError`, since a folder has no data."""
        chunk.release()
        message = f"{self._member.name} is a directory, and has no data"
        raise ValueError(message)

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        self._writer.add(self._member)
        return iter(())

    def close(self) -> None:
        """See `formats.EntryEncoder`."""


class FileEncoder:
    """A file's data, which goes into a folder of its own, or, where it is less than a chunk, into the solid one."""

    def __init__(self, writer: Writer, member: Member) -> None:
        self._writer = writer
        self._member = member
        self._size = 0
        self._crc = 0
        self._own: FolderEncoder | None = None

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        self._size += len(chunk.data)
        self._crc = crc32(chunk.data, self._crc)
        if self._own is None and len(chunk.data) == CHUNK:
            yield from self._writer.end_solid()
            options = self._writer.options
            self._own = FolderEncoder(self._writer, encoders.method(options.compression, options.level))
        target = self._own or self._writer.solid()
        yield from self._writer.emit(target.update(chunk))

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        if self._own is not None:
            yield from self._writer.emit(self._own.finish())
        number = self._writer.add(self._member, self._size)
        stream = Stream(self._size, self._crc)
        if self._own is not None:
            self._writer.add_folder(self._own, {number: stream})
        elif self._size:
            self._writer.solid().streams[number] = stream
            yield from self._writer.end_solid(_SOLID)

    def close(self) -> None:
        """See `formats.EntryEncoder`."""
        if self._own is not None:
            self._own.close()


class _Solid:
    """Small entries, one behind the other in the chunks of one folder."""

    def __init__(self, writer: Writer) -> None:
        options = writer.options
        self.encoder: FolderEncoder = FolderEncoder(writer, encoders.method(options.compression, options.level))
        self.streams: dict[int, Stream] = {}
        self._chunker = Chunker()

    def update(self, chunk: Chunk) -> Iterator[Bytes]:
        for full in self._chunker.push(chunk.data):
            yield from self.encoder.update(full)
        chunk.release()

    def finish(self) -> Iterator[Bytes]:
        if last := self._chunker.take():
            yield from self.encoder.update(last)
        yield from self.encoder.finish()

    def close(self) -> None:
        self._chunker.close()
        self.encoder.close()


class FolderEncoder:
    """The data of one folder: compressed (side by side where the method allows it), encrypted.

    A folder of one chunk starts no thread, and is stored where compression would not make it smaller.
    """

    def __init__(self, writer: Writer, method: encoders.Method) -> None:
        self.size: int = 0
        self.digest: bytes = b""
        """That of the pack stream, when the folder is complete, and there is a manifest."""
        self._compressed_size = 0
        self._coder = method.coder
        self._encoder = method.encoder
        self._properties, cipher, self._hasher = writer.cipher()
        self._cipher: Any = cipher  # any, since None takes its place: it holds a copy of the key
        self._threads = writer.options.threads
        self._first: Chunk | None = None
        self._pipeline: Pipeline[Chunk, memoryview] | None = None
        self._buffers: deque[bytearray] = deque((bytearray(),))

    @property
    def method(self) -> str:
        """The name of the compression."""
        return spec.METHOD_NAMES[self._coder.method]

    @property
    def packed_size(self) -> int:
        """The size of the pack stream: whole blocks of AES."""
        return -(-self._compressed_size // crypto.BLOCK) * crypto.BLOCK

    def folder(self, crc: int | None = None) -> Folder:
        """Return the record of the complete folder: AES gives what the compression's coder reads. As 7-Zip has it."""
        coders = Coder(spec.AES, self._properties), self._coder
        return Folder(coders, (BindPair(1, 0),), (0,), (self._compressed_size, self.size), crc)

    def update(self, chunk: Chunk) -> Iterator[memoryview]:
        """Take a chunk of the folder, and release it."""
        self.size += len(chunk.data)
        if self._pipeline is None:
            if self._first is None:
                self._first = chunk
                return
            self._pipeline = self._start()
            first, self._first = self._first, None
            yield from map(self._hash, self._pipeline.push(first))
        yield from map(self._hash, self._pipeline.push(chunk))

    def finish(self) -> Iterator[memoryview]:
        """End the folder."""
        if self._pipeline is not None:
            yield from map(self._hash, self._pipeline.drain())
            yield self._hash(self._encrypt_last(self._encoder.finish() if self._encoder else b""))
        elif self._first is not None:
            yield self._hash(self._whole(self._first))
        if self._hasher is not None:
            self.digest = self._hasher.digest()
        self.close()

    def close(self) -> None:
        """End the threads, and wipe what waits."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._first is not None:
            self._first.release()
            self._first = None
        self._cipher = None
        if self._hasher is not None:
            self._hasher.close()
        self._encoder = None  # its window holds plaintext, and cycles through the stages would keep it alive

    def _start(self) -> Pipeline[Chunk, memoryview]:
        encoder = self._encoder
        compress = [Stage(self._compress, parallel=encoder.parallel)] if encoder else []
        stages = [*compress, Stage(self._encrypt)]
        pipeline = Pipeline[Chunk, memoryview](stages, self._threads, drop=Chunk.release)
        self._buffers = deque(bytearray(_ROOM) for _ in range(pipeline.depth + 1))
        return pipeline

    def _whole(self, chunk: Chunk) -> memoryview:
        packed = self._encoder.whole(chunk.data) if self._encoder else chunk.data
        if len(packed) >= len(chunk.data):
            self._coder, packed = encoders.STORE.coder, chunk.data
        out = self._encrypt_last(packed)
        chunk.release()
        self._first = None
        return out

    def _compress(self, chunk: Chunk) -> Chunk:
        data = memoryview(self._encoder.update(chunk.data)) if self._encoder else chunk.data
        chunk.release()
        return Chunk(data)

    def _encrypt(self, chunk: Chunk) -> memoryview:
        out = self._apply(chunk.data)
        chunk.release()
        return out

    def _hash(self, packed: memoryview) -> memoryview:
        if self._hasher is not None:
            self._hasher.update(packed)
        return packed

    def _encrypt_last(self, data: Bytes) -> memoryview:
        """Encrypt the end of the data, and zeros up to a whole block. 7zAes has no other padding."""
        padding = -(self._compressed_size + len(data)) % crypto.BLOCK
        padded = bytearray(len(data) + padding)
        padded[: len(data)] = data
        out = self._apply(padded)
        self._compressed_size -= padding
        wipe(padded)
        return out

    def _apply(self, data: Bytes) -> memoryview:
        """Encrypt into a buffer of our own; what does not fill a block stays with the cipher until the next call."""
        buffer = self._buffers[0]
        if len(buffer) < len(data) + crypto.SLACK:
            buffer = self._buffers[0] = bytearray(len(data) + crypto.SLACK)
        self._buffers.rotate(-1)
        self._compressed_size += len(data)
        return memoryview(buffer)[: self._cipher.update_into(data, buffer)]
