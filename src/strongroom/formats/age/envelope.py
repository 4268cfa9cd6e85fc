"""age around anything: pieces in, pieces out; and a source out of a source. So an archive goes inside of an age file.

What is inside is written in one go (`patchable=False`), and read at any offset.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, LimitError, TruncatedError
from strongroom.flow import Chunk, Chunker, as_bytes
from strongroom.formats.age import identities, keys, spec
from strongroom.formats.age.armor import ArmoredSource, Armorer, is_armored
from strongroom.formats.age.passphrase import KIND as SCRYPT
from strongroom.formats.age.passphrase import ScryptIdentity
from strongroom.formats.age.payload import Payload, plain_size
from strongroom.formats.age.recipients import check, make_header
from strongroom.formats.age.stream import Opener, Sealer
from strongroom.memory.returned import move_into
from strongroom.memory.secret import SecretBuffer
from strongroom.source import read

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from strongroom.formats.age.identities import Identity
    from strongroom.formats.age.recipients import Recipient
    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret
    from strongroom.source import Source

    Bytes = bytes | memoryview

_ENCRYPTED: Final = (b"age-encryption", b"-----BEGIN AGE")  # cmd/age/parse.go, parseIdentitiesFile


class Envelope:
    """Encrypts pieces of any size, or chunks without a copy, to recipients; the two are not mixed.

    The header comes before the first piece. Raises `ValueError` for recipients that do not go together. `random` makes
    the file key, the nonce and what recipients need; that of HPKE and RSA is the library's own. `close` ends the
    threads and wipes, also in the middle.
    """

    def __init__(
        self, recipients: Sequence[Recipient], random: Callable[[int], bytes], threads: int, *, armored: bool = False
    ) -> None:
        check(recipients)
        self._recipients = tuple(recipients)
        self._random = random
        self._threads = threads
        self._armorer = Armorer() if armored else None
        self._chunker = Chunker()
        self._sealer: Sealer | None = None
        self.size: int = 0
        """Of what was taken, in bytes."""
        self.packed_size: int = 0
        """Of what was given."""

    def update(self, data: Buffer) -> Iterator[Bytes]:
        """Take a piece of any size, and copy it into memory that is wiped."""
        view = as_bytes(data)
        assert view is not None  # noqa: S101 - a Buffer is one
        for chunk in self._chunker.push(view):
            yield from self.take(chunk)

    def take(self, chunk: Chunk) -> Iterator[Bytes]:
        """Take a chunk of `CHUNK` bytes, or the last one, and release it."""
        self.size += len(chunk.data)
        if self._sealer is None:
            try:
                yield from self._begin()
            except BaseException:
                chunk.release()
                raise
        assert self._sealer is not None  # noqa: S101 - it has begun
        yield from self._armor(self._sealer.update(chunk))

    def finish(self) -> Iterator[Bytes]:
        """End the file."""
        if chunk := self._chunker.take():
            yield from self.take(chunk)
        if self._sealer is None:
            yield from self._begin()
        assert self._sealer is not None  # noqa: S101 - it has begun
        yield from self._armor(self._sealer.finish())
        if self._armorer is not None:
            yield from map(self._count, self._armorer.finish())

    def close(self) -> None:
        """End the threads and wipe; also in the middle."""
        self._chunker.close()
        if self._sealer is not None:
            self._sealer.close()

    def _begin(self) -> Iterator[Bytes]:
        with keys.slots() as slots, keys.slot(slots, spec.FILE_KEY_SIZE) as file_key:
            move_into(self._random(spec.FILE_KEY_SIZE), file_key)
            header = make_header(self._recipients, file_key, self._random).encode()
            nonce = self._random(spec.NONCE_SIZE)
            with keys.slot(slots, keys.KEY_SIZE) as key:
                keys.derive_payload_key(file_key, nonce, key)
                self._sealer = Sealer(key, self._threads)
        yield from self._armor(iter((header + nonce,)))

    def _armor(self, pieces: Iterator[Bytes]) -> Iterator[Bytes]:
        for piece in pieces:
            if self._armorer is None:
                yield self._count(piece)
            else:
                yield from map(self._count, self._armorer.update(piece))

    def _count(self, piece: Bytes) -> Bytes:
        self.packed_size += len(piece)
        return piece


class Sealed:
    """An age file, opened as far as that goes without a key. Raises `FormatError`, `LimitError`.

    `source` is the caller's. `size` is what the file holds by its length, which nothing vouches for yet.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self.armored: bool = is_armored(source)
        self._source: Source = ArmoredSource(source) if self.armored else source
        self.header: spec.Header
        self.header, self._end = spec.read_header(self._source, limits)
        if self._source.size - self._end < spec.NONCE_SIZE:
            message = "the file ends before the payload's nonce"
            raise TruncatedError(message, offset=self._source.size, spec="age, Payload")
        self.size: int = plain_size(self._source.size - self._end - spec.NONCE_SIZE)

    def open(self, own: Iterable[Identity], threads: int) -> Payload:
        """Return what it holds; the caller closes that. The header and the last chunk are checked here.

        Raises `WrongKeyError`, `TamperedError`, `FormatError`, `LimitError`.
        """
        payload = self.unlock(own, threads)
        try:
            payload.check_end()
        except BaseException:
            payload.close()
            raise
        return payload

    def unlock(self, own: Iterable[Identity], threads: int) -> Payload:
        """As `open`, but of the payload nothing is checked yet: for who reads from its start, chunk by chunk."""
        key = payload_key(self.header, own, lambda: read(self._source, self._end, spec.NONCE_SIZE))
        try:
            return Payload(self._source, self._end + spec.NONCE_SIZE, key, threads)
        except BaseException:
            key.close()
            raise


