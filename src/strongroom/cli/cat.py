"""`strongroom cat`: entries to standard output, once they are authenticated."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Failure
from strongroom.cli.messages import naming_stdout
from strongroom.cli.options import (
    SETTINGS,
    ReadingOptions,
    archive_argument,
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
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@reading_options
@force_option
@quiet_option
def command(archive: str, names: tuple[str, ...], *, reading: ReadingOptions, force: bool, quiet: bool) -> None:
    """Write entries of ARCHIVE to standard output.

    Nothing of an entry is written before all of it is authenticated, and nothing reaches the disk.
    """
    to_terminal = os.isatty(_STDOUT)
    with (
        open_archive(archive, reading) as room,
        Bar("reading", quiet=quiet or to_terminal) as bar,
    ):
        total = sum(_size(room, name) for name in names)
        done = 0
        for name in names:
            chunks = room.chunks(name)
            for chunk in _text(name, chunks) if to_terminal and not force else chunks:
                _write(chunk)
                done += len(chunk)
                bar(done, total)


def _size(room: ReadRoom, name: str) -> int:
    entry = next((entry for entry in room if entry.name == name), None)
    if entry is None:
        message = f"no entry {name!r}"
        raise EntryNotFoundError(message)
    if entry.kind != "file":
        message = f"{name!r} is a {entry.kind}, and has no data to show"
        raise Failure(message)
    return entry.size


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


def _write(chunk: memoryview) -> None:
    with naming_stdout():
        while chunk:
            chunk = chunk[os.write(_STDOUT, chunk) :]
