"""With which other tools an archive is opened, by format and platform: data for what people are told.

The commands are run by the tests. Apps for telephones go by what their makers say of them, and where no row stands we
know of none.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Platform = Literal["Windows", "macOS", "Linux", "Android", "iPhone"]

DESKTOPS: Final[tuple[Platform, ...]] = ("Windows", "macOS", "Linux")


class Opener(NamedTuple):
    """A program that opens an archive.

    `source` is a site, or a package of the platform. `command` has {file}, and {name} for what comes out of it; empty,
    the program is used by clicks. `key_command` takes the identity, {key}, in place of a password. `unfit` is the
    platform's own program that does not open it.
    """

    program: str
    source: str
    command: str = ""
    key_command: str = ""
    unfit: str = ""


_AGE: Final = ("age", "age -d -o {name} {file}", "age -d -i {key} -o {name} {file}")  # `>` breaks files in PowerShell


def _age(source: str) -> Opener:
    program, command, key_command = _AGE
    return Opener(program, source, command, key_command)


_BY_AGE: Final[Mapping[Platform, Opener]] = MappingProxyType(
    {
        "Windows": _age("winget install FiloSottile.age"),
        "macOS": _age("brew install age"),
        "Linux": _age("apt install age"),
        "Android": _age("pkg install age, in Termux"),
    }
)

_EVERYWHERE: Final[tuple[Platform, ...]] = (*DESKTOPS, "Android", "iPhone")
_BROWSER: Final = Opener("any browser", "by a double click, offline", unfit="the preview of a mail program")

OPENERS: Final[Mapping[str, Mapping[Platform, Opener]]] = MappingProxyType(
    {
        "zip": MappingProxyType(
            {
                "Windows": Opener("7-Zip", "7-zip.org", unfit="Explorer"),
                "macOS": Opener("Keka", "keka.io", unfit="the Finder"),
                "Linux": Opener("7-Zip", "apt install 7zip", "7zz x {file}", unfit="unzip"),
                "Android": Opener("ZArchiver", "Google Play"),
                "iPhone": Opener("WinZip", "App Store", unfit="Files"),
            }
        ),
        "7z": MappingProxyType(
            {
                "Windows": Opener("7-Zip", "7-zip.org", unfit="Explorer"),
                "macOS": Opener("Keka", "keka.io", unfit="the Finder"),
                "Linux": Opener("7-Zip", "apt install 7zip", "7zz x {file}"),
                "Android": Opener("ZArchiver", "Google Play"),
            }
        ),
        "zip.age": _BY_AGE,
        "html": MappingProxyType(dict.fromkeys(_EVERYWHERE, _BROWSER)),
        "age": _BY_AGE,
    }
)
"""All openers; what comes out of a zip.age is a ZIP without a password, which the platform's own program opens."""
