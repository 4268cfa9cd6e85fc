from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import listing, tool
from tests.traits import Trait, each_format, each_method, each_pipe

DATA = b"canary-of-the-data"
PASSWORD = "canary-of-the-password"  # with no letter that strace would escape
CLI = "import sys; from strongroom.cli import main; sys.exit(main())"
WRITES = "write,writev,pwrite64,pwritev,pwritev2,sendfile,splice,tee,vmsplice,copy_file_range,io_uring_enter"
CALL = re.compile(r"^\d+ +(\w+)\((.*)")
TARGET = re.compile(r"^\d+<(.*?)>(?:, |\()")


@dataclass
class Trace:
    """What a process and its children asked of the system."""

    lines: list[str]
    output: bytes

    def calls(self, *names: str) -> list[str]:
        """The arguments of all calls of these names that did not fail."""
        found = [match.groups() for line in self.lines if (match := CALL.match(line)) and " = -1 E" not in line[-80:]]
        return [arguments for name, arguments in found if name in names]

    def opened_for_writing(self) -> list[str]:
        """The files, or for files without a name the folders, that were opened to be written to."""
        found = []
        for arguments in self.calls("open", "openat", "openat2", "creat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|O_TRUNC|O_APPEND", arguments):
                folder = re.match(r"(?:AT_FDCWD|\d+)<(.*?)>, \"(.*?)\"", arguments)
                assert folder, arguments
                found.append(str(Path(folder[1]) / folder[2]))
        return found

    def names_made(self) -> list[str]:
        """The names that were given to files or folders, or taken away."""
        calls = ("link", "linkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "symlink", "symlinkat")
        return self.calls(*calls, "mknod", "mknodat", "unlink", "unlinkat", "rmdir")


def trace(folder: Path, arguments: list[str], stdin: bytes = b"") -> Trace:
    """Run Python in a folder of its own, where nothing may be left behind, with the password in the descriptor FD."""
    ours, theirs = os.pipe()
    os.write(theirs, PASSWORD.encode())
    os.close(theirs)
    log, scratch = folder / "log", folder / "scratch"
    scratch.mkdir(exist_ok=True)
    command = [
        tool("strace"), "-f", "-v", "-y", "-s", str(1 << 24), "-o", str(log),
        "-e", f"trace=%file,mmap,memfd_create,{WRITES}", sys.executable,
        *(str(ours) if argument == "FD" else argument for argument in arguments),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "FD": str(ours),
    }
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=scratch, env=environment, pass_fds=[ours], check=False
        )
    finally:
        os.close(ours)
    assert done.returncode == 0, done.stderr.decode()
    assert listing(scratch) == []
    return Trace(log.read_text(errors="replace").splitlines(), done.stdout)


def check(found: Trace) -> None:
    """What holds for every run: no plaintext goes anywhere but into pipes, and the password is in no argument."""
    for arguments in found.calls(*WRITES.split(",")):
        if DATA.decode() in arguments or PASSWORD in arguments:
            target = TARGET.match(arguments)
            assert target, arguments[:200]
            assert target[1].startswith("pipe:"), arguments[:200]
            assert PASSWORD not in arguments
    for arguments in found.calls("mmap"):
        file = re.search(r", \d+<(.*?)>", arguments)  # but for secret memory, which is no file of any disk
        shared = "MAP_SHARED" in arguments and "PROT_WRITE" in arguments
        assert not (shared and file and file[1] != "/secretmem"), arguments
    commands = found.calls("execve")
    assert commands
    for arguments in commands:  # with the environment, which `-v` shows
        assert PASSWORD not in arguments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one for the archive in it."""
    (tmp_path / "out").mkdir()
    return tmp_path


def test_the_net_catches(folder: Path) -> None:
    """The method itself notices files, plaintext and passwords where they should not be."""
    code = f"""
import os, subprocess, sys
password = os.read(int(os.environ["FD"]), 99).decode()
with open(sys.argv[1], "wb") as file:
    file.write({DATA!r}[:7] + {DATA!r}[7:])
subprocess.run(["true", password])
"""
    found = trace(folder, ["-c", code, str(folder / "out" / "plain")])
    assert found.opened_for_writing() == [str(folder / "out" / "plain")]
    with pytest.raises(AssertionError):
        check(found)
    found.lines = [line for line in found.lines if "write(" not in line]
    with pytest.raises(AssertionError):
        check(found)


SEAL = """
import io, os, sys, strongroom
password = os.read(int(os.environ["FD"]), 99)
data = sys.stdin.buffer.read()
with strongroom.create(sys.argv[1], password=password, compression=sys.argv[2], verify=True) as room:
    room.write("bytes", data)
    room.write("file", io.BytesIO(data))
    room.write("pieces", (data[start : start + 999] for start in range(0, len(data), 999)))
    with room.open("pushed", "wb") as file:
        file.write(data)
    with room.open("text", "w") as file:
        file.write(data.decode())
    room.mkdir("folder")
"""

READ = """
import os, sys, strongroom
password = os.read(int(os.environ["FD"]), 99)
data = sys.stdin.buffer.read()
with strongroom.open(sys.argv[1], password=password) as room:
    assert room.verify().ok
    for name in ("bytes", "file", "pieces", "pushed", "text"):
        assert room.read(name) == data
        buffer = bytearray(len(data))
        room.read_into(name, buffer)
        with room.open(name, "rb") as file:
            file.seek(100)
            assert file.read() == data[100:]
        with room.open(name) as file:
            assert file.read() == data.decode()
