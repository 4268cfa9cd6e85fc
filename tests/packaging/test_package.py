"""What people install: the same bytes from each build, whole, and running on every Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging import matrix

SMOKE = ("tests/unit/test_layout.py", "tests/unit/test_limits.py", "tests/unit/test_staging.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=matrix.ROOT, check=True)
    return folder


def test_two_builds_are_one(built: Path, tmp_path: Path) -> None:
    """From the tree, and the wheel also from the source distribution."""
    source, wheel = next(built.glob("*.tar.gz")), next(built.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "again"], cwd=matrix.ROOT, check=True)
    assert (tmp_path / "again" / source.name).read_bytes() == source.read_bytes()
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    tree = tmp_path / source.name.removesuffix(".tar.gz")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=tree, check=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_wheel_is_whole(built: Path) -> None:
    """It has every module, and nothing that is not strongroom's."""
    source = matrix.ROOT / "src"
    tracked = subprocess.run(
        ["git", "ls-files", "src"], cwd=matrix.ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name for name in names if name.startswith("strongroom/")} == {
        Path(name).relative_to(source.name).as_posix() for name in tracked
    }
    rest = {name.split("/")[0] for name in names} - {"strongroom"}
    assert {name.split(".")[-1] for name in rest} == {"dist-info", "data"}


def test_it_pulls_in_little() -> None:
    """At most seven packages, directly."""
    project = tomllib.loads((matrix.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(project["dependencies"]) <= 7


@pytest.mark.parametrize("name", [*matrix.PYTHONS, matrix.OLDEST])
def test_it_runs_on(name: str, built: Path, tmp_path: Path) -> None:
    """The wheel, with no more than its own dependencies, passes the tests of every format; `make matrix` runs all."""
    if name != matrix.OLDEST and matrix.interpreter(name) is None:
        assert os.environ.get("CI") != "true", f"there is no Python {name}"
        pytest.skip(f"there is no Python {name}")
    tools = ("hypothesis>=6.100", "pytest>=8.2", "pytest-timeout>=2.3")
    python = matrix.environment(name, next(built.glob("*.whl")), tmp_path / name, "codecs,ssh", *tools)
    home = subprocess.run([python, "-P", "-c", "import strongroom; print(strongroom.__file__)"],
                          cwd=matrix.ROOT, capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert home.startswith(str(tmp_path))
    assert matrix.test(python, "-p", "no:cacheprovider", *SMOKE) == 0
