"""What a reader accepts before it refuses (P8)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
_RATIO_FLOOR: Final = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what an archive may ask of this machine. Sizes are in bytes.

    ratio        size over packed size, of an entry and of all together; counts only above 64 MiB. Deflate itself ends
                 at 1032, so the default stops what only zstd, LZMA, XZ, BZip2 and PPMd bombs reach.
    total_size   what one call of `extract` may put onto a disk.
    memory_size  what one call may put into memory: `read`, `load`, and an archive read from a pipe. Half of this
                 machine's memory by default. Streams (`open`, the command line's `cat`) need constant memory.
    entries      entries in an archive, folders that names imply included; one costs about 2 KiB of memory.
    name_length  an entry's name, in bytes: as stored, or, where that is UTF-16 (7z), as UTF-8.
    header_size  the central directory.
    dictionary   a decoder's window; the decoders allocate it before the first byte comes out.
    kdf_work     rounds that deriving a key takes, where the archive says how many: 5 s by default.
    scrypt_log_n what scrypt takes, where the archive says it: 2^n KiB of memory, and 5 s by default.
    """

    ratio: int = 1100
    total_size: int = 64 * GIB
    memory_size: int = field(default_factory=lambda: os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    entries: int = 1_000_000
    name_length: int = 4 * KIB
    header_size: int = 256 * MIB
    dictionary: int = 256 * MIB
    kdf_work: int = 1 << 24
    scrypt_log_n: int = 20

    def __post_init__(self) -> None:
        for bound in fields(self):
            value = getattr(self, bound.name)
            if not isinstance(value, int) or value < 0:
                message = f"limit {bound.name} must be a whole number from 0, not {value!r}"
                raise ValueError(message)

    def is_bomb(self, size: int, packed_size: int) -> bool:
        """Whether this unpacks to more than `ratio` allows."""
        return size > _RATIO_FLOOR and size > packed_size * self.ratio
