"""A format inside the envelope of another: an ordinary archive, encrypted and authenticated by what is around it.

Neither knows of the other: the table brings them together. What is inside is not encrypted by itself, has no manifest,
and is written in one go. `inner` is the one place where that is asked for, and what it makes goes nowhere but into the
envelope.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strongroom.flow import Chunk
    from strongroom.formats import (
        Entry,
        EntryEncoder,
        Envelope,
        Enveloped,
        Format,
        Member,
        ReaderOptions,
        WriterOptions,
    )
    from strongroom.formats import Writer as AnyWriter
    from strongroom.output import Piece


def inner(options: WriterOptions) -> WriterOptions:
    """Return the options of what is inside."""
    return options._replace(password=None, recipients=(), manifest=None, armored=False, patchable=False, enveloped=True)


class Writer:
    """See `formats.Writer`. `encryption` is what the entries say of themselves."""

    def __init__(self, envelope: Envelope, inside: AnyWriter, encryption: str) -> None:
        self._envelope = envelope
        self._inside = inside
        self._encryption = encryption
        self.entries: list[Entry] = []

    def entry(self, member: Member) -> Encoder:
        """See `formats.Writer`."""
        return Encoder(self, self._inside.entry(member))

    def finish(self) -> Iterator[Piece]:
        """See `formats.Writer`."""
        yield from self.seal(self._inside.finish())
        yield from self._envelope.finish()

    def close(self) -> None:
        """See `formats.Writer`."""
        self._inside.close()
        self._envelope.close()

    def seal(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Put pieces into the envelope."""
        for piece in pieces:
            assert isinstance(piece, (bytes, bytearray, memoryview)), "what is inside is written in one go"  # noqa: S101
            yield from self._envelope.update(piece)

    def take_up(self) -> None:
        """Count an entry that is complete."""
        self.entries.append(_enveloped(self._inside.entries[len(self.entries)], self._encryption))


class Encoder:
    """See `formats.EntryEncoder`."""

    def __init__(self, writer: Writer, inside: EntryEncoder) -> None:
        self._writer = writer
        self._inside = inside

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        return self._writer.seal(self._inside.update(chunk))

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        yield from self._writer.seal(self._inside.finish())
        self._writer.take_up()

    def close(self) -> None:
        """See `formats.EntryEncoder`."""
        self._inside.close()


class Reader:
    """See `formats.Reader`. Takes over `payload`.

    With `streaming`, what is read from an entry's start is not authenticated up to its end before the first of it is
    given out; piece by piece it is.
    """

    def __init__(self, payload: Enveloped, inside: Format, options: ReaderOptions, encryption: str) -> None:
        self._payload = payload
        try:
            self._inside = inside.reader(
                payload,
                options._replace(
                    password=None,
                    identities=(),
                    guard=None,
                    authenticate=_trust if options.streaming else payload.check_range,
                ),
            )
        except BaseException:
            payload.close()
            raise
        self._bare = {entry.name: entry for entry in self._inside.entries}
        self.entries: tuple[Entry, ...] = tuple(_enveloped(entry, encryption) for entry in self._inside.entries)

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """See `formats.Reader`."""
        return self._inside.chunks(self._bare[entry.name], start)

    def fill(self, entry: Entry, target: memoryview) -> None:
        """See `formats.Reader`."""
        self._inside.fill(self._bare[entry.name], target)

    def check(self, entry: Entry, tick: Callable[[int], object]) -> None:
        """See `formats.Reader`."""
        self._inside.check(self._bare[entry.name], tick)

    def seekable(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        return self._inside.seekable(self._bare[entry.name])

    def piecewise(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        return self._inside.piecewise(self._bare[entry.name])

    def close(self) -> None:
        """See `formats.Reader`."""
        self._inside.close()
        self._payload.close()


def _enveloped(entry: Entry, encryption: str) -> Entry:
    """Return an entry as users see it: encrypted by what is around it, folders and names too."""
    return entry if entry.encrypted else replace(entry, encryption=encryption)


def _trust(_: int, __: int) -> None:
    """Authenticate nothing ahead."""
