"""Bytes for the caller, made where they stay: a large result is neither copied nor left behind to be wiped."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from strongroom.memory.huge import back_with_huge_pages
from strongroom.memory.returned import HEAD
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL: Final = 1 << 15  # below it a copy costs nothing, and bytes may be shared objects
_new: Final = ctypes.pythonapi.PyBytes_FromStringAndSize
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.c_ssize_t), ctypes.py_object


def given_bytes(size: int, fill: Callable[[memoryview], object]) -> bytes:
    """Return `size` bytes that `fill` puts into the memory that it is given; where it raises, that is wiped.

    CPython allows bytes to be filled by who has just made them (PyBytes_FromStringAndSize); `fill` keeps no view.
    """
    if size < _SMALL:
        with memoryview(bytearray(size)) as view:
            try:
                fill(view)
                return bytes(view)
            finally:
                wipe(view)
    value: bytes = _new(None, size)
    memory = (ctypes.c_ubyte * size).from_address(id(value) + HEAD)
    with memoryview(memory) as raw, raw.cast("B") as view:
        back_with_huge_pages(view)
        try:
            fill(view)
        except BaseException:
            wipe(view)
            raise
    return value
