"""Files as pages of ciphertext in memory: 64 KiB each, the last one short, under AES-256-GCM.

The key lives in a SecretBuffer, and the cipher object, which holds a raw copy of it, for one call. Nonces are counted
and never used twice, also where a page is written again. A page is bound to its file, its number and its length; its
nonce and address stay outside the slabs. So a page that is changed, moved, or put back to what it once was, shows.
"""

from __future__ import annotations

import itertools
import time
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.errors import LimitError, TamperedError
from strongroom.fs.guard import Guard
from strongroom.fs.heap import SLAB, Heap
from strongroom.limits import KIB
from strongroom.memory.secret import Scratch, SecretBuffer, wipe

PAGE: Final = 64 * KIB
_TAG: Final = 16
_POOL: Final = 4  # buffers that are kept for the next file to open: making one costs as much as reading a page

FREE_NODES: Final = 1024
NODE_COST: Final = 1 * KIB
"""What a file or folder counts against the limit, past the first `FREE_NODES`: about what Python objects it is of."""

# A page is one whole number, so that it changes in one step, whatever interrupts: nonce, address, length.
_LENGTH_BITS: Final = 17
_ADDRESS_BITS: Final = 47
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1
_ADDRESS_MASK: Final = (1 << _ADDRESS_BITS) - 1
_HOLE: Final = 0  # a page that was never written: zeros

_BINDING: Final = Struct(">QQI")  # file number, page number, length


class File:
    """The pages of one file, and what `info` tells of it. Bytes that no page holds are zeros.

    `version` rises with each change; `holds` counts the folder entry and the open files that need the pages.
    """

    __slots__ = ("created", "holds", "modified", "number", "pages", "size", "version")

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.pages: list[int] = []
        self.size: int = 0
        self.version: int = 0
        self.holds: int = 0
        self.created: float = time.time()
        self.modified: float = self.created


