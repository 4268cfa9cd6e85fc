"""Makes 7z files that no honest tool makes: any field of any record can be another one than it should be."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Final

from strongroom.formats.sevenzip import crypto, spec
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import BindPair, Coder, Folder, Stream, Streams
from strongroom.limits import Limits
from strongroom.memory.secret import Secret

PASSWORD: Final = "a made-up password"
POWER: Final = 4  # rounds enough for a test
SALT: Final = bytes(range(16))
IV: Final = bytes(range(16, 32))

COPY: Final = Coder(spec.COPY)
AES: Final = Coder(spec.AES, crypto.AesProperties(POWER, SALT, IV).encode())
_LZMA2_FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
CODERS: Final = {
    "store": COPY,
    "lzma2": Coder(spec.LZMA2, b"\x08"),
    "deflate": Coder(spec.DEFLATE),
    "bzip2": Coder(spec.BZIP2),
}


def packed(method: str, data: bytes) -> bytes:
    """Compress data as the coder of that name expects it."""
    if method == "lzma2":
        return lzma.compress(data, lzma.FORMAT_RAW, filters=_LZMA2_FILTERS)
    if method == "deflate":
        return zlib.compress(data)[2:-4]
    return bz2.compress(data) if method == "bzip2" else data


@cache
def _key() -> crypto.Key:
    return crypto.Key(Secret(PASSWORD), SALT, POWER, Limits())


def encrypted(data: bytes) -> bytes:
    """Encrypt under the key that `AES` names, filled up with zeros."""
    padded = data + bytes(-len(data) % 16)
    return bytes(_key().encryptor(IV).update(padded))


def folder(method: str, data: bytes, *, secret: bool) -> tuple[Folder, bytes]:
    """Return a folder, and its pack stream."""
    body = packed(method, data)
    if not secret:
        return Folder((CODERS[method],), (), (0,), (len(data),)), body
    made = Folder((CODERS[method], AES), (BindPair(0, 1),), (1,), (len(data), len(body)))
    return made, encrypted(body)


def join(body: bytes, header: bytes, *, gap: bytes = b"", after: bytes = b"") -> bytes:
    """Put a file together; the signature header fits the rest."""
    start = spec.SignatureHeader(len(body) + len(gap), len(header), zlib.crc32(header))
    return start.encode() + body + gap + header + after


def archive(
    files: dict[str, bytes],
    *,
    method: str = "store",
    secret: bool = True,
    solid: bool = False,
    hidden: bool = False,
    extra: Sequence[File] = (),
) -> bytes:
    """Make an archive: encrypted if `secret`, in one folder if `solid`, with the header encrypted if `hidden`."""
    groups = [list(files)] if solid else [[name] for name in files]
    folders: list[Folder] = []
    bodies: list[bytes] = []
    for group in groups:
        made, body = folder(method, b"".join(files[name] for name in group), secret=secret)
        folders.append(made)
        bodies.append(body)
    substreams = tuple(tuple(Stream(len(files[name]), zlib.crc32(files[name])) for name in group) for group in groups)
    streams = Streams(0, tuple(Stream(len(body)) for body in bodies), tuple(folders), substreams)
    header = spec.Header(streams, (*(File(name, modified=1 << 56) for name in files), *extra)).encode()
    body = b"".join(bodies)
    return pack_header(body, header, secret=secret) if hidden else join(body, header)


def pack_header(body: bytes, header: bytes, *, secret: bool = True, method: str = "lzma2") -> bytes:
    """Put a file together whose header is packed, and encrypted if `secret`."""
    made, data = folder(method, header, secret=secret)
    stream = Stream(len(header), zlib.crc32(header))
    outer = spec.EncodedHeader(Streams(len(body), (Stream(len(data)),), (made,), ((stream,),))).encode()
    return join(body + data, outer)
