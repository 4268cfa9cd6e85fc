from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.faults.jobs import JOBS, make_inputs
from tests.faults.running import Runner
from tests.faults.striking import Scene
from tests.mounts import FILE_SYSTEMS, FileSystem, mounted

SIZE = 40 << 20


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In `make test` each job meets each fault on one file system, in turn; in `make proof` on all of them."""
    if config.getoption("--proof"):
        return
    turn = Counter[str]()
    left_out = []
    for item in items:
        given: dict[str, object] = item.callspec.params if isinstance(item, pytest.Function) and _in_turn(item) else {}
        if given:
            place = FILE_SYSTEMS.index(cast("FileSystem", given["kind"])) + list(JOBS).index(str(given["scene"]))
            test = item.name.split("[")[0]
            turn.setdefault(test, len(turn))
            if (place + turn[test]) % len(FILE_SYSTEMS):
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        chosen = set(left_out)
        items[:] = [item for item in items if item not in chosen]


def _in_turn(item: pytest.Function) -> bool:
    return hasattr(item, "callspec") and {"kind", "scene"} <= item.callspec.params.keys()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the jobs read, outside of the file systems on which faults strike."""
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def jobs(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """What runs the jobs."""
    one = Runner(inputs)
    yield one
    one.close()


@pytest.fixture(scope="module", params=FILE_SYSTEMS, ids=str)
def kind(request: pytest.FixtureRequest) -> FileSystem:
    """A kind of file system."""
    found: FileSystem = request.param
    return found


@pytest.fixture(scope="module")
def disk(kind: FileSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of that kind."""
    with mounted(kind, tmp_path_factory.mktemp("disk"), SIZE) as place:
        yield place


@pytest.fixture
def out(disk: Path) -> Iterator[Path]:
    """An empty folder on it."""
    folder = disk / "out"
    folder.mkdir()
    yield folder
    _remove(folder)


@pytest.fixture(params=JOBS)
def scene(request: pytest.FixtureRequest, jobs: Runner, kind: FileSystem, out: Path, tmp_path: Path) -> Scene:
    """Each job, on each file system."""
    return Scene(request.param, jobs, kind, out, tmp_path / "log")


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        _remove(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    folder.rmdir()
