"""`convert` and `rekey`: archives made out of archives."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import strongroom
from strongroom import (
    FormatError,
    OutputError,
    OutputExistsError,
    Secret,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.flow import CHUNK
from strongroom.formats.age import identities
from tests import sevenzipcraft, zipcraft
from tests.helpers import listing, noise, nothing_left, text
from tests.proof import Tried
from tests.traits import TRAITS, Trait, each_format

OLD, NEW = "the old password", "the new password"
WHEN = datetime(2024, 2, 29, 12, 30, 5, 250_000, tzinfo=UTC)
LARGE = 17 * CHUNK + 5  # beyond what readers take into memory
TREE = {"a.csv": text(CHUNK + 7), "b/c/noise": noise(70_000), "empty": b"", "tool": b"#!"}
IDENTITY = identities.generate(classic=True)


def key() -> Secret:
    """The identity's text."""
    return identities.encode(IDENTITY)


def make(path: Path | io.BytesIO, **options: Any) -> None:  # noqa: ANN401 - those of create
    """An archive with files, folders, times, and modes."""
    with strongroom.create(path, **{"password": OLD} | options) as room:
        room.mkdir("b", modified=WHEN, mode=0o750)
        for name, data in TREE.items():
            room.write(name, data, modified=WHEN, mode=0o755 if name == "tool" else 0o640)


def facts(path: Path | io.BytesIO, precision: timedelta, **options: Any) -> dict[str, object]:  # noqa: ANN401 - those of open
    """What an archive has, but for its encryption."""
    with strongroom.open(path, **{"password": OLD} | options) as room:
        assert room.verify().ok
        return {
            entry.name: (
                entry.kind,
                entry.mode,
                entry.modified - timedelta(microseconds=entry.modified.microsecond) if precision.seconds else WHEN,
                room.read(entry.name) if entry.kind == "file" else None,
            )
            for entry in room
        }


@pytest.mark.parametrize("target", TRAITS, ids=str)
@each_format
def test_any_format_to_any_other(tmp_path: Path, trait: Trait, target: Trait) -> None:
    """Names, data, times, permissions and folders are kept, under the same password, and nothing else is left."""
    old, new = tmp_path / f"old{trait.suffix}", tmp_path / f"new{target.suffix}"
    make(old)
    before = old.read_bytes()
    ticks: list[tuple[int, int | None]] = []
    with nothing_left():
        made = strongroom.convert(old, new, password=OLD, verify=True, progress=lambda *tick: ticks.append(tick))
    precision = max(trait.precision, target.precision)
    assert facts(new, precision) == facts(old, precision)
    assert [entry.name for entry in made] == ["b", *TREE]
    total = sum(map(len, TREE.values()))
    assert {tick[1] for tick in ticks} == {total}
    assert [done for done, _ in ticks].count(total) == 3, "checked, written, verified"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert old.read_bytes() == before
    assert listing(tmp_path) == sorted({old.name, new.name})


@each_format
def test_one_file_to_and_from_age(tmp_path: Path, trait: Trait) -> None:
    """A single entry goes into a plain age file, which goes into every other format."""
    old, single, new = tmp_path / f"a{trait.suffix}", tmp_path / "n.txt.age", tmp_path / f"b{trait.suffix}"
    strongroom.seal({"n.txt": text(CHUNK)}, old, password=OLD)
    strongroom.convert(old, single, password=OLD, recipients=[IDENTITY.recipient], armor=True)
    assert single.read_bytes().startswith(b"-----BEGIN")
    strongroom.convert(single, new, identities=[key()], new_password=NEW)
    with strongroom.open(new, password=NEW) as room:
        assert {entry.name: room.read(entry.name) for entry in room} == {"n.txt": text(CHUNK)}


@each_format
def test_several_entries_do_not_go_into_age(tmp_path: Path, trait: Trait) -> None:
    """The error names the format that takes them; so with a folder alone, and with nothing."""
    for number, fill in enumerate((make, lambda path: make_of(path, "mkdir"), lambda path: make_of(path, None))):
        old = tmp_path / f"{number}{trait.suffix}"
        fill(old)
        with nothing_left(tmp_path), pytest.raises(ValueError, match=r"zip\.age"):
            strongroom.convert(old, tmp_path / "new.age", password=OLD)


def make_of(path: Path, method: str | None) -> None:
    """An archive of a folder, or of nothing."""
    with strongroom.create(path, password=OLD) as room:
        if method:
            room.mkdir("d")


