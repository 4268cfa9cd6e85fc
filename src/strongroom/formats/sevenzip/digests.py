"""The digests of pack streams, by which the manifest knows them: one reading, once a folder.

A digest is the SHA-256 of the tags of each MiB of the stream, the last one shorter: so several threads can take it. The
manifest has its length beside it. A tag is an AES-256-GMAC (SP 800-38D), ten times as fast as SHA-256, under a
key that serves nothing else. It is enough since nobody but the manifest's HMAC ever sees a digest (ADR 10).
"""

from __future__ import annotations

import threading
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.sevenzip import coders, crypto
from strongroom.manifest.keys import digest, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats.sevenzip.directory import Place
    from strongroom.formats.sevenzip.streams import Folder
    from strongroom.memory.secret import SecretBuffer
    from strongroom.source import Source

LABEL: Final = "strongroom manifest 1 7z tags"
_NONCE: Final = Struct(f"<{crypto.IV_SIZE}sQQ")


class TagKey:
    """The key of the tags of an archive's pack streams, expanded from the archive's own. Wiped by `close()`.

    A nonce is the folder's IV, the number of the stream among the folder's, and that of the MiB: never the same twice.
    """

    def __init__(self, own: SecretBuffer) -> None:
        self._buffer = expand(own, LABEL)

    def begin(self, iv: bytes, stream: int, number: int) -> Any:  # noqa: ANN401 - cryptography's context has no public type of its own
        """Return the context that takes the tag of one MiB. It has a copy of the key."""
        self._buffer.check_process()
        with memoryview(self._buffer) as view:
            return Cipher(algorithms.AES(view), modes.GCM(_NONCE.pack(iv, stream, number))).encryptor()

    def tag(self, iv: bytes, stream: int, number: int, data: memoryview) -> bytes:
        """Return the tag of a MiB, or what the stream ends with."""
        context = self.begin(iv, stream, number)
        context.authenticate_additional_data(data)
        return end(context)

    def close(self) -> None:
        """Wipe the key."""
        self._buffer.close()


def end(context: Any) -> bytes:  # noqa: ANN401
    """Return the tag of what a context was given."""
    context.finalize()
    tag: bytes = context.tag
    return tag


def join(tags: bytearray) -> bytes:
    """Return the digest of a stream from the tags of its chunks."""
    return digest(bytes(tags))


def iv(folder: Folder) -> bytes:
    """Return the IV of a folder, zeros where it has none; no folder of ours has two."""
    return next((found.iv for found in coders.encryption(folder)), b"").ljust(crypto.IV_SIZE, b"\0")


class PackHash:
    """Takes the digest of a folder's only pack stream, which comes in pieces of any size."""

    def __init__(self, key: TagKey, iv: bytes) -> None:
        self._key = key
        self._iv = iv
        self._tags = bytearray()
        self._number = 0
        self._left = CHUNK
        self._context: Any = None

    def update(self, data: memoryview) -> None:
        """Take a piece."""
        while data:
            if self._context is None:
                self._context = self._key.begin(self._iv, 0, self._number)
            part = data[: self._left]
            self._context.authenticate_additional_data(part)
            self._left -= len(part)
            data = data[len(part) :]
            if not self._left:
                self._end()

    def digest(self) -> bytes:
        """Return the digest, when all is there."""
        if self._context is not None:
            self._end()
        return join(self._tags)

    def close(self) -> None:
        """End the context, which has a copy of the key."""
        self._context = None

    def _end(self) -> None:
        self._tags += end(self._context)
        self._context, self._left = None, CHUNK
        self._number += 1


def ignore(offset: int, chunk: memoryview) -> None:
    """Do nothing with a chunk."""


class Digests:
    """Takes them when they are asked for, and keeps them. May be asked by several threads at once.

    `key` gives the key when it is needed; it stays the caller's.
    """

    def __init__(
        self,
        source: Source,
        folders: Sequence[Folder],
        places: Sequence[Sequence[Place]],
        key: Callable[[], TagKey],
        threads: int,
    ) -> None:
        self._source = source
        self._folders = folders
        self._places = places
        self._key = key
        self._threads = threads
        self._known: dict[int, tuple[bytes, ...]] = {}
        self._lock = threading.Lock()

    def of(self, folder: int, seen: Callable[[int, memoryview], object] = ignore) -> tuple[bytes, ...]:
        """Return those of a folder; `seen` is called with each chunk that is read for it, and its offset."""
        with self._lock:
            if folder not in self._known:
                places = self._places[folder]
                self.put(folder, tuple(self._digest(folder, stream, seen) for stream in range(len(places))))
            return self._known[folder]

    def put(self, folder: int, digests: tuple[bytes, ...]) -> None:
        """Keep those of a folder, which were taken in another way."""
        self._known[folder] = digests

    def tag(self, folder: int, stream: int, number: int, data: memoryview) -> bytes:
        """Return the tag of a MiB of a folder's pack stream, or what that ends with."""
        return self._key().tag(iv(self._folders[folder]), stream, number, data)

    def _digest(self, folder: int, stream: int, seen: Callable[[int, memoryview], object]) -> bytes:
        """Tag chunks side by side; what is a chunk or less starts no thread."""
        place = self._places[folder][stream]

        def leaf(number: int) -> bytes:
            buffer = free.pop()  # the one that was used last: it is still in the cache
            try:
                chunk = buffer[: place.size - number * CHUNK]
                offset = place.offset + number * CHUNK
                self._source.read_into(offset, chunk)
                seen(offset, chunk)
                return self.tag(folder, stream, number, chunk)
            finally:
                free.append(buffer)

        tags = bytearray()
        threads = self._threads if place.size > CHUNK else 1
        free = [memoryview(bytearray(min(CHUNK, place.size))) for _ in range(threads)]
        with Pipeline[int, bytes]([Stage(leaf, parallel=True)], threads) as pipeline:
            for number in range(-(-place.size // CHUNK)):
                tags += b"".join(pipeline.push(number))
            tags += b"".join(pipeline.drain())
        return join(tags)
