"""`strongroom extract`: plaintext files, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli.advice import quoted
from strongroom.cli.completing import folders
from strongroom.cli.failure import Misuse
from strongroom.cli.messages import data_json, say
from strongroom.cli.options import (
    PATH,
    SETTINGS,
    STDIO,
    ReadingOptions,
    archive_argument,
    entries_argument,
    json_option,
    quiet_option,
    reading_options,
)
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
@click.argument("folder", type=PATH, metavar="DIR", shell_complete=folders)
@entries_argument
@reading_options
@quiet_option
@json_option
def command(
    archive: str, folder: str, names: tuple[str, ...], *, reading: ReadingOptions, quiet: bool, as_json: bool
) -> None:
    """Write the entries of ARCHIVE, or those named, as plaintext files below DIR.

    A folder's NAME stands for all that is in it. The whole archive is verified before the first file is made. Existing
    files are never replaced, symlinks are left out, and after an error nothing that was made is left.
    """

    def chosen(room: ReadRoom) -> list[Entry]:
        if not names:
            _check_folder(room, archive, folder)
        return _chosen(room, names)

    if Path(folder).exists() and not Path(folder).is_dir():
        message = f"DIR comes first, and {folder!r} is no folder"
        swapped = not Path(archive).is_file() and archive != STDIO
        hint = (
            f"strongroom extract {quoted(folder)} {quoted(archive)}" if swapped else _as_it_should_be(archive, folder)
        )
        raise Misuse(message, hint=hint)
    with (
        Bar("extracting", quiet=quiet or as_json) as bar,
        open_archive(archive, reading, bar, chosen) as room,
    ):
        entries = chosen(room)
        room.extract(folder, [entry.name for entry in entries])
    files = [entry for entry in entries if entry.kind == "file"]
    total = sum(entry.size for entry in files)
    if as_json:
        left_out = [entry.name for entry in entries if entry.kind == "symlink"]
        result = {"archive": archive, "ok": True, "folder": folder, "files": len(files), "bytes": total}
        data_json(result | {"left_out": left_out})
    elif not quiet:
        say(f"extracted {count(len(files), 'file')}, {size(total)}, to {folder}: plaintext, from now on, on that disk")


def _check_folder(room: ReadRoom, archive: str, folder: str) -> None:
    """Refuse the name of an entry in the place of the folder: it would put all entries onto the disk."""
    wanted = folder.rstrip("/")
    found = [above for entry in room for above in _above(entry.name) if wanted in (above, above.rpartition("/")[2])]
    if found and not Path(folder).exists():
        message = f"DIR comes first, and {wanted!r} is in the archive: without a NAME all of it would be extracted"
        raise Misuse(
            message, hint=f"{_as_it_should_be(archive, found[0])}   (or, for a folder of that name: ./{wanted})"
        )


def _as_it_should_be(archive: str, name: str) -> str:
    return f"strongroom extract {quoted(archive)} DIR {quoted(name)}"


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
