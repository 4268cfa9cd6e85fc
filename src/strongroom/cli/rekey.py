"""`strongroom rekey`: another password or other recipients for an archive."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

import strongroom
from strongroom.cli.failure import Misuse
from strongroom.cli.messages import data_json, say
from strongroom.cli.options import (
    PATH,
    SETTINGS,
    STDIO,
    ReadingOptions,
    archive_argument,
    finishing_options,
    force_option,
    json_option,
    new_password_options,
    quiet_option,
    reading_options,
    recipient_options,
)
from strongroom.cli.passwords import PasswordOptions
from strongroom.cli.private.work import held
from strongroom.cli.recipients import Recipients
from strongroom.cli.resealing import NewKeys, NewPassword, check_place, reseal
from strongroom.cli.target import into, stdout
from strongroom.formats import FORMATS
from strongroom.room.finding import by_suffix

if TYPE_CHECKING:
    from strongroom.room import OpenOptions

_EPILOG: Final = """\b
Examples:
  strongroom rekey case-42.zip
  strongroom rekey -i old.txt -r age1pq1... case-42.zip.age
  strongroom rekey -i key.txt --new-password-file new.txt report.csv.age -o for-them.csv.age
"""


@click.command(
    "rekey",
    context_settings=SETTINGS,
    short_help="Give an archive another password or other recipients.",
    epilog=_EPILOG,
)
@archive_argument
@click.option("-o", "--output", type=PATH, metavar="NEW", help="Write there, and leave ARCHIVE; - is standard output.")
@finishing_options
@recipient_options
@new_password_options
@reading_options
@force_option
@quiet_option
@json_option
def command(
    archive: str,
    *,
    output: str | None,
    overwrite: bool,
    verify: bool,
    recipients: Recipients,
    armor: bool,
    new_password: PasswordOptions,
    reading: ReadingOptions,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Encrypt ARCHIVE with another password or to other recipients, in place or as NEW.

    It is checked whole first, then decrypted and encrypted anew piece by piece, in memory, with fresh keys. Who could
    open ARCHIVE cannot open the new one, only copies of the old one. After any error ARCHIVE is as it was.
    Without new recipients and --new-password-* the new password is asked for.
    """
    row = FORMATS[reading.format_name] if reading.format_name else by_suffix(archive) or FORMATS["age"]
    new = NewKeys(new_password, recipients, keep=False)
    new.check(archive, row, reading.password)
    if output is None and archive == STDIO:
        message = "what comes from standard input takes a place to go"
        raise Misuse(message, hint="-o NEW names it; - is standard output")
    target = archive if output is None else output
    if output is not None or (Path(archive).exists() and not Path(archive).is_symlink()):
        check_place(target, overwrite=overwrite or output is None, verify=verify, as_json=as_json, force=force or armor)

    def make(place: str | BinaryIO, password: NewPassword, to: list[str], options: OpenOptions) -> None:
        strongroom.rekey(
            place,
            stdout() if output == STDIO else output,
            new_password=password,
            recipients=to,
            overwrite=overwrite,
            verify=verify,
            armor=armor or None,
            **options,
        )

    # In place, it waits for no `edit` and no `run`, and they not for it: one would undo what the other does.
    with held(archive) if output is None else nullcontext():
        reseal(archive, target, row, reading, new, make=make, quiet=quiet or as_json)
    if as_json:
        made = Path(target).stat().st_size
        data_json({"archive": archive, "ok": True, "output": target, "archive_bytes": made})
    elif not quiet:
        say(f"rekeyed {archive}" + (f" {into(target)}" if output else ""))
        say("copies of the old one open as before")
