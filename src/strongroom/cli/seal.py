"""`strongroom seal`: make an archive."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

import strongroom
from strongroom.cli.failure import Misuse
from strongroom.cli.messages import data_json, say
from strongroom.cli.options import (
    PATH,
    SETTINGS,
    STDIO,
    archive_argument,
    finishing_options,
    force_option,
    json_option,
    method_options,
    password_options,
    quiet_option,
    recipient_options,
)
from strongroom.cli.passwords import PasswordOptions, password_for_sealing
from strongroom.cli.progress import Bar
from strongroom.cli.receipts import Wanted, receipt_making_options
from strongroom.cli.recipients import Recipients
from strongroom.cli.sources import Command, Sources, Stdin, check_name, list_files
from strongroom.cli.strength import judge
from strongroom.cli.target import check_password, check_stdout, check_target, format_of, into, say_how_it_opens, stdout
from strongroom.cli.units import count, rate, size
from strongroom.formats import FORMATS, Format
from strongroom.room.finding import name_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.formats import Entry
    from strongroom.receipt import Signer

_FROM_COMMAND: Final = "--from-command"
_COMMAND: Final = "strongroom.command"
_EPILOG: Final = """\b
Examples:
  strongroom seal case-42.zip patients.csv scans/
  strongroom seal dump.zip --name dump.sql --from-command -- pg_dump db
  gzip -dc old.gz | strongroom seal new.zip --name data -
    (seals what comes, also where gzip fails halfway)

\b
Who can open it:
  7-Zip opens all methods, bsdtar only deflate and store. Windows Explorer and
  the Archive Utility of macOS open none: they do not know AES.
"""


class SealCommand(click.Command):
    """Keeps what stands after `--from-command … --` away from the other arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut off the command."""
        if "--" in args and _FROM_COMMAND in args[: args.index("--")]:
            place = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)


class Sealed(NamedTuple):
    """What was made."""

    entries: tuple[Entry, ...]
    seconds: float

    @property
    def size(self) -> int:
        """The bytes of data in it."""
        return sum(entry.size for entry in self.entries)


@click.command(
    "seal",
    cls=SealCommand,
    context_settings=SETTINGS,
    short_help="Make an archive of files, folders or a stream.",
    epilog=_EPILOG,
)
@archive_argument
@click.argument("paths", nargs=-1, type=PATH, metavar="[SOURCE...|-]")
@click.option("--name", metavar="NAME", help="The entry's name, for standard input, a command or a single source.")
@click.option(
    _FROM_COMMAND,
    "from_command",
    is_flag=True,
    help="Seal what the command after -- writes; nothing is made unless it exits with status 0.",
)
@click.option("--format", "format_name", type=click.Choice(tuple(FORMATS)), help="Instead of by ARCHIVE's suffix.")
@method_options
@finishing_options
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Instead of one for each CPU; 1 for none.")
@receipt_making_options
@recipient_options
@password_options
@force_option
@quiet_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    archive: str,
    paths: tuple[str, ...],
    *,
    password: PasswordOptions,
    recipients: Recipients,
    armor: bool,
    wanted: Wanted,
    name: str | None,
    from_command: bool,
    format_name: str | None,
    method: str | None,
    level: int | None,
    overwrite: bool,
    verify: bool,
    threads: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Seal files, folders, standard input or what a command writes into ARCHIVE.

    ARCHIVE appears when it is complete and on the disk, or not at all. The originals stay. A SOURCE is a file, a folder
    or a pattern; - is standard input. An ARCHIVE named - is standard output.
    """
    words: tuple[str, ...] | None = ctx.meta.get(_COMMAND, ()) if from_command else None
    password.check(stdin_is_data=STDIO in paths)
    row = format_of(archive, (format_name or next(iter(FORMATS))) if archive == STDIO else format_name, "--format")
    recipients.check(password, row, stdin_is_data=STDIO in paths)
    wanted.check(archive)
    to, post_quantum = recipients.take(row)
    to_stdout = archive == STDIO
    if to_stdout:
        check_stdout(verify=verify, force=force or armor, as_json=as_json)
    else:
        check_target(archive, overwrite=overwrite)
    if wanted.path is not None:
        check_target(wanted.path, overwrite=overwrite, what="receipt")
    sources = _sources(paths, words, name, archive, password, kept=name_kept(archive, row.name))
    with (
        wanted.signer() or nullcontext() as signer,
        nullcontext() if to else password_for_sealing(password, archive) as secret,
        Bar("sealing", "verifying", quiet=quiet or as_json) as bar,
    ):
        if secret is not None:
            check_password(row, secret)
            judge(secret, row, quiet=quiet or as_json)
        start = time.monotonic()
        try:
            room = strongroom.create(
                stdout() if to_stdout else archive,
                password=secret,
                recipients=to,
                armor=armor,
                format=row.name,
                compression=method,
                level=level,
                threads=threads,
                overwrite=overwrite,
                verify=verify,
                receipt=wanted.request(signer),
                progress=bar,
            )
            with room:
                sources.fill(room)
        except ValueError as error:  # how the library refuses arguments
            raise Misuse(str(error)) from error
        sealed = Sealed(room.entries, time.monotonic() - start)
    if as_json:
        _report_json(sealed, archive, row, sources.left_out, wanted.path)
    elif not quiet:
        _report(sealed, archive, row, post_quantum=post_quantum if to else None)
        if wanted.path is not None:
            _report_receipt(wanted, row, signer)


