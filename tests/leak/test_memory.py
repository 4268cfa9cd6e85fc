from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from strongroom.audit.child import STEPS
from strongroom.audit.scanner import Search, scan_source
from strongroom.formats import FORMATS
from strongroom.limits import Limits
from strongroom.source import open_source
from tests.helpers import missing, tool
from tests.leak.watching import HIDDEN, SIZES, VISIBLE, Canaries, Watched, subjects, watched
from tests.proof import Tried

ARCHIVES = [f"{method}{row.suffixes[0]}" for row in FORMATS.values() if not row.keys for method in row.compressions]
ARCHIVES += ["deflate.zip.age", "store.zip.age"]
FEW = ["store.zip", "deflate.zip", "store.7z", "lzma.7z", "deflate.zip.age"]
# Each test of each archive is seconds of scanning: `make test` has one of a kind, `make proof` all of them.
SOME = {"store.zip", "deflate.zip", "zstd.zip", "store.7z", "lzma.7z", "deflate.zip.age"}
HIDDEN_SOME = {"deflate.zip", "lzma.7z"}


def archives(names: Sequence[str], some: set[str]) -> list[object]:
    """Parameters, of which those that are not among `some` are for the proof alone."""
    return [pytest.param(name, id=name, marks=() if name in some else pytest.mark.proof) for name in names]


@pytest.mark.parametrize("archive", archives(ARCHIVES, SOME))
def test_hardened_process_leaves_nothing(tmp_path: Path, archive: str, tried: Tried) -> None:
    """After each step, in memory that is all visible, neither heap nor maps hold plaintext, a password or a key.

    Nor does the stack, but for what the kernel puts there when a signal comes, Ctrl-C too, also in the middle of an age
    file: all registers.
    """
    # Only what is stored is still so large once it is packed that it is read twice; the rest would take minutes.
    sizes = SIZES if archive.startswith("store") else SIZES | {"large": 3 << 20}
    with watched(tmp_path, STEPS, archives=[archive], sizes=sizes) as process:
        for step in STEPS:
            scan = process.next()
            assert not scan.of("heap", "maps"), step
            stack = subjects(scan.of("stack"))
            print(step, "on the stack:", stack)
            assert not stack.keys() - ({"plaintext"} if step in {"interrupt", "age"} else set()), step
    tried("P3", "memory of a hardened process, after each step", "no plaintext, password or key", count=len(STEPS))


@pytest.mark.parametrize("archive", archives(FEW, HIDDEN_SOME))
def test_with_memory_that_no_scan_sees(tmp_path: Path, archive: str) -> None:
    """So it is where secrets live in memory that cannot be scanned."""
    sizes = SIZES | {"large": 3 << 20}
    with watched(tmp_path, STEPS, archives=[archive], sizes=sizes, program=HIDDEN) as process:
        for step in STEPS:
            assert not process.next().of("heap", "maps"), step


@pytest.mark.parametrize("archive", archives(ARCHIVES, SOME))
def test_other_process_leaves_no_secret(tmp_path: Path, archive: str, tried: Tried) -> None:
    """See `leaves_no_secret`."""
    leaves_no_secret(tmp_path, archive, VISIBLE)
    tried("P3", "memory of a process that is not hardened, after each step", "no password and no key", count=len(STEPS))


@pytest.mark.parametrize("archive", archives(FEW, {"deflate.zip"}))
def test_other_process_with_memory_that_no_scan_sees(tmp_path: Path, archive: str) -> None:
    """So it is where secrets live in memory that cannot be scanned."""
    leaves_no_secret(tmp_path, archive, HIDDEN)


def leaves_no_secret(tmp_path: Path, archive: str, program: Sequence[str]) -> None:
    """Without hardening, no password and no key is left, and of plaintext only what compression libraries freed.

    And what `room.read` returned, which with a layer is the only way.
    """
    sizes = {"small": 30, "middle": 300_000, "large": 3 << 20}
    with watched(tmp_path, STEPS, archives=[archive], sizes=sizes, hardened=False, program=program) as process:
        for step in STEPS:
            found = subjects(process.next().of("heap", "maps"))
            print(archive, step, found)
            assert not found.keys() - {"plaintext"}, step
            if archive.startswith("store") and step != "Fernet":
                assert not found, step


