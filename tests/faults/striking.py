"""Faults that strike a job, and what must hold after each."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.jobs import CANARY, JOBS, Job, contents, hidden, lay, standing
from tests.faults.running import FAILED, Child, Ended, Runner
from tests.helpers import tool
from tests.mounts import FileSystem

CALLS: Final = (
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "fsync", "fdatasync", "syncfs", "sync_file_range", "link",
    "linkat", "rename", "renameat", "renameat2", "ftruncate", "fallocate", "unlink", "unlinkat", "mkdir", "mkdirat",
    "utimensat",
)  # fmt: skip
"""What may fail when a file is written, is brought to the disk and gets its name."""

FAULTS: Final = ("error=ENOSPC", "error=EIO", "error=EINTR", "signal=KILL")
"""What strace does instead of a call, in its words."""

STOPPED: Final = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""How the command line ends once it has cleaned up after a signal."""

UNCONFIRMED: Final = ("the disk did not confirm its name", "its receipt is not")
"""What is said where the new file is in place, and something else is not as it should be."""

_CALL: Final = re.compile(r"^(\d+) +(\w+)\(")


class Strike(NamedTuple):
    """A fault at the `number`th call, counted from 1 in each thread: strace's words for it."""

    call: str
    number: int
    fault: str


@dataclass(frozen=True)
class Scene:
    """A job, and where it does its work."""

    name: str
    jobs: Runner
    kind: FileSystem
    out: Path
    log: Path

    @property
    def job(self) -> Job:
        """The job."""
        return JOBS[self.name]

    @property
    def verb(self) -> str:
        """The verb of the job."""
        return self.name.split()[0]

    def lay(self) -> dict[str, bytes | None]:
        """Put there what stands there before it."""
        return lay(self.job, self.jobs.inputs, self.out)

    def judge(self, before: dict[str, bytes | None], ended: Ended, *, killed: bool = False) -> str:
        """Fail unless what stands there is whole, old or new, and what was said fits; return old, new or part."""
        after = standing(self.out)
        left = hidden(self.out)
        assert len(left) <= killed * (1 + bool(self.job.receipt)), (ended, left)
        assert not any(CANARY in path.read_bytes() for path in left)
        if after == before:
            assert ended.code != 0, ended
            state = "old"
        elif killed and not self.job.staged and ended.code != 0:
            self._check_pieces(before, after)
            return "part"
        else:
            self.job.whole(self.jobs.inputs, self.out)
            self._check_receipt(after, ended)
            assert self._others(after) == self._others(before)
            state = "new"
        if not killed:
            assert ended.code in (0, FAILED, *STOPPED), ended
            assert ended.code != 0 or state == "new"
            if ended.code == FAILED:
                assert "strongroom: error: " in ended.said
                assert state == "old" or any(words in ended.said for words in UNCONFIRMED), ended
        return state

    def _others(self, found: dict[str, bytes | None]) -> dict[str, bytes | None]:
        own = (self.job.makes, self.job.receipt)
        return {path: data for path, data in found.items() if path.split("/")[0] not in own}

    def _check_receipt(self, after: dict[str, bytes | None], ended: Ended) -> None:
        """A receipt that is there is whole; where all went well it is there."""
        if receipt := after.get(self.job.receipt):
            archive = after[self.job.makes]
            assert archive is not None
            assert json.loads(receipt)["sha256"] == sha256(archive).hexdigest()
        else:
            assert not self.job.receipt or ended.code != 0

    def _check_pieces(self, before: dict[str, bytes | None], after: dict[str, bytes | None]) -> None:
        """Each file that `extract` had made by then is whole, where the file system has unnamed files."""
        assert before.items() <= after.items()
        plain = {path.rpartition("/")[2]: data for path, data in contents(self.jobs.inputs).items()}
        for path, data in after.items():
            if path not in before:
                assert path.split("/")[0] == self.job.makes
                if data is not None:
                    whole = plain[path.rpartition("/")[2]]
                    assert data == whole or (not self.kind.unnamed and whole.startswith(data)), path

    def undisturbed(self) -> None:
        """Do the job, and fail unless all of it is done."""
        before = self.lay()
        assert self.judge(before, self.jobs.run(self.name, self.out)) == "new"


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


def calls(scene: Scene) -> Counter[str]:
    """How often a job that nothing strikes makes each call, in that of its threads which makes the most of them."""
    scene.lay()
    ended = _traced(scene, "-e", f"trace={','.join(CALLS)}")
    assert ended.code == 0, ended
    counts = Counter[tuple[str, str]]()
    for line in scene.log.read_text().splitlines():
        if found := _CALL.match(line):
            counts[found[1], found[2]] += 1
    most = Counter[str]()
    for (_, call), count in counts.items():
        most[call] = max(most[call], count)
    return most


def strikes(made: Counter[str]) -> list[Strike]:
    """Each fault at each of the calls."""
    return [
        Strike(call, number + 1, fault) for call in sorted(made) for number in range(made[call]) for fault in FAULTS
    ]


def struck(scene: Scene, strike: Strike) -> Ended:
    """Do the job with a fault."""
    return _traced(
        scene, "-e", f"trace={strike.call}", "-e", f"inject={strike.call}:{strike.fault}:when={strike.number}"
    )


def _traced(scene: Scene, *how: str) -> Ended:
    child = scene.jobs.start(scene.name, scene.out)
    command = [tool("strace"), "-f", "-o", str(scene.log), *how, "-p", str(child.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr
        said = strace.stderr.readline()
        assert "attached" in said, said
        child.go()
        return child.end()
