"""`strongroom ls`, `cat`, `extract` and `verify`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from strongroom.formats.zip import extras
from tests import zipcraft
from tests.cli.running import COMMAND, Desk
from tests.helpers import noise
from tests.zipedit import apart

SECRET = b"sodium 140, potassium 4.2"


@pytest.fixture
def sealed(desk: Desk) -> Desk:
    """A desk with a.zip: a text, a folder with two files, and a larger binary."""
    desk.put("tree/note.txt", SECRET)
    desk.put("tree/sub/a", b"A")
    desk.put("tree/sub/b", b"B")
    desk.put("big.bin", noise(3_000_000))
    desk.seal("a.zip", "tree/note.txt", "tree/sub", "big.bin")
    for path in ("tree/note.txt", "tree/sub/a", "tree/sub/b", "big.bin"):
        (desk.folder / path).unlink()
    (desk.folder / "tree/sub").rmdir()
    (desk.folder / "tree").rmdir()
    return desk


def flip(desk: Desk, place: int) -> None:
    """Change a bit of a.zip."""
    path = desk.folder / "a.zip"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def tampered(desk: Desk) -> Desk:
    """Change a byte of the encrypted data of big.bin."""
    flip(desk, 1_000_000)
    return desk


# ls


def test_ls(sealed: Desk) -> None:
    """The list needs no password and shows what each entry is, in aligned columns."""
    done = sealed.run("ls", "a.zip")
    heading, *rows = done.out.decode().splitlines()
    assert (done.code, done.err) == (0, "")
    assert heading.split()[0] == "size"
    assert [row.split()[-1] for row in rows] == ["note.txt", "sub/", "sub/a", "sub/b", "big.bin"]
    assert rows[0].startswith(f"{len(SECRET):>7}  ")
    assert " AES-256 " in rows[0]
    assert len({row.index("AES") for row in rows if "AES" in row}) == 1


def test_ls_of_hidden_names(desk: Desk) -> None:
    """The names in a 7z are encrypted: its list needs the password."""
    desk.seal("a.7z", "--name", "note.txt", "-", stdin=SECRET)
    done = desk.run("ls", "a.7z", "--password-file", "pw")
    assert done.code == 0
    assert done.out.decode().splitlines()[1].split()[-2:] == ["AES-256", "note.txt"]
    code, _, hint = desk.run("ls", "a.7z").failure
    assert (code, hint) == (2, True)


def test_ls_json(sealed: Desk) -> None:
    """For programs, the fields of an Entry."""
    listed = json.loads(sealed.run("ls", "a.zip", "--json").out)
    assert (listed["archive"], listed["ok"]) == ("a.zip", True)
    entry = listed["entries"][0]
    assert entry["modified"].endswith("+00:00")
    assert entry | {"modified": "", "packed_size": 0} == {
        "name": "note.txt",
        "kind": "file",
        "size": len(SECRET),
        "packed_size": 0,
        "modified": "",
        "mode": 0o100600,
        "method": "store",
        "encryption": "AES-256 (AE-2)",
        "encrypted": True,
    }


def test_ls_through_a_pipe(sealed: Desk) -> None:
    """`-` is standard input."""
    assert b"note.txt" in sealed.run("ls", "-", stdin=(sealed.folder / "a.zip").read_bytes()).out


@pytest.mark.parametrize("verb", [["ls"], ["verify"], ["cat", "x\x1b[31m"], ["cat", "\x1b]0;title\x07"]], ids=repr)
def test_no_name_reaches_the_terminal_raw(desk: Desk, verb: list[str]) -> None:
    """Control characters of names, and those that change the direction of writing, are shown escaped, everywhere."""
    with zipfile.ZipFile(desk.folder / "a.zip", "w") as made:
        made.writestr("x\x1b[31m", b"1")
        made.writestr("y\u202etxt.exe\r\n", b"2")
    done = desk.run(verb[0], "a.zip", *verb[1:])
    shown = done.out.decode() + done.err
    assert "\\x1b" in shown
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(shown)


# cat


def test_cat(sealed: Desk) -> None:
    """Entries come one after the other, byte for byte, and nothing else is said."""
    done = sealed.open("cat", "a.zip", "note.txt", "sub/b", "big.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out == SECRET + b"B" + noise(3_000_000)


def test_cat_into_a_pipe_that_closes(sealed: Desk) -> None:
    """Who has read enough ends it without a word."""
    command = f"{' '.join(COMMAND)} cat a.zip big.bin --password-file pw | head -c 10"
    done = subprocess.run(["sh", "-c", command], cwd=sealed.folder, capture_output=True, check=True)
    assert done.stdout == noise(3_000_000)[:10]
    assert done.stderr == b""


def test_cat_of_what_is_not_there(sealed: Desk) -> None:
    """A name that is not found is an error before anything is written, and the hint says where names are listed."""
    done = sealed.open("cat", "a.zip", "note.txt", "nothing")
    assert done.failure == (1, "a.zip: no entry 'nothing'", True)
    assert "strongroom ls" in done.err


def test_cat_of_a_folder(sealed: Desk) -> None:
    """A folder has no data."""
    for name in ("sub", "sub/"):
        assert sealed.open("cat", "a.zip", "note.txt", name).failure[::2] == (1, True)
    assert sealed.open("cat", "a.zip", "note.txt/").out == SECRET


def test_cat_of_a_tampered_entry(sealed: Desk) -> None:
    """Not a byte of it is written; other entries still can be."""
    code, said, hint = tampered(sealed).open("cat", "a.zip", "big.bin").failure
    assert (code, hint) == (4, True)
    assert "big.bin" in said
    assert sealed.open("cat", "a.zip", "note.txt").out == SECRET


# extract


def test_extract(sealed: Desk) -> None:
    """All entries become files that nobody else can read, and it is said that they are plaintext."""
    done = sealed.open("extract", "a.zip", "out")
    assert (done.code, done.out) == (0, b"")
    assert done.err == "extracted 4 files, 3.0 MB, to out: plaintext, from now on, on that disk\n"
    out = sealed.folder / "out"
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert files == {"note.txt": SECRET, "sub/a": b"A", "sub/b": b"B", "big.bin": noise(3_000_000)}
    assert {path.stat().st_mode & 0o077 for path in out.rglob("*")} == {0}


@pytest.mark.parametrize("name", ["sub", "sub/"])
def test_extract_a_folder(sealed: Desk, name: str) -> None:
    """A folder's name stands for all that is in it."""
    assert sealed.open("extract", "a.zip", "out", name, "note.txt", "-q").err == ""
    assert sorted(path.name for path in (sealed.folder / "out").rglob("*")) == ["a", "b", "note.txt", "sub"]


