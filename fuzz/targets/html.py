"""Pages: all of one, and what stands in one of ours."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.reading import read_all, sealed
from strongroom.formats.html import spec
from tests import agecraft


def seeds() -> Iterator[bytes]:
    """Give a page with an archive, cut down to what is read of it, and the archive alone."""
    page = sealed(format="html", recipients=[agecraft.X25519_RECIPIENT])
    archive = page.removeprefix(spec.front())
    yield spec.MAGIC + spec.OPENING + archive
    yield spec.MAGIC + spec.OPENING + spec.CLOSING
    yield archive


def one(data: bytes) -> None:
    """Read it as a page, and as what stands in one."""
    for page in (data, spec.MAGIC + spec.OPENING + data):
        read_all(page, format="html", identities=[agecraft.X25519])
