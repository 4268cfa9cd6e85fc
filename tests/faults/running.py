"""Runs jobs in children of a process that has loaded everything: they start at once, and faults meet nothing else.

A child waits until its harness says go, so that strace is there from its first step.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import strongroom
from strongroom import StrongroomError, StrongroomWarning
from tests.faults.jobs import JOBS

FAILED: Final = 1
"""The exit code of the command line where the system refused."""

_FOREIGN: Final = 99
_ROOT: Final = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a job ended: its exit code, negative for a signal, and what it said."""

    code: int
    said: str


@dataclass
class Child:
    """A job that waits to begin."""

    pid: int
    _pipe: IO[bytes]
    _answers: IO[bytes]
    _said: IO[bytes]

    def go(self) -> None:
        """Let it begin."""
        self._pipe.write(b"\n")

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        code = int(self._answers.readline())
        return Ended(code, (self._said.read() or b"").decode())


class Runner:
    """Starts jobs, one after the other."""

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, inputs],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._said = cast("IO[bytes]", self._process.stderr)
        os.set_blocking(self._said.fileno(), False)

    def start(self, name: str, out: Path, *, size_limit: int | None = None, short: int | None = None) -> Child:
        """Make the child for a job.

        size_limit  the size that its files may have, in bytes
        short       the number of the write from which on each takes half of what it is given
        """
        pipe, answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        pipe.write(json.dumps([name, str(out), size_limit, short]).encode())
        return Child(int(answers.readline()), pipe, answers, self._said)

    def run(self, name: str, out: Path, *, size_limit: int | None = None, short: int | None = None) -> Ended:
        """Run a job to its end."""
        child = self.start(name, out, size_limit=size_limit, short=short)
        child.go()
        return child.end()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def _serve(inputs: Path) -> None:
    """Answer each request with the child's id, and then its exit code."""
    while request := os.read(0, 1 << 16):
        if not request.strip():  # meant for a child that was killed before it began
            continue
        name, out, size_limit, short = json.loads(request)
        pid = os.fork()
        if not pid:
            os._exit(_child(name, inputs, Path(out), size_limit, short))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _child(name: str, inputs: Path, out: Path, size_limit: int | None, short: int | None) -> int:
    try:
        os.read(0, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if size_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size_limit, size_limit))
        if short is not None:
            _shorten(short)
        return JOBS[name].run(inputs, out)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (StrongroomError, StrongroomWarning) as error:
        print(f"strongroom: error: {error}", file=sys.stderr)
        return FAILED
    except BaseException:  # noqa: BLE001 - whatever it is, the test is to see it
        traceback.print_exc()
        return _FOREIGN


def _shorten(number: int) -> None:
    """Have writes from this one on, counted from 1, take half: what full disks and network file systems may do."""
    left = iter(range(number - 1))

    def shortened(real: Callable[..., int]) -> Callable[..., int]:
        def write(descriptor: int, data: memoryview, *place: int) -> int:
            short = descriptor > 2 and next(left, None) is None and len(data) > 1
            return real(descriptor, memoryview(data)[: len(data) // 2] if short else data, *place)

        return write

    os.write, os.pwrite = shortened(os.write), shortened(os.pwrite)


if __name__ == "__main__":
    for module in ("numpy", *(found.name for found in pkgutil.walk_packages(strongroom.__path__, "strongroom."))):
        if module != "strongroom.__main__":
            importlib.import_module(module)  # so that no child has to
    _serve(Path(sys.argv[1]))