@pytest.mark.parametrize("names", [["nothing"], ["sub", "nothing"], ["su"], ["note.txt/x"]], ids=" ".join)
def test_extract_what_is_not_there(sealed: Desk, names: list[str]) -> None:
    """A name that is not found extracts nothing."""
    assert sealed.open("extract", "a.zip", "out", *names).failure[0] == 1
    assert sealed.names() == ["a.zip"]


def test_extract_of_a_tampered_archive(sealed: Desk) -> None:
    """Not one file is made, whatever was asked for."""
    assert tampered(sealed).open("extract", "a.zip", "out", "note.txt").failure[0] == 4
    assert sealed.names() == ["a.zip"]


def test_extract_over_existing_files(sealed: Desk) -> None:
    """Nothing is replaced, and what was made before is gone again."""
    sealed.put("out/sub/b", b"mine")
    code, _, hint = sealed.open("extract", "a.zip", "out").failure
    assert (code, hint) == (1, True)
    assert [path.name for path in (sealed.folder / "out").rglob("*")] == ["sub", "b"]
    assert (sealed.folder / "out/sub/b").read_bytes() == b"mine"


@pytest.mark.parametrize("folder", ["note.txt", "sub", "sub/", "sub/a", "a"])
def test_extract_with_a_name_in_the_place_of_the_folder(sealed: Desk, folder: str) -> None:
    """DIR comes first: who forgets it would get a folder of that name with all there is in it, in plaintext."""
    done = sealed.open("extract", "a.zip", folder)
    assert done.failure[::2] == (2, True)
    assert "strongroom extract a.zip DIR " in done.err
    assert sealed.names() == ["a.zip"]


