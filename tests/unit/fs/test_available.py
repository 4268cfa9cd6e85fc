from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.fs.available import available_memory

MEMINFO = "MemTotal:       1000 kB\nMemAvailable:    800 kB\n"


def system(folder: Path, files: dict[str, str]) -> int:
    """What is available where the system's files are these."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return available_memory(folder / "proc", folder / "groups")


def test_the_machine(tmp_path: Path) -> None:
    """Without control groups the machine decides."""
    assert system(tmp_path, {"proc/meminfo": MEMINFO}) == 800 << 10


def test_groups_of_version_2(tmp_path: Path) -> None:
    """The least that any group above the process has left."""
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/app/worker\n",
        "groups/app/worker/memory.max": "max\n",
        "groups/app/worker/memory.current": "5000\n",
        "groups/app/memory.max": "90000\n",
        "groups/app/memory.current": "20000\n",
    }
    assert system(tmp_path, files) == 70000


def test_groups_of_version_1(tmp_path: Path) -> None:
    """The same, as older systems tell it; in a container the group's path leads nowhere, and the root counts."""
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "3:cpu:/x\n4:memory,hugetlb:/docker/1234\n",
        "groups/memory/memory.limit_in_bytes": "60000\n",
        "groups/memory/memory.usage_in_bytes": "70000\n",
    }
    assert system(tmp_path, files) == 0, "more is taken than allowed"


@pytest.mark.parametrize("files", [{}, {"proc/meminfo": "MemTotal: 1000 kB\n"}])
def test_a_system_that_does_not_tell(tmp_path: Path, files: dict[str, str]) -> None:
    """There is always a number."""
    assert system(tmp_path, files) > 1 << 20


def test_this_machine() -> None:
    """The real one has some."""
    assert 1 << 20 < available_memory() < 1 << 50
