"""`AESZipFile`, with pyzipper's interface."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Literal, Self, TextIO, cast, overload

from strongroom.compat.pyzipper.errors import NotSupported
from strongroom.compat.pyzipper.info import AESZipInfo, date_time_of
from strongroom.compat.pyzipper.options import ZIP_STORED, check_compression, check_encryption
from strongroom.compat.pyzipper.reading import Reading
from strongroom.compat.pyzipper.writing import Writing
from strongroom.errors import EntryNotFoundError, StrongroomWarning
from strongroom.memory.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.compat.pyzipper.files import AESZipExtFile, AESZipWriteFile

    Member = str | AESZipInfo

Mode = Literal["r", "w", "x", "a"]


class AESZipFile:
    """A ZIP archive, read ("r") or made ("w", "x"); a context manager, which an exception leaves without an archive.

    file          a path or a binary stream
    compression   of all entries: `ZIP_STORED`, `ZIP_DEFLATED`, `ZIP_BZIP2` or `ZIP_LZMA`; `compresslevel` as it counts
    encryption    `WZ_AES` or None; either way all is encrypted with AES-256, and nothing written without a password
    legacy        also read entries with ZipCrypto, which is broken

    `allowZip64`, `strict_timestamps` and `encryption_kwargs` ask for less than what is done, and change nothing.

    Raises `BadZipFile`, `NotSupported` for mode "a", `FileExistsError` for mode "x", `OSError`.
    """

    zipinfo_cls = AESZipInfo

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        mode: Mode = "r",
        compression: int = ZIP_STORED,
        allowZip64: bool = True,  # noqa: ARG002 - see above
        compresslevel: int | None = None,
        *,
        strict_timestamps: bool = True,
        encryption: str | None = None,
        encryption_kwargs: dict[str, object] | None = None,
        legacy: bool = False,
    ) -> None:
        self._password: Secret | None = None
        self._reading: Reading | None = None
        self._writing: Writing | None = None
        self.mode = mode
        self.filelist: list[AESZipInfo] = []
        self.NameToInfo: dict[str, AESZipInfo] = {}
        self.compression: int = compression
        self.compresslevel: int | None = compresslevel
        self.debug = 0
        self._strict_timestamps = strict_timestamps
        check_compression(compression)
        self.setencryption(encryption, **(encryption_kwargs or {}))
        path = os.path.join(os.getcwd(), os.fsdecode(file)) if isinstance(file, (str, os.PathLike)) else None
        self.filename: str | None = (
            os.fsdecode(file) if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
        )
        where = cast("str | BinaryIO", path or file)
        if mode == "a":
            message = "mode 'a': an archive is sealed once, and nothing is added to it; make a new one of both"
            raise NotSupported(message)
        if mode == "r":
            self._reading = Reading(where, legacy=legacy)
            take = self._listing()
            for entry in self._reading.entries:
                take(AESZipInfo.of(entry))
        elif mode in ("w", "x"):
            self._writing = Writing(
                where, exclusive=mode == "x", compression=compression, level=compresslevel, taken=self._listing()
            )
        else:
            message = f"mode is 'r', 'w' or 'x', not {mode!r}"
            raise ValueError(message)

    @property
    def pwd(self) -> Secret | None:
        """The password, as a `Secret`. Set to bytes, it is as `setpassword`."""
        return self._password

    @pwd.setter
    def pwd(self, value: Buffer | None) -> None:
        given = _Given(value)
        del value  # tracebacks that show local variables would show it
        self._take(given)

    @property
    def comment(self) -> bytes:
        """The archive's comment: none is read, since nothing authenticates it, and none written."""
        return b""

    @comment.setter
    def comment(self, value: bytes) -> None:
        if value:
            message = "comments are not encrypted, and not written: put it into an entry"
            raise NotSupported(message)

    def setpassword(self, pwd: Buffer | None) -> None:
        """Take the password, bytes, for all that follows; None or b"" takes it away. Raises `TypeError` for text."""
        given = _Given(pwd)
        del pwd  # as above
        self._take(given)

    def setencryption(self, encryption: str | None, **kwargs: object) -> None:
        """Check the options: `nbits` and others ask for less than AES-256 in AE-2, which is what is written."""
        check_encryption(encryption, kwargs)
        self.encryption = encryption
        self.encryption_kwargs = kwargs

    def namelist(self) -> list[str]:
        """Return the names of all entries; those of folders end in a slash."""
        return [info.filename for info in self.filelist]

    def infolist(self) -> list[AESZipInfo]:
        """Return what is known of all entries."""
        return self.filelist

    def getinfo(self, name: str) -> AESZipInfo:
        """Return what is known of an entry. Raises `KeyError`."""
        try:
            return self.NameToInfo[name]
        except KeyError:
            message = f"no entry {name!r}"
            raise EntryNotFoundError(message) from None

    def printdir(self, file: TextIO | None = None) -> None:
        """Print a table of the entries."""
        out = file or sys.stdout
        out.write(f"{'File Name':<46} {'Modified    ':>19} {'Size':>12}\n")
        for info in self.filelist:
            moment = datetime(*info.date_time, tzinfo=UTC)
            out.write(f"{info.filename:<46} {moment:%Y-%m-%d %H:%M:%S} {info.file_size:>12}\n")

    def read(self, name: Member, pwd: Buffer | None = None) -> bytes:
        """Return an entry's data, authentic. Raises `KeyError`, `RuntimeError` for the password, `BadZipFile`."""
        given = _Given(pwd)
        del pwd
        with given.or_else(self._password) as password:
            return self._reader().read(self._entry(name), password)

    @overload
    def open(
        self, name: Member, mode: Literal["r"] = ..., pwd: Buffer | None = ..., *, force_zip64: bool = ...
    ) -> AESZipExtFile: ...
    @overload
    def open(
        self, name: Member, mode: Literal["w"], pwd: Buffer | None = ..., *, force_zip64: bool = ...
    ) -> AESZipWriteFile: ...
    def open(
        self,
        name: Member,
        mode: Literal["r", "w"] = "r",
        pwd: Buffer | None = None,
        *,
        force_zip64: bool = False,  # noqa: ARG002 - sizes of 64 bits are used where they are needed
    ) -> AESZipExtFile | AESZipWriteFile:
        """Return an entry as a file. One that is read is authentic before the first byte; raises as `read`."""
        given = _Given(pwd)
        del pwd
        with given.or_else(self._password) as password:
            if mode not in ("r", "w"):
                message = f"mode is 'r' or 'w', not {mode!r}"
                raise ValueError(message)
            if mode == "w":
                return self._writer().open(name if isinstance(name, AESZipInfo) else self._new(name), password)
            return self._reader().open(self._entry(name), password)

    def writestr(
        self,
        zinfo_or_arcname: Member,
        data: str | Buffer,
        compress_type: int | None = None,
        compresslevel: int | None = None,
    ) -> None:
        """Add an entry: bytes, or text, which is encoded as UTF-8."""
        writer = self._writer()
        info = zinfo_or_arcname if isinstance(zinfo_or_arcname, AESZipInfo) else self._new(zinfo_or_arcname)
        self._choose(info, compress_type, compresslevel)
        with _Given(None).or_else(self._password) as password:
            writer.write(info, data.encode() if isinstance(data, str) else data, password)

    def write(
        self,
        filename: str | os.PathLike[str],
        arcname: str | None = None,
        compress_type: int | None = None,
        compresslevel: int | None = None,
    ) -> None:
        """Add a file of the disk, or an empty folder, with its time; of its rights only whether it is executable."""
        writer = self._writer()
        info = AESZipInfo.from_file(filename, arcname, strict_timestamps=self._strict_timestamps)
        info.compress_type = self.compression
        self._choose(info, compress_type, compresslevel)
        with _Given(None).or_else(self._password) as password:
            writer.add(filename, info, password)

    def testzip(self) -> str | None:
        """Check everything; return the first name whose data is damaged, or None. Raises as `read`."""
        with _Given(None).or_else(self._password) as password:
            return self._reader().first_bad(password)

    def extract(self, member: Member, path: str | os.PathLike[str] | None = None, pwd: Buffer | None = None) -> str:
        """Write one entry below `path`, as `extractall`, and return where it is."""
        given = _Given(pwd)
        del pwd
        self._extract(path, [member], given)
        name = self._entry(member)
        return os.path.normpath(os.path.join(os.getcwd() if path is None else os.fsdecode(path), name))

    def extractall(
        self,
        path: str | os.PathLike[str] | None = None,
        members: Iterable[Member] | None = None,
        pwd: Buffer | None = None,
    ) -> None:
        """Write plaintext files below `path`, by default the current folder.

        The whole archive is checked before the first; files that are there are not replaced (`FileExistsError`).
        """
        given = _Given(pwd)
        del pwd
        self._extract(path, self.filelist if members is None else members, given)

    def close(self) -> None:
        """Close an archive that is read; complete one that is made, which then appears under its name."""
        if self._writing is not None:
            self._writing.refuse_open_entry()
        try:
            if self._writing is not None:
                self._writing.close(self._password)
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._writing is not None:
            self._writing.give_up(kind, error, trace)
            self._release()
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_writing", None) is not None:
            message = f"{self.filename}: the archive was not closed, and so was not written"
            warnings.warn(message, StrongroomWarning, stacklevel=2)

    def __repr__(self) -> str:
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        closed = self._reading is None and self._writing is None
        return f"<{name} [closed]>" if closed else f"<{name} filename={self.filename!r} mode={self.mode!r}>"

    def _release(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = self._writing = None
        self.setpassword(None)

    def _listing(self) -> Callable[[AESZipInfo], None]:
        """Return what takes up an entry, with no reference to this archive, which would keep a forgotten one alive."""
        filelist, by_name = self.filelist, self.NameToInfo

        def take(info: AESZipInfo) -> None:
            filelist.append(info)
            by_name[info.filename] = info

        return take

    def _entry(self, member: Member) -> str:
        """Return the name that the Room has for an entry."""
        info = self.getinfo(member.filename if isinstance(member, AESZipInfo) else member)
        return info.filename.rstrip("/") if info.is_dir() else info.filename

    def _new(self, name: str) -> AESZipInfo:
        info = AESZipInfo(name, date_time_of(datetime.now(UTC)))
        info.compress_type = self.compression
        return info

    def _choose(self, info: AESZipInfo, compress_type: int | None, compresslevel: int | None) -> None:
        if compress_type is not None:
            info.compress_type = compress_type
        if compresslevel not in (None, self.compresslevel):
            message = f"{info.filename!r} asks for another level than the archive, which has one for all entries"
            raise NotSupported(message)

    def _reader(self) -> Reading:
        if self._reading is not None:
            return self._reading
        if self._writing is not None:
            message = "an archive is read once it is complete, not while it is made"
            raise NotSupported(message)
        message = "the archive is closed"
        raise ValueError(message)

    def _writer(self) -> Writing:
        if self._writing is None:
            message = "the archive is closed" if self._reading is None else "the archive is open for reading"
            raise ValueError(message)
        return self._writing

    def _extract(self, path: str | os.PathLike[str] | None, members: Iterable[Member], given: _Given) -> None:
        with given.or_else(self._password) as password:
            names = [self._entry(member) for member in members]
            self._reader().extract(os.getcwd() if path is None else os.fsdecode(path), names, password)

    def _take(self, given: _Given) -> None:
        password = given.secret()
        if self._password is not None:
            self._password.close()
        self._password = password


class _Given:
    """A password as it was given: bytes or another buffer, copied into a `Secret`, or nothing.

    What is wrong with it is said later, when no frame on the way to the caller shows it any more.
    """

    def __init__(self, value: Buffer | None) -> None:
        self._wrong = ""
        self._secret: Secret | None = None
        if isinstance(cast("object", value), str):
            self._wrong = "pwd: expected bytes, got str"  # as pyzipper
        elif value is not None and memoryview(value).nbytes:
            self._secret = Secret(value)

    def secret(self) -> Secret | None:
        """Return it, for the caller to close. Raises `TypeError` for text."""
        if self._wrong:
            raise TypeError(self._wrong)
        return self._secret

    @contextmanager
    def or_else(self, default: Secret | None) -> Generator[Secret | None]:
        """Give it for one block, and wipe it; `default` where none was given, which stays."""
        own = self.secret()
        try:
            yield default if own is None else own
        finally:
            if own is not None:
                own.close()
