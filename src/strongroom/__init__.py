"""strongroom: sensitive data from memory into encrypted archives on a local disk, and back, never as plaintext."""

from typing import TYPE_CHECKING

from strongroom.errors import (
    EntryNotFoundError,
    FormatError,
    LimitError,
    OutputError,
    OutputExistsError,
    SecureMemoryError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.formats import Entry
from strongroom.limits import Limits
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.room import Finding, ReadRoom, Report, Room, WriteRoom, create, open, seal, unseal

if TYPE_CHECKING:
    from strongroom.fs.ram import RamFS

__all__ = [
    "Entry",
    "EntryNotFoundError",
    "Finding",
    "FormatError",
    "LimitError",
    "Limits",
    "OutputError",
    "OutputExistsError",
    "RamFS",
    "ReadRoom",
    "Report",
    "Room",
    "Secret",
    "SecretBuffer",
    "SecureMemoryError",
    "StrongroomError",
    "StrongroomWarning",
    "TamperedError",
    "TruncatedError",
    "UnsupportedError",
    "WriteRoom",
    "WrongKeyError",
    "create",
    "open",
    "seal",
]


def __getattr__(name: str) -> object:
    if name == "RamFS":  # fsspec takes as long to import as all the rest
    "unseal",
        from strongroom.fs.ram import RamFS  # noqa: PLC0415

        return RamFS
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
