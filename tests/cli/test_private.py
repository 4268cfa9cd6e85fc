"""edit and run: programs work on an archive's files in memory, and nothing of that reaches a disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import strongroom
from tests.cli.running import COMMAND, PASSWORD, PATIENCE, Desk, Done
from tests.helpers import missing, noise, tool
from tests.mounts import EXT4, mounted
from tests.proof import Tried

NOBODY = 65534
CANARY = b"".join(noise(20, number).hex().encode() for number in range(2))
SECRET = PASSWORD.decode()


@dataclass
class Worker:
    """Somebody who calls the command line in a folder of theirs; `prefix` makes them who they are."""

    folder: Path
    prefix: tuple[str, ...]
    path: str
    tools: Path | None = None

    @property
    def archive(self) -> Path:
        return self.folder / "case.zip"

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": self.path,
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
        } | more

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.prefix, *arguments],
            cwd=self.folder,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def call(self, *arguments: str, **environment: str) -> Done:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=PATIENCE)
        return Done(process.returncode, out, err.decode())

    def run(self, script: str, *options: str, name: str = "case.zip") -> Done:
        """Run a shell script on the archive."""
        return self.call("run", name, "--password-file", "pw", *options, "--", "sh", "-ec", script)

    def edit(self, script: str, *options: str, entry: str = "d/note.txt") -> Done:
        """Have an editor, that is a shell script, edit an entry."""
        editor = (self.tools or self.folder) / "editor"
        editor.write_text(f"#!/bin/sh -e\n{script}\n")
        editor.chmod(0o755)
        return self.call("edit", "case.zip", entry, "--password-file", "pw", *options, EDITOR=f"'{editor}'")

    def content(self) -> dict[str, bytes | None]:
        with strongroom.open(self.archive, password=SECRET, manifest="required") as room:
            assert room.verify().ok
            return {entry.name: room.read(entry.name) if entry.kind == "file" else None for entry in room}


TREE = {"d/note.txt": b"first\n", "x": noise(5000), "tool": b"#!/bin/sh\necho hello\n"}


def works(folder: Path, prefix: tuple[str, ...], path: str) -> Worker:
    """Somebody with an archive."""
    with strongroom.create(folder / "case.zip", password=SECRET, compression="bzip2") as room:
        for name, data in TREE.items():
            room.write(name, data, mode=0o750 if name == "tool" else 0o640)
    (folder / "pw").write_bytes(PASSWORD)
    for name in ("", "case.zip", "pw"):
        (folder / name).chmod(0o700 if not name else 0o600)
        if prefix[0].endswith("setpriv"):
            os.chown(folder / name, NOBODY, NOBODY)
    return Worker(folder, prefix, path)


def as_nobody() -> tuple[tuple[str, ...], str]:
    """How to run the command as a user without rights, with an interpreter and modules that this one can read."""
    drop = (tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    path = os.pathsep.join([str(Path(strongroom.__file__).parent.parent), sysconfig.get_paths()["platlib"]])
    code = "import sys, strongroom.cli.run; print(sys.version_info[:2])"
    again = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {code!r}])"  # as it restarts itself
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        if Path(python).exists():
            command = [*drop, python, "-c", again]
            done = subprocess.run(
                command, env={"PYTHONPATH": path}, cwd="/", capture_output=True, text=True, check=False
            )
            if done.stdout.strip() == str(sys.version_info[:2]):
                return (*drop, python, "-m", "strongroom"), path
    return missing("no interpreter that a user without rights can start")


@pytest.fixture(params=["whoever runs the tests", "nobody"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Root, and a user without rights, if root runs the tests; else that user."""
    prefix, path = tuple(COMMAND), os.environ.get("PYTHONPATH", "")
    if request.param == "nobody":
        if os.geteuid():
            pytest.skip("the tests run without rights anyway")
        prefix, path = as_nobody()
    folder = Path(tempfile.mkdtemp(prefix="strongroom-private-"))
    try:
        made = works(folder, prefix, path)
        refused = made.run("true", "--discard")
        if "cannot be had here" in refused.err:
            missing(refused.err)
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def one(tmp_path: Path) -> Worker:
    """Whoever runs the tests, for what is the same for all."""
    made = works(tmp_path, tuple(COMMAND), os.environ.get("PYTHONPATH", ""))
    refused = made.run("true", "--discard")
    if "cannot be had here" in refused.err:
        missing(refused.err)
    return made


