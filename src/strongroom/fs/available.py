"""How much memory this process may still take before the system kills one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from strongroom.limits import GIB

_UNKNOWN: Final = 4 * GIB  # where the system does not tell
_PROC: Final = Path("/proc")
_GROUPS: Final = Path("/sys/fs/cgroup")


def available_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> int:
    """Return the memory that is available, in bytes: to the machine, and to the control groups of this process."""
    return max(0, min([_of_machine(proc), *_of_groups(proc, groups)]))


def _of_machine(proc: Path) -> int:
    for line in _lines(proc / "meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def _of_groups(proc: Path, groups: Path) -> list[int]:
    """What is left under each limit, of this process's group and those above it, in both versions of cgroups."""
    found: list[int] = []
    for line in _lines(proc / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, limit, usage = groups, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, usage = groups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        while group.is_relative_to(base):
            most, taken = _lines(group / limit), _lines(group / usage)
            if most and taken and most[0].isdecimal():  # "max" is no limit
                found.append(int(most[0]) - int(taken[0]))
            group = group.parent
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
