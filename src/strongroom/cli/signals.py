"""Ctrl-C, SIGTERM and a closed terminal end the work in the same way: by an exception, which cleans up."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; `number` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    """Have the signals that ask for the end raise `Stopped` in the main thread, but for those that are ignored."""
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a background job of a shell script
            signal.signal(number, _stop)


@contextmanager
def signals_held() -> Generator[None]:
    """Have a signal that asks for the end wait for that of the block: one that starts a program must learn of it."""
    came: list[int] = []
    held = [number for number in _STOPPING if signal.getsignal(number) is _stop]
    for number in held:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, _stop)
    if came:
        _stop(came[0], None)


@contextmanager
def interrupts_left_to_child() -> Generator[None]:
    """Leave Ctrl-C to a program in the foreground, which gets it too; it ends, or has another use for it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for other in _STOPPING:
        signal.signal(other, signal.SIG_IGN)  # an impatient second Ctrl-C must not interrupt the cleaning up
    raise Stopped(number)
