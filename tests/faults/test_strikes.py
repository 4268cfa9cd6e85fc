from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.jobs import JOBS, hidden, standing
from tests.faults.running import FAILED
from tests.faults.striking import Scene, Strike, calls, kill_at, moments, strikes, struck
from tests.mounts import FILE_SYSTEMS
from tests.proof import Tried

SYNCS = ("fsync", "fdatasync", "syncfs")
REMOVALS = ("unlink", "unlinkat")
LIES = ("retval=0", "retval=1", "retval=4096")
DAMAGED = 4
WHOLE = "the old file whole, or the new one"

Times = Callable[[int, int], int]


def outcome(scene: Scene, *, killed: bool = False) -> str:
    """What strongroom does, in the table's words."""
    if scene.job.staged:
        return WHOLE
    if not killed:
        return "all files, or none"
    return "each file whole, or not there" if scene.kind.unnamed else "files for their owner, the last one in part"


def test_signals(scene: Scene, times: Times, tried: Tried) -> None:
    """A kill at any moment leaves the old file whole or the new one, and at most one hidden file of ciphertext."""
    scene.undisturbed()
    scene.lay()
    start = time.monotonic()
    assert scene.jobs.run(scene.name, scene.out).code == 0
    duration = time.monotonic() - start
    for number, count in (
        (signal.SIGKILL, times(1, -(-200 // len(FILE_SYSTEMS)))),
        (signal.SIGTERM, times(1, 10)),
        (signal.SIGINT, times(0, 10)),
    ):
        states = Counter[str]()
        for seconds in moments(count, duration, f"{scene.name} {scene.kind} {number}"):
            before = scene.lay()
            ended = kill_at(scene.jobs.start(scene.name, scene.out), number, seconds)
            assert ended.code in (0, FAILED, -number, 128 + number), ended
            states[scene.judge(before, ended, killed=ended.code < 0)] += 1
        if count > 50:
            assert states["old"] + states["part"] > count / 4, states  # it does strike in the middle
        if count:
            done = outcome(scene, killed=number == signal.SIGKILL or states["part"] > 0)
            tried("P4", f"{number.name} at random moments of {scene.verb}", done, count=count)
    scene.undisturbed()  # which leaves no hidden file


def test_faults_at_each_call(scene: Scene, times: Times, tried: Tried) -> None:
    """A call that fails is an error that says so, or is done again; a failed sync is never success."""
    every = strikes(calls(scene))
    chosen = every[:: max(len(every) // times(3, len(every)), 1)]
    for strike in chosen:
        kills = strike.fault == "signal=KILL"
        before = scene.lay()
        ended = struck(scene, strike)
        assert ended.code in ((0, -signal.SIGKILL) if kills else (0, FAILED)), (strike, ended)
        if strike.call in SYNCS and strike.fault != "error=EINTR":  # which Python tries again
            assert ended.code != 0, strike
        scene.judge(before, ended, killed=kills or strike.call in REMOVALS)  # what cannot be removed stays
        what = "kill -9" if kills else strike.fault.removeprefix("error=")
        tried("P4", f"{what} at each system call of {scene.verb}", outcome(scene, killed=kills))
    scene.undisturbed()


@pytest.mark.parametrize("scene", [name for name in JOBS if name.endswith("verify")], indirect=True)
def test_writes_that_never_happened(scene: Scene, times: Times, tried: Tried) -> None:
    """With --verify a disk that only says that it has written is found out: the file is read again before it counts."""
    made = calls(scene)["pwrite64"]
    assert made
    chosen = [Strike("pwrite64", number + 1, lie) for number in range(made) for lie in LIES]
    chosen = chosen[:: max(len(chosen) // times(2, len(chosen)), 1)]
    for strike in chosen:
        before = scene.lay()
        ended = struck(scene, strike)
        assert ended.code in (FAILED, DAMAGED), (strike, ended)
        assert "strongroom: error: " in ended.said
        assert standing(scene.out) == before
        assert not hidden(scene.out)
    tried(
        "P4",
        f"writes that never happened, during {scene.verb} --verify",
        "an error; all is as it was",
        count=len(chosen),
    )
