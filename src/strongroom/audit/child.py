"""The process that is watched: it seals and reads canaries with the real code, wipes what is its own, and stops.

It runs as `python -m strongroom.audit.child`. A `Job` comes as JSON in its argument; the password, a Fernet key and the
plaintext, which nobody may see there, come through standard input, straight into memory that it wipes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import strongroom
from strongroom.errors import StrongroomError
from strongroom.formats import FORMATS
from strongroom.memory.process import allow_tracing, harden
from strongroom.memory.restart import SETTINGS
from strongroom.memory.secret import Secret, SecretBuffer, wipe
from strongroom.strength import seconds_to_guess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from strongroom.fs.file import RamFile
    from strongroom.room.files import EntryFile

KEY_TEXT: Final = 44
"""The size of a Fernet key in base64."""

IDENTITY_TEXT: Final = 74
"""The size of an X25519 identity's text."""

FERNET: Final = "fernet"
"""The name, without a suffix, of archives whose entries are under Fernet."""

_RAM: Final = "ram"
_AGE: Final = "age"
_PIECE: Final = 10_007  # bytes that are pushed at once: no multiple of a block, a page or a chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the child does. Sizes are in bytes.

    archives  names, below `folder`, and their compression methods
    sizes     entries and their sizes
    recipient whose files the identity opens that comes through standard input
    harden    whether it hardens itself
    readable  whether its own user can look into it all the same, which root always can
    steps     names of functions below, in `STEPS`
    """

    folder: str
    archives: dict[str, str]
    sizes: dict[str, int]
    password_size: int
    recipient: str
    harden: bool
    readable: bool
    steps: tuple[str, ...]

    def encode(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Job:
        """Return what `encode` made text of."""
        return cls(**json.loads(text))


class _Work:
    """What a step works with."""

    def __init__(self, job: Job, password: Secret, key: Secret, identity: Secret, data: dict[str, bytearray]) -> None:
        self.password = password
        self.key = key
        self.identity = identity
        self.recipient = job.recipient
        self.data = data
        self.archives = {Path(job.folder, name): method for name, method in job.archives.items()}

    def one_a_format(self, stem: str) -> dict[Path, str]:
        """Return an archive of each format, and its method."""
        return {path.with_name(f"{stem}.{_format(path)}"): method for path, method in self.archives.items()}

    def buffer(self) -> bytearray:
        """Return memory for any of the entries."""
        return bytearray(max(map(len, self.data.values())))


def _format(path: Path) -> str:
    return path.name.partition(".")[2]


def _push(data: bytearray, file: EntryFile | RamFile) -> None:
    with memoryview(data) as view:
        for start in range(0, len(view), _PIECE):
            file.write(view[start : start + _PIECE])


def _seal(work: _Work) -> None:
    """By `write`, and pushed in pieces."""
    for path, method in work.archives.items():
        with strongroom.create(path, password=work.password, compression=method) as room:
            for name, data in work.data.items():
                room.write(name, data)
                with room.open(f"{name}, pushed", "wb") as file:
                    _push(data, file)


def _read(work: _Work) -> None:
    """By `read_into`, as a file, in pieces, and by `verify`."""
    buffer = work.buffer()
    for path in work.archives:
        with strongroom.open(path, password=work.password) as room:
            for entry in room.entries:
                room.read_into(entry.name, buffer)
                with room.open(entry.name, "rb") as file:
                    file.readinto(buffer)
                for chunk in room.chunks(entry.name):
                    del chunk
            if not room.verify().ok:
                raise AssertionError
            room.open(room.entries[0].name, "rb").readinto1(memoryview(buffer)[:9])  # and closed with the room
    wipe(buffer)


def _wrong_password(work: _Work) -> None:
    """Another password: the right one backwards."""
    with SecretBuffer(len(work.password)) as wrong:
        wrong[:] = work.password[::-1]
        for path in work.archives:
            with suppress(strongroom.WrongKeyError), strongroom.open(path, password=wrong):
                raise AssertionError


def _seal_interrupted(path: Path, data: bytearray, options: dict[str, Any]) -> None:
    def pieces() -> Iterator[memoryview]:
        with memoryview(data) as view:
            half = len(view) // 2
            yield view[:half]
            os.kill(os.getpid(), signal.SIGINT)
            yield view[half:]

    with path.open("xb") as stream, suppress(KeyboardInterrupt), strongroom.create(stream, **options) as sealed:
        sealed.write("interrupted", pieces())


def _interrupt(work: _Work) -> None:
    """Ctrl-C in the middle of an entry that is sealed, and of one that is read."""
    data = max(work.data.values(), key=len)

    for path, method in work.archives.items():
        with suppress(KeyboardInterrupt), strongroom.open(path, password=work.password) as room:
            for _ in room.chunks(max(room.entries, key=lambda entry: entry.size).name):
                os.kill(os.getpid(), signal.SIGINT)
        # Into a stream, of which what was written is left: so the parent has the salt of the keys.
        options: dict[str, Any] = {"password": work.password, "format": _format(path), "compression": method}
        _seal_interrupted(path.with_name(f"interrupted {path.name}"), data, options)


def _fernet(work: _Work) -> None:
    """Under Fernet, by a key and by a password, and back."""
    shortest = min(work.data, key=lambda name: len(work.data[name]))
    by_key = strongroom.FernetLayer(key=work.key)
    by_password = strongroom.FernetLayer(password=work.password)
    by_scrypt = strongroom.FernetLayer(password=work.password, kdf="scrypt")
    with by_key, by_password, by_scrypt:
        layers = {name: (name, by_key) for name in work.data}
        layers |= {"by password": (shortest, by_password), "by scrypt": (shortest, by_scrypt)}
        for path, method in work.one_a_format(FERNET).items():
            with strongroom.create(path, password=work.password, compression=method) as room:
                for name, (source, layer) in layers.items():
                    room.write(name, work.data[source], layer=layer)
            with strongroom.open(path, password=work.password) as sealed:
                for name, (_, layer) in layers.items():
                    sealed.read(name, layer=layer)


def _ram(work: _Work) -> None:
    """Staged in a RamFS, sealed from there, and unsealed into another one."""
    buffer = work.buffer()
    for path, method in work.one_a_format(_RAM).items():
        with strongroom.RamFS() as ram:
            ram.mkdir("/folder")
            for name, data in work.data.items():
                with ram.open(f"/folder/{name}", "wb") as file:
                    _push(data, file)
            strongroom.seal(ram, path, password=work.password, compression=method)
        with strongroom.unseal(path, password=work.password) as ram:
            for name in work.data:
                with ram.open(f"/folder/{name}", "rb") as file:
                    file.readinto(buffer)
    wipe(buffer)


def _strength(work: _Work) -> None:
    """Have the password judged, as the command line does when it seals."""
    seconds_to_guess(work.password, "zip")


def _age(work: _Work) -> None:
    """A single file to a public key and with the password, whole, streamed and interrupted; and many files to a key."""
    sealed = [path for path in work.archives if path.suffix == ".age"]
    if not sealed:
        return
    buffer, data = work.buffer(), max(work.data.values(), key=len)
    password: dict[str, Any] = {"password": work.password}
    to_key: dict[str, Any] = {"recipients": [work.recipient]}
    packed: dict[str, Any] = {**to_key, "compression": work.archives[sealed[0]]}
    by_key: dict[str, Any] = {"identities": [work.identity]}
    stranger = FORMATS["age"].generate(classic=True)
    with FORMATS["age"].encode_identity(stranger) as other:
        stranger.close()
        for name, to, own in (
            (f"{_AGE} by key.age", to_key, by_key),
            (f"{_AGE} by password.age", password, password),
            (f"{_AGE} by key.zip.age", packed, by_key),
        ):
            path = sealed[0].with_name(name)
            with strongroom.create(path, **to) as room, room.open(path.stem, "wb") as target:
                _push(data, target)
            for streaming in (False, True):
                with strongroom.open(path, streaming=streaming, **own) as opened:
                    for chunk in opened.chunks(opened.entries[0].name):
                        del chunk
                    opened.read_into(opened.entries[0].name, buffer)
            with suppress(strongroom.WrongKeyError), strongroom.open(path, identities=[other]):
                raise AssertionError
            with suppress(KeyboardInterrupt), strongroom.open(path, streaming=True, **own) as opened:
                for _ in opened.chunks(opened.entries[0].name):
                    os.kill(os.getpid(), signal.SIGINT)
            _seal_interrupted(path.with_name(f"interrupted {name}"), data, {**to, "format": _format(path)})
    wipe(buffer)


STEPS: Final[dict[str, Callable[[_Work], None]]] = {
    "seal": _seal,
    "read": _read,
    "wrong password": _wrong_password,
    "interrupt": _interrupt,
    "Fernet": _fernet,
    "RamFS": _ram,
    "strength": _strength,
    "age": _age,
}


def start(
    job: Job,
    *,
    environment: Mapping[str, str] = SETTINGS,
    program: Sequence[str] = ("-m", __name__),
    stdout: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start the child, which stops before its first step; called by its parent.

    `environment` is added to this process's; `program` stands for this module where a test wants another one.
    """
    # No bytecode, which would be files opened for writing; and no module but of the path, since the folder is a user's.
    process = subprocess.Popen(  # noqa: S603 - all of it is ours
        [sys.executable, "-B", "-P", *program, job.encode()],
        stdin=subprocess.PIPE,
        stdout=stdout,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        wait_for_stop(process.pid)
    except BaseException:
        with process:  # which closes its pipes, and waits
            process.kill()
        raise
    return process


def wait_for_stop(pid: int) -> None:
    """Wait until the child has stopped; raises `StrongroomError` where it ends instead."""
    seen = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if seen is None or seen.si_code != os.CLD_STOPPED:
        message = "the process that is to be watched has ended"
        raise StrongroomError(message)
    os.waitid(os.P_PID, pid, os.WSTOPPED)  # so that the next stop is waited for


def resume(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)


def stop() -> None:
    """Stand still until the parent has looked."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fill(buffer: bytearray | SecretBuffer) -> None:
    """Fill a buffer from standard input, without a copy in between."""
    with memoryview(buffer) as view:
        filled = 0
        while filled < len(view):
            count = os.readv(0, [view[filled:]])
            if not count:
                raise EOFError
            filled += count


def _step(job: Job, step: str) -> None:
    """Do a step, and wipe what it was done with; what is then left is what strongroom left."""
    given = [bytearray(size) for size in (job.password_size, KEY_TEXT, IDENTITY_TEXT)]
    for text in given:
        fill(text)
    data = {name: bytearray(size) for name, size in job.sizes.items()}
    with ExitStack() as stack:
        password, key, identity = (stack.enter_context(Secret.take(text)) for text in given)
        for buffer in data.values():
            fill(buffer)
        STEPS[step](_Work(job, password, key, identity, data))
    for buffer in data.values():
        wipe(buffer)


def main(text: str) -> None:
    """Do the steps of a job, and stop before the first and after each."""
    job = Job.decode(text)
    if job.harden:
        print(json.dumps([asdict(check) for check in harden().checks]), flush=True)  # noqa: T201 - the parent listens
    if job.readable:
        allow_tracing()
    stop()
    for step in job.steps:
        _step(job, step)
        stop()


if __name__ == "__main__":
    main(sys.argv[1])
