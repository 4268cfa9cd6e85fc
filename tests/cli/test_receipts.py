"""`seal --receipt` and `verify --receipt`."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cli.running import Desk
from tests.helpers import text, tool

PHRASE = "open sesame"
SIGNED = ("--receipt", "case.json", "--receipt-key", "lab")


@pytest.fixture
def case(desk: Desk) -> Desk:
    """A desk with a file to seal, a key, and one with a passphrase."""
    desk.put("note.txt", text(100))
    for name, phrase in (("lab", ""), ("locked", PHRASE), ("stranger", "")):
        command = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", phrase, "-C", "lab", "-f", name]
        subprocess.run(command, cwd=desk.folder, check=True)
    return desk


@pytest.mark.parametrize("name", ["case.zip", "case.7z", "case.zip.age"])
def test_seal_and_verify(case: Desk, name: str) -> None:
    """The receipt holds without the password, and with it all the rest is read as well."""
    done = case.seal(name, "note.txt", *SIGNED)
    assert "case.json.sig" in done.err
    assert ("names" in done.err.partition("receipt:")[2]) is not name.endswith("case.zip")
    both = case.open("verify", name, "--receipt", "case.json", "--allowed-signers", "lab.pub")
    assert (both.code, both.err) == (0, "")
    assert len(both.out.splitlines()) == 2


def test_json(case: Desk) -> None:
    """Programs are told of the receipt, by both verbs."""
    done = case.seal("case.zip", "note.txt", *SIGNED, "--json")
    assert json.loads(done.out)["receipt"] == "case.json"
    found = json.loads(case.run("verify", "case.zip", "--receipt", "case.json", "--json").out)
    assert found["ok"] is True
    assert found["receipt"]["signature"] == "unknown"
    assert "entries" not in found
    found = json.loads(case.open("verify", "case.zip", "--receipt", "case.json", "--json").out)
    assert (found["entries"], found["manifest"]) == (1, "verified")


def test_altered(case: Desk) -> None:
    """It exits with 4, and with the password says also what was done."""
    case.seal("case.zip", "note.txt", *SIGNED)
    data = bytearray((case.folder / "case.zip").read_bytes())
    data[-60] ^= 1
    case.put("case.zip", data)
    done = case.run("verify", "case.zip", "--receipt", "case.json")
    assert done.code == 4
    assert b"SHA-256" in done.out
    more = case.open("verify", "case.zip", "--receipt", "case.json")
    assert more.code == 4
    assert len(more.out.splitlines()) > len(done.out.splitlines())
    assert json.loads(case.run("verify", "case.zip", "--receipt", "case.json", "--json").out)["ok"] is False


def test_other_signers(case: Desk) -> None:
    """A signature by another key, and none, are findings once the signers are named."""
    case.seal("case.zip", "note.txt", *SIGNED)
    for more, code in (
        ((), 0),
        (("--allowed-signers", "lab.pub"), 0),
        (("--allowed-signers", "stranger.pub"), 4),
        (("--allowed-signers", "pw"), 4),
        (("--allowed-signers", "missing"), 1),
        (("--allowed-signers", "lab.pub", "--signer", "anna"), 4),
        (("--signer", "anna"), 2),
    ):
        assert case.run("verify", "case.zip", "--receipt", "case.json", *more).code == code, more
    (case.folder / "case.json.sig").unlink()
    assert case.run("verify", "case.zip", "--receipt", "case.json").code == 0
    assert case.run("verify", "case.zip", "--receipt", "case.json", "--allowed-signers", "lab.pub").code == 4


def test_wrong_password(case: Desk) -> None:
    """It is told as such, also beside a receipt."""
    case.seal("case.zip", "note.txt", *SIGNED)
    case.put("other", b"another password")
    assert case.run("verify", "case.zip", "--receipt", "case.json", "--password-file", "other").code == 3


@pytest.mark.parametrize("data", [b"", b"{" * 100_000])
def test_what_is_no_receipt(case: Desk, data: bytes) -> None:
    """It is an error that names the receipt, not the archive's fault."""
    case.seal("case.zip", "note.txt")
    case.put("bad", data)
    code, problem, hint = case.run("verify", "case.zip", "--receipt", "bad").failure
    assert (code, hint) == (4, True)
    assert "receipt" in problem


def test_misuse(case: Desk) -> None:
    """Options that do not go together are told before anything is done."""
    names = case.names()
    for more in (
        ("case.zip", "note.txt", "--receipt-key", "lab"),
        ("case.zip", "note.txt", "--receipt-brief"),
        ("case.zip", "note.txt", "--receipt", "case.zip"),
        ("case.zip", "note.txt", "--receipt", "-"),
        ("-", "note.txt", "--receipt", "case.json", "--format", "zip"),
    ):
        assert case.open("seal", *more).failure[0] == 2, more
    for more in (
        ("--receipt", "missing/case.json"),
        ("--receipt", "note.txt"),
        ("--receipt", "case.json", "--receipt-key", "missing"),
        ("--receipt", "case.json", "--receipt-key", "lab.pub"),
        ("--receipt", "case.json", "--receipt-key", "note.txt"),
        ("--receipt", "case.json", "--receipt-key", "locked"),
    ):
        assert case.open("seal", "case.zip", "note.txt", *more).failure[0] == 1, more
    assert case.run("verify", "-", "--receipt", "case.json", stdin=b"").failure[0] == 2
    assert case.names() == names


def test_passphrase_at_a_terminal(case: Desk) -> None:
    """A key's passphrase is asked for, again where it is wrong, and shown nowhere."""
    arguments = ("seal", "case.zip", "note.txt", "--password-file", "pw", "--receipt", "case.json")
    terminal = case.at_terminal(*arguments, "--receipt-key", "locked")
    terminal.wait_for("Passphrase for locked: ")
    terminal.type("wrong\n")
    terminal.wait_for("Passphrase for locked: ")
    terminal.type(f"{PHRASE}\n")
    code, shown = terminal.end()
    assert code == 0
    assert PHRASE not in shown
    assert "wrong" not in shown
    assert case.run("verify", "case.zip", "--receipt", "case.json", "--allowed-signers", "locked.pub").code == 0


def test_brief(case: Desk) -> None:
    """What the archive hides is not in such a receipt either."""
    done = case.seal("case.7z", "note.txt", *SIGNED, "--receipt-brief")
    assert "names" not in done.err
    assert b"note" not in (case.folder / "case.json").read_bytes()


def test_a_secret_key_as_an_argument_is_refused(case: Desk) -> None:
    """As everywhere, and without showing it."""
    key = (case.folder / "lab").read_text()
    done = case.open("seal", "case.zip", "note.txt", "--receipt", "case.json", "--receipt-key", key)
    assert done.failure[0] == 2
    assert key.splitlines()[1] not in done.err
