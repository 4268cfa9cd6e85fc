"""The SHA-256 of pack streams, by which the manifest knows them: one reading, once a folder."""

from __future__ import annotations

import threading
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING

from strongroom.flow import CHUNK, Pipeline, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats.sevenzip.directory import Place
    from strongroom.source import Source


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
        """Hash in a thread beside the reading; what is a chunk or less starts none."""
        hasher = sha256()
        threads = self._threads if place.size > CHUNK else 1
        with Pipeline[memoryview, None]([Stage(hasher.update)], threads) as pipeline:
            buffers = [memoryview(bytearray(min(CHUNK, place.size))) for _ in range(pipeline.depth + 1)]
            for number, position in enumerate(range(0, place.size, CHUNK)):
                chunk = buffers[number % len(buffers)][: place.size - position]
                self._source.read_into(place.offset + position, chunk)
                deque(pipeline.push(chunk), maxlen=0)
                seen(place.offset + position, chunk)
            deque(pipeline.drain(), maxlen=0)
        return hasher.digest()
