"""What all Rooms have in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Self

from strongroom.errors import SecureMemoryError, TamperedError
from strongroom.flow import default_threads
from strongroom.output import FileOutput, StreamOutput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from strongroom.formats import Entry, Format, WriterOptions
    from strongroom.limits import Limits
    from strongroom.manifest import ManifestPolicy, ManifestState
    from strongroom.manifest.checking import Guard
    from strongroom.manifest.keys import Key
    from strongroom.manifest.sealing import Sealer
    from strongroom.memory.secret import Secret
    from strongroom.output import Output

Progress = Callable[[int, int | None], object]
"""Called with the bytes done, and all there are, or None where that is not known."""


class Meter:
    """Counts what one call has done, and tells `progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def reach(self, done: int) -> None:
        """Have `done` bytes in all be done."""
        self.tick(done - self._done)

    def tick(self, count: int) -> None:
        """Count `count` more bytes."""
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: with `entry`, or with the archive where that is None."""

    entry: str | None
    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found: `ok` where every entry's authentication code, size and structure hold.

    `manifest` says what became of the tamper evidence for all that those do not cover; see `ManifestState`.
    """

    ok: bool
    entries: tuple[Entry, ...]
    manifest: ManifestState
    findings: tuple[Finding, ...]


class Room(ABC):
    """An open archive. Not thread-safe; in a forked child it raises `SecureMemoryError`."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def _check_process(self) -> None:
        """Refuse a forked child: it would seal under a password that reads as zeros, or wait for threads it has not."""
        if os.getpid() != self._process:
            message = "a Room cannot be used in a forked child: open the archive there"
            raise SecureMemoryError(message)

    @property
    @abstractmethod
    def entries(self) -> tuple[Entry, ...]:
        """The entries, in the archive's order; while it is written, those that are complete."""

    @abstractmethod
    def close(self) -> None:
        """End it; see the subclass."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: object) -> bool:
        return any(entry.name == name for entry in self.entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_guard(policy: ManifestPolicy, password: Secret | None, row: Format, limits: Limits) -> Guard | None:
    """Make what checks the manifest of an archive, in formats that need one."""
    if not row.manifest:
        if policy == "required":
            message = (
                f"{row.name} has no manifest, and one is required, which would say that it comes from who knows a key"
            )
            error = TamperedError(message)
            error.add_note(
                "an age file is always checked whole, but does not say who made it: take --manifest auto for it"
            )
            raise error
        return None
    from strongroom.manifest.checking import Guard  # noqa: PLC0415 - its cryptography, like the formats', on first use

    return Guard(policy, None if password is None else _derivation(password, row), limits)


def make_sealer(options: WriterOptions, row: Format) -> Sealer | None:
    """Make what makes the manifest of an archive, in formats that need one."""
    if not row.manifest:
        return None
    from strongroom.manifest.sealing import Sealer  # noqa: PLC0415 - the same

    return Sealer(_derivation(options.secret, row), options.random)


def _derivation(password: Secret, row: Format) -> Callable[[bytes, int], Key]:
    from strongroom.manifest.keys import Key  # noqa: PLC0415 - the same

    return partial(Key.derive, password, row.manifest_label)


def threads_of(threads: int | None) -> int:
    """Return how many threads to work with; raises `ValueError` for less than one."""
    if threads is not None and threads < 1:
        message = f"threads is at least 1, not {threads}"
        raise ValueError(message)
    return threads or default_threads()


def output_for(path: str | os.PathLike[str] | BinaryIO, threads: int, *, overwrite: bool, verify: bool) -> Output:
    """Return where an archive goes."""
    if isinstance(path, (str, os.PathLike)):
        return FileOutput(path, overwrite=overwrite, threads=threads)
    if verify:
        message = "an archive that goes into a stream cannot be read again to verify it"
        raise ValueError(message)
    return StreamOutput(path)


def parse_mode(mode: str, verb: str) -> bool:
    """Check the mode of `Room.open` against `verb`, "r" or "w", and say whether it is text."""
    if mode not in ("r", "rb", "rt", "w", "wb", "wt"):
        message = f"mode {mode!r} is none of 'r', 'rb', 'w', 'wb': an archive is sealed once, and read as it is"
        raise ValueError(message)
    if mode[0] != verb:
        message = f"mode {mode!r} does not fit a Room that is open for {'reading' if verb == 'r' else 'writing'}"
        raise ValueError(message)
    return not mode.endswith("b")
