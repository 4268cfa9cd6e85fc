"""To whom an archive is sealed: `-r` and `-R`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.cli.advice import quoted
from strongroom.cli.failure import Misuse
from strongroom.errors import LimitError, UnsupportedError
from strongroom.limits import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.cli.passwords import PasswordOptions
    from strongroom.formats import Format

_STDIO: Final = "-"
_LARGEST: Final = 16 * MIB
_LONGEST_NAME: Final = 4096  # bytes of a path
_KINDS: Final = "age1..., age1pq1..., or SSH keys of the types ssh-ed25519 and ssh-rsa"


class Recipients(NamedTuple):
    """Public keys as they are named: by text, or by file."""

    texts: tuple[str, ...]
    files: tuple[str, ...]

    def check(self, password: PasswordOptions, row: Format, *, stdin_is_data: bool) -> None:
        """Raise `Misuse` for options that contradict each other."""
        if not self:
            return
        if password.given:
            message = "an archive is sealed with a password or to recipients, not both"
            raise Misuse(message)
        if not row.keys:
            message = f"{row.name} has no recipients, only a password"
            raise Misuse(message, hint="name the archive .zip.age or .html, or .age for a single file")
        if (stdin_is_data or password.descriptor == 0) + self.files.count(_STDIO) > 1:
            message = "standard input cannot give recipients and something else"
            raise Misuse(message, hint="put the recipients into a file, and name that")

    def take(self, row: Format) -> tuple[list[str], bool]:
        """Return them as the library takes them, and whether they are post-quantum. Files may be pipes: they are read.

        Raises `Misuse`.
        """
        if not self:  # a format need not have any
            return [], False
        given: list[str | Path] = [*self.texts]
        for file in self.files:
            given += _lines() if file == _STDIO else [Path(file)]
        try:
            found = row.read_recipients(given, Limits())
        except ValueError as error:
            raise Misuse(str(error), hint=self._advice()) from error
        except UnsupportedError as error:
            raise Misuse(str(error), hint=f"recipients are {_KINDS}") from error
        except LimitError as error:
            raise Misuse(str(error), hint="a file of recipients has one a line: is it the right file?") from error
        if not found:
            message = "standard input has no recipients"
            raise Misuse(message)
        return [str(recipient) for recipient in found], any(recipient.post_quantum for recipient in found)

    def _advice(self) -> str:
        for text in self.texts:
            if Path(text).name and len(text) < _LONGEST_NAME and Path(text).is_file():
                return f"-R {quoted(text)} takes the recipients in that file"
        if self.files:
            return "`strongroom keygen -y -i FILE` shows the recipient of an identity"
        return "`strongroom keygen` makes keys, and shows the public one"

    def __bool__(self) -> bool:
        return bool(self.texts or self.files)


def _lines() -> Iterator[str]:
    if sys.stdin is not None:
        for line in sys.stdin.read(_LARGEST).splitlines():
            if line.strip() and not line.startswith("#"):
                yield line
