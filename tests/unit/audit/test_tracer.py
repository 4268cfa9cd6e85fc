from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.audit import child
from strongroom.audit.tracer import Tracer
from strongroom.errors import UnsupportedError

WRITERS = {
    "Python": 'open(sys.argv[1], "w").close()',
    "a thread": 'import threading; threading.Thread(target=lambda: open(sys.argv[1], "a").close()).start()',
    "a C library": 'import sqlite3; sqlite3.connect(sys.argv[1]).execute("create table a (b)")',
    "another program": 'import subprocess; subprocess.run(["/bin/sh", "-c", "echo > \\"$0\\"", sys.argv[1]])',
    "a file without a name": "os.open(os.path.dirname(sys.argv[1]), os.O_TMPFILE | os.O_RDWR)",
}


def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process that waits before it does anything."""
    code = f"import os, signal, sys; os.kill(os.getpid(), signal.SIGSTOP)\n{code}"
    process = subprocess.Popen([sys.executable, "-B", "-c", code, *arguments], start_new_session=True)
    child.wait_for_stop(process.pid)
    return process


def nothing(*_: object) -> None:
    """What is done where nothing is to be done."""


def run(process: subprocess.Popen[bytes], started: Callable[[int], None] = nothing) -> Tracer:
    """Watch a process to its end."""
    tracer = Tracer(process.pid)
    try:
        child.resume(process.pid)
        process.returncode = os.waitstatus_to_exitcode(tracer.run(started, nothing))
    finally:
        tracer.end()
    return tracer


@pytest.mark.parametrize("writer", WRITERS)
def test_sees_who_writes(tmp_path: Path, writer: str) -> None:
    """A file that is opened for writing is seen, whoever opens it, with the process that does."""
    process = start(WRITERS[writer], str(tmp_path / "file"))
    tracer = run(process)
    assert process.returncode == 0
    found = [file for file in tracer.opened if Path(file.path).parent == tmp_path]
    assert found
    assert all((file.pid == process.pid) == (writer not in ("another program", "a thread")) for file in found)


def test_reading_is_not_writing(tmp_path: Path) -> None:
    """Files that are only read, and attempts that fail, are none."""
    (tmp_path / "file").touch()
    process = start(
        'open(sys.argv[1]).close()\ntry: open(sys.argv[1] + "/no", "w")\nexcept OSError: pass', str(tmp_path / "file")
    )
    assert not run(process).opened


def test_signals_and_status_pass_through() -> None:
    """A process gets its signals, and its end is known, as if nobody watched."""
    caught = "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7)); os.kill(os.getpid(), signal.SIGUSR1)"
    process = start(caught)
    run(process)
    assert process.returncode == 7
    process = start("os.kill(os.getpid(), signal.SIGKILL)")
    run(process)
    assert process.returncode == -9


def test_programs_are_told() -> None:
    """Each program that a process starts is told of while its arguments can be read."""
    seen = []

    def started(pid: int) -> None:
        seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())

    run(start('import subprocess; subprocess.run(["true", "word"])'), started)
    assert seen == [b"true\0word\0"]


def test_end_in_the_middle() -> None:
    """Where the watching ends early, so does the process, threads and all."""
    process = start(
        "import threading; threading.Thread(target=signal.pause).start(); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    tracer = Tracer(process.pid)
    child.resume(process.pid)

    def stopped() -> None:
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            tracer.run(nothing, stopped)
    finally:
        tracer.end()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    process.returncode = -9


def test_a_machine_whose_calls_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """There nothing is traced, and the error is one of ours."""
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    with pytest.raises(UnsupportedError):
        Tracer(os.getpid())