def test_extract_into_a_folder_that_is_named_like_an_entry(sealed: Desk) -> None:
    """It has to be there already, or to be written as what it is."""
    assert sealed.open("extract", "a.zip", "./sub").code == 0
    (sealed.folder / "note.txt").mkdir()
    assert sealed.open("extract", "a.zip", "note.txt").code == 0
    assert (sealed.folder / "note.txt/note.txt").read_bytes() == SECRET


def test_extract_into_a_file(sealed: Desk) -> None:
    """A file in the place of DIR is a mistake, of which the hint shows how it should be."""
    done = sealed.open("extract", "a.zip", "pw", "note.txt")
    assert done.failure[::2] == (2, True)
    assert "strongroom extract a.zip DIR " in done.err


def test_extract_json(desk: Desk) -> None:
    """For programs, what was extracted, and the symlinks that were left out."""
    items = zipcraft.aes("a", b"1"), zipcraft.symlink(zipcraft.aes("link", b"a"))
    desk.put("a.zip", zipcraft.join(*items))
    desk.put("other", zipcraft.PASSWORD.encode()).chmod(0o600)
    done = desk.run("extract", "a.zip", "out", "--json", "--password-file", "other")
    assert (done.code, done.err.count("strongroom: warning: ")) == (0, 1)
    sums = {"archive": "a.zip", "ok": True, "folder": "out", "files": 1, "bytes": 1}
    assert json.loads(done.out) == sums | {"left_out": ["link"]}
    assert "symlink" in desk.run("ls", "a.zip").out.decode().splitlines()[2]


# verify


def test_verify(sealed: Desk) -> None:
    """A sound archive is said to be so."""
    done = sealed.open("verify", "a.zip")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(b"a.zip: ok, 5 entries, 3.0 MB")
    assert done.out.endswith(b", manifest verified\n")
    assert sealed.open("verify", "a.zip", "--quiet").out == b""


def test_verify_of_a_tampered_archive(sealed: Desk) -> None:
    """Each finding has a line, and the sum of it another."""
    done = tampered(sealed).open("verify", "a.zip")
    assert (done.code, done.err) == (4, "")
    finding, summary = done.out.decode().splitlines()
    assert finding.count("'big.bin'") == 1
    assert summary == "a.zip: 1 of 5 entries failed"


def test_verify_json(sealed: Desk) -> None:
    """For programs, the report."""
    ok = json.loads(sealed.open("verify", "a.zip", "--json").out)
    sums = {"archive": "a.zip", "ok": True, "entries": 5, "bytes": 3_000_027}
    assert ok == sums | {"manifest": "verified", "findings": []}
    done = tampered(sealed).open("verify", "a.zip", "--json")
    report = json.loads(done.out)
    assert (done.code, report["ok"]) == (4, False)
    assert [finding["entry"] for finding in report["findings"]] == ["big.bin"]


# the manifest


def cut_off(desk: Desk) -> Desk:
    """Remove the manifest from a.zip, without the password."""
    path = desk.folder / "a.zip"
    pieces = apart(path.read_bytes())
    path.write_bytes(replace(pieces, parts=[part.with_manifest(b"") for part in pieces.parts]).together())
    return desk


