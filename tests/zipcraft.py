"""Makes ZIP files that no honest tool makes: any field of any record can be another one than it should be."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from strongroom.formats.zip import crypto, extras, spec
from strongroom.memory.secret import Secret
from strongroom.memory.slots import Slots

PASSWORD: Final = "a made-up password"
TIME: Final = 0x5A21_6000  # 2025-01-01 12:00
METHODS: Final = {"store": 0, "deflate": 8, "deflate64": 9, "bzip2": 12, "lzma": 14, "zstd": 93, "xz": 95, "ppmd": 98}

Fields = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry: its headers' fields, what stands behind its local header, and where the two headers differ.

    `offset` is where the central directory says that the entry begins, or None for the truth; `gap` follows the body.
    """

    name: bytes
    body: bytes
    size: int
    method: int = 0
    flags: int = 0
    crc: int = 0
    extra: bytes = b""
    made_by: int = spec.UNIX_HOST << 8 | 63
    external: int = 0o100600 << 16
    offset: int | None = None
    gap: bytes = b""
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)

    def but(self, **changes: object) -> Item:
        """Return it with other fields; `local` and `central` are added to what is there."""
        for header in ("local", "central"):
            changes[header] = getattr(self, header) | changes.get(header, {})
        return replace(self, **changes)  # type: ignore[arg-type]


def plain(name: str, data: bytes, method: str = "store") -> Item:
    """An entry that is not encrypted."""
    body, flags = PACKERS[method](data), spec.UTF8 | flags_of(method)
    crc, number = zlib.crc32(data), METHODS[method]
    return Item(name=name.encode(), body=body, size=len(data), method=number, crc=crc, flags=flags)


