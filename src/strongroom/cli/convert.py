"""`strongroom convert`: an archive of another format, or with better encryption, out of one that is there."""

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
    method_options,
    new_password_options,
    quiet_option,
    reading_options,
    recipient_options,
)
from strongroom.cli.passwords import PasswordOptions
from strongroom.cli.private.work import held
from strongroom.cli.recipients import Recipients
from strongroom.cli.resealing import NewKeys, NewPassword, check_place, reseal
from strongroom.cli.target import format_of, into, say_how_it_opens, stdout
from strongroom.converting import onto_itself
from strongroom.formats import FORMATS

if TYPE_CHECKING:
    from strongroom.room import OpenOptions

_EPILOG: Final = """\b
Examples:
  strongroom convert case-42.zip case-42.7z
  strongroom convert --legacy old.zip new.zip        (ZipCrypto becomes AES-256)
  strongroom convert case-42.zip case-42.zip.age -r age1pq1...
"""


@click.command(
    "convert",
    context_settings=SETTINGS,
    short_help="Make an archive of another format out of one.",
    epilog=_EPILOG,
)
@archive_argument
@click.argument("target", type=PATH, metavar="NEW")
@click.option("--to", "new_format", type=click.Choice(tuple(FORMATS)), help="NEW's format, instead of by its suffix.")
@method_options
@finishing_options
@recipient_options
@click.option("--ask-new-password", "ask", is_flag=True, help="Ask for another password, for NEW.")
@new_password_options
@reading_options
@force_option
@quiet_option
@json_option
def command(
    archive: str,
    target: str,
    *,
    new_format: str | None,
    method: str | None,
    level: int | None,
    overwrite: bool,
    verify: bool,
    recipients: Recipients,
    armor: bool,
    ask: bool,
    new_password: PasswordOptions,
    reading: ReadingOptions,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Seal the entries of ARCHIVE into NEW, an archive of any format, through memory alone.

    ARCHIVE is checked whole first, and stays. NEW appears when it is complete and on the disk, or not at all. Symlinks
    are left out. NEW has the password of ARCHIVE, unless --ask-new-password, --new-password-* or recipients say
    otherwise; where ARCHIVE has none, it is asked for.
    """
    row = format_of(target, new_format, "--to")
    new = NewKeys(new_password, recipients, keep=not ask)
    new.check(archive, row, reading.password)
    if ask and (new_password.given or recipients):
        message = "a new password is asked for, or something else is given, not both"
        raise Misuse(message)
    check_place(target, overwrite=overwrite, verify=verify, as_json=as_json, force=force or armor)
    single: str | None = None

    def make(place: str | BinaryIO, password: NewPassword, to: list[str], options: OpenOptions) -> None:
        nonlocal single
        entries = strongroom.convert(
            place,
            stdout() if target == STDIO else target,
            new_password=password,
            recipients=to,
            new_format=row.name,
            compression=method,
            level=level,
            overwrite=overwrite,
            verify=verify,
            armor=armor,
            **options,
        )
        single = entries[0].name if row.single else None

    with held(archive) if onto_itself(archive, target) else nullcontext():
        post_quantum = reseal(archive, target, row, reading, new, make=make, quiet=quiet or as_json)
    if as_json:
        made = Path(target).stat().st_size
        data_json({"archive": archive, "ok": True, "output": target, "format": row.name, "archive_bytes": made})
    elif not quiet:
        say(f"converted {archive} {into(target)}")
        say_how_it_opens(target, row, single, post_quantum=post_quantum)
