"""Writes a ZIP file: AE-2 with AES-256, one canonical layout.

An entry of one chunk is written when its sizes are known. A longer one gets a local header with room for ZIP64 sizes,
which is patched at the end, or, on a pipe, a data descriptor. The central directory follows the last entry.

Inside an envelope, which encrypts and authenticates the whole file, entries are not encrypted, and have a CRC-32.
"""

from __future__ import annotations

import stat
import warnings
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.compression import CODECS, check_level, crc32, encoder_for
from strongroom.errors import StrongroomWarning
from strongroom.flow import CHUNK, Chunk, Pipeline, Stage
from strongroom.formats import Entry
from strongroom.formats.zip import crypto, extras, spec
from strongroom.formats.zip.evidence import Around, encode_comment, encode_with_field, evidence, whole, with_tag
from strongroom.formats.zip.plain import PlainStream
from strongroom.memory.secret import wipe
from strongroom.memory.slots import Slots
from strongroom.output import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.compression import Codec
    from strongroom.formats import Member, WriterOptions
    from strongroom.memory.secret import Secret
    from strongroom.output import Piece

    Bytes = bytes | memoryview

_KEY_BITS: Final = 256
_BLOCK: Final = 16
_BATCH: Final = 16  # derivations a task: handing one over costs a tenth of it
_ENCRYPTION: Final = "AES-256 (AE-2)"
_MADE_BY: Final = spec.UNIX_HOST << 8 | spec.VERSION_NEWEST
_DOS_DIRECTORY: Final = 0x10
_OVERHEAD: Final = crypto.overhead(_KEY_BITS)
_ROOM: Final = CHUNK + CHUNK // 16 + crypto.SLACK  # also for a chunk that compression made longer
_EMPTY: Final = Chunk(memoryview(b""))
_LONGEST_PASSWORD: Final = 99  # 7-Zip's kPasswordSizeMax, to write as to read
_HMAC_BLOCK: Final = 64


def check_password(password: Secret) -> None:
    """See `Format.check_password`."""
    with memoryview(password) as view:
        size, plain = len(view), all(byte < 0x80 for byte in view)  # noqa: PLR2004 - ASCII
        if 0 in view:
            message = "the password has a NUL byte, at which many tools end it"
            raise ValueError(message)
    if size > _LONGEST_PASSWORD:
        message = f"the password has {size} bytes, and 7-Zip opens ZIP files with at most {_LONGEST_PASSWORD}"
        raise ValueError(message)
    if size > _HMAC_BLOCK:
        message = f"the password has {size} bytes; beyond {_HMAC_BLOCK} its 20-byte SHA-1 digest opens the file as well"
        warnings.warn(message, StrongroomWarning, stacklevel=5)
    if not plain:
        message = (
            "the password is not pure ASCII; tools encode it differently, so not all of them open the file with it"
        )
        warnings.warn(message, StrongroomWarning, stacklevel=5)