def payload_key(header: spec.Header, own: Iterable[Identity], nonce: Callable[[], bytes]) -> SecretBuffer:
    """Return the key of a payload, once the header's MAC holds. Raises as `Sealed.open`."""
    with keys.slots() as slots, keys.slot(slots, spec.FILE_KEY_SIZE) as file_key:
        identities.unwrap(header, own, file_key)
        keys.check_mac(header, file_key)
        key = SecretBuffer(keys.KEY_SIZE)
        try:
            with memoryview(key) as view:
                keys.derive_payload_key(file_key, nonce(), view)
        except BaseException:
            key.close()
            raise
    return key


def open_pieces(
    pieces: Iterable[Buffer], own: Sequence[Identity], limits: Limits, threads: int
) -> Generator[memoryview]:
    """Give what an age file in pieces holds, each chunk once it is authenticated, in constant memory: for pipes.

    Whoever takes it has to take back what they did with it where this raises: the end may be missing. Armor is not read
    here. Raises as `Sealed.open`, and `TamperedError` and `TruncatedError` in the middle.
    """
    rest, head = iter(pieces), _Head(limits)
    for piece in rest:
        if head.add(piece):
            break
    header, end = spec.read_header(head, limits)
    start = end + spec.NONCE_SIZE
    if head.size < start:
        message = "the file ends before the payload's nonce"
        raise TruncatedError(message, offset=head.size, spec="age, Payload")
    with payload_key(header, own, lambda: head.data[end:start]) as key, memoryview(key) as view:
        opener = Opener(view, threads)
    with closing(opener):
        yield from opener.update(head.data[start:])
        for piece in rest:
            yield from opener.update(piece)
        yield from opener.finish()


def open_identities(source: Source, name: str, ask: Callable[[], Secret] | None, limits: Limits) -> list[Identity]:
    """Return the identities in a file, which may itself be encrypted with a passphrase. `source` is the caller's.

    `ask` is asked once, where a passphrase is needed. Raises as `identities.parse_file`, `Sealed.open`.
    """
    if source.size > identities.LARGEST_FILE:
        message = f"{name!r} has more than {identities.LARGEST_FILE} bytes"
        raise LimitError(message)
    start = read(source, 0, min(max(map(len, _ENCRYPTED)), source.size))
    if not start.startswith(_ENCRYPTED):
        return _parse(source, name, ask)
    sealed = Sealed(source, limits)
    if ask is None or all(stanza.kind != SCRYPT for stanza in sealed.header.stanzas):
        message = f"{name!r} is encrypted, and not with a passphrase that could be asked for"
        raise FormatError(message)
    with ask() as phrase, closing(sealed.open([ScryptIdentity(phrase, limits)], 1)) as payload:
        payload.check()
        return _parse(payload, name, None)


def _parse(source: Source, name: str, ask: Callable[[], Secret] | None) -> list[Identity]:
    if not source.size:
        message = f"{name!r} has no identities"
        raise ValueError(message)
    with SecretBuffer(source.size) as text, memoryview(text) as view:
        source.read_into(0, view)
        return identities.parse_file(view, name, ask)


class _Head:
    """The beginning of a file that comes in pieces, as a `Source`."""

    def __init__(self, limits: Limits) -> None:
        self._bound = min(limits.header_size, spec.LARGEST_HEADER)
        self.data = b""
        self.size: int = 0

    def add(self, piece: Buffer) -> bool:
        """Take a piece, and return whether the header and the nonce are there, or are too long."""
        self.data += memoryview(piece)
        self.size = len(self.data)
        end = spec.header_end(self.data)
        return self.size > self._bound or (end is not None and self.size >= end + spec.NONCE_SIZE)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        buffer[:] = self.data[offset : offset + len(buffer)]

    def close(self) -> None:
        """See `Source`."""
