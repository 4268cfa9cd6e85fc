"""One measurement: where, of what, and how it is timed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.peers import CHUNK, Load, Tool

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """How much, and where."""

    folder: Path
    size: int
    entries: int

    def fresh(self, name: str) -> Path:
        """A path where nothing stands."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        return path


@dataclass(frozen=True, slots=True)
class Case:
    """One tool at one work, or at several that share a run; `run` gives a figure for each."""

    tool: str
    works: tuple[str, ...]
    run: Callable[[], tuple[float, ...]]


def timed(job: Callable[[], object]) -> float:
    """Seconds; what others left to be written is written before."""
    os.sync()
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def speed(size: int, job: Callable[[], object]) -> tuple[float]:
    """MB/s."""
    return (size / timed(job) / 1e6,)


def warm(setting: Setting, size: int) -> None:
    """Touch free memory: a virtual machine may have given it back, and the first to use it would pay."""
    path = setting.fresh("scratch")
    with path.open("xb", buffering=0) as file:
        for _ in range(0, size, CHUNK):
            file.write(bytes(CHUNK))
    path.unlink()


def prepare(setting: Setting, name: str, files: dict[str, bytes]) -> Load:
    """Put the files into a folder too."""
    folder = setting.folder / name
    folder.mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return Load(files, folder)


def written(
    setting: Setting, tool: type[Tool], load: Load, compression: str, suffix: str = "zip"
) -> tuple[float, float]:
    """Seconds, and the size of the archive."""
    peer = tool()
    archive = setting.fresh(f"written.{suffix}")
    warm(setting, 2 * sum(map(len, load.files.values())))
    seconds = timed(partial(peer.write, archive, load, compression))
    size = archive.stat().st_size
    archive.unlink()
    return seconds, float(size)


def clean(setting: Setting) -> None:
    """Empty the folder."""
    for path in setting.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
