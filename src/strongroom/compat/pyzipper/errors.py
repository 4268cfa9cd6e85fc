"""Errors that are caught by who expects pyzipper's, and by who expects strongroom's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from strongroom.errors import (
    FormatError,
    LimitError,
    OutputError,
    OutputExistsError,
    StrongroomError,
    TamperedError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Generator


class BadZipFile(StrongroomError):
    """The file is no ZIP, is damaged or forged, or asks for more than it may."""


class LargeZipFile(StrongroomError):
    """Never raised, since sizes of 64 bits are used where they are needed; here for who catches it."""


class WrongPassword(WrongKeyError, RuntimeError):
    """The password is wrong, or missing, for which pyzipper raises `RuntimeError`."""


class NotSupported(UnsupportedError, NotImplementedError):
    """Pyzipper does it, and a Room does not; or a method that neither knows."""


class WriteFailed(OutputError, OSError):
    """The archive could not be written whole, for which pyzipper raises `OSError`."""

    def __str__(self) -> str:  # OSError would show its number and no message
        return Exception.__str__(self)


class _Format(BadZipFile, FormatError):
    pass


class _Truncated(BadZipFile, TruncatedError):
    pass


class _Tampered(BadZipFile, TamperedError):
    pass


class _Limit(BadZipFile, LimitError):
    pass


class _Unsupported(BadZipFile, NotSupported):
    """Also how an entry is refused that is not encrypted, in an archive of others that are."""


_TWINS: Final[tuple[tuple[type[StrongroomError], type[StrongroomError]], ...]] = (
    (TruncatedError, _Truncated),
    (FormatError, _Format),
    (TamperedError, _Tampered),
    (LimitError, _Limit),
    (UnsupportedError, _Unsupported),
    (WrongKeyError, WrongPassword),
)


@contextmanager
def translated() -> Generator[None]:
    """Raise a Room's errors in the block as their twins here."""
    try:
        yield
    except (BadZipFile, OutputExistsError, WriteFailed, WrongPassword, NotSupported):
        raise
    except OutputError as error:
        raise WriteFailed(str(error)) from error
    except StrongroomError as error:
        for kind, twin in _TWINS:
            if isinstance(error, kind):
                raise _like(error, twin) from error
        raise


def _like(error: StrongroomError, twin: type[StrongroomError]) -> StrongroomError:
    made = twin(str(error))
    vars(made).update({name: value for name, value in vars(error).items() if not name.startswith("__")})
    return made