def running(mark: str) -> list[int]:
    """The processes that have `mark` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for(what: Callable[[], object]) -> None:
    """Return once it is so."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# What they do


def test_edit(worker: Worker) -> None:
    """The entry is what the editor left; swap and backup files are gone; all else is as it was."""
    with strongroom.open(worker.archive, password=SECRET) as room:
        before = {entry.name: (entry.modified, entry.mode, entry.method) for entry in room}
    done = worker.edit('cp "$1" "$1~"; echo swap > .swp; echo second >> "$1"; mv "$1" y; mv y "$1"; pwd', "--verify")
    assert done.code == 0, done.err
    assert done.out.endswith(b"/tree/d\n")
    assert worker.content() == TREE | {"d/note.txt": b"first\nsecond\n"}
    with strongroom.open(worker.archive, password=SECRET) as room:
        for entry in room:
            if entry.name != "d/note.txt":
                assert (entry.modified, entry.mode, entry.method) == before[entry.name]
            assert entry.mode == before[entry.name][1]
    assert worker.archive.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("true", 0),
        ('cat "$1" > y; mv y "$1"', 0),  # written anew, and the same
        ('echo lost >> "$1"; exit 3', 1),
        ('echo lost >> "$1"; kill -9 $$', 1),
        ('rm "$1"', 1),
        ('rm "$1"; ln -s /etc/passwd "$1"', 1),
        ('rm "$1"; mkdir "$1"', 1),
        ('rm "$1"; mkfifo "$1"', 1),
        ('echo x > "$HOME/note.txt"; rm -r ../d; ln -s ../home ../d', 1),
    ],
)
def test_edit_that_changes_nothing(one: Worker, script: str, code: int, tried: Tried) -> None:
    """Or fails, or is killed, or leaves something else: the archive is byte for byte what it was."""
    before = one.archive.read_bytes()
    done = one.edit(script)
    assert done.code == code, done.err
    assert one.archive.read_bytes() == before
    tried("P4", "an editor that fails, is killed or leaves no file", "the archive as it was")


def test_edit_finds_its_entry(one: Worker) -> None:
    """By name; alone it needs none; a folder, and what is not there, are errors before the editor starts."""
    strongroom.seal({"-a b'c": b"1"}, one.archive, password=SECRET, overwrite=True)
    done = one.call(
        "edit", "case.zip", "--password-file", "pw", VISUAL="sh -c 'echo more >> \"$1\"' sh", EDITOR="false"
    )
    assert done.code == 0, done.err
    assert one.content() == {"-a b'c": b"1more\n"}
    assert one.edit("true", entry="none").failure[0] == 1
    with strongroom.create(one.archive, password=SECRET, overwrite=True) as room:
        room.mkdir("d")
    assert one.edit("true", entry="d").failure[0] == 1


def test_run(worker: Worker) -> None:
    """What it changes, adds, removes; links and pipes are left out; its output and exit code are passed on."""
    script = "echo out; ./tool; echo 2 >> d/note.txt; rm x; mkdir e e/f; echo 3 > e/g"
    done = worker.run(f"{script}; ln -s /etc/passwd link; mkfifo d/p; exit 7", "--verify")
    assert (done.code, done.out) == (7, b"out\nhello\n"), done.err
    assert done.err.count("was left out") == 2
    assert worker.content() == {
        "d/note.txt": b"first\n2\n",
        "e/f": None,
        "e/g": b"3\n",
        "tool": TREE["tool"],
    }
    with strongroom.open(worker.archive, password=SECRET) as room:
        assert {entry.name: (entry.mode or 0) & 0o777 for entry in room if entry.name in TREE} == {
            "d/note.txt": 0o640,
            "tool": 0o750,
        }