class Writer:
    """See `formats.Writer`."""

    def __init__(self, options: WriterOptions) -> None:
        if options.enveloped and (options.password is not None or options.manifest is not None or options.patchable):
            message = "inside an envelope a ZIP has neither a password nor a manifest, and is written in one go"
            raise ValueError(message)
        self.options = options
        self.codec: Codec = CODECS[options.compression]
        check_level(self.codec, options.level)
        self.offset: int = 0
        self.entries: list[Entry] = []
        self._manifest = options.manifest
        self._directory: list[bytes] = []
        self._slots = Slots(crypto.KEYS_SIZE)
        self._last: tuple[spec.CentralHeader, bytes] | None = None  # behind whose record the manifest's tail goes
        self._ready: deque[tuple[bytes, crypto.Keys]] = deque()
        self._derivations: Pipeline[list[bytes], list[tuple[bytes, crypto.Keys]]] | None = None

    def entry(self, member: Member) -> DirectoryEncoder | FileEncoder:
        """See `formats.Writer`."""
        return DirectoryEncoder(self, member) if member.kind == "directory" else FileEncoder(self, member)

    def finish(self) -> Iterator[Piece]:
        """See `formats.Writer`. APPNOTE 4.3.6 has the order of the records."""
        tail = self._manifest.tail() if self._manifest else b""
        self._flush(tail)
        directory = b"".join(self._directory)
        ends = self._ends(len(directory), encode_comment(tail) if tail and not directory else b"")
        if self._manifest:
            tag = self._manifest.whole(*whole(self.offset, directory, ends))
            directory, ends = with_tag(directory, ends, tag)
        yield directory
        yield ends

    def _ends(self, size: int, comment: bytes) -> bytes:
        start, count, zip64 = self.offset, len(self.entries), b""
        if count >= spec.U16 or size >= spec.U32 or start >= spec.U32:
            version = spec.VERSION_ZIP64
            zip64 = spec.Zip64EndRecord(_MADE_BY, version, 0, 0, count, count, size, start).encode()
            zip64 += spec.Zip64Locator(0, start + size, 1).encode()
        count, size, start = min(count, spec.U16), min(size, spec.U32), min(start, spec.U32)
        return zip64 + spec.EndRecord(0, 0, count, count, size, start, len(comment)).encode() + comment

    def close(self) -> None:
        """See `formats.Writer`."""
        if self._derivations is not None:
            with self._derivations as derivations:
                for derived in derivations.drain():
                    self._ready.extend(derived)
        while self._ready:
            self._ready.popleft()[1].close()
        self._slots.close()

    def keys(self) -> tuple[bytes, crypto.Keys]:
        """Return a fresh salt and its keys. From the second entry on they are derived ahead, on all threads."""
        if self._derivations is None:
            self._derivations = Pipeline([Stage(self._derive, parallel=True)], self.options.threads)
            return self._derive([self._salt()])[0]
        self._derivations.give_way()
        while not self._ready:
            batch = min(1 + len(self.entries) // 32, _BATCH)
            for derived in self._derivations.push([self._salt() for _ in range(batch)]):
                self._ready.extend(derived)
        return self._ready.popleft()

    def _salt(self) -> bytes:
        return self._manifest.salt() if self._manifest else self.options.random(crypto.salt_size(_KEY_BITS))

    def _derive(self, salts: list[bytes]) -> list[tuple[bytes, crypto.Keys]]:
        return [(salt, crypto.Keys(self.options.secret, salt, _KEY_BITS, self._slots)) for salt in salts]

    def count(self, piece: Bytes) -> Bytes:
        """Count a piece on its way out."""
        self.offset += len(piece)
        return piece

    def add(self, fields: _Fields, offset: int, around: Around) -> None:
        """Take up an entry that is complete."""
        self._flush()
        entry, header = fields.entry(), fields.central(offset)
        field = self._manifest.record(evidence(entry, header, around)) if self._manifest else b""
        self.entries.append(entry)
        self._last = header, field

    def _flush(self, tail: bytes = b"") -> None:
        if self._last is not None:
            header, field = self._last
            self._directory.append(encode_with_field(header, field + tail))
            self._last = None


class _Fields(NamedTuple):
    """What local header and central directory say alike of an entry."""

    member: Member
    codec: Codec
    encrypted: bool = True
    size: int = 0
    packed_size: int = 0
    flags: int = 0
    crc: int = 0

    def local(self, *, room: bool = False) -> bytes:
        """Return the local header; with `room` for ZIP64 sizes, whatever they are."""
        size, packed_size, extra = self.size, self.packed_size, self._extra()
        if room:
            extra = extras.encode_zip64(size, packed_size) + extra
            size = packed_size = spec.U32
        version = max(self._version(), spec.VERSION_ZIP64 if room else 0)
        return spec.LocalHeader(
            version, self._flags(), self._method(), self._time(), self.crc, packed_size, size, self._name(), extra
        ).encode()

    def central(self, offset: int) -> spec.CentralHeader:
        """Return the central directory header, with ZIP64 values just where they are needed."""
        large = [value for value in (self.size, self.packed_size, offset) if value >= spec.U32]
        attributes = self._mode() << 16 | (_DOS_DIRECTORY if self._folder() else 0)
        return spec.CentralHeader(
            _MADE_BY,
            max(self._version(), spec.VERSION_ZIP64 if large else 0),
            self._flags(),
            self._method(),
            self._time(),
            self.crc,
            min(self.packed_size, spec.U32),
            min(self.size, spec.U32),
            0,
            0,
            attributes,
            min(offset, spec.U32),
            self._name(),
            (extras.encode_zip64(*large) if large else b"") + self._extra(),
        )

    def entry(self) -> Entry:
        """Return the entry as users see it."""
        return Entry(
            name=self.member.name,
            kind=self.member.kind,
            size=self.size,
            packed_size=self.packed_size,
            modified=self.member.modified,
            mode=self._mode(),
            method=self.codec.name,
            encryption=_ENCRYPTION if self._sealed() else None,
        )

    def _folder(self) -> bool:
        return self.member.kind == "directory"

    def _sealed(self) -> bool:
        return self.encrypted and not self._folder()

    def _mode(self) -> int:
        return (stat.S_IFDIR if self._folder() else stat.S_IFREG) | self.member.mode

    def _name(self) -> bytes:
        return (self.member.name + "/" * self._folder()).encode()

    def _time(self) -> int:
        return extras.encode_dos_time(self.member.modified)

    def _method(self) -> int:
        return spec.AES_METHOD if self._sealed() else self.codec.zip_method

    def _flags(self) -> int:
        flags = self.flags | spec.UTF8 | (spec.ENCRYPTED if self._sealed() else 0)
        return flags | (spec.LZMA_END_MARK if self.codec.name == "lzma" else 0)

    def _version(self) -> int:
        if self.codec.name not in ("store", "deflate", "bzip2"):
            return spec.VERSION_NEWEST
        if self._sealed():
            return spec.VERSION_AES
        return spec.VERSION_BZIP2 if self.codec.name == "bzip2" else spec.VERSION_DEFAULT

    def _extra(self) -> bytes:
        aes = extras.AesExtra(2, 3, self.codec.zip_method).encode() if self._sealed() else b""
        return aes + extras.encode_times(self.member.modified)


class DirectoryEncoder:
    """A folder: a name that ends in a slash, no data, and so nothing to encrypt."""

    def __init__(self, writer: Writer, member: Member) -> None:
        self._writer = writer
        self._fields = _Fields(member, CODECS["store"])

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`; raises `ValueError`, since a folder has no data."""
        chunk.release()
        message = f"{self._fields.member.name} is a directory, and has no data"
        raise ValueError(message)

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        offset = self._writer.offset
        local = self._fields.local()
        yield self._writer.count(local)
        self._writer.add(self._fields, offset, Around(local))

    def close(self) -> None:
        """See `formats.EntryEncoder`."""


class FileEncoder:
    """A file's data: compressed, encrypted, authenticated."""

    def __init__(self, writer: Writer, member: Member) -> None:
        self._writer = writer
        flags = 0 if writer.options.patchable else spec.STREAMED
        self._fields = _Fields(member, writer.codec, not writer.options.enveloped, flags=flags)
        self._offset = writer.offset
        self._first: Chunk | None = None
        self._stream: _Stream | PlainStream | None = None

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        if self._stream is None:
            if self._first is None:
                self._first = chunk
                return
            self._stream = self._begin()
            yield self._writer.count(self._fields.local(room=True))
            yield self._writer.count(self._stream.prefix)
            first, self._first = self._first, None
            yield from map(self._writer.count, self._stream.update(first))
        yield from map(self._writer.count, self._stream.update(chunk))

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        if self._stream is None:
            yield from map(self._writer.count, self._whole(self._first or _EMPTY))
            return
        yield from map(self._writer.count, self._stream.finish())
        fields = self._fields._replace(
            size=self._stream.size, packed_size=self._stream.packed_size, crc=self._stream.crc
        )
        if self._writer.options.patchable:
            local, descriptor = fields.local(room=True), b""
            yield Patch(self._offset, local)
        else:
            local = self._fields.local(room=True)
            descriptor = spec.encode_descriptor(fields.crc, fields.packed_size, fields.size)
            yield self._writer.count(descriptor)
        self._writer.add(fields, self._offset, Around(local, descriptor, self._stream.prefix, self._stream.code))

    def _begin(self) -> _Stream | PlainStream:
        options = self._writer.options
        if options.enveloped:
            return PlainStream(encoder_for(self._writer.codec, options.level), options.threads)
        return _Stream(self._writer)

    def _whole(self, chunk: Chunk) -> Iterator[Bytes]:
        """Give an entry of one chunk, header and all; stored, where compression does not make it smaller."""
        codec = self._writer.codec
        encoder = encoder_for(codec, self._writer.options.level)
        packed = encoder.whole(chunk.data) if encoder else chunk.data
        if len(packed) >= len(chunk.data):
            codec, packed = CODECS["store"], chunk.data
        data, size = memoryview(packed), len(chunk.data)
        if not self._fields.encrypted:
            fields = self._fields._replace(
                codec=codec, size=size, packed_size=len(data), flags=0, crc=crc32(chunk.data)
            )
            local = fields.local()
            yield local
            yield data
            chunk.release()
            self._writer.add(fields, self._offset, Around(local))
            return
        salt, keys = self._writer.keys()
        with keys:
            out = memoryview(bytearray(len(data) + crypto.SLACK))
            keys.keystream().apply(data, out)
            chunk.release()
            authenticator = keys.authenticator()
            authenticator.update(out[: len(data)])
            head, code = salt + keys.verifier, crypto.tag(authenticator)
            body = b"".join((head, out[: len(data)], code))
        fields = _Fields(self._fields.member, codec, size=size, packed_size=len(body))
        local = fields.local()
        self._writer.add(fields, self._offset, Around(local, b"", head, code))
        yield local + body

    def close(self) -> None:
        """See `formats.EntryEncoder`."""
        if self._stream is not None:
            self._stream.close()
        if self._first is not None:
            self._first.release()
            self._first = None


class _Stream:
    """The way of many chunks: compress (side by side where the method allows it), encrypt, authenticate."""

    def __init__(self, writer: Writer) -> None:
        salt, self._keys = writer.keys()
        self.prefix = salt + self._keys.verifier
        self.code = b""
        self.crc = 0  # AE-2 has none
        self.size: int = 0
        self.packed_size: int = _OVERHEAD
        self._encoder = encoder_for(writer.codec, writer.options.level)
        self._keystream = self._keys.keystream()
        self._authenticator = self._keys.authenticator()
        self._carry = bytearray()
        compress = [Stage(self._compress, parallel=self._encoder.parallel)] if self._encoder else []
        stages = [*compress, Stage(self._encrypt), Stage(self._authenticate)]
        self._pipeline = Pipeline[Chunk, memoryview](stages, writer.options.threads, drop=Chunk.release)
        self._buffers = deque(bytearray(_ROOM) for _ in range(self._pipeline.depth + 1))

    def update(self, chunk: Chunk) -> Iterator[memoryview]:
        self.size += len(chunk.data)
        for piece in self._pipeline.push(chunk):
            self.packed_size += len(piece)
            yield piece

    def finish(self) -> Iterator[memoryview | bytes]:
        for piece in self._pipeline.drain():
            self.packed_size += len(piece)
            yield piece
        data = self._carry + (self._encoder.finish() if self._encoder else b"")
        last = self._authenticate(self._apply(memoryview(data)))
        wipe(data)
        self.packed_size += len(last)
        yield last
        self.code = crypto.tag(self._authenticator)
        yield self.code
        self.close()

    def _compress(self, chunk: Chunk) -> Chunk:
        data = memoryview(self._encoder.update(chunk.data)) if self._encoder else chunk.data
        chunk.release()
        return Chunk(data)

    def _encrypt(self, chunk: Chunk) -> memoryview:
        """Encrypt whole blocks, and keep the rest for the next chunk."""
        if not self._carry and len(chunk.data) % _BLOCK == 0:
            out = self._apply(chunk.data)
        else:
            joined = bytearray().join((self._carry, chunk.data))
            whole = len(joined) // _BLOCK * _BLOCK
            with memoryview(joined) as view:
                self._set_carry(view[whole:])
                out = self._apply(view[:whole])
            wipe(joined)
        chunk.release()
        return out

    def _set_carry(self, data: memoryview) -> None:
        wipe(self._carry)
        self._carry = bytearray(data)

    def _apply(self, data: memoryview) -> memoryview:
        buffer = self._buffers[0]
        self._buffers.rotate(-1)
        if len(buffer) < len(data) + crypto.SLACK:
            buffer = bytearray(len(data) + crypto.SLACK)
        out = memoryview(buffer)
        self._keystream.apply(data, out)
        return out[: len(data)]

    def _authenticate(self, data: memoryview) -> memoryview:
        self._authenticator.update(data)
        return data

    def close(self) -> None:
        self._pipeline.close()
        self._keys.close()
        self._encoder = None  # its window holds plaintext, and cycles through the stages would keep it alive
        wipe(self._carry)
