"""A progress bar on standard error, for work that takes more than a second, where a terminal is there to show it."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from strongroom.cli.units import size

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PATIENCE: Final = 1.0  # seconds
_INTERVAL: Final = 0.1  # between two pictures
_WINDOW: Final = 50  # pictures in which the rate is measured: it follows a disk that gets slower
_NARROW: Final = 60  # columns below which the size goes
_LONGEST: Final = 100 * 3600  # seconds that are worth saying


class Bar:
    """Called as the library calls `progress`, with the bytes done and in all. Leaving its block takes the bar away.

    `doing` names what is done: one thing after the other, where `done` starts again.
    """

    def __init__(self, *doing: str, quiet: bool) -> None:
        self._doing, *self._then = doing
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._next: float | None = None
        self._measured: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._done = 0
        self._rich: RichProgress | None = None
        self._task: TaskID

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def __call__(self, done: int, total: int | None) -> None:
        """Show how far the work is."""
        if not self._shown:
            return
        now = time.monotonic()
        if done < self._done:
            self._doing = self._then.pop(0) if self._then else self._doing
            self._measured.clear()
            self.hide()
        self._done = done
        if not self._measured:
            self._measured.append((now, done))
        if self._next is None:  # the work begins now, and not when the password is asked for
            self._next = now + _PATIENCE
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if self._rich is None:
            self._rich = self._start(total)
        start, before = self._measured[0]
        self._measured.append((now, done))
        speed = (done - before) / (now - start) if now > start else 0.0
        said = facts(done, total, speed, narrow=self._rich.console.width < _NARROW)
        self._rich.update(self._task, completed=done, total=total, facts=said, refresh=True)

    def _start(self, total: int | None) -> RichProgress:
        from rich.console import Console  # noqa: PLC0415 - 80 ms, and most runs end before
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        bar = [] if total is None else [BarColumn(bar_width=None)]
        rich = Progress(
            TextColumn("{task.description}"),
            *bar,
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            auto_refresh=False,  # pictures follow the calls, so no thread is needed
            transient=True,
            redirect_stdout=False,
            expand=total is not None,
        )
        self._task = rich.add_task(self._doing, total=total, facts="")
        rich.start()
        return rich

    def hide(self) -> None:
        """Take the bar away until there is something to show again."""
        if self._rich is not None:
            self._rich.stop()
            self._rich = None


def facts(done: int, total: int | None, speed: float, *, narrow: bool) -> str:
    """Say how far it is, how fast (in bytes a second) and, where that can be known, for how long still."""
    rate = f"{size(int(speed))}/s"
    if not total:
        return f"{size(done)}, {rate}"
    part = f"{min(done * 100 // total, 100)}%"
    left = (total - done) / speed if speed else _LONGEST
    when = f", {_clock(left)} left" if 0 <= left < _LONGEST else ""
    return f"{part}, {rate}{when}" if narrow else f"{part} of {size(total)}, {rate}{when}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
