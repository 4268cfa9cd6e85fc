from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.cli import VERBS
from strongroom.formats import FORMATS, Format
from tests.disk.cases import DAMAGED, FAILED, RUN, SIZE, WRONG_KEY, Case, at_work
from tests.disk.image import Secrets, disk, found
from tests.mounts import filled
from tests.proof import Tried, for_proof_alone

NOTHING = "no plaintext and no password on the raw disk"
AUDIT = """
import os, secrets, sys, types
from strongroom.audit import proof
from strongroom.cli import main
given = sys.stdin.buffer.read()
known = lambda size: given if size == len(given) else os.urandom(size)
proof.secrets = types.SimpleNamespace(token_bytes=known, token_hex=secrets.token_hex)
sys.exit(main(["audit", "."]))
"""

EDIT = """
import os, sys
os.environ["EDITOR"] = sys.argv[1]
os.execv(sys.executable, [sys.executable, "-B", "-m", "strongroom", *sys.argv[2:]])
"""
EDITOR = """sh -ec 'cat "$1" > .swp; cp .swp "$TMPDIR"; cp .swp "$HOME"; cat .swp >> "$1"; cp .swp /tmp || true' sh"""

OTHERS = ("7z", "age")
"""Formats that `make test` tries in the tests of verbs alone, since their output goes the same way."""

Times = Callable[[int, int], int]
each_format = pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)


def seals(case: Case) -> None:
    """From files, standard input and a command, into a new file and over another, compressed and not, and verified."""
    case.run("seal", case.archive, "--receipt", "receipt", "--receipt-brief", *case.sealing(), case.source)
    name = () if case.single else ("--name", case.entry)
    over = ("seal", case.archive, "--overwrite", *case.sealing(), *name)
    data = case.secrets.plaintext(SIZE)
    case.run(*over, "--method", "store", "--verify", "-", stdin=data)
    (source,) = (case.ram / "data").iterdir()
    case.run(*over, "--from-command", "--", "cat", str(source))
    case.run(*over, "--from-command", "--", "sh", "-c", f"cat {source}; exit 1", code=FAILED)


def cats(case: Case) -> None:
    """What is asked for goes to standard output."""
    assert case.secrets.content in case.run("cat", case.archive, case.entry, *case.opening())


def rekeys(case: Case) -> None:
    """Into another file, and in place."""
    case.run("rekey", case.archive, *case.rekeying(), "-o", f"new{case.row.suffixes[0]}")
    case.run("rekey", case.archive, *case.rekeying(), "--verify")
    case.seal()


def converts(case: Case) -> None:
    """Into a format that hides names, and back into its own."""
    other = "zip.age" if case.row.name == "7z" else "7z"
    new = ("--new-password-file", f"{case.ram}/right") if case.row.keys else ()
    case.run("convert", case.archive, f"other.{other}", *case.opening(), *new, "--verify")
    keys = ("-R", f"{case.ram}/right.pub") if case.row.keys else ()
    back = ("--password-file", f"{case.ram}/right", *keys, "--overwrite")
    case.run("convert", f"other.{other}", case.archive, *back)


def edits(case: Case) -> None:
    """By an editor that puts what it has wherever it can."""
    process = case.disk.start("-c", EDIT, EDITOR, "edit", case.archive, case.entry, *case.opening())
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said.decode()
    assert b"again" in said


def runs(case: Case) -> None:
    """A command that does the same, and is then killed with all that it has."""
    script = "f=$(find . -type f); cat $f $f > $TMPDIR/t; cp $TMPDIR/t $HOME; cp $HOME/t $f; (cp $f /var/tmp/x) || true"
    case.run("run", case.archive, *case.opening(), "--", "sh", "-ec", script)
    process = case.disk.start(
        *RUN, "run", case.archive, *case.opening(), "--", "sh", "-ec", f"{script}; echo; sleep 99"
    )
    assert process.stdout is not None
    assert process.stdout.read(1) == b"\n"
    process.kill()
    process.communicate()


WORK: dict[str, Callable[[Case], object]] = {
    "seal": seals,
    "ls": lambda case: case.run("ls", case.archive, *case.opening()),
    "cat": cats,
    "verify": lambda case: case.run("verify", case.archive, *case.opening()),
    "inspect": lambda case: case.run("inspect", case.archive),
    "rekey": rekeys,
    "convert": converts,
    "edit": edits,
    "run": runs,
}
"""What each verb that has to do with archives does here, in this order; `extract` is the control."""

OTHER_VERBS: dict[str, Callable[[Case], object]] = {
    "keygen": lambda case: case.run("keygen", "-o", "identity", "--password-file", f"{case.ram}/right"),
    "passphrase": lambda case: case.run("passphrase"),
    "completion": lambda case: case.run("completion", "bash"),
    "page": lambda case: case.run("page"),
    "doctor": lambda case: case.disk.start(*RUN, "doctor").communicate(),
    "audit": lambda _: None,  # below
}


