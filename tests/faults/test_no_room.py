from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.jobs import SIZES
from tests.faults.running import FAILED
from tests.faults.striking import Scene
from tests.mounts import filled
from tests.proof import Tried

LEFT = (0, 1, 4096, 100_000, 4 << 20, (4 << 20) + 4096, (8 << 20) + 300, SIZES["large"], 10 << 20)
LIMITS = (1, 4095, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (8 << 20) + 4097, SIZES["large"])

Times = Callable[[int, int], int]


def free(place: Path) -> int:
    """How many bytes can still be written."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def test_full_disk(scene: Scene, disk: Path, times: Times, tried: Tried) -> None:
    """On a disk that gets full what stood there is whole, nothing is left, and the space is free again."""
    states = Counter[str]()
    for left in LEFT[:: -(-len(LEFT) // times(2, len(LEFT)))]:
        before = scene.lay()
        with filled(disk, left):
            room = free(disk)
            ended = scene.jobs.run(scene.name, scene.out)
            states[scene.judge(before, ended)] += 1
            if ended.code == FAILED:
                assert free(disk) == room
    assert states["old"] or scene.name == "keygen"
    scene.undisturbed()
    tried("P4", f"a full disk during {scene.verb}", "an error; all is as it was", count=states["old"])


def test_size_limit(scene: Scene, times: Times, tried: Tried) -> None:
    """So with a limit on the size of files (RLIMIT_FSIZE), at which writes are short before they fail."""
    states = Counter[str]()
    for limit in LIMITS[:: -(-len(LIMITS) // times(2, len(LIMITS)))]:
        before = scene.lay()
        states[scene.judge(before, scene.jobs.run(scene.name, scene.out, size_limit=limit))] += 1
    assert states["old"]
    tried("P4", f"RLIMIT_FSIZE during {scene.verb}", "an error; all is as it was", count=states["old"])


def test_short_writes(scene: Scene, times: Times, tried: Tried) -> None:
    """Writes that take half of what they are given are gone on with."""
    numbers = range(1, times(1, 5) + 1)
    for number in numbers:
        before = scene.lay()
        ended = scene.jobs.run(scene.name, scene.out, short=number)
        assert ended.code == 0, ended
        assert scene.judge(before, ended) == "new"
    tried("P4", f"short writes during {scene.verb}", "the new file whole", count=len(numbers))


def test_the_disk_is_full(disk: Path) -> None:
    """The method itself: as much as is left goes onto the disk, and no more."""
    more = disk / "more"
    with filled(disk, 4096):
        more.write_bytes(bytes(512))
        with pytest.raises(OSError):
            more.write_bytes(bytes(2 << 20))
        more.unlink()
