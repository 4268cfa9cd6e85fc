"""The main job, on made-up data: records and a picture go from memory into a sealed archive, and back into memory.

Run by `make demo`; `python -m examples.demo [FOLDER]` writes elsewhere.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import strongroom
from examples.records import picture, records

RECORDS: Final = 200_000


def main(folder: Path) -> None:
    """Seal, open, compare, and say what happened."""
    folder.mkdir(exist_ok=True)
    archive = folder / "case-42.zip"
    password = secrets.token_urlsafe(12)
    data = {"patients.csv": records(RECORDS), "scan.png": picture()}
    total = sum(map(len, data.values()))

    start = time.perf_counter()
    with strongroom.create(archive, password=password, overwrite=True) as room:
        for name, content in data.items():
            room.write(name, content)
    sealed = time.perf_counter() - start

    start = time.perf_counter()
    with strongroom.open(archive, password=password) as room:
        entries = room.entries
        same = {entry.name: room.read(entry.name) for entry in room} == data
    opened = time.perf_counter() - start

    print(f"{archive}: {archive.stat().st_size:,} bytes, sealed from {total:,} bytes in memory")
    for entry in entries:
        print(f"  {entry.name:<14} {entry.size:>12,} -> {entry.packed_size:>11,}  {entry.method}, {entry.encryption}")
    print(f"sealed at {total / sealed / 1e6:,.0f} MB/s, synced to the disk; opened, verified and read at ", end="")
    print(f"{total / opened / 1e6:,.0f} MB/s")
    print("what was read is what was sealed" if same else "WHAT WAS READ DIFFERS FROM WHAT WAS SEALED")
    print(f"\nA recipient opens it with the password  {password}")
    file, out, ours = (shlex.quote(str(path)) for path in (archive, folder / "out", folder / "ours"))
    print(f"  7-Zip       7zz x -o{out} {file}")
    print(f"  strongroom  {_command()} extract {file} {ours}")
    print(f"              {_command()} cat {file} patients.csv | head")
    if not same:
        sys.exit(1)


def _command() -> str:
    """Say how a shell in this folder runs the strongroom that ran here."""
    ours = Path(sys.executable).with_name("strongroom")
    found = shutil.which("strongroom")
    if found is not None and Path(found).absolute() == ours:
        return "strongroom"
    if not ours.exists():
        return f"{shlex.quote(sys.executable)} -m strongroom"
    return shlex.quote(str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
