from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers import missing

REPORT = """
import resource, strongroom
for check in strongroom.harden().checks:
    print(check.name, check.ok, bool(check.advice), sep="|")
"""
SETTINGS = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def run(code: str, **more: str) -> str:
    """Run code in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | more
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def states(shown: str) -> dict[str, str]:
    """What `REPORT` printed."""
    return dict(line.split("|", 1) for line in shown.splitlines())


def test_report_as_python_starts() -> None:
    """A running process gets all but the allocators, whose rows say how to start it."""
    found = states(run(REPORT))
    assert found["core dumps"] == found["debuggers"] == found["passwords and keys"] == "True|False"
    assert found["freed memory"] == found["Python's small objects"] == "False|True"


@pytest.mark.parametrize(
    ("given", "freed", "small"),
    [(["PYTHONMALLOC"], "False|True", "True|False"), (["GLIBC_TUNABLES"], "True|False", "False|True")],
)
def test_report_tells_the_allocators_apart(given: list[str], freed: str, small: str) -> None:
    """Each of the two settings is noticed by what it does."""
    found = states(run(REPORT, **{name: SETTINGS[name] for name in given}))
    assert (found["freed memory"], found["Python's small objects"]) == (freed, small)


def test_report_with_all_settings() -> None:
    """A process that was started as the command line is has every protection, and its report is as a whole ok."""
    assert run("import strongroom; print(strongroom.harden().ok)", **SETTINGS) == "True\n"


def test_no_core_dumps() -> None:
    """The limit is 0, for good, and for children."""
    code = """
import resource, subprocess, strongroom
strongroom.harden()
print(resource.getrlimit(resource.RLIMIT_CORE), subprocess.run(["sh", "-c", "ulimit -c"], capture_output=True).stdout)
"""
    assert run(code) == "(0, 0) b'0\\n'\n"


def test_again() -> None:
    """A second call does no harm, and reports the same."""
    assert run("import strongroom; print(strongroom.harden() == strongroom.harden())") == "True\n"


NOBODY = """
import ctypes, os, strongroom
strongroom.harden
strongroom.seal({"a": b""}, "root.zip", password="pass", verify=True)  # loads what nobody may not read
os.chown(".", 65_534, 65_534)
os.setgroups([])
os.setgid(65_534)
os.setuid(65_534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # setuid made it undumpable
"""


def as_nobody(code: str) -> str:
    """Run code as a user without rights, in a folder of its own, which no folder of root's keeps it from."""
    if os.getuid():
        missing("only root can become nobody")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        command = [sys.executable, "-c", NOBODY + code]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("hardened", [False, True])
def test_other_processes_cannot_look(*, hardened: bool) -> None:
    """Another process of the same user can open the memory, until the process is hardened."""
    code = f"""
{"strongroom.harden()" if hardened else ""}
ours = os.getpid()
child = os.fork()
if not child:
    try:
        open(f"/proc/{{ours}}/mem", "rb").close()
    except PermissionError:
        os._exit(7)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert as_nobody(code) == ("7\n" if hardened else "0\n")


def test_hardened_process_seals() -> None:
    """A hardened process makes a file without a name, and gives it one, though its /proc/self belongs to root."""
    code = """
strongroom.harden()
strongroom.seal({"a": b"data"}, "a.zip", password="pass", verify=True)
print(strongroom.open("a.zip", password="pass").read("a"))
"""
    assert as_nobody(code) == "b'data'\n"


FREED = """
import ctypes, os, sys
from strongroom.memory.restart import restart
if sys.argv[1] == "hardened":
    restart()
    from strongroom.memory.process import harden
    harden()
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # for the test to look
canary = bytearray(32)
os.readv(0, [canary])
blocks = [bytearray(300) for _ in range(500)]
for block in blocks:
    block[100:132] = canary
canary[:] = bytes(32)
del blocks, block
os.write(1, b"x")
os.read(0, 1)
"""


@pytest.mark.parametrize("state", ["plain", "hardened"])
def test_freed_memory(state: str) -> None:
    """Of 500 freed blocks of 300 bytes none is found in a process that restarted; without that most are."""
    canary = os.urandom(32)
    with subprocess.Popen(
        [sys.executable, "-c", FREED, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(canary)
        assert child.stdout.read(1) == b"x"
        found = copies(child.pid, canary)
        child.stdin.write(b"1")
    assert child.returncode == 0
    assert found == 0 if state == "hardened" else found > 250


def copies(process: int, canary: bytes) -> int:
    """How often the canary is in the writable memory of a process, but for the stack."""
    found = 0
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw") and not line.endswith(("[stack]", "/secretmem (deleted)")):
                start, end = (int(number, 16) for number in span.split("-"))
                memory.seek(start)
                found += memory.read(end - start).count(canary)
    return found
