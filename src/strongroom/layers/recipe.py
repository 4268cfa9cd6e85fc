"""RecipeLayer: reads archives of the popular recipe, which puts a Fernet token and its key into one encrypted ZIP."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, NoReturn

from strongroom.errors import FormatError, StrongroomWarning
from strongroom.layers.fernet import find_token, open_token
from strongroom.layers.token import decode_key
from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from strongroom.flow import Readable
    from strongroom.layers import Entries
    from strongroom.limits import Limits

_KEY_NAME: Final = "encryption_key.txt"
_LONGEST_KEY: Final = 128  # 44 characters, and what white space an editor leaves around them


class RecipeLayer:
    """Opens a token with the key that lies in the same folder of the archive, and warns of that each time.

    `key_name` is the name of the file with the key. For reading only: what it reads is better written with FernetLayer,
    whose key is nowhere, or without a layer.
    """

    def __init__(self, *, key_name: str = _KEY_NAME) -> None:
        self._key_name = key_name

    def wrap(self, name: str, data: Buffer | Readable | Iterable[Buffer]) -> NoReturn:
        """Refuse: nobody should write this."""
        del name, data
        message = "RecipeLayer only reads; FernetLayer writes tokens, and stores no key beside them"
        raise ValueError(message)

    def unwrap(self, name: str, entries: Entries, limits: Limits) -> bytes:
        """See `Layer`."""
        folder, slash, _ = name.rpartition("/")
        key_name = folder + slash + self._key_name
        token = find_token(name, entries, limits)
        with _read_key(key_name, entries) as key:
            message = (
                f"the Fernet key of {name!r} lies beside it, in {key_name!r}: whoever can open the archive needs "
                "nothing else, so that the second encryption protects nothing"
            )
            warnings.warn(message, StrongroomWarning, stacklevel=3)
            return open_token(key, token, entries)


def _read_key(name: str, entries: Entries) -> SecretBuffer:
    size = entries.entry(name).size
    if not 0 < size <= _LONGEST_KEY:
        message = f"{name!r} has {size} bytes, and a Fernet key has 44"
        raise FormatError(message)
    with SecretBuffer(size) as buffer:
        entries.read_into(name, buffer)
        with memoryview(buffer) as text:
            start, end = 0, size
            while start < end and text[start] in b" \t\r\n":
                start += 1
            while start < end and text[end - 1] in b" \t\r\n":
                end -= 1
            try:
                with text[start:end] as digits:
                    return decode_key(digits)
            except ValueError:
                message = f"{name!r} does not hold a Fernet key"
                raise FormatError(message) from None
