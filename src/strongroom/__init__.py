"""strongroom: sensitive data from memory into encrypted archives on a local disk, and back, never as plaintext."""

TYPE_CHECKING = False  # as type checkers know it; importing typing would double the time that this takes
if TYPE_CHECKING:
    from strongroom.converting import convert, rekey
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
    from strongroom.formats.facts import Inspection
    from strongroom.fs.ram import RamFS
    from strongroom.inspection import inspect
    from strongroom.layers.age import AgeLayer
    from strongroom.layers.fernet import FernetLayer
    from strongroom.layers.recipe import RecipeLayer
    from strongroom.limits import Limits
    from strongroom.memory.process import harden
    from strongroom.memory.report import ProtectionReport
    from strongroom.memory.secret import Secret, SecretBuffer
    from strongroom.room import Finding, ReadRoom, Report, Room, WriteRoom, create, open, seal, unseal

__all__ = [
    "AgeLayer",
    "Entry",
    "EntryNotFoundError",
    "FernetLayer",
    "Finding",
    "FormatError",
    "Inspection",
    "LimitError",
    "Limits",
    "OutputError",
    "OutputExistsError",
    "ProtectionReport",
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
    "convert",
    "create",
    "harden",
    "inspect",
    "open",
    "rekey",
    "seal",
    "unseal",
]

# Where what is no error is found. Each loads on first use: the command line starts twice, and pays for none of it once.
_HOMES = {
    "AgeLayer": "layers.age",
    "Entry": "formats",
    "FernetLayer": "layers.fernet",
    "Inspection": "formats.facts",
    "Limits": "limits",
    "ProtectionReport": "memory.report",
    "RamFS": "fs.ram",
    "RecipeLayer": "layers.recipe",
    "Secret": "memory.secret",
    "SecretBuffer": "memory.secret",
    "convert": "converting",
    "harden": "memory.process",
    "inspect": "inspection",
    "rekey": "converting",
} | dict.fromkeys(("Finding", "ReadRoom", "Report", "Room", "WriteRoom", "create", "open", "seal", "unseal"), "room")


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - as above

    value: object = getattr(import_module(f"strongroom.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
