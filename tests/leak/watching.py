"""Processes that are watched while they handle canaries: those of `strongroom audit`, and others."""

from __future__ import annotations

import base64
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from strongroom.audit import child, needles
from strongroom.audit.keys import KEYS, of_7z_salt, of_age_to_key, of_fernet
from strongroom.audit.needles import Needle
from strongroom.audit.proof import canaries, new_identity
from strongroom.audit.scanner import Memory, Scan, Search
from strongroom.memory.restart import SETTINGS

# The same child, of which we also know the keys of a RamFS, and of a 7z that was never finished.
KNOWN = """
import sys
from pathlib import Path
from strongroom.audit import child
from functools import partial
from strongroom.formats.age import writer
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.sevenzip.crypto import Key
from strongroom.layers.token import decode_key
from strongroom.memory import pages
from strongroom.memory.secret import SecretBuffer

job = child.Job.decode(sys.argv[1])
stage, derive = child.STEPS["RamFS"], Key.__init__

def staged(work):
    random = SecretBuffer.random
    with memoryview(work.key) as text:
        SecretBuffer.random = lambda size: decode_key(text)
        stage(work)
    SecretBuffer.random = random

def derived(key, password, salt, *rest):
    Path(job.folder, f"{salt.hex()}.salt").touch()
    derive(key, password, salt, *rest)

child.STEPS["RamFS"], Key.__init__ = staged, derived
writer.ScryptRecipient = partial(ScryptRecipient, log_n=10)  # 1 ms and 1 MiB
"""
MAIN = "child.main(sys.argv[1])"
HIDDEN = ("-c", f"{KNOWN}{MAIN}")
VISIBLE = ("-c", f"{KNOWN}pages.has_memfd_secret = False; {MAIN}")  # in which no memory is hidden from a scan
SIZES = {"small": 30, "middle": 300_000, "large": 20 << 20}


@dataclass
class Canaries:
    """What a process is given, and is not to keep."""

    password: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    canary: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    identity: tuple[bytes, str] = field(default_factory=new_identity)

    def needles(self, folder: Path) -> Iterator[Needle]:
        """All forms of it, and the keys of the archives in `folder`."""
        yield from needles.of_password(self.password)
        yield from needles.of_plaintext(self.canary)
        yield from needles.of_fernet_key("key that was given", self.key)
        yield from needles.of_identity(self.identity[0])
        for suffix, keys_of in KEYS.items():
            for archive in folder.glob(f"*.{suffix}"):
                yield from keys_of(archive, self.password)
        for archive in folder.glob("*.age"):
            yield from of_age_to_key(archive, self.identity[0])
        for archive in folder.glob(f"{child.FERNET}.*"):
            yield from of_fernet(archive, self.password)
        for path in folder.glob("*.salt"):
            yield from of_7z_salt("a 7z", self.password, bytes.fromhex(path.stem), 19)


@dataclass
class Watched:
    """A process that stands still before each step."""

    pid: int
    given: Canaries
    folder: Path

    def next(self) -> Scan:
        """Let it do the next step, and look into it."""
        child.resume(self.pid)
        child.wait_for_stop(self.pid)
        with Memory(self.pid) as memory:
            return memory.scan(Search(self.given.needles(self.folder)))


@contextmanager
def watched(
    folder: Path,
    steps: Sequence[str] = (),
    *,
    archives: Sequence[str] = (),
    sizes: Mapping[str, int] = SIZES,
    program: Sequence[str] = VISIBLE,
    hardened: bool = True,
    stdin: Sequence[bytes] = (),
    given: Canaries | None = None,
) -> Iterator[Watched]:
    """Start a process; it gets what its steps seal, or `stdin`, through a pipe."""
    given = given or Canaries()
    job = child.Job(
        folder=str(folder),
        archives={name: name.partition(".")[0] for name in archives},
        sizes=dict(sizes),
        password_size=len(given.password),
        recipient=given.identity[1],
        harden=hardened,
        readable=os.geteuid() != 0,
        steps=tuple(steps),
    )

    def feed(pipe: IO[bytes]) -> None:
        with suppress(BrokenPipeError), pipe:
            for data in stdin:
                pipe.write(data)
            for _ in steps:
                pipe.write(given.password + base64.urlsafe_b64encode(given.key) + given.identity[0])
                for size in sizes.values():
                    pipe.write(canaries(given.canary, size))

    process = child.start(job, environment=SETTINGS if hardened else {}, program=program)
    feeder = threading.Thread(target=feed, args=(cast("IO[bytes]", process.stdin),))
    feeder.start()
    try:
        yield Watched(process.pid, given, folder)
    finally:
        process.kill()
        process.wait()
        feeder.join()


def subjects(found: Counter[Needle]) -> dict[str, int]:
    """How often each kind of secret was found."""
    counts = Counter[str]()
    for needle, count in found.items():
        counts[needle.subject] += count
    return dict(counts)
