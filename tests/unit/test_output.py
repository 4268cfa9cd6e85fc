from __future__ import annotations

import ctypes
import errno
import fcntl
import io
import os
import struct
import warnings
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import pytest

from strongroom import OutputError, OutputExistsError, StrongroomWarning, create, output
from strongroom.output import FileOutput, Patch, Piece, StreamOutput
from tests.helpers import listing, missing, noise, nothing_left

BUFFER = 4 << 20
HIDDEN = ".strongroom-0123456789abcdef.partial"


def write(target: FileOutput | StreamOutput, *pieces: Piece) -> None:
    """Bring an output all the way, or discard it."""
    try:
        target.write(pieces)
        target.finish()
        target.publish()
    except BaseException:
        target.discard()
        raise


@pytest.fixture(params=["unnamed", "hidden", "no links", "nothing"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems: one of Linux's own, without unnamed files (NFS), nor links (vfat, exFAT), nor renameat2 (FUSE)."""
    if request.param != "unnamed":
        refuse_unnamed(monkeypatch)
    if request.param in ("no links", "nothing"):
        refuse(monkeypatch, "link", errno.EPERM)
    if request.param == "nothing":
        monkeypatch.setattr(output, "_RENAME_NOREPLACE", 1 << 20)  # a flag that no kernel knows
    return str(request.param)


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Make a system call fail."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)


def refuse_unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file system without unnamed files."""
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)


def make(path: Path, kind: str = "unnamed", *, overwrite: bool = False, threads: int = 2) -> FileOutput:
    """An output that warns just where the file system has no unnamed files."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        target = FileOutput(path, overwrite=overwrite, threads=threads)
    assert [warning.category for warning in caught] == [StrongroomWarning] * (kind != "unnamed")
    return target


def test_appears_whole(tmp_path: Path, kind: str) -> None:
    """Nothing stands under the name until the end; then the file does, and nothing else."""
    path = tmp_path / "a"
    with nothing_left():
        target = make(path, kind)
        target.write([b"abc", bytearray(b"def"), memoryview(b"ghi"), b""])
        assert not path.exists()
        target.finish()
        assert not path.exists()
        target.publish()
        target.discard()  # does nothing any more
    assert path.read_bytes() == b"abcdefghi"
    assert listing(tmp_path) == ["a"]


def test_discard_leaves_nothing(tmp_path: Path, kind: str) -> None:
    """A discarded output leaves no file and no descriptor, however far it was."""
    with nothing_left(tmp_path):
        for steps in range(3):
            target = make(tmp_path / "a", kind)
            if steps:
                target.write([noise(BUFFER + 1)])
            if steps == 2:
                target.finish()
            target.discard()
            target.discard()


def test_unnamed_while_it_is_written(tmp_path: Path) -> None:
    """On a file system of Linux the folder shows nothing before the end, so that a kill leaves nothing."""
    target = make(tmp_path / "a")
    target.write([noise(BUFFER)])
    target.finish()
    assert listing(tmp_path) == []
    target.discard()


def test_hidden_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it is one hidden file that others cannot read."""
    refuse_unnamed(monkeypatch)
    target = make(tmp_path / "a", "hidden")
    (name,) = listing(tmp_path)
    assert name.startswith(".strongroom-")
    assert name.endswith(".partial")
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    target.discard()
    assert listing(tmp_path) == []


def test_warning_names_the_callers_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning about hidden files points at the call of `create`."""
    refuse_unnamed(monkeypatch)
    with pytest.warns(StrongroomWarning) as caught, create(tmp_path / "a.zip", password="pass"):
        pass
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_mode(tmp_path: Path, kind: str, umask: int) -> None:
    """The file is for its owner alone, whatever the umask."""
    before = os.umask(umask)
    try:
        write(make(tmp_path / "a", kind), b"abc")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o600


# What stands under the name


def test_existing_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Without `overwrite` an existing file is untouched, and the error is also a FileExistsError."""
    (tmp_path / "a").write_bytes(b"old")
    with nothing_left(tmp_path), pytest.raises(OutputExistsError) as caught:
        FileOutput(tmp_path / "a")
    assert isinstance(caught.value, FileExistsError)
    assert str(tmp_path / "a") in str(caught.value)
    assert "None" not in str(caught.value)  # as OSError would have it
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_link_in_the_path(tmp_path: Path, kind: str) -> None:
    """A path leads where the system has it lead: `link/..` is the parent of what the link stands for."""
    (tmp_path / "other/sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("other/sub")
    write(make(tmp_path / "link/../a", kind), b"new")
    assert (tmp_path / "other/a").read_bytes() == b"new"
    assert listing(tmp_path) == ["link", "other"]


@pytest.mark.parametrize("name", ["a/", "a/.", ".."])
def test_the_name_of_a_folder(tmp_path: Path, name: str) -> None:
    """A path that ends as a folder's does is refused, and not taken for that of a file."""
    with nothing_left(tmp_path), pytest.raises(OutputError):
        FileOutput(f"{tmp_path}/{name}")


def test_file_that_appears_meanwhile_is_refused(tmp_path: Path, kind: str) -> None:
    """Whoever comes first has the name: the second one fails, and the first file is untouched."""
    with nothing_left():
        target = make(tmp_path / "a", kind)
        (tmp_path / "a").write_bytes(b"other")
        with pytest.raises(OutputExistsError):
            write(target, b"new")
    assert (tmp_path / "a").read_bytes() == b"other"
    assert listing(tmp_path) == ["a"]


def test_overwrite_replaces(tmp_path: Path, kind: str) -> None:
    """With `overwrite` the old file stands until the new one is whole; who reads the old one reads on."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with path.open("rb") as reader:
        target = make(path, kind, overwrite=True)
        target.write([b"new"])
        target.finish()
        assert path.read_bytes() == b"old"
        target.publish()
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert listing(tmp_path) == ["a"]


def test_overwrite_of_nothing(tmp_path: Path, kind: str) -> None:
    """`overwrite` does not need a file to be there."""
    write(make(tmp_path / "a", kind, overwrite=True), b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("what", ["symlink", "dangling symlink", "fifo", "folder"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_targets_that_are_no_files(tmp_path: Path, kind: str, what: str, when: str, *, overwrite: bool) -> None:
    """A link is neither followed nor replaced, and so with pipes and folders, also where one appears meanwhile."""
    path, elsewhere = tmp_path / "a", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"old")

    def obstruct() -> None:
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(elsewhere if what == "symlink" else "nowhere")

    if when == "before":
        obstruct()
        with nothing_left(tmp_path), pytest.raises(OutputError):
            FileOutput(path, overwrite=overwrite)
    else:
        target = make(path, kind, overwrite=overwrite)
        obstruct()
        with pytest.raises(OutputError):
            write(target, b"new")
    status = path.lstat()
    assert listing(tmp_path) == ["a", "elsewhere"]
    assert elsewhere.read_bytes() == b"old"
    assert status.st_mode >> 12 == {"folder": 0o04, "fifo": 0o01}.get(what, 0o12)


# Places


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is an OutputError."""
    with nothing_left(tmp_path), pytest.raises(OutputError):
        FileOutput(tmp_path / "missing" / "a")


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """So is one that is a file."""
    (tmp_path / "file").touch()
    with nothing_left(tmp_path), pytest.raises(OutputError):
        FileOutput(tmp_path / "file" / "a")


def test_read_only_folder(tmp_path: Path) -> None:
    """So is one that may not be written to; tried in a child that gave up root's right to write everywhere."""
    tmp_path.chmod(0o555)
    child = os.fork()
    if not child:
        header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)  # linux/capability.h
        ctypes.CDLL(None).capset(header, nothing)
        try:
            FileOutput(tmp_path / "a")
        except OutputError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert listing(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_longest_name(tmp_path: Path, kind: str, *, overwrite: bool) -> None:
    """A name may have 255 bytes, which leaves no room for a suffix; one more is an OutputError."""
    name = "ä" * 127 + "a"
    write(make(tmp_path / name, kind, overwrite=overwrite), b"abc")
    assert listing(tmp_path) == [name]
    with nothing_left(tmp_path), pytest.raises(OutputError):
        FileOutput(tmp_path / (name + "b"), overwrite=overwrite)


def test_relative_path_survives_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The folder is the one that the path meant when the output was made."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    target = make(Path("a"), kind)
    monkeypatch.chdir(elsewhere)
    write(target, b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_folder_that_is_renamed(tmp_path: Path, kind: str) -> None:
    """The folder may be renamed meanwhile, and gets the file all the same."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target = make(folder / "a", kind)
    folder.rename(tmp_path / "renamed")
    write(target, b"abc")
    assert (tmp_path / "renamed" / "a").read_bytes() == b"abc"


def test_name_that_is_not_text(tmp_path: Path) -> None:
    """A name of any bytes works."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")
    write(FileOutput(path), b"abc")
    assert [os.fsencode(name) for name in listing(tmp_path)] == [b"\xff\n"]


# Content


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 2 * BUFFER + 4097])
@pytest.mark.parametrize("step", [4095, BUFFER + 7])
@pytest.mark.parametrize("threads", [1, 2])
def test_content(tmp_path: Path, size: int, step: int, threads: int) -> None:
    """What arrives in pieces of any size is on the disk in full, past the page cache or not."""
    data = noise(size)
    write(make(tmp_path / "a", threads=threads), *[data[start : start + step] for start in range(0, size, step)])
    assert (tmp_path / "a").read_bytes() == data


