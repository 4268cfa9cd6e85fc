from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom import cli
from tests.faults.jobs import STAGED, lay, standing
from tests.faults.running import FAILED, Runner
from tests.faults.striking import Scene
from tests.helpers import nothing_left
from tests.mounts import EXT4, bound_read_only
from tests.proof import Tried

OBSTACLES = ("symlink", "dangling symlink", "fifo", "folder")
USAGE = 2
UNTOUCHED = "an error; all is as it was"

each_that_makes_a_file = pytest.mark.parametrize("scene", STAGED, indirect=True)

Times = Callable[[int, int], int]


def obstruct(path: Path, what: str) -> None:
    """Put something that is no file where the job's own is to be; what a link stands for is what the job expects."""
    elsewhere = path.with_name("elsewhere")
    if what == "folder":
        path.unlink(missing_ok=True)
        path.mkdir()
    elif what == "fifo":
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    else:
        if path.exists():
            path.rename(elsewhere)
        elif what == "symlink":
            elsewhere.write_bytes(b"other")
        path.symlink_to("elsewhere" if what == "symlink" else "nowhere")


def kinds(out: Path) -> dict[str, int]:
    """What kind of thing each is."""
    return {path.name: stat.S_IFMT(path.lstat().st_mode) for path in out.iterdir()}


@each_that_makes_a_file
def test_what_is_no_file(scene: Scene, tried: Tried) -> None:
    """A link at the target is neither followed nor replaced, and so with pipes and folders."""
    for what in OBSTACLES if scene.kind.special else ("folder",):
        scene.lay()
        obstruct(scene.out / scene.job.makes, what)
        before, was = standing(scene.out), kinds(scene.out)
        child = scene.jobs.start(scene.name, scene.out)
        watch = threading.Timer(20, child.kill, [signal.SIGKILL])  # a pipe must not be waited for
        watch.start()
        child.go()
        ended = child.end()
        watch.cancel()
        assert ended.code in (FAILED, USAGE), ended
        assert "strongroom: error: " in ended.said
        assert (standing(scene.out), kinds(scene.out)) == (before, was)
        tried("P4", f"{scene.verb} to a {what}", UNTOUCHED)


@each_that_makes_a_file
def test_read_only(scene: Scene, tried: Tried) -> None:
    """A folder in which nothing can be made, also not by root, is an error."""
    ways = {"read-only mount": bound_read_only} | ({"immutable folder": immutable} if scene.kind is EXT4 else {})
    for what, way in ways.items():
        before = scene.lay()
        with way(scene.out):
            ended = scene.jobs.run(scene.name, scene.out)
        assert ended.code == FAILED, ended
        assert scene.judge(before, ended) == "old"
        tried("P4", f"{scene.verb} into a {what}", UNTOUCHED)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Have not even root change a folder."""
    subprocess.run(["chattr", "+i", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


def test_name_that_is_too_long(out: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried) -> None:
    """A name of 256 bytes is an error."""
    monkeypatch.chdir(inputs)
    command = ["seal", f"{out}/{'n' * 252}.zip", "--password-file", "pw", "data"]
    with nothing_left(out):
        assert cli.main(command) == FAILED
    tried("P4", "a name of 256 bytes", "an error; nothing is made")


@pytest.fixture(scope="session")
def others(inputs: Path) -> Iterator[Runner]:
    """What runs jobs beside the others."""
    one = Runner(inputs)
    yield one
    one.close()


@each_that_makes_a_file
def test_two_at_once(scene: Scene, others: Runner, times: Times, tried: Tried) -> None:
    """Two that make one file: the first has the name, or the last where both were told to replace; always one whole."""
    count = times(1, 40)
    for _ in range(count):
        before = lay(scene.job, scene.jobs.inputs, scene.out)
        pair = [runner.start(scene.name, scene.out) for runner in (scene.jobs, others)]
        for child in pair:
            child.go()
        ended = sorted(child.end() for child in pair)
        codes = [one.code for one in ended]
        if scene.job.before and scene.verb.startswith("rekey"):  # in place: what it would undo is refused
            assert codes in ([0, 0], [0, FAILED]), ended
        else:
            assert codes == ([0, 0] if scene.job.before else [0, FAILED]), ended
        assert scene.judge(before, ended[0]) == "new"
    tried("P4", f"two that {scene.verb} to one name at once", "one of them whole; no other file", count=count)
