"""What tools leave in memory: each seals and reads canaries in a process of its own, wipes what it can, and is scanned.

All of them get the password and the data in the same way, and none is hardened but where it says so.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Final, cast

from bench.measure import MIB, Case, Setting
from strongroom.audit import child
from strongroom.audit.keys import of_7z_salt, of_zip
from strongroom.audit.needles import Needle, of_password, of_plaintext
from strongroom.audit.proof import canaries
from strongroom.audit.scanner import Memory, Search
from strongroom.memory.restart import SETTINGS

SIZE: Final = 3 * MIB
_LINE: Final = 64  # bytes of plaintext in which a canary stands once
_PROGRAM: Final = """
import sys
from pathlib import Path
from strongroom.audit import child
from strongroom.memory.process import harden
from strongroom.memory.secret import Secret, wipe
job = child.Job.decode(sys.argv[1])
if job.harden:
    harden()
child.stop()
typed, data = bytearray(job.password_size), bytearray({size})
child.fill(typed)
child.fill(data)

def work(path):
    {work}

work(Path(job.folder))
wipe(typed)
wipe(data)
child.stop()
"""
_STRONGROOM: Final = """
    import strongroom
    with Secret(typed) as password:
        strongroom.seal({"a": data}, path / "strongroom.zip", password=password)
        with strongroom.open(path / "strongroom.zip", password=password) as room:
            room.read_into("a", data)
"""
_PYZIPPER: Final = """
    import pyzipper
    with pyzipper.AESZipFile(path / "pyzipper.zip", "w", pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as room:
        room.setpassword(bytes(typed))
        with room.open("a", "w") as file:
            file.write(data)
    with pyzipper.AESZipFile(path / "pyzipper.zip") as room:
        room.setpassword(bytes(typed))
        with room.open("a") as file:
            file.readinto(data)
"""
_PY7ZR: Final = """
    import io, py7zr
    with py7zr.SevenZipFile(path / "py7zr.7z", "w", password=typed.decode()) as room:
        room.writef(io.BytesIO(data), "a")
    with py7zr.SevenZipFile(path / "py7zr.7z", password=typed.decode()) as room:
        factory = py7zr.io.BytesIOFactory(len(data) + 1)
        room.extract(factory=factory)
        factory.get("a").read()
"""
TOOLS: Final[dict[str, tuple[str, bool]]] = {
    "strongroom": (_STRONGROOM, False),
    "strongroom, hardened": (_STRONGROOM, True),
    "pyzipper": (_PYZIPPER, False),
    "py7zr": (_PY7ZR, False),
}
"""By name: how it works, and whether the process is hardened."""


def leftovers(tool: str, folder: Path) -> Mapping[str, int]:
    """Have a tool seal and read `SIZE` bytes; return how often the password, its keys and the canary are left."""
    work, hardened = TOOLS[tool]
    password, canary = secrets.token_hex(16).encode(), secrets.token_bytes(16)
    job = child.Job(
        folder=str(folder), archives={}, sizes={}, password_size=len(password), recipient="",
        harden=hardened, readable=os.geteuid() != 0, steps=(),
    )  # fmt: skip
    program = ("-c", _PROGRAM.format(size=SIZE, work=work.strip()))
    process = child.start(job, program=program, environment=SETTINGS if hardened else {})

    def feed(pipe: IO[bytes]) -> None:
        with pipe:
            pipe.write(password + canaries(canary, SIZE))

    feeder = threading.Thread(target=feed, args=(cast("IO[bytes]", process.stdin),))
    feeder.start()
    try:
        child.resume(process.pid)
        child.wait_for_stop(process.pid)
        with Memory(process.pid) as memory:
            search = Search([*of_password(password), *of_plaintext(canary), *_keys(folder, password)])
            found = memory.scan(search).of("heap", "maps")
    finally:
        process.kill()
        process.wait()
        feeder.join()
    counts = Counter[str]()
    for needle, count in found.items():
        counts[needle.subject] += count
    return counts


def _keys(folder: Path, password: bytes) -> Iterator[Needle]:
    for archive in folder.glob("*.zip"):
        yield from of_zip(archive, password)
    yield from of_7z_salt("py7zr.7z", password, b"", 19)  # py7zr has no salt, and 2^19 rounds as everyone


def left(setting: Setting) -> Iterator[Case]:
    """Copies of secrets, and the plaintext that can still be read."""

    def measure(tool: str) -> tuple[float, float]:
        folder = setting.folder / tool.replace(", ", "-")
        folder.mkdir()
        found = leftovers(tool, folder)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return float(found["password"] + found["key"]), found["plaintext"] * _LINE / MIB

    for tool in TOOLS:
        yield Case(tool, ("left-secrets", "left-plaintext"), partial(measure, tool))
