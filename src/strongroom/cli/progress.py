"""A progress bar on standard error, for work that takes more than a second, where a terminal is there to show it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PATIENCE: Final = 1.0  # seconds
_INTERVAL: Final = 0.1  # between two pictures


class Bar:
    """Called as the library calls `progress`, with the bytes done and in all. Leaving its block takes the bar away."""

    def __init__(self, doing: str, *, quiet: bool) -> None:
        self._doing = doing
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._next: float | None = None
        self._done = 0
        self._rich: RichProgress | None = None
        self._task: TaskID

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Show how far the work is; `done` falls where what was written is read once more."""
        if not self._shown:
            return
        if done < self._done:
            self._doing = "verifying"
            if self._rich is not None:
                self._rich.reset(self._task, description=self._doing, total=total)
        self._done = done
        now = time.monotonic()
        if self._next is None:  # the work begins now, and not when the password is asked for
            self._next = now + _PATIENCE
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if self._rich is None:
            self._start(total)
        if self._rich is not None:
            self._rich.update(self._task, completed=done, total=total, refresh=True)

    def _start(self, total: int | None) -> None:
        from rich.console import Console  # noqa: PLC0415 - 80 ms, and most runs end before
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._rich = Progress(
            *columns,
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            auto_refresh=False,  # pictures follow the calls, so no thread is needed
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._rich.add_task(self._doing, total=total)
        self._rich.start()
