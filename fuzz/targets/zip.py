"""ZIP archives."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.reading import PASSWORD, corpus, read_all, sealed
from tests import zipcraft


def seeds() -> Iterator[bytes]:
    """Give an entry of each method, plain and encrypted, ZIP64, what we write, and the corpus."""
    for method in zipcraft.METHODS:
        yield zipcraft.join(zipcraft.plain("a", b"alpha" * 50, method))
        yield zipcraft.join(zipcraft.aes("a", b"alpha" * 50, method))
    yield zipcraft.join(zipcraft.zipcrypto("a", b"alpha"), zipcraft.folder("b"), comment=b"comment")
    yield zipcraft.join(between=zipcraft.zip64_end(0, 0, 0))
    yield sealed(format="zip", password=PASSWORD)
    for folder in ("zip", "hostile"):
        yield from corpus(folder, "*.zip")


def one(data: bytes) -> None:
    """Read it with all that is refused unless asked for."""
    read_all(data, format="zip", password=PASSWORD, legacy=True, allow_plaintext=True)
