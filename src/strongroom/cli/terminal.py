"""The terminal of this process, to ask for a password on, whatever standard input and output are."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import printable
from strongroom.memory.secret import Secret, SecretBuffer

if TYPE_CHECKING:
    from types import TracebackType

_LINE: Final = 4096  # what the kernel keeps of a typed line
_LOCAL: Final = 3  # the place of the local flags in what tcgetattr gives


class Terminal:
    """A context manager. Raises `Misuse` where there is no terminal."""

    def __init__(self, what: str = "password", prefix: str = "--") -> None:
        self._locked: int | None = None
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            message = f"there is no terminal to ask for the {what} on"
            *others, last = (f"{prefix}password-{source}" for source in ("file", "fd", "command", "keyring"))
            hint = f"give it with {', '.join(others)} or {last}"
            raise Misuse(message, hint=hint) from None

    def __enter__(self) -> Self:
        """Wait until no other process of this pipeline asks."""
        self._locked = _lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        if self._locked is not None:
            fcntl.lockf(self._locked, fcntl.LOCK_UN, 1, os.getpgrp())

    def say(self, text: str) -> None:
        """Show a line."""
        self._write(f"{printable(text)}\n")

    def ask(self, prompt: str) -> Secret | None:
        """Read a line that is not shown; None where it is empty. Raises `Failure` where the input ends."""
        before = termios.tcgetattr(self._descriptor)
        silent = termios.tcgetattr(self._descriptor)
        silent[_LOCAL] = (silent[_LOCAL] & ~termios.ECHO) | termios.ICANON

        def begin(*_: object) -> None:
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, silent)
            self._write(printable(prompt))

        # After Ctrl-Z the shell lets the terminal show again what is typed, and does not take that back on `fg`.
        on_continue = signal.signal(signal.SIGCONT, begin)
        with SecretBuffer(_LINE) as line, memoryview(line) as view:
            try:
                begin()
                count = os.readv(self._descriptor, [view])
            finally:
                signal.signal(signal.SIGCONT, on_continue)
                termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, before)
                self._write("\n")
            if not count:
                message = "no password was given"
                raise Failure(message, hint="type it, and then Enter; Ctrl-D alone ends the input")
            if view[count - 1] == ord("\n"):
                count -= 1
            return Secret(view[:count]) if count else None

    def _write(self, text: str) -> None:
        os.write(self._descriptor, text.encode(errors="replace"))


def _lock() -> int | None:
    """Lock the terminal against the other processes of a pipeline; return the descriptor, or None without a lock.

    The lock is on a standard stream, since the inode of /dev/tty is that of every terminal of the machine. Each process
    group has a byte of its own: another one cannot read here, as it is not in the foreground, but it may have been
    stopped while it was asking, and nobody should wait for that.
    """
    for descriptor in (2, 0, 1):
        with suppress(OSError):  # it is closed, no terminal of ours, or the system has no such locks
            os.tcgetpgrp(descriptor)
            fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, os.getpgrp())
            return descriptor
    return None
