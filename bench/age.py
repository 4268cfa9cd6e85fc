"""age files beside the age command and pyrage: X25519, random data; and the peak of memory."""

# ruff: noqa: D102 - AgeTool documents what all share

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, Protocol, cast

from bench import age_calls, data, limits
from bench.measure import MIB, Case, Setting, speed, timed, warm
from bench.peers import PASSWORD, Strongroom, drain, need, program
from bench.pipes import peak_of

IDENTITY: Final = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT: Final = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
"""Both are examples of age's specification."""


class AgeTool(Protocol):
    """Encrypts to RECIPIENT and decrypts with IDENTITY, which is in the file `key`."""

    name: ClassVar[str]

    def seal_file(self, source: Path, target: Path) -> None: ...

    def seal_memory(self, content: bytes, target: Path) -> None: ...

    def open_file(self, source: Path, target: Path, key: Path) -> None: ...

    def open_memory(self, source: Path, key: Path) -> int:
        """Return how many bytes came out."""
        ...


class StrongroomAge:
    """In this process, and durable, which the others are not; a file appears after all of its data was checked."""

    name: ClassVar = "strongroom"

    def seal_file(self, source: Path, target: Path) -> None:
        with source.open("rb", buffering=0) as file:
            age_calls.seal(target, file, RECIPIENT)

    def seal_memory(self, content: bytes, target: Path) -> None:
        age_calls.seal(target, content, RECIPIENT)

    def open_file(self, source: Path, target: Path, key: Path) -> None:
        age_calls.open_file(source, target, key)

    def open_memory(self, source: Path, key: Path) -> int:
        return age_calls.open_memory(source, key, Strongroom.target)


class StrongroomAgeStream(StrongroomAge):
    """Gives each chunk once it is authenticated, as the others do."""

    name: ClassVar = "strongroom, as a stream"

    def open_file(self, source: Path, target: Path, key: Path) -> None:
        age_calls.open_file(source, target, key, streaming=True)


class Age:
    """The command; from and into memory through a pipe."""

    name: ClassVar = "age"

    def __init__(self) -> None:
        self._program = program("age")

    def seal_file(self, source: Path, target: Path) -> None:
        subprocess.run([self._program, "-r", RECIPIENT, "-o", target, source], check=True)

    def seal_memory(self, content: bytes, target: Path) -> None:
        subprocess.run([self._program, "-r", RECIPIENT, "-o", target], input=content, check=True)

    def open_file(self, source: Path, target: Path, key: Path) -> None:
        subprocess.run([self._program, "-d", "-i", key, "-o", target, source], check=True)

    def open_memory(self, source: Path, key: Path) -> int:
        with subprocess.Popen([self._program, "-d", "-i", key, source], stdout=subprocess.PIPE, bufsize=0) as child:
            total = drain(cast("BinaryIO", child.stdout))
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, "age")
        return total


class Pyrage:
    """The binding to rage, in one call each."""

    name: ClassVar = "pyrage"

    def __init__(self) -> None:
        self._api = need("pyrage")
        self._recipients = [self._api.x25519.Recipient.from_str(RECIPIENT)]
        self._identities = [self._api.x25519.Identity.from_str(IDENTITY)]

    def seal_file(self, source: Path, target: Path) -> None:
        self._api.encrypt_file(str(source), str(target), self._recipients)

    def seal_memory(self, content: bytes, target: Path) -> None:
        target.write_bytes(self._api.encrypt(content, self._recipients))

    def open_file(self, source: Path, target: Path, key: Path) -> None:  # noqa: ARG002 - it takes them parsed
        self._api.decrypt_file(str(source), str(target), self._identities)

    def open_memory(self, source: Path, key: Path) -> int:  # noqa: ARG002 - as above
        return len(self._api.decrypt(source.read_bytes(), self._identities))


class AgeSynced(Age):
    """The command, and what it wrote brought to the disk: the same work as ours."""

    name: ClassVar = "age, synced"

    def seal_file(self, source: Path, target: Path) -> None:
        super().seal_file(source, target)
        limits.sync(target)


class PyrageSynced(Pyrage):
    """The binding, and what it wrote brought to the disk."""

    name: ClassVar = "pyrage, synced"

    def seal_file(self, source: Path, target: Path) -> None:
        super().seal_file(source, target)
        limits.sync(target)


