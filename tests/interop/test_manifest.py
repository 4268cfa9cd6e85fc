"""The attacks that WinZip AES leaves open, made for real: other tools accept them, strongroom says what was done."""

from __future__ import annotations

import io
import struct
import subprocess
import zipfile
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pyzipper  # type: ignore[import-untyped]
from stream_unzip import stream_unzip  # type: ignore[import-untyped]

import strongroom
from strongroom import StrongroomWarning, TamperedError, UnsupportedError
from strongroom.formats.zip import crypto, extras, spec
from tests import zipcraft
from tests.helpers import text, tool
from tests.proof import Tried
from tests.zipedit import Apart, Part, apart

PASSWORD = "a made-up password"
DATA = {"alice.txt": b"pay 100", "bob.txt": b"pay 900", "report.csv": text(5000)}
WHEN = datetime(2024, 2, 3, 4, 5, 7, tzinfo=UTC)


def sealed(data: dict[str, bytes] = DATA) -> bytes:
    """An archive of ours, with a folder."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        for name, value in data.items():
            room.write(name, value, modified=WHEN)
        room.mkdir("folder", modified=WHEN)
    return stream.getvalue()


@pytest.fixture(scope="module")
def archive() -> Apart:
    """The archive that is attacked."""
    pieces = apart(sealed())
    assert pieces.together() == sealed_once(pieces)
    return pieces


def sealed_once(pieces: Apart) -> bytes:
    """What was sealed is what taking apart and putting together gives."""
    assert opened(pieces.together()).verify().manifest == "verified"
    return pieces.together()


def opened(archive: bytes, **options: Any) -> strongroom.ReadRoom:  # noqa: ANN401 - options of all kinds
    """Open an archive with its password."""
    return strongroom.open(io.BytesIO(archive), **{"password": PASSWORD} | options)


def seven(folder: Path, archive: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run 7zz on an archive, in a folder."""
    (folder / "a.zip").write_bytes(archive)
    command = [tool("7zz"), arguments[0], "-y", f"-p{PASSWORD}", "a.zip", *arguments[1:]]
    return subprocess.run(command, capture_output=True, cwd=folder, check=False)


def pyzipped(archive: bytes) -> dict[str, bytes]:
    """All that pyzipper reads."""
    with pyzipper.AESZipFile(io.BytesIO(archive)) as other:
        other.setpassword(PASSWORD.encode())
        return {name: other.read(name) for name in other.namelist() if not name.endswith("/")}


def refused(archive: bytes, *words: str) -> None:
    """Hold that `open` refuses an archive, with these words, and that ignoring it takes a warning."""
    with pytest.raises(TamperedError) as caught:
        opened(archive)
    assert all(word in str(caught.value) for word in words), caught.value
    with pytest.raises(TamperedError):
        opened(archive, manifest="required")
    with pytest.warns(StrongroomWarning) as warned, opened(archive, manifest="ignore") as room:
        assert room.verify().manifest in ("changed", "removed")
    assert warned[0].filename == __file__


def find(archive: Apart, name: str) -> Part:
    """The entry of a name."""
    return next(part for part in archive.parts if part.name == name)


def with_part(archive: Apart, name: str, part: Part) -> bytes:
    """The archive with one entry replaced."""
    return replace(archive, parts=[part if old.name == name else old for old in archive.parts]).together()


def accepted_by_others(folder: Path, archive: bytes) -> dict[str, bytes]:
    """Hold that 7zz finds nothing wrong, and give what pyzipper reads."""
    done = seven(folder, archive, "t")
    assert done.returncode == 0, done.stdout
    return pyzipped(archive)


# Other tools open what we write


