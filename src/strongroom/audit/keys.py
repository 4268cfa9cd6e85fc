"""The keys of an archive, derived by the standard library: the process that made it could not hand out its own.

Handing them out would leave copies. And who shares no code with the writer shares no mistake with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

from strongroom.audit.needles import of_aes_key, of_hmac_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strongroom.audit.needles import Needle

_LOCAL: Final = b"PK\x03\x04"
_LENGTHS: Final = Struct("<26x2H")  # of an entry's name and extra fields (APPNOTE 4.3.7)
_SALT: Final = 16  # of AES-256 (WinZip AES, II.C)


def of_zip(archive: Path, password: bytes) -> Iterator[Needle]:
    """Give the keys of all entries with AES-256, also of an archive that was never finished (WinZip AES, II.G)."""
    data = archive.read_bytes()
    place = data.find(_LOCAL)
    while 0 <= place <= len(data) - _LENGTHS.size:
        name, extra = _LENGTHS.unpack_from(data, place)
        start = place + _LENGTHS.size + name + extra
        if salt := data[start : start + _SALT]:
            keys = hashlib.pbkdf2_hmac("sha1", password, salt, 1000, 64)
            yield from of_aes_key(f"AES key of an entry in {archive.name}", keys[:32])
            yield from of_hmac_key(f"HMAC key of an entry in {archive.name}", keys[32:])
        place = data.find(_LOCAL, place + 1)


KEYS: Final[dict[str, Callable[[Path, bytes], Iterator[Needle]]]] = {"zip": of_zip}
"""By format."""