def test_run_leaves_the_archive(one: Worker) -> None:
    """Where nothing changed, where it is told to, and where a signal ended the command."""
    before = one.archive.read_bytes()
    for script, options, code in (
        ("cat x > /dev/null", (), 0),
        ("echo 1 > new; exit 4", ("--discard",), 4),
        ("echo 1 > new; exit 4", ("--if-ok",), 4),
        ("echo 1 > new; kill -9 $$", (), 137),
    ):
        done = one.run(script, *options)
        assert done.code == code, done.err
        assert one.archive.read_bytes() == before
    assert one.call("run", "case.zip", "--password-file", "pw", "--", "no-such-program").failure[0] == 1
    assert one.call("run", "case.zip", "--password-file", "pw").failure[0] == 2
    assert one.run("true", "--discard", "--if-ok").failure[0] == 2
    assert one.archive.read_bytes() == before


@pytest.mark.parametrize("suffix", ["7z", "zip.age"])
def test_run_on_other_formats(one: Worker, suffix: str) -> None:
    """The format stays, and the password."""
    name = f"case.{suffix}"
    strongroom.convert(one.archive, one.folder / name, password=SECRET)
    assert one.run("echo 1 > new", name=name).code == 0
    with strongroom.open(one.folder / name, password=SECRET) as room:
        assert room.format == suffix
        assert room.read("new") == b"1\n"
        assert room.read("x") == TREE["x"]


def test_run_for_recipients(one: Worker) -> None:
    """Who alone opens an archive is whom it is sealed to again; of others only who says so knows."""
    desk = Desk(one.folder)
    keys = []
    for name in ("key.txt", "other.txt"):
        assert desk.run("keygen", "--classic", "-o", name).code == 0
        keys.append(desk.run("keygen", "-y", "-i", name).out.decode().strip())
    strongroom.seal({"a": b"1", "b": b"2"}, one.folder / "a.zip.age", recipients=keys[:1])
    strongroom.seal({"a": b"1", "b": b"2"}, one.folder / "b.zip.age", recipients=keys)
    work = ("--", "sh", "-c", "touch new ran")
    assert one.call("run", "-i", "key.txt", "a.zip.age", *work).code == 0
    before = (one.folder / "b.zip.age").read_bytes()
    done = one.call("run", "-i", "key.txt", "b.zip.age", *work)
    assert (done.failure[0], "-r" in done.err) == (1, True)
    assert (one.folder / "b.zip.age").read_bytes() == before
    assert one.call("run", "-i", "key.txt", "b.zip.age", "-r", keys[1], *work).code == 0
    for name, key in (("a.zip.age", "key.txt"), ("b.zip.age", "other.txt")):
        with strongroom.open(one.folder / name, identities=[one.folder / key]) as room:
            assert "new" in room
    assert one.call("run", "case.zip", "--password-file", "pw", "-r", keys[0], *work).failure[0] == 2


# What they keep from the disk


def test_it_can_write_nowhere_else(worker: Worker, tried: Tried) -> None:
    """Not into its owner's folders, nor any that all can write to: EROFS; /dev/shm is its own; nothing is left."""
    places = [worker.folder, Path("/tmp"), Path("/var/tmp"), Path("/run/lock"), Path.home(), Path(__file__).parent]
    places = [place for place in places if place.is_dir()]
    script = (
        "import errno, os, sys\n"
        "for place in sys.argv[1:]:\n"
        "    try:\n"
        "        open(place + '/escaped', 'w')\n"
        "    except OSError as error:\n"
        "        assert error.errno in (errno.EROFS, errno.EACCES), error\n"
        "    else:\n"
        "        sys.exit(place)\n"
        "for name in ('HOME', 'TMPDIR', 'XDG_CACHE_HOME', 'XDG_RUNTIME_DIR'):\n"
        "    open(os.environ[name] + '/mine', 'w').close()\n"
        "open('/dev/shm/mine', 'w').close()\n"
    )
    words = ["--", "python3", "-c", script, *map(str, places)]
    done = worker.call("run", "case.zip", "--password-file", "pw", "--discard", *words)
    assert done.code == 0, done.err
    assert not [place for place in places if (place / "escaped").exists()]
    assert not Path("/dev/shm/mine").exists()
    tried("P1", "a program under `run` that writes outside", "EROFS", count=len(places))


