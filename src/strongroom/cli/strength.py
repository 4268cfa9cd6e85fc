"""What a user is told of a new password: how long it stands up to guessing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from strongroom.cli.messages import advise, say, warn

if TYPE_CHECKING:
    from strongroom.formats import Format
    from strongroom.memory.secret import Secret

_ALWAYS: Final = ("zip",)  # whose passwords are quickly tried


def judge(password: Secret, row: Format, *, quiet: bool) -> None:
    """Warn of a weak password for a new archive, and say of one for a ZIP how strong it is; it is used in any case.

    Only where standard error is a terminal: it takes a tenth of a second, and scripts would tell nobody, each time.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        return
    from strongroom.strength import WEAK, in_words, seconds_to_guess  # noqa: PLC0415 - loads subprocess

    seconds = seconds_to_guess(password, row.name)
    if seconds is None:
        return
    said = f"one graphics card guesses the password in {in_words(seconds)}"
    if seconds < WEAK:
        warn(said)
        advise("`strongroom passphrase` makes one that none does")
    elif row.name in _ALWAYS:
        say(said)
