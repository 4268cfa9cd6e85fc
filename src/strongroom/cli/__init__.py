"""The command line. `main` alone turns errors into exit codes.

0 done, 1 failed, 2 usage, 3 wrong key, 4 damaged or forged, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli import advice
from strongroom.cli.failure import Failure, Misuse, Unsound
from strongroom.cli.messages import STDOUT, data_json, error, show_warnings, without_secrets
from strongroom.cli.options import ARCHIVE, JSON, SETTINGS
from strongroom.cli.signals import Stopped, raise_on_signals
from strongroom.errors import FormatError, OutputError, StrongroomError, TamperedError, WrongKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS: Final = (
    "seal",
    "ls",
    "cat",
    "extract",
    "verify",
    "inspect",
    "convert",
    "rekey",
    "edit",
    "run",
    "keygen",
    "passphrase",
    "page",
    "doctor",
    "audit",
    "completion",
)
_NAME: Final = "strongroom"
_DONE, _FAILED, _USAGE, _WRONG_KEY, _DAMAGED = range(5)
_SIGNALLED: Final = 128  # and the signal's number, as shells have it
_EPILOG: Final = """\b
Example:  strongroom seal case-42.zip patients.csv

\b
Exit codes:
  0    done
  1    failed, or it cannot be read here: see the hint
  2    the arguments do not fit
  3    wrong password or identity
  4    damaged or forged
  130  interrupted by Ctrl-C; 143 by SIGTERM, 129 by a closed terminal

The Tab key completes, once `strongroom completion --help` is followed.
"""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for a word that is none, the hint has the one that may be meant."""
        word = args[0]
        meant = None if word in VERBS or ctx.resilient_parsing else advice.verb_for(word, VERBS)
        if meant is not None:
            message = f"no verb {word!r}"
            raise Misuse(message, hint=f"it may be {meant!r}; `strongroom --help` shows what there is")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    context_settings=SETTINGS,
    subcommand_metavar="VERB ARCHIVE ...",
    epilog=_EPILOG,
)
@click.version_option(package_name=_NAME, prog_name=_NAME, message="%(prog)s %(version)s")
def strongroom() -> None:
    """Encrypted archives that others open with the tools they have; never plaintext on the disk.

    The password is asked for on the terminal, or comes from a file, a descriptor, a command or the system's keyring;
    never from an argument or the environment.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    if "_STRONGROOM_COMPLETE" in os.environ:  # set by the function that a shell got from us
        return _complete()
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


def _complete() -> int:
    from click.shell_completion import shell_complete  # noqa: PLC0415 - not in other runs

    from strongroom.cli.completion import NAME, VARIABLE  # noqa: PLC0415 - has our functions for the shells

    return shell_complete(strongroom, {}, NAME, VARIABLE, os.environ[VARIABLE])


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
        error(mistake.format_message().replace("\n\t", " "), advice.for_misuse(mistake, _NAME, arguments))
        return _USAGE
    except Unsound as verdict:
        return _DAMAGED if verdict.damaged else _FAILED
    except Failure as failure:
        _report(ctx, str(failure), failure.hint or ("no archive was made" if _verb(ctx) == "seal" else None))
        return _FAILED
    except BrokenPipeError:
        return _FAILED  # who read our output has enough, and says so if that is wrong
    except StrongroomError as failure:
        archive = ctx.meta.get(ARCHIVE) if ctx else None
        hint = advice.for_failure(failure, _verb(ctx), archive)
        named = archive is None or isinstance(failure, OutputError)  # which names its own
        _report(ctx, str(failure), hint, "" if named else f"{archive}: ")
        return _code(failure)
    except OSError as failure:
        _report(ctx, _system_problem(failure, ctx.meta.get(ARCHIVE) if ctx else None), advice.for_system(failure))
        return _FAILED
    return _DONE


def _system_problem(failure: OSError, archive: str | None) -> str:
    reason = failure.strerror or str(failure)
    if not isinstance(failure.filename, (str, bytes)):
        return reason
    name = os.fsdecode(failure.filename)
    return f"the archive {name!r} cannot be read: {reason}" if name == archive else f"{name}: {reason}"


def _verb(ctx: click.Context | None) -> str | None:
    return ctx.invoked_subcommand if ctx else None


def _report(ctx: click.Context | None, problem: str, hint: str | None, place: str = "") -> None:
    """Say why a verb failed, to people and, where they asked for JSON, to programs."""
    if ctx and ctx.meta.get(JSON):
        with suppress(OSError):  # if it was that very output which failed
            data_json(
                {
                    "archive": ctx.meta.get(ARCHIVE),
                    "ok": False,
                    "findings": [{"entry": None, "problem": without_secrets(problem)}],
                }
            )
    error(place + problem, hint)


def _code(failure: StrongroomError) -> int:
    if isinstance(failure, WrongKeyError):
        return _WRONG_KEY
    if isinstance(failure, (FormatError, TamperedError)):
        return _DAMAGED
    return _FAILED


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
            error(f"{STDOUT}: {failure.strerror}", advice.for_system(failure))
        return _FAILED
    return _DONE
