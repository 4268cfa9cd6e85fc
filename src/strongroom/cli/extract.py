"""`strongroom extract`: plaintext files, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom.cli.messages import say
from strongroom.cli.options import SETTINGS, ReadingOptions, archive_argument, quiet_option, reading_options
from strongroom.cli.progress import Bar
from strongroom.cli.reading import open_archive
from strongroom.cli.units import count, size
from strongroom.errors import EntryNotFoundError

if TYPE_CHECKING:
    from strongroom.formats import Entry
    from strongroom.room import ReadRoom


@click.command(
    "extract",
    context_settings=SETTINGS,
    short_help="Write entries as plaintext files.",
    epilog="Example:  strongroom extract case-42.zip case-42",
)
@archive_argument
@click.argument("folder", type=click.Path(file_okay=False), metavar="DIR")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@reading_options
@quiet_option
def command(archive: str, folder: str, names: tuple[str, ...], *, reading: ReadingOptions, quiet: bool) -> None:
    """Write the entries of ARCHIVE, or those named, as plaintext files below DIR.

    A folder's NAME stands for all that is in it. The whole archive is verified before the first file is made. Existing
    files are never replaced, and after an error nothing that was made is left.
    """
    with Bar("checking, then extracting", quiet=quiet) as bar, open_archive(archive, reading, bar) as room:
        entries = _chosen(room, names)
        room.extract(folder, [entry.name for entry in entries])
    if not quiet:
        files = [entry for entry in entries if entry.kind == "file"]
        total = sum(entry.size for entry in files)
        say(f"extracted {count(len(files), 'file')}, {size(total)}, to {folder}: plaintext, from now on, on that disk")


def _chosen(room: ReadRoom, names: tuple[str, ...]) -> list[Entry]:
    """Give the entries that are named, or lie in a folder that is, in the archive's order."""
    if not names:
        return list(room)
    wanted = {name.rstrip("/") for name in names}
    chosen: list[Entry] = []
    found: set[str] = set()
    for entry in room:
        matches = wanted.intersection(_above(entry.name))
        if matches:
            chosen.append(entry)
            found |= matches
    if missing := wanted - found:
        message = f"no entry {min(missing)!r}"
        raise EntryNotFoundError(message)
    return chosen


def _above(name: str) -> list[str]:
    """Give a name and the folders that it lies in."""
    return [name, *(name[:place] for place, one in enumerate(name) if one == "/")]
