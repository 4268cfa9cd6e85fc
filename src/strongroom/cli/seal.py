"""`strongroom seal`: make an archive."""

from __future__ import annotations

import errno
import os
import stat
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import click

import strongroom
from strongroom.cli.advice import for_system, quoted
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.handover import how_to_open
from strongroom.cli.messages import data_json, say
from strongroom.cli.options import (
    PATH,
    SETTINGS,
    STDIO,
    archive_argument,
    force_option,
    json_option,
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
from strongroom.cli.units import count, rate, size
from strongroom.errors import OutputExistsError
from strongroom.formats import FORMATS, Format
from strongroom.room.finding import format_for, name_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.formats import Entry
    from strongroom.memory.secret import Secret
    from strongroom.receipt import Signer

_STDOUT: Final = 1
_METHODS: Final = tuple(dict.fromkeys(name for row in FORMATS.values() for name in row.compressions))
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
@click.option("--method", type=click.Choice(_METHODS), help="How to compress; each format has its own default.")
@click.option("--level", type=int, metavar="L", help="How hard, as the method counts.")
@click.option("--overwrite", is_flag=True, help="Replace ARCHIVE, once the new one is complete.")
@click.option("--verify", is_flag=True, help="Read it again from the disk and check it before it gets its name.")
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
    row = _format(archive, format_name)
    recipients.check(password, row, stdin_is_data=STDIO in paths)
    wanted.check(archive)
    to, post_quantum = recipients.take(row)
    to_stdout = archive == STDIO
    if to_stdout:
        _check_stdout(verify=verify, force=force or armor, as_json=as_json)
    else:
        check_target(archive, overwrite=overwrite)
    if wanted.path is not None:
        check_target(wanted.path, overwrite=overwrite, what="receipt")
    sources = _sources(paths, words, name, archive, password, kept=name_kept(archive, row.name))
    with (
        wanted.signer() or nullcontext() as signer,
        nullcontext() if to else password_for_sealing(password, archive) as secret,
        Bar("sealing", quiet=quiet or as_json) as bar,
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


def _format(archive: str, name: str | None) -> Format:
    if archive == STDIO:
        return FORMATS[name or next(iter(FORMATS))]
    try:
        return format_for(archive, name)
    except ValueError as error:
        raise Misuse(str(error), hint=f"--format names it: {', '.join(FORMATS)}") from error


def check_target(archive: str, *, overwrite: bool, what: str = "archive") -> None:
    """Refuse what cannot become the archive, or `what` else it is, before anyone types a password."""
    folder = Path(archive).parent
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        message = f"the folder {str(folder)!r} for the {what} cannot be opened: {error.strerror}"
        missing = isinstance(error, FileNotFoundError)
        hint = f"make it first: mkdir -p {quoted(str(folder))}" if missing else for_system(error)
        raise Failure(message, hint=hint) from error
    try:
        mode = os.lstat(archive).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        message = f"{archive} is a folder"
        raise Failure(message, hint="name a file in it, such as case-42.zip")
    if not overwrite:
        message = f"{archive} is there already"
        raise OutputExistsError(message)
    if not stat.S_ISREG(mode):
        message = f"{archive} is not a regular file, and is not replaced"
        raise Failure(message, hint="choose another name, or remove it yourself")


def check_password(row: Format, password: Secret) -> None:
    """Raise `Misuse` for one that the format's tools cannot use. Warnings come later, when it is used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row.check_password(password)
    except ValueError as error:
        raise Misuse(
            str(error), hint="choose another password: six random words are strong, and short enough"
        ) from None


def _check_stdout(*, verify: bool, force: bool, as_json: bool) -> None:
    if verify or as_json:
        message = f"--{'verify' if verify else 'json'} does not go with an archive on standard output"
        raise Misuse(message)
    if os.isatty(_STDOUT) and not force:
        message = "standard output is a terminal, and an archive is binary data"
        raise Failure(message, hint="send it to a file or a program, or use --force")


def stdout() -> BinaryIO:
    """Return standard output, for an archive."""
    return os.fdopen(_STDOUT, "wb", buffering=0, closefd=False)


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
    facts = [f"sealed {count(len(sealed.entries), 'entry', 'entries')}, {size(sealed.size)}"]
    if archive != STDIO:
        facts.append(f"into {archive} of {size(Path(archive).stat().st_size)}")
    say(", ".join([*facts, *([speed] if speed else [])]))
    for line in how_to_open(archive, row, by_key=post_quantum is not None, post_quantum=bool(post_quantum)):
        say(line)
    if row.single and archive != STDIO and Path(archive).name[: -len(row.suffixes[0])] != sealed.entries[0].name:
        say(f"the name {sealed.entries[0].name!r} is not kept: an age file is called as it is, without .age")
    if row.readable:
        say(f"{row.readable} can be read without the password")


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