with open(sys.argv[1], "rb") as pipe:
    try:
        strongroom.open(pipe, password="wrong")
    except strongroom.WrongKeyError:
        pass
"""


def plaintext(size: int) -> bytes:
    """Lines that can be told from ciphertext."""
    return b"".join(b"%s %d\n" % (DATA, number) for number in range(size // 26))


@each_method
def test_api(folder: Path, trait: Trait, method: str) -> None:
    """Sealing opens one file for writing, which has no name until the end; reading opens none."""
    archive = folder / "out" / f"a{trait.suffix}"
    data = plaintext(1_300_000)
    found = trace(folder, ["-c", SEAL, str(archive), method], data)
    check(found)
    assert found.opened_for_writing() == [str(folder / "out")]
    (made,) = found.names_made()
    assert archive.name in made
    found = trace(folder, ["-c", READ, str(archive)], data)
    check(found)
    assert found.opened_for_writing() == []
    assert found.names_made() == []
    assert listing(folder / "out") == [archive.name]


@each_format
def test_api_replacing_a_file(folder: Path, trait: Trait) -> None:
    """Replacing a file makes one hidden name, which becomes the file's own."""
    archive = folder / "out" / f"a{trait.suffix}"
    archive.write_bytes(b"old")
    code = """
import os, sys, strongroom
password = os.read(int(os.environ["FD"]), 99)
strongroom.seal({"a": sys.stdin.buffer.read()}, sys.argv[1], password=password, overwrite=True)
"""
    found = trace(folder, ["-c", code, str(archive)], plaintext(100_000))
    check(found)
    assert found.opened_for_writing() == [str(folder / "out")]
    assert len(found.names_made()) == 2
    assert listing(folder / "out") == [archive.name]


STAGE = """
import os, sys, strongroom
password = os.read(int(os.environ["FD"]), 99)
with strongroom.RamFS() as ram:
    ram.pipe_file("/deep/a", sys.stdin.buffer.read())
    strongroom.seal(ram, sys.argv[1] + sys.argv[2], password=password)
    for suffix, kind in ((".fernet", strongroom.FernetLayer), (".age", strongroom.AgeLayer)):
        with kind(password=password) as layer:
            with strongroom.create(sys.argv[1] + suffix + sys.argv[2], password=password) as room:
                room.write("a", ram.open("/deep/a"), layer=layer)
            with strongroom.open(sys.argv[1] + suffix + sys.argv[2], password=password) as room:
                assert room.read("a", layer=layer) == ram.cat_file("/deep/a")
with strongroom.unseal(sys.argv[1] + sys.argv[2], password=password) as ram:
    os.write(1, ram.cat_file("/deep/a"))
"""


@each_format
def test_staging_and_layers(folder: Path, trait: Trait) -> None:
    """A RAM file system and layers write to the disk what an archive writes, and nothing beside."""
    data = plaintext(1_300_000)
    found = trace(folder, ["-c", STAGE, str(folder / "out" / "a"), trait.suffix], data)
    check(found)
    assert found.output == data
    assert found.opened_for_writing() == [str(folder / "out")] * 3
    assert len(found.names_made()) == 3
    assert listing(folder / "out") == sorted(f"a{layer}{trait.suffix}" for layer in ("", ".age", ".fernet"))


@each_format
def test_command_line(folder: Path, trait: Trait) -> None:
    """So with the command line, from standard input and from a command, to a file, and back through a pipe."""
    archive, source = folder / "out" / f"a{trait.suffix}", folder / "source"
    data = plaintext(1_300_000)
    source.write_bytes(data)
    with_password = ["--password-fd", "FD"]
    seals = [
        (["-"], data),
        ([str(source)], b""),
        (["--from-command", "--", "cat", str(source)], b""),
    ]
    for arguments, stdin in seals:
        options = ["seal", str(archive), "--name", "a", "--overwrite", *with_password, *arguments]
        found = trace(folder, ["-c", CLI, *options], stdin)
        check(found)
        assert set(found.opened_for_writing()) - {"/dev/null", "/dev/tty"} == {str(folder / "out")}
        assert listing(folder / "out") == [archive.name]
    for options in (
        ["ls", *with_password] if trait.hidden else ["ls"],
        ["verify", *with_password],
        ["cat", *with_password],
    ):
        verb, *rest = options
        found = trace(folder, ["-c", CLI, verb, str(archive), *["a"] * (verb == "cat"), *rest])
        check(found)
        assert set(found.opened_for_writing()) <= {"/dev/null", "/dev/tty"}
        assert found.names_made() == []
    assert found.output == data


@each_pipe
def test_command_line_to_standard_output(folder: Path, trait: Trait) -> None:
    """An archive that goes to standard output opens no file at all."""
    options = ["seal", "-", "--format", trait.name, "--name", "a", "--password-fd", "FD", "-"]
    found = trace(folder, ["-c", CLI, *options], plaintext(1_300_000))
    check(found)
    assert set(found.opened_for_writing()) <= {"/dev/null", "/dev/tty"}
    assert found.output.startswith(trait.magic)
    assert DATA not in found.output
