from __future__ import annotations

import base64
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyppmd
import pytest

from strongroom import FormatError, LimitError, Limits, StrongroomError, UnsupportedError, isolated, isolated_worker
from strongroom.compression import CODECS, Request, decode
from strongroom.flow import CHUNK
from strongroom.isolated import Job, decode_apart
from tests.helpers import noise, nothing_left, text
from tests.zipcraft import PACKERS

METHODS = ["deflate64", "ppmd"]
SIZES = [0, 1, 255, 256, 257, 65_537, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 7]
MIB = 1 << 20
EMPTY_BLOCK = b"\0\0\0\xff\xff"


def pieces(method: str, packed: bytes, size: int, step: int = CHUNK) -> Iterator[memoryview]:
    """Decode data that arrives in steps."""
    view = memoryview(packed)
    chunks = (view[start : start + step] for start in range(0, len(packed), step))
    return decode(CODECS[method], Request(size=size, limits=Limits()), chunks)


def unpack(method: str, packed: bytes, size: int, step: int = CHUNK) -> bytes:
    """Decode data, and check its pieces."""
    found = []
    for piece in pieces(method, packed, size, step):
        assert 0 < len(piece) <= CHUNK
        found.append(bytes(piece))
    return b"".join(found)


def children() -> list[str]:
    """The processes that this one has started and not waited for."""
    return [name for task in Path("/proc/self/task").iterdir() for name in (task / "children").read_text().split()]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield
    assert not children()


# Valid data


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_round_trip(method: str, size: int) -> None:
    """Data of any size comes back, whether it shrinks or not."""
    for data in (text(size), noise(size)):
        assert unpack(method, PACKERS[method](data), size) == data


@pytest.mark.parametrize("method", METHODS)
def test_any_step(method: str) -> None:
    """How the packed data is cut makes no difference, nor do pieces of nothing."""
    data = text(70_000)
    packed = PACKERS[method](data)
    for step in (1, 3, 255, 4096):
        assert unpack(method, packed, len(data), step) == data
    chunks = [memoryview(b""), memoryview(packed)[:1], memoryview(b""), memoryview(packed)[1:], memoryview(b"")]
    found = decode(CODECS[method], Request(size=len(data), limits=Limits()), chunks)
    assert b"".join(bytes(piece) for piece in found) == data


@pytest.mark.parametrize("parameters", [(2, 1, 0), (6, 16, 0), (16, 64, 1), (16, 256, 0)])
def test_ppmd_parameters(parameters: tuple[int, int, int]) -> None:
    """The memory that the header asks for, up to the limit, is there."""
    import pyppmd

    order, megabytes, restore = parameters
    data = text(2 * MIB)
    encoder = pyppmd.Ppmd8Encoder(order, megabytes << 20, restore)
    packed = struct.pack("<H", order - 1 | megabytes - 1 << 4 | restore << 12)
    packed += bytes(encoder.encode(data) + encoder.flush(endmark=True))
    assert unpack("ppmd", packed, len(data)) == data


def test_ppmd7_in_steps() -> None:
    """PPMd of 7z comes out right where a step of the input stands for less output than is asked for."""
    data = base64.b64encode(noise(CHUNK)) + text(CHUNK)
    packer = pyppmd.Ppmd7Encoder(6, 16 * MIB)
    packed = memoryview(packer.encode(data) + packer.flush())
    chunks = (packed[start : start + CHUNK] for start in range(0, len(packed), CHUNK))
    job = Job(size=len(data), memory=16 * MIB, order=6)
    assert b"".join(map(bytes, decode_apart("ppmd7", job, chunks))) == data


def test_deflate64_by_hand() -> None:
    """What Deflate and Deflate64 share, made by zlib: stored blocks and fixed codes."""
    data = noise(100_000)
    for level, strategy in ((0, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_FIXED)):
        stream = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        assert unpack("deflate64", stream.compress(data) + stream.flush(), len(data)) == data


# Exactness


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 300, CHUNK, CHUNK + 1])
def test_wrong_sizes(method: str, size: int) -> None:
    """Data longer or shorter than declared, if by a byte, is a FormatError, and never gives more than declared."""
    packed = PACKERS[method](text(size))
    for declared in (size - 1, size + 1):
        given: list[int] = []
        with pytest.raises(FormatError):
            given.extend(len(piece) for piece in pieces(method, packed, declared))
        assert sum(given) <= declared


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 300, 65_600, 200_000])
def test_bytes_behind_the_end(method: str, size: int) -> None:
    """A single byte behind the end is noticed, wherever the end stands and however the bytes arrive."""
    data = noise(size)
    packed = PACKERS[method](data)
    for tail in (b"\0", bytes(255), bytes(CHUNK)):
        with pytest.raises(FormatError):
            unpack(method, packed + tail, size)
        with pytest.raises(FormatError):
            list(decode(CODECS[method], Request(size=size, limits=Limits()), map(memoryview, (packed, tail))))


