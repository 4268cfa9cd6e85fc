"""Which files a process and its children open for writing, by ptrace: the kernel stops them at each system call.

What is seen is what the kernel did, whoever asked for it: Python, a C library or another program. It needs no right but
that to trace a child, and neither root nor strace.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

# linux/ptrace.h
_CONT_TO_CALL: Final = 24  # PTRACE_SYSCALL
_SEIZE: Final = 0x4206
_CALL_INFO: Final = 0x420E
_OPTIONS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXEC; EXITKILL
_EVENT_EXEC: Final = 4
_WALL: Final = 0x40000000
_IN_CALL: Final = signal.SIGTRAP | 0x80
_ENTRY, _EXIT = 1, 2

# The calls that give a descriptor of a file, and the one by which others could be had unseen; by machine.
_OPENS: Final = {
    "x86_64": {2: "open", 85: "creat", 257: "openat", 304: "open_by_handle_at", 437: "openat2", 240: "mq_open"},
    "aarch64": {56: "openat", 265: "open_by_handle_at", 437: "openat2", 180: "mq_open"},
}
_IO_URING_SETUP: Final = 425
_MACHINES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h, AUDIT_ARCH_*


class _Call(ctypes.Structure):
    """The front of struct ptrace_syscall_info; `value` is the number at the entry, the result at the exit."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("value", ctypes.c_int64),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was opened to be written to."""

    path: str
    pid: int
    program: str


class Tracer:
    """Watches a child of this process, and ends it; nobody else may wait for this process's children meanwhile.

    Raises `OSError` where the system refuses it, and `UnsupportedError` on a machine whose calls are not known here.
    """

    def __init__(self, pid: int) -> None:
        machine = platform.machine()
        if machine not in _OPENS:
            message = f"the system calls of {machine} are not known"
            raise UnsupportedError(message)
        self._opens = _OPENS[machine]
        self._arch = _MACHINES[machine]
        self._pid = pid
        self._ended = False
        self._call: dict[int, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.opened: list[Opened] = []
        self.unseen: list[str] = []
        self._libc.ptrace.restype = ctypes.c_long
        self._ptrace(_SEIZE, pid, data=_OPTIONS)

    def run(self, started: Callable[[int], None], stopped: Callable[[], None]) -> int:
        """Let the child run to its end, and return its status, as `waitpid` has it.

        `started` is called with a process's id when that has become another program, `stopped` when the child stops
        itself by SIGSTOP; it goes on afterwards.
        """
        while True:
            pid, status = os.waitpid(-1, _WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self._call.pop(pid, None)
                if pid == self._pid:
                    self._ended = True
                    return status
                continue
            event, number = status >> 16, os.WSTOPSIG(status)
            passed_on = 0
            with suppress(ProcessLookupError):  # killed meanwhile, of which waitpid will tell
                if number == _IN_CALL:
                    self._at_call(pid)
                elif event == _EVENT_EXEC:
                    started(pid)
                elif event or number == signal.SIGTRAP:
                    pass
                elif number != signal.SIGSTOP:
                    passed_on = number
                elif pid == self._pid:
                    stopped()
                self._ptrace(_CONT_TO_CALL, pid, data=passed_on)

    def end(self) -> None:
        """Kill the child where it still runs. Its threads are ours to wait for too, or it would never be gone."""
        if self._ended:
            return
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            while os.waitpid(-1, _WALL)[0] != self._pid:
                pass

    def _at_call(self, pid: int) -> None:
        call = _Call()
        self._ptrace(_CALL_INFO, pid, ctypes.sizeof(call), ctypes.addressof(call))
        if call.op == _ENTRY:
            self._call[pid] = call.value
            if call.arch != self._arch:
                self.unseen.append(f"process {pid} makes system calls of another machine")
            elif call.value == _IO_URING_SETUP:
                self.unseen.append(f"process {pid} uses io_uring, which opens files without a system call")
        elif call.op == _EXIT and self._call.get(pid) in self._opens and call.value >= 0:
            self._at_open(pid, call.value)

    def _at_open(self, pid: int, descriptor: int) -> None:
        process = Path("/proc", str(pid))
        fields = dict(line.split(":\t") for line in (process / f"fdinfo/{descriptor}").read_text().splitlines())
        if int(fields["flags"], 8) & os.O_ACCMODE != os.O_RDONLY:
            program = (process / "comm").read_text().strip()
            self.opened.append(Opened(str((process / f"fd/{descriptor}").readlink()), pid, program))

    def _ptrace(self, request: int, pid: int, address: int = 0, data: int = 0) -> None:
        if self._libc.ptrace(request, pid, ctypes.c_void_p(address), ctypes.c_void_p(data)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"ptrace: {os.strerror(number)}")
