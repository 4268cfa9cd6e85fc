"""FernetLayer: an entry as a token that any user of `cryptography` can read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Literal, Self

from strongroom.errors import FormatError, LimitError, TamperedError, WrongKeyError
from strongroom.flow import as_bytes, chunks_of
from strongroom.layers import entry_chunks
from strongroom.layers.derivation import KDFS, LONGEST, SALT_SIZE, decode, derive, encode
from strongroom.layers.token import IV_SIZE, KEY_SIZE, LARGEST, decode_key, decrypt, encrypt, too_large
from strongroom.memory.secret import Secret, SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.flow import Chunk, Readable
    from strongroom.formats import Entry
    from strongroom.layers import Entries
    from strongroom.layers.derivation import PBKDF2Derivation, ScryptDerivation
    from strongroom.limits import Limits

_SUFFIX: Final = ".fernet"
_RECORD_SUFFIX: Final = ".fernet.json"


class FernetLayer:
    """Fernet around an entry: NAME goes into `NAME.fernet`, exactly the token that `cryptography.fernet` makes.

    With a `password`, from which PBKDF2 or scrypt derives a key anew for each entry (half a second, so that guesses are
    slow), `NAME.fernet.json` says with which salt and cost. With a `key`, as `Fernet.generate_key()` gives it, there is
    the token alone. The key itself is never stored. Up to 256 MiB of data; more is a `LimitError`. A context manager;
    `close` wipes.
    """

    def __init__(
        self,
        *,
        password: str | Buffer | None = None,
        key: str | Buffer | None = None,
        kdf: Literal["pbkdf2", "scrypt"] = "pbkdf2",
    ) -> None:
        self._password: Secret | None = None
        self._key: SecretBuffer | None = None
        try:
            if (password is None) == (key is None):
                message = "FernetLayer takes a password or a key"
                raise ValueError(message)
            if kdf not in KDFS:
                message = f"no key derivation {kdf!r} (there are: {', '.join(KDFS)})"
                raise ValueError(message)
            if password is not None:
                self._password = Secret(password)
            elif key is not None:
                with Secret(key) as text, memoryview(text) as view:
                    self._key = decode_key(view)
        finally:
            del password, key  # tracebacks that show local variables would show them
        self._kdf = KDFS[kdf]
        # The seam by which test vectors enter; an IV that comes twice would show which messages begin alike.
        self._random = os.urandom
        self._now = time.time

    def wrap(self, name: str, data: Buffer | Readable | Iterable[Buffer]) -> list[tuple[str, Generator[bytes]]]:
        """See `Layer`."""
        self._check_open()
        view = as_bytes(data)
        if view is not None and len(view) > LARGEST:
            raise too_large(len(view))
        chunks = chunks_of(data)
        if self._password is None:
            return [(name + _SUFFIX, self._seal(chunks, None))]
        derivation = self._kdf(self._random(SALT_SIZE))
        return [(name + _SUFFIX, self._seal(chunks, derivation)), (name + _RECORD_SUFFIX, _once(encode(derivation)))]

    def unwrap(self, name: str, entries: Entries, limits: Limits) -> bytes:
        """See `Layer`."""
        self._check_open()
        derivation = None
        token = find_token(name + _SUFFIX, entries, limits)
        if self._password is not None:
            derivation = _read_record(name + _RECORD_SUFFIX, entries)
            derivation.check(limits)
        with self._key_of(derivation) as key:
            return open_token(key, token, entries)

    def close(self) -> None:
        """Wipe the password or key."""
        for secret in (self._password, self._key):
            if secret is not None:
                secret.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FernetLayer with a {'key' if self._password is None else 'password'}>"

    def _check_open(self) -> None:
        for secret in (self._password, self._key):
            if secret is not None:
                secret.check_process()
                if secret.closed:
                    message = "the layer is closed"
                    raise ValueError(message)

    def _seal(
        self, chunks: Iterator[Chunk], derivation: PBKDF2Derivation | ScryptDerivation | None
    ) -> Generator[bytes]:
        with self._key_of(derivation) as key:
            yield from encrypt(key, chunks, now=int(self._now()), iv=self._random(IV_SIZE))

    def _key_of(self, derivation: PBKDF2Derivation | ScryptDerivation | None) -> SecretBuffer:
        """Return the key for one operation, which closes it."""
        if derivation is not None and self._password is not None:
            return derive(derivation, self._password, KEY_SIZE)
        assert self._key is not None  # noqa: S101 - there is one or the other
        return Secret(self._key)


def find_token(name: str, entries: Entries, limits: Limits) -> Entry:
    """Return the entry of a token. Raises `EntryNotFoundError`, `LimitError`."""
    entry = entries.entry(name)
    if entry.size > limits.memory_size:
        message = f"{entry.size} bytes are above the memory_size limit of {limits.memory_size}"
        raise LimitError(message)
    return entry


def open_token(key: SecretBuffer, token: Entry, entries: Entries) -> bytes:
    """Return what a token holds.

    Raises `WrongKeyError`, since the archive vouches for the token; of an entry that is not encrypted, for which it
    does not, `TamperedError`.
    """
    try:
        with entry_chunks(entries, token.name) as chunks:
            return decrypt(key, chunks, token.name)
    except WrongKeyError:
        if token.encrypted:
            raise
    except MemoryError:
        message = f"there is no memory for the token {token.name!r} of {token.size} bytes"
        raise LimitError(message) from None
    message = f"the token {token.name!r} was changed, or the key does not fit"
    raise TamperedError(message)


def _read_record(name: str, entries: Entries) -> PBKDF2Derivation | ScryptDerivation:
    size = entries.entry(name).size
    if size > LONGEST:
        message = f"{name!r} has {size} bytes, and such a record at most {LONGEST}"
        raise FormatError(message)
    return decode(b"".join(map(bytes, entries.chunks(name))), name)


def _once(data: bytes) -> Generator[bytes]:
    yield data
