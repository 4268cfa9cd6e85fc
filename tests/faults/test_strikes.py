from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.jobs import JOBS, hidden, lay, standing
from tests.faults.running import Runner
from tests.faults.striking import Strike, calls, judge, kill_at, moments, strikes, struck
from tests.mounts import FileSystem
from tests.proof import Tried

ERRORS = ("error=ENOSPC", "error=EIO", "error=EINTR")
WHOLE = "the old file whole, or the new one"
EXTRACTED = "all files, or none"

Times = Callable[[int, int], int]
each_job = pytest.mark.parametrize("name", JOBS)


def outcome(name: str, *, killed: bool = False) -> str:
    """What strongroom does, in the table's words."""
    if JOBS[name].staged:
        return WHOLE
    return "of each file all or nothing" if killed else EXTRACTED


def verb(name: str) -> str:
    """The verb of a job."""
    return name.split()[0]


def fresh(name: str, inputs: Path, out: Path) -> dict[str, bytes]:
    """Lay everything out anew, but for hidden files, which the next job is to remove."""
    for path in out.iterdir():
        if path not in hidden(out):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return lay(JOBS[name], inputs, out)


@each_job
def test_undisturbed(name: str, jobs: Runner, out: Path) -> None:
    """Each job does what it is to do, on each file system, and says so."""
    before = fresh(name, jobs.inputs, out)
    ended = jobs.run(name, out)
    assert ended.code == 0, ended
    assert judge(name, jobs.inputs, out, before, ended) == "new"


@each_job
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_kill(
    name: str, number: signal.Signals, jobs: Runner, kind: FileSystem, out: Path, times: Times, tried: Tried
) -> None:
    """A kill at any moment leaves the old file whole or the new one, and at most one hidden file of ciphertext."""
    fresh(name, jobs.inputs, out)
    start = time.monotonic()
    assert jobs.run(name, out).code == 0
    duration = time.monotonic() - start
    count = times(2, 67) if number == signal.SIGKILL else times(1, 10)
    states = Counter[str]()
    for seconds in moments(count, duration, f"{name} {kind}"):
        before = fresh(name, jobs.inputs, out)
        ended = kill_at(jobs.start(name, out), number, seconds)
        assert ended.code in (0, 1, -number, 128 + number), ended
        killed = ended.code == -number
        states[judge(name, jobs.inputs, out, before, ended, killed=killed or ended.code > 1)] += 1
    before = fresh(name, jobs.inputs, out)
    ended = jobs.run(name, out)
    assert judge(name, jobs.inputs, out, before, ended) == "new"  # and no hidden file is left
    if count > 10:
        assert min(states["old"] + states["part"], states["new"] + states["part"]) > 0, states
    tried("P4", f"{number.name} at random moments of {verb(name)}", outcome(name, killed=True), count=count)


@each_job
def test_kill_at_each_call(
    name: str, jobs: Runner, out: Path, tmp_path: Path, times: Times, tried: Tried
) -> None:
    """So with a kill at each system call that writes, syncs, links, renames or removes."""
    fresh(name, jobs.inputs, out)
    chosen = some(strikes(calls(jobs, name, out, tmp_path / "log"), ("signal=KILL",)), times(3, 1000))
    for strike in chosen:
        before = fresh(name, jobs.inputs, out)
        ended = struck(jobs, name, out, tmp_path / "log", strike)
        assert ended.code in (0, -signal.SIGKILL), (strike, ended)
        judge(name, jobs.inputs, out, before, ended, killed=True)
    before = fresh(name, jobs.inputs, out)
    assert judge(name, jobs.inputs, out, before, jobs.run(name, out)) == "new"
    tried("P4", f"kill -9 at each system call of {verb(name)}", outcome(name, killed=True), count=len(chosen))


@each_job
def test_errors_at_each_call(
    name: str, jobs: Runner, out: Path, tmp_path: Path, times: Times, tried: Tried
) -> None:
    """A system call that fails is an error that says so, or tried again; a failed sync is never success."""
    fresh(name, jobs.inputs, out)
    made = calls(jobs, name, out, tmp_path / "log")
    chosen = some(strikes(made, ERRORS), times(4, 1000))
    for strike in chosen:
        before = fresh(name, jobs.inputs, out)
        ended = struck(jobs, name, out, tmp_path / "log", strike)
        kept = strike.call.startswith(("unlink", "rmdir"))  # what cannot be removed stays
        judge(name, jobs.inputs, out, before, ended, killed=kept)
        if strike.call in ("fsync", "fdatasync", "syncfs") and strike.fault != "error=EINTR":
            assert ended.code == 1, (strike, ended)
        tried("P4", f"{strike.fault.removeprefix('error=')} at each system call of {verb(name)}", outcome(name))


def some(all_of_them: list[Strike], count: int) -> list[Strike]:
    """So many of them, evenly."""
    step = max(len(all_of_them) / count, 1)
    return [all_of_them[int(place * step)] for place in range(min(count, len(all_of_them)))]
