"""What this machine does with the memory of a process: where it may end up on a disk, and who may read it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from strongroom.limits import KIB
from strongroom.memory.report import Check
from strongroom.memory.secret import available

_ENOUGH: Final = 64 * KIB  # what keys and passwords of one process need at most
_UNKNOWN: Final = "the system does not tell"


def machine(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[Check, ...]:
    """Look at the machine; `proc` and `sys` are where it tells of itself."""
    swap = _swap(proc, sys)
    return (
        _secret_memory(),
        _lock_limit(proc),
        swap,
        _hibernation(sys, swap),
        _core_pattern(proc),
        _ptrace_scope(proc),
    )


def _secret_memory() -> Check:
    name = "secret memory"
    if available() == "memfd_secret":
        return Check(name, ok=True, found="memfd_secret works")
    advice = "Linux 6.5 or later has it; from 5.14 on, boot with secretmem.enable=1"
    return Check(name, ok=False, found="there is no memfd_secret, or it is refused", advice=advice)


def _lock_limit(proc: Path) -> Check:
    """See getrlimit(2), RLIMIT_MEMLOCK; secret memory counts against it as well."""
    name = "lock limit"
    found = re.search(r"^Max locked memory +(\S+)", _read(proc / "self/limits") or "", re.MULTILINE)
    if found is None:
        return Check(name, ok=False, found=_UNKNOWN, advice="ulimit -l shows it")
    if found[1] == "unlimited":
        return Check(name, ok=True, found="none")
    limit = int(found[1])
    advice = "raise it to 8 MiB: ulimit -l 8192, memlock in /etc/security/limits.conf, or LimitMEMLOCK= of a service"
    return Check(name, ok=limit >= _ENOUGH, found=f"{limit} bytes", advice="" if limit >= _ENOUGH else advice)


def _swap(proc: Path, sys: Path) -> Check:
    name = "swap"
    text = _read(proc / "swaps")
    if text is None:
        return Check(name, ok=False, found=_UNKNOWN, advice="swapon --show lists it")
    areas = [_unescaped(line.split()[0]) for line in text.splitlines()[1:] if line.strip()]
    if not areas:
        return Check(name, ok=True, found="none")
    kinds = [(area, _kind_of_swap(area, proc, sys)) for area in areas]
    found = ", ".join(f"{area} ({kind or 'not encrypted'})" for area, kind in kinds)
    ok = all(kind for _, kind in kinds)
    advice = "encrypt it (option swap in /etc/crypttab), use zram, or switch it off: swapoff -a"
    return Check(name, ok=ok, found=found, advice="" if ok else advice)


def _kind_of_swap(area: str, proc: Path, sys: Path) -> str | None:
    """Say why what is swapped to `area` does not reach a disk in clear; None where it does, or nobody can tell."""
    device = _device(area, proc) or ""
    name = _block_name(device, sys)
    if name is None:
        return None
    if name.startswith("zram"):
        backing = _read(sys / "class/block" / name / "backing_dev")  # where it writes back to, if anywhere
        return "compressed in memory" if backing in (None, "none") else _encrypted(_block_name(backing, sys), sys)
    return _encrypted(name, sys)


def _device(area: str, proc: Path) -> str | None:
    """Return the device that an area is, or, of a file, that of its file system."""
    if area.startswith("/dev/"):
        return area
    holder: tuple[str, str] | None = None  # the deepest mount point, and of those at one place the last
    for line in (_read(proc / "self/mountinfo") or "").splitlines():  # proc(5): fields 5 and, past the hyphen, 2
        fields, _, rest = line.partition(" - ")
        point = _unescaped(fields.split()[4])
        if Path(area).is_relative_to(point) and (holder is None or len(point) >= len(holder[0])):
            holder = point, _unescaped(rest.split()[1])
    return holder[1] if holder else None


def _block_name(device: str, sys: Path) -> str | None:
    """Return the kernel's name of a device: /dev/mapper/swap is dm-1, say."""
    if not device.startswith("/dev/"):
        return None
    blocks = sys / "class/block"
    for name in (Path(device).name, Path(os.path.realpath(device)).name):
        if (blocks / name).exists():
            return name
    return next((path.parts[-3] for path in blocks.glob("dm-*/dm/name") if _read(path) == Path(device).name), None)


def _encrypted(name: str | None, sys: Path) -> str | None:
    """Say so where the device is dm-crypt's, or stands on such devices alone (a logical volume, say)."""
    if name is None:
        return None
    block = sys / "class/block" / name
    if (_read(block / "dm/uuid") or "").startswith("CRYPT-"):
        return "encrypted"
    below = [path.name for path in (block / "slaves").glob("*")]
    return "encrypted" if below and all(_encrypted(each, sys) for each in below) else None


def _hibernation(sys: Path, swap: Check) -> Check:
    """See the kernel's Documentation/admin-guide/pm/sleep-states.rst; the image goes to swap."""
    name = "hibernation"
    states, mode = _read(sys / "power/state"), _read(sys / "power/disk")
    if states is None or "disk" not in states.split():
        return Check(name, ok=True, found="not in this kernel, or not allowed")
    if mode is not None and "[disabled]" in mode:
        return Check(name, ok=True, found="not allowed: the kernel is locked down, or there is secret memory in use")
    if swap.ok:
        return Check(name, ok=True, found=f"possible; swap: {swap.found}")
    advice = "encrypt the swap, or: systemctl mask hibernate.target hybrid-sleep.target suspend-then-hibernate.target"
    return Check(name, ok=False, found="writes all memory but secret memory to the swap", advice=advice)


def _core_pattern(proc: Path) -> Check:
    """See core(5): a limit of 0 bytes keeps the kernel from writing files, but not from starting a handler.

    PR_SET_DUMPABLE stops both, but ends where a program runs another one.
    """
    name = "core pattern"
    pattern = _read(proc / "sys/kernel/core_pattern")
    if pattern is None:
        return Check(name, ok=False, found=_UNKNOWN, advice="sysctl kernel.core_pattern shows it")
    if not pattern.startswith(("|", "@")):
        return Check(name, ok=True, found=f"files ({pattern}), within each process's limit" if pattern else "none")
    handler = pattern[1:].split()[0] if pattern[1:].split() else pattern
    found = f"{handler} gets dumps, whatever a process's limit; not those of hardened processes"
    advice = "call strongroom.harden() in your programs, or have no dumps kept: Storage=none in coredump.conf"
    return Check(name, ok=False, found=found, advice=advice)


def _ptrace_scope(proc: Path) -> Check:
    """See the kernel's Documentation/admin-guide/LSM/Yama.rst."""
    name = "ptrace scope"
    scope = _read(proc / "sys/kernel/yama/ptrace_scope")
    if scope is not None and scope.isdecimal() and int(scope):
        return Check(name, ok=True, found=("children only", "root only", "nobody")[min(int(scope), 3) - 1])
    found = "processes of a user can read each other's memory; not that of hardened ones"
    advice = (
        "sysctl kernel.yama.ptrace_scope=1" if scope is not None else "use a kernel with Yama, or strongroom.harden()"
    )
    return Check(name, ok=False, found=found, advice=advice)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _unescaped(field: str) -> str:
    """Undo the octal escapes with which the kernel writes blanks."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
