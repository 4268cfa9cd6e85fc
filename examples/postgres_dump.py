"""A PostgreSQL database, dumped into an archive and restored from it, through pipes alone.

In a shell:

    strongroom seal dump.zip --name dump.sql --from-command -- pg_dump clinic
    { echo 'BEGIN;'; strongroom cat dump.zip dump.sql && echo 'COMMIT;'; } | psql -v ON_ERROR_STOP=1 clinic

The archive appears only if `pg_dump` succeeds. `cat` prints the first byte once all of the dump is authentic, and what
comes to an end before its COMMIT restores nothing, be it a `cat` that was killed. Here the password goes through a
descriptor; which database it is, PGHOST, PGPORT and PGDATABASE say. `python -m examples.postgres_dump`
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NAME = "dump.sql"
STRONGROOM = (sys.executable, "-m", "strongroom")
PSQL = ("psql", "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1")


def dump(archive: Path, password: bytes, database: str, program: Sequence[str] = ("pg_dump",)) -> None:
    """Seal a dump; raises `CalledProcessError` where there is none, and then there is no archive either."""
    with descriptor_of(password) as number:
        command = [*STRONGROOM, "seal", str(archive), "--name", NAME, "--password-fd", str(number)]
        subprocess.run([*command, "--from-command", "--", *program, database], pass_fds=[number], check=True)


def restore(archive: Path, password: bytes, database: str) -> None:
    """Fill a database that is empty; raises `CalledProcessError`, and then it is as it was."""
    with descriptor_of(password) as number:
        command = [*STRONGROOM, "cat", str(archive), NAME, "--password-fd", str(number)]
        with subprocess.Popen([*PSQL, database], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as psql:
            psql.stdin.write(b"BEGIN;\n")
            psql.stdin.flush()
            subprocess.run(command, stdout=psql.stdin, pass_fds=[number], check=True)
            psql.stdin.write(b"COMMIT;\n")
    if psql.returncode:
        raise subprocess.CalledProcessError(psql.returncode, PSQL[0])


@contextmanager
def descriptor_of(password: bytes) -> Iterator[int]:
    """Give a pipe that holds the password, and is in no argument or environment."""
    reads, writes = os.pipe()
    try:
        os.write(writes, password)
        os.close(writes)
        yield reads
    finally:
        os.close(reads)


if __name__ == "__main__":
    where = os.environ["PGDATABASE"]
    dump(Path("postgres.zip"), b"nine tame owls read maps", where)
    print(f"{where} is in postgres.zip")
