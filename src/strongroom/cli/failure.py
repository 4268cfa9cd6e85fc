"""How a verb fails, beside the errors of the library."""

from __future__ import annotations

import click


class Failure(Exception):  # noqa: N818 - the word of the exit code, 1
    """The work could not be done; `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Misuse(click.UsageError):
    """The arguments do not fit together; `hint` says what would, or else the help does."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Unsound(Exception):  # noqa: N818 - a verdict
    """`verify` found something, and has said it; unless `damaged`, only what cannot be read here."""

    def __init__(self, *, damaged: bool) -> None:
        super().__init__()
        self.damaged = damaged
