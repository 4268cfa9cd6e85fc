"""Other programs, run without a shell."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Final, cast

from strongroom.cli.failure import Failure
from strongroom.cli.signals import signals_held

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator, Mapping, Sequence

_GRACE: Final = 5  # seconds to end in, when asked to


@contextmanager
def output_of(
    words: Sequence[str], what: str, *, stdin: bool = True, failures: Mapping[int, Failure] = MappingProxyType({})
) -> Generator[IO[bytes]]:
    """Run a program and give its standard output; its standard error passes through, `stdin` says if input does.

    `what` names it in messages. An exception in the block ends the program. Raises `Failure` where it cannot be run,
    and at the end of the block where it does not exit with status 0; `failures` has those of some statuses.
    """
    import subprocess  # noqa: PLC0415 - 6 ms, and no shell is involved

    source = None if stdin else subprocess.DEVNULL
    child: subprocess.Popen[bytes] | None = None
    try:
        with signals_held():
            child = subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - the user's own
        with cast("IO[bytes]", child.stdout) as output:
            yield output
        status = child.wait()
    except BaseException as error:
        if child is None and isinstance(error, OSError):
            message = f"{what} {words[0]!r} cannot be run: {error.strerror}"
            raise Failure(message, hint="it is run without a shell: pipes and variables do not work in it") from error
        if child is not None:
            _end(child)
        raise
    if status in failures:
        raise failures[status]
    if status:
        message = f"{what} {words[0]!r} {_ending(status)}"
        raise Failure(message)


def _end(child: subprocess.Popen[bytes]) -> None:
    import subprocess  # noqa: PLC0415 - loaded by now

    child.terminate()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _ending(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    return f"was ended by signal {-status} ({signal.strsignal(-status) or 'unknown'})"
