"""Who may use a RAM file system: one thread at a time, in the process that made it, until it is closed."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from strongroom.errors import SecureMemoryError, StrongroomError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Guard:
    """A lock that knows its process, whether all is over, and whether this very thread holds it already.

    That last case is a finalizer that the garbage collector runs in the middle of an operation, or a signal handler.
    It must not see half-made structures: what can wait does (`later`), and all else is a `RuntimeError`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._later: deque[Callable[[], None]] = deque()
        self._closed = False

    @property
    def ours(self) -> bool:
        """Whether this is the process that the guard was made in."""
        return self._process == os.getpid()

    @property
    def usable(self) -> bool:
        """Whether `use` is allowed here and still."""
        return self.ours and not self._closed

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def inside(self) -> bool:
        """Whether this thread is in the middle of an operation."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001 - as in Condition

    def use(self) -> AbstractContextManager[bool]:
        """Return the lock, for one operation.

        Raises `ValueError` after `close`, `SecureMemoryError` in another process, `RuntimeError` inside an operation.
        """
        self.check()
        if self.inside:
            message = "a finalizer or signal handler uses the RamFS in the middle of another operation on it"
            raise RuntimeError(message)
        if self._later:
            with self._lock:
                while self._later:
                    with suppress(StrongroomError):  # nobody is left to be told
                        self._later.popleft()()
        return self._lock

    def check(self) -> None:
        """Raise what `use` would for a closed guard, or in another process."""
        if not self.ours:
            message = "a RamFS cannot be used in a forked child"
            raise SecureMemoryError(message)
        if self._closed:
            message = "the RamFS is closed"
            raise ValueError(message)

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` before the next operation."""
        self._later.append(work)

    def close(self) -> None:
        """Allow no further use."""
        self._closed = True
        self._later.clear()
