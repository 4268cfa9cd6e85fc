"""What a Fernet layer reads: record, token, and the recipe's key; in an input a NUL parts them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from warnings import catch_warnings, simplefilter

from fuzz.reading import LIMITS, PASSWORD
from strongroom import Entry, EntryNotFoundError, FernetLayer, RecipeLayer, StrongroomError
from strongroom.flow import chunks_of
from strongroom.layers import Layer
from strongroom.layers.derivation import PBKDF2Derivation, ScryptDerivation, derive, encode
from strongroom.layers.token import decode_key, encrypt
from strongroom.memory.secret import Secret

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEY: Final = base64.urlsafe_b64encode(bytes(range(32)))
SALT: Final = bytes(16)
IV: Final = bytes(16)


class Stored:
    """Entries of an archive, in a dictionary."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self._data = data

    def entry(self, name: str) -> Entry:
        """See `layers.Entries`."""
        if name not in self._data:
            raise EntryNotFoundError(name)
        return Entry(
            name=name,
            kind="file",
            size=len(self._data[name]),
            packed_size=len(self._data[name]),
            modified=datetime.fromtimestamp(0, UTC),
            mode=None,
            method="store",
            encryption="AES-256",
        )

    def chunks(self, name: str) -> Iterator[memoryview]:
        """See `layers.Entries`."""
        for start in range(0, len(self._data[name]), 1000):
            yield memoryview(bytearray(self._data[name][start : start + 1000]))

    def read_into(self, name: str, buffer: Buffer) -> int:
        """See `layers.Entries`."""
        with memoryview(buffer) as view:
            view[:] = self._data[name]
            return len(view)


def seeds() -> Iterator[bytes]:
    """Give both kinds of record, with tokens of a block, of a byte less, and of several."""
    with Secret(PASSWORD) as password:
        for derivation in (PBKDF2Derivation(SALT, 1000), ScryptDerivation(SALT, 1 << 10)):
            with derive(derivation, password, 32) as key:
                for data in (b"", bytes(15), bytes(16), bytes(3000)):
                    yield b"\0".join([encode(derivation), b"".join(encrypt(key, chunks_of(data), now=1, iv=IV)), KEY])
    with decode_key(memoryview(KEY)) as key:
        yield b"\0".join([b"", b"".join(encrypt(key, chunks_of(b"alpha"), now=1, iv=IV)), KEY + b"\r\n"])


def one(data: bytes) -> None:
    """Read it by password, by key, and as the recipe has it."""
    record, token, key = [*data.split(b"\0", 2), b"", b""][:3]
    entries = {"a.fernet": token, "a.fernet.json": record, "encrypted.txt": token, "encryption_key.txt": key}
    with FernetLayer(password=PASSWORD) as by_password, FernetLayer(key=KEY) as by_key, catch_warnings():
        simplefilter("ignore")
        ways: list[tuple[Layer, str]] = [(by_password, "a"), (by_key, "a"), (RecipeLayer(), "encrypted.txt")]
        for layer, name in ways:
            with suppress(StrongroomError):
                layer.unwrap(name, Stored(entries), LIMITS)