@pytest.mark.parametrize("answer", ["flag refused", "write refused", "short writes"])
def test_content_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """A file system that refuses O_DIRECT, or only later, or writes less than it was given, gets the same bytes."""
    data = noise(2 * BUFFER + 5)
    real_fcntl, real_pwrite = fcntl.fcntl, os.pwrite
    refused = []

    def no_flag(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            refused.append(argument)
            raise OSError(errno.EINVAL, "refused")
        return real_fcntl(descriptor, command, argument)

    def pwrite(descriptor: int, view: memoryview, offset: int) -> int:
        direct = real_fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT
        if answer == "write refused" and direct:
            refused.append(direct)
            raise OSError(errno.EINVAL, "refused")
        if answer == "short writes" and len(view) > 100_001:
            refused.append(direct)
            real_fcntl(descriptor, fcntl.F_SETFL, 0)
            return real_pwrite(descriptor, view[:100_001], offset)
        return real_pwrite(descriptor, view, offset)

    if answer == "flag refused":
        monkeypatch.setattr(fcntl, "fcntl", no_flag)
    else:
        monkeypatch.setattr(os, "pwrite", pwrite)
    write(make(tmp_path / "a"), data)
    assert (tmp_path / "a").read_bytes() == data
    assert refused


def test_large_output_passes_the_page_cache_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full buffers are written with O_DIRECT where the file system takes it, from aligned memory."""
    real, flags = os.pwrite, []

    def pwrite(descriptor: int, view: memoryview, offset: int) -> int:
        flags.append((bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT), len(view), offset))
        return real(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    write(make(tmp_path / "a"), noise(2 * BUFFER + 5))
    if not _takes_direct(tmp_path):
        missing("the file system of the temporary folder refuses O_DIRECT")
    assert flags == [(True, BUFFER, 0), (True, BUFFER, BUFFER), (False, 5, 2 * BUFFER)]


def _takes_direct(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "probe", os.O_RDWR | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("size", [100, BUFFER - 1, BUFFER, BUFFER + 1, BUFFER + 100, 2 * BUFFER + 100])
@pytest.mark.parametrize("place", ["first", "last", "across"])
@pytest.mark.parametrize("threads", [1, 2])
def test_patches(tmp_path: Path, size: int, place: str, threads: int) -> None:
    """Bytes are replaced that are still in the buffer, that are on the disk, and that are partly either."""
    data = bytearray(noise(size))
    offset = {"first": 0, "last": size - 30, "across": min(BUFFER - 10, size - 30)}[place]
    expected = bytes(data[:offset]) + b"P" * 30 + bytes(data[offset + 30 :])
    write(make(tmp_path / "a", threads=threads), data, Patch(offset, b"P" * 30), b"tail")
    assert (tmp_path / "a").read_bytes() == expected + b"tail"


def test_patch_wins_over_the_one_before(tmp_path: Path) -> None:
    """Of two patches of the same bytes the later one counts."""
    write(make(tmp_path / "a"), noise(BUFFER), Patch(0, b"first"), Patch(2, b"again"))
    assert (tmp_path / "a").read_bytes()[:7] == b"fiagain"


def test_reread(tmp_path: Path, kind: str) -> None:
    """What was written can be read again before it has a name, and closing that source leaves the output as it is."""
    data = noise(BUFFER + 99)
    target = make(tmp_path / "a", kind)
    target.write([data])
    target.finish()
    source = target.reread()
    buffer = bytearray(source.size)
    source.read_into(0, memoryview(buffer))
    source.close()
    assert buffer == data
    target.publish()
    assert (tmp_path / "a").read_bytes() == data


# What others left


def test_sweeps_what_a_kill_left(tmp_path: Path, kind: str) -> None:
    """A new output removes stale hidden files, and nothing of another name or kind."""
    (tmp_path / HIDDEN).write_bytes(b"stale")
    others = [HIDDEN + "x", "x" + HIDDEN, ".strongroom-0123.partial", ".strongroom-0123456789ABCDEF.partial", "b"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    link = ".strongroom-fedcba9876543210.partial"
    (tmp_path / link).symlink_to("b")
    folder = ".strongroom-fedcba9876543211.partial"
    (tmp_path / folder).mkdir()
    fifo = ".strongroom-fedcba9876543212.partial"
    os.mkfifo(tmp_path / fifo)
    with nothing_left():
        write(make(tmp_path / "a", kind), b"abc")
    assert listing(tmp_path) == sorted([*others, link, folder, fifo, "a"])


def test_does_not_sweep_what_is_in_use(tmp_path: Path, kind: str) -> None:
    """A hidden file that another process holds locked stays."""
    with (tmp_path / HIDDEN).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write(make(tmp_path / "a", kind), b"abc")
    assert listing(tmp_path) == [HIDDEN, "a"]


def test_does_not_sweep_what_is_anothers(tmp_path: Path) -> None:
    """Nor one that belongs to another user."""
    if os.geteuid():
        missing("only root can make a file of another user")
    (tmp_path / HIDDEN).touch()
    os.chown(tmp_path / HIDDEN, 12345, 12345)
    write(make(tmp_path / "a"), b"abc")
    assert listing(tmp_path) == [HIDDEN, "a"]


def test_two_outputs_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that are written at once into one folder do not sweep each other away."""
    refuse_unnamed(monkeypatch)
    first = make(tmp_path / "a", "hidden")
    second = make(tmp_path / "b", "hidden")
    write(first, b"first")
    write(second, b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert (tmp_path / "b").read_bytes() == b"second"


def test_forked_child_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that lets go of an output of its parent does not remove the file under it."""
    refuse_unnamed(monkeypatch)
    target = make(tmp_path / "a", "hidden")
    child = os.fork()
    if not child:
        target.discard()
        os._exit(0)
    os.waitpid(child, 0)
    write(target, b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"


# Failures


FAILURES = {
    "write": ("pwrite", errno.ENOSPC),
    "sync": ("fsync", errno.EIO),
    "link": ("link", errno.EACCES),
    "rename": ("rename", errno.EACCES),
}


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("unnamed", "link"),  # elsewhere the file has a hidden name already
        *product(("unnamed", "hidden", "no links"), ("write", "sync", "rename")),
    ],
    indirect=["kind"],
)
def test_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, failure: str) -> None:
    """Where the disk refuses a write, a sync or a name, the old file is untouched and nothing is left."""
    (tmp_path / "a").write_bytes(b"old")
    with nothing_left(tmp_path):
        target = make(tmp_path / "a", kind, overwrite=True)
        refuse(monkeypatch, *FAILURES[failure])
        with pytest.raises(OutputError):
            write(target, b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_sync_comes_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The data is synced, then the file gets its name, then the folder is synced."""
    order = []
    for call in ("fsync", "link", "rename"):
        real = getattr(os, call)

        def noted(*args: object, call: str = call, real: object = real, **kwargs: object) -> object:
            order.append(f"{call} of {'folder' if args[0] == target._folder else 'file'}" if call == "fsync" else call)
            return real(*args, **kwargs)  # type: ignore[operator]

        monkeypatch.setattr(os, call, noted)
    target = make(tmp_path / "a", kind, overwrite=True)
    write(target, b"abc")
    named = {"unnamed": ["link", "rename"]}.get(kind, ["rename"])
    assert order == ["fsync of file", *named, "fsync of folder"]


def test_name_that_the_disk_does_not_confirm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the last sync, of the folder, fails, the error is an OutputError and no descriptor stays."""
    with nothing_left():
        target = make(tmp_path / "a")
        target.write([b"abc"])
        target.finish()
        refuse(monkeypatch, "fsync", errno.EIO)
        with pytest.raises(OutputError):
            target.publish()
        target.discard()
    assert (tmp_path / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF])
def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file system that cannot sync folders at all is no failure."""
    target = make(tmp_path / "a")
    target.write([b"abc"])
    target.finish()
    refuse(monkeypatch, "fsync", number)
    target.publish()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_no_file_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither an unnamed nor a hidden file can be made, the error is an OutputError and no descriptor stays."""
    refuse_unnamed(monkeypatch)
    monkeypatch.setattr(output, "create_beneath", lambda *_: os.open("/missing/folder", os.O_RDONLY))
    with nothing_left(tmp_path), pytest.raises(OutputError):
        FileOutput(tmp_path / "a")


def take_proc_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a system where /proc is not mounted."""
    real = os.stat

    def stat(path: str | int, **options: object) -> os.stat_result:
        if str(path).startswith("/proc/self/fd/"):
            raise FileNotFoundError(errno.ENOENT, "no /proc")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)


def test_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is not there, through which an unnamed file gets its name, the file is a hidden one."""
    with monkeypatch.context() as patched:
        take_proc_away(patched)
        target = make(tmp_path / "a", "hidden")
    write(target, b"abc")
    assert listing(tmp_path) == ["a"]


def test_neither_proc_nor_a_hidden_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hidden file fails in its turn, the error is an OutputError, and no descriptor is closed twice."""
    closed: list[int] = []
    real = os.close

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(output, "create_beneath", lambda *_: os.open("/missing/folder", os.O_RDONLY))
    monkeypatch.setattr(os, "close", close)
    with monkeypatch.context() as patched:
        take_proc_away(patched)
        with pytest.raises(OutputError):
            FileOutput(tmp_path / "a")
    assert len(closed) == len(set(closed)) == 2
    assert listing(tmp_path) == []


def test_a_disk_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes nothing, and says that it went well, is an OutputError, and no loop without end."""
    (tmp_path / "a").write_bytes(b"old")
    with nothing_left(tmp_path), monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(OutputError):
            write(make(tmp_path / "a", overwrite=True), b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


# Streams


class Pipe(io.RawIOBase):
    """A stream that cannot seek, and takes at most `step` bytes at once."""

    def __init__(self, step: int = 1 << 30) -> None:
        self.taken = bytearray()
        self._step = step

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        self.taken += data[: self._step]
        return min(len(data), self._step)


def test_stream_gets_all() -> None:
    """A stream that takes less than it is given gets the rest as well."""
    pipe = Pipe(7)
    target = StreamOutput(pipe)  # type: ignore[arg-type]
    assert not target.patchable
    write(target, noise(1000), b"tail")
    assert pipe.taken == noise(1000) + b"tail"


def test_stream_is_patched_from_where_it_stood() -> None:
    """Offsets count from the stream's position at the start, and writing goes on at the end."""
    stream = io.BytesIO()
    stream.write(b"before")
    target = StreamOutput(stream)
    assert target.patchable
    write(target, b"0123456789", Patch(2, b"PP"), b"tail")
    assert stream.getvalue() == b"before01PP456789tail"


def test_stream_for_appending_is_not_patched(tmp_path: Path) -> None:
    """A file open for appending only pretends to seek."""
    with (tmp_path / "a").open("ab") as stream:
        assert not StreamOutput(stream).patchable


@pytest.mark.parametrize("stream", [io.StringIO(), b"path", 5, None])
def test_what_is_no_stream(stream: object) -> None:
    """Text streams, bytes and other objects are a TypeError."""
    with pytest.raises(TypeError):
        StreamOutput(stream)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["write", "seek", "flush"])