OPEN = """
import sys, strongroom
from strongroom.audit import child
from strongroom.memory.process import harden
from strongroom.memory.secret import Secret, wipe
job = child.Job.decode(sys.argv[1])
harden()
child.stop()
typed, data = bytearray(job.password_size), bytearray(3_000_000)
child.fill(typed)
child.fill(data)
with Secret.take(typed) as password:
    strongroom.seal({"a": data, "b": data}, job.folder + "/a.zip", password=password)
    room = strongroom.open(job.folder + "/a.zip", password=password)
room.read_into("a", data)
wipe(data)
child.stop()
room.close()
child.stop()
"""


def test_between_operations_secrets_are_out_of_sight(tmp_path: Path) -> None:
    """While a Room is open, its password and keys are in secret memory, and nowhere else."""
    given = Canaries()
    data = given.canary * (3_000_000 // 16)
    with watched(tmp_path, program=("-c", OPEN), given=given, stdin=[given.password, data]) as process:
        scan = process.next()
        assert not scan.of("heap", "maps")
        if not any("secretmem" in region.name for region in scan.unseen):
            missing("this kernel has no memfd_secret")
        assert not process.next().of("heap", "maps")


RAM = """
import sys
from strongroom.memory import pages
pages.has_memfd_secret = sys.argv[1] == "hidden"
from strongroom import RamFS
from strongroom.audit import child
from strongroom.memory.secret import SecretBuffer, wipe

def random(size):
    key = SecretBuffer(size)
    child.fill(key)
    return key

SecretBuffer.random = random
child.stop()
fs = RamFS()
data = bytearray(1_000_003)
child.fill(data)
with fs.open("/a", "wb") as file:
    file.write(data)
wipe(data)
with fs.open("/a", "rb") as file:
    file.readinto(data)
wipe(data)
child.stop()
fs.close()
child.stop()
"""


def ram(tmp_path: Path, given: Canaries, where: str) -> AbstractContextManager[Watched]:
    """A process that holds a RamFS full of canaries, under a key that we gave it."""
    data = (given.canary * 70_000)[:1_000_003]
    program = ("-c", RAM, where)
    return watched(tmp_path, program=program, given=given, hardened=False, stdin=[given.key, data])


@pytest.mark.parametrize("where", ["visible", "hidden"])
def test_ram_file_system(tmp_path: Path, where: str) -> None:
    """A RamFS holds its key in one place, where that can be seen at all, and no plaintext; closed, it holds nothing."""
    with ram(tmp_path, Canaries(), where) as process:
        scan = process.next()
        halves = {"key": 2} if where == "visible" else {}
        assert subjects(scan.of("maps")) == halves
        assert not scan.of("heap")
        assert not process.next().of("heap", "maps")


@pytest.mark.parametrize("where", ["visible", "hidden"])
def test_core_dump(tmp_path: Path, where: str) -> None:
    """A core dump of a process that nobody hardened has nothing of its RamFS: no plaintext, and not the key."""
    given = Canaries()
    with ram(tmp_path, given, where) as process:
        process.next()
        core = dump(tmp_path, process.pid)
        assert not scan_source(open_source(core, Limits()), Search(given.needles(tmp_path)))


def dump(folder: Path, pid: int) -> Path:
    """Dump a process's memory, as a debugger does, into a file."""
    subprocess.run([tool("gcore"), "-o", str(folder / "core"), str(pid)], capture_output=True, check=True)
    return folder / f"core.{pid}"


CARELESS = """
import sys
from strongroom.audit import child
child.stop()
data = bytearray(1000)
child.fill(data)
text = bytes(data)
child.stop()
"""


def test_the_nets_catch(tmp_path: Path) -> None:
    """A scan and a core dump show what a process holds."""
    given = Canaries()
    data = (given.canary * 63)[:1000]
    with watched(tmp_path, program=("-c", CARELESS), given=given, hardened=False, stdin=[data]) as process:
        assert subjects(process.next().of("heap")) == {"plaintext": 2 * 62}
        core = dump(tmp_path, process.pid)
        assert sum(scan_source(open_source(core, Limits()), Search(given.needles(tmp_path))).values()) >= 2 * 62
