"""age files: header, stanzas, payload; and the ZIP in one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from fuzz.reading import PASSWORD, corpus, read_all, sealed
from tests import agecraft


def seeds() -> Iterator[bytes]:
    """Give files to each kind of recipient, and those of the test kit."""
    for recipient in (agecraft.X25519_RECIPIENT, agecraft.TAG_RECIPIENT, agecraft.identity(agecraft.HYBRID).recipient):
        yield agecraft.seal(b"alpha", [recipient])
    yield sealed(format="zip.age", recipients=[agecraft.X25519_RECIPIENT])
    for file in corpus("age", "CCTV*"):
        head, _, body = file.partition(b"\n\n")
        yield zlib.decompress(body) if b"compressed: zlib" in head else body


def one(data: bytes) -> None:
    """Open it with identities, with a passphrase, as a ZIP in an age file, and as it comes through a pipe."""
    own = [agecraft.X25519, agecraft.HYBRID]
    if read_all(data, format="age", identities=own):
        read_all(data, format="age", identities=own, streaming=True)
        read_all(data, format="zip.age", identities=own)
    elif b"scrypt" in data:
        read_all(data, format="age", password=PASSWORD)
    agecraft.read_pipe(data, [agecraft.identity()])
