"""Memory of its own pages, kept from swap, core dumps and child processes, as far as the system can.

`memfd_secret` takes pages out of the kernel's own map of all memory as well: neither /proc/PID/mem nor a debugger reads
them, not even for root. It is laid over the map that Python made, so that no descriptor stays and Python's object gives
the range back (docs/adr/0004-secret-pages.md).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import sys
import warnings
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOMEM
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Self, cast
from weakref import WeakValueDictionary

from strongroom.errors import SecureMemoryError, StrongroomWarning

if TYPE_CHECKING:
    from collections.abc import Callable

Protection = Literal["memfd_secret", "mlock", "none"]
"""What keeps memory from swap, the best first. Core dumps and child processes do not get it in any case."""

# Not in Python's mmap module, or not in each version's; the numbers are the kernel's (linux/mman.h, asm/unistd.h).
_MADV_DONTFORK: Final = 10
_MADV_DONTDUMP: Final = 16
_MADV_WIPEONFORK: Final = 18
_MAP_FIXED_NOREPLACE: Final = 0x100000
_MREMAP_MAYMOVE_FIXED: Final = 1 | 2
_MEMFD_SECRET: Final = 447

_READ_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_ENTROPY: Final = 256  # as many bytes as getentropy gives at once
_FAILED: Final = ctypes.c_void_p(-1).value

has_memfd_secret: bool = sys.platform == "linux"
"""Until the kernel says otherwise. Set to False for a process whose memory is to be searched: no search sees it."""
downgraded: bool = False
"""Whether a secret of this process could not be locked."""


class Pages(mmap.mmap):
    """`size` bytes that begin as zeros. After `close()`, and in a forked child, every use is a `ValueError`.

    `protection` says what keeps them from swap. Where nothing does, that is a `StrongroomWarning`, once in the process,
    or with `locked=True` a `SecureMemoryError`.
    """

    protection: Protection = "none"
    address: int = 0
    _process: int = 0  # nobody's, where Ctrl-C comes in the middle of making it

    def __new__(cls, size: int, *, locked: bool = False) -> Self:  # noqa: D102 - the class says it
        self = super().__new__(cls, -1, size, flags=_PRIVATE)
        self._process = os.getpid()
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self))
        self.protection = self._protect()
        _living[id(self)] = self  # not before it is whole: see `_leave_behind`
        if self.protection == "none":
            self._report(demanded=locked)
        return self

    @property
    def ours(self) -> bool:
        """Whether this is the process that made it."""
        return os.getpid() == self._process

    def check_process(self) -> None:
        """Raise `SecureMemoryError` in a forked child, which does not have what the memory held."""
        if not self.ours:
            message = "a secret does not go to a forked child"
            raise SecureMemoryError(message)

    def close(self) -> None:
        """Give the memory back, or while views of it are out leave that to the last of them."""
        if self.ours:  # in a child `_leave_behind` did all that there is to do
            with suppress(BufferError):
                super().close()

    def resize(self, newsize: int) -> NoReturn:
        """Raise `TypeError`: the memory stays where it is."""
        del newsize
        message = "memory for secrets does not change its size"
        raise TypeError(message)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _protect(self) -> Protection:
        if has_memfd_secret and _cover(self.address, len(self)):
            return "memfd_secret"
        return self._lock()

    def _lock(self) -> Protection:
        self._keep()
        return "none" if _mlock(self.address, len(self)) else "mlock"

    def _keep(self) -> None:
        for advice in (_MADV_DONTDUMP, _MADV_WIPEONFORK):
            _madvise(self.address, len(self), advice)

    def _report(self, *, demanded: bool) -> None:
        global downgraded  # noqa: PLW0603 - the limit is the process's, and so is the report
        limit = lock_limit()
        what = f"the lock limit of {limit} bytes (ulimit -l) is used up" if limit is not None else "the system refuses"
        if demanded:
            message = f"{len(self)} bytes cannot be locked in memory: {what}"
            self.close()
            raise SecureMemoryError(message)
        if not downgraded:
            downgraded = True
            message = f"secrets are not locked in memory, and may be swapped to the disk: {what}"
            warnings.warn(message, StrongroomWarning, stacklevel=5)


def lock_limit() -> int | None:
    """Return how many bytes this process may lock; None where there is no limit."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def locked_bytes(kind: type[Pages]) -> int:
    """Return how many bytes of one kind are locked, rounded up to pages."""
    return sum(
        -(-len(one) // mmap.PAGESIZE) * mmap.PAGESIZE
        for one in list(_living.values())
        if isinstance(one, kind) and not one.closed and one.protection != "none"
    )


def fill_random(pages: Pages) -> None:
    """Fill with randomness from the kernel, of which no copy is made."""
    for start in range(0, len(pages), _ENTROPY):
        if _getentropy(pages.address + start, min(_ENTROPY, len(pages) - start)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _cover(address: int, size: int) -> bool:
    """Lay secret memory over a private map; leave that as it is where this does not work."""
    global has_memfd_secret  # noqa: PLW0603 - the kernel's answer stays the same
    descriptor = _syscall(_MEMFD_SECRET, os.O_CLOEXEC)
    if descriptor < 0:
        has_memfd_secret = ctypes.get_errno() in (EMFILE, ENFILE, ENOMEM)  # else it is not there, or filtered out
        return False
    try:
        os.ftruncate(descriptor, size)
        place = _mmap(None, size, _READ_WRITE, mmap.MAP_SHARED, descriptor, 0)
    except OSError:  # RLIMIT_FSIZE, of all limits
        return False
    finally:
        os.close(descriptor)
    if place == _FAILED:  # the lock limit counts here, too
        return False
    # Moved, not mapped with MAP_FIXED: where that fails, it has unmapped what was there.
    if _madvise(place, size, _MADV_DONTFORK) or _mremap(place, size, size, _MREMAP_MAYMOVE_FIXED, address) == _FAILED:
        _munmap(place, size)
        return False
    return True


def _leave_behind() -> None:
    """In a forked child: close all that the parent has.

    Secret memory is not there at all. Something else may come to stand in its place, which Python's object would later
    unmap; so the place is taken at once, by zeros, which views that are still out then show.
    """
    for pages in list(_living.values()):
        if pages.closed:
            continue
        if pages.protection == "memfd_secret":
            address = pages.address
            taken = _mmap(address, len(pages), _READ_WRITE, _PRIVATE | _MAP_FIXED_NOREPLACE, -1, 0)
            if taken != address:  # too late: the object must not end before the process does
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(pages))
                continue
        with suppress(BufferError):
            mmap.mmap.close(pages)
    _living.clear()


def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:  # noqa: ANN401 - ctypes' own types
    function: Any = getattr(_libc, name)
    function.restype, function.argtypes = result, arguments
    return cast("Callable[..., Any]", function)


_size, _int, _pointer, _long = ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_long
_libc: Final = ctypes.CDLL(None, use_errno=True)
_mmap: Final = _function("mmap", _pointer, _pointer, _size, _int, _int, _int, _long)
_munmap: Final = _function("munmap", _int, _pointer, _size)
_mlock: Final = _function("mlock", _int, _pointer, _size)
_madvise: Final = _function("madvise", _int, _pointer, _size, _int)
_getentropy: Final = _function("getentropy", _int, _pointer, _size)
if has_memfd_secret:
    _mremap: Final = _function("mremap", _pointer, _pointer, _size, _size, _int, _pointer)
    _syscall: Final = _function("syscall", _long, _long, _long)

_living: Final[WeakValueDictionary[int, Pages]] = WeakValueDictionary()  # by id, since maps are not hashable
os.register_at_fork(after_in_child=_leave_behind)