def _sources(
    paths: tuple[str, ...],
    words: tuple[str, ...] | None,
    name: str | None,
    archive: str,
    password: PasswordOptions,
    *,
    kept: str | None,
) -> Sources:
    if words is not None:
        if not words or paths:
            message = f"{_FROM_COMMAND} takes a command after --, and no other source"
            raise Misuse(message, hint="strongroom seal dump.zip --name dump.sql --from-command -- pg_dump db")
        return Command(
            _named(kept if name is None else name, "what a command writes"), words, stdin=password.descriptor != 0
        )
    if STDIO in paths:
        if len(paths) > 1:
            message = "standard input is sealed alone, as one entry"
            raise Misuse(message)
        return Stdin(_named(kept if name is None else name, "standard input"))
    if not paths:
        message = "there is nothing to seal: name files or folders, or - for standard input"
        raise Misuse(message, hint="strongroom seal case-42.zip patients.csv scans/")
    if name is not None and len(paths) > 1:
        message = f"--name is for a single source, not for {len(paths)}"
        raise Misuse(message)
    return list_files(paths, name, archive)


def _named(name: str | None, what: str) -> str:
    if name is None:
        message = f"{what} needs an entry name"
        raise Misuse(message, hint="--name gives it one, such as --name dump.sql")
    return check_name(name)


def _report(sealed: Sealed, archive: str, row: Format, *, post_quantum: bool | None) -> None:
    """Say what was made. `post_quantum` says it of the recipients, where there are some."""
    speed = rate(sealed.size, sealed.seconds)
    facts = [f"sealed {count(len(sealed.entries), 'entry', 'entries')}, {size(sealed.size)}", into(archive)]
    say(", ".join([*facts, *([speed] if speed else [])]))
    say_how_it_opens(archive, row, sealed.entries[0].name if row.single else None, post_quantum=post_quantum)


def _report_receipt(wanted: Wanted, row: Format, signer: Signer | None) -> None:
    if signer is None:
        say(f"receipt: {wanted.path}, not signed: it shows nothing against who can change it as well")
    else:
        say(f"receipt: {wanted.path}, signed by {signer.fingerprint} in {wanted.path}.sig")
    if not wanted.brief and "names" not in row.readable:
        say("the receipt shows the entries' names, which the archive hides; --receipt-brief leaves them out")


def _report_json(sealed: Sealed, archive: str, row: Format, left_out: Sequence[str], receipt: str | None) -> None:
    data_json(
        {
            "archive": archive,
            "ok": True,
            "format": row.name,
            "entries": len(sealed.entries),
            "bytes": sealed.size,
            "archive_bytes": Path(archive).stat().st_size,
            "seconds": round(sealed.seconds, 6),
            "left_out": left_out,
        }
        | ({} if receipt is None else {"receipt": receipt})
    )
