from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import SIZE
from tests.faults.jobs import STAGED, lay
from tests.faults.running import Runner
from tests.mounts import EXT4, after_power_cut, mounted
from tests.proof import Tried

Times = Callable[[int, int], int]


def test_power_cut(jobs: Runner, tmp_path: Path, times: Times, tried: Tried) -> None:
    """What a job has reported as done is on the disk: the power may fail at that moment."""
    names = list(STAGED)[:: times(4, 1)]
    with mounted(EXT4, tmp_path, SIZE) as disk:
        for number, name in enumerate(names):
            out = disk / str(number)
            out.mkdir()
            lay(STAGED[name], jobs.inputs, out)
            ended = jobs.run(name, out)
            assert ended.code == 0, ended
            with after_power_cut(tmp_path, tmp_path / "copy") as copy:
                STAGED[name].whole(jobs.inputs, copy / out.name)
            for path in out.iterdir():
                path.unlink()
    tried("P4", "a power cut as soon as a job has ended", "the new file whole", count=len(names))


@pytest.mark.parametrize("synced", [True, False])
def test_the_power_is_cut(tmp_path: Path, *, synced: bool) -> None:
    """The method itself: what nobody has synced is lost."""
    with mounted(EXT4, tmp_path, SIZE) as disk:
        (disk / "synced").write_bytes(b"a" * 10_000)
        if synced:
            with (disk / "synced").open("rb") as file:
                os.fsync(file.fileno())
        with after_power_cut(tmp_path, tmp_path / "copy") as copy:
            assert ((copy / "synced").exists() and (copy / "synced").read_bytes() == b"a" * 10_000) == synced
