"""What 7zz makes of many archives at once, and strongroom of one: names and data, to be held side by side."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import strongroom
from strongroom.errors import StrongroomError
from tests.helpers import tool


class Reading(NamedTuple):
    """What a tool made of an archive: files with their data, folders, links, all by path."""

    files: Mapping[bytes, bytes]
    folders: frozenset[bytes] = frozenset()
    links: Mapping[bytes, bytes] = {}


def ours(archive: bytes, form: str, password: str, **options: object) -> Reading | StrongroomError:
    """What strongroom reads, in every way that is asked for, or the first error that it has."""
    try:
        with strongroom.open(
            io.BytesIO(archive), format=form, password=password, threads=1, legacy=True, allow_plaintext=True, **options
        ) as room:
            data = {entry.kind: {} for entry in room}
            for entry in room:
                data[entry.kind][os.fsencode(entry.name)] = room.read(entry.name)
            report = room.verify()
            assert report.ok, report.findings
    except StrongroomError as error:
        return error
    return Reading(data.get("file", {}), frozenset(data.get("directory", {})), data.get("symlink", {}))


def sevenzip(folder: Path, archives: Mapping[str, bytes], form: str, password: str) -> dict[str, Reading]:
    """What `7zz x` leaves on the disk of each archive, whether it complains or not."""
    folder.mkdir()
    for name, archive in archives.items():
        (folder / f"{name}.{form}").write_bytes(archive)
    command = [tool("7zz"), "x", "-y", f"-p{password}", f"-t{form}", "-snld", f"*.{form}", "-o*"]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    return {name: _made(folder / name) for name in archives}


def _made(root: Path) -> Reading:
    files: dict[bytes, bytes] = {}
    folders: set[bytes] = set()
    links: dict[bytes, bytes] = {}
    for path in root.rglob("*"):
        key = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            links[key] = os.fsencode(path.readlink())
        elif path.is_dir():
            folders.add(key)
        else:
            files[key] = path.read_bytes()
    return Reading(files, frozenset(folders), links)