TOOLS: Final[tuple[type[AgeTool], ...]] = (StrongroomAge, Age, Pyrage)


def age(setting: Setting) -> Iterator[Case]:
    """Encrypt, and decrypt one file that strongroom made; the page cache holds what is read."""
    content = data.noise(setting.size)
    plain, sealed, key = (setting.fresh(name) for name in ("noise.bin", "noise.age", "key"))
    plain.write_bytes(content)
    key.write_text(f"{IDENTITY}\n")
    StrongroomAge().seal_memory(content, sealed)
    limits.read(plain)
    limits.read(sealed)

    def into_file(job: Callable[[Path], object]) -> float:
        target = setting.fresh("made")
        warm(setting, 2 * setting.size)
        figure = speed(setting.size, lambda: job(target))[0]
        if target.stat().st_size < setting.size:
            raise RuntimeError("what was made is too short")
        target.unlink()
        return figure

    def seal_file(tool: type[AgeTool]) -> tuple[float]:
        peer = tool()
        return (into_file(partial(peer.seal_file, plain)),)

    def seal_memory(tool: type[AgeTool]) -> tuple[float]:
        peer = tool()
        return (into_file(partial(peer.seal_memory, content)),)

    def open_file(tool: type[AgeTool]) -> tuple[float]:
        peer = tool()
        return (into_file(lambda target: peer.open_file(sealed, target, key)),)

    def open_memory(tool: type[AgeTool]) -> tuple[float]:
        peer = tool()
        counts: list[int] = []
        figure = speed(setting.size, lambda: counts.append(peer.open_memory(sealed, key)))
        if counts != [setting.size]:
            raise RuntimeError(f"gave {counts} bytes, expected {setting.size}")
        return figure

    for tool in TOOLS:
        yield Case(tool.name, ("age-seal-file",), partial(seal_file, tool))
        yield Case(tool.name, ("age-seal-memory",), partial(seal_memory, tool))
        yield Case(tool.name, ("age-open-file",), partial(open_file, tool))
        yield Case(tool.name, ("age-open-memory",), partial(open_memory, tool))
    for durable in (AgeSynced, PyrageSynced):
        yield Case(durable.name, ("age-seal-file",), partial(seal_file, durable))
    stream = StrongroomAgeStream
    yield Case(stream.name, ("age-open-file",), partial(open_file, stream))
    yield Case("limit: file write", ("age-open-file",), lambda: (into_file(_write(content)),))


def _write(content: bytes) -> Callable[[Path], None]:
    return lambda target: limits.write(target, content, sync=False)


def inside(setting: Setting) -> Iterator[Case]:
    """A zip.age: zstd beside a ZIP's own, and a piece out of the middle of one of eight times the size."""
    content = data.csv(setting.size)

    def seal(name: str, recipient: str) -> tuple[float]:
        archive = setting.fresh(name)
        warm(setting, setting.size)
        figure = speed(setting.size, partial(age_calls.seal_csv, archive, content, recipient))
        archive.unlink()
        return figure

    yield Case("strongroom", ("zip-age-zstd",), partial(seal, "records.zip.age", RECIPIENT))
    yield Case("strongroom, .zip", ("zip-age-zstd",), partial(seal, "records.zip", ""))
    key, large = setting.fresh("key"), setting.fresh("large.zip.age")
    key.write_text(f"{IDENTITY}\n")
    block = data.noise(MIB)

    def middle() -> tuple[float]:
        if not large.exists():
            age_calls.seal_large(large, (block for _ in range(8 * setting.size // MIB)), RECIPIENT)
        return (1000 * age_calls.read_middle(large, key, timed),)

    yield Case("strongroom", ("zip-age-middle",), middle)


def memory(setting: Setting) -> Iterator[Case]:
    """Eight times the size through a pipe, to a public key and with a password."""

    def peak(work: str) -> tuple[float]:
        archive, secret = setting.fresh("piped.age"), setting.fresh("password")
        secret.write_text(PASSWORD + "\n")
        keys = [RECIPIENT] if work == "age-memory-keys" else ["", str(secret)]
        command = [sys.executable, "-m", "bench.age_calls", str(archive), *keys]
        return (peak_of(archive, command, 8 * setting.size),)

    for work in ("age-memory-keys", "age-memory-password"):
        yield Case("strongroom", (work,), partial(peak, work))
