"""`strongroom rekey`: other recipients or another password for an archive."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

import strongroom
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import STDOUT, data_json, say
from strongroom.cli.options import (
    PATH,
    SETTINGS,
    STDIO,
    ReadingOptions,
    archive_argument,
    force_option,
    json_option,
    limit_option,
    new_password_options,
    opening_options,
    quiet_option,
    recipient_options,
)
from strongroom.cli.passwords import PasswordOptions, password_for_sealing
from strongroom.cli.progress import Bar
from strongroom.cli.reading import Keys, with_keys
from strongroom.cli.recipients import Recipients
from strongroom.cli.seal import check_password, check_target, stdout
from strongroom.cli.units import size
from strongroom.formats import FORMATS
from strongroom.room.finding import refuse_suffix

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret

_STDOUT: Final = 1
_EPILOG: Final = """\b
Examples:
  strongroom rekey -i old.txt -r age1pq1... case-42.zip.age
  strongroom rekey -i key.txt --new-password-file new.txt report.csv.age -o for-them.csv.age
"""


@click.command(
    "rekey",
    context_settings=SETTINGS,
    short_help="Give an age file other recipients or another password.",
    epilog=_EPILOG,
)
@archive_argument
@click.option("-o", "--output", type=PATH, metavar="NEW", help="Write there, and leave ARCHIVE; - is standard output.")
@click.option("--overwrite", is_flag=True, help="Replace NEW, once it is complete.")
@click.option("--verify", is_flag=True, help="Read it again from the disk and compare before it gets its name.")
@recipient_options
@new_password_options
@limit_option
@opening_options
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
    limits: Limits,
    password: PasswordOptions,
    format_name: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Encrypt ARCHIVE, an age file, to other recipients or with another password, in place or as NEW.

    It is checked whole first, then decrypted and encrypted anew piece by piece, in memory, with a fresh key. Who could
    open ARCHIVE cannot open the new one, only copies of the old one. After any error ARCHIVE is as it was.
    Without new recipients and --new-password-* the new password is asked for.
    """
    row = FORMATS[format_name] if format_name else FORMATS["age"]
    new_password.check(stdin_is_data=archive == STDIO)
    recipients.check(new_password, row, stdin_is_data=archive == STDIO)
    if new_password.descriptor is not None and new_password.descriptor == password.descriptor:
        message = f"descriptor {password.descriptor} cannot give both passwords"
        raise Misuse(message)
    if output is None and archive == STDIO:
        message = "what comes from standard input takes a place to go"
        raise Misuse(message, hint="-o NEW names it; - is standard output")
    if output == STDIO:
        _check_stdout(verify=verify, as_json=as_json, force=force or armor)
    elif output is not None:
        check_target(output, overwrite=overwrite)
    elif not Path(archive).is_symlink() and Path(archive).exists():
        check_target(archive, overwrite=True)
    try:
        refuse_suffix(output)
    except ValueError as error:
        raise Misuse(str(error), hint="give it the suffix .age, or .zip.age where a ZIP is in it") from error
    to, _ = recipients.take(row)
    options = ReadingOptions(password, False, False, "auto", limits, format_name)  # noqa: FBT003 - in their order
    target = stdout() if output == STDIO else output

    def new_secret() -> Secret:
        """Ask on the terminal, once the archive is open: who cannot open it need not think of a password."""
        secret = password_for_sealing(new_password, output or archive, "New password")
        try:
            check_password(row, secret)
        except BaseException:
            secret.close()
            raise
        return secret

    with (
        new_secret() if new_password.given else nullcontext() as secret,
        Bar("checking, then encrypting", quiet=quiet or as_json) as bar,
    ):
        asked = None if to else new_secret

        def use(place: str | BinaryIO, keys: Keys) -> bool:
            strongroom.rekey(
                place,
                target,
                password=keys.password,
                identities=keys.identities,
                ask=keys.ask,
                new_password=asked if secret is None else secret,
                recipients=to,
                format=format_name,
                overwrite=overwrite,
                verify=verify,
                armor=armor or None,
                limits=limits,
                progress=bar,
            )
            return True

        try:
            with_keys(archive, options, use)
        except ValueError as error:  # how the library refuses arguments
            raise Misuse(str(error)) from error
    _report(archive, output, quiet=quiet, as_json=as_json)


def _check_stdout(*, verify: bool, as_json: bool, force: bool) -> None:
    if verify or as_json:
        message = f"--{'verify' if verify else 'json'} does not go with an archive on standard output"
        raise Misuse(message)
    if os.isatty(_STDOUT) and not force:
        message = "standard output is a terminal, and an archive is binary data"
        raise Failure(message, hint="send it to a file or a program, or use --force")


def _report(archive: str, output: str | None, *, quiet: bool, as_json: bool) -> None:
    where = archive if output is None else output
    if as_json:
        result = {"archive": archive, "ok": True, "output": where, "archive_bytes": Path(where).stat().st_size}
        data_json(result)
    elif not quiet:
        made = "" if where == STDIO else f", {size(Path(where).stat().st_size)}"
        say(f"rekeyed {archive}" + (f" into {STDOUT if output == STDIO else output}" if output else "") + made)
        say("copies of the old one open as before")
