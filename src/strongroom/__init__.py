"""strongroom: sensitive data from memory into encrypted archives on a local disk, and back, never as plaintext."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

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
    from strongroom.layers.fernet import FernetLayer
    from strongroom.layers.recipe import RecipeLayer

__all__ = [
    "Entry",
    "EntryNotFoundError",
    "FernetLayer",
    "Finding",
    "FormatError",
    "LimitError",
    "Limits",
    "OutputError",
    "OutputExistsError",
    "RamFS",
    "ReadRoom",
    "RecipeLayer",
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
    "unseal",
]


_LATER: Final = {
    "FernetLayer": "strongroom.layers.fernet",  # loads `cryptography`
    "RamFS": "strongroom.fs.ram",  # fsspec takes as long to import as all the rest
    "RecipeLayer": "strongroom.layers.recipe",
}


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
