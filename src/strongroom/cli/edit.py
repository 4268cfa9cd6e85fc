"""`strongroom edit`: an entry in an editor, in memory."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.advice import quoted
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import say
from strongroom.cli.options import (
    SETTINGS,
    ReadingOptions,
    archive_argument,
    quiet_option,
    reading_options,
    recipient_options,
)
from strongroom.cli.private.folder import PrivateFolder
from strongroom.cli.private.work import Again, bound, held, opened, sealed_again
from strongroom.cli.recipients import Recipients
from strongroom.cli.units import size
from strongroom.errors import EntryNotFoundError
from strongroom.source import local_tree

if TYPE_CHECKING:
    from strongroom.formats import Entry
    from strongroom.room import ReadRoom
    from strongroom.source import LocalFile

_DOING: Final = ("checking", "checking again", "sealing", "verifying")
_EPILOG: Final = """\b
Example:  strongroom edit case-42.zip notes.txt
"""


@click.command("edit", context_settings=SETTINGS, short_help="Edit an entry, in memory.", epilog=_EPILOG)
@archive_argument
@click.argument("name", required=False, metavar="[ENTRY]")
@click.option("--verify", is_flag=True, help="Read it again from the disk and check it before it replaces ARCHIVE.")
@recipient_options
@reading_options
@quiet_option
def command(
    archive: str,
    name: str | None,
    *,
    verify: bool,
    recipients: Recipients,
    armor: bool,
    reading: ReadingOptions,
    quiet: bool,
) -> None:
    """Open ENTRY of ARCHIVE in $VISUAL or $EDITOR, and seal it again when you have saved it and left.

    It lies in memory that only the editor sees, as do its swap and backup files: it can write nowhere else. ARCHIVE is
    replaced when the new one is complete. It stays as it was where you changed nothing, where the editor fails or is
    killed, and after any error. An ENTRY need not be named where there is only one.
    """
    again = Again(recipients, armor)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with (
        held(archive) as mine,
        opened(archive, reading, lambda room: _chosen(room, name, archive), *_DOING, quiet=quiet) as (room, bar),
    ):
        entry = _chosen(room, name, archive)
        options = again.options(room)
        folder_name, _, file_name = entry.name.rpartition("/")
        # As git runs it: the setting may have arguments, and quotes.
        words = ["sh", "-c", f'{editor} "$@"', editor, f"./{file_name}"]
        with PrivateFolder(words, bound(reading.limits, room), folder_name) as folder:
            room.extract(folder.path, [entry.name])
            bar.hide()
            code = folder.run()
            if code:
                how = f"ended with status {code}" if code > 0 else f"was ended by signal {-code}"
                message = f"the editor {editor!r} {how}; {archive} is as it was"
                raise Failure(message, hint="set EDITOR to another one" if code > 0 else None)
            item = _edited(folder.path, entry, editor)
            if _same(item, room):
                if not quiet:
                    say(f"{archive} is as it was: nothing changed")
                return
            with sealed_again(mine, options, bar, verify=verify) as new:
                new.expect(sum(other.size for other in room if other.name != entry.name) + item.size)
                room.copy_to(new, {entry.name: item})
    if not quiet:
        say(f"sealed {entry.name!r}, {size(item.size)}, into {archive} again")


def _chosen(room: ReadRoom, name: str | None, archive: str) -> Entry:
    if name is None:
        if len(room) != 1:
            message = f"the archive has {len(room)} entries: name the one to edit"
            raise Misuse(message, hint=f"`strongroom ls {quoted(archive)}` shows the names")
        name = room.entries[0].name
    if name not in room:
        message = f"no entry {name!r}"
        raise EntryNotFoundError(message)
    entry = room.entry(name)
    if entry.kind != "file":
        message = f"{name!r} is a {entry.kind}, and no file to edit"
        raise Failure(message)
    return entry


def _edited(folder: str, entry: Entry, editor: str) -> LocalFile:
    """Return the file that the editor left, with the permissions that the entry had."""
    path = Path(folder, entry.name)
    folders = entry.name.count("/")
    try:  # a link to a folder would lead out of the private one
        linked = any(parent.is_symlink() for parent in path.parents[:folders])
        regular = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        linked = regular = False
    if linked or not regular:
        message = f"the editor {editor!r} left no file {entry.name!r}; the archive is as it was"
        raise Failure(message)
    item = next(local_tree(path, entry.name))
    return item if entry.mode is None else replace(item, mode=entry.mode & 0o777)


def _same(item: LocalFile, room: ReadRoom) -> bool:
    """Whether the file is what the entry was."""
    if item.size != room.entry(item.name).size:
        return False
    with item.open() as file:
        return all(memoryview(file.read(len(chunk))) == chunk for chunk in room.chunks(item.name))