@pytest.mark.parametrize("verb", [["cat", "note.txt"], ["extract", "out"], ["verify"]], ids=" ".join)
def test_manifest_removed(sealed: Desk, verb: list[str]) -> None:
    """It is missed without being asked for; `ignore` reads the archive with a warning."""
    command = [verb[0], "a.zip", *verb[1:]]
    code, _, hint = cut_off(sealed).open(*command).failure
    assert (code, hint) == (4, True)
    assert not (sealed.folder / "out").exists()
    done = sealed.open(*command, "--manifest", "ignore")
    assert done.code == 0
    assert "manifest was removed" in done.err


def test_manifest_required(sealed: Desk) -> None:
    """Archives of ours have one, those of other tools don't."""
    assert sealed.open("cat", "a.zip", "note.txt", "--manifest", "required").out == SECRET
    sealed.open("verify", "a.zip", "--manifest", "required")
    (sealed.folder / "b.zip").write_bytes(zipcraft.join(zipcraft.aes("note.txt", SECRET)))
    password = sealed.put("other", zipcraft.PASSWORD.encode())
    password.chmod(0o600)
    verify = ("verify", "b.zip", "--password-file", "other")
    assert sealed.run(*verify).out.endswith(
        b"no manifest, so names, dates and the list of entries are not authenticated\n"
    )
    assert sealed.run(*verify, "--manifest", "required").failure[0] == 4


UNREAD = {
    "plaintext": (zipcraft.plain("a", b"1"), "--allow-plaintext"),
    "ZipCrypto": (zipcraft.zipcrypto("a", b"1"), "--legacy"),
    "method": (zipcraft.aes("a", b"1").but(extra=extras.AesExtra(2, 3, 77).encode()), "another tool"),
}


@pytest.mark.parametrize("why", UNREAD)
def test_verify_of_what_cannot_be_read_here(desk: Desk, why: str) -> None:
    """It is not sound, nor damaged: the code is that of `cat`, and the hint says what reads it."""
    item, advice = UNREAD[why]
    desk.put("a.zip", zipcraft.join(item))
    desk.put("pw", zipcraft.PASSWORD.encode())
    for verb in (["verify", "a.zip"], ["verify", "a.zip", "--json"], ["cat", "a.zip", "a"], ["extract", "a.zip", "b"]):
        done = desk.open(*verb)
        assert done.code == 1
        assert advice in done.err.splitlines()[-1]


