"""Every error that strongroom raises on its own account.

A caller's wrong argument is a plain `TypeError` or `ValueError`. Everything else has one root, so that
`except StrongroomError` catches whatever a hostile file, a wrong password or a full disk can cause.
Messages name what was found, what was expected and where; never plaintext, passwords or keys.
"""

from __future__ import annotations


class StrongroomError(Exception):
    """Root of all errors that are not the caller's wrong arguments."""


class FormatError(StrongroomError):
    """The bytes break the format's specification.

    `offset` is the position in the archive, in bytes, where that was seen, and `spec` the section that they break;
    either is None where it would say nothing.
    """

    def __init__(self, message: str, *, offset: int | None = None, spec: str | None = None) -> None:
        place = "" if offset is None else f" at byte {offset}"
        source = "" if spec is None else f" [{spec}]"
        super().__init__(f"{message}{place}{source}")
        self.offset = offset
        self.spec = spec


class TruncatedError(FormatError):
    """The bytes end before the structure that they announce."""


class UnsupportedError(StrongroomError):
    """Legal, but not done here; the message names the feature.

    `option` is the argument of `open` that has it done all the same, or None where there is none.
    """

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        if option is not None:
            self.add_note(f"open(..., {option}=True) reads it all the same")


class LimitError(StrongroomError):
    """Would pass a bound of `Limits`; the message names the bound and the value."""


class WrongKeyError(StrongroomError):
    """No password or identity fits, as far as the format can tell.

    `identity` says that only an identity would, so that nobody need be asked for a password; `password` that only a
    password would, where identities alone were given.
    """

    def __init__(self, message: str, *, identity: bool = False, password: bool = False) -> None:
        super().__init__(message)
        self.identity = identity
        self.password = password


class TamperedError(StrongroomError):
    """An authentication code failed: the data was changed, or the key is wrong where the format cannot tell."""


class EntryNotFoundError(StrongroomError, KeyError):
    """No entry of that name."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return Exception.__str__(self)


class OutputError(StrongroomError):
    """The output could not be written whole; the message says what is left on disk."""


class OutputExistsError(OutputError, FileExistsError):
    """The target is there, and overwriting was not asked for."""

    def __str__(self) -> str:  # OSError would show its number and no message
        return Exception.__str__(self)


class SecureMemoryError(StrongroomError):
    """Memory could not be protected as the caller demanded."""


class StrongroomWarning(UserWarning):
    """Something works, but less safely or less portably than the caller may think."""
