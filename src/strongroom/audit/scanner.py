"""Looks for needles in another process's memory, or in a file.

The needles exist in the process that looks, and in the other one only where that has left them.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np

from strongroom.limits import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from strongroom.audit.needles import Needle
    from strongroom.source import Source

Kind = Literal["heap", "maps", "stack"]

_WINDOW: Final = 1 * MIB  # stays in the processor's cache
_SHORTEST: Final = 8
_PAGE: Final = 4 * KIB
_ARENA: Final = 64 * MIB  # glibc's HEAP_MAX_SIZE: an arena of malloc for threads starts at a multiple of it
_STACK_OF_UNLIMITED: Final = 2 * MIB  # glibc's ARCH_STACK_DEFAULT_SIZE
_ADDRESSES: Final = 1 << 63  # beyond stands [vsyscall], of which no offset of a file tells


class Search:
    """Finds needles of 8 bytes and more: all of them at once, at 1 GB/s and more, however many there are."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self._needles: dict[bytes, list[Needle]] = {}
        for needle in needles:
            if len(needle.value) < _SHORTEST:
                message = f"{needle} is shorter than {_SHORTEST} bytes: it would be found by chance"
                raise ValueError(message)
            self._needles.setdefault(needle.value[:_SHORTEST], []).append(needle)
        self.overlap: int = (
            max((len(needle.value) for some in self._needles.values() for needle in some), default=1) - 1
        )
        heads = np.frombuffer(b"".join(self._needles), "<u8")
        self._heads = heads
        self._table = np.zeros(1 << 16, np.bool_)
        self._table[heads & 0xFFFF] = True

    def count(self, data: memoryview, end: int) -> Counter[Needle]:
        """Count what begins in the first `end` bytes of `data`."""
        found: Counter[Needle] = Counter()
        if len(data) < _SHORTEST or not np.frombuffer(data, np.uint8).any():
            return found
        # Two bytes of each position are looked up in a table, then eight of those few that pass.
        words = np.ndarray((len(data) - _SHORTEST + 1,), "<u8", data, 0, (1,))
        for odd in (0, 1):
            pairs = np.frombuffer(data, "<u2", (len(data) - odd) // 2, odd)
            places = np.flatnonzero(self._table.take(pairs)) * 2 + odd
            places = places[places < min(len(words), end)]
            for place in places[np.isin(words[places], self._heads)]:
                here = data[place : place + self.overlap + 1].tobytes()
                found.update(needle for needle in self._needles[here[:_SHORTEST]] if here.startswith(needle.value))
        return found


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a process's memory: a line of its maps, or a piece of one."""

    start: int
    end: int
    access: str
    name: str
    kind: Kind

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start:x}-{self.end:x} {self.access} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, by region; how many bytes were looked at, and which regions the kernel refused to show."""

    found: dict[Region, Counter[Needle]]
    size: int
    unseen: tuple[Region, ...]

    def of(self, *kinds: Kind) -> Counter[Needle]:
        """What was found in regions of these kinds."""
        total: Counter[Needle] = Counter()
        for region, found in self.found.items():
            if region.kind in kinds:
                total += found
        return total


class Memory:
    """Another process's memory, which has to stand still while it is scanned. A context manager.

    The kernel wants the right to trace the process: that of root, or over an own child which has not given up to be
    dumped. Raises `OSError` where it refuses.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        with ExitStack() as stack:
            self._maps, self._pages, self._memory = (
                stack.enter_context(Path(f"/proc/{pid}/{name}").open("rb", buffering=0))
                for name in ("maps", "pagemap", "mem")
            )
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def regions(self) -> Iterator[Region]:
        """Give all of the process's memory.

        The stacks of threads, also of those that are over, lie above a guard page in a map that the kernel may join
        with what follows; where there is no guard page to be seen (glibc from 2.42 on) they count among the maps.
        """
        self._maps.seek(0)
        stack = resource.prlimit(self._pid, resource.RLIMIT_STACK)[0]
        stack = _STACK_OF_UNLIMITED if stack == resource.RLIM_INFINITY else stack
        guard_end = 0
        for line in self._maps.readall().decode(errors="replace").splitlines():
            place, access, _, _, _, *name = line.split(maxsplit=5)
            start, end = (int(address, 16) for address in place.split("-"))
            region = Region(start, end, access, name[0] if name else "", "maps")
            anonymous = not region.name or region.name.startswith("[anon")
            if region.name == "[heap]" or (anonymous and start % _ARENA == 0):
                region = replace(region, kind="heap")
            elif region.name.startswith("[stack"):
                region = replace(region, kind="stack")
            elif anonymous and start == guard_end:
                top = min(start + stack - _PAGE, end)
                yield replace(region, end=top, name="[stack of a thread]", kind="stack")
                region = replace(region, start=top)
            if region.size:
                yield region
            guard_end = end if anonymous and access == "---p" and end - start == _PAGE else 0

    def scan(self, search: Search) -> Scan:
        """Look for needles in all of it."""
        found: dict[Region, Counter[Needle]] = {}
        unseen: list[Region] = []
        size = 0
        buffer = memoryview(bytearray(_WINDOW + search.overlap))
        for region in self.regions():
            counts: Counter[Needle] = Counter()
            hidden = False
            place = region.start
            while place < region.end:
                end = min(_WINDOW, region.end - place)
                if self._untouched(region, place, end):
                    size += end
                    place += end
                    continue
                count = self._read(place, buffer[: end + search.overlap])
                counts += search.count(buffer[:count], end)
                size += min(count, end)
                place += min(count, end)
                if count < end:  # a page that the kernel does not show, or all of a region that nobody may read
                    hidden = True
                    place = region.end if "r" not in region.access else place // _PAGE * _PAGE + _PAGE
            if hidden:
                unseen.append(region)
            if counts:
                found[region] = counts
        return Scan(found, size, tuple(unseen))

    def _untouched(self, region: Region, place: int, size: int) -> bool:
        """Whether no page there is in memory or in swap: then it is zeros, or what is in a file on the disk.

        Of shared memory the process's page table does not tell; of private memory it does (pagemap.rst, bits 63, 62).
        """
        if not region.access.endswith("p") or place >= _ADDRESSES:
            return False
        first, last = place // _PAGE, -(-(place + size) // _PAGE)
        entries = np.frombuffer(os.pread(self._pages.fileno(), 8 * (last - first), 8 * first), "<u8")
        return len(entries) == last - first and not (entries >> np.uint64(62)).any()

    def _read(self, place: int, buffer: memoryview) -> int:
        if place >= _ADDRESSES:
            return 0
        try:
            return os.preadv(self._memory.fileno(), [buffer], place)
        except OSError:
            return 0


def scan_source(source: Source, search: Search) -> Counter[Needle]:
    """Look for needles in a file."""
    found: Counter[Needle] = Counter()
    buffer = memoryview(bytearray(_WINDOW + search.overlap))
    for place in range(0, source.size, _WINDOW):
        data = buffer[: source.size - place]
        source.read_into(place, data)
        found += search.count(data, _WINDOW)
    return found
