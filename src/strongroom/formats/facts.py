"""What a format can say of a file without its password: the words in which all of them answer `inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["broken", "weak", "note"]
"""How bad a weakness is. `broken`: it protects nothing. `weak`: it helps an attacker. `note`: what one has to know."""

ManifestPresence = Literal["present", "absent", "unneeded", "unknown"]
"""Whether the tamper evidence of ours is there, which nothing has checked. `unneeded` is as in `ManifestState`."""

SHOWN: Final = 5
"""How many problems of one kind are named."""


@dataclass(frozen=True, slots=True)
class Cipher:
    """How data is encrypted, and how many files are so; None where that cannot be seen. `name` may be "none"."""

    name: str
    files: int | None = None


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a key is made of a password: `rounds` (scrypt: its N) and the length of the `salt` in bytes, 0 for none."""

    name: str
    rounds: int
    salt: int
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Something that an attacker can use, or that a reader has to know. `code` stays the same from version to version.

    The code "structure" is for what the readers here refuse, since it is damaged, or read by others in other ways.
    """

    code: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Whether another program opens the archive, given the password; None where we do not know."""

    name: str
    opens: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An archive, as it explains itself to everybody.

    `description` says what it is, `size` is that of the file in bytes, `entries` how many there are, or None where that
    is hidden. `recipients` are the kinds of keys that an age file is for. `visible` and `hidden` are what can be read
    without the password and what cannot. `tools` is empty where tools differ on the archive's structure.
    """

    format: str = ""
    size: int = 0
    description: str
    entries: int | None = None
    ciphers: tuple[Cipher, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    recipients: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    manifest: ManifestPresence
    weaknesses: tuple[Weakness, ...] = ()
    tools: tuple[Tool, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the readers here take the structure; what is weak about the archive is another matter."""
        return all(weakness.code not in ("structure", "unsupported", "limit") for weakness in self.weaknesses)


class Weaknesses:
    """Gathers what is weak, in the order in which it is looked at."""

    def __init__(self) -> None:
        self.found: list[Weakness] = []

    def add(self, code: str, level: Level, text: str, *, there: object) -> None:
        """Take a weakness, if it is there."""
        if there:
            self.found.append(Weakness(code, level, text))


def structure(problems: list[str]) -> tuple[Weakness, ...]:
    """Return what is said of problems for which the readers here refuse a file; of many the first ones are named."""
    found = [Weakness("structure", "broken", problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        found.append(Weakness("structure", "broken", f"and {len(problems) - SHOWN} more such faults"))
    return tuple(found)


def plural(number: int, what: str) -> str:
    """Say how many there are: "1 file", "3 files"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
