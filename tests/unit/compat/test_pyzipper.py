"""What the stand-in does where pyzipper leaves half a file, plaintext, or what nobody has authenticated."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pyzipper as original

import strongroom
from strongroom.compat import pyzipper
from strongroom.errors import (
    EntryNotFoundError,
    OutputError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    WrongKeyError,
)
from tests.helpers import listing, noise, nothing_left
from tests.proof import Tried

PASSWORD = b"nine tame owls read maps"
DATA = {"a": b"first" * 100, "folder/b": noise(3000)}


def sealed(path: Path | io.BytesIO, data: dict[str, bytes] = DATA) -> bytes:
    """An archive, stored, so that its data is where its sizes say."""
    with pyzipper.AESZipFile(path, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD)
        for name, content in data.items():
            archive.writestr(name, content)
    return path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an archive goes, in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "a.zip"


def test_names() -> None:
    """All that pyzipper makes public is there, but for what packs Python modules; nothing writes without encryption."""
    public = {name for name in vars(original) if not name.startswith("_")} - {"zipfile", "zipfile_aes"}
    assert public - set(pyzipper.__all__) == {"PyZipFile"}
    assert pyzipper.ZipFile is pyzipper.AESZipFile


def test_plainly_a_room(path: Path) -> None:
    """What it writes is strongroom's archive, with its manifest, of mode 0600."""
    sealed(path)
    with strongroom.open(path, password=PASSWORD, manifest="required") as room:
        assert {entry.name: room.read(entry.name) for entry in room} == DATA
        assert {entry.encryption for entry in room} == {"AES-256 (AE-2)"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("old", [None, b"what stood there"])
@pytest.mark.parametrize("inside", [False, True])
def test_an_exception_leaves_what_was_there(path: Path, old: bytes | None, inside: bool, tried: Tried) -> None:  # noqa: FBT001
    """Where pyzipper ends half an archive under the name, nothing is there, or what was."""
    if old is not None:
        path.write_bytes(old)

    def write(module: type[pyzipper]) -> None:
        with module.AESZipFile(path, "w", encryption=module.WZ_AES) as archive:
            archive.setpassword(PASSWORD)
            archive.writestr("a", b"data")
            if inside:
                with archive.open("b", "w") as file:
                    file.write(b"half")
                    raise ZeroDivisionError
            raise ZeroDivisionError

    with nothing_left(path.parent), pytest.raises(ZeroDivisionError):
        write(pyzipper)
    assert listing(path.parent) == ([path.name] if old else [])
    assert old is None or path.read_bytes() == old
    with pytest.raises(ZeroDivisionError):
        write(original)
    assert zipfile.is_zipfile(path)
    peers = {"pyzipper": "half an archive under the name"}
    tried("P4", "an exception while compat.pyzipper writes", "what stood there before", peers=peers)


def test_a_swallowed_exception(path: Path) -> None:
    """An entry that failed takes the archive with it, also where the program goes on: it is told at the end."""

    def write() -> None:
        with pyzipper.AESZipFile(path, "w") as archive:
            archive.setpassword(PASSWORD)
            with suppress(ZeroDivisionError), archive.open("b", "w") as file:
                file.write(b"half")
                raise ZeroDivisionError
            archive.writestr("c", b"more")

    with pytest.raises(OSError, match="discarded") as caught:
        write()
    assert isinstance(caught.value, OutputError)
    assert listing(path.parent) == []


def test_forgotten(path: Path) -> None:
    """An archive that nobody closed is not there, and that is said."""
    archive = pyzipper.AESZipFile(path, "w")
    archive.setpassword(PASSWORD)
    archive.writestr("a", b"data")
    archives = [archive]
    del archive
    with pytest.warns(StrongroomWarning):
        archives.clear()
    assert listing(path.parent) == []


@pytest.mark.parametrize("start", [{}, {"encryption": "WZ_AES"}])
def test_nothing_is_written_without_a_password(path: Path, start: dict[str, str], tried: Tried) -> None:
    """Not even where no encryption was asked for, as `ZipFile` is meant."""
    source = path.parent.parent / "source"
    source.write_bytes(b"data")
    archive = pyzipper.ZipFile(path, "w", **start)
    actions: list[Callable[[], object]] = [
        lambda: archive.writestr("a", b"data"),
        lambda: archive.open("a", "w"),
        lambda: archive.write(source, "a"),
    ]
    for action in actions:
        with pytest.raises(RuntimeError) as caught:
            action()
        assert isinstance(caught.value, WrongKeyError)
    with pytest.warns(StrongroomWarning):
        archive.close()
    assert listing(path.parent) == []
    peers = {"pyzipper": "ZipFile writes plaintext"}
    tried("P6", "compat.pyzipper writes without a password", "RuntimeError, no file", count=len(actions), peers=peers)


def test_a_password_alone_encrypts(path: Path) -> None:
    """A password that was given is used, also where no encryption was asked for."""
    with pyzipper.ZipFile(path, "w", compression=pyzipper.ZIP_DEFLATED) as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data" * 100)
    assert b"data" not in path.read_bytes()
    with original.AESZipFile(path) as archive:
        assert archive.getinfo("a").is_encrypted


def test_one_password_an_archive(path: Path) -> None:
    """A second password is refused before anything of the entry is taken, and the archive goes on with the first."""
    with pyzipper.AESZipFile(path, "w") as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data")
        with pytest.raises(NotImplementedError):
            archive.open("b", "w", pwd=b"another")
        archive.writestr("c", b"data")
    with strongroom.open(path, password=PASSWORD) as room:
        assert [entry.name for entry in room] == ["a", "c"]


def test_a_password_that_is_taken_away(path: Path) -> None:
    """An archive that has entries is completed under the password that they have."""
    with pyzipper.AESZipFile(path, "w") as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data")
        archive.setpassword(None)
    with strongroom.open(path, password=PASSWORD) as room:
        assert room.read("a") == b"data"


def test_an_empty_archive(path: Path) -> None:
    """With a password, an archive of nothing is one."""
    with pyzipper.AESZipFile(path, "w") as archive:
        archive.setpassword(PASSWORD)
    with pyzipper.AESZipFile(path) as archive:
        assert archive.namelist() == []
        assert archive.testzip() is None


def test_modes(path: Path) -> None:
    """An archive is replaced ("w"), made where there is none ("x"), and never added to ("a")."""
    sealed(path)
    whole = path.read_bytes()
    with pytest.raises(NotImplementedError) as caught:
        pyzipper.AESZipFile(path, "a")
    assert isinstance(caught.value, StrongroomError)
    with pytest.raises(FileExistsError):
        pyzipper.AESZipFile(path, "x")
    with pytest.raises(ValueError, match="mode"):
        pyzipper.AESZipFile(path, "rb")
    with pytest.raises(FileNotFoundError):
        pyzipper.AESZipFile(path.parent / "missing" / "a.zip", "w")
    with pytest.raises(FileNotFoundError):
        pyzipper.AESZipFile(path.parent / "missing.zip")
    assert path.read_bytes() == whole
    sealed(path, {"new": b"data"})
    with pyzipper.AESZipFile(path) as archive:
        assert archive.namelist() == ["new"]
    path.unlink()
    with pyzipper.AESZipFile(path, "x") as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data")
    assert pyzipper.is_zipfile(path)


def test_a_file_that_comes_meanwhile_is_not_replaced(path: Path) -> None:
    """Mode "x" holds until the end."""
    archive = pyzipper.AESZipFile(path, "x")
    archive.setpassword(PASSWORD)
    archive.writestr("a", b"data")
    path.write_bytes(b"another's")
    with pytest.raises(FileExistsError):
        archive.close()
    assert path.read_bytes() == b"another's"


def test_a_wrong_password(path: Path) -> None:
    """It is pyzipper's `RuntimeError` and our `WrongKeyError`, no damage, and the right one works afterwards."""
    sealed(path)
    with pyzipper.AESZipFile(path) as archive:
        with pytest.raises(RuntimeError):
            archive.read("a")
        with pytest.raises(RuntimeError):
            archive.testzip()
        archive.setpassword(b"wrong")
        for action in (archive.read, archive.open, archive.extract):
            with pytest.raises(RuntimeError) as caught:
                action("a")
            assert isinstance(caught.value, WrongKeyError)
            assert not isinstance(caught.value, pyzipper.BadZipFile)
        assert archive.read("a", pwd=PASSWORD) == DATA["a"]
        archive.pwd = PASSWORD
        assert archive.read("folder/b") == DATA["folder/b"]


def test_passwords_are_kept_as_secrets(path: Path) -> None:
    """Text is refused as pyzipper does; bytes are copied into a Secret, which shows nothing and is wiped at the end."""
    sealed(path)
    archive = pyzipper.AESZipFile(path)
    for action in (archive.setpassword, lambda word: archive.read("a", pwd=word)):
        with pytest.raises(TypeError):
            action(PASSWORD.decode())
    archive.setpassword(bytearray(PASSWORD))
    secret = archive.pwd
    assert isinstance(secret, strongroom.Secret)
    assert secret == PASSWORD
    assert PASSWORD.decode() not in repr(vars(archive)) + repr(archive)
    archive.close()
    assert archive.pwd is None
    with pytest.raises(ValueError, match="closed"):
        bytes(secret)
    with pytest.raises(ValueError, match="closed"):
        archive.read("a")


def test_no_password_in_tracebacks(path: Path, tried: Tried) -> None:
    """Those that show local variables do not show it, in no frame of ours, be it of the wrong type or wrong."""
    sealed(path)
    archive = pyzipper.AESZipFile(path)
    wrong = b"the wrong word"
    calls = [archive.setpassword, lambda word: setattr(archive, "pwd", word)]
    calls += [lambda word, call=call: call("a", pwd=word) for call in (archive.read, archive.open, archive.extract)]
    calls += [lambda word: archive.extractall(pwd=word)]
    for call in calls:
        for word in (wrong, wrong.decode()):
            try:
                call(word)
            except (TypeError, RuntimeError) as error:
                frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            else:
                assert word == wrong  # which only setting it takes
                continue
            ours = [frame.f_locals for frame in frames if "strongroom/compat" in frame.f_code.co_filename]
            assert ours
            assert wrong.decode() not in repr(ours)
    archive.close()
    tried("P2", "tracebacks of compat.pyzipper with local variables", "no password", count=2 * len(calls))


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """It would have to be read again for each password, and nobody would come to fill it."""
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(io.UnsupportedOperation):
        pyzipper.AESZipFile(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a", "folder/b"])
def test_nothing_of_a_changed_entry_is_given_out(name: str, tried: Tried) -> None:
    """Opening it raises, before a byte is read; pyzipper gives out what it has not checked yet."""
    content = noise(3_000_000)
    archive = io.BytesIO()
    with original.AESZipFile(archive, "w", encryption=original.WZ_AES) as made:  # whose archives have no manifest
        made.setpassword(PASSWORD)
        made.writestr("a", content)
        made.writestr("folder/b", content)
    raw = bytearray(archive.getvalue())
    place = {"a": 2_000_000, "folder/b": 5_000_000}[name]
    raw[place] ^= 1
    with pyzipper.AESZipFile(io.BytesIO(raw)) as ours, original.AESZipFile(io.BytesIO(raw)) as theirs:
        ours.setpassword(PASSWORD)
        theirs.setpassword(PASSWORD)
        for action in (ours.open, ours.read):
            with pytest.raises(pyzipper.BadZipFile) as caught:
                action(name)
            assert isinstance(caught.value, TamperedError)
        assert ours.testzip() == name
        other = "a" if name != "a" else "folder/b"
        assert ours.read(other) == content
        with theirs.open(name) as file:
            assert file.read(1_900_000) == content[:1_900_000]
    peers = {"pyzipper": "gives out what comes before"}
    tried("P5", "a changed entry is opened by compat.pyzipper", "BadZipFile before the first byte", peers=peers)


def test_a_renamed_entry(path: Path) -> None:
    """The manifest is checked as in a Room: what was done to names is damage, once there is a password."""
    raw = sealed(path).replace(b"folder/b", b"folder/c")
    with pyzipper.AESZipFile(io.BytesIO(raw)) as archive:
        archive.setpassword(PASSWORD)
        with pytest.raises(pyzipper.BadZipFile):
            archive.read("a")


def test_unencrypted_entries(tried: Tried) -> None:
    """They are an attack beside encrypted ones, and where a password is used; else they are read."""
    stream = io.BytesIO()
    with original.AESZipFile(stream, "w", encryption=original.WZ_AES) as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("mine", b"data")
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("theirs", b"fake")
    with original.AESZipFile(stream) as archive:
        archive.setpassword(PASSWORD)
        assert archive.read("theirs") == b"fake"
    for password in (PASSWORD, None):
        with pyzipper.AESZipFile(stream) as archive:
            archive.setpassword(password)
            with pytest.raises(pyzipper.BadZipFile):
                archive.read("theirs")
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("theirs", b"fake")
    with pyzipper.ZipFile(plain) as archive:
        assert archive.read("theirs") == b"fake"
        assert archive.testzip() is None
        archive.setpassword(PASSWORD)
        with pytest.raises(pyzipper.BadZipFile):
            archive.read("theirs")
    peers = {"pyzipper": "returned as if it were sealed"}
    tried("P8", "an unencrypted entry is read by compat.pyzipper", "BadZipFile", count=3, peers=peers)


@pytest.mark.parametrize("bad", [b"", b"PK", b"not a ZIP at all" * 10])
def test_what_is_no_zip(bad: bytes) -> None:
    """It is a `BadZipFile`, and `is_zipfile` says so."""
    assert not pyzipper.is_zipfile(io.BytesIO(bad))
    with pytest.raises(pyzipper.BadZipFile):
        pyzipper.AESZipFile(io.BytesIO(bad))


def test_every_flip_is_an_error_that_callers_catch(times: Callable[[int, int], int]) -> None:
    """Whatever byte is changed, all that is raised is `BadZipFile` or pyzipper's `RuntimeError`; no data is wrong."""
    whole = sealed(io.BytesIO(), {"a": b"data"})
    for position in range(0, len(whole), times(5, 1)):
        raw = bytearray(whole)
        raw[position] ^= 0x55
        try:
            with pyzipper.AESZipFile(io.BytesIO(raw)) as archive:
                archive.setpassword(PASSWORD)
                for name in archive.namelist():
                    archive.read(name)
        except (pyzipper.BadZipFile, RuntimeError):
            continue
        pytest.fail(f"byte {position} was changed, and nothing said so")


def test_an_archive_that_changes(path: Path) -> None:
    """Names that were listed without a password hold once there is one, or it is damage."""
    sealed(path)
    with pyzipper.AESZipFile(path) as archive:
        path.unlink()
        sealed(path, {"a": b"others"})
        archive.setpassword(PASSWORD)
        with pytest.raises(pyzipper.BadZipFile):
            archive.read("a")


def test_the_current_folder_may_change(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the folder in which the archive was opened."""
    monkeypatch.chdir(path.parent)
    sealed(Path(path.name))
    with pyzipper.AESZipFile(path.name) as archive:
        monkeypatch.chdir("/")
        assert archive.read("a", pwd=PASSWORD) == DATA["a"]
    monkeypatch.chdir(path.parent)
    with pyzipper.AESZipFile("b.zip", "w") as archive:
        monkeypatch.chdir("/")
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data")
    assert listing(path.parent) == ["a.zip", "b.zip"]


def test_files_and_folders(path: Path) -> None:
    """They go in under pyzipper's names and with their time, and come out where pyzipper puts them."""
    folder = path.parent.parent / "source"
    folder.mkdir()
    (folder / "file").write_bytes(b"data")
    os.utime(folder / "file", (1_700_000_000, 1_700_000_000))
    with pyzipper.AESZipFile(path, "w", pyzipper.ZIP_DEFLATED) as archive:
        archive.setpassword(PASSWORD)
        archive.write(folder)
        archive.write(folder / "file", "/deep/../name")
        archive.write(folder / "file", compress_type=pyzipper.ZIP_DEFLATED)
        archive.writestr("empty/", b"")
        with pytest.raises(FileNotFoundError):
            archive.write(folder / "missing")
        names = archive.namelist()
    usual = str(folder).lstrip("/")
    assert names == [f"{usual}/", "name", f"{usual}/file", "empty/"]
    with pyzipper.AESZipFile(path) as archive:
        archive.setpassword(PASSWORD)
        assert archive.namelist() == names
        moment = datetime.fromtimestamp(1_700_000_000, UTC)
        assert archive.getinfo("name").date_time == moment.timetuple()[:6]
        assert archive.getinfo("empty/").is_dir()
        target = path.parent.parent / "target"
        assert archive.extract("name", target) == str(target / "name")
        with pytest.raises(FileExistsError):
            archive.extract("name", target)
        archive.extractall(target, members=["empty/", archive.getinfo(f"{usual}/file")])
        assert (target / usual / "file").read_bytes() == (target / "name").read_bytes() == b"data"
        table = io.StringIO()
        archive.printdir(table)
        assert len(table.getvalue().splitlines()) == 5
    assert pyzipper.AESZipInfo.from_file(folder).filename == f"{usual}/"


def test_what_a_room_does_not_do(path: Path) -> None:
    """It is refused in words, and what was written by then stays whole."""
    with pyzipper.AESZipFile(path, "w", pyzipper.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.setpassword(PASSWORD)
        archive.writestr("a", b"data", compresslevel=1)
        refused: list[Callable[[], object]] = [
            lambda: archive.writestr("b", b"data", compress_type=pyzipper.ZIP_STORED),
            lambda: archive.writestr("b", b"data", compresslevel=9),
            lambda: archive.writestr("b", b"data", compress_type=97),
            lambda: archive.read("a"),
            lambda: setattr(archive, "comment", b"words"),
            lambda: archive.setencryption("ZipCrypto"),
        ]
        for action in refused:
            with pytest.raises(NotImplementedError):
                action()
        wrong: list[Callable[[], object]] = [
            lambda: archive.writestr("a", b"twice"),
            lambda: archive.writestr("../b", b"data"),
            lambda: archive.writestr("/b", b"data"),
            lambda: archive.writestr("b/", b"data"),
            lambda: archive.open("a", "rw"),
            lambda: pyzipper.AESZipInfo("b", (1979, 1, 1, 0, 0, 0)),
        ]
        for action in wrong:
            with pytest.raises(ValueError):
                action()
        with pytest.raises(TypeError):
            archive.setencryption(pyzipper.WZ_AES, bits=256)
        with pytest.raises(RuntimeError):
            archive.setencryption(pyzipper.WZ_AES, nbits=512)
    with pytest.raises(NotImplementedError):
        pyzipper.AESZipFile(path, "w", compression=93)
    with pyzipper.AESZipFile(path) as archive:
        assert archive.read("a", pwd=PASSWORD) == b"data"
        assert archive.comment == b""
        with pytest.raises(ValueError):
            archive.writestr("b", b"data")
    with pytest.raises(io.UnsupportedOperation), subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        pyzipper.AESZipFile(process.stdout)


def test_an_entry_that_is_still_open(path: Path) -> None:
    """The archive cannot be closed, as with pyzipper."""
    archive = pyzipper.AESZipFile(path, "w")
    archive.setpassword(PASSWORD)
    file = archive.open("a", "w")
    with pytest.raises(ValueError, match="open"):
        archive.close()
    file.close()
    archive.close()
    with pyzipper.AESZipFile(path) as archive:
        assert archive.namelist() == ["a"]


@pytest.mark.parametrize("legacy", [False, True])
def test_zipcrypto(legacy: bool) -> None:  # noqa: FBT001
    """It is read only when asked for: anyone can change what it encrypts."""
    command = [sys.executable, "-c", "import shutil; print(shutil.which('7zz') or '')"]
    seven = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not seven:
        pytest.skip("7zz is not installed")
    made = subprocess.run(
        [seven, "a", "-tzip", "-mem=ZipCrypto", "-si" + "a", "-ppass", "-so", "x.zip"],
        input=b"data",
        capture_output=True,
        check=True,
    ).stdout
    with pyzipper.AESZipFile(io.BytesIO(made), legacy=legacy) as archive:
        archive.setpassword(b"pass")
        if legacy:
            assert archive.read("a") == b"data"
        else:
            with pytest.raises(NotImplementedError):
                archive.read("a")


def test_a_missing_name_is_a_key_error(path: Path) -> None:
    """It is one of ours as well."""
    sealed(path)
    with pyzipper.AESZipFile(path) as archive, pytest.raises(KeyError) as caught:
        archive.getinfo("missing")
    assert isinstance(caught.value, EntryNotFoundError)


def test_a_full_disk(tried: Tried) -> None:
    """A write that fails is an `OSError`, as with pyzipper."""

    class Full(io.BytesIO):
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    archive = pyzipper.AESZipFile(Full(), "w")
    archive.setpassword(PASSWORD)
    for action in (lambda: archive.writestr("a", b"data"), archive.close):
        with pytest.raises(OSError, match=r"stream|discarded") as caught:
            action()
    assert isinstance(caught.value, OutputError)
    tried("P4", "compat.pyzipper writes to a full disk", "OSError and OutputError")
