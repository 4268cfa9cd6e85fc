"""Secret and SecretBuffer: memory for passwords and keys, wiped when it is done with."""

from __future__ import annotations

import hmac
import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self, cast

from strongroom.errors import SecureMemoryError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ZEROS: Final = memoryview(bytes(1 << 20))

# Not in Python's mmap module before 3.13; the numbers are the kernel's (linux/mman.h).
_MADV_DONTDUMP: Final = getattr(mmap, "MADV_DONTDUMP", 16)
_MADV_WIPEONFORK: Final = getattr(mmap, "MADV_WIPEONFORK", 18)


def wipe(buffer: bytearray | memoryview | mmap.mmap) -> None:
    """Overwrite `buffer` with zeros."""
    with memoryview(buffer).cast("B") as view:
        for start in range(0, len(view), len(_ZEROS)):
            part = view[start : start + len(_ZEROS)]
            part[:] = _ZEROS[: len(part)]


class SecretBuffer(mmap.mmap):
    """`size` bytes of writable memory of their own pages: kept out of core dumps and child processes, wiped on close.

    A context manager with the buffer protocol; after `close()` every use is a `ValueError`. Compared in constant
    time, unhashable, not picklable, and its repr shows a length only.
    """

    _process: int

    def __new__(cls, size: int) -> Self:  # noqa: D102 - the class says it
        if size < 1:
            message = "a password or secret is empty; it has at least 1 byte"
            raise ValueError(message)
        self = super().__new__(cls, -1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for advice in (_MADV_DONTDUMP, _MADV_WIPEONFORK):
            self.madvise(advice)
        self._process = os.getpid()
        return self

    def check_process(self) -> None:
        """Raise `SecureMemoryError` in a forked child, where the memory holds zeros and not the secret."""
        if os.getpid() != self._process:
            message = "a secret does not go to a forked child"
            raise SecureMemoryError(message)

    def close(self) -> None:
        """Wipe the memory and give it back. While views are still out, they show zeros and keep the pages."""
        if not self.closed:
            wipe(self)
            with suppress(BufferError):
                super().close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            wipe(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (SecretBuffer, bytes, bytearray, memoryview)):
            return NotImplemented
        with memoryview(self) as mine, memoryview(cast("Buffer", other)) as theirs:
            return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, closed>" if self.closed else f"<{type(self).__name__} of {len(self)} bytes>"

    def __reduce__(self) -> NoReturn:
        message = "a secret is not pickled"
        raise TypeError(message)


class Secret(SecretBuffer):
    """A password or key. Text is encoded as UTF-8, without normalisation.

    Takes a `str` or a bytes-like object, or another Secret, and copies it; `Secret.take` also wipes what it copied.
    Raises `ValueError` for an empty value and for text with lone surrogates, which have no encoding.
    """

    def __new__(cls, value: str | Buffer) -> Self:  # noqa: D102 - the class says it
        try:
            if isinstance(value, str):
                return cls._from_text(value)
            with memoryview(value).cast("B") as view:
                self = super().__new__(cls, len(view))
                self[:] = view
                return self
        finally:
            del value  # as in _from_text

    @classmethod
    def take(cls, value: bytearray) -> Self:
        """Make a Secret of `value` and wipe `value`; raises `TypeError` for anything but a bytearray."""
        if not isinstance(cast("object", value), bytearray):
            del value  # as in _from_text
            message = "only a bytearray can be taken, since only that can be wiped"
            raise TypeError(message)
        try:
            return cls(value)
        finally:
            wipe(value)

    @classmethod
    def _from_text(cls, text: str) -> Self:
        # Character by character: `text.encode()` would leave a copy that nobody wipes, and its UnicodeEncodeError
        # carries the whole text.
        if any("\ud800" <= character <= "\udfff" for character in text):
            del text  # tracebacks that show local variables would show it
            message = "the text has a lone surrogate, which has no encoding"
            raise ValueError(message)
        size = sum(1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff") for c in text)
        self = SecretBuffer.__new__(cls, size)
        position = 0
        for character in text:
            encoded = character.encode()
            self[position : position + len(encoded)] = encoded
            position += len(encoded)
        return self
