"""Reads what was written again from the disk, before it appears under its name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from strongroom.errors import OutputError, StrongroomError, TamperedError
from strongroom.formats import ReaderOptions
from strongroom.limits import Limits
from strongroom.output import Patch
from strongroom.room.base import Progress, make_guard
from strongroom.room.reading import ReadRoom
from strongroom.source import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from strongroom.formats import Format, WriterOptions
    from strongroom.output import Output, Piece
    from strongroom.source import Source


def reread(row: Format, options: WriterOptions, output: Output, count: int, progress: Progress | None) -> None:
    """Open what was written with its password, and verify all of its `count` entries.

    Raises `TamperedError` where that fails in any way, `OutputError` where the disk cannot be read.
    """
    limits = Limits(ratio=1 << 62, total_size=1 << 62, entries=1 << 62, header_size=1 << 62)
    guard = make_guard("required", options.password, row, limits)
    reading = ReaderOptions(
        password=options.password,
        legacy=False,
        allow_plaintext=False,
        limits=limits,
        threads=options.threads,
        guard=guard,
    )
    found: object = None
    with _reread(output) as source:
        try:
            reader = row.reader(source, reading)
            if guard is not None:
                guard.demand()
            report = ReadRoom(row, reader, source, reading, progress).verify()
            if not report.ok:
                found = report.findings[0]
            elif len(report.entries) != count:
                found = "entries are missing"
        except StrongroomError as error:  # of any class: that it is a WrongKeyError, for one, would mislead
            found = error
        finally:
            if guard is not None:
                guard.close()
    if found is not None:
        raise _differs(found)


class Hashed:
    """An output of which the digest is kept: what the disk gives back has to be what was written, byte for byte.

    That is for formats in which whoever writes need not be able to read.
    """

    patchable = False

    def __init__(self, output: Output) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, pieces: Iterable[Piece]) -> None:
        """See `Output`."""
        self._output.write(map(self._take, pieces))

    def finish(self) -> None:
        """See `Output`."""
        self._output.finish()

    def reread(self) -> Source:
        """See `Output`."""
        return self._output.reread()

    def publish(self) -> None:
        """See `Output`."""
        self._output.publish()

    def discard(self) -> None:
        """See `Output`."""
        self._output.discard()

    def compare(self, progress: Callable[[int, int], object]) -> None:
        """Read it all again; calls `progress` with the bytes done and their total. Raises as `reread`."""
        found = file_digest(self._output, progress)
        if found.size != self._size or not hmac.compare_digest(found.sha256, self._digest.digest()):
            raise _differs("other bytes")

    def _take(self, piece: Piece) -> Piece:
        assert not isinstance(piece, Patch), "nothing that was written is changed"  # noqa: S101 - patchable says so
        self._digest.update(piece)
        self._size += len(piece)
        return piece


class FileDigest(NamedTuple):
    """Size and SHA-256 of a file."""

    size: int
    sha256: bytes


def file_digest(output: Output, progress: Callable[[int, int], object]) -> FileDigest:
    """Read what was written again from the disk; calls `progress` with the bytes done and their total.

    Raises `TamperedError` where it became shorter, `OutputError` where the disk cannot be read.
    """
    with _reread(output) as source:
        size = source.size
        try:
            return FileDigest(size, digest(source, lambda done: progress(done, size)))
        except StrongroomError as error:
            raise _differs(error) from error


@contextmanager
def _reread(output: Output) -> Generator[Source]:
    source = output.reread()
    try:
        yield source
    except OSError as error:
        message = f"{error.filename}: it cannot be read again: {error.strerror}; what was there before is as it was"
        raise OutputError(message) from error
    finally:
        source.close()


def _differs(found: object) -> TamperedError:
    return TamperedError(f"what the disk gives back is not what was written: {found}")
