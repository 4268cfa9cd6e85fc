"""Reads archives in a process of its own, and says what each cost: `measure` starts it, `python -m` is it."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_KIB: Final = 1 << 10


@dataclass(frozen=True)
class Job:
    """An archive that is read, with which options of `open`, and in which of the ways below."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    ways: tuple[str, ...] = ("read", "verify", "load", "extract")


@dataclass(frozen=True)
class Cost:
    """How reading ended: an error's class, or "" where all was read; the CPU seconds of it and of its children.

    `peak` is the memory in bytes that the process had by then at most, with Python and the libraries.
    """

    error: str
    seconds: float
    peak: int


def measure(jobs: Iterable[Job]) -> list[Cost]:
    """Read archives one after the other in one new process."""
    rows = [(str(job.path), dict(job.options), job.ways) for job in jobs]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.hostile.measured"],
        input=json.dumps(rows),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=300,
    )
    return [Cost(*row) for row in json.loads(done.stdout)]


def _seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> int:
    # Not ru_maxrss, which counts what the process that started this one had.
    status = Path("/proc/self/status").read_text()
    return _KIB * int(status.partition("VmHWM:")[2].split()[0])


def _read(path: str, options: dict[str, Any], ways: Iterable[str]) -> str:
    import strongroom

    named = options.pop("limits", {})

    def extract(room: strongroom.ReadRoom) -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            room.extract(Path(folder, "out"))

    def read(room: strongroom.ReadRoom) -> None:
        for entry in room:
            room.read(entry.name)

    def verify(room: strongroom.ReadRoom) -> None:
        report = room.verify()
        if not report.ok:
            raise strongroom.FormatError(str(report.findings[0]))

    tried: dict[str, Callable[[strongroom.ReadRoom], object]] = {
        "read": read,
        "verify": verify,
        "load": lambda room: room.load().close(),
        "extract": extract,
    }
    errors: set[str] = set()
    try:
        with strongroom.open(path, limits=strongroom.Limits(**named), threads=1, **options) as room:
            for way in ways:
                try:
                    tried[way](room)
                except strongroom.StrongroomError as error:
                    errors.add(type(error).__name__)
                else:
                    errors.add("")
    except strongroom.StrongroomError as error:
        return type(error).__name__
    return "/".join(sorted(errors))


def _main() -> None:
    import strongroom

    strongroom.seal({"a": b"1"}, io.BytesIO(), format="zip", password="loads what is loaded on first use")
    warnings.simplefilter("ignore")
    costs: list[tuple[str, float, int]] = []
    for path, options, ways in json.load(sys.stdin):
        before = _seconds()
        error = _read(path, options, ways)
        costs.append((error, _seconds() - before, _peak()))
    print(json.dumps(costs))


if __name__ == "__main__":
    os.chdir("/")
    _main()
