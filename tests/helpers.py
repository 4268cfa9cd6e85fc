"""What the tests share."""

from __future__ import annotations

import gc
import os
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no method makes shorter, the same each time."""
    return random.Random(seed).randbytes(size)


def text(size: int, seed: int = 0) -> bytes:
    """Bytes that every method makes shorter, the same each time."""
    words = random.Random(seed).choices(b"ward salt dose pulse fever".split(), k=size // 4 + 1)
    return b" ".join(words)[:size]


def missing(reason: str) -> NoReturn:
    """Skip a test that cannot run here; in CI, where everything is there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def tool(name: str) -> str:
    """Return the path of a program that a test needs."""
    path = shutil.which(name)
    return path or missing(f"{name} is not installed")


def listing(folder: Path) -> list[str]:
    """The names of all that is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def in_memory(pid: int, needles: Sequence[bytes]) -> list[int]:
    """How often each of `needles` is in the writable memory of a process, but for what the kernel shows to nobody."""
    counts = [0] * len(needles)
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(number, 16) for number in span.split("-"))
                try:
                    memory.seek(start)
                    found = memory.read(end - start)
                except OSError:  # memfd_secret
                    continue
                counts = [count + found.count(needle) for count, needle in zip(counts, needles, strict=True)]
    return counts


@contextmanager
def nothing_left(*folders: Path) -> Iterator[None]:
    """Fail where the block leaves a thread, a descriptor, or anything new or missing in `folders`."""
    gc.collect()
    before = _inventory(folders)
    yield
    gc.collect()
    assert _inventory(folders) == before


def _inventory(folders: tuple[Path, ...]) -> tuple[object, ...]:
    threads = sorted(thread.name for thread in threading.enumerate())
    descriptors: dict[str, Path] = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            descriptors[link.name] = link.readlink()
    return threads, descriptors, [listing(folder) for folder in folders]
