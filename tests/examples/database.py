"""A PostgreSQL server of the tests' own, on a socket in a scratch folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import missing, tool

ROWS = 20_000
_OWNER = "postgres"  # the server refuses to run as root
_INSTALLED = Path("/usr/lib/postgresql")  # Debian's, where not all of it is on PATH


@dataclass(frozen=True)
class Server:
    """How to reach it: by the environment."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings for its programs."""
        return {**os.environ, "PGHOST": str(self.folder), "PGUSER": _OWNER}

    def run(self, database: str, *statements: str) -> str:
        """Run statements, and return what they give."""
        command = [tool("psql"), "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", database]
        done = subprocess.run(
            command, input=";".join(statements), env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, sorted(_INSTALLED.glob(f"*/bin/{name}"), reverse=True)), None)
    return found or missing(f"PostgreSQL's {name} is not installed")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start it; it ends with the tests."""
    initdb, postgres = _program("initdb"), _program("postgres")
    owner = {"user": _OWNER, "group": _OWNER} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="strongroom-"))  # the path of a socket is short
    try:
        if owner:
            shutil.chown(folder, _OWNER, _OWNER)
        made = [initdb, "-D", str(folder / "data"), "-A", "trust", "-U", _OWNER, "--no-sync", "--locale=C.UTF-8"]
        subprocess.run(made, check=True, capture_output=True, cwd="/", **owner)
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        command = [postgres, "-D", str(folder / "data"), *settings]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **owner
        ) as process:
            try:
                _wait(process, folder / ".s.PGSQL.5432")
                yield Server(folder)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def clinic(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A database `clinic` with a table, and an empty one, `copy`."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("clinic", "copy"):
        server.run("postgres", f"DROP DATABASE IF EXISTS {name}")
        server.run("postgres", f"CREATE DATABASE {name}")
    filled = "INSERT INTO patient SELECT i, 'canary ' || i FROM generate_series(1, :rows) i".replace(":rows", str(ROWS))
    server.run("clinic", "CREATE TABLE patient (id INT PRIMARY KEY, name TEXT NOT NULL)", filled)
    return server


def _wait(process: subprocess.Popen[bytes], socket: Path) -> None:
    ready = [tool("pg_isready"), "--quiet", "--host", str(socket.parent)]
    for _ in range(600):
        assert process.poll() is None, "the server did not start"
        if socket.exists() and not subprocess.run(ready, check=False).returncode:
            return
        time.sleep(0.05)
    pytest.fail("the server does not answer")
