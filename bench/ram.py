"""RamFS beside what else holds files in memory, and beside a copy of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench import data, limits
from bench.measure import Case, Setting, speed
from bench.peers import CHUNK, drain, need


def ram(setting: Setting) -> Iterator[Case]:
    """One file, written and read in pieces of 1 MiB; into memory that has been touched before, as for the copy."""
    content = data.noise(setting.size)

    def measure(make: Callable[[], Any]) -> tuple[float, float]:
        fs = make()
        _write(fs, content)
        figures = *speed(setting.size, partial(_write, fs, content)), *speed(setting.size, partial(_read, fs))
        fs.rm("/a")
        return figures

    works = ("ram-write", "ram-read")
    yield Case("strongroom", works, partial(measure, lambda: need("strongroom").RamFS(limit=2 * setting.size)))
    yield Case("fsspec, memory", works, partial(measure, lambda: need("fsspec").filesystem("memory")))
    copy = partial(limits.copy, limits.target(setting.size), content)
    yield Case("limit: memory copy", works, lambda: speed(setting.size, copy) * 2)


def _write(fs: Any, content: bytes) -> None:  # noqa: ANN401 - fsspec has no types
    view = memoryview(content)
    with fs.open("/a", "wb") as file:
        for at in range(0, len(view), CHUNK):
            file.write(view[at : at + CHUNK])


def _read(fs: Any) -> None:  # noqa: ANN401 - as above
    with fs.open("/a", "rb") as file:
        drain(file)
