from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom import Secret, SecretBuffer, SecureMemoryError
from strongroom.memory import pages
from strongroom.memory.secret import Scratch
from tests.helpers import listing, missing

PAGE = 4096


@pytest.fixture(params=["memfd_secret", "mlock"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways in which memory is protected: each test holds for both."""
    if request.param == "mlock":
        monkeypatch.setattr(pages, "has_memfd_secret", False)
    else:
        with SecretBuffer(1) as buffer:
            if buffer.protection != "memfd_secret":
                missing("the kernel has no memfd_secret")
    return "mlock" if request.param == "mlock" else "memfd_secret"


def in_child(work: Callable[[], bool | None]) -> int:
    """Run `work` in a forked child, which ends as Python does; return the exit code, 0 where it was true."""
    child = os.fork()
    if not child:
        code = 9
        try:
            code = 0 if work() else 1
        finally:
            gc.collect()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def flags(buffer: SecretBuffer) -> tuple[str, set[str]]:
    """The kernel's name of the memory, and its flags."""
    name, inside = "", False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            inside = start <= buffer.address < end
            name = " ".join(rest[4:])
        elif inside and first == "VmFlags:":
            return name, set(rest)
    raise AssertionError


def maps() -> int:
    """How many maps this process has."""
    return len(Path("/proc/self/maps").read_text().splitlines())


def test_what_the_kernel_says(way: str) -> None:
    """The memory is locked, and neither dumped nor given to children."""
    with Secret("pass") as secret:
        name, found = flags(secret)
        assert secret.protection == way
    assert found >= {"lo", "dd", "dc" if way == "memfd_secret" else "wf"}
    assert ("/secretmem" in name) == (way == "memfd_secret")


@pytest.mark.parametrize("size", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_sizes(way: str, size: int) -> None:
    """Of any size, all of it is memory, begins as zeros and holds what is put there."""
    with SecretBuffer(size) as buffer:
        assert bytes(buffer) == bytes(size)
        buffer[:] = os.urandom(size - 1) + b"x"
        assert buffer[-1] == ord("x")
        assert buffer.protection == way


def test_no_descriptor_stays(way: str) -> None:
    """No descriptor is left open that a child could inherit."""
    before = listing(Path("/proc/self/fd"))
    with Secret("pass"):
        assert listing(Path("/proc/self/fd")) == before


def test_only_this_process_reads_it(way: str) -> None:
    """/proc/PID/mem, which shows root all other memory, does not show secret memory."""
    with Secret("pass") as secret, Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.seek(secret.address)
        if way == "memfd_secret":
            with pytest.raises(OSError):
                memory.read(4)
        else:
            assert memory.read(4) == b"pass"


def test_gives_its_memory_back(way: str) -> None:
    """Thousands of secrets leave no map behind, closed or forgotten."""
    gc.collect()
    before = maps()
    for _ in range(2000):
        Secret("pass").close()
        Secret("word")
    gc.collect()
    assert maps() < before + 20


def test_child_finds_it_closed(way: str) -> None:
    """In a forked child every use is an error, at once and after others of the same size came and went."""
    secrets = [Secret(f"password {number}") for number in range(50)]

    def use() -> bool:
        others = [Secret("others") for _ in range(100)]
        for secret in secrets:
            with pytest.raises(ValueError):
                bytes(secret)
            with pytest.raises(ValueError):
                secret[0]
            with pytest.raises(SecureMemoryError):
                secret.check_process()
            secret.close()
        return all(other == b"others" for other in others)

    assert in_child(use) == 0
    assert secrets[49] == b"password 49"


def test_views_in_a_child_show_zeros(way: str) -> None:
    """A view that is out when the process forks shows zeros in the child, and the secret in the parent."""
    with Secret("pass") as secret, memoryview(secret) as view:

        def use() -> bool:
            return bytes(view) == bytes(4)

        assert in_child(use) == 0
        assert bytes(view) == b"pass"


def test_child_writes_do_no_harm(way: str) -> None:
    """What a child writes into a view stays in the child."""
    with Secret("pass") as secret, memoryview(secret) as view:

        def use() -> bool:
            view[:] = b"abcd"
            secret.close()
            return bytes(view) == b"abcd"

        assert in_child(use) == 0
        assert secret == b"pass"


STEAL = """
import ctypes, gc, mmap, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def steal():
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100000
    assert libc.mmap(address, 4096, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == address
    ctypes.memmove(address, b"theirs", 6)
os.register_at_fork(after_in_child=steal)
from strongroom import Secret
with Secret("ours") as secret:
    if secret.protection != "memfd_secret":
        sys.exit(5)
    address = secret.address
    child = os.fork()
if not child:
    del secret
    gc.collect()
    sys.exit(7 if ctypes.string_at(address, 6) == b"theirs" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_what_took_its_place_in_a_child_lives_on(way: str) -> None:
    """Memory that the child gets where the secret was, before we can take the place, is neither wiped nor unmapped."""
    code = subprocess.run([sys.executable, "-c", STEAL], check=False).returncode
    assert code == (5 if code == 5 and way == "mlock" else 7)


def test_fork_while_others_make_secrets(way: str) -> None:
    """Forking at any moment of another thread's making and closing secrets ends well in the child."""
    stop = threading.Event()

    def make() -> None:
        while not stop.is_set():
            with Secret("pass") as secret:
                assert secret == b"pass"
            Secret("word")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(20):
            assert in_child(lambda: Secret("mine") == b"mine") == 0
    finally:
        stop.set()
        thread.join()


def test_does_not_change_its_size(way: str) -> None:
    """Memory that moves would leave the registered place."""
    with SecretBuffer(10) as buffer, pytest.raises(TypeError):
        buffer.resize(100_000)


LIMITED = """
import io, os, resource, sys, warnings
import strongroom
strongroom.seal({"a": b""}, io.BytesIO(), format="zip", password="pass")  # loads what nobody may not read
import concurrent.futures.thread, strongroom.formats.zip.reader, strongroom.memory.process
from strongroom.memory import pages
from strongroom.memory.secret import Scratch
pages.has_memfd_secret = sys.argv[1] == "memfd_secret"
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65_536, 65_536))
if os.getuid() == 0:
    os.setuid(65_534)  # root may lock without limit
warnings.simplefilter("always")
"""


def limited(way: str, code: str) -> None:
    """Run `code` in a process that may lock 64 KiB."""
    subprocess.run([sys.executable, "-c", LIMITED + code, way], check=True)


def test_limit_is_told_once(way: str) -> None:
    """Past the lock limit secrets work on, unlocked: they say so, and a warning comes once."""
    limited(
        way,
        """
with warnings.catch_warnings(record=True) as caught:
    secrets = [strongroom.Secret("pass") for _ in range(20)]
found = [secret.protection for secret in secrets]
assert found == [sys.argv[1]] * 16 + ["none"] * 4, found
assert [each.category for each in caught] == [strongroom.StrongroomWarning]
assert "65536" in str(caught[0].message)
assert pages.downgraded
assert secrets[-1] == b"pass"
secrets[0].close()
assert strongroom.Secret("pass", locked=True).protection == sys.argv[1]
""",
    )


def test_limit_where_locked_memory_is_demanded(way: str) -> None:
    """Past the lock limit `locked=True` is a SecureMemoryError, for all that take it, and leaves no map."""
    limited(
        way,
        """
secrets = [strongroom.Secret("pass", locked=True) for _ in range(16)]
value = bytearray(b"pass")
before = len(open("/proc/self/maps").readlines())
for make in (
    lambda: strongroom.Secret("pass", locked=True),
    lambda: strongroom.Secret(b"pass", locked=True),
    lambda: strongroom.Secret.take(value, locked=True),
    lambda: strongroom.SecretBuffer(1, locked=True),
    lambda: Scratch(1, locked=True),
):
    try:
        make()
    except strongroom.SecureMemoryError:
        continue
    raise AssertionError
assert value == bytes(4)
assert len(open("/proc/self/maps").readlines()) <= before + 1
assert not pages.downgraded
""",
    )


def test_scratch_leaves_room_for_keys(way: str) -> None:
    """Plaintext takes half of the lock limit at most, silently; what it took it gives back."""
    limited(
        way,
        """
warnings.simplefilter("error")
small = [Scratch(4096) for _ in range(20)]
assert [one.protection for one in small] == ["mlock"] * 8 + ["none"] * 12
assert Scratch(65_536).protection == "none"
keys = [strongroom.SecretBuffer(32, locked=True) for _ in range(8)]
small.pop(0).close()
assert Scratch(1).protection == "mlock"
assert not pages.downgraded
""",
    )


def test_report_without_locked_memory(way: str) -> None:
    """What cannot be locked, or was not, is reported; the report itself never warns."""
    limited(
        way,
        """
warnings.simplefilter("error")
rows = lambda: {check.name: check for check in strongroom.harden().checks}
assert rows()["passwords and keys"].ok
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
assert not rows()["passwords and keys"].ok
assert "LimitMEMLOCK" in rows()["passwords and keys"].advice
""",
    )


def test_small_limit_is_enough_for_archives(way: str) -> None:
    """Sealing and reading a ZIP file of many entries, with many threads, needs no more than 64 KiB of locked memory."""
    limited(
        way,
        """
warnings.simplefilter("error")
stream = io.BytesIO()
strongroom.seal({str(number): b"data" for number in range(500)}, stream, format="zip", password="pass", threads=16)
with strongroom.open(stream, password="pass") as room:
    assert [room.read(entry.name) for entry in room] == [b"data"] * 500
assert not pages.downgraded
""",
    )


def test_scratch_is_no_secret_memory() -> None:
    """Input and output past the page cache fail on secret memory, and 64 KiB of it take 0.3 ms to make."""
    with Scratch(65_536) as scratch:
        assert scratch.protection == "mlock"
        assert flags(scratch)[1] >= {"lo", "dd", "wf"}


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM", "EMFILE"])
def test_without_the_call(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memfd_secret is refused, memory is locked. It is asked for again only where that can help."""
    import ctypes
    import errno

    def refuse(*_: object) -> int:
        ctypes.set_errno(getattr(errno, error))
        return -1

    monkeypatch.setattr(pages, "has_memfd_secret", True)
    monkeypatch.setattr(pages, "_syscall", refuse)
    with Secret("pass") as secret:
        assert secret.protection == "mlock"
    assert pages.has_memfd_secret == (error == "EMFILE")


def test_without_file_sizes(way: str) -> None:
    """A process that may write no file at all has its secrets."""
    code = """
import resource, strongroom
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
assert strongroom.Secret("pass") == b"pass"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("owner", "name"), [(os, "getpid"), (pages, "_mlock")])
def test_interrupted_while_it_is_made(owner: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of making a secret leaves neither a map nor an error in its finalizer."""
    before = maps()

    def interrupt(*_: object) -> int:
        patch.undo()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pages, "has_memfd_secret", False)
        patch.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            SecretBuffer(4096)
    gc.collect()
    assert maps() <= before + 1
