"""`strongroom run`: a program that needs real files works on an archive's, in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Misuse
from strongroom.cli.messages import say
from strongroom.cli.options import (
    SETTINGS,
    ReadingOptions,
    archive_argument,
    quiet_option,
    reading_options,
    recipient_options,
)
from strongroom.cli.private.folder import PrivateFolder, walk
from strongroom.cli.private.work import Again, bound, held, items_in, opened, sealed_again
from strongroom.cli.recipients import Recipients
from strongroom.cli.units import count, size

if TYPE_CHECKING:
    from strongroom.room import ReadRoom

_DOING: Final = ("checking", "sealing", "verifying")
_SIGNALLED: Final = 128
_COARSE: Final = 5  # CLOCK_REALTIME_COARSE, time.h: the clock of file times, which ticks every 1 to 10 ms
_EPILOG: Final = """\b
Examples:
  strongroom run case-42.zip -- python analyse.py
  strongroom run --discard case-42.7z -- grep -r needle .
"""


@click.command(
    "run",
    context_settings=SETTINGS,
    short_help="Run a program on an archive's files, in memory.",
    epilog=_EPILOG,
)
@archive_argument
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND...")
@click.option("--discard", "--read-only", is_flag=True, help="Leave ARCHIVE as it is, whatever COMMAND does.")
@click.option("--if-ok", is_flag=True, help="Seal again only where COMMAND exits with 0.")
@click.option("--verify", is_flag=True, help="Read it again from the disk and check it before it replaces ARCHIVE.")
@recipient_options
@reading_options
@quiet_option
def command(
    archive: str,
    words: tuple[str, ...],
    *,
    discard: bool,
    if_ok: bool,
    verify: bool,
    recipients: Recipients,
    armor: bool,
    reading: ReadingOptions,
    quiet: bool,
) -> None:
    """Run COMMAND in a folder with the files of ARCHIVE, and seal again what is there when it is done.

    The folder is in memory, and only COMMAND and what it starts can see it. They can write nowhere else: all other
    files are read-only for them, and HOME and TMPDIR lie in that memory. ARCHIVE is replaced when the new one is
    complete, or stays as it was: where nothing changed, where a signal ended COMMAND, and after any error. The exit
    code is COMMAND's.
    """
    again = Again(recipients, armor)
    if discard and (if_ok or verify or recipients):
        message = "with --discard nothing is sealed again"
        raise Misuse(message)

    def check(room: ReadRoom) -> None:
        bound(reading.limits, room)

    with (
        held(archive) as mine,
        opened(archive, reading, check, *_DOING, quiet=quiet) as (room, bar),
    ):
        options = None if discard else again.options(room)
        with PrivateFolder(words, bound(reading.limits, room)) as folder:
            room.extract(folder.path)
            before = _state(folder.path)
            time.sleep(2 * time.clock_getres(_COARSE))  # else what is changed at once could have the same time
            bar.hide()
            code = folder.run()
            if options is None:
                pass
            elif code < 0 or (code and if_ok):
                say(f"{archive} is as it was: the command " + (f"ended with {code}" if code > 0 else "was killed"))
            elif _state(folder.path) == before:
                if not quiet:
                    say(f"{archive} is as it was: nothing changed")
            else:
                items = list(items_in(folder.path, room))
                with sealed_again(mine, options, bar, verify=verify) as new:
                    new.expect(sum(item.size for item in items))
                    for item in items:
                        new.add(item)
                if not quiet:
                    total = sum(entry.size for entry in new)
                    say(f"sealed {count(len(new), 'entry', 'entries')}, {size(total)}, into {archive} again")
    if code:
        raise click.exceptions.Exit(code if code > 0 else _SIGNALLED - code)


def _state(folder: str) -> dict[str, tuple[int, ...]]:
    """Return what tells whether anything was changed: the kernel sets the last of these times, and nobody else does."""
    return {name: (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns) for name, status in walk(folder)}