@pytest.mark.parametrize("data", [{}, {"one": b"1"}, DATA], ids=["empty", "one", "some"])
def test_other_tools_open_it(data: dict[str, bytes], tried: Tried, tmp_path: Path) -> None:
    """As before: no error, no warning, every byte."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(sealed(data))
    done = seven(tmp_path, archive.read_bytes(), "t")
    assert done.returncode == 0
    assert b"Everything is Ok" in done.stdout
    assert b"arning" not in done.stdout + done.stderr
    names = [*data, "folder/"]
    with zipfile.ZipFile(archive) as standard:
        assert standard.namelist() == names
        assert standard.testzip() is None if not data else standard.getinfo("folder/").file_size == 0
    assert pyzipped(archive.read_bytes()) == data
    listed = subprocess.run([tool("bsdtar"), "-tf", archive], capture_output=True, check=True)
    assert listed.stdout.decode().split() == names
    assert listed.stderr == b""
    listed = subprocess.run([tool("unzip"), "-l", archive], capture_output=True, check=True)
    assert all(name.encode() in listed.stdout for name in names)
    assert listed.stderr == b""
    tested = subprocess.run([tool("unzip"), "-P", PASSWORD, "-t", archive], capture_output=True, check=False)
    assert tested.returncode == (81 if data else 0), "it knows no AES, and says so"
    read = {
        name.decode(): b"".join(chunks)
        for name, _, chunks in stream_unzip([archive.read_bytes()], password=PASSWORD.encode())
    }
    assert read == data | {"folder/": b""}
    peers = {
        "7zz, bsdtar, pyzipper, stream-unzip": "read it, without a warning",
        "zipfile, unzip": "list it, without one",
    }
    tried("P7", "ZIP: an archive with a manifest, given to other tools", "is an archive like others", peers=peers)


def test_other_tools_read_it_with_libarchive(tmp_path: Path) -> None:
    """So does bsdtar, which decrypts it."""
    (tmp_path / "a.zip").write_bytes(sealed())
    command = [tool("bsdtar"), "-xOf", "a.zip", "--passphrase", PASSWORD, "report.csv"]
    assert subprocess.run(command, capture_output=True, cwd=tmp_path, check=True).stdout == DATA["report.csv"]


def test_an_archive_without_anything(tmp_path: Path) -> None:
    """An empty one carries its manifest as a comment, which tools show or skip; removing it is what `required` sees."""
    stream = io.BytesIO()
    strongroom.seal({}, stream, format="zip", password=PASSWORD)
    archive = stream.getvalue()
    assert opened(archive, manifest="required").verify().manifest == "verified"
    with pytest.raises(strongroom.WrongKeyError):
        opened(archive, password="another")
    assert seven(tmp_path, archive, "t").returncode == 0
    assert zipfile.ZipFile(stream).namelist() == []
    assert pyzipped(archive) == {}
    subprocess.run([tool("bsdtar"), "-tf", tmp_path / "a.zip"], check=True)
    bare = archive[:20] + b"\0\0"
    assert opened(bare).verify().manifest == "absent"
    with pytest.raises(TamperedError):
        opened(bare, manifest="required")


# What is done to entries


def test_names_swapped(archive: Apart, tmp_path: Path) -> None:
    """Bob gets what Alice should have had."""
    alice, bob = archive.parts[:2]
    swapped = replace(archive, parts=[alice.but(name=b"bob.txt"), bob.but(name=b"alice.txt"), *archive.parts[2:]])
    attacked = swapped.together()
    read = accepted_by_others(tmp_path, attacked)
    assert read["bob.txt"] == DATA["alice.txt"]
    refused(attacked, "'bob.txt' was swapped", "number 2")


def test_renamed(archive: Apart, tmp_path: Path) -> None:
    """A text becomes a program."""
    attacked = with_part(archive, "report.csv", find(archive, "report.csv").but(name=b"report.exe"))
    assert "report.exe" in accepted_by_others(tmp_path, attacked)
    refused(attacked, "'report.exe' was renamed", "number 3")


def test_renamed_by_another_tool(archive: Apart, tmp_path: Path) -> None:
    """7zz renames without the password, and drops the record of the entry: that is told from an added one."""
    assert seven(tmp_path, archive.together(), "rn", "report.csv", "report.exe").returncode == 0
    refused((tmp_path / "a.zip").read_bytes(), "'report.exe' is number 3", "dropped its record")


def test_made_a_symlink(tried: Tried, tmp_path: Path) -> None:
    """Other attributes make a link of a file whose text is a path; 7zz makes it."""
    pieces = apart(sealed({"a": b"/etc/passwd"}))
    attacked = with_part(pieces, "a", find(pieces, "a").central_but(external=0o120777 << 16))
    assert seven(tmp_path, attacked, "x", "-snld").returncode == 0
    assert (tmp_path / "a").is_symlink()
    assert str((tmp_path / "a").readlink()).endswith("/etc/passwd")
    refused(attacked, "'a' got other attributes")
    tried("P7", "ZIP: a file whose text is a path made a link", "refused, by name", peers={"7zz": "makes the link"})


def test_redated(archive: Apart, tmp_path: Path) -> None:
    """A file is made older than it is, in both headers and in the extended timestamp."""
    part = find(archive, "alice.txt")
    old = part.local.extra.replace(struct.pack("<i", int(WHEN.timestamp())), struct.pack("<i", 1_000_000_000))
    attacked = with_part(archive, "alice.txt", part.but(extra=old, dos_time=0x2A21_6000))
    assert accepted_by_others(tmp_path, attacked)["alice.txt"] == DATA["alice.txt"]
    refused(attacked, "'alice.txt' was re-dated")


def test_method_downgraded(archive: Apart, tmp_path: Path) -> None:
    """Stored instead of deflated, with the size of the packed data: what comes out is still packed."""
    part = find(archive, "report.csv")
    stored = part.local.extra.replace(
        extras.AesExtra(2, 3, zipcraft.METHODS["deflate"]).encode(), extras.AesExtra(2, 3, 0).encode()
    )
    assert stored != part.local.extra
    attacked = with_part(archive, "report.csv", part.but(extra=stored, size=len(part.body) - crypto.overhead(256)))
    read = accepted_by_others(tmp_path, attacked)["report.csv"]
    assert read != DATA["report.csv"]
    assert zlib.decompress(read, -15) == DATA["report.csv"]
    refused(attacked, "'report.csv' was given another method, size or encryption", "store")


def test_version_downgraded(archive: Apart, tmp_path: Path) -> None:
    """AE-1 with the CRC of a guess: whoever sees that it opens knows that the guess was right."""
    part = find(archive, "alice.txt")
    older = part.local.extra.replace(extras.AesExtra(2, 3, 0).encode(), extras.AesExtra(1, 3, 0).encode())
    assert older != part.local.extra
    attacked = with_part(archive, "alice.txt", part.but(extra=older, crc=zlib.crc32(b"pay 100")))
    assert accepted_by_others(tmp_path, attacked)["alice.txt"] == b"pay 100"
    refused(attacked, "'alice.txt' was given another method", "AE-1")


@pytest.mark.parametrize("number", range(4))
def test_dropped(archive: Apart, number: int, tmp_path: Path) -> None:
    """An entry is gone: its number is known, its name is not. With the last one the manifest's end goes as well."""
    attacked = replace(archive, parts=[part for place, part in enumerate(archive.parts) if place != number]).together()
    accepted_by_others(tmp_path, attacked)
    refused(attacked, "the last entries were deleted" if number == 3 else f"number {number + 1} was deleted")


