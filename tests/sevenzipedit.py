"""Takes 7z files of ours apart, and puts them together again, changed: without the password, or with it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Final

from strongroom.formats.sevenzip import crypto, spec
from strongroom.formats.sevenzip.coders import Tools, unpack
from strongroom.formats.sevenzip.streams import Coder, Folder, Stream, Streams
from strongroom.limits import Limits
from strongroom.manifest.spec import TAG_SIZE
from strongroom.memory.secret import Secret

_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Parts:
    """The parts of a file in their order: pack streams of the entries, that of the header, manifest, outer header."""

    packs: tuple[bytes, ...]
    packed: bytes
    manifest: bytes
    outer: spec.EncodedHeader

    def together(self, *, before: bytes = b"", gap: bytes = b"") -> bytes:
        """Put the file together; places and CRC-32s of the outer headers fit."""
        body = b"".join(self.packs) + gap
        streams = self.outer.streams._replace(position=len(body), packs=(Stream(len(self.packed)),))
        outer = spec.EncodedHeader(streams).encode()
        start = spec.SignatureHeader(
            len(body) + len(self.packed) + len(self.manifest), len(outer), zlib.crc32(outer)
        ).encode()
        return before + start + body + self.packed + self.manifest + outer

    def with_folder(self, folder: Folder) -> Parts:
        """The same with another record of the header's folder."""
        return replace(self, outer=spec.EncodedHeader(self.outer.streams._replace(folders=(folder,))))

    @property
    def folder(self) -> Folder:
        """The record of the header's folder."""
        return self.outer.streams.folders[0]

    @property
    def properties(self) -> crypto.AesProperties:
        """How the header is encrypted."""
        return aes(self.folder)

    def header(self, password: str) -> spec.Header:
        """The header, as who has the password reads it."""
        with Secret(password) as secret, _key(secret, self.properties) as key:
            pieces = unpack(self.folder, [iter((memoryview(self.packed),))], Tools(_LIMITS, 1, lambda _: key))
            header = spec.decode_header(b"".join(map(bytes, pieces)), 0, _LIMITS)
        assert isinstance(header, spec.Header)
        return header

    def with_header(self, header: spec.Header, password: str) -> Parts:
        """The same with another header, stored, as who has the password writes it."""
        data = header.encode()
        properties = self.properties._replace(iv=bytes(range(16)))
        with Secret(password) as secret, _key(secret, properties) as key:
            packed = bytes(key.encryptor(properties.iv).update(data + bytes(-len(data) % 16)))
        coders = Coder(spec.AES, properties.encode()), Coder(spec.COPY)
        folder = self.folder._replace(coders=coders, sizes=(len(data), len(data)), crc=zlib.crc32(data))
        outer = Streams(0, (), (folder,), ((Stream(len(data), folder.crc),),))
        return replace(self, packed=packed, outer=spec.EncodedHeader(outer))


def _key(secret: Secret, properties: crypto.AesProperties) -> crypto.Key:
    return crypto.Key(secret, properties.salt, properties.cycles_power, _LIMITS)


def apart(archive: bytes) -> Parts:
    """Take a file of ours apart; the pack streams of entries stay in one piece."""
    start = spec.SignatureHeader.decode(archive[:32])
    outer = spec.decode_header(archive[32 + start.offset :], 0, _LIMITS)
    assert isinstance(outer, spec.EncodedHeader)
    end = outer.streams.position + outer.streams.packs[0].size
    parts = Parts(
        (archive[32 : 32 + outer.streams.position],),
        archive[32 + outer.streams.position : 32 + end],
        archive[32 + end : 32 + start.offset],
        outer,
    )
    assert parts.together() == archive
    assert len(parts.manifest) > TAG_SIZE
    return parts


def split(parts: Parts, password: str) -> Parts:
    """The same with a pack stream for each of the entries' folders."""
    sizes = [pack.size for pack in parts.header(password).streams.packs]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    body = parts.packs[0]
    return replace(parts, packs=tuple(body[start : start + size] for start, size in zip(starts, sizes, strict=True)))


def aes(folder: Folder) -> crypto.AesProperties:
    """How a folder is encrypted."""
    return crypto.AesProperties.decode(next(coder.properties for coder in folder.coders if coder.method == spec.AES))


def with_aes(folder: Folder, properties: crypto.AesProperties) -> Folder:
    """The folder with another salt or IV."""
    coders = (
        coder._replace(properties=properties.encode()) if coder.method == spec.AES else coder for coder in folder.coders
    )
    return folder._replace(coders=tuple(coders))


def flipped(data: bytes, position: int, mask: int = 1) -> bytes:
    """The data with bits of one byte flipped."""
    return data[:position] + bytes((data[position] ^ mask,)) + data[position + 1 :]