def test_every_verb_is_tried() -> None:
    """Who adds a verb says here what it does with canaries."""
    assert {*WORK, *OTHER_VERBS, "extract"} == set(VERBS)


@each_format
def test_verbs(row: Format, tmp_path: Path, tried: Tried) -> None:
    """No verb but `extract` leaves plaintext or a password on the disk."""
    with at_work(row, tmp_path) as case:
        for work in WORK.values():
            work(case)
    case.check()
    tried("P1", f"every verb on {row.name}, the raw disk scanned", NOTHING, count=len(WORK))


def test_other_verbs(tmp_path: Path, tried: Tried) -> None:
    """Nor does a verb that knows no format leave a password."""
    with at_work(FORMATS["zip.age"], tmp_path) as case:
        for work in OTHER_VERBS.values():
            work(case)
    assert case.found() == {}
    tried("P1", "every other verb, the raw disk scanned", NOTHING, count=len(OTHER_VERBS) - 1)


def test_audit(tmp_path: Path, times: Times, tried: Tried) -> None:
    """Nor does an audit, whose canary is ours here."""
    for_proof_alone(times)
    given = Secrets()
    with disk(tmp_path) as mounted:
        out, said = mounted.start("-c", AUDIT).communicate(given.content, timeout=400)
        assert b"opened for writing" in out, said.decode()
    assert found(tmp_path, {"content": given.content}) == {}
    tried("P1", "an audit, the raw disk scanned", NOTHING)


@each_format
def test_failures(row: Format, tmp_path: Path, times: Times, tried: Tried) -> None:
    """Nor with a wrong password, nor on a damaged archive, which `extract` refuses before it makes a file."""
    if row.name in OTHERS:
        for_proof_alone(times)
    with at_work(row, tmp_path) as case:
        case.seal()
        readings = {
            "ls": () if case.row.name == "zip" else None,
            "cat": (case.entry,),
            "verify": (),
            "extract": ("plain",),
        }
        for verb, rest in readings.items():
            if rest is not None:
                case.run(verb, case.archive, *rest, *case.opening("wrong"), code=WRONG_KEY)
        path = case.disk.out / case.archive
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        for verb, rest in readings.items():
            if rest and verb != "ls":
                case.run(verb, case.archive, *rest, *case.opening(), code=DAMAGED)
        assert not (case.disk.out / "plain").exists()
    case.check()
    tried("P1", f"wrong keys and a damaged {row.name}, the raw disk scanned", NOTHING, count=6)


@each_format
def test_kills(row: Format, tmp_path: Path, times: Times, tried: Tried) -> None:
    """Nor where a verb is killed at any moment."""
    if row.name in OTHERS:
        for_proof_alone(times)
    with at_work(row, tmp_path) as case:
        start = time.monotonic()
        case.seal()
        duration = time.monotonic() - start
        lines = [
            ("seal", case.archive, "--overwrite", *case.sealing(), case.source),
            ("cat", case.archive, case.entry, *case.opening()),
            ("verify", case.archive, *case.opening()),
        ]
        new = f"new{case.row.suffixes[0]}"
        lines.append(("rekey", case.archive, *case.rekeying(), "-o", new, "--overwrite"))
        count = times(1, 20)
        chance = random.Random(0)
        for line in lines:
            for _ in range(count):
                number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
                case.kill(number, duration * chance.random(), *line)
    case.check()
    tried("P1", f"kills of verbs on {row.name}, the raw disk scanned", NOTHING, count=count * len(lines))


@each_format
def test_full_disk(row: Format, tmp_path: Path, times: Times, tried: Tried) -> None:
    """Nor where the disk gets full."""
    if row.name in OTHERS:
        for_proof_alone(times)
    with at_work(row, tmp_path) as case:
        case.seal()
        with filled(case.disk.place, 1 << 20):
            case.run("seal", f"b{case.archive}", *case.sealing(), "--method", "store", case.source, code=FAILED)
            case.run("rekey", case.archive, *case.rekeying(), code=FAILED)
    case.check()
    tried("P1", f"a full disk under {row.name}, the raw disk scanned", NOTHING)


@each_format
def test_extract_is_found(row: Format, tmp_path: Path) -> None:
    """The method itself: `extract` leaves plaintext, by name, and the scan finds it."""
    with at_work(row, tmp_path) as case:
        case.seal()
        case.run("extract", case.archive, "plain", *case.opening())
    counts = case.found()
    assert counts["content"] >= SIZE // 80
    assert bool(counts["name"]) != case.single  # a plain age file keeps no name
    assert "password" not in counts