def test_dropped_by_another_tool(archive: Apart, tmp_path: Path) -> None:
    """7zz deletes without the password, keeps the other records, and is noticed."""
    assert seven(tmp_path, archive.together(), "d", "bob.txt").returncode == 0
    refused((tmp_path / "a.zip").read_bytes(), "number 2 was deleted")


def _added(item: zipcraft.Item) -> Part:
    """An entry that another tool made."""
    return apart(zipcraft.join(item)).parts[0]


@pytest.mark.parametrize(
    "item",
    [
        zipcraft.plain("new.txt", b"added"),
        zipcraft.zipcrypto("new.txt", b"added"),
        zipcraft.aes("new.txt", b"added"),
        zipcraft.aes("new.txt", b"added", bits=128),
        zipcraft.folder("new"),
    ],
    ids=["plain", "ZipCrypto", "AES-256", "AES-128", "folder"],
)
@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("record", ["none", "copied"])
def test_added(archive: Apart, item: zipcraft.Item, place: int, record: str, tmp_path: Path) -> None:
    """An entry is put in, with the same password or none, anywhere, also with a record copied onto it."""
    new = _added(item)
    if record == "copied":
        new = new.with_manifest(archive.parts[0].manifest)
    attacked = replace(archive, parts=[*archive.parts[:place], new, *archive.parts[place:]]).together()
    read = accepted_by_others(tmp_path, attacked)
    assert read.get("new.txt", b"added") == b"added"
    refused(attacked, "'new", "was added")


