"""A private folder, seen from outside: it is filled, a command runs in it, and what that left is read."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from strongroom.cli.failure import Failure
from strongroom.cli.private import inside
from strongroom.cli.signals import interrupts_left_to_child, signals_held
from strongroom.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

_MESSAGE: Final = 4096
_INTERVAL: Final = 0.1  # seconds between two looks at how much memory is taken
_SHARE: Final = 10  # of the time at most is spent on looking: a tenth
_BLOCK: Final = 512
_LOW: Final = 32  # a part of the memory, which stays free


class PrivateFolder:
    """Memory that is mounted for one command alone, `words`, which runs in the folder `cwd` of the tree there.

    `path` is where the tree is from here on. A context manager: at its end the command, all that it started, and the
    memory are gone; so they are when this process is killed. Raises `Failure` where the kernel forbids it.
    """

    def __init__(self, words: Sequence[str], limit: int, cwd: str = "") -> None:
        self._words, self._limit = words, limit
        self._folder: int | None = None
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, signals_held():
            self._helper = subprocess.Popen(  # noqa: S603 - ours, and the user's own words
                [
                    *(sys.executable, "-I", "-S", "-B", inside.__file__),
                    *(str(theirs.fileno()), str(os.getpid()), str(limit), cwd, *words),
                ],
                pass_fds=(theirs.fileno(),),
            )
        try:
            self.kind: str = self._receive_folder()
        except BaseException:
            self.close()
            raise
        self.path: str = f"/proc/self/fd/{self._folder}/{inside.TREE}"

    def _receive_folder(self) -> str:
        data, descriptors, _, _ = socket.recv_fds(self._channel, _MESSAGE, 1)
        if descriptors:
            self._folder = descriptors[0]
            os.set_inheritable(self._folder, False)  # noqa: FBT003
        answer = json.loads(data or b'{"refused": "the process that asks for it did not start"}')
        if reason := answer.get("refused"):
            message = f"a private folder in memory cannot be had here: {reason}"
            raise Failure(message, hint="it takes Linux 5.12, and user namespaces or root; containers forbid it often")
        return str(answer["kind"])

    def run(self) -> int:
        """Run the command; return its exit code, or the number of the signal that ended it, as a negative one.

        Raises `Failure` where it cannot be run, `LimitError` where it takes more memory than the limit.
        """
        with _Foreground(), interrupts_left_to_child():
            self._channel.send(b"\1")
            answer = json.loads(self._wait() or b"{}")
        self._check_memory()  # writes that failed for want of it leave half a file, and may have gone unnoticed
        if number := answer.get("errno"):
            message = f"the command {self._words[0]!r} cannot be run: {os.strerror(number)}"
            raise Failure(message, hint="check its name; the archive is as it was")
        if "status" not in answer:
            message = "the command was killed, with the process that watches over it"
            raise Failure(message, hint="the archive is as it was")
        return int(answer["status"])

    def _wait(self) -> bytes:
        """Wait for the command to end, and stop it where it takes too much memory."""
        self._channel.settimeout(_INTERVAL)
        while True:
            try:
                return self._channel.recv(_MESSAGE)
            except TimeoutError:
                start = time.monotonic()
                self._check_memory()
                self._channel.settimeout(max(_INTERVAL, _SHARE * (time.monotonic() - start)))

    def _check_memory(self) -> None:
        used = self._used()
        if used > self._limit:
            message = f"the command was stopped: its files have {used} bytes, and the limit is {self._limit}"
            raise LimitError(message)
        if _low_memory():
            message = "the command was stopped: this machine is about to run out of memory"
            raise LimitError(message)

    def _used(self) -> int:
        assert self._folder is not None, "it is open"  # noqa: S101 - of our own making
        if self.kind == "tmpfs":
            status = os.fstatvfs(self._folder)
            return (status.f_blocks - status.f_bfree) * status.f_frsize
        return sum(status.st_blocks * _BLOCK for _, status in walk(f"/proc/self/fd/{self._folder}"))

    def close(self) -> None:
        """End everything in the folder, and give the memory back."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        self._helper.kill()  # with which the first process there ends, and with that all others
        self._helper.wait()
        self._channel.settimeout(None)
        with suppress(OSError):
            while self._channel.recv(_MESSAGE):  # until nobody has the other end
                pass
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Foreground:
    """Takes the terminal back from a command, such as a shell, that has made itself its foreground."""

    def __enter__(self) -> None:
        self._group: int | None = None
        with suppress(OSError):
            self._group = os.tcgetpgrp(0)

    def __exit__(self, *_: object) -> None:
        if self._group is not None and self._group == os.getpgrp():
            before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            with suppress(OSError):
                os.tcsetpgrp(0, self._group)
            signal.signal(signal.SIGTTOU, before)


def walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give all that lies below a folder, by path in it, with its state; what cannot be entered is left out."""
    todo = [""]
    while todo:
        inner = todo.pop()
        try:
            with os.scandir(f"{folder}/{inner}") as found:
                items = list(found)
        except OSError:
            continue
        for item in items:
            with suppress(OSError):  # gone since
                status = item.stat(follow_symlinks=False)
                yield inner + item.name, status
                if stat.S_ISDIR(status.st_mode):
                    todo.append(f"{inner}{item.name}/")


def _low_memory() -> bool:
    figures = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in Path("/proc/meminfo").read_text().splitlines())
    }
    return figures["MemAvailable"] < figures["MemTotal"] // _LOW
