"""Faults that strike a job, and what must hold after each."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.jobs import CANARY, JOBS, contents, hidden, standing
from tests.faults.running import FAILED, Child, Ended, Runner
from tests.helpers import tool

CALLS: Final = (
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "fsync", "fdatasync", "syncfs", "sync_file_range", "link",
    "linkat", "rename", "renameat", "renameat2", "ftruncate", "fallocate", "unlink", "unlinkat", "mkdir", "mkdirat",
    "utimensat",
)  # fmt: skip
"""What may fail when a file is written, is brought to the disk and gets its name."""

_MOVES: Final = ("link", "linkat", "rename", "renameat", "renameat2")
_CALL: Final = re.compile(r"^(\d+) +(\w+)\(")
_UNCONFIRMED: Final = "the disk did not confirm its name"


class Strike(NamedTuple):
    """A fault at the `number`th call, counted from 1 in each thread: strace's words for it."""

    call: str
    number: int
    fault: str

    @property
    def kills(self) -> bool:
        """Whether it ends the process."""
        return self.fault == "signal=KILL"


def judge(name: str, inputs: Path, out: Path, before: dict[str, bytes], ended: Ended, *, killed: bool = False) -> str:
    """Fail unless the old state is there whole, or the new one, and what was said fits; return which: old or new."""
    job = JOBS[name]
    after = standing(out)
    left = hidden(out)
    assert len(left) <= killed, (ended, left)
    assert not any(CANARY in path.read_bytes() for path in left)
    if after == before:
        assert ended.code != 0, ended
        state = "old"
    elif killed and not job.staged:
        _only_pieces(job.makes, inputs, before, after)
        state = "new" if ended.code == 0 else "part"
    else:
        job.whole(inputs, out)
        others = {path: data for path, data in after.items() if path.split("/")[0] != job.makes}
        assert others == {path: data for path, data in before.items() if path.split("/")[0] != job.makes}
        state = "new"
    if not killed:
        assert ended.code in (0, FAILED), ended
        assert ended.code == FAILED or state == "new"
        if ended.code == FAILED:
            assert "strongroom: error: " in ended.said
            assert state == "old" or _UNCONFIRMED in ended.said, ended
    return state


def _only_pieces(makes: str, inputs: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """A kill cannot be cleaned up after: what `extract` had made by then is there, file by file."""
    assert before.items() <= after.items()
    plain = {path.rpartition("/")[2]: data for path, data in contents(inputs).items()}
    for path, data in after.items():
        if path not in before:
            assert path.split("/")[0] == makes
            assert data in (b"", plain.get(path.rpartition("/")[2])), f"{path} is there in part"


def kill_at(child: Child, number: signal.Signals, seconds: float) -> Ended:
    """Let a job run for so long, and send it a signal."""
    child.go()
    time.sleep(seconds)
    child.kill(number)
    return child.end()


def moments(count: int, duration: float, seed: str) -> Iterator[float]:
    """Moments all over a duration, in no order, and a bit beyond: one in each of as many parts."""
    chance = random.Random(seed)
    places = [(part + chance.random()) / count for part in range(count)]
    chance.shuffle(places)
    return (1.05 * duration * place for place in places)


def calls(runner: Runner, name: str, out: Path, log: Path) -> Counter[str]:
    """How often a job that nothing strikes makes each call, in that of its threads which makes the most of them."""
    ended = _traced(runner.start(name, out), log, "-e", f"trace={','.join(CALLS)}")
    assert ended.code == 0, ended
    counts = Counter[tuple[str, str]]()
    for line in log.read_text().splitlines():
        if found := _CALL.match(line):
            counts[found[1], found[2]] += 1
    most = Counter[str]()
    for (_, call), count in counts.items():
        most[call] = max(most[call], count)
    return most


def strikes(made: Counter[str], faults: tuple[str, ...]) -> list[Strike]:
    """Each fault at each of the calls."""
    return [Strike(call, n, fault) for call in sorted(made) for n in range(1, made[call] + 1) for fault in faults]


def struck(runner: Runner, name: str, out: Path, log: Path, strike: Strike) -> Ended:
    """Run a job with a fault."""
    how = ("-e", f"trace={strike.call}", "-e", f"inject={strike.call}:{strike.fault}:when={strike.number}")
    return _traced(runner.start(name, out), log, *how)


def _traced(child: Child, log: Path, *how: str) -> Ended:
    command = [tool("strace"), "-f", "-o", str(log), *how, "-p", str(child.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr
        said = strace.stderr.readline()
        assert "attached" in said, said
        child.go()
        return child.end()
