"""age on the command line: keys, recipients, identities, rekey; with the age tools beside it."""

from __future__ import annotations

import json
import subprocess

import pytest

from strongroom.formats.age import bech32
from tests.cli.running import Desk
from tests.helpers import tool

PHRASE = "typed passphrase"


@pytest.fixture
def keys(desk: Desk) -> str:
    """An identity in key.txt that every age knows; its recipient."""
    return made(desk, "key.txt", "--classic")


def made(desk: Desk, name: str, *options: str) -> str:
    """Make an identity, and return its recipient."""
    done = desk.run("keygen", "-o", name, "--json", *options)
    assert done.code == 0, done.err
    recipient: str = json.loads(done.out)["recipient"]
    return recipient


def test_keygen(desk: Desk) -> None:
    """The file is as age-keygen's, for its owner alone, and says which recipient belongs to it."""
    done = desk.run("keygen", "--classic", "-o", "key.txt")
    assert (done.code, done.out) == (0, b"")
    path = desk.folder / "key.txt"
    assert path.stat().st_mode & 0o777 == 0o600
    created, public, key = path.read_text().splitlines()
    recipient = subprocess.run([tool("age-keygen"), "-y", path], capture_output=True, text=True, check=True).stdout
    assert done.err == f"Public key: {recipient}"
    assert public == f"# public key: {recipient.strip()}"
    assert created.startswith("# created: 20")
    assert key.startswith("AGE-SECRET-KEY-1")


def test_keygen_never_replaces(desk: Desk) -> None:
    """An identity that is there stays."""
    desk.put("key.txt", b"mine")
    code, error, hint = desk.run("keygen", "-o", "key.txt").failure
    assert (code, error, hint) == (1, "key.txt is there already", True)
    assert (desk.folder / "key.txt").read_bytes() == b"mine"


def test_keygen_is_post_quantum(desk: Desk) -> None:
    """By default; it says which age that takes, and the key works."""
    done = desk.run("keygen")
    assert b"\nAGE-SECRET-KEY-PQ-1" in done.out
    assert "Public key: age1pq1" in done.err
    assert "age 1.3 or later" in done.err
    desk.put("key.txt", done.out)
    desk.put("x", b"data")
    recipient = done.err.splitlines()[0].removeprefix("Public key: ")
    sealed = desk.run("seal", "-r", recipient, "a.zip.age", "x")
    assert (sealed.code, "age 1.3 or later" in sealed.err) == (0, True)
    assert desk.run("cat", "-i", "key.txt", "a.zip.age").out == b"data"


def test_keygen_with_a_passphrase(desk: Desk) -> None:
    """The identity is an age file, which asks for its passphrase when it is needed, three times."""
    recipient = made(desk, "key.age", "--password-file", "pw")
    assert (desk.folder / "key.age").read_bytes().startswith(b"-----BEGIN AGE")
    desk.put("x", b"data")
    assert desk.run("seal", "-r", recipient, "a.zip.age", "x").code == 0
    assert desk.run("cat", "-i", "key.age", "--password-file", "pw", "a.zip.age").out == b"data"
    terminal = desk.at_terminal("cat", "-i", "key.age", "a.zip.age")
    terminal.wait_for("Passphrase for key.age: ")
    terminal.type("wrong\n")
    terminal.wait_for("That is not the passphrase; 2 tries left.")
    terminal.wait_for("Passphrase for key.age: ")
    terminal.type("correct horse battery\n")
    terminal.wait_for("data")
    assert terminal.end()[0] == 0
    assert desk.run("cat", "-i", "key.age", "a.zip.age").failure[0] == 2  # there is no terminal to ask on


