"""To whom a sealed file system encrypts, and with what it decrypts: the keys, and what of them may be shown."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from strongroom.errors import WrongKeyError
from strongroom.formats.age import identities as own
from strongroom.formats.age import recipients as others
from strongroom.formats.age.given import given_identities, given_recipients
from strongroom.memory.secret import Secret, SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from strongroom.formats.age.identities import Identity
    from strongroom.formats.age.recipients import Recipient
    from strongroom.limits import Limits

    Recipients = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
    Given = str | os.PathLike[str] | Buffer
    Identities = Given | Iterable[Given]

_SECRETS: Final = ("age-secret-key-", "age-plugin-", "-----begin ")
_PUBLIC: Final = ("age1", "ssh-", "ecdsa-", "sk-")


class Keyring:
    """The recipients of what is written, and the identities that open what is read.

    A recipient is its text, or the path of a file of recipients; an identity its text (a `str`, or better a `Secret`),
    or the path of a file of identities. Raises `ValueError`, `OSError`, and what `formats.age` raises for keys.
    """

    def __init__(self, recipients: Recipients | None, identities: Identities | None, limits: Limits) -> None:
        self.recipients: tuple[Recipient, ...] = tuple(
            found for given in _several(recipients) for found in _recipients(given, limits)
        )
        if self.recipients:
            others.check(self.recipients)
        self._limits = limits
        self._identities: list[Identity] = []
        self._closed = False
        self.paths: list[str] | None = []
        """Of the files of identities, or None where an identity came as text, which is nowhere to be found again."""
        try:
            for given in _several(identities):
                self._add(given)
        except BaseException:
            self.close()
            raise

    def _add(self, given: Given) -> None:
        if not isinstance(given, (str, os.PathLike)) or is_secret(given):
            self.paths = None
            self._identities += given_identities(given, self._limits)
            return
        path = Path(given).absolute()  # a worker may have another working directory
        self._identities += given_identities(path, self._limits)
        if self.paths is not None:
            self.paths.append(str(path))

    @property
    def identities(self) -> list[Identity]:
        """What opens files. Raises `WrongKeyError` where there is nothing, `ValueError` after `close`."""
        self.check_open()
        if not self._identities:
            has = "has recipients and no identities: it only writes" if self.recipients else "was given no keys"
            message = f"the file is encrypted, and this file system {has}; identities=… open it"
            raise WrongKeyError(message)
        return self._identities

    def check_open(self) -> None:
        """Raise `ValueError` after `close`."""
        if self._closed:
            message = "the sealed file system is closed"
            raise ValueError(message)

    def check_writes(self) -> None:
        """Raise `ValueError` where there is nobody to encrypt to."""
        self.check_open()
        if not self.recipients:
            has = "has identities and no recipients, and so only reads" if self._identities else "was given no keys"
            message = f"this file system {has}; to write, it takes recipients=…"
            raise ValueError(message)

    @property
    def public(self) -> list[str]:
        """The recipients as text."""
        return [str(recipient) for recipient in self.recipients]

    @property
    def fingerprint(self) -> str:
        """What tells these keys from others, and shows nothing secret of them; the same in every process."""
        names: list[str] = []
        for identity in self._identities:
            with suppress(ValueError):
                names.append(identity.recipient)
        return hashlib.sha256(repr((self.public, names)).encode()).hexdigest()

    def close(self) -> None:
        """Wipe the identities."""
        self._closed = True
        own.close(self._identities)

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        return f"<{len(self.recipients)} recipients, {len(self._identities)} identities{state}>"


def conceal(identities: Identities | None) -> tuple[list[Given], list[Secret]]:
    """Return `identities` with secret text as Secrets, which show nothing of it, and these; the caller closes them."""
    shown, made = list(_several(identities)), list[Secret]()
    for place, given in enumerate(shown):
        if isinstance(given, str) and is_secret(given):
            made.append(Secret(given))
            shown[place] = made[-1]
    return shown, made


def is_secret(given: object) -> bool:
    """Whether this is the text of identities, or may be, and not the path of a file: errors show that."""
    return isinstance(given, str) and ("\n" in given.strip() or any(mark in given.lower() for mark in _SECRETS))


def _several(given: Identities | Recipients | None) -> Iterable[Given]:
    if given is None:  # what configuration files have for nothing
        return ()
    if isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview, SecretBuffer)):
        return (cast("Given", given),)
    return cast("Iterable[Given]", given)


def _recipients(given: Given, limits: Limits) -> tuple[Recipient, ...]:
    if isinstance(given, str) and not given.startswith(_PUBLIC):
        if is_secret(given):
            return tuple(others.parse_file(given.encode(), "recipients"))
        given = Path(given).absolute()
    return given_recipients(cast("str | os.PathLike[str]", given), limits)
