"""The command line starts its interpreter a second time, with an allocator that leaves nothing in freed memory.

A running process cannot change that: Python's own allocator never overwrites what it frees, nor does glibc's cache for
each thread, in which blocks of up to 1 KiB go first. Loads nothing, not even typing, so that the first start costs no
more than Python's own.
"""

from __future__ import annotations

import os
import sys

SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
    "LD_BIND_NOW": "1",
    "PYTHONMALLOC": "malloc",
}
"""The environment of an interpreter that overwrites whatever it frees, and whose dynamic linker works ahead.

Else that would work when a library's function is first called, and save the vector registers on the stack, with what
was copied through them: up to 400 bytes of plaintext, which nobody overwrites.
"""

_MARK = "_STRONGROOM_RESTARTED"
_KEPT = "_STRONGROOM_KEPT_"  # and a variable's name: what the user had in it


def restart() -> None:
    """Start this interpreter anew, with the same arguments and descriptors; return in the new one, or where that fails.

    What the user had in the environment is put back there, for the programs that we run.
    """
    if sys.platform != "linux" or not sys.executable:
        return
    if os.environ.pop(_MARK, None) is not None:  # once, whatever came of it
        for name in SETTINGS:
            kept = os.environ.pop(_KEPT + name, None)
            os.environ.pop(name, None)
            if kept is not None:
                os.environ[name] = kept
        return
    users = {_KEPT + name: os.environ[name] for name in SETTINGS if name in os.environ}
    environment = {**os.environ, **users, **SETTINGS, _MARK: "1"}
    if tunables := os.environ.get("GLIBC_TUNABLES"):
        environment["GLIBC_TUNABLES"] = f"{tunables}:{SETTINGS['GLIBC_TUNABLES']}"
    try:
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - this very program
    except OSError:  # forbidden, or too large an environment
        return  # the report of `harden` tells what is missing