def test_seal_for_age_and_back(desk: Desk, keys: str) -> None:
    """Both ways with `age`, and what the summary says opens it."""
    desk.put("report.csv", b"a,b\n")
    done = desk.run("seal", "-r", keys, "--armor", "report.csv.age", "report.csv", "--verify")
    assert "  age -d -i KEY.txt -o report.csv report.csv.age\n" in done.err
    identity = str(desk.folder / "key.txt")
    given = subprocess.run(
        [tool("age"), "-d", "-i", identity, desk.folder / "report.csv.age"], capture_output=True, check=True
    )
    assert given.stdout == b"a,b\n"
    theirs = subprocess.run([tool("age"), "-r", keys], input=b"theirs", capture_output=True, check=True).stdout
    assert desk.run("cat", "-i", "key.txt", "-", "data", stdin=theirs).out == b"theirs"


def test_every_reading_verb_takes_an_identity(desk: Desk, keys: str) -> None:
    """ls, cat, extract and verify; also from standard input."""
    desk.put("x", b"data")
    desk.put("team", f"# us\n{keys}\n".encode())
    assert desk.run("seal", "-R", "team", "a.zip.age", "x").code == 0
    assert b" x\n" in desk.run("ls", "-i", "key.txt", "a.zip.age").out
    verified = json.loads(desk.run("verify", "--json", "-i", "key.txt", "a.zip.age").out)
    assert (verified["ok"], verified["manifest"]) == (True, "unneeded")
    assert desk.run("extract", "-i", "key.txt", "a.zip.age", "out").code == 0
    assert (desk.folder / "out" / "x").read_bytes() == b"data"
    key = (desk.folder / "key.txt").read_bytes()
    assert desk.run("cat", "-i", "-", "a.zip.age", "x", stdin=key).out == b"data"


def test_whoever_has_no_identity_is_told_so(desk: Desk, keys: str) -> None:
    """And not asked for a password, on a terminal neither."""
    desk.put("x", b"data")
    for name in ("a.zip.age", "a.age"):
        assert desk.run("seal", "-r", keys, name, "x").code == 0
        terminal = desk.at_terminal("cat", name)
        code, shown = terminal.end()
        assert code == 3
        assert "-i FILE" in shown
    assert desk.run("ls", "a.age").code == 0
    made(desk, "other.txt")
    assert desk.run("verify", "-i", "other.txt", "a.zip.age").failure[0] == 3


def test_misuse(desk: Desk, keys: str) -> None:
    """Exit code 2, a hint, and nothing is made."""
    desk.put("x", b"data")
    desk.put("junk", b"junk\n")
    before = desk.names()
    for arguments in (
        ["seal", "a.zip", "-r", keys, "x"],
        ["seal", "a.age", "-r", keys, "--password-file", "pw", "x"],
        ["seal", "a.age", "-r", "age1junk", "x"],
        ["seal", "a.age", "-R", "junk", "x"],
        ["seal", "a.age", "-R", "-", "--name", "x", "-"],
        ["seal", "a.age", "-r", keys, "x", "junk"],
        ["rekey", "-", "-r", keys],
        ["rekey", "x", "-r", keys, "--new-password-file", "pw"],
        ["keygen", "--json"],
        ["cat", "-i", "-", "-"],
    ):
        code, _, hint = desk.run(*arguments).failure
        assert (code, hint) == (2, True), arguments
        assert desk.names() == before
    assert desk.run("seal", "a.age", "-r", keys, "x").code == 0
    assert desk.run("cat", "-i", "junk", "a.age").failure[0] == 2
    assert desk.run("cat", "-i", "none", "a.age").failure[0] == 1


def test_rekey(desk: Desk, keys: str) -> None:
    """In place and elsewhere, to recipients, with a password from a file, and with one that is typed."""
    desk.put("x", b"data")
    other = made(desk, "other.txt")
    assert desk.run("seal", "-r", keys, "a.zip.age", "x").code == 0
    assert desk.run("rekey", "-i", "key.txt", "-r", other, "a.zip.age").code == 0
    assert desk.run("cat", "-i", "key.txt", "a.zip.age").failure[0] == 3
    assert desk.run("cat", "-i", "other.txt", "a.zip.age").out == b"data"
    terminal = desk.at_terminal("rekey", "-i", "other.txt", "-o", "b.zip.age", "a.zip.age")
    for prompt in ("New password for b.zip.age: ", "The same again: "):
        terminal.wait_for(prompt)
        terminal.type(f"{PHRASE}\n")
    code, shown = terminal.end()
    assert code == 0, shown
    desk.put("new", PHRASE.encode()).chmod(0o600)
    assert desk.run("cat", "--password-file", "new", "b.zip.age").out == b"data"
    assert desk.run("cat", "-i", "other.txt", "a.zip.age").out == b"data"
    assert desk.run("rekey", "-i", "other.txt", "-r", keys, "-o", "b.zip.age", "a.zip.age").failure[0] == 1
    done = desk.run("rekey", "-i", "other.txt", "-r", keys, "-o", "-", "a.zip.age")
    desk.put("c.zip.age", done.out)
    assert desk.run("cat", "-i", "key.txt", "c.zip.age").out == b"data"


