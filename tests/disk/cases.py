"""What runs on the disk: the command line, on canaries in memory."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from strongroom.formats import Format
from strongroom.room.keygen import NewIdentity
from tests.disk.image import Disk, Secrets, disk, found, memory

SIZE: Final = 3 << 20
RUN: Final = ("-m", "strongroom")
DONE, FAILED, WRONG_KEY, DAMAGED = 0, 1, 3, 4


@dataclass(frozen=True)
class Case:
    """What a run is about: a format, secrets, a folder in memory with what is sealed and the keys to it, and a disk."""

    row: Format
    secrets: Secrets
    ram: Path
    disk: Disk
    folder: Path

    @property
    def single(self) -> bool:
        """Whether an archive is one file."""
        return self.row.name == "age"

    @property
    def source(self) -> str:
        """What is sealed."""
        return str(next((self.ram / "data").iterdir()) if self.single else self.ram / "data")

    @property
    def entry(self) -> str:
        """The name of the entry."""
        return "a" if self.single else f"data/{self.secrets.name}"

    @property
    def archive(self) -> str:
        """The name of the archive."""
        return f"a{self.row.suffixes[0]}"

    def sealing(self, key: str = "right") -> tuple[str, ...]:
        """How it is sealed."""
        return ("-R", f"{self.ram}/{key}.pub") if self.row.keys else ("--password-file", f"{self.ram}/{key}")

    def opening(self, key: str = "right") -> tuple[str, ...]:
        """How it is opened."""
        return ("-i", f"{self.ram}/{key}.key") if self.row.keys else ("--password-file", f"{self.ram}/{key}")

    def rekeying(self) -> tuple[str, ...]:
        """How it gets another key."""
        new = ("-R", f"{self.ram}/wrong.pub") if self.row.keys else ("--new-password-file", f"{self.ram}/wrong")
        return (*self.opening(), *new)

    def seal(self) -> None:
        """Make the archive."""
        self.run("seal", self.archive, "--overwrite", *self.sealing(), self.source)

    def run(self, *arguments: str, code: int = DONE, stdin: bytes = b"") -> bytes:
        """Run the command line, and return what went to standard output."""
        process = self.disk.start(*RUN, *arguments)
        out, said = process.communicate(stdin, timeout=100)
        assert process.returncode == code, said.decode()
        return out

    def kill(self, number: signal.Signals, seconds: float, *arguments: str) -> None:
        """Run it for so long."""
        process = self.disk.start(*RUN, *arguments)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        process.communicate()

    def found(self) -> dict[str, int]:
        """How much of it is on the disk, once that is no longer mounted."""
        name = self.secrets.name.encode()
        return found(self.folder, {"content": self.secrets.content, "name": name, "password": self.secrets.password})

    def check(self) -> None:
        """Fail where anything is on the disk but the names in a ZIP, which its format shows to all."""
        counts = self.found()
        assert bool(counts.pop("name", 0)) == (self.row.name == "zip")
        assert counts == {}


@contextmanager
def at_work(row: Format, folder: Path) -> Iterator[Case]:
    """A case, while its disk is mounted."""
    given = Secrets()
    (folder / "ram").mkdir()
    with memory(folder / "ram") as ram:
        (ram / "data").mkdir()
        (ram / "data" / given.name).write_bytes(given.plaintext(SIZE))
        for name, password in (("right", given.password), ("wrong", Secrets().password)):
            (ram / name).write_bytes(password)
            with (ram / f"{name}.key").open("wb") as file, closing(NewIdentity(classic=True)) as identity:
                file.writelines(identity.file(datetime.now(UTC)))
                (ram / f"{name}.pub").write_text(identity.recipient)
        for path in ram.iterdir():
            path.chmod(0o700 if path.is_dir() else 0o600)
        with disk(folder) as mounted:
            yield Case(row, given, ram, mounted, folder)
