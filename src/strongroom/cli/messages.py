"""What the user is told. Standard output carries data only, everything else goes to standard error.

Entry names come from strangers: no control character of theirs reaches the terminal.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from strongroom.errors import StrongroomWarning

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

    from typing_extensions import Buffer

STDIN: Final = "standard input"
STDOUT: Final = "standard output"
_STDOUT: Final = 1
_SECRET: Final = re.compile(
    r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.IGNORECASE | re.DOTALL
)


def is_secret(text: str) -> bool:
    """Whether an argument has a secret key in it, given in place of the name of its file."""
    return _SECRET.search(text) is not None


def without_secrets(text: str) -> str:
    """Return `text`, which may quote an argument, without secret keys."""
    return _SECRET.sub("(a secret key)", text)


def printable(text: str) -> str:
    """Return `text` with everything escaped that a terminal might obey, or show as something else."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def say(text: str) -> None:
    """Write a line to standard error. It may quote an argument, and so a secret key given in the wrong place."""
    with suppress(OSError):  # who closed standard error wants to hear nothing
        print(printable(without_secrets(text)), file=sys.stderr or _nowhere(), flush=True)


def error(text: str, hint: str | None = None) -> None:
    """Say what went wrong, and what can be done about it."""
    say(f"strongroom: error: {text}")
    if hint:
        advise(hint)


def advise(hint: str) -> None:
    """Say what can be done."""
    say(f"strongroom: hint: {hint}")


def warn(text: str) -> None:
    """Say what is less safe or less portable than it may seem."""
    warnings.warn(text, StrongroomWarning, stacklevel=2)


def show_warnings() -> None:
    """Have our warnings shown in one line each, all of them, without the place in the code."""
    others = warnings.showwarning

    def show(  # noqa: PLR0917 - Python's own signature
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, StrongroomWarning):
            say(f"strongroom: warning: {message}")
        else:
            others(message, category, filename, lineno, file, line)

    warnings.simplefilter("always", StrongroomWarning)
    warnings.showwarning = show


@contextmanager
def naming(stream: str) -> Generator[None]:
    """Have an error of the block, which uses a standard stream, name it."""
    try:
        yield
    except OSError as failure:
        if failure.filename is not None:
            raise
        raise OSError(failure.errno, failure.strerror, stream) from failure


def data(line: str) -> None:
    """Write a line to standard output; what a terminal might obey has been escaped by the caller."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDOUT)
    with naming(STDOUT):
        print(line)  # noqa: T201


def data_bytes(data: Buffer) -> None:
    """Write all of `data` to standard output, past all buffers, which would keep copies."""
    with naming(STDOUT), memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(_STDOUT, view[written:])


def data_json(value: object) -> None:
    """Write `value` to standard output as one line of JSON, in ASCII."""
    import json  # noqa: PLC0415 - few runs need it

    data(json.dumps(value))


def _nowhere() -> TextIO:
    import io  # noqa: PLC0415 - only where standard error is closed

    return io.StringIO()