def test_rekey_leaves_what_is_damaged(desk: Desk, keys: str) -> None:
    """Exit code 4, and the file is as it was."""
    desk.put("x", bytes(3 << 20))
    assert desk.run("seal", "-r", keys, "--method", "store", "a.zip.age", "x").code == 0
    damaged = bytearray((desk.folder / "a.zip.age").read_bytes())
    damaged[1 << 20] ^= 1
    desk.put("a.zip.age", damaged)
    before = desk.names()
    assert desk.run("rekey", "-i", "key.txt", "-r", keys, "a.zip.age").failure[0] == 4
    assert (desk.folder / "a.zip.age").read_bytes() == damaged
    assert desk.names() == before
    desk.seal("a.zip", "x")
    assert desk.run("rekey", "--password-file", "pw", "-r", keys, "a.zip").failure[0] == 2


def test_a_secret_key_as_an_argument_is_not_shown(desk: Desk, keys: str) -> None:
    """In place of its file's name, or astray; and the file is what to name instead."""
    desk.put("x", b"data")
    key = (desk.folder / "key.txt").read_text().splitlines()[-1]
    pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRETPART\n"
    for secret in (key, key.lower(), f"# mine\n{key}\n", pem):
        for arguments in (
            ["cat", "-i", secret, "x.age"],
            ["verify", "--json", "-i", secret, "x.age"],
            ["seal", "-R", secret, "y.age", "x"],
        ):
            done = desk.run(*arguments)
            code, error, hint = done.failure
            assert (code, "this is the identity itself" in error, hint) == (2, True, True)
            assert "with mode 0600" in done.err
            assert key[16:40].lower() not in done.err.lower()
        for arguments in (["seal", "y.age", "-r", secret, "x"], ["cat", secret], ["seal", "--format", secret]):
            done = desk.run(*arguments)
            assert done.code == 2
            assert key[16:40].lower() not in (done.err + done.out.decode()).lower()
            assert "SECRETPART" not in done.err
    assert keys


def test_the_archive_is_not_blamed_for_others(desk: Desk, keys: str) -> None:
    """For keys that age does not use."""
    desk.put("x", b"data")
    for name, kind in (("ec", "ecdsa"), ("ed", "ed25519")):
        folder = desk.folder / name
        subprocess.run([tool("ssh-keygen"), "-q", "-t", kind, "-N", "", "-f", folder], check=True)
    public = (desk.folder / "ec.pub").read_text().strip()
    for recipient in (bech32.encode("age1yubikey", bytes(33)), public, "junk"):
        done = desk.run("seal", "-r", recipient, "b.age", "x")
        assert (done.failure[0], "b.age" in done.err, "another tool" in done.err) == (2, False, False)
    assert desk.run("seal", "-r", keys, "a.age", "x").code == 0
    done = desk.run("cat", "-i", "ec", "a.age")
    code, error, _ = done.failure
    assert (code, error.startswith("'ec': "), "another tool" in done.err) == (2, True, False)
    desk.put("cut", (desk.folder / "ed").read_bytes()[:99])
    code, error, _ = desk.run("cat", "-i", "cut", "a.age").failure
    assert (code, error.startswith("'cut': ")) == (1, True)