def aes(
    name: str,
    data: bytes,
    method: str = "store",
    *,
    packed: bytes | None = None,
    password: str = PASSWORD,
    bits: int = 256,
    version: int = 2,
) -> Item:
    """An entry under AES; `packed` takes the place of the compressed data."""
    packed = PACKERS[method](data) if packed is None else packed
    salt = hashlib.sha256(name.encode()).digest()[: bits // 16]
    slots = Slots(crypto.KEYS_SIZE)
    with Secret(password) as secret, closing(slots), crypto.Keys(secret, salt, bits, slots) as keys:
        out = memoryview(bytearray(len(packed) + crypto.SLACK))
        keys.keystream().apply(memoryview(packed), out)
        authenticator = keys.authenticator()
        authenticator.update(out[: len(packed)])
        body = salt + keys.verifier + bytes(out[: len(packed)]) + crypto.tag(authenticator)
    return Item(
        name=name.encode(),
        body=body,
        size=len(data),
        method=spec.AES_METHOD,
        flags=spec.ENCRYPTED | spec.UTF8 | flags_of(method),
        crc=zlib.crc32(data) if version == 1 else 0,
        extra=extras.AesExtra(version, bits // 64 - 1, METHODS[method]).encode(),
    )


def zipcrypto(name: str, data: bytes, method: str = "store", password: str = PASSWORD) -> Item:
    """An entry under PKWARE's traditional encryption. APPNOTE 6.1."""
    packed, crc = PACKERS[method](data), zlib.crc32(data)
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = ~zlib.crc32(bytes((byte,)), ~keys[0] & spec.U32) & spec.U32
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & spec.U32
        keys[2] = ~zlib.crc32(bytes((keys[1] >> 24,)), ~keys[2] & spec.U32) & spec.U32

    body = bytearray()
    for byte in password.encode():
        update(byte)
    for byte in bytes(11) + bytes((crc >> 24,)) + packed:
        mask = keys[2] & 0xFFFF | 2
        body.append(byte ^ mask * (mask ^ 1) >> 8 & 0xFF)
        update(byte)
    item = plain(name, data, method)
    return replace(item, body=bytes(body), flags=item.flags | spec.ENCRYPTED)


def folder(name: str) -> Item:
    """A folder."""
    return Item(name=f"{name}/".encode(), body=b"", size=0, flags=spec.UTF8, external=0o40700 << 16)


def symlink(item: Item) -> Item:
    """The same entry as a symbolic link, whose target is its data."""
    return item.but(external=0o120777 << 16)


def join(
    *items: Item, prefix: bytes = b"", between: bytes = b"", comment: bytes = b"", end: Fields | None = None
) -> bytes:
    """An archive of the items; `between` stands before the end record, whose fields `end` changes."""
    out, directory = bytearray(prefix), bytearray()
    for item in items:
        values: Fields = {
            "version": 51,
            "flags": item.flags,
            "method": item.method,
            "dos_time": TIME,
            "crc": item.crc,
            "packed_size": len(item.body),
            "size": item.size,
            "name": item.name,
            "extra": item.extra,
        }
        more = {
            "made_by": item.made_by,
            "disk": 0,
            "internal": 0,
            "external": item.external,
            "offset": len(out) - len(prefix) if item.offset is None else item.offset,
        }
        directory += spec.CentralHeader(**values | more | item.central).encode()
        out += spec.LocalHeader(**values | item.local).encode() + item.body + item.gap
    start = len(out) - len(prefix)
    count = len(items)
    record = spec.EndRecord(0, 0, count, count, len(directory), start, len(comment))
    out += directory + between + record._replace(**(end or {})).encode() + comment
    return bytes(out)


def zip64_end(count: int, size: int, start: int, *, locator: int | None = None, **changes: int) -> bytes:
    """A ZIP64 end record and its locator, to stand between directory and end record."""
    record = spec.Zip64EndRecord(0, 45, 0, 0, count, count, size, start)
    place = start + size if locator is None else locator
    return record._replace(**changes).encode() + spec.Zip64Locator(0, place, 1).encode()


def flags_of(method: str) -> int:
    """The general purpose flag that goes with a method's data."""
    return spec.LZMA_END_MARK if method == "lzma" else 0


# What compresses


def _deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush()


def _deflate64(data: bytes) -> bytes:
    import inflate64

    stream = inflate64.Deflater()
    return bytes(stream.deflate(data) + stream.flush())


def lzma_zip(data: bytes, *, end_mark: bool = True, dictionary: int = 1 << 16) -> bytes:
    """LZMA as ZIP has it (APPNOTE 5.8.8), with or without its end mark."""
    chain = {"preset": 1, "dict_size": dictionary}
    if end_mark:
        alone = lzma.compress(data, lzma.FORMAT_ALONE, filters=[chain | {"id": lzma.FILTER_LZMA1}])
        properties, packed = alone[:5], alone[13:]
    else:
        # The first chunk of LZMA2 is LZMA without an end mark, behind control, size (2), packed size (2), lc/lp/pb.
        chunk = lzma.compress(data, lzma.FORMAT_RAW, filters=[chain | {"id": lzma.FILTER_LZMA2}])
        size, packed_size = struct.unpack_from(">HH", chunk, 1)
        assert chunk[0] == 0xE0
        assert size + 1 == len(data), "a single chunk"
        properties = chunk[5:6] + struct.pack("<I", dictionary)
        packed = chunk[6 : 6 + packed_size + 1]
    return struct.pack("<BBH", 9, 4, 5) + properties + packed


def _zstd(data: bytes) -> bytes:
    from strongroom.compression import _zstd as library

    return bytes(library().compress(data))


def _ppmd(data: bytes) -> bytes:
    import pyppmd

    order, megabytes = 6, 1
    encoder = pyppmd.Ppmd8Encoder(order, megabytes << 20, 0)
    return struct.pack("<H", order - 1 | megabytes - 1 << 4) + bytes(encoder.encode(data) + encoder.flush(endmark=True))


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "store": bytes,
    "deflate": _deflate,
    "deflate64": _deflate64,
    "bzip2": bz2.compress,
    "lzma": lzma_zip,
    "zstd": _zstd,
    "xz": lzma.compress,
    "ppmd": _ppmd,
}
