"""Stored data in a folder of its own, which is read from any place, and decrypted side by side.

In CBC mode every block is decrypted with the ciphertext before it, which is there: so a chunk stands alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.sevenzip import crypto, spec
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from strongroom.formats.sevenzip.directory import Place
    from strongroom.formats.sevenzip.streams import Folder
    from strongroom.source import Source


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the data is, its size without the zeros that fill its last block, and how it is encrypted."""

    place: Place
    size: int
    properties: crypto.AesProperties


def stored(folder: Folder, places: Sequence[Place]) -> Stored | None:
    """Return what a folder has, or None where it is not stored, not encrypted, or not as long as it should be."""
    methods = [coder.method for coder in folder.coders]
    if sorted(methods) not in ([spec.AES], sorted([spec.COPY, spec.AES])):
        return None
    properties = next(coder.properties for coder in folder.coders if coder.method == spec.AES)
    size = folder.size
    whole = -(-size // crypto.BLOCK) * crypto.BLOCK
    if set(folder.sizes) != {size} or places[0].size != whole:
        return None
    return Stored(places[0], size, crypto.AesProperties.decode(properties))


@dataclass(frozen=True, slots=True)
class Job:
    """What a way through stored data takes; `see` gets each chunk that is read, with its offset."""

    source: Source
    data: Stored
    key: crypto.Key
    threads: int
    see: Callable[[int, memoryview], object]


def fill(job: Job, target: memoryview) -> bytes:
    """Decrypt into `target`, and return the SHA-256 of what was read.

    Raises `ValueError` where the data changes on the way.
    """
    place, iv = job.data.place, job.data.properties.iv
    hasher = sha256()
    last = iv.ljust(crypto.IV_SIZE, b"\0")

    def decrypt(number: int) -> tuple[int, memoryview]:
        packed, spare = slots[number % len(slots)]
        start = number * CHUNK
        packed = packed[: crypto.BLOCK + min(CHUNK, place.size - start)]
        if start:
            job.source.read_into(place.offset + start - crypto.BLOCK, packed)
        else:
            packed[: crypto.BLOCK] = last
            job.source.read_into(place.offset, packed[crypto.BLOCK :])
        out = target[start:]
        direct = len(out) >= len(packed) + crypto.SLACK
        _decrypt(job.key, packed, out if direct else spare)
        if not direct:
            out[: len(packed) - crypto.BLOCK] = spare[: min(len(out), len(packed) - crypto.BLOCK)]
            wipe(spare)
        return place.offset + start, packed

    def hash_in_order(found: tuple[int, memoryview]) -> None:
        nonlocal last
        offset, packed = found
        if bytes(packed[: crypto.BLOCK]) != last:
            message = "the data changed while it was read"
            raise ValueError(message)
        hasher.update(packed[crypto.BLOCK :])
        job.see(offset, packed[crypto.BLOCK :])
        last = bytes(packed[-crypto.BLOCK :])

    with Pipeline[int, None]([Stage(decrypt, parallel=True), Stage(hash_in_order)], job.threads) as pipeline:
        slots = [_slot() for _ in range(pipeline.depth + 1)]
        for number in range(-(-place.size // CHUNK)):
            deque(pipeline.push(number), maxlen=0)
        deque(pipeline.drain(), maxlen=0)
    return hasher.digest()


def chunks(job: Job, before: Callable[[int], bytes], first: int) -> Iterator[memoryview]:
    """Give the data from chunk `first` on; `before` has the ciphertext in front of an offset that is not the first."""
    data = job.data
    iv = data.properties.iv.ljust(crypto.IV_SIZE, b"\0")

    def load(number: int) -> memoryview:
        packed, out = slots[number % len(slots)]
        start = number * CHUNK
        offset = data.place.offset + start
        packed = packed[: crypto.BLOCK + min(CHUNK, data.place.size - start)]
        packed[: crypto.BLOCK] = before(offset) if number else iv
        job.source.read_into(offset, packed[crypto.BLOCK :])
        job.see(offset, packed[crypto.BLOCK :])
        _decrypt(job.key, packed, out)
        return out[: min(CHUNK, data.size - start)]

    with Pipeline[int, memoryview]([Stage(load, parallel=True)], job.threads) as pipeline:
        slots = [_slot() for _ in range(pipeline.depth + 1)]
        try:
            for number in range(first, -(-data.size // CHUNK)):
                yield from pipeline.push(number)
            yield from pipeline.drain()
        finally:
            pipeline.close()
            for _, out in slots:
                wipe(out)


def _decrypt(key: crypto.Key, packed: memoryview, out: memoryview) -> None:
    """Decrypt what stands behind the first block, which is the one before it."""
    key.decryptor(bytes(packed[: crypto.BLOCK])).update_into(packed[crypto.BLOCK :], out)


def _slot() -> tuple[memoryview, memoryview]:
    """Return room for a chunk as it is read, with the block before it, and as it is decrypted."""
    return memoryview(bytearray(crypto.BLOCK + CHUNK)), memoryview(bytearray(CHUNK + crypto.SLACK))
