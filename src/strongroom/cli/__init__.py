"""The command line. `main` alone turns errors into exit codes.

0 done, 1 failed, 2 usage, 3 wrong key, 4 damaged or forged, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Failure, Misuse, Unsound
from strongroom.cli.messages import STDOUT, error, show_warnings
from strongroom.cli.options import ARCHIVE, SETTINGS
from strongroom.cli.signals import Stopped, raise_on_signals
from strongroom.errors import (
    EntryNotFoundError,
    FormatError,
    LimitError,
    OutputError,
    OutputExistsError,
    StrongroomError,
    TamperedError,
    UnsupportedError,
    WrongKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS: Final = ("seal", "ls", "cat", "extract", "verify", "doctor", "audit")
_NAME: Final = "strongroom"
_DONE, _FAILED, _USAGE, _WRONG_KEY, _DAMAGED = range(5)
_SIGNALLED: Final = 128  # and the signal's number, as shells have it
_NO_ARGUMENT: Final = (
    "arguments can be read by every user of this machine: leave it out to be asked for the password, "
    "or use --password-file, --password-fd or --password-command"
)


class Verbs(click.Group):
    """Loads a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs, in the order of use."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"strongroom.cli.{cmd_name}").command
        return command


@click.group(
    cls=Verbs,
    context_settings=SETTINGS,
    subcommand_metavar="VERB ARCHIVE ...",
    epilog="Example:  strongroom seal case-42.zip patients.csv",
)
@click.version_option(package_name=_NAME, prog_name=_NAME, message="%(prog)s %(version)s")
def strongroom() -> None:
    """Encrypted archives that others open with the tools they have; never plaintext on the disk.

    The password is asked for on the terminal, or comes from a file, a descriptor or a command; never from an argument
    or the environment.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    if "_STRONGROOM_COMPLETE" in os.environ:  # set by the function that a shell got from us
        from click.shell_completion import shell_complete  # noqa: PLC0415 - not in other runs

        return shell_complete(strongroom, {}, _NAME, "_STRONGROOM_COMPLETE", os.environ["_STRONGROOM_COMPLETE"])
    _open_standard_streams()
    try:
        raise_on_signals()
        with warnings.catch_warnings():
            show_warnings()
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            flushed = _flush()
    except Stopped as stop:
        error("interrupted")
        return _SIGNALLED + stop.number
    return code or flushed


def _run(arguments: list[str]) -> int:
    ctx: click.Context | None = None
    try:
        ctx = strongroom.make_context(_NAME, arguments)
        with ctx:
            strongroom.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as mistake:
        mistake.show()
        return _USAGE
    except click.UsageError as mistake:
        error(mistake.format_message(), _usage_hint(mistake))
        return _USAGE
    except Unsound:
        return _DAMAGED
    except Failure as failure:
        sealing = ctx is not None and ctx.invoked_subcommand == "seal"
        error(str(failure), failure.hint or ("no archive was made" if sealing else None))
        return _FAILED
    except BrokenPipeError:
        return _FAILED  # who read our output has enough, and says so if that is wrong
    except StrongroomError as failure:
        archive = ctx.meta.get(ARCHIVE) if ctx and not isinstance(failure, OutputError) else None  # which names its own
        error(
            f"{archive}: {failure}" if archive else str(failure),
            _hint(failure, ctx.invoked_subcommand if ctx else None),
        )
        return _code(failure)
    except OSError as failure:
        name = failure.filename
        error(
            f"{os.fsdecode(name)}: {failure.strerror}"
            if isinstance(name, (str, bytes))
            else failure.strerror or str(failure)
        )
        return _FAILED
    return _DONE


def _code(failure: StrongroomError) -> int:
    if isinstance(failure, WrongKeyError):
        return _WRONG_KEY
    if isinstance(failure, (FormatError, TamperedError)):
        return _DAMAGED
    return _FAILED


def _hint(failure: StrongroomError, verb: str | None) -> str | None:
    """Say what the user can do, where there is something."""
    match failure:
        case OutputExistsError() if verb == "seal":
            return "--overwrite replaces it, once the new archive is complete"
        case OutputExistsError():
            return "existing files are never replaced: choose another folder"
        case EntryNotFoundError():
            return "`strongroom ls ARCHIVE` shows the names"
        case UnsupportedError(option=str(option)):
            return f"--{option.replace('_', '-')} reads it, if it is as it should be"
        case LimitError():
            return "--limit NAME=VALUE changes a bound, for an archive that you trust"
        case WrongKeyError():
            return (
                "capitals, spaces and the keyboard's layout count, and in a password file all but a newline at its end"
            )
        case TamperedError():
            return "do not use it: get the archive again from where it came, and compare"
        case FormatError():
            return "it is damaged, cut off, or no archive: get it again from where it came"
        case _:
            return None


def _usage_hint(mistake: click.UsageError) -> str:
    if isinstance(mistake, Misuse) and mistake.hint:
        return mistake.hint
    if isinstance(mistake, click.NoSuchOption) and mistake.option_name in ("-p", "--password"):
        return _NO_ARGUMENT
    return f"`{mistake.ctx.command_path if mistake.ctx else _NAME} --help` shows what there is"


def _open_standard_streams() -> None:
    """Occupy the numbers of closed standard streams, lest an archive gets one and a message goes into it."""
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):  # so that using them fails, as it should
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # for names that the terminal's encoding does not have


def _flush() -> int:
    """Write out what is buffered: at the interpreter's end an error would come too late."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as failure:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the interpreter's own attempt succeeds
        if not isinstance(failure, BrokenPipeError):
            error(f"{STDOUT}: {failure.strerror}")
        return _FAILED
    return _DONE
