"""Secret and SecretBuffer: memory for passwords and keys, wiped when it is done with."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn, Self, cast

from strongroom.errors import SecureMemoryError
from strongroom.memory.pages import Pages, Protection, fill_random, lock_limit, locked_bytes

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ZEROS: Final = memoryview(bytes(1 << 20))


def wipe(buffer: bytearray | memoryview | mmap.mmap) -> None:
    """Overwrite `buffer` with zeros."""
    with memoryview(buffer).cast("B") as view:
        for start in range(0, len(view), len(_ZEROS)):
            part = view[start : start + len(_ZEROS)]
            part[:] = _ZEROS[: len(part)]


class SecretBuffer(Pages):
    """`size` bytes of writable memory for passwords and keys: of their own pages, locked, and wiped on close.

    A context manager with the buffer protocol; after `close()` every use is a `ValueError`, and in a forked child that
    or a `SecureMemoryError`. Compared in constant time, unhashable, not picklable, and its repr shows a length only.

    `protection` says what keeps the memory from swap: "memfd_secret", "mlock" or, where the limit is used up, "none".
    That is warned of once, or with `locked=True` a `SecureMemoryError`.
    """

    def __new__(cls, size: int, *, locked: bool = False) -> Self:  # noqa: D102 - the class says it
        if size < 1:
            message = "a password or secret is empty; it has at least 1 byte"
            raise ValueError(message)
        return super().__new__(cls, size, locked=locked)

    @classmethod
    def random(cls, size: int) -> Self:
        """Make a key. It comes straight from the kernel: what `os.urandom` returns is a copy that nobody can wipe."""
        self = cls(size)
        fill_random(self)
        return self

    def close(self) -> None:
        """Wipe the memory and give it back. While views are still out, they show zeros and keep the pages."""
        self._wipe()
        super().close()

    def _wipe(self) -> None:
        if not self.closed and self.ours:
            wipe(self)

    def __del__(self) -> None:
        self._wipe()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (SecretBuffer, bytes, bytearray, memoryview)):
            return NotImplemented
        from hmac import compare_digest  # noqa: PLC0415 - loads a second OpenSSL, in 4 ms

        self.check_process()
        with memoryview(self) as mine, memoryview(cast("Buffer", other)) as theirs:
            return compare_digest(mine, theirs)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, closed>" if self.closed else f"<{type(self).__name__} of {len(self)} bytes>"

    def __reduce__(self) -> NoReturn:
        message = "a secret is not pickled"
        raise TypeError(message)


def available() -> Protection:
    """Return the protection that one more secret would get."""
    try:
        with SecretBuffer(1, locked=True) as buffer:
            return buffer.protection
    except SecureMemoryError:
        return "none"


class Scratch(SecretBuffer):
    """Room for plaintext: as a SecretBuffer, but what it may lock is half of the limit, and nobody is warned.

    The other half is for keys, which are short, and which swap must not get in any case. Input and output past the page
    cache, which cannot use secret memory, can use this.
    """

    def _protect(self) -> Protection:
        limit = lock_limit()
        if limit is None or locked_bytes(Scratch) + len(self) <= limit // 2:
            return self._lock()
        self._keep()
        return "none"

    def _report(self, *, demanded: bool) -> None:
        if demanded:
            super()._report(demanded=True)


class Secret(SecretBuffer):
    """A password or key. Text is encoded as UTF-8, without normalisation.

    Takes a `str` or a bytes-like object, or another Secret, and copies it; `Secret.take` also wipes what it copied.
    Raises `ValueError` for an empty value and for text with lone surrogates, which have no encoding; the rest is as for
    a SecretBuffer.
    """

    def __new__(cls, value: str | Buffer, *, locked: bool = False) -> Self:  # noqa: D102 - the class says it
        try:
            if isinstance(value, str):
                return cls._from_text(value, locked=locked)
            if isinstance(value, SecretBuffer):
                value.check_process()
            try:
                flat = memoryview(value).cast("B")
            except TypeError:
                message = f"a password or key is a str, bytes-like or a Secret, not {type(value).__name__}"
                raise TypeError(message) from None
            with flat as view:
                self = super().__new__(cls, len(view), locked=locked)
                self[:] = view
                return self
        finally:
            del value  # as in _from_text

    @classmethod
    def take(cls, value: bytearray, *, locked: bool = False) -> Self:
        """Make a Secret of `value` and wipe `value`; raises `TypeError` for anything but a bytearray."""
        if not isinstance(cast("object", value), bytearray):
            del value  # as in _from_text
            message = "only a bytearray can be taken, since only that can be wiped"
            raise TypeError(message)
        try:
            return cls(value, locked=locked)
        finally:
            wipe(value)

    @classmethod
    def _from_text(cls, text: str, *, locked: bool) -> Self:
        # Character by character: `text.encode()` would leave a copy that nobody wipes, and its UnicodeEncodeError
        # carries the whole text.
        if any("\ud800" <= character <= "\udfff" for character in text):
            del text  # tracebacks that show local variables would show it
            message = "the text has a lone surrogate, which has no encoding"
            raise ValueError(message)
        size = sum(1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff") for c in text)
        self = SecretBuffer.__new__(cls, size, locked=locked)
        position = 0
        for character in text:
            encoded = character.encode()
            self[position : position + len(encoded)] = encoded
            position += len(encoded)
        return self