def test_added_by_other_tools(archive: Apart, tmp_path: Path) -> None:
    """7zz adds with the password, as an honest owner would; pyzipper also, and drops all that it doesn't know."""
    (tmp_path / "new.txt").write_bytes(b"added")
    assert seven(tmp_path, archive.together(), "a", "-mem=AES256", "new.txt").returncode == 0
    refused((tmp_path / "a.zip").read_bytes(), "'new.txt' was added")
    stream = io.BytesIO(archive.together())
    with pyzipper.AESZipFile(stream, "a", encryption=pyzipper.WZ_AES) as other:
        other.setpassword(PASSWORD.encode())
        other.writestr("new.txt", b"added")
    changed = stream.getvalue()
    refused(changed[: changed.index(spec.END) + spec.END_SIZE], "manifest was removed")  # less what it forgot to cut


@pytest.mark.parametrize("keep", ["its own record", "the old record", "no record"])
def test_replayed(archive: Apart, keep: str, tmp_path: Path) -> None:
    """An entry comes from another archive with the same password and the same names."""
    other = find(apart(sealed(DATA | {"alice.txt": b"pay 777"})), "alice.txt")
    records = {"its own record": other.manifest, "the old record": archive.parts[0].manifest, "no record": b""}
    attacked = with_part(archive, "alice.txt", other.with_manifest(records[keep]))
    assert accepted_by_others(tmp_path, attacked)["alice.txt"] == b"pay 777"
    if keep == "the old record":  # then the directory is as it was, byte for byte
        refused(attacked, "'alice.txt' is of another archive")
    else:
        refused(attacked, "'alice.txt' was added", "number 1 was deleted")


def test_reordered(archive: Apart, tmp_path: Path) -> None:
    """The same entries in another order, the manifest's end with its entry or kept last."""
    attacked = replace(archive, parts=archive.parts[::-1]).together()
    accepted_by_others(tmp_path, attacked)
    refused(attacked, "put in another order")
    refused(replace(archive, parts=[*archive.parts[1::-1], *archive.parts[2:]]).together(), "put in another order")


def test_around_the_archive(archive: Apart, tried: Tried, tmp_path: Path) -> None:
    """A comment, or something put before the archive, whether the offsets count it or not."""
    attacked = replace(archive, comment=b"see http://example.org").together()
    accepted_by_others(tmp_path, attacked)
    refused(attacked, "an archive comment was added")
    refused(b"#!/bin/sh\n" + archive.together(), "10 bytes were put before the archive")
    attacked = replace(archive, prefix=b"#!/bin/sh\n").together()
    accepted_by_others(tmp_path, attacked)
    refused(attacked, "changed")
    accept = {"7zz, pyzipper": "accept it"}
    tried("P7", "ZIP: a comment added, or a program put before it", "refused", count=3, peers=accept)


