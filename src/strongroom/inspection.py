"""What an archive is, which tools open it, and what is weak about it: all that shows without its password."""

from __future__ import annotations

import os
from contextlib import closing
from typing import BinaryIO

from strongroom.formats.facts import Cipher, Derivation, Inspection, Tool, Weakness
from strongroom.limits import Limits
from strongroom.room.finding import detect
from strongroom.source import open_source

__all__ = ["Cipher", "Derivation", "Inspection", "Tool", "Weakness", "inspect"]


def inspect(path: str | os.PathLike[str] | BinaryIO, *, limits: Limits | None = None) -> Inspection:
    """Explain an archive: format, ciphers, key derivations, what is visible, what is weak, which tools open it.

    It takes no password, and decrypts nothing. What `open` would refuse is a weakness here; so `Inspection.ok` says
    whether `open` takes the archive's structure, which is not checked against forgery: a manifest is there or not.

    path    a path or a binary stream, as for `open`; a ZIP in an age file is known by the path alone
    limits  what the archive may ask of this machine

    Raises `FormatError` for what is no archive, `LimitError` for a pipe that gives too much, `OSError`.
    """
    limits = limits or Limits()
    with closing(open_source(path, limits)) as source:
        return detect(source, path).inspect(source, limits)
