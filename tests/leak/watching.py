"""Processes that are watched while they handle canaries: those of `strongroom audit`, and others."""

from __future__ import annotations

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
from strongroom.audit.keys import of_zip
from strongroom.audit.needles import Needle
from strongroom.audit.proof import canaries
from strongroom.audit.scanner import Memory, Scan, Search
from strongroom.memory.restart import SETTINGS

# The same child, in which no memory is hidden from a scan.
UNCOVER = "import sys; from strongroom.memory import pages; pages.has_memfd_secret = False"
VISIBLE = ("-c", f"{UNCOVER}; from strongroom.audit import child; child.main(sys.argv[1])")
HIDDEN = ("-m", "strongroom.audit.child")
SIZES = {"small": 30, "middle": 300_000, "large": 20 << 20}


@dataclass
class Canaries:
    """What a process is given, and is not to keep."""

    password: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    canary: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def needles(self, folder: Path) -> Iterator[Needle]:
        """All forms of it, and the keys of the archives in `folder`."""
        yield from needles.of_password(self.password)
        yield from needles.of_plaintext(self.canary)
        yield from needles.of_aes_key("key that was given", self.key)
        for archive in folder.glob("*.zip"):
            yield from of_zip(archive, self.password)


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
    methods: Sequence[str] = (),
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
        archives={f"{method}.zip": method for method in methods},
        sizes=dict(sizes),
        password_size=len(given.password),
        harden=hardened,
        readable=os.geteuid() != 0,
        steps=tuple(steps),
    )

    def feed(pipe: IO[bytes]) -> None:
        with suppress(BrokenPipeError), pipe:
            for data in stdin:
                pipe.write(data)
            for _ in steps:
                pipe.write(given.password)
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
