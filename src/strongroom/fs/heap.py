"""Memory in blocks of any size up to a page, cut from slabs that the system backs with huge pages.

Free extents are joined with their neighbours, and each block comes from the smallest extent that it fits (best fit),
so that short blocks fill the gaps between long ones. Every call takes constant time.
"""

from __future__ import annotations

import itertools
import mmap
import sys
from contextlib import suppress
from typing import Final

from strongroom.errors import LimitError
from strongroom.limits import KIB, MIB

SLAB: Final = 32 * MIB + 8 * KIB
"""512 pages of 64 KiB with their tags, to the byte. An odd size keeps neighbouring slabs from sharing huge pages where
they meet: with 8 MiB a quarter of the memory came in small ones, and new memory was filled a third slower."""
_GRANULE: Final = 16  # the unit of addresses and sizes; small, since it is what a short block wastes
_SLAB_GRANULES: Final = SLAB // _GRANULE
_MADV_WIPEONFORK: Final = 18  # not in Python's mmap module before 3.13; the number is the kernel's (linux/mman.h)


class Heap:
    """Blocks of up to `largest` bytes. Holds at most `most` slabs, then `LimitError`. Addresses count granules.

    `_sizes` alone says what is free. An extent leaves it before it is used, and enters it last; the rest are hints,
    checked before they are followed. So Ctrl-C at any point costs an extent at worst, and never gives memory twice.
    """

    def __init__(self, largest: int, most: int) -> None:
        self._any = _granules(largest)  # the bin of all extents that fit any block
        self._most = most
        self._slabs: dict[int, mmap.mmap] = {}
        self._views: dict[int, memoryview] = {}
        self._numbers = itertools.count()
        self._unused: list[int] = []  # numbers of slabs that were given back
        self._spare: int | None = None  # the start of a slab that is kept although nothing is in it
        self._sizes: dict[int, int] = {}  # free extents, by start
        self._starts: dict[int, int] = {}  # their starts, by end
        self._bins: list[dict[int, None]] = [{} for _ in range(self._any + 1)]  # their starts, by size
        self._filled = 0  # one bit for each bin that may have something in it

    @property
    def mapped(self) -> int:
        """The memory that is taken from the system, in bytes."""
        return len(self._slabs) * SLAB

    def allocate(self, size: int) -> int:
        """Return the address of a block of `size` bytes."""
        count = _granules(size)
        while True:
            fitting = self._filled >> count
            if not fitting:
                self._map()
                continue
            smallest = count + (fitting & -fitting).bit_length() - 1
            starts = self._bins[smallest]
            if not starts:
                self._filled &= ~(1 << smallest)
                continue
            start, _ = starts.popitem()
            length = self._sizes.get(start, 0)
            if min(length, self._any) == smallest:
                self._take(start, length)
                if length > count:
                    self._put(start + count, length - count)
                return start

    def free(self, start: int, size: int) -> None:
        """Take back the block of `size` bytes at `start`."""
        count = _granules(size)
        before = self._starts.get(start)
        if before is not None and start % _SLAB_GRANULES and self._sizes.get(before) == start - before:
            self._take(before, start - before)
            count += start - before
            start = before
        after = self._sizes.get(start + count)
        if after is not None and (start + count) % _SLAB_GRANULES:
            self._take(start + count, after)
            count += after
        if count == _SLAB_GRANULES and self._spare != start:
            if self._spare is not None and self._sizes.get(self._spare) == _SLAB_GRANULES:
                self._unmap(start // _SLAB_GRANULES)
                return
            self._spare = start
        self._put(start, count)

    def view(self, start: int, size: int) -> memoryview:
        """Return the block of `size` bytes at `start`, to read or write."""
        slab, place = divmod(start, _SLAB_GRANULES)
        return self._views[slab][place * _GRANULE : place * _GRANULE + size]

    def close(self) -> None:
        """Give back all slabs."""
        for slab in list(self._slabs):
            self._unmap(slab)
        self._sizes.clear()
        self._starts.clear()
        self._bins.clear()
        self._filled = 0

    def _put(self, start: int, count: int) -> None:
        number = min(count, self._any)
        self._starts[start + count] = start
        self._bins[number][start] = None
        self._filled |= 1 << number
        self._sizes[start] = count

    def _take(self, start: int, count: int) -> None:
        del self._sizes[start]
        self._starts.pop(start + count, None)
        self._bins[min(count, self._any)].pop(start, None)

    def _map(self) -> None:
        if len(self._slabs) >= self._most:
            message = f"the RamFS would take more than {self._most} slabs of {SLAB} bytes: its free memory is in pieces"
            raise LimitError(message)
        try:
            slab = _new_slab()
        except (OSError, MemoryError):
            message = f"the system gives no more memory, after {self.mapped} bytes"
            raise LimitError(message) from None
        number = self._unused.pop() if self._unused else next(self._numbers)
        self._slabs[number] = slab
        self._views[number] = memoryview(slab)
        self._put(number * _SLAB_GRANULES, _SLAB_GRANULES)

    def _unmap(self, number: int) -> None:
        slab, view = self._slabs.pop(number), self._views.pop(number, None)
        if view is not None:
            view.release()
        with suppress(BufferError):  # a traceback holds a view of ciphertext: the memory goes when that does
            slab.close()
        self._unused.append(number)


def _granules(size: int) -> int:
    return -(-size // _GRANULE)


def _new_slab() -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, SLAB)
    slab = mmap.mmap(-1, SLAB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        # A child cannot use the file system; without WIPEONFORK it would hold copies of all that is written meanwhile.
        for advice in (mmap.MADV_HUGEPAGE, _MADV_WIPEONFORK):
            with suppress(OSError):  # a kernel that knows no such thing
                slab.madvise(advice)
    return slab
