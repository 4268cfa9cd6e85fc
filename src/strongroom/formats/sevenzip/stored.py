"""Stored data in a folder of its own, which is read from any place, and decrypted side by side.

In CBC mode every block is decrypted with the ciphertext before it, which is there: so a chunk stands alone.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.sevenzip import crypto, spec
from strongroom.formats.sevenzip.digests import join
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from strongroom.formats.sevenzip.directory import Place
    from strongroom.formats.sevenzip.streams import Folder
    from strongroom.source import Source


class Stored(NamedTuple):
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


class Job(NamedTuple):
    """What a way through stored data takes; `see` gets each chunk that is read, with its offset."""

    source: Source
    data: Stored
    key: crypto.Key
    threads: int
    see: Callable[[int, memoryview], object]


def fill(job: Job, target: memoryview, tag: Callable[[int, memoryview], bytes]) -> bytes:
    """Decrypt into `target`, and return the digest of what was read; `tag` gives that of a chunk, and its number.

    Raises `ValueError` where the data changes on the way.
    """
    place = job.data.place
    last = job.data.properties.iv.ljust(crypto.IV_SIZE, b"\0")
    iv = last

    def decrypt(number: int) -> tuple[bytes, bytes, bytes]:
        """Return the block before a chunk, its last block, and its tag."""
        slot = free.pop()  # the one that was used last: it is still in the cache
        try:
            return through(number, *slot)
        finally:
            free.append(slot)

    def through(number: int, packed: memoryview, spare: memoryview) -> tuple[bytes, bytes, bytes]:
        start = number * CHUNK
        packed = packed[: crypto.BLOCK + min(CHUNK, place.size - start)]
        if start:
            job.source.read_into(place.offset + start - crypto.BLOCK, packed)
        else:
            packed[: crypto.BLOCK] = iv
            job.source.read_into(place.offset, packed[crypto.BLOCK :])
        out = target[start:]
        direct = len(out) >= len(packed) + crypto.SLACK
        _decrypt(job.key, packed, out if direct else spare)
        if not direct:
            count = min(len(out), len(packed) - crypto.BLOCK)
            out[:count] = spare[:count]
            wipe(spare)
        job.see(place.offset + start, packed[crypto.BLOCK :])
        return bytes(packed[: crypto.BLOCK]), bytes(packed[-crypto.BLOCK :]), tag(number, packed[crypto.BLOCK :])

    tags = bytearray()
    free = [_slot() for _ in range(job.threads)]
    numbers = range(-(-place.size // CHUNK))
    with Pipeline[int, tuple[bytes, bytes, bytes]]([Stage(decrypt, parallel=True)], job.threads) as pipeline:
        found = chain(chain.from_iterable(map(pipeline.push, numbers)), pipeline.drain())
        for before, end, found_tag in found:
            if before != last:
                message = "the data changed while it was read"
                raise ValueError(message)
            tags += found_tag
            last = end
    return join(tags)


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
