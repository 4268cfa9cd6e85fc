"""Decoders that hostile data can crash, or have eat memory without end: each entry is decoded in a process of its own.

What the child may take is bounded there (see `isolated_worker`); what comes out of it is bounded and checked here.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from strongroom import isolated_worker as worker
from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError
from strongroom.flow import CHUNK
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STALL: Final = 60
"""Seconds without a byte in or out: a child that hangs, on what it has corrupted, uses no time that a limit counts."""

_LIBRARIES: Final = {
    "deflate64": (worker.DEFLATE64, "inflate64"),
    "ppmd": (worker.PPMD, "pyppmd"),
    "ppmd7": (worker.PPMD7, "pyppmd"),
}


class Job(NamedTuple):
    """What a child is to decode: the size that the entry must come to, and the parameters of PPMd. Sizes in bytes."""

    size: int
    memory: int = 0
    order: int = 0
    restore: int = 0


def decode_apart(name: str, job: Job, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Decompress `chunks` in a child process, into pieces of at most `CHUNK` bytes, exactly `job.size` bytes in all.

    A piece is valid until the next is asked for. However this ends, the child is gone then. Raises `FormatError`,
    `LimitError`, and `UnsupportedError` where the library is not installed.
    """
    method, library = _LIBRARIES[name]
    package = _package(name, library)
    source = (chunk for chunk in chunks if chunk)
    first = next(source, None)  # what `chunks` refuses at once needs no child
    if first is None:
        if job.size:
            raise _error(worker.EARLY, name, job)
        return
    header = memoryview(worker.HEADER.pack(method, job.size, job.memory, job.order, job.restore))
    filled, left = 0, job.size
    with ExitStack() as stack:
        buffer = memoryview(bytearray(min(CHUNK, job.size + 1)))
        stack.callback(wipe, buffer)
        child = start_worker(worker.__file__, package)
        stack.callback(end_worker, child)
        for ready in _ready(child, chain((header, first), source), name):
            count = os.readv(ready, [buffer[filled:]])
            if not count:
                break
            filled += count
            left -= count
            if left < 0:
                raise _error(worker.LONGER, name, job)
            if filled == len(buffer):
                yield buffer
                filled = 0
        status = _status(child)
        if status != worker.OK or left:
            raise _error(worker.EARLY if status == worker.OK else status, name, job)
        if filled:
            yield buffer[:filled]


def _package(name: str, library: str) -> str:
    """Return the folder of a library; raises `UnsupportedError` where there is none, or no interpreter to run it."""
    folder = library_folder(library)
    if folder is None:
        raise _error(worker.MISSING, name, Job(size=0))
    if not sys.executable or getattr(sys, "frozen", False):
        message = f"{name} is decoded in a process of its own, which needs a Python interpreter to start"
        raise UnsupportedError(message)
    return folder


def library_folder(library: str) -> str | None:
    """Return the folder of a library, which this process never imports, or None where it is not installed."""
    spec = find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0]).resolve())


def start_worker(script: str, package: str) -> subprocess.Popen[bytes]:
    """Start a worker, a script of ours that imports none of ours, with pipes to it; `package` is its argument."""
    # -S and -B: no site-packages, which take time to find, and no bytecode written. In a session of its own the child
    # gets no Ctrl-C, which a caller may handle without an end.
    return subprocess.Popen(  # noqa: S603 - all of it is ours
        [sys.executable, "-I", "-S", "-B", str(Path(script).resolve()), package],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=True,
        cwd="/",
        env={},
        start_new_session=True,
    )


def end_worker(child: subprocess.Popen[bytes]) -> None:
    """End a worker, however far it is."""
    for pipe in (child.stdin, child.stdout):
        cast("IO[bytes]", pipe).close()
    child.kill()
    child.wait()


def _ready(child: subprocess.Popen[bytes], source: Iterator[memoryview], name: str) -> Iterator[int]:
    """Feed the child while it takes anything, and give the descriptor of its output whenever that can be read."""
    packed, plain = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    pending = next(source)
    with selectors.DefaultSelector() as selector:
        for pipe, event in ((packed, selectors.EVENT_WRITE), (plain, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, event)
        while True:
            events = selector.select(_STALL)
            if not events:
                raise _error(-signal.SIGXCPU, name, Job(size=0))
            for key, _ in events:
                if key.fileobj is plain:
                    yield key.fd
                    continue
                try:
                    pending = pending[os.write(key.fd, pending) :] or next(source, memoryview(b""))
                except BrokenPipeError:  # it has its verdict
                    pending = memoryview(b"")
                if not pending:
                    selector.unregister(packed)
                    packed.close()


def _status(child: subprocess.Popen[bytes]) -> int:
    try:
        return child.wait(_STALL)
    except subprocess.TimeoutExpired:
        return -signal.SIGXCPU


def _error(status: int, name: str, job: Job) -> StrongroomError:
    """Return what an exit status means. The signals of the kernel's limits aside, a signal is a crash."""
    if status == worker.LONGER:
        return FormatError(f"the {name} data is longer than the {job.size} bytes that its header declares")
    if status == worker.EARLY:
        return FormatError(f"the {name} data ends before its {job.size} bytes, or its end mark")
    if status == worker.TRAILING:
        return FormatError(f"bytes follow the end of the {name} data")
    if status == worker.MEMORY:
        return LimitError(f"the {name} decoder needs more memory than its data should ask for")
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return LimitError(f"the {name} decoder takes more time, or memory, than its data should ask for")
    if status == worker.MISSING:
        error = UnsupportedError(f"{name} needs the extra packages of strongroom[codecs]")
        error.add_note("pip install 'strongroom[codecs]' adds them")
        return error
    if status == worker.DAMAGED or status < 0:
        return FormatError(f"the {name} data is damaged")
    return UnsupportedError(f"the process that decodes {name} does not run here (exit status {status})")
