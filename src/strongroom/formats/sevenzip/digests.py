"""The digests of pack streams, by which the manifest knows them: one reading, once a folder.

A digest is the SHA-256 of the SHA-256 of each MiB of the stream, the last one shorter: so several threads can take it.
What the length is the manifest says beside it.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING

from strongroom.flow import CHUNK, Pipeline, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats.sevenzip.directory import Place
    from strongroom.source import Source


class PackHash:
    """Takes the digest of what comes in pieces of any size."""

    def __init__(self) -> None:
        self._leaves = bytearray()
        self._leaf = sha256()
        self._left = CHUNK

    def update(self, data: memoryview) -> None:
        """Take a piece."""
        while data:
            part = data[: self._left]
            self._leaf.update(part)
            self._left -= len(part)
            data = data[len(part) :]
            if not self._left:
                self._end_leaf()

    def digest(self) -> bytes:
        """Return the digest, when all is there."""
        if self._left < CHUNK:
            self._end_leaf()
        return join(self._leaves)

    def _end_leaf(self) -> None:
        self._leaves += self._leaf.digest()
        self._leaf, self._left = sha256(), CHUNK


def join(leaves: bytearray) -> bytes:
    """Return the digest of a stream from those of its chunks."""
    return sha256(leaves).digest()


def ignore(offset: int, chunk: memoryview) -> None:
    """Do nothing with a chunk."""


class Digests:
    """Takes them when they are asked for, and keeps them. May be asked by several threads at once."""

    def __init__(self, source: Source, places: Sequence[Sequence[Place]], threads: int) -> None:
        self._source = source
        self._places = places
        self._threads = threads
        self._known: dict[int, tuple[bytes, ...]] = {}
        self._lock = threading.Lock()

    def of(self, folder: int, seen: Callable[[int, memoryview], object] = ignore) -> tuple[bytes, ...]:
        """Return those of a folder; `seen` is called with each chunk that is read for it, and its offset."""
        with self._lock:
            if folder not in self._known:
                self.put(folder, tuple(self._digest(place, seen) for place in self._places[folder]))
            return self._known[folder]

    def put(self, folder: int, digests: tuple[bytes, ...]) -> None:
        """Keep those of a folder, which were taken in another way."""
        self._known[folder] = digests

    def _digest(self, place: Place, seen: Callable[[int, memoryview], object]) -> bytes:
        """Hash chunks side by side; what is a chunk or less starts no thread."""

        def leaf(number: int) -> bytes:
            chunk = buffers[number % len(buffers)][: place.size - number * CHUNK]
            offset = place.offset + number * CHUNK
            self._source.read_into(offset, chunk)
            seen(offset, chunk)
            return sha256(chunk).digest()

        leaves = bytearray()
        threads = self._threads if place.size > CHUNK else 1
        with Pipeline[int, bytes]([Stage(leaf, parallel=True)], threads) as pipeline:
            buffers = [memoryview(bytearray(min(CHUNK, place.size))) for _ in range(pipeline.depth + 1)]
            for number in range(-(-place.size // CHUNK)):
                leaves += b"".join(pipeline.push(number))
            leaves += b"".join(pipeline.drain())
        return join(leaves)
