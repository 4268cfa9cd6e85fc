"""How long a password stands up to guessing, by the library zxcvbn (extra `strength`) and the cost of each format.

The library never sees a password in this process: see `strength_worker`.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from strongroom import strength_worker as worker
from strongroom.isolated import end_worker, library_folder, start_worker

if TYPE_CHECKING:
    from strongroom.memory.secret import Secret

GUESSES: Final = {"zip": 18e6, "7z": 60e3, "zip.age": 1.3e3, "html": 1.3e3, "age": 1.3e3}
"""Passwords that one graphics card tries in a second, by format.

Measured with hashcat 6.1.1 on an NVIDIA RTX 3090 (Chick3nman, gist e4fcee00cb6d82874dace72106d73fef), and doubled, as
its successor of 2022 came to about twice that:
zip  mode 13600, PBKDF2-HMAC-SHA1 with 1,000 rounds: 9,012 kH/s
7z   mode 11600 with 2^14 rounds: 955.9 kH/s, so 29.9 kH/s with 2^19
age  mode 9300, scrypt with N = 2^14, r = 1: 85.3 kH/s, so 667 H/s with the N = 2^18, r = 8 that is 128 times the work
"""

WEAK: Final = 1000 * 365.25 * 86_400
"""Seconds below which a password is weak: a thousand cards take a year."""

_PATIENCE: Final = 15  # seconds, beyond what the worker may use
_LONGEST: Final = worker.LONGEST * 4  # bytes of UTF-8

_UNITS: Final = (
    (1, "second"),
    (60, "minute"),
    (3600, "hour"),
    (86_400, "day"),
    (30.44 * 86_400, "month"),
    (365.25 * 86_400, "year"),
)
_LARGE: Final = ((1e9, "a billion"), (1e6, "a million"), (1e3, "a thousand"))


def seconds_to_guess(password: Secret, format_name: str) -> float | None:
    """Return the seconds in which one graphics card guesses a password of an archive; None without the extra.

    Of what is longer than 72 characters, only those are judged. It is an estimate by words, names, dates and patterns,
    of somebody who knows nothing of the person; nothing is raised where none can be had.
    """
    package = library_folder("zxcvbn")
    if package is None or not sys.executable or getattr(sys, "frozen", False):
        return None
    with ExitStack() as stack:
        child = start_worker(worker.__file__, str(Path(package).parent))
        stack.callback(end_worker, child)
        try:
            with cast("IO[bytes]", child.stdin) as pipe, memoryview(password) as view:
                pipe.write(view[:_LONGEST])
            if child.wait(_PATIENCE):
                return None
            guesses = float(cast("IO[bytes]", child.stdout).read())
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
    return float(10**guesses / GUESSES[format_name])


def in_words(seconds: float) -> str:
    """Say a time as people do: "about 3 hours"."""
    if seconds < 1:
        return "under a second"
    length, unit = next((length, unit) for length, unit in reversed(_UNITS) if seconds >= length)
    number = round(seconds / length)
    for least, name in _LARGE:
        if number >= least:
            return f"more than {name} {unit}s"
    return f"about {number} {unit}{'s' if number > 1 else ''}"
