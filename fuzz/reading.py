"""How targets read an archive: all of it, in small bounds; and where seeds come from."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import strongroom
from strongroom import Limits, StrongroomError, StrongroomWarning
from strongroom.limits import MIB

PASSWORD: Final = "a made-up password"
LIMITS: Final = Limits(
    total_size=16 * MIB,
    memory_size=16 * MIB,
    entries=1000,
    header_size=1 * MIB,
    dictionary=16 * MIB,
    kdf_work=100_000,
    scrypt_log_n=10,
)
_LARGEST_SEED: Final = 64 << 10


def read_all(data: bytes, **options: Any) -> bool:  # noqa: ANN401 - those of `open`
    """Explain it, read every entry in each way, and verify; a `StrongroomError` is one of the answers that may be.

    Says whether the archive opened.
    """
    warnings.simplefilter("ignore", StrongroomWarning)
    with suppress(StrongroomError):
        strongroom.inspect(io.BytesIO(data), limits=LIMITS)
    with suppress(StrongroomError), strongroom.open(io.BytesIO(data), limits=LIMITS, threads=1, **options) as room:
        fine = True
        for entry in room:
            try:
                assert len(room.read(entry.name)) == entry.size
            except StrongroomError:
                fine = False
            else:
                assert sum(map(len, room.chunks(entry.name))) == entry.size
        assert room.verify().ok is fine
        return True
    return False


def corpus(folder: str, pattern: str = "*") -> Iterator[bytes]:
    """Give the small files of the corpus in `STRONGROOM_CORPUS`, and nothing where there is none."""
    root = os.environ.get("STRONGROOM_CORPUS")
    for path in sorted(Path(root, folder).glob(pattern)) if root else ():
        if path.stat().st_size <= _LARGEST_SEED:
            yield path.read_bytes()


def sealed(**options: Any) -> bytes:  # noqa: ANN401 - those of `seal`
    """Return a small archive that strongroom made."""
    stream = io.BytesIO()
    strongroom.seal({"a.txt": b"alpha" * 100, "folder/b": b""}, stream, **options)
    return stream.getvalue()
