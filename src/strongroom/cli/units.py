"""Sizes, counts and speeds as people read and write them."""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = ("kB", "MB", "GB", "TB", "PB")
_BINARY: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE: Final = re.compile(r"(\d{1,18})(?:([KMGT])(?:iB)?)?", re.ASCII | re.IGNORECASE)
_THOUSAND: Final = 1000
_WORTH_A_RATE: Final = 1_000_000  # below, the start of the process is all that one would measure


def count(number: int, what: str, plural: str | None = None) -> str:
    """Say how many there are: "1 entry", "3 entries"."""
    return f"{number} {what if number == 1 else plural or what + 's'}"


def size(number: int) -> str:
    """Say a size: "30 bytes", "7.9 MB"."""
    if number < _THOUSAND:
        return count(number, "byte")
    place = 0
    value = number / _THOUSAND
    while value >= _THOUSAND - 0.5 and place < len(_DECIMAL) - 1:
        value /= _THOUSAND
        place += 1
    return f"{value:.{0 if value >= 100 else 1}f} {_DECIMAL[place]}"  # noqa: PLR2004 - three digits


def rate(number: int, seconds: float) -> str | None:
    """Say a speed in MB/s, or None where there was too little to measure one."""
    if number < _WORTH_A_RATE or seconds <= 0:
        return None
    speed = number / seconds / 1e6
    return f"{speed:.0f} MB/s" if speed >= 10 else f"{speed:.1f} MB/s"  # noqa: PLR2004 - two digits


def parse_size(text: str) -> int | None:
    """Read "5000", "100G" or "64MiB", in powers of 1024; None where it is none of these."""
    match = _SIZE.fullmatch(text)
    return int(match[1]) << _BINARY[(match[2] or "").upper()] if match else None
