"""`strongroom cat`: entries to standard output, once they are authenticated."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.advice import quoted
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import data_bytes
from strongroom.cli.options import (
    SETTINGS,
    ReadingOptions,
    archive_argument,
    entries_argument,
    force_option,
    quiet_option,
    reading_options,
)
from strongroom.cli.progress import Bar
from strongroom.cli.reading import open_archive
from strongroom.errors import EntryNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from strongroom.room import ReadRoom

_STDOUT: Final = 1
_LAYOUT: Final = str.maketrans("", "", "\t\n")


@click.command(
    "cat",
    context_settings=SETTINGS,
    short_help="Write entries to standard output.",
    epilog="Example:  strongroom cat dump.zip dump.sql | psql",
)
@archive_argument
@entries_argument
@click.option(
    "--streaming", is_flag=True, help="age: pass on each piece once it is authentic, before the end is known."
)
@reading_options
@force_option
@quiet_option
def command(
    archive: str, names: tuple[str, ...], *, streaming: bool, reading: ReadingOptions, force: bool, quiet: bool
) -> None:
    """Write entries of ARCHIVE to standard output. Without a NAME it is the only entry that there is.

    Nothing of an entry is written before all of it is authenticated, and nothing reaches the disk.
    """
    reading = reading._replace(streaming=streaming)
    names = tuple(name.rstrip("/") or name for name in names)  # as `ls` shows a folder
    to_terminal = os.isatty(_STDOUT)
    with (
        open_archive(archive, reading, check=lambda room: _size(room, names or _only(room, archive))) as room,
        Bar("reading", quiet=quiet or to_terminal) as bar,
    ):
        names = names or _only(room, archive)
        total = _size(room, names)
        done = 0
        for name in names:
            chunks = room.chunks(name)
            for chunk in _text(name, chunks) if to_terminal and not force else chunks:
                data_bytes(chunk)
                done += len(chunk)
                bar(done, total)


def _only(room: ReadRoom, archive: str) -> tuple[str, ...]:
    if len(room) != 1:
        message = f"the archive has {len(room)} entries: name those to write"
        raise Misuse(message, hint=f"`strongroom ls {quoted(archive)}` shows the names")
    return (room.entries[0].name,)


def _size(room: ReadRoom, names: Iterable[str]) -> int:
    """Add up the sizes of entries; raises where one is missing, or has no data."""
    entries = {entry.name: entry for entry in room}
    total = 0
    for name in names:
        if name not in entries:
            message = f"no entry {name!r}"
            raise EntryNotFoundError(message)
        if entries[name].kind != "file":
            message = f"{name!r} is a {entries[name].kind}, and has no data to show"
            hint = f"name the files in it, or write them with `strongroom extract ARCHIVE DIR {quoted(name)}`"
            raise Failure(message, hint=hint if entries[name].kind == "directory" else "name the file that it links to")
        total += entries[name].size
    return total


def _text(name: str, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Pass text on, and refuse what a terminal would obey or could not show."""
    decoder = getincrementaldecoder("utf-8")()
    for chunk in chunks:
        try:
            text = decoder.decode(chunk)
            fit = (
                text.replace("\r\n", "").translate(_LAYOUT).isprintable()
            )  # a lone \r would hide what stands before it
        except UnicodeDecodeError:
            fit = False
        if not fit:
            message = f"{name!r} is not plain text, which a terminal could show"
            raise Failure(message, hint="send it to a file or a program, or use --force")
        yield chunk
