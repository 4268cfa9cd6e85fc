"""Runs one target under atheris, in a process of its own, in the current folder: `python -m fuzz.engine TARGET …`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import atheris

TIMEOUT: Final = 25
"""Seconds by the clock that an input may take: more than enough on a busy machine."""

MEMORY: Final = 1024
"""MiB that the process may have, of which Python, the libraries and atheris take some 250."""

LARGEST: Final = 128 << 10


def main(name: str, seconds: str, *more: str) -> None:
    """Fuzz for so many seconds; a finding is left in the current folder, and the exit code is not 0."""
    with atheris.instrument_imports(include=["strongroom"]):
        from fuzz import kept, target  # noqa: PLC0415 - atheris sees what is imported here

        chosen = target(name)
    inputs = Path("inputs")
    inputs.mkdir()
    seeds = [*chosen.seeds(), *(path.read_bytes() for path in kept(name))]
    for number, seed in enumerate(seeds):
        (inputs / f"seed-{number}").write_bytes(seed)
    place = Path.cwd()
    Path("room").mkdir()
    os.chdir("room")  # what a target makes is made there
    arguments = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LARGEST}",
        f"-artifact_prefix={place}/",
        "-print_final_stats=1",
        *more,
        str(place / "inputs"),
    ]
    atheris.Setup([sys.argv[0], *arguments], chosen.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
