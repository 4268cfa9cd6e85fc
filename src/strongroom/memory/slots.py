"""Many small secrets of one size on few pages: keys that are derived by the thousand, and seen by nobody outside."""

from __future__ import annotations

import mmap
from collections import deque
from typing import Final

from strongroom.memory.secret import SecretBuffer, wipe

_PAGE: Final = mmap.PAGESIZE


class Slots:
    """Gives pieces of `size` bytes, zeros at first, and takes them back, in any thread.

    As many pages as were needed at once stay until `close`.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: deque[memoryview] = deque()
        self._pages: list[SecretBuffer] = []

    def take(self) -> memoryview:
        """Return a slot."""
        while True:
            try:
                return self._free.pop()
            except IndexError:
                self._grow()

    def give_back(self, slot: memoryview) -> None:
        """Wipe a slot, and have it used again."""
        wipe(slot)
        self._free.append(slot)

    def close(self) -> None:
        """Wipe all slots, also those that are still in use, and give the pages back."""
        while self._free:
            self._free.pop().release()
        for page in self._pages:
            page.close()
        self._pages.clear()

    def _grow(self) -> None:
        page = SecretBuffer(max(_PAGE // self._size, 1) * self._size)
        self._pages.append(page)
        with memoryview(page) as view:
            self._free.extend(view[start : start + self._size] for start in range(0, len(view), self._size))
