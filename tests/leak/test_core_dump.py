"""A core dump of a process that holds a RamFS has nothing of what is in it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import tool

# What the core dump must show is in plain memory, so that a scan that finds nothing has looked in the right place.
CHILD = """
import os, strongroom
from strongroom.fs.pages import PAGE
marker = bytearray(32)
os.readv(0, [marker])
canary = bytearray(32)
os.readv(0, [canary])
buffer = bytearray(5 * PAGE)
for place in range(0, len(buffer), 32):
    buffer[place : place + 32] = canary
fs = strongroom.RamFS()
for size in (32, 1000, PAGE, PAGE + 500, len(buffer)):
    fs.pipe_file(f"/whole/{size}", memoryview(buffer)[:size])
opened = fs.open("/open", "wb")
opened.write(memoryview(buffer)[: PAGE + 3200])
reader = fs.open("/whole/1000")
reader.readinto(memoryview(buffer)[:320])
for used in (canary, buffer):
    used[:] = bytes(len(used))
os.write(1, memoryview(fs._store._key))
os.read(0, 1)
"""


def memory_in(core: bytes, but: range) -> list[bytes]:
    """The memory in a core dump (PT_LOAD of ELF-64), but for what begins in a range of addresses; not the registers."""
    (start,), (count,) = struct.unpack_from("<Q", core, 32), struct.unpack_from("<H", core, 56)
    headers = [struct.unpack_from("<IIQQQQ", core, start + 56 * number) for number in range(count)]
    return [core[offset : offset + size] for kind, _, offset, at, _, size in headers if kind == 1 and at not in but]


def stack_of(pid: int) -> range:
    """Where a process has its stack."""
    (line,) = [line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if line.endswith("[stack]")]
    return range(*(int(number, 16) for number in line.split()[0].split("-")))


@pytest.mark.parametrize("binding", ["lazy", "now"])
def test_core_dump(tmp_path: Path, binding: str) -> None:
    """Neither what files hold, also half written or half read, nor the key of the file system.

    But for the stack: the dynamic linker saves vector registers there when a library's function is called for the first
    time, and a copy of plaintext has gone through those. With LD_BIND_NOW it has no reason to, and the stack is clean.
    """
    gcore = tool("gcore")
    marker, canary = os.urandom(32), os.urandom(32)
    environment = {**os.environ, **({"LD_BIND_NOW": "1"} if binding == "now" else {})}
    command = [sys.executable, "-c", CHILD]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment)
    assert child.stdin
    assert child.stdout
    with child:
        child.stdin.write(marker + canary)
        key = child.stdout.read(32)
        but = stack_of(child.pid) if binding == "lazy" else range(0)
        command = [gcore, "-o", str(tmp_path / "core"), str(child.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        child.stdin.write(b"1")
    found = memory_in((tmp_path / f"core.{child.pid}").read_bytes(), but)
    needles = [marker, canary[:16], canary[16:], key[:16], key[16:]]
    counts = [sum(part.count(needle) for part in found) for needle in needles]
    assert counts[0] > 0
    assert counts[1:] == [0, 0, 0, 0]
