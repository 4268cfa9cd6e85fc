"""The child that `strength` starts: reads a password from standard input, and writes how many guesses it stands.

It runs as a script of its own and imports nothing of strongroom. The library that judges takes a `str` and makes copies
of all its parts, which nobody can wipe: they are all in this process, which cannot be dumped, writes no file, and ends.
"""

from __future__ import annotations

import os
import resource
import sys
from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it: loading `typing` would take time
if TYPE_CHECKING:
    from typing import Final, NoReturn

LONGEST: Final = 72
"""Characters that are judged; the library takes no more, since its time grows with their square."""

_SECONDS: Final = 10
_PR_SET_DUMPABLE: Final = 4
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2


def _bound() -> None:
    """Keep what is in memory there, and bound the time; where memory cannot be locked, it may be swapped."""
    for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CPU, _SECONDS)):
        resource.setrlimit(kind, (most, most))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.mlockall(_MCL_CURRENT | _MCL_FUTURE)


def main() -> NoReturn:
    """Judge one password, and end without tidying up."""
    sys.path.append(sys.argv[1])
    library = import_module("zxcvbn")
    _bound()
    password = sys.stdin.buffer.read().decode(errors="surrogateescape")[:LONGEST]
    os.write(1, f"{library.zxcvbn(password)['guesses_log10']:.2f}".encode())
    os._exit(0)


if __name__ == "__main__":
    main()
