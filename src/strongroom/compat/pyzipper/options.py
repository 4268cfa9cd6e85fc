"""Pyzipper's constants and options, and what they are for a Room."""

from __future__ import annotations

from typing import Final

from strongroom.compat.pyzipper.errors import NotSupported
from strongroom.compression import BY_ZIP_METHOD

ZIP_STORED: Final = 0
ZIP_DEFLATED: Final = 8
ZIP_BZIP2: Final = 12
ZIP_LZMA: Final = 14
WZ_AES: Final = "WZ_AES"

_LEVELLED: Final = (ZIP_DEFLATED, ZIP_BZIP2)  # for the others pyzipper ignores the level
_KEY_BITS: Final = (128, 192, 256)
_AES_OPTIONS: Final = {"nbits", "force_wz_aes_version", "conditionally_include_crc", "min_bytes_to_include_crc"}


def check_compression(compression: int) -> None:
    """Raise `NotSupported` for a method that pyzipper does not have either."""
    if compression not in (ZIP_STORED, *_LEVELLED, ZIP_LZMA):
        message = f"compression method {compression!r} is not supported"
        raise NotSupported(message)


def method_of(compression: int, level: int | None) -> tuple[str, int | None]:
    """Return what `create` is told of a compression and its level."""
    return BY_ZIP_METHOD[compression].name, level if compression in _LEVELLED else None


def check_encryption(encryption: object, options: dict[str, object]) -> None:
    """Check pyzipper's options of WinZip AES. All of them ask for less than AES-256 in AE-2, which is what is written.

    Raises `RuntimeError` for what pyzipper has no such encryption of, `TypeError` for an option that it does not know.
    """
    if encryption not in (None, WZ_AES):
        message = f"encryption {encryption!r} is not supported (there is {WZ_AES!r})"
        raise NotSupported(message)
    if unknown := options.keys() - _AES_OPTIONS:
        message = f"{WZ_AES} has no option {min(unknown)!r}"
        raise TypeError(message)
    if options.get("nbits", 256) not in _KEY_BITS:
        message = f"nbits is one of 128, 192, 256, not {options['nbits']!r}"
        raise RuntimeError(message)
