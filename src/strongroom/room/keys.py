"""Recipients and identities as callers give them: text, a Secret, or the path of a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self, cast

from strongroom.errors import FormatError, UnsupportedError, WrongKeyError
from strongroom.limits import Limits
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from strongroom.formats import Format, Identity, Recipient
    from strongroom.source import Source

Identities = str | SecretBuffer | os.PathLike[str]
"""A secret key as text, the same in a Secret, or the path of a file with some. Text may have several lines."""

Ask = Callable[[str], Secret]
"""Gives the passphrase of an identity's file, which it is told the name of."""

_SECRETS: Final = ("age-secret-key-", "private key-----")

NOT_BOTH: Final = "an archive is sealed with a password or to recipients, not both"


class UnusedIdentityError(UnsupportedError):
    """An identity of a kind that is not used here. It is not the archive that is at fault."""


class DamagedIdentityError(FormatError):
    """An identity's file that is damaged, likewise."""


def check_many(given: object, what: str) -> None:
    """Raise `TypeError` for a single key in place of several, which would be taken letter by letter."""
    single = isinstance(given, (str, bytes, bytearray, memoryview, os.PathLike, SecretBuffer))
    del given  # tracebacks that show local variables would show it
    if single:
        message = f"{what} are several, in a list or a tuple"
        raise TypeError(message)


class Hidden(tuple[SecretBuffer | os.PathLike[str], ...]):
    """Identities as they were given, their text in Secrets, so that no traceback shows it. A context manager."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self:
            if isinstance(one, SecretBuffer):
                one.close()

    def __repr__(self) -> str:
        return f"<{len(self)} identities>"


def hide(given: Iterable[object]) -> Hidden:
    """Take over identities, to be closed; a caller's `Secret` stays the caller's. Raises `TypeError`, `ValueError`."""
    taken: list[SecretBuffer | os.PathLike[str]] = []
    one: object = None
    try:
        check_many(given, "identities")
        for one in given:
            if isinstance(one, (str, SecretBuffer)):
                taken.append(Secret(one))
            elif isinstance(one, os.PathLike):
                taken.append(cast("os.PathLike[str]", one))
            else:
                message = f"an identity is text, a Secret, or the path of a file with some, not {type(one).__name__}"
                raise TypeError(message)  # noqa: TRY301 - what was taken is closed below
    except BaseException:
        with Hidden(taken):
            raise
    finally:
        del given, one  # as in `check_many`
    return Hidden(taken)


def public(given: Iterable[str | os.PathLike[str]]) -> tuple[str | os.PathLike[str], ...]:
    """Return recipients; raises `ValueError` where one is a secret key, which is then in no local variable of ours."""
    try:
        check_many(given, "recipients")
        several = tuple(given)
    finally:
        del given
    secret = any(isinstance(one, str) and any(mark in one.lower() for mark in _SECRETS) for one in several)
    if secret:
        del several
        message = "a recipient is a secret identity, and not the recipient that belongs to it: never pass it on"
        raise ValueError(message)
    return several


def read_identities(row: Format, given: Hidden, ask: Ask, limits: Limits) -> tuple[Identity, ...]:
    """Return identities, which the caller closes; `ask` is asked for the passphrase of a file that has one.

    Raises `ValueError` for what are none, `WrongKeyError` for a wrong passphrase, `UnsupportedError`, `OSError`.
    """
    found: list[Identity] = []
    try:
        for number, one in enumerate(given, 1):
            found += _read(row, one, number, ask, limits)
    except BaseException:
        close(found)
        raise
    return tuple(found)


def close(identities: Sequence[Identity]) -> None:
    """Wipe all of them."""
    for identity in identities:
        identity.close()


def new_keys(row: Format, secret: Secret | None, recipients: Iterable[str | os.PathLike[str]]) -> tuple[Recipient, ...]:
    """Check with what an archive is to be sealed, and return the recipients; raises `ValueError`."""
    recipients = tuple(recipients)
    if recipients and not row.keys:
        message = f"{row.name} has no recipients, only a password"
        raise ValueError(message)
    if recipients and secret is not None:
        raise ValueError(NOT_BOTH)
    if secret is not None:
        return ()
    if not recipients:
        message = f"{row.name} needs a password" + " or recipients" * row.keys
        raise ValueError(message)
    return row.read_recipients(recipients, Limits())


def own_keys(
    row: Format, given: Hidden, password: Secret | None, ask: Ask | None, limits: Limits
) -> tuple[Identity, ...]:
    """Return the identities that open an archive, which the caller closes. Raises as `read_identities`."""
    if given and not row.keys:
        message = f"{row.name} has no identities, only a password"
        raise ValueError(message)
    return read_identities(row, given, ask or passphrase_of(password), limits)


def refuse_nul(password: Secret | None) -> None:
    """Refuse what no archive of ours is sealed with. HMAC fills keys up with NULs, so that "pw" and two of them fit."""
    if password is not None:
        with memoryview(password) as view:
            if 0 in view:
                message = "the password has a NUL byte, at which many tools end it: no archive is sealed with one"
                raise WrongKeyError(message)


def passphrase_of(password: Secret | None) -> Ask:
    """Return an `ask` that gives `password`, if there is one."""

    def ask(name: str) -> Secret:
        if password is None:
            message = f"{name!r} takes a passphrase, and no password was given"
            raise WrongKeyError(message)
        return Secret(password)

    return ask


def _read(row: Format, given: SecretBuffer | os.PathLike[str], number: int, ask: Ask, limits: Limits) -> list[Identity]:
    if isinstance(given, os.PathLike):
        name = os.fsdecode(given)
        with closing(open_source(given, limits)) as source:
            return _named(row, source, name, ask, limits)
    with closing(SecretSource(Secret(given))) as source:
        try:
            return _named(row, source, f"identity {number}", ask, limits)
        except ValueError as error:
            message = f"{error} (text is the identity itself; a file is given by a pathlib.Path)"
            raise ValueError(message) from None


def _named(row: Format, source: Source, name: str, ask: Ask, limits: Limits) -> list[Identity]:
    asked = False

    def asking() -> Secret:
        nonlocal asked
        phrase = ask(name)
        asked = True
        return phrase

    try:
        return row.identities_in(source, name, asking, limits)
    except WrongKeyError:
        if not asked:
            raise
        message = f"the passphrase does not open {name!r}"
        raise WrongKeyError(message) from None
    except UnsupportedError as error:
        message = f"{name!r}: {error}"
        raise UnusedIdentityError(message) from error
    except FormatError as error:
        message = f"{name!r}: {error}"
        raise DamagedIdentityError(message) from error


class SecretSource:
    """A secret as a `Source`, which it takes over."""

    def __init__(self, secret: SecretBuffer) -> None:
        self._secret = secret
        self.size: int = len(secret)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        with memoryview(self._secret) as view:
            buffer[:] = view[offset : offset + len(buffer)]

    def close(self) -> None:
        """Wipe it."""
        self._secret.close()
