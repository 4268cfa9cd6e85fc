"""An archive that is written: a Room, made once its first entry comes, since the password comes after the path."""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from strongroom.compat.pyzipper.errors import NotSupported, WrongPassword, translated
from strongroom.compat.pyzipper.files import AESZipWriteFile
from strongroom.compat.pyzipper.info import AESZipInfo
from strongroom.compat.pyzipper.options import check_compression, method_of
from strongroom.errors import OutputExistsError, StrongroomWarning
from strongroom.memory.secret import Secret
from strongroom.room import create
from strongroom.source import local_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.room import WriteRoom

_MODE = 0o600


class Writing:
    """Takes entries. `taken` is called with each that is complete."""

    def __init__(
        self,
        file: str | BinaryIO,
        *,
        exclusive: bool,
        compression: int,
        level: int | None,
        taken: Callable[[AESZipInfo], None],
    ) -> None:
        if isinstance(file, str):
            os.stat(os.path.dirname(file))  # as pyzipper, which makes the file here
            if exclusive and os.path.lexists(file):
                message = f"{file} is there"
                raise OutputExistsError(message)
        self._file = file
        self._exclusive = exclusive
        self._compression = compression
        self._level = level
        self._taken = taken
        self._room: WriteRoom | None = None
        self._password: Secret | None = None
        self._handle: AESZipWriteFile | None = None

    def open(self, info: AESZipInfo, password: Secret | None) -> AESZipWriteFile:
        """Begin an entry, and return a file to write it to. Its mode is 0600."""
        room = self._begin(info, password)
        with translated():
            file = room.open(info.filename, "wb", modified=_modified(info))
        self._handle = AESZipWriteFile(file, lambda: self._take(info, room))
        return self._handle

    def write(self, info: AESZipInfo, data: Buffer, password: Secret | None) -> None:
        """Add an entry that is there as a whole."""
        room = self._begin(info, password)
        with translated():
            if info.is_dir():
                if memoryview(data).nbytes:
                    message = f"{info.filename!r} is a folder, which has no data"
                    raise ValueError(message)
                room.mkdir(info.filename.rstrip("/"), modified=_modified(info))
            else:
                room.write(
                    info.filename, data, modified=_modified(info), mode=info.external_attr >> 16 & 0o777 or _MODE
                )
        self._take(info, room)

    def add(self, path: str | os.PathLike[str], info: AESZipInfo, password: Secret | None) -> None:
        """Add a file of the disk, or an empty folder of the name of one."""
        item = next(local_tree(Path(path), info.filename.rstrip("/")))
        room = self._begin(info, password)
        with translated():
            room.add(item)
        self._take(info, room)

    def refuse_open_entry(self) -> None:
        """Raise `ValueError` where an entry is still open."""
        if self._handle is not None and not self._handle.closed:
            message = f"entry {self._handle.name!r} is still open: close it first"
            raise ValueError(message)

    def close(self, password: Secret | None) -> None:
        """End the archive, which then appears; without a password and an entry there is none, with a warning."""
        if self._room is None and password is None:
            message = "nothing was written, and no password was set: there is no archive"
            warnings.warn(message, StrongroomWarning, stacklevel=3)
            return
        try:
            room = self._opened(password) if self._room is None else self._room  # an empty one is false
            with translated():
                room.close()
        finally:
            self._release()

    def give_up(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the archive by an exception: what stood under its name stays."""
        if self._room is not None:
            self._room.__exit__(kind, error, trace)
        self._release()

    def _begin(self, info: AESZipInfo, password: Secret | None) -> WriteRoom:
        check_compression(info.compress_type)
        if not info.is_dir() and info.compress_type != self._compression:
            message = f"{info.filename!r} asks for another compression than the archive, which has one for all entries"
            raise NotSupported(message)
        return self._opened(password)

    def _opened(self, password: Secret | None) -> WriteRoom:
        """Return the Room. Its password is that of the first entry, since an archive has one."""
        if password is None:
            message = "nothing is written without encryption, and no password was given: setpassword(b'…')"
            raise WrongPassword(message)
        if self._room is None:
            compression, level = method_of(self._compression, self._level)
            with translated():
                self._room = create(
                    self._file,
                    password=password,
                    format="zip",
                    compression=compression,
                    level=level,
                    overwrite=not self._exclusive,
                )
            self._password = Secret(password)
        elif password != self._password:
            message = "the archive has one password, that of its first entry"
            raise NotSupported(message)
        return self._room

    def _take(self, info: AESZipInfo, room: WriteRoom) -> None:
        self._handle = None
        info.learn(room.entries[-1])
        self._taken(info)

    def _release(self) -> None:
        if self._password is not None:
            self._password.close()


def _modified(info: AESZipInfo) -> datetime:
    return datetime(*info.date_time, tzinfo=UTC)
