"""A disk that holds all that a process knows of disks, and is read raw afterwards, with deleted blocks and journal."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from strongroom.audit import needles
from strongroom.audit.needles import Needle
from strongroom.audit.proof import canaries
from strongroom.audit.scanner import Search, scan_source
from strongroom.limits import Limits
from strongroom.source import open_source
from tests.mounts import EXT4, TMPFS, mounted

SIZE: Final = 64 << 20
ROOT: Final = Path(__file__).parents[2]

_FOLDERS: Final = {
    "TMPDIR": "tmp",
    "TEMP": "tmp",
    "TMP": "tmp",
    "HOME": "home",
    "XDG_CACHE_HOME": "home/cache",
    "XDG_CONFIG_HOME": "home/config",
    "XDG_DATA_HOME": "home/data",
    "XDG_STATE_HOME": "home/state",
    "XDG_RUNTIME_DIR": "home/run",
}


@dataclass(frozen=True)
class Secrets:
    """What must not be found."""

    content: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    name: str = field(default_factory=lambda: secrets.token_hex(12))
    password: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())

    def plaintext(self, size: int) -> bytes:
        """Bytes of which every piece has the canary."""
        return canaries(self.content, size)


@dataclass(frozen=True)
class Disk:
    """The disk, while it is mounted."""

    place: Path
    out: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """How Python is started so that it knows this disk alone: the arguments, and the environment."""
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
        folders = {name: str(self.place / folder) for name, folder in _FOLDERS.items()}
        return [sys.executable, "-B", *arguments], kept | folders | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python, with pipes all around."""
        command, environment = self.command(*arguments)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=self.out, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs, lest it keep the disk busy."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@contextmanager
def disk(folder: Path, *options: str) -> Iterator[Disk]:
    """Mount one. What is written is on it at once: also what is deleted a moment later, which else never gets there."""
    with mounted(EXT4, folder, SIZE, "sync", "dirsync", *options) as place:
        for name in {*_FOLDERS.values(), "out"}:
            (place / name).mkdir(parents=True, exist_ok=True)
        one = Disk(place, place / "out")
        try:
            yield one
        finally:
            one.end()


@contextmanager
def memory(folder: Path) -> Iterator[Path]:
    """A folder in memory, for what is sealed."""
    with mounted(TMPFS, folder, SIZE) as place:
        yield place


def found(folder: Path, wanted: Mapping[str, bytes]) -> Counter[str]:
    """How often each of `wanted`, by its name here, is on the disk that `disk` made in `folder`, as bytes or UTF-16."""
    by_needle: dict[Needle, str] = {}
    for name, value in wanted.items():
        for needle in needles.of_plaintext(value):
            by_needle[needle] = name
    with closing(open_source(folder / "image", Limits())) as source:
        counts = scan_source(source, Search(by_needle))
    result = Counter[str]()
    for needle, count in counts.items():
        result[by_needle[needle]] += count
    return result
