"""What pyzipper says of an entry, and is told of one."""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from strongroom.compat.pyzipper.options import ZIP_STORED
from strongroom.compression import CODECS

if TYPE_CHECKING:
    from strongroom.formats import Entry

DateTime = tuple[int, int, int, int, int, int]

_AES: Final = re.compile(r"AES-(128|192|256) \(AE-([12])\)")
_DOS_DIRECTORY: Final = 0x10
_UNIX: Final = 3
_EARLIEST: Final = 1980
_ENCRYPTED: Final = 1


class AESZipInfo:
    """An entry. `date_time` is in UTC, as strongroom writes times, both here and where an entry is made of it.

    `comment` and `extra` are empty and `CRC` is 0: comments are not authenticated, and the rest says nothing of AE-2.
    """

    comment = b""
    extra = b""
    CRC = 0
    create_system = _UNIX

    def __init__(self, filename: str = "NoName", date_time: DateTime = (1980, 1, 1, 0, 0, 0)) -> None:
        if date_time[0] < _EARLIEST:
            message = "a ZIP has no times before 1980"
            raise ValueError(message)
        self.orig_filename: str = filename
        self.filename: str = filename
        self.date_time: DateTime = date_time
        self.compress_type: int = ZIP_STORED
        self.external_attr: int = 0
        self.flag_bits: int = 0
        self.file_size: int = 0
        self.compress_size: int = 0
        self.wz_aes_version: int | None = None
        self.wz_aes_vendor_id: bytes | None = None
        self.wz_aes_strength: int | None = None

    @classmethod
    def from_file(
        cls, filename: str | os.PathLike[str], arcname: str | None = None, *, strict_timestamps: bool = True
    ) -> Self:
        """Describe a file or folder of the disk; `arcname` is the path without drive and leading slashes by default."""
        status = os.stat(filename)
        moment = datetime.fromtimestamp(int(status.st_mtime), UTC)
        if not strict_timestamps:
            moment = max(moment, datetime(_EARLIEST, 1, 1, tzinfo=UTC))
        made = cls(name_of(filename, arcname) + "/" * stat.S_ISDIR(status.st_mode), date_time_of(moment))
        made.external_attr = status.st_mode << 16 | (_DOS_DIRECTORY if made.is_dir() else 0)
        made.file_size = 0 if made.is_dir() else status.st_size
        return made

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Describe an entry of a Room."""
        made = cls(entry.name)
        made.learn(entry)
        return made

    def learn(self, entry: Entry) -> None:
        """Take over what a Room says of the entry."""
        self.filename = entry.name + "/" * (entry.kind == "directory")
        self.date_time = date_time_of(entry.modified)
        codec = CODECS.get(entry.method)
        self.compress_type = codec.zip_method if codec else int(entry.method)
        self.external_attr = (entry.mode or 0) << 16 | (_DOS_DIRECTORY if self.is_dir() else 0)
        self.flag_bits = _ENCRYPTED if entry.encrypted else 0
        self.file_size, self.compress_size = entry.size, entry.packed_size
        if match := _AES.fullmatch(entry.encryption or ""):
            self.wz_aes_version, self.wz_aes_vendor_id = int(match[2]), b"AE"
            self.wz_aes_strength = int(match[1]) // 64 - 1

    @property
    def is_encrypted(self) -> int:
        """Whether the data is encrypted: not 0."""
        return self.flag_bits & _ENCRYPTED

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.filename.endswith("/")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} filename={self.filename!r} file_size={self.file_size}>"


def name_of(filename: str | os.PathLike[str], arcname: str | None) -> str:
    """Return the name that a file of the disk goes under."""
    path = os.fsdecode(filename) if arcname is None else arcname
    return os.path.normpath(os.path.splitdrive(path)[1]).lstrip("/")


def date_time_of(moment: datetime) -> DateTime:
    """Return a time as pyzipper has it; what a ZIP has no field for is cut to 1980."""
    moment = max(moment.astimezone(UTC), datetime(_EARLIEST, 1, 1, tzinfo=UTC))
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