def test_keys_of_the_new_archive(tmp_path: Path) -> None:
    """The old password, another one, recipients; never an identity's passphrase, and never none."""
    old = tmp_path / "old.zip"
    make(old)
    strongroom.convert(old, tmp_path / "b.7z", password=OLD, new_password=NEW)
    with pytest.raises(WrongKeyError):
        strongroom.open(tmp_path / "b.7z", password=OLD)
    facts(tmp_path / "b.7z", timedelta(), password=NEW)
    strongroom.convert(old, tmp_path / "c.zip.age", password=OLD, recipients=[IDENTITY.recipient])
    keyed = {"identities": [key()], "password": "of the identity"}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("c.zip.age", keyed),
        ("c.zip.age", {"identities": [key()]}),
        ("old.zip", {"password": OLD, "recipients": [IDENTITY.recipient]}),  # for a ZIP
        ("old.zip", {"password": OLD, "new_password": NEW, "recipients": [IDENTITY.recipient]}),
        ("old.zip", {"password": OLD, "identities": [key()]}),
        ("old.zip", {"password": OLD, "new_password": "x" * 100}),  # which no tool opens
        ("old.zip", {"password": OLD, "compression": "none"}),
    ]
    for name, options in cases:
        with nothing_left(tmp_path), pytest.raises(ValueError):
            strongroom.convert(tmp_path / name, tmp_path / "new.zip", **options)


def test_what_had_poor_encryption_or_none(tmp_path: Path, tried: Tried) -> None:
    """ZipCrypto, AE-1, plain files: only as the caller asks for, and AES-256 afterwards."""
    cases: list[tuple[bytes, str, dict[str, Any]]] = [
        (zipcraft.join(zipcraft.zipcrypto("a", b"data", "deflate")), "legacy", {"password": zipcraft.PASSWORD}),
        (zipcraft.join(zipcraft.plain("a", b"data", "bzip2")), "allow_plaintext", {"new_password": NEW}),
        (
            zipcraft.join(zipcraft.aes("a", b"data", "deflate", bits=128, version=1)),
            "",
            {"password": zipcraft.PASSWORD},
        ),
    ]
    old, new = tmp_path / "old.zip", tmp_path / "new.zip"
    for data, option, options in cases:
        old.write_bytes(data)
        if option:
            with nothing_left(tmp_path), pytest.raises(UnsupportedError) as caught:
                strongroom.convert(old, new, overwrite=True, **options)
            assert caught.value.option == option
        strongroom.convert(old, new, overwrite=True, **options | ({option: True} if option else {}))
        password = options.get("new_password", options.get("password"))
        with strongroom.open(new, password=password, manifest="required") as room:
            assert [(entry.name, entry.encryption) for entry in room] == [("a", "AES-256 (AE-2)")]
            assert room.read("a") == b"data"
    plain = io.BytesIO(cases[1][0])
    with nothing_left(tmp_path), pytest.raises(ValueError):  # nobody said with what
        strongroom.convert(plain, new, allow_plaintext=True, overwrite=True)
    tried("P6", "converting a plain or ZipCrypto archive without saying so", "refused", count=2)


def test_a_mixed_archive_is_not_laundered(tmp_path: Path) -> None:
    """A plain entry that was slipped in stops the conversion, and every entry behind it."""
    old = tmp_path / "old.zip"
    old.write_bytes(zipcraft.join(zipcraft.aes("a", b"data"), zipcraft.plain("b", b"slipped in")))
    with nothing_left(tmp_path), pytest.raises(UnsupportedError):
        strongroom.convert(old, tmp_path / "new.zip", password=zipcraft.PASSWORD)


@each_format
def test_symlinks_are_left_out(tmp_path: Path, trait: Trait) -> None:
    """With a warning; and an archive that has some is not replaced by one without."""
    old = tmp_path / "old.zip"
    data = zipcraft.join(zipcraft.symlink(zipcraft.aes("link", b"/etc/passwd")), zipcraft.aes("a", b"data"))
    old.write_bytes(data)
    with pytest.warns(StrongroomWarning, match="link"):
        strongroom.convert(old, tmp_path / f"new{trait.suffix}", password=zipcraft.PASSWORD)
    with strongroom.open(tmp_path / f"new{trait.suffix}", password=zipcraft.PASSWORD) as room:
        assert [entry.name for entry in room] == ["a"]
    with nothing_left(tmp_path), pytest.raises(UnsupportedError):
        strongroom.rekey(old, password=zipcraft.PASSWORD, new_password=NEW)
    assert old.read_bytes() == data
    with pytest.warns(StrongroomWarning, match="link"):
        strongroom.rekey(old, tmp_path / "n.zip", password=zipcraft.PASSWORD, new_password=NEW)


