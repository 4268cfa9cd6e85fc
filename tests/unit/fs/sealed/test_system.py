from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from strongroom import (
    FormatError,
    OutputError,
    Secret,
    SecureMemoryError,
    StrongroomError,
    TamperedError,
    TruncatedError,
    WrongKeyError,
)
from strongroom.formats.age.stream import PLAIN, SEALED
from strongroom.fs import SealedFileSystem
from tests import agecraft
from tests.helpers import listing, tool
from tests.unit.fs.sealed.conftest import Keys, make_keys

SIZES = [0, 1, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN - 1, 2 * PLAIN, 2 * PLAIN + 1, (1 << 20) + 1, 5 << 20]


class Counting(MemoryFileSystem):
    """A private store that counts what is read of it."""

    protocol = "counting"
    cachable = False
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    reads = 0

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: object) -> bytes:
        type(self).reads += 1
        return super().cat_file(path, start, end, **options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inner", ["file", "memory"])
def test_round_trip_and_sizes(keys: Keys, tmp_path: Path, inner: str, size: int) -> None:
    """What was written comes back, whole and in parts, and info and ls tell its exact size, without a key."""
    data = os.urandom(size)
    path = f"{tmp_path}/a.bin"
    fs = SealedFileSystem(target_protocol=inner, recipients=keys.recipient, identities=keys.path)
    fs.makedirs(str(tmp_path), exist_ok=True)
    with fs.open(path, "wb") as file:
        for start in range(0, size, 300_000):
            file.write(data[start : start + 300_000])
    assert fs.cat_file(path) == data
    with fs.open(path) as file:
        assert file.read(10) + file.read() == data
        file.seek(size // 2)
        assert file.read(PLAIN) == data[size // 2 : size // 2 + PLAIN]
        into = bytearray(size + 5)
        file.seek(0)
        assert file.readinto(into) == size
        assert into == data + bytes(5)
    assert fs.cat_file(path, -7) == data[-7:]
    blind = SealedFileSystem(target_protocol=inner, recipients=keys.recipient)
    assert blind.info(path)["size"] == size
    assert [(item["name"], item["size"]) for item in blind.ls(str(tmp_path))] == [(path, size)]
    assert blind.find(str(tmp_path), detail=True)[path]["size"] == size
    assert blind.du(str(tmp_path)) == size
    fs.rm(path)
    assert not fs.exists(path)


def test_age_opens_it(fs: SealedFileSystem, keys: Keys, tmp_path: Path) -> None:
    """Each file is one that the age program opens, and what that one writes is read here, armored too."""
    fs.pipe_file(f"{tmp_path}/a", b"one" * 50_000)
    command = [tool("age"), "-d", "-i", str(keys.path), str(tmp_path / "a.age")]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"one" * 50_000
    for name, flags in (("b", []), ("c", ["-a"])):
        command = [tool("age"), "-r", keys.recipient, *flags, "-o", str(tmp_path / f"{name}.age")]
        subprocess.run(command, input=b"two" * 50_000, check=True)
        assert fs.info(f"{tmp_path}/{name}")["size"] == 150_000
        assert fs.cat_file(f"{tmp_path}/{name}") == b"two" * 50_000


def test_recipients_only_write(keys: Keys, tmp_path: Path) -> None:
    """With recipients alone nothing is read, also of one's own files; with identities alone nothing is written."""
    path = f"{tmp_path}/a"
    writes = SealedFileSystem(target_protocol="file", recipients=[keys.recipient])
    reads = SealedFileSystem(target_protocol="file", identities=[keys.path])
    writes.pipe_file(path, b"data")
    for read in (writes.cat_file, writes.open, lambda path: writes.cat_file(path, 0, 1), writes.read_text):
        with pytest.raises(WrongKeyError):
            read(path)
    assert reads.cat_file(path) == b"data"
    for mode in ("wb", "xb", "w"):
        with pytest.raises(ValueError, match="recipients"):
            reads.open(f"{tmp_path}/b", mode)
    assert listing(tmp_path) == ["a.age"]
    other = make_keys(tmp_path)
    with pytest.raises(WrongKeyError):
        SealedFileSystem(target_protocol="file", identities=other.path).cat_file(path)


@pytest.mark.parametrize("mode", ["ab", "r+b", "a", "w+b", "rb+"])
def test_no_other_modes(fs: SealedFileSystem, tmp_path: Path, mode: str) -> None:
    """An age file is not appended to and not changed in its middle, and the error says why."""
    fs.pipe_file(f"{tmp_path}/a", b"data")
    with pytest.raises(ValueError, match="age file"):
        fs.open(f"{tmp_path}/a", mode)
    assert fs.cat_file(f"{tmp_path}/a") == b"data"


def test_files_that_are_not_sealed_do_not_show(fs: SealedFileSystem, tmp_path: Path) -> None:
    """A file without .age is not there; nothing removes it, and a folder that holds it stays."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "plain.txt").write_bytes(b"plain")
    fs.pipe_file(f"{folder}/a", b"data")
    assert fs.find(str(folder)) == fs.ls(str(folder), detail=False) == [f"{folder}/a"]
    assert not fs.exists(f"{folder}/plain.txt")
    for use in (fs.info, fs.cat_file, fs.open, fs.ls):
        with pytest.raises(FileNotFoundError):
            use(f"{folder}/plain.txt")
    with pytest.raises(OSError, match="not empty"):
        fs.rm(str(folder), recursive=True)
    assert (folder / "plain.txt").read_bytes() == b"plain"


def test_a_file_that_is_no_age_file(fs: SealedFileSystem, tmp_path: Path) -> None:
    """It is listed with the size None, and all that needs more of it is an error of ours."""
    fs.pipe_file(f"{tmp_path}/good", b"data")
    (tmp_path / "bad.age").write_bytes(b"no age file")
    (tmp_path / "empty.age").write_bytes(b"")
    sizes = {item["name"].rpartition("/")[2]: item["size"] for item in fs.ls(str(tmp_path))}
    assert sizes == {"good": 4, "bad": None, "empty": None}
    for path in (f"{tmp_path}/bad", f"{tmp_path}/empty"):
        assert fs.exists(path)
        for use in (fs.info, fs.open, fs.cat_file, fs.size):
            with pytest.raises(FormatError):
                use(path)
    with pytest.raises(FormatError):
        fs.du(str(tmp_path))


def test_every_cut_and_flip_is_noticed(fs: SealedFileSystem, tmp_path: Path) -> None:
    """No byte that was changed and no end that was cut off is read over, whole or in parts."""
    path, sealed = f"{tmp_path}/a", tmp_path / "a.age"
    fs.pipe_file(path, bytes(2 * PLAIN + 100))
    data = sealed.read_bytes()
    for place in [*range(0, len(data), 997), len(data) - 1]:
        sealed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(StrongroomError):
            fs.cat_file(path)
        sealed.write_bytes(data[:place])
        with pytest.raises(StrongroomError):
            fs.open(path)


def test_a_damaged_chunk_gives_nothing_of_itself(fs: SealedFileSystem, tmp_path: Path) -> None:
    """Reads of good chunks go on; a read that takes part of the damaged one gives nothing, and the buffer is wiped."""
    path, sealed = f"{tmp_path}/a", tmp_path / "a.age"
    fs.pipe_file(path, b"x" * (4 * PLAIN))
    data = bytearray(sealed.read_bytes())
    data[-2 * SEALED - 5] ^= 1  # in the second chunk of four
    sealed.write_bytes(data)
    with fs.open(path) as file:
        assert file.read(PLAIN) == b"x" * PLAIN
        file.seek(2 * PLAIN)
        assert file.read() == b"x" * 2 * PLAIN
        file.seek(PLAIN - 1)
        buffer = bytearray(10)
        with pytest.raises(TamperedError):
            file.readinto(buffer)
        assert buffer == bytes(10)
        file.seek(0)
        with pytest.raises(TamperedError):
            file.read()
    target = tmp_path / "plain"
    with pytest.raises(TamperedError):
        fs.get_file(path, str(target))
    assert not target.exists()


def test_replaced_while_it_is_read(keys: Keys) -> None:
    """What is read is of the file that was opened, or an error."""
    fs = SealedFileSystem(target_protocol="memory", recipients=keys.recipient, identities=keys.path)
    fs.pipe_file("/replaced", b"a" * 5 * PLAIN)
    with fs.open("/replaced") as file:
        assert file.read(1) == b"a"
        fs.pipe_file("/replaced", b"b" * 5 * PLAIN)
        file.seek(2 * PLAIN)
        with pytest.raises((TamperedError, TruncatedError)):
            file.read(10)
    fs.rm("/replaced")


def test_sizes_are_remembered(keys: Keys) -> None:
    """A listing reads each header once, until the file is another one; names alone read none."""
    inner = Counting()
    fs = SealedFileSystem(fs=inner, recipients=keys.recipient)
    for number in range(5):
        fs.pipe_file(f"/sizes/{number}", bytes(number))
    Counting.reads = 0
    assert fs.find("/sizes") == fs.glob("/sizes/*") == fs.ls("/sizes", detail=False)
    assert fs.exists("/sizes/3")
    assert fs.isfile("/sizes/3")
    assert Counting.reads == 0
    assert [item["size"] for item in fs.ls("/sizes")] == [0, 1, 2, 3, 4]
    assert Counting.reads == 5
    assert [item["size"] for item in fs.ls("/sizes")] == [0, 1, 2, 3, 4]
    assert fs.info("/sizes/3")["size"] == 3
    assert Counting.reads == 5
    fs.pipe_file("/sizes/3", bytes(33))
    assert fs.info("/sizes/3")["size"] == 33


def test_secrets_show_nowhere(keys: Keys) -> None:
    """Neither repr, options, tokens nor what fsspec keeps of the arguments has the identity."""
    text = keys.text.strip()
    fs = SealedFileSystem(target_protocol="file", recipients=keys.recipient, identities=[text])
    shown = [repr(fs), str(fs.storage_options), str(fs.storage_args), fs._fs_token, fs.fsid, str(vars(fs))]
    assert not any(text[16:30] in one for one in shown)
    for use in (lambda: pickle.dumps(fs), fs.to_json, fs.to_dict):
        with pytest.raises(TypeError, match="path"):
            use()
    assert fs not in list(SealedFileSystem._cache.values())
    with Secret(text) as secret:
        again = SealedFileSystem(target_protocol="file", recipients=keys.recipient, identities=secret)
    assert again == fs
    assert hash(again) == hash(fs)


def test_text_of_a_key_file_is_no_path(keys: Keys, tmp_path: Path) -> None:
    """What `keygen` wrote may be given as text; where that is wrong, the error shows nothing of it."""
    text = f"# created: today\n# public key: {keys.recipient}\n{keys.text}\n"
    with SealedFileSystem(target_protocol="file", recipients=f"# mine\n{keys.recipient}\n", identities=text) as fs:
        fs.pipe(f"{tmp_path}/a", b"data")
        assert fs.cat(f"{tmp_path}/a") == b"data"
        assert keys.text.strip() not in repr(fs.storage_options)
    for options in ({"recipients": text}, {"identities": text[:-9]}, {"identities": f" {keys.text.strip()[:-3]}"}):
        with pytest.raises(ValueError) as caught:
            SealedFileSystem(target_protocol="file", **options)
        assert keys.text[20:40] not in str(caught.value)


def test_without_keys(tmp_path: Path) -> None:
    """Who gave no keys is told so, whichever way they go."""
    with SealedFileSystem(target_protocol="file", recipients=[], identities=[]) as fs:
        with pytest.raises(ValueError, match="was given no keys; to write, it takes recipients"):
            fs.pipe(f"{tmp_path}/a", b"data")
        (tmp_path / "b.age").write_bytes(agecraft.seal(b"data"))
        with pytest.raises(WrongKeyError, match="was given no keys; identities=… open it"):
            fs.cat(f"{tmp_path}/b")


def test_instances_are_not_mixed(keys: Keys, tmp_path: Path) -> None:
    """Other keys make another file system, by constructor and by URL; none is kept by fsspec."""
    other = make_keys(tmp_path)
    one = SealedFileSystem(target_protocol="file", identities=keys.path)
    two = SealedFileSystem(target_protocol="file", identities=other.path)
    assert one != two
    writes, path = fsspec.url_to_fs(f"sealed::file://{tmp_path}/a", recipients=[keys.recipient])
    writes.pipe_file(path, b"data")
    reads, _ = fsspec.url_to_fs(f"sealed::file://{tmp_path}/a", sealed={"identities": [str(keys.path)]})
    assert reads.cat_file(path) == b"data"
    again, _ = fsspec.url_to_fs(f"sealed::file://{tmp_path}/a", recipients=[keys.recipient])
    with pytest.raises(WrongKeyError):
        again.cat_file(path)


def test_pickled_with_recipients_and_paths(keys: Keys, tmp_path: Path) -> None:
    """What a worker gets does the same, equals the first, and has the path in place of the identity."""
    writes = SealedFileSystem(target_protocol="file", recipients=keys.recipient)
    sent = pickle.dumps(writes)
    there = pickle.loads(sent)  # noqa: S301 - our own
    assert there == writes
    there.pipe_file(f"{tmp_path}/a", b"data")
    reads = SealedFileSystem(target_protocol="file", identities=keys.path)
    sent = pickle.dumps(reads)
    assert keys.text.strip()[16:30].encode() not in sent
    assert pickle.loads(sent).cat_file(f"{tmp_path}/a") == b"data"  # noqa: S301 - our own
    assert fsspec.AbstractFileSystem.from_json(reads.to_json()) == reads


def test_closed(keys: Keys, tmp_path: Path) -> None:
    """After close the identity is wiped, and nothing is read or written any more."""
    with SealedFileSystem(target_protocol="file", recipients=keys.recipient, identities=keys.path) as fs:
        fs.pipe_file(f"{tmp_path}/a", b"data")
    for use in (lambda: fs.cat_file(f"{tmp_path}/a"), lambda: fs.open(f"{tmp_path}/b", "wb"), fs.__enter__):
        with pytest.raises(ValueError, match="closed"):
            use()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"password": "pass"}, ValueError),
        ({"recipient": "age1"}, TypeError),
        ({"recipients": ["age1qqqq"]}, ValueError),
        ({"identities": ["AGE-SECRET-KEY-1QQQQ"]}, ValueError),
        ({"recipients": ["AGE-SECRET-KEY-1QQQQ"]}, ValueError),
        ({"recipients": [7]}, TypeError),
        ({"identities": "/no/such/file"}, FileNotFoundError),
        ({"target_protocol": None}, ValueError),
    ],
)
def test_wrong_options(options: dict[str, object], error: type[Exception]) -> None:
    """What is no key, no path and no option is refused at once: a password that is given is never ignored."""
    with pytest.raises(error):
        SealedFileSystem(**{"target_protocol": "file", **options})


def test_moves_and_copies_need_no_key(keys: Keys, tmp_path: Path) -> None:
    """Ciphertext is copied and moved as it is, by who can neither read nor write it."""
    SealedFileSystem(target_protocol="file", recipients=keys.recipient).pipe_file(f"{tmp_path}/a", b"data")
    sealed = (tmp_path / "a.age").read_bytes()
    fs = SealedFileSystem(target_protocol="file")
    fs.cp_file(f"{tmp_path}/a", f"{tmp_path}/b")
    fs.mv(f"{tmp_path}/b", f"{tmp_path}/c")
    fs.mkdir(f"{tmp_path}/folder")
    fs.mv(f"{tmp_path}/c", f"{tmp_path}/folder")
    assert (tmp_path / "folder/c.age").read_bytes() == sealed
    assert fs.find(str(tmp_path)) == [f"{tmp_path}/a", f"{tmp_path}/folder/c"]
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{tmp_path}/a")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{tmp_path}/folder")


def test_copies_are_whole_and_follow_no_link(fs: SealedFileSystem, tmp_path: Path) -> None:
    """A copy on the local disk is written as everything is: mode 0600, never through a symlink, nothing half."""
    fs.pipe_file(f"{tmp_path}/a", b"data")
    fs.cp_file(f"{tmp_path}/a", f"{tmp_path}/b")
    assert (tmp_path / "b.age").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "b.age").read_bytes() == (tmp_path / "a.age").read_bytes()
    (tmp_path / "victim").write_bytes(b"victim")
    (tmp_path / "c.age").symlink_to("victim")
    with pytest.raises(OutputError):
        fs.cp_file(f"{tmp_path}/a", f"{tmp_path}/c")
    assert (tmp_path / "victim").read_bytes() == b"victim"
    fs.cp_file(f"{tmp_path}/a", f"{tmp_path}/a")
    assert fs.cat_file(f"{tmp_path}/a") == b"data"


def test_forked_child_does_not_write(fs: SealedFileSystem, tmp_path: Path) -> None:
    """It would seal other data with the parent's key and nonces."""
    with fs.open(f"{tmp_path}/a", "wb") as file:
        file.write(bytes(3 << 20))
        child = os.fork()
        if not child:
            code = 9
            try:
                with pytest.raises(SecureMemoryError):
                    file.write(b"child")
                file.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        file.write(b"parent")
    assert fs.cat_file(f"{tmp_path}/a") == bytes(3 << 20) + b"parent"


def test_names_that_end_in_age(fs: SealedFileSystem, tmp_path: Path) -> None:
    """A name that ends in .age gets another one; folders keep theirs."""
    fs.pipe_file(f"{tmp_path}/a.age", b"data")
    (tmp_path / "folder.age").mkdir()
    (tmp_path / ".age").write_bytes(b"")
    assert listing(tmp_path) == [".age", "a.age.age", "folder.age"]
    assert fs.ls(str(tmp_path), detail=False) == [f"{tmp_path}/a.age", f"{tmp_path}/folder.age"]
    assert fs.cat_file(f"{tmp_path}/a.age") == b"data"


def test_lines(fs: SealedFileSystem, tmp_path: Path) -> None:
    """Lines, across chunks, in text and in bytes."""
    lines = [f"{number} Zoë {'x' * (number % 300)}\n" for number in range(3000)]
    with fs.open(f"{tmp_path}/a", "w", encoding="utf-8") as file:
        file.writelines(lines)
    with fs.open(f"{tmp_path}/a", "r", encoding="utf-8") as file:
        assert list(file) == lines
    with fs.open(f"{tmp_path}/a") as file:
        assert list(file) == [line.encode() for line in lines]
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)


@pytest.mark.parametrize("step", [1, 100, 8192, PLAIN - 1, PLAIN, PLAIN + 1])
def test_small_reads(fs: SealedFileSystem, tmp_path: Path, step: int) -> None:
    """Reads of any size, forwards and in a jumble, give what is there; past the end that is nothing."""
    data = os.urandom(3 * PLAIN + 7 if step > 1 else 2000)
    fs.pipe_file(f"{tmp_path}/a", data)
    with fs.open(f"{tmp_path}/a") as file:
        assert b"".join(iter(lambda: file.read(step), b"")) == data
        for place in (len(data) - 5, 0, len(data) // 2, PLAIN - 3, len(data), 10 * len(data), 1):
            file.seek(place)
            assert file.peek(20)[:20] == data[place : place + 20]
            assert file.read(step) == data[place : place + step]


def test_found_by_url_in_a_fresh_process(keys: Keys, tmp_path: Path) -> None:
    """The protocol is registered: fsspec finds it without an import of ours."""
    code = f"""
import fsspec
with fsspec.open("sealed::file://{tmp_path}/a", "wb", recipients=["{keys.recipient}"]) as file:
    file.write(b"data")
with fsspec.open("sealed::file://{tmp_path}/a", "rb", identities=["{keys.path}"]) as file:
    assert file.read() == b"data"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert listing(tmp_path) == ["a.age"]