def test_the_kernels_settings_cannot_be_written(worker: Worker, tried: Tried) -> None:
    """By /proc root could have the kernel start a program outside; nor is anybody else's process to be seen there."""
    script = "echo x > /proc/sys/kernel/core_pattern || echo refused; ls -d /proc/[0-9]*"
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    done = worker.call("run", "case.zip", "--password-file", "pw", "--discard", "--", "sh", "-c", script)
    first, *seen = done.out.decode().split()
    assert first == "refused", done.err
    assert len(seen) < 10
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    tried("P1", "a program under `run` that writes into /proc/sys", "EROFS")


def test_standard_input_cannot_be_written(worker: Worker, tried: Tried) -> None:
    """A file that is standard input is read on from where it stands, and not opened for writing by its descriptor."""
    given = worker.folder / "given"
    given.write_bytes(b"head\nrest\n")
    given.chmod(0o666)
    script = "cat d/note.txt > /proc/self/fd/0 || echo refused; cat"
    words = [*worker.prefix, "run", "case.zip", "--password-file", "pw", "--discard", "--", "sh", "-c", script]
    with given.open("rb", buffering=0) as file:
        file.seek(5)
        done = subprocess.run(
            words,
            cwd=worker.folder,
            env=worker.environment({}),
            stdin=file,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.stdout == b"refused\nrest\n", done.stderr
    assert given.read_bytes() == b"head\nrest\n"
    tried("P1", "a program under `run` that opens its standard input for writing", "EROFS")


def test_what_is_changed_at_once_is_a_change(worker: Worker, times: Callable[[int, int], int], tried: Tried) -> None:
    """The clock of file times ticks slowly: a change in the tick in which the files were made counts."""
    count = times(3, 40)
    for number in range(count):
        done = worker.call(
            "run", "case.zip", "--password-file", "pw", "--", "/bin/dd", "if=tool", "of=x", "bs=1", "count=1",
            f"seek={number}", "conv=notrunc", "status=none",
        )  # fmt: skip
        assert "sealed" in done.err, done.err
    data = worker.content()["x"]
    assert data is not None
    assert data[:count] == b"#" * count
    tried("P4", "a program that changes a file the moment it starts", "it is sealed again", count=count)


def test_what_the_command_gets(worker: Worker) -> None:
    """No descriptors of ours, no password in sight, no core dumps, no way to mount anew or to gain rights."""
    script = (
        "ls -l /proc/self/fd | grep -c -- '->'; ulimit -c; cat /proc/self/coredump_filter;"
        "grep NoNewPrivs /proc/self/status; cat /proc/1/cmdline /proc/1/environ /proc/self/environ | tr '\\0' '\\n';"
        "mount -o remount,rw / 2>/dev/null && echo escaped; readlink /proc/1/fd/* || true"
    )
    done = worker.run(script, "--discard")
    assert done.code == 0, done.err
    count, core, dumped, rights, *rest = done.out.decode().splitlines()
    assert (int(count), core, int(dumped, 16), rights.split()[-1]) == (4, "0", 0, "1"), "of four ls opened one"
    assert SECRET not in done.out.decode()
    assert "escaped" not in rest
    assert not [line for line in rest if "case.zip" in line and line.startswith("/")]


def test_no_process_is_left(worker: Worker) -> None:
    """What it left in the background ends, also in a session of its own."""
    mark = f"{time.time_ns() // 1000}"
    done = worker.run(f"sleep {mark} & setsid sleep {mark} & echo $! > started")
    assert done.code == 0, done.err
    assert worker.content()["started"]
    assert not running(mark)


def start_long(worker: Worker, mark: str) -> subprocess.Popen[bytes]:
    """Start a command that goes on for long, and wait until it has written."""
    command = ["--", "sh", "-c", f"echo {CANARY.decode()} > big; cp big $HOME; cp big $TMPDIR; sleep {mark}"]
    process = worker.start("run", "case.zip", "--password-file", "pw", *command)
    wait_for(lambda: running(mark) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_killed(worker: Worker, number: signal.Signals, tried: Tried) -> None:
    """The command ends with us, and the archive is as it was."""
    before, mark = worker.archive.read_bytes(), f"{time.time_ns() // 1000}"
    process = start_long(worker, mark)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not running(mark))
    assert worker.archive.read_bytes() == before
    tried("P4", f"{number.name} while `run` works", "the archive as it was, and no process left")


def test_ctrl_c_is_the_commands(one: Worker) -> None:
    """It ends a command that has no other use for it, and the archive stays; one that has goes on."""
    before, desk = one.archive.read_bytes(), Desk(one.folder)
    for script, code, changed in (
        ("echo 1 > new; echo ready; exec sleep 60", 130, False),
        ("trap 'echo caught; echo 1 > new; exit 0' INT; echo ready; sleep 60 & wait", 0, True),
    ):
        terminal = desk.at_terminal("run", "case.zip", "--password-file", "pw", "--", "sh", "-c", script)
        terminal.wait_for("ready")
        terminal.type("\x03")
        assert terminal.end()[0] == code
        assert (one.archive.read_bytes() != before) == changed


def test_a_shell_works_at_the_terminal(one: Worker) -> None:
    """With job control, and the terminal is ours again afterwards."""
    terminal = Desk(one.folder).at_terminal("run", "case.zip", "--", "bash", "--norc", "-i")
    terminal.wait_for("Password for case.zip: ")
    terminal.type(f"{SECRET}\n")
    terminal.wait_for("bash-")
    terminal.type("sleep 60 & echo $((6*7)) > answer; fg\n")
    terminal.wait_for("sleep 60\r\n")
    terminal.type("\x03")
    terminal.type("exit 0\n")
    code, shown = terminal.end()
    assert code == 0, shown
    assert "no job control" not in shown
    assert "again" in shown
    assert one.content()["answer"] == b"42\n"


@pytest.mark.parametrize("how", ["edited", "killed"])
def test_nothing_on_the_disk(tmp_path: Path, how: str, tried: Tried) -> None:
    """On a file system of its own, whose image is searched: what the editor wrote, wherever it could, is not there."""
    with mounted(EXT4, tmp_path, 32 << 20) as disk:
        one = works(disk, tuple(COMMAND), os.environ.get("PYTHONPATH", ""))
        one.tools = tmp_path
        if how == "killed":
            mark = f"{time.time_ns() // 1000}"
            process = start_long(one, mark)
            process.kill()
            process.communicate()
            wait_for(lambda: not running(mark))
        else:
            script = f'for f in "$1" .swp $HOME/.viminfo $TMPDIR/t /dev/shm/t; do echo {CANARY.decode()} >> $f; done;'
            done = one.edit(f"{script} (echo {CANARY.decode()} > {disk}/out) || true")
            assert done.code == 0, done.err
            assert one.content()["d/note.txt"] == TREE["d/note.txt"] + CANARY + b"\n"
        (disk / "control").write_bytes(CANARY[::-1])
        subprocess.run(["sync"], check=True)
    image = (tmp_path / "image").read_bytes()
    assert CANARY[::-1] in image, "what is written is found"
    assert CANARY not in image
    tried("P1", f"`edit` and `run`, {how}, and the raw disk searched", "no plaintext")


# What bounds them


@pytest.mark.parametrize(
    "script",
    [
        "for i in $(seq 200); do head -c 1000000 /dev/zero > f$i; done; sleep 60",
        "head -c 200000000 /dev/zero > large; sleep 60",
        "cat /dev/zero > $TMPDIR/large; sleep 60",
    ],
    ids=["many", "large", "elsewhere"],
)
def test_memory_is_bounded(worker: Worker, script: str, tried: Tried) -> None:
    """Too much, in one file or in many, stops the command; the archive is as it was."""
    before, start = worker.archive.read_bytes(), time.monotonic()
    done = worker.run(script, "--limit", "total_size=30M")
    assert done.code in (1, 128 + signal.SIGXFSZ), done.err
    assert time.monotonic() - start < 50
    assert worker.archive.read_bytes() == before
    tried("P8", "a program under `run` that fills the memory", "stopped, and the archive as it was")


def test_too_much_to_begin_with(one: Worker) -> None:
    """The archive alone has more: nothing is started."""
    assert one.run("true", "--limit", "total_size=1K").failure[0] == 1


def test_a_large_tree(one: Worker) -> None:
    """Many files, of which one changes."""
    tree = {f"{number % 50}/{number}": b"%d" % number for number in range(600)}
    strongroom.seal(tree, one.archive, password=SECRET, overwrite=True)
    assert one.run("true").err.endswith("nothing changed\n")
    assert one.run("echo new > 7/57").code == 0
    assert one.content() == tree | {"7/57": b"new\n"}


# Others


def test_two_at_once(one: Worker, tried: Tried) -> None:
    """The second one is refused, and the first one's work is what stays."""
    mark = f"{time.time_ns() // 1000}"
    first = one.start(
        "run", "case.zip", "--password-file", "pw", "--",
        "sh", "-c", f"echo mine > new; while [ ! -e {one.folder}/go ]; do sleep 0.05; done; : {mark}", mark,
    )  # fmt: skip
    wait_for(lambda: len(running(mark)) > 1)
    done = one.edit('echo other >> "$1"')
    assert done.failure[0] == 1
    (one.folder / "pw2").write_bytes(PASSWORD)
    done = one.call("rekey", "case.zip", "--password-file", "pw", "--new-password-file", "pw2")
    assert done.failure[0] == 1, "what the first one makes would be lost"
    (one.folder / "go").touch()
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    assert one.content() == TREE | {"new": b"mine\n"}
    tried("P4", "two who edit one archive", "the second is refused")


def test_an_archive_that_is_replaced_meanwhile(one: Worker) -> None:
    """What somebody else did is not lost."""
    other = one.folder / "other.zip"
    strongroom.seal({"theirs": b"1"}, other, password=SECRET)
    mark = f"{time.time_ns() // 1000}"
    process = one.start(
        "run", "case.zip", "--password-file", "pw", "--",
        "sh", "-c", f"echo mine > new; while [ ! -e {one.folder}/go ]; do sleep 0.05; done", mark,
    )  # fmt: skip
    wait_for(lambda: len(running(mark)) > 1)
    other.rename(one.archive)
    (one.folder / "go").touch()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert one.content() == {"theirs": b"1"}


def test_where_the_kernel_forbids_it(one: Worker) -> None:
    """It says so, and why; the archive is as it was, and nothing ran."""
    before = one.archive.read_bytes()
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin "$@"'
    command = ["run", "case.zip", "--password-file", "pw", "--", "touch", "new"]
    done = subprocess.run(
        [tool("unshare"), "--user", "--map-root-user", "sh", "-ec", script, "-", *COMMAND, *command],
        cwd=one.folder,
        env=one.environment({}),
        capture_output=True,
        check=False,
    )
    if b"/proc/sys/user" in done.stderr:
        missing(done.stderr.decode())
    assert done.returncode == 1, done.stderr
    assert b"cannot be had here" in done.stderr
    assert b"hint" in done.stderr
    assert one.archive.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [("run", "-"), ("edit", "-", "x"), ("edit", "none.zip", "x"), ("edit", "link", "x")]
)
def test_what_cannot_be_replaced(one: Worker, arguments: tuple[str, ...]) -> None:
    """Pipes, links, what is not there: refused before anything runs."""
    (one.folder / "link").symlink_to("case.zip")
    verb, name, *more = arguments
    words = ["--", "true"] if verb == "run" else []
    assert one.call(verb, name, *more, "--password-file", "pw", *words).failure[0] in (1, 2)
