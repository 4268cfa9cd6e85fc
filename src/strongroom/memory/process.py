"""Hardens this process: what it holds is neither dumped nor shown to other processes, and overwritten when freed."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import TYPE_CHECKING, Any, Final

from strongroom.memory import pages
from strongroom.memory.report import Check, ProtectionReport
from strongroom.memory.secret import available

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/prctl.h; malloc.h of glibc
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_M_PERTURB: Final = -6
_PATTERN: Final = 0xA5  # what freed memory is overwritten with

_BLOCK: Final = 300  # a size that glibc keeps in its cache for each thread
_LINKS: Final = 16  # of which it writes as many bytes anyway
_RESTART: Final = "start Python with PYTHONMALLOC=malloc and GLIBC_TUNABLES=glibc.malloc.tcache_count=0"


def harden() -> ProtectionReport:
    """Protect this process as far as a running one can, and report what holds and what does not.

    No core dumps, also none of children. No debugger, and no look at its memory, for processes of the same user. Freed
    memory is overwritten; but Python's small objects, and what glibc's cache of each thread holds, only where the
    process was started with the settings that the report names, as the command line is. Raises nothing for what the
    system lacks. It cannot be taken back.
    """
    return ProtectionReport((_core_dumps(), _debuggers(), *_freed_memory(), _secrets()))


def allow_tracing() -> None:
    """Take back of `harden` that processes of the same user can neither trace this one nor read its memory.

    `strongroom audit` does so in the process that it looks into, where its user is not root.
    """
    prctl = _c_function("prctl")
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _core_dumps() -> Check:
    name = "core dumps"
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        return Check(name, ok=False, found=f"the limit cannot be set: {error}", advice="ulimit -c 0")
    return Check(name, ok=True, found="limited to 0 bytes")


def _debuggers() -> Check:
    name = "debuggers"
    prctl = _c_function("prctl")
    if prctl is None or prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) or prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0):
        advice = "run it as a user of its own"
        return Check(name, ok=False, found="processes of the same user can read the memory", advice=advice)
    return Check(name, ok=True, found="only root can attach one, or read the memory; nothing dumps it")


def _freed_memory() -> Iterator[Check]:
    mallopt = _c_function("mallopt")
    perturbed = mallopt is not None and mallopt(_M_PERTURB, _PATTERN) == 1
    name, advice = "freed memory", _RESTART if perturbed else "use a Python that runs on glibc"
    if not perturbed:
        yield Check(name, ok=False, found="this C library does not overwrite it", advice=advice)
    elif _keeps_freed_blocks():
        yield Check(name, ok=False, found="overwritten, but for blocks of up to 1 KiB", advice=advice)
    else:
        yield Check(name, ok=True, found="overwritten")
    name = "Python's small objects"
    if not perturbed or sys.getallocatedblocks():  # which counts those of Python's own allocator
        yield Check(name, ok=False, found="not overwritten when they are freed", advice=advice)
    else:
        yield Check(name, ok=True, found="overwritten when they are freed")


def _keeps_freed_blocks() -> bool:
    """Free a small block, and look at what is left of it: settings do not tell what the C library makes of them."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    content = ctypes.create_string_buffer(b"\x55" * _BLOCK)
    block = libc.malloc(_BLOCK)
    ctypes.memmove(block, content, _BLOCK)
    libc.free(block)
    return not libc.memcmp(block + _LINKS, content, _BLOCK - 2 * _LINKS)


def _secrets() -> Check:
    name = "passwords and keys"
    protection = available()
    if pages.downgraded or protection == "none":
        advice = "raise the lock limit: ulimit -l, or LimitMEMLOCK= of a service"
        return Check(name, ok=False, found="some are not locked in memory, and may be swapped", advice=advice)
    where = "secret memory, which not even root reads" if protection == "memfd_secret" else "locked memory"
    return Check(name, ok=True, found=f"in {where}")


def _c_function(name: str) -> Any:  # noqa: ANN401 - ctypes' own types
    """Return a function of the C library that takes and gives int, or None where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
