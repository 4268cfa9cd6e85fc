"""A database goes into an archive and comes back, through `pg_dump`, `psql` and pipes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import postgres_dump
from tests.examples.database import ROWS, Server, clinic, server
from tests.helpers import listing
from tests.leak.test_strace import CLI, PASSWORD, WRITES, check, trace
from tests.proof import Tried

__all__ = ["clinic", "server"]

TOTAL = f"{ROWS}|{ROWS * (ROWS + 1) // 2}"


def rows(server: Server) -> str:
    """What was restored."""
    return server.run("copy", "SELECT count(*), sum(id) FROM patient WHERE name LIKE 'canary %'")


def tables(server: Server) -> str:
    """Which tables there are."""
    return server.run("copy", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_there_and_back(clinic: Server, tmp_path: Path, tried: Tried) -> None:
    """All rows come back; what the archive's folder held meanwhile is the archive."""
    path = tmp_path / "dump.zip"
    postgres_dump.dump(path, PASSWORD.encode(), "clinic")
    assert listing(tmp_path) == [path.name]
    assert b"canary" not in path.read_bytes()
    postgres_dump.restore(path, PASSWORD.encode(), "copy")
    assert rows(clinic) == TOTAL
    tried("P1", "pg_dump and psql through pipes", "all rows come back; the archive is all there is")


@pytest.mark.parametrize(
    ("program", "database"), [(("pg_dump",), "missing"), (("sh", "-c", "pg_dump $0 | head -c 99999; exit 1"), "clinic")]
)
def test_a_dump_that_fails(clinic: Server, tmp_path: Path, program: tuple[str, ...], database: str) -> None:
    """There is no archive, though a part of a dump may look like a dump."""
    with pytest.raises(subprocess.CalledProcessError):
        postgres_dump.dump(tmp_path / "dump.zip", PASSWORD.encode(), database, program)
    assert listing(tmp_path) == []


def test_a_restore_that_fails(clinic: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried) -> None:
    """With a wrong password, a damaged archive, or a `cat` that ends in the middle, the database stays empty."""
    path = tmp_path / "dump.zip"
    postgres_dump.dump(path, PASSWORD.encode(), "clinic")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.zip").write_bytes(damaged)
    attempts = [(path, b"wrong"), (tmp_path / "damaged.zip", PASSWORD.encode()), (tmp_path / "no.zip", b"pass")]
    for archive, password in attempts:
        with pytest.raises(subprocess.CalledProcessError):
            postgres_dump.restore(archive, password, "copy")
        assert tables(clinic) == "0"
    killed = f'strongroom() {{ {sys.executable} -m strongroom "$@" | head -c 100000; kill -9 $$; }}; strongroom "$@"'
    monkeypatch.setattr(postgres_dump, "STRONGROOM", ("sh", "-c", killed, "sh"))
    with pytest.raises(subprocess.CalledProcessError):
        postgres_dump.restore(path, PASSWORD.encode(), "copy")
    assert tables(clinic) == "0"
    tried("P5", "restoring a dump that is damaged, or cut off by a kill", "the database stays empty", count=4)


def test_no_plaintext_on_the_way(clinic: Server, tmp_path: Path) -> None:
    """Of strongroom and `pg_dump`, none opens a file for writing but the archive."""
    out = tmp_path / "out"
    out.mkdir()
    options = ["seal", str(out / "dump.zip"), "--name", "dump.sql", "--password-fd", "FD"]
    found = trace(tmp_path, ["-c", CLI, *options, "--from-command", "--", "pg_dump", "clinic"])
    check(found)
    assert set(found.opened_for_writing()) - {"/dev/null", "/dev/tty"} == {str(out)}
    writes = [line for line in found.calls(*WRITES.split(",")) if "canary 1" in line]
    assert writes
    assert all("<pipe:" in line[:99] for line in writes)