class Recorder(io.BytesIO):
    """A pipe's end, as far as we see, that has to get nothing."""

    def seekable(self) -> bool:
        return False


@each_format
def test_nothing_before_all_is_checked(trait: Trait, times: Callable[[int, int], int], tried: Tried) -> None:
    """Whichever byte is damaged: not one byte of the new archive is given away."""
    stream = io.BytesIO()
    with strongroom.create(stream, password=OLD, format=trait.name, compression="store") as room:
        for number in range(3):
            room.write(str(number), noise(3000, number))
    whole = stream.getvalue()
    step = len(whole) // times(12, 400) + 1
    places = range(len(whole) - 1, 0, -step)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        out = Recorder()
        with pytest.raises(StrongroomError):
            strongroom.convert(io.BytesIO(damaged), out, password=OLD, format=trait.name, new_format="zip")
        assert out.getvalue() == b""
    tried("P5", "converting a damaged archive into a pipe", "an error, and not one byte", count=len(places))


@pytest.mark.parametrize("size", [3000, LARGE])
@pytest.mark.parametrize("compression", ["store", "deflate"])
@each_format
def test_a_source_that_changes_meanwhile(
    tmp_path: Path, trait: Trait, compression: str, size: int, tried: Tried
) -> None:
    """Between the check and the second reading: an error, and what stood there stays; or what was checked is used."""
    old, new = tmp_path / f"old{trait.suffix}", tmp_path / "new.zip"
    strongroom.seal({"a": noise(size)}, old, password=OLD, compression=compression)
    new.write_bytes(b"there")
    checked = False

    def change(done: int, total: int | None) -> None:
        nonlocal checked
        if done == total and not checked:
            checked = True
            with old.open("r+b") as file:
                file.seek(old.stat().st_size // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes((byte[0] ^ 1,)))

    with nothing_left(tmp_path):
        try:
            strongroom.convert(old, new, password=OLD, overwrite=True, progress=change)
        except StrongroomError:
            assert new.read_bytes() == b"there"
        else:
            assert (trait.name, size) == ("zip.age", 3000), "that is in memory by then"
            assert strongroom.unseal(new, password=OLD).cat("/a") == noise(size)
    assert checked
    tried("P5", "changing an archive between the check and the conversion", "an error, and the target as it was")


def test_a_target_that_is_there(tmp_path: Path) -> None:
    """Is kept, unless the caller says; and may be the source itself."""
    path = tmp_path / "a.zip"
    make(path)
    before = path.read_bytes()
    with nothing_left(tmp_path), pytest.raises(OutputExistsError):
        strongroom.convert(path, path, password=OLD)
    assert path.read_bytes() == before
    strongroom.convert(path, path, password=OLD, overwrite=True, compression="store")
    with strongroom.open(path, password=OLD) as room:
        assert {entry.method for entry in room} == {"store"}
        assert room.read("a.csv") == TREE["a.csv"]


def test_it_takes_constant_memory(tmp_path: Path) -> None:
    """Sixty times the data, and hardly more memory at its highest."""
    code = (
        "import strongroom, sys; from pathlib import Path\n"
        "strongroom.convert(sys.argv[1], sys.argv[2], password='pw', compression='store', threads=1)\n"
        "print([line.split()[1] for line in Path('/proc/self/status').open() if line.startswith('VmHWM')][0])"
    )
    peaks = []
    for size in (2 * CHUNK, 120 * CHUNK):
        strongroom.seal(
            {"a": (noise(CHUNK) for _ in range(size // CHUNK))},
            tmp_path / f"{size}.zip",
            password="pw",
            compression="store",
        )
        command = [sys.executable, "-c", code, tmp_path / f"{size}.zip", tmp_path / f"{size}.7z"]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert peaks[1] < peaks[0] + 60_000, peaks  # KiB; 120 of the MiB would be more


# rekey


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("compression", ["store", "deflate"])
@each_format
def test_rekey(tmp_path: Path, trait: Trait, compression: str, *, elsewhere: bool) -> None:
    """The new password opens it, the old one does not; nothing of the ciphertext stays, and all else does."""
    path, target = tmp_path / f"a{trait.suffix}", tmp_path / f"b{trait.suffix}" if elsewhere else None
    make(path, compression=compression)
    path.chmod(0o640)
    before, had = path.read_bytes(), facts(path, timedelta())
    with nothing_left():
        strongroom.rekey(path, target, password=OLD, new_password=NEW, verify=True)
    made = target or path
    assert facts(made, timedelta(), password=NEW) == had
    with pytest.raises(WrongKeyError):
        strongroom.open(made, password=OLD)
    after = made.read_bytes()
    assert_nothing_shared(before, after)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    with strongroom.open(made, password=NEW, manifest="required" if trait.manifest else "auto") as room:
        assert {entry.method for entry in room if entry.size > CHUNK} == {compression}
    assert listing(tmp_path) == sorted({path.name, made.name})
    assert path.read_bytes() == (before if elsewhere else after)


def assert_nothing_shared(before: bytes, after: bytes) -> None:
    """No block of one's ciphertext is in the other."""
    places = range(3000, len(before) - 3000, len(before) // 50)
    assert len(places) > 10
    assert not any(before[place : place + 16] in after for place in places)


def test_rekey_under_the_same_password(tmp_path: Path) -> None:
    """Every salt is another one."""
    path = tmp_path / "a.zip"
    make(path)
    before = path.read_bytes()
    strongroom.rekey(path, password=OLD, new_password=OLD)
    assert facts(path, timedelta())
    after = path.read_bytes()
    assert_nothing_shared(before, after)


def test_rekey_refuses_a_suffix_of_another_format(tmp_path: Path) -> None:
    """It would be taken for something else; format= says what it is, where the source's name does not."""
    options: dict[str, Any] = {"password": OLD, "new_password": NEW}
    for suffix in (".zip", ".7z", ".zip.age"):
        make(tmp_path / f"a{suffix}")
    strongroom.seal(b"data", tmp_path / "a.age", password=OLD)
    for source, target in (
        ("a.zip.age", "b.age"),
        ("a.age", "b.zip.age"),
        ("a.zip.age", "b.zip"),
        ("a.zip", "b.7z"),
        ("a.7z", "b.zip.age"),
        ("a.zip", "b.age"),
    ):
        with nothing_left(tmp_path), pytest.raises(ValueError):
            strongroom.rekey(tmp_path / source, tmp_path / target, **options)
    (tmp_path / "plain").write_bytes((tmp_path / "a.zip.age").read_bytes())
    strongroom.rekey(tmp_path / "plain", tmp_path / "b.zip.age", format="zip.age", **options)
    assert facts(tmp_path / "b.zip.age", timedelta(), password=NEW)
    strongroom.rekey(tmp_path / "a.zip", tmp_path / "b.bin", **options)
    assert facts(tmp_path / "b.bin", timedelta(), password=NEW)


def test_rekey_does_not_replace_more_than_it_read(tmp_path: Path) -> None:
    """Volumes, and the program in front of an archive, would be lost."""
    whole = sevenzipcraft.archive({"a": b"data"})
    (tmp_path / "v.7z.001").write_bytes(whole[:50])
    (tmp_path / "v.7z.002").write_bytes(whole[50:])
    (tmp_path / "setup.exe").write_bytes(b"MZ" + bytes(1000) + whole)
    for name in ("v.7z.001", "setup.exe"):
        before = (tmp_path / name).read_bytes()
        options: dict[str, Any] = {"password": sevenzipcraft.PASSWORD, "new_password": NEW}
        with nothing_left(tmp_path), pytest.raises(UnsupportedError):
            strongroom.rekey(tmp_path / name, **options)
        assert (tmp_path / name).read_bytes() == before
        strongroom.rekey(tmp_path / name, tmp_path / f"{name}.7z", **options)
        assert facts(tmp_path / f"{name}.7z", timedelta(), password=NEW)


@each_format
def test_rekey_that_fails_leaves_all_as_it_was(tmp_path: Path, trait: Trait, tried: Tried) -> None:
    """Damage, a wrong or no password, none that is new, and one that its tools do not take."""
    path = tmp_path / f"a{trait.suffix}"
    make(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    cases: list[tuple[bytes, type[Exception], dict[str, Any]]] = [
        (bytes(damaged), TamperedError, {}),
        (whole[:-1], StrongroomError, {}),
        (b"junk", FormatError, {}),
        (whole, WrongKeyError, {"password": "wrong"}),
        (whole, WrongKeyError, {"password": None}),
        (whole, ValueError, {"new_password": None}),
        (whole, ValueError, {"new_password": b"nul\0"}),
    ]
    for data, error, options in cases:
        path.write_bytes(data)
        with nothing_left(tmp_path), pytest.raises(error):
            strongroom.rekey(path, **{"password": OLD, "new_password": NEW} | options)
        assert path.read_bytes() == data
    tried("P4", "rekeying in place what is damaged, or with wrong keys", "the old file as it was", count=len(cases))


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("verb", ["rekey", "convert"])
@each_format
def test_what_another_one_did_is_not_undone(
    tmp_path: Path, trait: Trait, verb: str, tried: Tried, *, replaced: bool
) -> None:
    """An archive that is replaced, or removed, while it is sealed anew in place stays so."""
    archive, other = tmp_path / f"a{trait.suffix}", tmp_path / f"b{trait.suffix}"
    strongroom.seal({"a": noise(3000)}, archive, password=OLD)
    strongroom.seal({"a": b"newer"}, other, password=OLD)

    def meddle(_: int, __: int | None) -> None:
        if other.exists():
            other.rename(archive)
            if not replaced:
                archive.unlink()

    options: dict[str, Any] = {"password": OLD, "new_password": NEW, "progress": meddle}
    anew = strongroom.rekey if verb == "rekey" else partial(strongroom.convert, target=archive)
    with pytest.raises(OutputError):
        anew(archive, overwrite=True, **options)
    if replaced:
        assert strongroom.unseal(archive, password=OLD).cat("/a") == b"newer"
    assert list(tmp_path.iterdir()) == ([archive] if replaced else [])
    tried("P4", f"an archive that is replaced or removed while it is {verb}ed in place", "what the other one did stays")


def test_convert_onto_itself_loses_nothing(tmp_path: Path) -> None:
    """What would be left out stands in the only copy that there is: refused, also where that has another name."""
    path = tmp_path / "v.7z.001"
    whole = sevenzipcraft.archive({"a": b"data"})
    path.write_bytes(whole[:50])
    (tmp_path / "v.7z.002").write_bytes(whole[50:])
    (tmp_path / "same.7z").hardlink_to(path)
    for target in (path, tmp_path / "same.7z"):
        with nothing_left(tmp_path), pytest.raises(UnsupportedError):
            strongroom.convert(
                path, target, password=sevenzipcraft.PASSWORD, new_password=NEW, new_format="7z", overwrite=True
            )
    assert path.read_bytes() == whole[:50]


def test_secrets_do_not_stand_in_tracebacks(tmp_path: Path) -> None:
    """Neither password, whatever goes wrong."""
    path = tmp_path / "a.zip"
    make(path)
    for call, options in (
        (strongroom.rekey, {"password": "SECRET-ONE", "new_password": "SECRET-TWO"}),
        (strongroom.convert, {"password": "SECRET-ONE", "new_password": "SECRET-TWO"}),
        (strongroom.convert, {"password": OLD, "new_password": "SECRET-\ud800"}),
        (strongroom.convert, {"password": "SECRET-\ud800", "new_password": NEW}),
    ):
        with pytest.raises((WrongKeyError, ValueError)) as caught:
            call(path, tmp_path / "b.zip", **options)  # type: ignore[operator]
        trace = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "SECRET-" not in trace[trace.index("strongroom/converting.py") :]


def test_copy_to_joins_archives() -> None:
    """Two archives in one, where no name is there twice."""
    parts = [io.BytesIO(), io.BytesIO()]
    for number, stream in enumerate(parts):
        strongroom.seal({f"{number}": noise(number)}, stream, format="zip", password=OLD)
    both = io.BytesIO()
    with strongroom.create(both, format="7z", password=NEW) as new:
        for stream in parts:
            with strongroom.open(stream, password=OLD) as old:
                assert old.format == "zip"
                old.copy_to(new)
        with strongroom.open(parts[0], password=OLD) as old, pytest.raises(ValueError):
            old.copy_to(new)
    with strongroom.open(both, password=NEW) as room:
        assert [entry.name for entry in room] == ["0", "1"]
