"""age files for tests: made with fixed randomness, and opened in every way that there is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from strongroom.errors import StrongroomError
from strongroom.flow import CHUNK, chunks_of
from strongroom.formats import ReaderOptions
from strongroom.formats.age import identities, recipients
from strongroom.formats.age.envelope import Envelope, Sealed, open_pieces
from strongroom.formats.age.identities import Identity
from strongroom.formats.age.payload import Payload
from strongroom.formats.age.reader import Reader
from strongroom.formats.age.recipients import Recipient
from strongroom.limits import Limits
from strongroom.source import MemorySource

# age, "The X25519 recipient type" and "The MLKEM768-X25519 … type": the identities of the examples.
X25519 = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
X25519_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
HYBRID = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
TAG_RECIPIENT = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e"
SIZES = (0, 1, *(n * 65536 + d for n in (1, 2) for d in (-1, 0, 1)), CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK)


def identity(text: str = X25519) -> identities.x25519.X25519Identity | identities.hybrid.HybridIdentity:
    """Return an identity; tests need not close it."""
    return identities.parse(memoryview(text.encode()))


def fixed(seed: str = "") -> Callable[[int], bytes]:
    """Randomness that is the same each time."""
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(size)

    return random


def seal(
    data: bytes,
    to: Sequence[Recipient | str] = (X25519_RECIPIENT,),
    *,
    threads: int = 1,
    armored: bool = False,
    seed: str = "",
) -> bytes:
    """Return an age file."""
    parsed = [recipients.parse(one) if isinstance(one, str) else one for one in to]
    envelope = Envelope(parsed, fixed(seed), threads, armored=armored)
    out = bytearray()
    try:
        for chunk in chunks_of(data):
            for piece in envelope.take(chunk):
                out += piece
        for piece in envelope.finish():
            out += piece
    finally:
        envelope.close()
    return bytes(out)


def source(file: bytes) -> MemorySource:
    """Return a file in memory as a `Source`."""
    return MemorySource(io.BytesIO(file), Limits())


def payload(file: bytes, own: Sequence[Identity] | None = None, threads: int = 1) -> Payload:
    """Open a file for reading at any offset."""
    return Sealed(source(file), Limits()).open([identity()] if own is None else own, threads)


def options(own: Sequence[Identity], *, streaming: bool = False, threads: int = 1, name: str = "") -> ReaderOptions:
    """Return a reader's options."""
    return ReaderOptions(
        password=None,
        legacy=False,
        allow_plaintext=False,
        limits=Limits(),
        threads=threads,
        identities=tuple(own),
        streaming=streaming,
        name=name,
    )


@dataclass
class Released:
    """What a way of reading gave out, and what it ended with."""

    data: bytes = b""
    error: StrongroomError | None = None
    pieces: list[bytes] = field(default_factory=list)


def _stream(pieces: Iterable[memoryview], into: list[bytes]) -> None:
    for piece in pieces:
        into.append(bytes(piece))  # noqa: PERF401 - what came before an error counts


def read_streaming(file: bytes, own: Sequence[Identity], threads: int = 1) -> Released:
    """`streaming=True`: each chunk once it is authenticated."""
    found = Released()
    try:
        reader = Reader(source(file), options(own, streaming=True, threads=threads))
        try:
            _stream(reader.chunks(reader.entries[0]), found.pieces)
        finally:
            reader.close()
    except StrongroomError as error:
        found.error = error
    found.data = b"".join(found.pieces)
    return found


def read_pipe(file: bytes, own: Sequence[Identity], step: int = 1000) -> Released:
    """In pieces, as out of a pipe."""
    found = Released()
    try:
        cut = (file[start : start + step] for start in range(0, len(file), step))
        _stream(open_pieces(cut, own, Limits(), 2), found.pieces)
    except StrongroomError as error:
        found.error = error
    found.data = b"".join(found.pieces)
    return found


def read_whole(file: bytes, own: Sequence[Identity], threads: int = 1) -> Released:
    """From the start, after a check of all of it; `check` and `fill` come to the same end."""
    found = Released()
    try:
        reader = Reader(source(file), options(own, threads=threads))
        try:
            (entry,) = reader.entries
            _stream(reader.chunks(entry), found.pieces)
            target = bytearray(entry.size)
            reader.fill(entry, memoryview(target))
            reader.check(entry, lambda _: None)
            assert bytes(target) == b"".join(found.pieces)
        finally:
            reader.close()
    except StrongroomError as error:
        found.error = error
    found.data = b"".join(found.pieces)
    return found


def read_seeking(file: bytes, own: Sequence[Identity], step: int = 40_000) -> Released:
    """At offsets, the last ones first, with steps that do not fall on chunks; `data` is what came out without a gap."""
    found = Released()
    try:
        with_key = Sealed(source(file), Limits()).open(own, 1)
        try:
            for start in reversed(range(0, with_key.size, step)):
                part = bytearray(min(step, with_key.size - start))
                with_key.read_into(start, memoryview(part))
                found.pieces.insert(0, bytes(part))
        finally:
            with_key.close()
    except StrongroomError as error:
        found.error = error
    found.data = b"".join(found.pieces)
    return found