@pytest.mark.parametrize("method", METHODS)
def test_every_cut(method: str) -> None:
    """Wherever packed data is cut off, also in its end mark, is an error of ours."""
    data = text(100)
    packed = PACKERS[method](data)
    for length in range(1, len(packed)):
        with pytest.raises(StrongroomError):
            unpack(method, packed[:length], len(data))


# Hostile data


def hostile_ppmd(kind: str, seed: int) -> tuple[bytes, int]:
    """PPMd data that corrupts the heap of the library, often enough, when it is decoded."""
    draw = random.Random(seed)
    data = draw.choice((noise(3000, seed), text(20_000, seed), bytes(70_000), noise(300_000, seed)))
    packed, size = bytearray(PACKERS["ppmd"](data)), len(data)
    if kind == "flip":
        for _ in range(3):
            packed[draw.randrange(2, len(packed))] ^= draw.randrange(1, 256)
    elif kind == "cut":
        del packed[draw.randrange(3, len(packed)) :]
    elif kind == "order":
        packed[0] = packed[0] & 0xF0 | draw.randrange(1, 16)
    elif kind == "restore":
        packed[1] ^= 0x10
    elif kind == "noise":
        packed[2:] = noise(20_000, seed)
    elif kind == "repeat":
        packed[10:10] = packed[2:50] * 20
    else:
        size = 1 << 40
    return bytes(packed), size


@pytest.mark.parametrize("kind", ["flip", "cut", "order", "restore", "noise", "repeat", "endless"])
def test_hostile_ppmd(kind: str) -> None:
    """Whatever PPMd data does to its decoder, the result is data of the declared size or an error of ours."""
    for seed in range(12):
        packed, size = hostile_ppmd(kind, seed)
        try:
            found = sum(len(piece) for piece in pieces("ppmd", packed, size, random.Random(seed).choice((777, CHUNK))))
        except StrongroomError:
            continue
        assert found == size


def test_empty_blocks() -> None:
    """16 MB of empty blocks of Deflate64 cost neither memory nor time, and are no data."""
    packed = EMPTY_BLOCK * (16 * 200_000)
    begin = time.monotonic()
    with pytest.raises(FormatError):
        unpack("deflate64", packed, 1)
    assert time.monotonic() - begin < 10
    code = """
import resource, sys
from strongroom.isolated import Job, decode_apart
try:
    list(decode_apart("deflate64", Job(size=1), [memoryview(b"\\0\\0\\0\\xff\\xff" * (16 * 200_000))]))
except Exception as error:
    print(type(error).__name__, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, megabytes = done.stdout.split()
    assert name == "FormatError"
    # What Linux counts of a child begins with what its parent had when it started, the 16 MB included.
    assert int(megabytes) < 150


def test_bomb() -> None:
    """Deflate64 that says 1 byte and means 200 MB gives nothing."""
    packed = PACKERS["deflate64"](bytes(200 * MIB))
    given: list[int] = []
    with pytest.raises(FormatError):
        given.extend(len(piece) for piece in pieces("deflate64", packed, 1))
    assert sum(given) <= 1


WORKER = """
import os, resource, signal, sys, time
sys.stdin.buffer.read({header})
{act}
"""


@pytest.fixture
def _act(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "worker.py"
    path.write_text(WORKER.format(header=isolated_worker.HEADER.size, act=request.param))
    monkeypatch.setattr(isolated_worker, "__file__", str(path))
    monkeypatch.setattr(isolated, "_STALL", 0.5)


@pytest.mark.usefixtures("_act")
@pytest.mark.parametrize(
    ("_act", "error"),
    [
        ("os.abort()", FormatError),
        ("os.kill(os.getpid(), signal.SIGSEGV)", FormatError),
        ("os.kill(os.getpid(), signal.SIGKILL)", LimitError),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass", LimitError),
        ("time.sleep(60)", LimitError),
        ("os.close(1); os.close(0); time.sleep(60)", LimitError),
        ("while True: os.write(1, bytes(99))", FormatError),
        (f"os._exit({isolated_worker.OK})", FormatError),
        (f"os.write(1, bytes(4)); os._exit({isolated_worker.OK})", FormatError),
        (f"os.write(1, bytes(6)); os._exit({isolated_worker.OK})", FormatError),
        (f"os._exit({isolated_worker.MEMORY})", LimitError),
        (f"os._exit({isolated_worker.MISSING})", UnsupportedError),
        ("os.write(1, bytes(5)); os._exit(0)", UnsupportedError),
        ("raise SystemExit(1)", UnsupportedError),
    ],
    indirect=["_act"],
)
def test_a_child_that_went_over(error: type[Exception]) -> None:
    """Nothing that a child does, were it the attacker's by now, is more than an error of ours."""
    with pytest.raises(error):
        list(decode_apart("ppmd", Job(size=5), [memoryview(bytes(3 * MIB))] * 2))


