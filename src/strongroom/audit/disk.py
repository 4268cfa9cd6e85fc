"""Looks for needles in files that changed during an audit, hidden ones too, and in what /proc shows of processes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.audit.scanner import scan_source
from strongroom.limits import Limits
from strongroom.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.audit.needles import Needle
    from strongroom.audit.scanner import Search

_VARIABLES: Final = ("TMPDIR", "TEMP", "TMP")  # where programs look for a folder for temporary files, before these:
_FOLDERS: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - read only


def temporary_folders() -> list[Path]:
    """Return the folders that programs put temporary files into, each once."""
    names = [os.environ[name] for name in _VARIABLES if os.environ.get(name)]
    return list(dict.fromkeys(Path(name).resolve() for name in (*names, *_FOLDERS) if Path(name).is_dir()))


def scan_folder(folder: Path, since: float, search: Search, unseen: list[str]) -> Counter[Needle]:
    """Look into all files below `folder` that changed since a Unix time; what cannot be read goes to `unseen`."""
    found: Counter[Needle] = Counter()
    for path in _changed(folder, since, unseen):
        try:
            source = open_source(path, Limits())
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # it is gone
                unseen.append(f"{path}: {error.strerror}")
            continue
        found += scan_source(source, search)
        source.close()
    return found


def _changed(folder: Path, since: float, unseen: list[str]) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        unseen.append(f"{error.filename}: {error.strerror}")

    for parent, _, names in os.walk(folder, onerror=failed):
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            # The time of the last change of the file's inode, which programs cannot set.
            if stat.S_ISREG(status.st_mode) and status.st_ctime >= since:
                yield path


def scan_process(pid: int, search: Search) -> Counter[Needle]:
    """Look into what others see of a process: its arguments and its environment."""
    found: Counter[Needle] = Counter()
    for name in ("cmdline", "environ"):
        data = memoryview(Path(f"/proc/{pid}/{name}").read_bytes())
        found += search.count(data, len(data))
    return found
