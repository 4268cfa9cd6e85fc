"""The audit: puts the other modules together.

A child process runs the real code on canaries, which exist nowhere else, and stops. Its parent, which made the canaries
and derives the archives' keys by itself, looks for them.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import secrets
import subprocess
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from strongroom.audit import child, needles
from strongroom.audit.disk import scan_folder, scan_process, temporary_folders
from strongroom.audit.keys import KEYS, of_age_to_key, of_fernet
from strongroom.audit.report import Measure, Report
from strongroom.audit.scanner import Memory, Search
from strongroom.audit.tracer import Tracer
from strongroom.errors import StrongroomError, UnsupportedError
from strongroom.formats import FORMATS, Format
from strongroom.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.audit.needles import Needle
    from strongroom.audit.scanner import Kind
    from strongroom.audit.tracer import Opened

SIZES: Final = {"30 bytes": 30, "300 KB": 300 * 1000, "2.5 MiB": 5 * MIB // 2}
"""A block or two; one chunk; several, which go through threads."""

_LINE: Final = 64
_CANARY: Final = 16
_KEY: Final = 32
_KINDS: Final[tuple[Kind, ...]] = ("heap", "maps", "stack")
_ALLOWED: Final = "by its own user, unlike other hardened processes: nobody but root could look into them"
_STACK: Final = "memory: stack"
_SHOWN: Final = "arguments and environments"
_ELSEWHERE: Final = "opened for writing elsewhere"

_NOT_SEEN: Final = (
    "memory of memfd_secret, which no other process can read; there keys belong",
    "memory that was given back to the kernel, which gives it to others only once it is zeroed",
    "swap space and hibernation images: `strongroom doctor` tells of them",
    "keys that the child makes for itself alone, such as those of a RamFS, and hash states between two blocks",
    "the key of a 7z that was never finished, which has its salt nowhere",
)


def canaries(canary: bytes, size: int) -> bytes:
    """Return `size` bytes of plaintext, of which every piece of 80 bytes has the canary in it, and half is noise."""
    lines = (canary + secrets.token_bytes(_LINE - len(canary)) for _ in range(size // _LINE + 1))
    return b"".join(lines)[:size]


def audit(folder: Path) -> Report:
    """Seal canaries into a folder of its own in `folder`, which is removed, and look for what they leave behind.

    Raises `StrongroomError` where the work itself fails, and `OSError` where the folder cannot be made.
    """
    work = folder.resolve() / f".strongroom-audit-{secrets.token_hex(8)}"
    work.mkdir(mode=0o700)
    try:
        return _Audit(work).run()
    finally:
        for path in list(work.iterdir()):
            path.unlink()
        work.rmdir()


class _Audit:
    def __init__(self, work: Path) -> None:
        self._work = work
        self._since = time.time() - 1  # file systems have coarser clocks
        self._password = secrets.token_hex(_CANARY).encode()
        self._canary = secrets.token_bytes(_CANARY)
        self._key = secrets.token_bytes(_KEY)
        self._identity, recipient = new_identity()
        self._readable = os.geteuid() != 0
        self._hardened: list[dict[str, str]] = []
        self._size = 0
        self._found: dict[str, Counter[Needle]] = defaultdict(Counter)
        self._traces: list[str] = []
        self._unseen: list[str] = list(_NOT_SEEN)
        self._steps = iter(child.STEPS)
        self._job = child.Job(
            folder=str(work),
            archives={f"{method}{row.suffixes[0]}": method for row in _audited() for method in _methods(row)},
            sizes=SIZES,
            password_size=len(self._password),
            recipient=recipient,
            harden=True,
            readable=self._readable,
            steps=tuple(child.STEPS),
        )

    def run(self) -> Report:
        process = child.start(self._job, stdout=subprocess.PIPE)
        try:
            with cast("IO[bytes]", process.stdout) as output:
                self._hardened = json.loads(output.readline())
            threading.Thread(target=self._feed, args=(process.stdin,), daemon=True).start()
            opened, elsewhere = self._watch(process)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            message = f"the process that seals canaries failed (exit status {process.returncode})"
            raise StrongroomError(message)
        return Report(
            setting=self._setting(),
            measures=(*self._measures(), Measure(_ELSEWHERE, "files", elsewhere)),
            traces=tuple(self._traces),
            opened=tuple(opened),
            unseen=tuple(dict.fromkeys(self._unseen)),
        )

    def _feed(self, pipe: IO[bytes]) -> None:
        """Give the child what it seals, anew for each step."""
        with suppress(BrokenPipeError), pipe:
            for _ in self._job.steps:
                pipe.write(self._password + base64.urlsafe_b64encode(self._key) + self._identity)
                for size in SIZES.values():
                    pipe.write(canaries(self._canary, size))
                pipe.flush()

    def _watch(self, process: subprocess.Popen[bytes]) -> tuple[list[Opened], int | None]:
        """Run the child to its end, and return which files were opened for writing, and how many not in our folder."""

        def look() -> None:
            self._look(process.pid, f"after {next(self._steps)!r}")

        def started(pid: int) -> None:
            self._found[_SHOWN] += scan_process(pid, Search(self._needles()))

        try:
            tracer = Tracer(process.pid)
        except (OSError, UnsupportedError) as error:
            self._unseen.append(f"which files were opened for writing: {error}")
            for _ in self._job.steps:
                child.resume(process.pid)
                child.wait_for_stop(process.pid)
                look()
            child.resume(process.pid)
            process.wait()
            return [], None
        try:
            child.resume(process.pid)
            process.returncode = os.waitstatus_to_exitcode(tracer.run(started, look))
        finally:
            tracer.end()
        self._unseen += tracer.unseen
        elsewhere = [file for file in tracer.opened if not file.path.startswith((f"{self._work}/", os.devnull))]
        return tracer.opened, len(elsewhere) + len(tracer.unseen)

    def _look(self, pid: int, when: str) -> None:
        """Look everywhere, while the child stands still."""
        search = Search(self._needles())
        with Memory(pid) as memory:
            scan = memory.scan(search)
        self._size = max(self._size, scan.size)
        self._unseen += [f"memory: {region}" for region in scan.unseen]
        for region, found in scan.found.items():
            self._traces += [
                f"{when}: {n} x {x.subject} ({x.form}) in {region.kind} {region}" for x, n in found.items()
            ]
        for kind in _KINDS:
            self._found[f"memory: {kind}"] += scan.of(kind)
        for folder in dict.fromkeys((self._work.parent, *temporary_folders())):
            self._found[f"files in {folder}"] += scan_folder(folder, self._since, search, self._unseen)
        self._found[_SHOWN] += scan_process(pid, search)

    def _needles(self) -> Iterator[Needle]:
        yield from needles.of_password(self._password)
        yield from needles.of_plaintext(self._canary)
        yield from needles.of_fernet_key("Fernet key", self._key)
        for path in self._work.glob(f"{child.FERNET}.*"):
            yield from of_fernet(path, self._password)
        yield from needles.of_identity(self._identity)
        for suffix, keys_of in KEYS.items():
            for path in self._work.glob(f"*.{suffix}"):
                yield from keys_of(path, self._password)
        for path in self._work.glob("*.age"):
            yield from of_age_to_key(path, self._identity)

    def _measures(self) -> Iterator[Measure]:
        for place, found in self._found.items():
            for subject in needles.SUBJECTS:
                count = sum(number for needle, number in found.items() if needle.subject == subject)
                yield Measure(place, subject, count, judged=place != _STACK)

    def _setting(self) -> dict[str, str]:
        methods = ", ".join(sorted({*self._job.archives.values()}))
        formats = ", ".join(row.name for row in _audited())
        return {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "where": str(self._work.parent),
            "what": f"{', '.join(self._job.steps)}; {formats} with {methods}; entries of {', '.join(SIZES)}",
            "hardened": "; ".join(f"{check['name']}: {check['found']}" for check in self._hardened),
            "readable": "by root, as every process is" if not self._readable else _ALLOWED,
            "memory": f"{self._size} bytes",
            "strongroom": version("strongroom"),
            "cryptography": version("cryptography"),
            "Python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        }


def new_identity() -> tuple[bytes, str]:
    """Return the text of a new X25519 identity, and its recipient."""
    age = FORMATS["age"]
    identity = age.generate(classic=True)
    try:
        with age.encode_identity(identity) as text:
            return bytes(text), identity.recipient
    finally:
        identity.close()


def _audited() -> list[Format]:
    """Return the formats that take every step; those that hold a single entry have one of their own."""
    return [row for row in FORMATS.values() if not row.single]


def _methods(row: Format) -> tuple[str, ...]:
    """Return a format's methods; where another format is inside, with which they are tried, the first."""
    return row.compressions[:1] if row.inside else row.compressions
