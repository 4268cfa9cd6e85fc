"""Layers: encryption around a single entry, inside the archive's own.

A layer turns an entry into one or more others, and finds those again. The archive does not know of it: other tools see
files, `extract` writes them as they are, and `verify` checks that the archive holds what was put there.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.flow import Readable
    from strongroom.formats import Entry
    from strongroom.limits import Limits


class Entries(Protocol):
    """What a layer sees of the Room that it reads from."""

    def entry(self, name: str) -> Entry:
        """Return the entry of that name; raises `EntryNotFoundError`."""
        ...

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give an entry's data, authenticated, in pieces that are valid until the next."""
        ...

    def read_into(self, name: str, buffer: Buffer) -> int:
        """Read an entry's data, authenticated, into the front of `buffer`; return its length in bytes."""
        ...


class Layer(Protocol):
    """Encryption around a single entry."""

    def wrap(self, name: str, data: Buffer | Readable | Iterable[Buffer]) -> Iterable[tuple[str, Generator[Buffer]]]:
        """Give names and contents of the entries that hold `data`, each to be written, and then closed, in turn.

        A piece of content is valid until the next.
        What is refused beforehand is refused before the first.
        """
        ...

    def unwrap(self, name: str, entries: Entries, limits: Limits) -> bytes:
        """Return what was wrapped as `name`, all of it authenticated. Raises a `StrongroomError`."""
        ...


@contextmanager
def entry_chunks(entries: Entries, name: str) -> Generator[Iterator[memoryview]]:
    """Give `entries.chunks(name)`, and end its threads also where an exception keeps it alive."""
    chunks = entries.chunks(name)
    try:
        yield chunks
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
