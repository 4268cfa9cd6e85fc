"""Keys that a library returns as `bytes`: moved to where they can be wiped, and overwritten where they stood."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

HEAD: Final = bytes.__basicsize__ - 1  # of CPython's object, before its data; the 1 is a zero at the end


def move_into(value: bytes, target: memoryview) -> None:
    """Copy `value`, which a library just made, to the front of `target`, and overwrite it with zeros.

    To be called with the call that makes it as the argument. What somebody else holds as well stays as it is, since
    nobody may see bytes change: a constant, and one byte, of which there is but one object in a process.
    """
    target[: len(value)] = value
    if len(value) > 1 and sys.getrefcount(value) <= _ALONE:
        ctypes.memset(id(value) + HEAD, 0, len(value))


def _references(value: bytes) -> int:
    """Return how many references are counted of an argument that nobody else holds; versions of Python differ."""
    return sys.getrefcount(value)


_ALONE: Final = _references(bytes(bytearray(2)))
