"""Whole processes fed through a pipe: their time, and their peak of memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final, cast

from bench import data
from bench.measure import MIB, Case, Setting
from bench.peers import CHUNK, PASSWORD, PIPED, Piped

_CHILD: Final = Path(__file__).with_name("child.py")
_BLOCK: Final = 64 * MIB  # no codec here looks back that far, so repeating it is as good as new data


def _child(command: list[str], size: int, block: bytes) -> dict[str, float]:
    """Run a command apart from this process and feed it `size` bytes."""
    launch = [sys.executable, "-I", "-S", str(_CHILD), *command]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(launch, **pipes, start_new_session=True) as child:
        pipe = cast("IO[bytes]", child.stdin)
        try:
            with contextlib.suppress(BrokenPipeError):
                while size > 0:
                    for at in range(0, min(len(block), size), CHUNK):
                        pipe.write(memoryview(block)[at : at + min(CHUNK, size - at)])
                    size -= len(block)
            output, errors = child.communicate()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGKILL)  # the command as well, which writes into our folder
            raise
    figures: dict[str, float] = json.loads(output) if child.returncode == 0 else {"exit": 1}
    if figures["exit"]:
        raise RuntimeError(errors.decode(errors="replace").replace(PASSWORD, "***").strip()[-200:] or "it failed")
    return figures


def _piped(setting: Setting, tool: type[Piped], size: int, block: bytes, suffix: str = "zip") -> dict[str, float]:
    archive = setting.fresh(f"piped.{suffix}")
    return _run(archive, tool().pipe(archive), size, block)


def _run(archive: Path, command: list[str], size: int, block: bytes) -> dict[str, float]:
    os.sync()
    figures = _child(command, size, block)
    archive.unlink()
    return figures


def peak_of(archive: Path, command: list[str], size: int) -> float:
    """The peak of memory, in MiB, of a command that makes `archive` of `size` bytes from a pipe."""
    return _run(archive, command, size, data.csv(min(_BLOCK, size)))["peak"] / MIB


def process(setting: Setting) -> Iterator[Case]:
    """From the start of the program to its end."""

    def seconds(tool: type[Piped]) -> tuple[float]:
        return (_piped(setting, tool, 30, b"x" * 30)["seconds"],)

    for tool in PIPED:
        yield Case(tool.name, ("process",), partial(seconds, tool))


def _memory(
    setting: Setting, work: str, size: int, tools: tuple[type[Piped], ...], suffix: str = "zip"
) -> Iterator[Case]:
    block = data.csv(min(_BLOCK, size))

    def peak(tool: type[Piped]) -> tuple[float]:
        return (_piped(setting, tool, size, block, suffix)["peak"] / MIB,)

    for tool in tools:
        yield Case(tool.name, (work,), partial(peak, tool))


def memory_large(setting: Setting) -> Iterator[Case]:
    """Eight times the size; strongroom alone, since others take minutes."""
    yield from _memory(setting, "memory-large", 8 * setting.size, PIPED[:1])


def memory_7z(setting: Setting) -> Iterator[Case]:
    """Four times the size into a 7z, with LZMA2."""
    yield from _memory(setting, "7z-memory", 4 * setting.size, PIPED[:1], "7z")


def memory_small(setting: Setting) -> Iterator[Case]:
    """The size itself."""
    yield from _memory(setting, "memory-small", setting.size, PIPED)