def test_stream_that_fails(call: str) -> None:
    """What a stream refuses is an OutputError."""

    class Failing(io.BytesIO):
        pass

    def refused(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    setattr(Failing, call, refused)
    with pytest.raises(OutputError):
        write(StreamOutput(Failing()), b"abc", Patch(0, b"P"))


def test_broken_pipe_is_told_as_it_is() -> None:
    """A reader that went away is a BrokenPipeError, which programs end quietly on."""
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):  # noqa: PTH123
        write(StreamOutput(stream), b"abc")


def test_full_non_blocking_stream() -> None:
    """A non-blocking stream that is full is an OutputError, not an endless loop."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with (
        open(ours, "rb"),  # noqa: PTH123
        open(theirs, "wb", buffering=0) as stream,  # noqa: PTH123
        pytest.raises(OutputError),
    ):
        write(StreamOutput(stream), bytes(1 << 20))


def test_stream_is_not_reread() -> None:
    """A stream cannot be verified."""
    with pytest.raises(ValueError):
        StreamOutput(io.BytesIO()).reread()


def test_pieces_are_asked_for_one_by_one(tmp_path: Path) -> None:
    """A piece is valid until the next: its memory may be used again, so it is taken before."""
    memory = bytearray(1000)

    def pieces() -> Iterator[memoryview]:
        for number in range(10):
            memory[:] = bytes([number]) * 1000
            yield memoryview(memory)

    stream = io.BytesIO()
    for target in (make(tmp_path / "a"), StreamOutput(stream)):
        target.write(pieces())
        target.finish()
        target.publish()
    found = (tmp_path / "a").read_bytes()
    assert found == stream.getvalue() == b"".join(bytes([number]) * 1000 for number in range(10))
    assert all(after >= before for before, after in pairwise(found))