def test_what_an_extra_reads(desk: Desk) -> None:
    """Where only strongroom[codecs] is missing, the hint is the command that installs it."""
    desk.put("a.zip", zipcraft.join(zipcraft.aes("a", SECRET, "ppmd")))
    desk.put("pw", zipcraft.PASSWORD.encode())
    for verb in ("verify", "cat"):
        code = (
            "import sys; sys.modules['pyppmd'] = None; from strongroom.cli import main; "
            f"sys.exit(main([{verb!r}, 'a.zip', *{['a'] if verb == 'cat' else []}, '--password-file', 'pw']))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=desk.folder, capture_output=True, check=False)
        assert done.returncode == 1
        assert done.stderr.endswith(b"strongroom: hint: pip install 'strongroom[codecs]' adds them\n")


def test_verify_of_what_cannot_be_read_beside_what_is_damaged(desk: Desk) -> None:
    """One damaged entry makes the archive damaged, whatever else there is."""
    item, damaged = UNREAD["method"][0], zipcraft.aes("b", b"1")
    damaged = damaged.but(body=damaged.body[:-1] + bytes((damaged.body[-1] ^ 1,)))
    desk.put("pw", zipcraft.PASSWORD.encode())
    for items in ((item, damaged), (damaged, item)):
        desk.put("a.zip", zipcraft.join(*items))
        assert desk.open("verify", "a.zip").code == 4


@pytest.mark.parametrize(
    ("damage", "options", "code"),
    [
        ("cut", [], 4),
        ("flipped", [], 4),
        ("missing", [], 1),
        ("", ["--limit", "entries=1"], 1),
        ("", ["--password-file", "wrong"], 3),
    ],
)
def test_json_of_failures(sealed: Desk, damage: str, options: list[str], code: int) -> None:
    """Whatever is wrong with an archive, `verify --json` gives one object that says so, and so does `ls --json`."""
    sealed.put("wrong", b"guess").chmod(0o600)
    path = sealed.folder / "a.zip"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "flipped":
        flip(sealed, 0)
    password = [] if "--password-file" in options else ["--password-file", "pw"]
    verbs = [["verify", *password, *options], *([["ls", *options]] if damage in ("cut", "missing") else [])]
    for verb in verbs:
        done = sealed.run(verb[0], "a.zip", "--json", *verb[1:])
        report = json.loads(done.out)
        assert (done.code, report["archive"], report["ok"]) == (code, "a.zip", False)
        assert report["findings"]


def test_no_json_of_misuse(sealed: Desk) -> None:
    """Arguments that are wrong have no report: programs go by the exit code."""
    assert sealed.open("verify", "a.zip", "--json", "--password-fd", "0").failure[0] == 2


def test_a_hostile_name(desk: Desk) -> None:
    """It is not taken for mere damage: whoever tries another tool next would be its victim."""
    with zipfile.ZipFile(desk.folder / "a.zip", "w") as made:
        made.writestr("../evil", b"1")
    done = desk.run("ls", "a.zip")
    assert done.failure[::2] == (4, True)
    assert "no other tool" in done.err


# what all of them refuse


VERBS = [["ls", "a.zip"], ["cat", "a.zip", "note.txt"], ["extract", "a.zip", "out"], ["verify", "a.zip"]]
WITH_PASSWORD = VERBS[1:]


@pytest.mark.parametrize("verb", WITH_PASSWORD, ids=" ".join)
def test_wrong_password(sealed: Desk, verb: list[str]) -> None:
    """A wrong password is told apart from damage, and leaves nothing."""
    sealed.put("wrong", b"guess").chmod(0o600)
    code, _, hint = sealed.run(*verb, "--password-file", "wrong").failure
    assert (code, hint) == (3, True)
    assert sealed.names() == ["a.zip", "wrong"]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_truncated_archive(sealed: Desk, verb: list[str]) -> None:
    """Half an archive is damaged."""
    path = sealed.folder / "a.zip"
    path.write_bytes(path.read_bytes()[:1_000_000])
    password = [] if verb[0] == "ls" else ["--password-file", "pw"]
    code, _, hint = sealed.run(*verb, *password).failure
    assert (code, hint) == (4, True)
    assert sealed.names() == ["a.zip"]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_missing_archive(desk: Desk, verb: list[str]) -> None:
    """What is not there is named."""
    password = [] if verb[0] == "ls" else ["--password-file", "pw"]
    said = "the archive 'a.zip' cannot be read: No such file or directory"
    assert desk.run(*verb, *password).failure == (1, said, True)
    assert desk.names() == []


def test_plaintext_in_an_encrypted_archive(sealed: Desk) -> None:
    """A file that someone put in unencrypted is refused twice; the hint names the option that reads it all the same."""
    with zipfile.ZipFile(sealed.folder / "a.zip", "a") as made:
        made.writestr("forged", b"pay 9000")
    assert sealed.open("verify", "a.zip").code == 4
    done = sealed.open("cat", "a.zip", "forged")
    assert done.code == 4
    assert "'forged' was added" in done.err
    done = sealed.open("cat", "a.zip", "forged", "--manifest", "ignore")
    assert (done.code, done.out) == (1, b"")
    assert "a.zip: 'forged' is not encrypted" in done.err
    assert "--allow-plaintext" in done.err
    done = sealed.open("cat", "a.zip", "forged", "--manifest", "ignore", "--allow-plaintext")
    assert done.out == b"pay 9000"


def test_an_archive_without_encryption_needs_no_password(desk: Desk) -> None:
    """Where nothing is encrypted no password is asked for."""
    with zipfile.ZipFile(desk.folder / "a.zip", "w") as made:
        made.writestr("open", b"news")
    assert desk.run("cat", "a.zip", "open", "--allow-plaintext").out == b"news"


@pytest.mark.parametrize("bound", ["total_size=1000", "total-size=1K", "entries=2"])
def test_limits(sealed: Desk, bound: str) -> None:
    """A bound is changed by its name, and the error says how."""
    code, _, hint = sealed.open("extract", "a.zip", "out", "--limit", bound).failure
    assert (code, hint) == (1, True)
    assert sealed.open("extract", "a.zip", "out", "--limit", bound, "--limit", "total_size=1G").code == (
        1 if "entries" in bound else 0
    )


@pytest.mark.parametrize("bound", ["total_size", "size=1", "total_size=", "total_size=1Z", "ratio=-1"])
def test_limits_that_are_none(sealed: Desk, bound: str) -> None:
    """Any other text is a mistake."""
    assert sealed.run("ls", "a.zip", "--limit", bound).failure[0] == 2


def test_an_archive_from_a_named_pipe(sealed: Desk) -> None:
    """What a process substitution gives is an archive, with and without encryption."""
    with zipfile.ZipFile(sealed.folder / "open.zip", "w") as made:
        made.writestr("note.txt", SECRET)
    os.mkfifo(sealed.folder / "fifo")
    for archive, option in (("a.zip", "--password-file pw"), ("open.zip", "--allow-plaintext")):
        script = f"cat {archive} >fifo & exec {' '.join(COMMAND)} cat fifo note.txt {option}"
        done = subprocess.run(["sh", "-c", script], cwd=sealed.folder, capture_output=True, check=True)
        assert done.stdout == SECRET


def test_ls_quietly(desk: Desk) -> None:
    """`ls -q` gives the names alone, with a slash behind those of folders."""
    desk.put("folder/a b", b"1")
    desk.seal("a.zip", "folder")
    done = desk.run("ls", "-q", "a.zip")
    assert (done.code, done.out, done.err) == (0, b"folder/\nfolder/a b\n", "")


@pytest.mark.parametrize("verb", ["ls", "cat", "verify"])
@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", noise(200_000)], ids=["CSV", "empty", "noise"])
def test_what_is_no_archive_at_all(desk: Desk, verb: str, content: bytes) -> None:
    """It is said so in plain words, without those of a specification that nobody meant."""
    desk.put("patients.csv", content)
    code, error, hint = desk.run(verb, "patients.csv").failure
    assert (code, hint) == (4, True)
    assert "[" not in error
    assert error.startswith("patients.csv: it is ")


@pytest.mark.parametrize("keys", [["-i", "key.txt"], ["--password-file", "pw"]], ids=" ".join)
def test_an_age_file_has_no_manifest_to_require(desk: Desk, keys: list[str]) -> None:
    """It is refused with either key, and the hint says what an age file proves, and not that it was forged."""
    desk.put("x", b"data")
    desk.put("to", desk.run("keygen", "--classic", "-o", "key.txt", "--json").out.split(b'"recipient": "')[1][:62])
    assert desk.run("seal", "a.age", "x", "-R", "to").code == 0
    for verb in (["verify", "a.age"], ["cat", "a.age"], ["extract", "a.age", "out"]):
        done = desk.run(*verb, *keys, "--manifest", "required")
        assert done.failure[::2] == (2 if keys[0] == "-i" else 4, True)
        assert "does not say who made it" in done.err
    assert not (desk.folder / "out").exists()
    assert desk.run("verify", "a.age", "-i", "key.txt", "--manifest", "auto").code == 0
