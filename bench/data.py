"""The data of every measurement, from fixed seeds."""

from __future__ import annotations

import numpy as np

from examples.records import SEED, blocks


def csv(size: int) -> bytes:
    """The first `size` bytes of an endless table; no part of it repeats over a long range."""
    table = bytearray()
    for block in blocks():
        table += block
        if len(table) >= size:
            break
    return bytes(memoryview(table)[:size])


def noise(size: int) -> bytes:
    """Bytes that no codec makes smaller."""
    return np.random.Generator(np.random.PCG64(SEED)).bytes(size)