def test_entry_replaced_by_plaintext(archive: Apart, tmp_path: Path) -> None:
    """Under the old name and record."""
    new = _added(zipcraft.plain("alice.txt", b"pay 777")).with_manifest(archive.parts[0].manifest)
    attacked = with_part(archive, "alice.txt", new)
    assert accepted_by_others(tmp_path, attacked)["alice.txt"] == b"pay 777"
    refused(attacked, "'alice.txt' was re-dated", "was given another method, size or encryption", "not encrypted")


# What is done to the manifest


def test_cut_off(archive: Apart, tried: Tried, tmp_path: Path) -> None:
    """Without all of its records the salts still say that it was there; `required` needs none of that."""
    attacked = replace(archive, parts=[part.with_manifest(b"") for part in archive.parts]).together()
    accepted_by_others(tmp_path, attacked)
    refused(attacked, "manifest was removed")
    with strongroom.open(io.BytesIO(attacked)) as room:
        assert len(room) == 4, "lists without a password"
    tried("P7", "ZIP: the manifest cut off", "refused", peers={"7zz, pyzipper": "read it"})


def test_end_cut_off(archive: Apart) -> None:
    """Without its end: the last record whole, or what stands behind it."""
    *others, last = archive.parts
    refused(replace(archive, parts=[*others, last.with_manifest(b"")]).together(), "the end of the manifest")
    refused(replace(archive, parts=[*others, last.with_manifest(last.manifest[:40])]).together(), "end of the manifest")


@pytest.mark.parametrize("kept", range(3))
def test_cut_off_and_one_entry_left(archive: Apart, kept: int) -> None:
    """Any one entry is enough to notice it."""
    attacked = replace(archive, parts=[archive.parts[kept].with_manifest(b"")]).together()
    refused(attacked, "manifest was removed")


def test_cut_off_behind_foreign_entries(archive: Apart) -> None:
    """Where an entry of another tool with the same password goes first, reading one of ours tells, and `verify`."""
    parts = [part.with_manifest(b"") for part in archive.parts]
    foreign = [_added(zipcraft.aes(f"new-{number}", b"added")) for number in range(3)]
    attacked = replace(archive, parts=[*foreign, *parts]).together()
    with opened(attacked) as room:
        assert room.read("new-1") == b"added"
        with pytest.raises(TamperedError):
            room.read("bob.txt")
    with opened(attacked) as room:
        report = room.verify()
        assert not report.ok
        assert report.manifest == "removed"
        assert {finding.entry for finding in report.findings} == set(DATA)


def test_ignored_where_it_is_read(archive: Apart) -> None:
    """What only reading an entry shows is told once, to who reads it."""
    parts = [part.with_manifest(b"") for part in archive.parts]
    cut = replace(archive, parts=[_added(zipcraft.aes("new", b"added")), *parts]).together()
    other = replace(archive.parts[1], local=archive.parts[1].local._replace(version=20))
    for attacked, state in ((cut, "removed"), (with_part(archive, "bob.txt", other), "changed")):
        with opened(attacked, manifest="ignore") as room:
            with pytest.warns(StrongroomWarning) as caught:
                assert room.read("bob.txt") == b"pay 900"
            assert [warning.filename for warning in caught] == [__file__]
            assert room.read("bob.txt") == b"pay 900"
            assert room.verify().manifest == state


def test_bogus_entries_do_not_hide_it(archive: Apart) -> None:
    """Entries that nobody can open, put first by someone without the password, hide nothing from `verify`."""
    parts = [part.with_manifest(b"") for part in archive.parts]
    bogus = [_added(zipcraft.aes(f"new-{number}", b"added", password="guess")) for number in range(20)]
    attacked = replace(archive, parts=[parts[0], *bogus, *parts[1:]]).together()
    refused(attacked, "manifest was removed")
    with pytest.raises(strongroom.WrongKeyError):
        opened(replace(archive, parts=[*bogus, *parts]).together())


