"""Runs the command line as its users do: as a process, in a folder, with pipes or a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PASSWORD = b"correct horse battery"
COMMAND = [sys.executable, "-m", "strongroom"]
PATIENCE = 60.0


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    out: bytes
    err: str

    @property
    def failure(self) -> tuple[int, str, bool]:
        """The exit code, the error, and whether there was a hint; nothing else may have been said."""
        error, *more = self.err.splitlines()
        assert error.startswith("strongroom: error: "), self.err
        assert len(more) <= 1, self.err
        assert all(line.startswith("strongroom: hint: ") for line in more), self.err
        assert not self.out
        return self.code, error.removeprefix("strongroom: error: "), bool(more)


class Desk:
    """A folder to work in, with a password file `pw`; no run has a terminal but those of `at_terminal`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.put("pw", PASSWORD + b"\n").chmod(0o600)

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def names(self) -> list[str]:
        """What is in the folder, but for the password file."""
        return sorted({path.name for path in self.folder.iterdir()} - {"pw"})

    def run(self, *arguments: str, stdin: bytes | IO[bytes] | None = None, **more: str) -> Done:
        """Run the command to its end; `more` goes into the environment."""
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin or subprocess.DEVNULL}
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=_environment() | more,
            capture_output=True,
            start_new_session=True,  # which has no terminal
            timeout=PATIENCE,
            check=False,
            **given,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def open(self, verb: str, *arguments: str, stdin: bytes | None = None) -> Done:
        """Run a verb with the password file."""
        return self.run(verb, *arguments, "--password-file", "pw", stdin=stdin)

    def seal(self, archive: str, *arguments: str, stdin: bytes | None = None) -> Done:
        """Seal, and insist that it works."""
        done = self.run("seal", archive, "--password-file", "pw", *arguments, stdin=stdin)
        assert done.code == 0, done.err
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command with pipes all around."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def at_terminal(
        self, *arguments: str, stdin: int | None = None, stdout: int | None = None, **more: str
    ) -> Terminal:
        """Start the command on a terminal of its own; `stdin` and `stdout` may be descriptors instead."""
        return Terminal([*COMMAND, *arguments], self.folder, _environment() | more, stdin, stdout)

    def script_at_terminal(self, script: str) -> Terminal:
        """Start a shell script on a terminal of its own."""
        return Terminal(["sh", "-c", script], self.folder, _environment(), None, None)


class Terminal:
    """A process on a pseudo-terminal, and what that shows."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], stdin: int | None, stdout: int | None
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.shown = b""
        self._seen = 0
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"} | environment,
            stdin=theirs if stdin is None else stdin,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call, no locks
        )
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        """Read until `text` is shown, after what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while (place := self.shown.find(text.encode(), self._seen)) < 0:
            assert self._read(deadline), f"{text!r} was not shown, but {self.shown!r}"
        self._seen = place + len(text)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def wait_for_a_waiting_process(self) -> None:
        """Return once a process waits for the lock of the terminal."""
        group = str(self._process.pid)
        deadline = time.monotonic() + PATIENCE
        while not any(
            line.split()[1] == "->" and line.split()[-2:] == [group, group]
            for line in Path("/proc/locks").read_text().splitlines()
        ):
            assert time.monotonic() < deadline, Path("/proc/locks").read_text()

    def stop_and_continue(self) -> None:
        """Do what a shell does on Ctrl-Z and `fg`: have typing shown in between."""
        modes = termios.tcgetattr(self._ours)
        modes[3] |= termios.ECHO
        self._process.send_signal(signal.SIGSTOP)
        termios.tcsetattr(self._ours, termios.TCSANOW, modes)
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> tuple[int, str]:
        """Wait for the end; give the exit code and all that was shown."""
        code, shown = self.end_raw()
        return code, shown.decode().replace("\r\n", "\n")

    def end_raw(self) -> tuple[int, bytes]:
        """Wait for the end; give the exit code and the bytes that were shown, each newline as two."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        code = self._process.wait(PATIENCE)
        os.close(self._ours)
        return code, self.shown

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            self._process.kill()
            self._process.wait()
            message = f"nothing happens; shown until now: {self.shown!r}"
            raise TimeoutError(message)
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # how Linux says that nobody has the other end
            return False
        self.shown += data
        return bool(data)


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_START")
    }
    return kept | {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
