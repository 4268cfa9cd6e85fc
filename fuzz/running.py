"""Starts an engine, in a folder in memory, and gathers what it found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in it, that nobody else can enter
_GRACE: Final = 300
_TRIED: Final = re.compile(r"stat::number_of_executed_units: (\d+)")
_LOG_LINES: Final = 40


@dataclass(frozen=True)
class Outcome:
    """How a run ended: how many inputs were tried, the files of those that must not be so, and the end of the log."""

    target: str
    tried: int
    found: list[Path]
    log: str


def run(target: str, seconds: int, keep: Path, *more: str) -> Outcome:
    """Fuzz a target for so many seconds. What is found is moved to the folder `keep`, with the log beside it."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="strongroom-fuzz-", dir=where) as name:
        done = subprocess.run(
            # The peak of memory is inherited over exec: through a shell that forks it is the fuzzer's own.
            ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", "fuzz.engine", target, str(seconds), *more],
            cwd=name,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + _GRACE,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        made = [path for path in Path(name).iterdir() if path.is_file()]
        found: list[Path] = []
        for path in made:
            keep.mkdir(exist_ok=True)
            kept = keep / f"{target}-{path.name}"
            kept.write_bytes(path.read_bytes())
            kept.with_name(f"{kept.name}.log").write_text(said)
            found.append(kept)
    tried = _TRIED.search(said)
    if done.returncode and not found:
        message = f"{target} did not run: {said[-2000:]}"
        raise RuntimeError(message)
    log = "\n".join(said.splitlines()[-_LOG_LINES:])
    return Outcome(target, int(tried[1]) if tried else 0, found, log)
