"""An archive that is read: one Room without a password, for the names, and one for each password that is used."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from strongroom.compat.pyzipper.errors import BadZipFile, WrongPassword, translated
from strongroom.compat.pyzipper.files import AESZipExtFile
from strongroom.errors import FormatError, StrongroomError
from strongroom.room import open as open_room

if TYPE_CHECKING:
    from strongroom.formats import Entry
    from strongroom.memory.secret import Secret
    from strongroom.room import ReadRoom


class Reading:
    """Entries and their data.

    Files that are not encrypted are read where nothing in the archive is, and no password is used; else they are an
    attack. `legacy` also reads ZipCrypto.
    """

    def __init__(self, file: str | BinaryIO, *, legacy: bool) -> None:
        pipe = stat.S_ISFIFO(os.stat(file).st_mode) if isinstance(file, str) else not file.seekable()
        if pipe:  # it is opened again for each password
            message = "the archive is read from what cannot seek"
            raise io.UnsupportedOperation(message)
        self._file = file
        self._legacy = legacy
        self._rooms: list[tuple[Secret | None, ReadRoom]] = []
        room = self._open(None, plain=False)
        self.entries: tuple[Entry, ...] = room.entries
        self.encrypted: bool = any(entry.encrypted for entry in self.entries)
        if not self.encrypted:
            room.close()
            room = self._open(None, plain=True)
        self._rooms.append((None, room))

    def room(self, password: Secret | None) -> ReadRoom:
        """Return the Room of a password, which is copied. Raises `WrongPassword`, or `BadZipFile` as `open` would."""
        for known, room in self._rooms:
            if password == known if password is not None and known is not None else password is known:
                return room
        room = self._open(password, plain=False)
        if room.entries != self.entries:
            room.close()
            message = "the archive was changed since it was opened"
            raise BadZipFile(message)
        self._rooms.append((None if password is None else type(password)(password), room))
        return room

    def open(self, name: str, password: Secret | None) -> AESZipExtFile:
        """Return an entry as a file, checked by now."""
        with translated():
            return AESZipExtFile(self._room_for(name, password).open(name, "rb"))

    def read(self, name: str, password: Secret | None) -> bytes:
        """Return an entry's data."""
        with translated():
            return self._room_for(name, password).read(name)

    def first_bad(self, password: Secret | None) -> str | None:
        """Check everything, and name the first entry that is damaged. Raises `WrongPassword`."""
        self._demand(self.encrypted, password)
        with translated():
            findings = self.room(password).verify().findings
        return next((finding.entry for finding in findings), None)

    def extract(self, folder: str, names: list[str], password: Secret | None) -> None:
        """Write plaintext files, as `ReadRoom.extract`."""
        self._demand(self.encrypted, password)
        with translated():
            self.room(password).extract(folder, names)

    def close(self) -> None:
        """Close all Rooms and the files that they gave, and wipe the passwords."""
        for password, room in self._rooms:
            room.close()
            if password is not None:
                password.close()

    def _open(self, password: Secret | None, *, plain: bool) -> ReadRoom:
        with translated():
            return open_room(self._file, password=password, format="zip", legacy=self._legacy, allow_plaintext=plain)

    def _room_for(self, name: str, password: Secret | None) -> ReadRoom:
        room = self.room(password)
        self._demand(room.entry(name).encrypted, password)
        return room

    @staticmethod
    def _demand(encrypted: bool, password: Secret | None) -> None:
        if encrypted and password is None:
            message = "the archive is encrypted, and no password was given: setpassword(b'…')"
            raise WrongPassword(message)


def is_zipfile(filename: str | os.PathLike[str] | BinaryIO) -> bool:
    """Say whether a file is a ZIP, by its own records; one that is refused for another reason is one, too."""
    try:
        open_room(filename, format="zip").close()
    except (FormatError, OSError):
        return False
    except StrongroomError:
        return True
    return True