def test_public_and_secret_keys_in_each_others_place(desk: Desk, keys: str) -> None:
    """The error says which it is, and what would be right."""
    desk.put("x", b"data")
    subprocess.run([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", desk.folder / "ed"], check=True)
    desk.put("me.pub", f"  \t\n{keys}\n \r\n".encode())
    assert desk.run("seal", "-R", "me.pub", "a.age", "x").code == 0
    for name in ("key.txt", "ed"):
        code, error, hint = desk.run("seal", "-R", name, "b.age", "x").failure
        assert (code, "this is a secret identity" in error, hint) == (2, True, True)
    assert "-R me.pub" in desk.run("seal", "-r", "me.pub", "b.age", "x").err
    for name in ("me.pub", "ed.pub"):
        code, error, hint = desk.run("cat", "-i", name, "a.age").failure
        assert (code, "that is a public key, and an identity is the secret one" in error, hint) == (2, True, True)


def test_an_age_file_that_takes_a_password(desk: Desk, keys: str) -> None:
    """A wrong one does not fit, which is not put on identities; and who gives an identity is asked for a password."""
    desk.put("x", b"data")
    desk.put("wrong", b"wrong horse").chmod(0o600)
    assert desk.run("seal", "--password-file", "pw", "a.age", "x").code == 0
    code, error, hint = desk.run("cat", "--password-file", "wrong", "a.age").failure
    assert (code, error, hint) == (3, "a.age: the password does not fit", True)
    done = desk.run("cat", "-i", "key.txt", "a.age")
    assert (done.failure[0], "takes a password" in done.err, "--password-file" in done.err) == (3, True, True)
    terminal = desk.at_terminal("cat", "-i", "key.txt", "a.age")
    terminal.wait_for("Password for a.age: ")
    terminal.type("correct horse battery\n")
    terminal.wait_for("data")
    assert terminal.end()[0] == 0
    assert keys


def test_what_is_no_archive_is_called_so(desk: Desk, keys: str) -> None:
    """With an identity, too, which a ZIP does not take: a table, nothing, and an identity in the archive's place."""
    desk.put("table", b"a,b\n1,2\n")
    desk.put("empty", b"")
    desk.put("x", b"data")
    for name in ("table", "empty"):
        for arguments in (["cat", "-i", "key.txt", name], ["rekey", "-i", "key.txt", "-r", keys, name]):
            done = desk.run(*arguments)
            assert (done.failure[0], "has no identities" in done.err, "no archive" in done.err) == (4, False, True)
    made(desk, "pq.txt")
    subprocess.run([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", desk.folder / "ed"], check=True)
    for name in ("key.txt", "pq.txt", "ed"):
        for arguments in (["cat", name], ["cat", "-i", "key.txt", name]):
            code, error, hint = desk.run(*arguments).failure
            assert (code, "this is an identity file" in error, hint) == (4, True, True)
    desk.seal("a.zip", "x")
    assert "has no identities" in desk.run("cat", "-i", "key.txt", "a.zip").failure[1]


def test_rekey_to_a_place(desk: Desk, keys: str) -> None:
    """Not one with the suffix of another format; and standard output is called so."""
    desk.put("x", b"data")
    assert desk.run("seal", "-r", keys, "a.zip.age", "x").code == 0
    before = desk.names()
    code, error, hint = desk.run("rekey", "-i", "key.txt", "-r", keys, "-o", "a.zip", "a.zip.age").failure
    assert (code, "'a.zip' says zip" in error, hint) == (2, True, True)
    assert desk.names() == before
    done = desk.run("rekey", "-i", "key.txt", "-r", keys, "-o", "-", "a.zip.age")
    assert done.out.startswith(b"age-encryption.org/v1\n")
    assert done.err.startswith("rekeyed a.zip.age into standard output\n")
    desk.put("b.zip.age", done.out)
    assert desk.run("cat", "-i", "key.txt", "b.zip.age").out == b"data"


def test_rekey_asks_for_the_old_password_first(desk: Desk) -> None:
    """And for the new one once the old one fits."""
    desk.put("x", b"data")
    assert desk.run("seal", "--password-file", "pw", "a.age", "x").code == 0
    terminal = desk.at_terminal("rekey", "a.age")
    for prompt, answer in (
        ("Password for a.age: ", "wrong"),
        ("2 tries left", ""),
        ("Password for a.age: ", "correct horse battery"),
        ("New password for a.age: ", PHRASE),
        ("The same again: ", PHRASE),
    ):
        terminal.wait_for(prompt)
        if answer:
            terminal.type(f"{answer}\n")
    code, shown = terminal.end()
    assert code == 0, shown
    desk.put("new", PHRASE.encode()).chmod(0o600)
    assert desk.run("cat", "--password-file", "new", "a.age").out == b"data"


def test_a_plain_age_file_takes_no_name(desk: Desk, keys: str) -> None:
    """Since it keeps none; other formats do."""
    command = ["--from-command", "--", "printf", "data"]
    for name, more in (("n.txt.age", ["-"]), ("m.txt.age", command)):
        done = desk.run("seal", "-r", keys, name, *more, stdin=b"data")
        assert (done.code, "is not kept" in done.err) == (0, False), done.err
        assert desk.run("cat", "-i", "key.txt", name, name.removesuffix(".age")).out == b"data"
    assert desk.run("seal", "-r", keys, "n.zip.age", "-", stdin=b"data").failure[0] == 2


def test_an_identity_that_others_can_read(desk: Desk, keys: str) -> None:
    """It works, with a warning as for a password's file; one that is sealed itself needs none."""
    desk.put("x", b"data")
    sealed = made(desk, "key.age", "--classic", "--password-file", "pw")
    assert desk.run("seal", "-r", keys, "-r", sealed, "a.age", "x").code == 0
    assert not desk.run("cat", "-i", "key.txt", "a.age").err
    for name in ("key.txt", "key.age"):
        (desk.folder / name).chmod(0o644)
    done = desk.run("cat", "-i", "key.txt", "a.age")
    assert (done.code, done.out) == (0, b"data")
    assert done.err == (
        "strongroom: warning: the identity file 'key.txt' can be read by others (mode 0644): chmod 600 it\n"
    )
    assert "can be read by others" in desk.run("rekey", "-i", "key.txt", "-r", sealed, "-o", "b.age", "a.age").err
    done = desk.run("cat", "-i", "key.age", "--password-file", "pw", "a.age")
    assert (done.out, done.err) == (b"data", "")


def test_keygen_quietly(desk: Desk) -> None:
    """Nothing is said beside the key."""
    done = desk.run("keygen", "-q", "-o", "key.txt")
    assert (done.code, done.out, done.err) == (0, b"", "")


def test_the_recipient_of_an_identity(desk: Desk, keys: str) -> None:
    """As age-keygen -y prints it; also of sealed identities and SSH keys, and nothing is made."""
    made(desk, "pq.txt")
    sealed = made(desk, "sealed.txt", "--password-file", "pw")
    subprocess.run([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", desk.folder / "ed"], check=True)
    public = " ".join((desk.folder / "ed.pub").read_text().split()[:2])
    before = desk.names()
    age = subprocess.run([tool("age-keygen"), "-y", desk.folder / "key.txt"], check=True, capture_output=True)
    done = desk.run("keygen", "--recipient", "-i", "key.txt", "-i", "ed")
    assert done.out.decode().splitlines() == [keys, public]
    assert age.stdout.decode().strip() == keys
    assert desk.run("keygen", "-y", "-i", "sealed.txt", "--password-file", "pw").out.decode().strip() == sealed
    assert json.loads(desk.run("keygen", "-y", "-i", "key.txt", "--json").out)["recipients"] == [keys]
    for arguments, code in (
        (["-y"], 2),
        (["-i", "key.txt"], 2),
        (["-y", "-i", "key.txt", "-o", "new"], 2),
        (["-y", "-i", "ed.pub"], 2),
        (["-y", "-i", "none"], 1),
        (["-y", "-i", "sealed.txt", "--password-file", "key.txt"], 3),
    ):
        assert desk.run("keygen", *arguments).failure[0] == code, arguments
    assert desk.names() == before
