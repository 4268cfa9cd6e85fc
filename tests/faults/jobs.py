"""The jobs that write, as a table: what they are given, what they make, and when that is whole."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import strongroom
from strongroom import cli
from strongroom.audit.proof import canaries
from strongroom.output import _hidden_name
from strongroom.source import PARTIAL

CANARY: Final = os.urandom(16).hex().encode()
PASSWORD: Final = b"correct horse battery"
NEW_PASSWORD: Final = b"nine tame owls read maps"
SIZES: Final = {"large": (9 << 20) + 5, "small": 300, "empty": 0}
"""What is sealed: more than two buffers of the output, which are 4 MiB, and less."""

Run = Callable[[Path, Path], int]
"""Does a job, given the folder of what it reads and that of what it makes; returns an exit code."""


class Job(NamedTuple):
    """A job.

    run      does it
    makes    the name of the file, or folder, that is there afterwards
    whole    fails unless that is as it should be; its arguments are those of `run`
    before   what stands in the folder: names, and those of the files among `inputs` that are copied there
    receipt  the name of a receipt that follows it, once it is there
    staged   whether it makes one file under a name; else files one by one, below a folder
    """

    run: Run
    makes: str
    whole: Callable[[Path, Path], None]
    before: Mapping[str, str] = {}
    receipt: str = ""
    staged: bool = True


def make_inputs(folder: Path) -> None:
    """Make what the jobs read."""
    data = folder / "data"
    data.mkdir()
    for name, size in SIZES.items():
        (data / name).write_bytes(canaries(CANARY, size))
    (folder / "pw").write_bytes(PASSWORD)
    (folder / "new.pw").write_bytes(NEW_PASSWORD)
    for name in ("old", "new"):
        assert verb("keygen", "--classic", "-o", f"{name}.key")(folder, folder) == 0
        public = (folder / f"{name}.key").read_text().split("public key: ")[1].split()[0]
        (folder / f"{name}.pub").write_text(f"{public}\n")
    for path in folder.glob("*"):
        if path.is_file():
            path.chmod(0o600)
    for suffix in ("zip", "7z"):
        assert verb("seal", f"old.{suffix}", *_PW, *_STORE, "data")(folder, folder) == 0
    assert verb("seal", "old.zip.age", "-R", "old.pub", "data")(folder, folder) == 0
    assert verb("seal", "old.age", "-R", "old.pub", "data/large")(folder, folder) == 0
    (folder / "noise").write_bytes(b"what stood there before")


def verb(*arguments: str) -> Run:
    """A verb of the command line, in the folder of what it reads; OUT stands for that of what it makes."""

    def run(inputs: Path, out: Path) -> int:
        os.chdir(inputs)
        return cli.main([argument.replace("OUT", str(out)) for argument in arguments])

    return run


def _library(inputs: Path, out: Path) -> int:
    """Seal by the library, pushed and pulled, with one thread."""
    with strongroom.create(out / "a.zip", password=PASSWORD, compression="store", overwrite=True, threads=1) as room:
        for name in SIZES:
            with room.open(f"data/{name}", "wb") as file:
                file.write((inputs / "data" / name).read_bytes())
    return 0


def _library_extract(inputs: Path, out: Path) -> int:
    """Extract by the library, beside what is there."""
    with strongroom.open(inputs / "old.zip", password=PASSWORD) as room:
        room.extract(out)
    return 0


@cache
def contents(inputs: Path) -> dict[str, bytes]:
    """What was sealed, by name."""
    return {f"data/{name}": (inputs / "data" / name).read_bytes() for name in SIZES}


def _archive(
    name: str, *, key: str | None = None, single: str | None = None, password: bytes = PASSWORD
) -> Callable[[Path, Path], None]:
    """An archive is whole where it opens, all of it holds, and it has all that was sealed."""

    def whole(inputs: Path, out: Path) -> None:
        expected = contents(inputs)
        if single:
            expected = {name.removesuffix(".age"): expected[single]}
        how = {"identities": [inputs / f"{key}.key"]} if key else {"password": password}
        with strongroom.open(out / name, **how) as room:  # type: ignore[arg-type]
            assert room.verify().ok
            assert {entry.name: room.read(entry.name) for entry in room if entry.kind == "file"} == expected
        assert (out / name).stat().st_mode & 0o077 in (0, 0o077)  # exFAT has no modes

    return whole


def _files(name: str) -> Callable[[Path, Path], None]:
    """Extracted files are whole where each is."""

    def whole(inputs: Path, out: Path) -> None:
        for path, data in contents(inputs).items():
            assert (out / name / path.removeprefix("data/" if name == "data" else "")).read_bytes() == data

    return whole


def _identity(inputs: Path, out: Path) -> None:
    text = (out / "key").read_text()
    assert text.splitlines()[-1].startswith("AGE-SECRET-KEY-PQ-1")
    assert text.endswith("\n")


_PW: Final = ("--password-file", "pw")
_STORE: Final = ("--method", "store")
_OVER: Final = (*_PW, *_STORE, "--overwrite")
_ANEW: Final = (*_PW, "--new-password-file", "new.pw")
_NEW: Final = ("-i", "old.key", "-R", "new.pub")
_OLD: Final = "noise"

_LONGEST: Final = f"{'n' * 251}.zip"  # which leaves no room for a suffix

JOBS: Final[dict[str, Job]] = {
    "seal zip": Job(verb("seal", "OUT/a.zip", *_PW, *_STORE, "data"), "a.zip", _archive("a.zip")),
    "seal zip, verify": Job(
        verb("seal", "OUT/a.zip", "--verify", *_OVER, "data"), "a.zip", _archive("a.zip"), {"a.zip": _OLD}
    ),
    "seal zip over another": Job(
        verb("seal", "OUT/a.zip", *_OVER, "data"), "a.zip", _archive("a.zip"), {"a.zip": _OLD}
    ),
    "seal zip with a receipt": Job(
        verb("seal", "OUT/a.zip", "--receipt", "OUT/a.json", *_PW, *_STORE, "data"),
        "a.zip",
        _archive("a.zip"),
        receipt="a.json",
    ),
    "seal 7z over another": Job(verb("seal", "OUT/a.7z", *_OVER, "data"), "a.7z", _archive("a.7z"), {"a.7z": _OLD}),
    "seal zip.age": Job(
        verb("seal", "OUT/a.zip.age", "-R", "old.pub", "data"), "a.zip.age", _archive("a.zip.age", key="old")
    ),
    "seal age over another": Job(
        verb("seal", "OUT/a.age", "-R", "old.pub", "--overwrite", "data/large"),
        "a.age",
        _archive("a.age", key="old", single="data/large"),
        {"a.age": _OLD},
    ),
    "seal zip over another with the longest name": Job(
        verb("seal", f"OUT/{_LONGEST}", *_OVER, "data"), _LONGEST, _archive(_LONGEST), {_LONGEST: _OLD}
    ),
    "create zip over another": Job(_library, "a.zip", _archive("a.zip"), {"a.zip": _OLD}),
    "rekey zip.age": Job(
        verb("rekey", *_NEW, "OUT/a.zip.age"),
        "a.zip.age",
        _archive("a.zip.age", key="new"),
        {"a.zip.age": "old.zip.age"},
    ),
    "rekey zip.age, verify": Job(
        verb("rekey", *_NEW, "--verify", "OUT/a.zip.age"),
        "a.zip.age",
        _archive("a.zip.age", key="new"),
        {"a.zip.age": "old.zip.age"},
    ),
    "rekey zip": Job(
        verb("rekey", *_ANEW, "OUT/a.zip"), "a.zip", _archive("a.zip", password=NEW_PASSWORD), {"a.zip": "old.zip"}
    ),
    "rekey 7z": Job(
        verb("rekey", *_ANEW, "OUT/a.7z"), "a.7z", _archive("a.7z", password=NEW_PASSWORD), {"a.7z": "old.7z"}
    ),
    "convert zip to 7z": Job(verb("convert", *_PW, "old.zip", "OUT/a.7z"), "a.7z", _archive("a.7z")),
    "convert zip.age to zip over another": Job(
        verb("convert", "-i", "old.key", "--new-password-file", "pw", "old.zip.age", "OUT/a.zip", "--overwrite"),
        "a.zip",
        _archive("a.zip"),
        {"a.zip": _OLD},
    ),
    "rekey age into another": Job(
        verb("rekey", *_NEW, "old.age", "-o", "OUT/a.age"), "a.age", _archive("a.age", key="new", single="data/large")
    ),
    "keygen": Job(verb("keygen", "-o", "OUT/key"), "key", _identity),
    "extract zip": Job(verb("extract", "old.zip", "OUT/plain", *_PW), "plain", _files("plain"), staged=False),
    "extract 7z": Job(verb("extract", "old.7z", "OUT/plain", *_PW), "plain", _files("plain"), staged=False),
    "extract zip.age": Job(
        verb("extract", "old.zip.age", "OUT/plain", "-i", "old.key"), "plain", _files("plain"), staged=False
    ),
    "extract beside another": Job(_library_extract, "data", _files("data"), {"kept": _OLD}, staged=False),
}
STAGED: Final = {name: job for name, job in JOBS.items() if job.staged}


def lay(job: Job, inputs: Path, out: Path) -> dict[str, bytes | None]:
    """Put there what stands there before a job, alone but for hidden files, and return it."""
    _settle(out)
    for path in out.iterdir():
        if not PARTIAL.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name, source in job.before.items():
        (out / name).write_bytes((inputs / source).read_bytes())
    return standing(out)


def _settle(out: Path) -> None:
    """Wait until FUSE has heard that removed files are closed, which it keeps under hidden names until then."""
    deadline = time.monotonic() + 10
    while any(out.rglob(".fuse_hidden*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def standing(out: Path) -> dict[str, bytes | None]:
    """All that is in a folder: files and their contents; folders have none."""
    _settle(out)
    return {
        str(path.relative_to(out)): path.read_bytes() if path.is_file() else None
        for path in out.rglob("*")
        if not PARTIAL.fullmatch(path.name)
    }


def hidden(out: Path) -> list[Path]:
    """The files that P4 allows a kill to leave."""
    assert PARTIAL.fullmatch(_hidden_name())
    return [path for path in out.rglob("*") if PARTIAL.fullmatch(path.name)]