def test_of_an_earlier_version(archive: Apart) -> None:
    """The manifest of an older archive with the same names and password does not fit a newer one, nor another one's."""
    older = apart(sealed())
    parts = [new.with_manifest(old.manifest) for new, old in zip(archive.parts, older.parts, strict=True)]
    refused(replace(archive, parts=parts).together(), "another version")
    *rest, last = archive.parts
    mixed = last.with_manifest(last.manifest[:40] + older.parts[-1].manifest[40:])
    refused(replace(archive, parts=[*rest, mixed]).together(), "another archive")


def test_every_byte_of_the_manifest(archive: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """No changed byte of a record or of the end is accepted, and none is taken for a wrong password."""
    monkeypatch.setattr("strongroom.manifest.keys.ROUNDS", 2)
    pieces = apart(sealed())
    limits = strongroom.Limits(kdf_work=1000)
    for number, part in enumerate(pieces.parts):
        for position in range(len(part.manifest)):
            data = bytearray(part.manifest)
            data[position] ^= 0x01
            parts = [*pieces.parts[:number], part.with_manifest(bytes(data)), *pieces.parts[number + 1 :]]
            with pytest.raises((TamperedError, strongroom.LimitError)) as caught:
                opened(replace(pieces, parts=parts).together(), limits=limits)
            rounds = number == 3 and 52 <= position < 54  # the high bytes of their number
            assert isinstance(caught.value, strongroom.LimitError) == rounds, position


def test_a_verifier_changed(archive: Apart) -> None:
    """With a manifest that is not a wrong password."""
    for position in (0, 15, 16, 17):
        part = archive.parts[0]
        body = bytearray(part.body)
        body[position] ^= 1
        attacked = with_part(archive, part.name, replace(part, body=bytes(body)))
        refused(attacked, "'alice.txt'", "another version" if position < 16 else "encrypted anew")


def test_a_local_header_changed(archive: Apart) -> None:
    """What only the local header has is checked when the entry is read, and by `verify` and `extract`."""
    part = archive.parts[1]
    attacked = with_part(archive, part.name, replace(part, local=part.local._replace(version=20)))
    with opened(attacked) as room:
        assert room.read("alice.txt") == b"pay 100"
        with pytest.raises(TamperedError):
            room.read("bob.txt")
    with opened(attacked) as room:
        report = room.verify()
        assert (report.ok, report.manifest) == (False, "changed")
        assert [finding.entry for finding in report.findings] == ["bob.txt"]


def test_extract_makes_nothing(archive: Apart, tmp_path: Path) -> None:
    """Of an archive in which only a local header was changed."""
    part = archive.parts[1]
    attacked = with_part(archive, part.name, replace(part, local=part.local._replace(version=20)))
    with opened(attacked) as room, pytest.raises(TamperedError):
        room.extract(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_archives_of_other_tools() -> None:
    """They have none, and that is no error; with `required` it is."""
    stream = io.BytesIO()
    with pyzipper.AESZipFile(stream, "w", encryption=pyzipper.WZ_AES) as other:
        other.setpassword(PASSWORD.encode())
        other.writestr("a", b"1")
        other.writestr("b", b"2")
    with opened(stream.getvalue()) as room:
        assert room.verify().manifest == "absent"
    with pytest.raises(TamperedError):
        opened(stream.getvalue(), manifest="required")


def test_adding_is_refused_before_it_is_read(archive: Apart) -> None:
    """What was put in is not given out even where the manifest is ignored, unless that is asked for as well."""
    attacked = replace(archive, parts=[*archive.parts, _added(zipcraft.plain("new.txt", b"added"))]).together()
    with pytest.warns(StrongroomWarning):
        room = opened(attacked, manifest="ignore")
    with room:
        assert room.read("alice.txt") == b"pay 100"
        with pytest.raises(UnsupportedError):
            room.read("new.txt")
