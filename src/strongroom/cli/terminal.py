"""The terminal of this process, to ask for a password on, whatever standard input and output are."""

from __future__ import annotations

import os
import signal
import termios
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

    def __init__(self) -> None:
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            message = "there is no terminal to ask for the password on"
            hint = "give it with --password-file, --password-fd or --password-command"
            raise Misuse(message, hint=hint) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

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
                raise Failure(message)
            if view[count - 1] == ord("\n"):
                count -= 1
            return Secret(view[:count]) if count else None

    def _write(self, text: str) -> None:
        os.write(self._descriptor, text.encode(errors="replace"))