class PageStore:
    """All pages of one RAM file system, under one key, up to `limit` bytes. Callers hold `guard.use()`."""

    def __init__(self, limit: int) -> None:
        self.guard: Guard = Guard()
        self.limit = limit
        self._bytes = 0
        self._nodes = 0
        # An eighth more for what lies between blocks, and two slabs that may be nearly empty.
        self._heap = Heap(PAGE + _TAG, most=(limit + limit // 8) // SLAB + 2)
        self._files = itertools.count(1)
        self._nonces = itertools.count(1)
        self._cipher: AESGCM | None = None
        self._key = SecretBuffer.random(32)
        self._scratch = Scratch(PAGE)  # wiped by each call that used it
        self._pool: list[Scratch] = []
        self._lent: dict[int, Scratch] = {}

    @property
    def used(self) -> int:
        """What counts against the limit, in bytes."""
        return self._bytes + max(0, self._nodes - FREE_NODES) * NODE_COST

    @property
    def mapped(self) -> int:
        """The memory that pages take, in bytes."""
        return self._heap.mapped

    def check_growth(self, growth: int) -> None:
        """Raise `LimitError` where `growth` more bytes are too many."""
        if growth > 0 and self.used + growth > self.limit:
            message = f"the RamFS would hold {self.used + growth} bytes, its limit is {self.limit}"
            raise LimitError(message)

    def count_node(self) -> None:
        """Count one more file or folder."""
        self.check_growth(NODE_COST if self._nodes >= FREE_NODES else 0)
        self._nodes += 1

    def uncount_node(self) -> None:
        """Count one file or folder less."""
        self._nodes -= 1

    def create(self) -> File:
        """Make an empty file."""
        self.count_node()
        return File(next(self._files))

    def release(self, file: File) -> None:
        """Let go of one hold on `file`, and with the last one of its pages."""
        file.holds -= 1
        if not file.holds:
            self._nodes -= 1
            self._shrink(file, 0)

    def read(self, file: File, start: int, target: memoryview) -> int:
        """Fill `target` from byte `start` on, but for the end; return how many bytes that are.

        Raises `TamperedError`; what is left in `target` then was authenticated.
        """
        count = max(0, min(len(target), file.size - start))
        done = 0
        try:
            self._cipher = self._new_cipher()
            while done < count:
                index, skip = divmod(start + done, PAGE)
                part = target[done : min(count, done + PAGE - skip)]
                self._read_page(file, index, skip, part)
                done += len(part)
        finally:
            self._cipher = None
        return count

    def write(self, file: File, start: int, data: memoryview) -> None:
        """Put `data` at byte `start`. Raises `LimitError` before anything is written."""
        self.check_growth(start + len(data) - file.size)
        done = 0
        try:
            self._cipher = self._new_cipher()
            while done < len(data):
                index, skip = divmod(start + done, PAGE)
                part = data[done : done + PAGE - skip]
                self._write_page(file, index, skip, part)
                done += len(part)
        finally:
            self._cipher = None
            self._changed(file)

    def truncate(self, file: File, size: int) -> None:
        """Cut `file` to `size` bytes, or make it longer by zeros that take no memory but count against the limit."""
        self.check_growth(size - file.size)
        if size < file.size:
            self._shrink(file, size)
        self._bytes += size - file.size
        file.size = size
        self._changed(file)

    def copy(self, source: File, target: File) -> None:
        """Make `target` what `source` is."""
        self.check_growth(source.size - target.size)
        self._shrink(target, 0)
        scratch = memoryview(self._scratch)
        try:
            self._cipher = self._new_cipher()
            for index, page in enumerate(source.pages):
                length = page & _LENGTH_MASK
                if page != _HOLE:
                    self._decrypt(source, index, page, scratch[:length])
                    page = self._encrypt(target, index, scratch[:length])  # noqa: PLW2901 - the copy of it
                target.pages.append(page)
            growth = source.size - target.size
            target.size += growth
            self._bytes += growth
        finally:
            self._cipher = None
            wipe(scratch)
            self._changed(target)

    def lend(self) -> Scratch:
        """Lend a buffer of one page for plaintext. It is wiped by `take_back`, and by `close` at the latest."""
        buffer = self._pool.pop() if self._pool else Scratch(PAGE)
        self._lent[id(buffer)] = buffer
        return buffer

    def take_back(self, buffer: Scratch) -> None:
        """Wipe a buffer that was lent."""
        wipe(buffer)
        if self._lent.pop(id(buffer), None) is None:
            return
        if len(self._pool) < _POOL:
            self._pool.append(buffer)
        else:
            buffer.close()

    def close(self) -> None:
        """Forget the key, every page and all that is in buffers."""
        self.guard.close()
        for buffer in (self._key, self._scratch, *self._lent.values(), *self._pool):
            buffer.close()
        self._lent.clear()
        self._pool.clear()
        self._heap.close()
        self._bytes = self._nodes = 0

    def __del__(self) -> None:
        if hasattr(self, "_lent"):
            self.close()

    def _read_page(self, file: File, index: int, skip: int, part: memoryview) -> None:
        page = file.pages[index] if index < len(file.pages) else _HOLE
        length = page & _LENGTH_MASK
        if page == _HOLE:
            wipe(part)
        elif not skip and length <= len(part):
            self._decrypt(file, index, page, part[:length])
            _clear(part, length)
        else:
            scratch = memoryview(self._scratch)
            try:
                self._decrypt(file, index, page, scratch[:length])
                _clear(scratch, length)
                part[:] = scratch[skip : skip + len(part)]
            finally:
                wipe(scratch)

    def _write_page(self, file: File, index: int, skip: int, part: memoryview) -> None:
        missing = index + 1 - len(file.pages)
        if missing > 0:
            file.pages.extend([_HOLE] * missing)
        old = file.pages[index]
        valid = max(0, min(old & _LENGTH_MASK, file.size - index * PAGE))
        end = skip + len(part)
        if not skip and end >= valid:
            page = self._encrypt(file, index, part)
        else:
            scratch = memoryview(self._scratch)
            try:
                if old != _HOLE:
                    self._decrypt(file, index, old, scratch[: old & _LENGTH_MASK])
                _clear(scratch, valid)
                scratch[skip:end] = part
                page = self._encrypt(file, index, scratch[: max(valid, end)])
            finally:
                wipe(scratch)
        # No call and no loop: signal handlers run at those alone, so that page, size and count change together.
        file.pages[index] = page
        growth = index * PAGE + end - file.size
        if growth > 0:
            file.size += growth
            self._bytes += growth
        self._free(old)

    def _shrink(self, file: File, size: int) -> None:
        keep, rest = divmod(size, PAGE)
        if rest and keep < len(file.pages) and file.pages[keep] & _LENGTH_MASK > rest:
            self._cut_page(file, keep, rest)
        keep += rest > 0
        dropped = file.pages[keep:]  # again without calls
        del file.pages[keep:]
        self._bytes -= file.size - size
        file.size = size
        for page in dropped:
            self._free(page)

    def _cut_page(self, file: File, index: int, length: int) -> None:
        old = file.pages[index]
        scratch = memoryview(self._scratch)
        try:
            self._cipher = self._new_cipher()
            self._decrypt(file, index, old, scratch[: old & _LENGTH_MASK])
            file.pages[index] = self._encrypt(file, index, scratch[:length])
        finally:
            self._cipher = None
            wipe(scratch)
        self._free(old)

    def _changed(self, file: File) -> None:
        file.version += 1
        file.modified = time.time()

    def _new_cipher(self) -> AESGCM:
        with memoryview(self._key) as key:
            return AESGCM(key)

    def _encrypt(self, file: File, index: int, data: memoryview) -> int:
        """Return the page that `data` is."""
        assert self._cipher is not None  # noqa: S101 - callers make it
        size = len(data)
        nonce = next(self._nonces)
        address = self._heap.allocate(size + _TAG)
        block = self._heap.view(address, size + _TAG)
        self._cipher.encrypt_into(nonce.to_bytes(12), data, _BINDING.pack(file.number, index, size), block)
        return (nonce << _ADDRESS_BITS | address) << _LENGTH_BITS | size

    def _decrypt(self, file: File, index: int, page: int, target: memoryview) -> None:
        """Put the data of `page` into `target`, which has its length."""
        assert self._cipher is not None  # noqa: S101 - callers make it
        nonce, address, size = _fields(page)
        block = self._heap.view(address, size + _TAG)
        try:
            self._cipher.decrypt_into(nonce.to_bytes(12), block, _BINDING.pack(file.number, index, size), target)
        except InvalidTag:
            wipe(target)
            message = f"page {index} of file {file.number} of the RamFS was changed in memory"
            raise TamperedError(message) from None

    def _free(self, page: int) -> None:
        if page != _HOLE:
            _, address, size = _fields(page)
            self._heap.free(address, size + _TAG)


def _fields(page: int) -> tuple[int, int, int]:
    """Return nonce, address and length of a page that is no hole."""
    return page >> (_ADDRESS_BITS + _LENGTH_BITS), page >> _LENGTH_BITS & _ADDRESS_MASK, page & _LENGTH_MASK


def _clear(page: memoryview, start: int) -> None:
    if start < len(page):
        wipe(page[start:])