def test_the_bounds_of_a_child(tmp_path: Path) -> None:
    """The child runs without files, cores and environment, and in bounded memory and time."""
    code = f"""
import os, resource, sys
sys.path.insert(0, {str(Path(isolated_worker.__file__).parent)!r})
import isolated_worker
isolated_worker._bound(1 << 20, 1 << 20)
print(*(resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in "CORE FSIZE NOFILE CPU AS".split()))
try:
    bytearray(300 << 20)
except MemoryError:
    print("bounded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["0", "0", "16", "14", str(257 * MIB), "bounded"]
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    view = pieces("ppmd", PACKERS["ppmd"](noise(4 * MIB)), 4 * MIB)
    next(view)
    (child,) = children()
    folder = Path("/proc") / child
    assert b"strongroom" not in (folder / "cmdline").read_bytes().split(b"\0")[-2]
    if os.geteuid() == 0:  # who is not root may not look into what is not dumpable
        assert (folder / "environ").read_bytes() == b""
        assert (folder / "cwd").readlink() == Path("/")
        assert len(list((folder / "fd").iterdir())) == 3
    else:
        with pytest.raises(PermissionError):
            (folder / "environ").read_bytes()
    view.close()  # type: ignore[attr-defined]


# Ends of all kinds


@pytest.mark.parametrize("method", METHODS)
def test_dropped_in_the_middle(method: str) -> None:
    """A stream that nobody reads to its end, or at all, leaves no process, descriptor or thread."""
    packed = PACKERS[method](noise(4 * MIB))
    view = pieces(method, packed, 4 * MIB)
    assert len(next(view)) == CHUNK
    assert len(children()) == 1
    del view
    assert not children()
    del packed
    pieces(method, b"x", 4 * MIB)
    assert not children()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_the_source_raises(method: str, after: int) -> None:
    """An error of the source arrives as it was, and ends the child."""
    packed = memoryview(PACKERS[method](noise(4 * MIB)))

    def chunks() -> Iterable[memoryview]:
        for number in range(after):
            yield packed[number * CHUNK : (number + 1) * CHUNK]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(decode(CODECS[method], Request(size=4 * MIB, limits=Limits()), chunks()))
    assert not children()


def test_ctrl_c() -> None:
    """Ctrl-C, also in the wait for a child that is busy, is a KeyboardInterrupt and ends the child."""
    packed = PACKERS["ppmd"](noise(8 * MIB))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            unpack("ppmd", packed, 8 * MIB)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not children()


def test_plaintext_is_wiped() -> None:
    """The memory that the last piece was given in is zeros once the next is asked for."""
    data = text(1000)
    view = pieces("ppmd", PACKERS["ppmd"](data), len(data))
    piece = next(view)
    assert piece == data
    assert next(view, None) is None
    assert bytes(piece) == bytes(1000)


# The libraries


def test_the_parent_imports_no_library() -> None:
    """The process that holds the keys never loads what hostile data can break."""
    ppmd, deflate64 = (PACKERS[method](b"abc") for method in ("ppmd", "deflate64"))
    code = f"""
import sys
from strongroom import Limits
from strongroom.compression import CODECS, Request, decode
for name, packed in (("ppmd", {ppmd!r}), ("deflate64", {deflate64!r})):
    assert list(map(bytes, decode(CODECS[name], Request(size=3, limits=Limits()), [memoryview(packed)]))) == [b"abc"]
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & {"pyppmd", "_ppmd", "inflate64", "_inflate64"}


@pytest.mark.parametrize(("method", "library"), [("deflate64", "inflate64"), ("ppmd", "pyppmd")])
def test_without_the_library(method: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not installed is an UnsupportedError, before anything is started."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(isolated, "start_worker", None)
    with pytest.raises(UnsupportedError):
        unpack(method, PACKERS["deflate"](b"abc") if library == "inflate64" else b"\x05\0abc", 3)
