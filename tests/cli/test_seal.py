"""`strongroom seal`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile

import pytest

import strongroom
from tests.cli.running import COMMAND, PASSWORD, Desk
from tests.helpers import noise, text, tool


def contents(desk: Desk, archive: str = "a.zip") -> dict[str, bytes | None]:
    """What is in an archive: the data of files, None for folders."""
    with strongroom.open(desk.folder / archive, password=PASSWORD) as room:
        return {entry.name: room.read(entry.name) if entry.kind == "file" else None for entry in room}


def test_files_folders_and_patterns(desk: Desk) -> None:
    """Sources are files, folders with all that is in them, and patterns that the shell left; the originals stay."""
    desk.put("one.txt", b"1")
    desk.put("scans/a/deep.bin", b"2")
    desk.put("scans/top.bin", b"3")
    desk.put("x1.csv", b"4")
    desk.put("x2.csv", b"5")
    before = desk.names()
    desk.seal("a.zip", "one.txt", "scans", "x?.csv")
    assert contents(desk) == {
        "one.txt": b"1",
        "scans": None,
        "scans/a": None,
        "scans/a/deep.bin": b"2",
        "scans/top.bin": b"3",
        "x1.csv": b"4",
        "x2.csv": b"5",
    }
    assert desk.names() == sorted([*before, "a.zip"])
    assert (desk.folder / "a.zip").stat().st_mode & 0o777 == 0o600


def test_what_the_recipient_is_told(desk: Desk) -> None:
    """Standard error has what was sealed, what opens it and what is readable; standard output has nothing."""
    desk.put("patients.csv", text(2_000_000))
    done = desk.seal("case 42.zip", "patients.csv")
    assert done.out == b""
    sealed, heading, windows, macos, linux, ours, readable = done.err.splitlines()
    assert re.fullmatch(r"sealed 1 entry, 2\.0 MB, into case 42\.zip of [\d.]+ kB, [\d.]+ MB/s", sealed)
    assert "password" in heading
    assert re.fullmatch(r"  Windows +7-Zip .*, not Explorer", windows)
    assert re.fullmatch(r"  macOS +Keka .*, not the Finder", macos)
    assert re.fullmatch(r"  Linux +7zz x 'case 42\.zip'", linux)
    assert ours.endswith("  strongroom extract 'case 42.zip' DIR")
    assert readable == "names, sizes and dates can be read without the password"


@pytest.mark.parametrize(
    ("archive", "options", "made"),
    [
        ("case 42.zip", [], "photo.raw"),
        ("a.7z", [], "photo.raw"),
        ("a.zip.age", ["-R", "to"], "a.zip"),
        ("photo.raw.AGE", ["-R", "to"], "photo.raw"),
        ("sealed", ["-R", "to", "--format", "zip.age"], "NAME.zip"),
    ],
)
def test_the_lines_for_the_recipient_are_true(desk: Desk, archive: str, options: list[str], made: str) -> None:
    """On Linux the file opens as the line for it says, and as the one for strongroom says."""
    data = noise(100_000)
    desk.put("photo.raw", data)
    key = desk.run("keygen", "--classic").out
    desk.put("to", key.split(b"public key: ")[1].splitlines()[0])
    desk.put("out/KEY.txt", key).chmod(0o600)
    done = desk.run("seal", f"out/{archive}", "photo.raw", *(options or ["--password-file", "pw"]))
    assert done.code == 0, done.err
    by_others, by_us = (
        line.split("  ")[-1] for line in done.err.splitlines() if re.match("  .*(Linux|anywhere) ", line)
    )
    if options:
        tool("age")
    else:
        tool("7zz")
        by_others, by_us = f"{by_others} -p'{PASSWORD.decode()}'", f"{by_us} --password-file ../pw"
    subprocess.run(by_others, shell=True, cwd=desk.folder / "out", check=True, capture_output=True)  # noqa: S602
    found = desk.folder / "out" / made
    assert (zipfile.ZipFile(found).read("photo.raw") if made.endswith(".zip") else found.read_bytes()) == data
    ours = by_us.replace("strongroom", " ".join(COMMAND), 1).replace(" DIR", " DIR -q")
    subprocess.run(ours, shell=True, cwd=desk.folder / "out", check=True, capture_output=True)  # noqa: S602
    assert {path.read_bytes() for path in (desk.folder / "out/DIR").iterdir()} == {data}


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet(desk: Desk, quiet: str) -> None:
    """Nothing is said when all is well."""
    assert desk.seal("a.zip", "--name", "x", "-", quiet, stdin=b"data").err == ""


def test_json(desk: Desk) -> None:
    """One JSON object on standard output, and nothing on standard error."""
    done = desk.seal("a.zip", "--name", "x", "-", "--json", stdin=b"data")
    result = json.loads(done.out)
    assert result.pop("seconds") >= 0
    size = (desk.folder / "a.zip").stat().st_size
    sums = {"entries": 1, "bytes": 4, "archive_bytes": size}
    assert result == {"archive": "a.zip", "ok": True, "format": "zip", "left_out": []} | sums
    assert done.err == ""


@pytest.mark.parametrize("data", [b"", b"x", noise(3_000_001)], ids=len)
def test_standard_input(desk: Desk, data: bytes) -> None:
    """`-` is what comes through a pipe, whole."""
    desk.seal("a.zip", "--name", "dump.sql", "-", stdin=data)
    assert contents(desk) == {"dump.sql": data}


def test_standard_input_that_is_a_file(desk: Desk) -> None:
    """A redirected file is read from where it stands."""
    with desk.put("data", b"skip this").open("rb") as file:
        os.lseek(file.fileno(), 5, os.SEEK_SET)
        done = desk.run("seal", "a.zip", "--name", "x", "-", "--password-file", "pw", stdin=file)
    assert done.code == 0
    assert contents(desk) == {"x": b"this"}


def test_a_name_for_one_source(desk: Desk) -> None:
    """`--name` renames a file, or the top of a folder."""
    desk.put("folder/a", b"1")
    desk.seal("a.zip", "folder", "--name", "other")
    assert contents(desk) == {"other": None, "other/a": b"1"}


def test_from_command(desk: Desk) -> None:
    """What a command writes is sealed, its arguments reach it untouched, its messages pass through."""
    script = 'printf "%s|" "$@"; echo progress >&2'
    done = desk.seal(
        "a.zip", "--name", "dump.sql", "-q", "--from-command", "--", "sh", "-c", script, "sh", "-x", "--name", "a b"
    )
    assert contents(desk) == {"dump.sql": b"-x|--name|a b|"}
    assert done.err == "progress\n"


@pytest.mark.parametrize("size", [10, 5_000_000])
@pytest.mark.parametrize(
    ("ending", "said"), [("exit 3", "ended with status 3"), ("kill -9 $$", "was ended by signal 9 (Killed)")]
)
def test_from_command_that_fails_half_way(desk: Desk, size: int, ending: str, said: str) -> None:
    """Nothing is made of half a dump, and the command's status is named."""
    command = ["sh", "-c", f"head -c {size} /dev/zero; {ending}"]
    done = desk.run("seal", "a.zip", "--password-file", "pw", "--name", "x", "--from-command", "--", *command)
    assert done.failure == (1, f"the command 'sh' {said}", True)
    assert desk.names() == []


def test_from_command_that_fails_leaves_the_old_archive(desk: Desk) -> None:
    """`--overwrite` replaces nothing before the new archive is complete."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"old")
    command = ["--overwrite", "--name", "x", "--from-command", "--", "sh", "-c", "echo new; exit 1"]
    assert desk.run("seal", "a.zip", "--password-file", "pw", *command).code == 1
    assert contents(desk) == {"x": b"old"}
    assert desk.names() == ["a.zip"]


def test_from_command_that_is_not_there(desk: Desk) -> None:
    """A command that cannot be run is named; no shell is asked."""
    command = ["--name", "x", "--from-command", "--", "no-such-program; true"]
    code, said, hint = desk.run("seal", "a.zip", "--password-file", "pw", *command).failure
    assert (code, hint) == (1, True)
    assert "'no-such-program; true'" in said
    assert desk.names() == []


def test_to_standard_output(desk: Desk) -> None:
    """`-` as the archive is standard output: a pipe gets a ZIP that opens."""
    done = desk.seal("-", "--name", "x", "-", stdin=noise(3_000_000))
    desk.put("a.zip", done.out)
    assert contents(desk) == {"x": noise(3_000_000)}
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD.decode()}", desk.folder / "a.zip"], check=True, capture_output=True)
    assert "  7zz x FILE.zip\n" in done.err


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_to_standard_output_that_is_a_file(desk: Desk, mode: str) -> None:
    """A redirection makes the same archive as a path does, also one that appends."""
    with (desk.folder / "a.zip").open(mode) as file:
        arguments = ["seal", "-", "--name", "x", "-", "--password-file", "pw"]
        subprocess.run([*COMMAND, *arguments], cwd=desk.folder, input=noise(3_000_000), stdout=file, check=True)
    assert contents(desk) == {"x": noise(3_000_000)}
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD.decode()}", desk.folder / "a.zip"], check=True, capture_output=True)


def test_standard_output_without_space(desk: Desk) -> None:
    """An output that takes no more is an error with its reason."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [*COMMAND, "seal", "-", "--name", "x", "-", "--password-file", "pw"]
        done = subprocess.run(command, cwd=desk.folder, input=b"x", stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr


def test_options_reach_the_archive(desk: Desk) -> None:
    """Method, level, threads and verification are those of the library."""
    desk.put("data", text(3_000_000))
    desk.seal("a.zip", "data", "--method", "zstd", "--level", "3", "--threads", "1", "--verify")
    desk.seal("b.dat", "data", "--method", "store", "--format", "zip")
    with strongroom.open(desk.folder / "a.zip") as room, strongroom.open(desk.folder / "b.dat") as other:
        assert [entry.method for entry in (*room, *other)] == ["zstd", "store"]


def test_existing_archive(desk: Desk) -> None:
    """What is there is replaced only when asked; the hint says how."""
    old = desk.put("a.zip", b"something").read_bytes()
    done = desk.open("seal", "a.zip", "--name", "x", "-", stdin=b"1")
    assert done.failure == (1, "a.zip is there already", True)
    assert "--overwrite" in done.err
    assert (desk.folder / "a.zip").read_bytes() == old
    desk.seal("a.zip", "--name", "x", "-", "--overwrite", stdin=b"1")
    assert contents(desk) == {"x": b"1"}


def test_the_archive_is_not_sealed_into_itself(desk: Desk) -> None:
    """A folder that holds the old archive is sealed without it."""
    desk.put("folder/data", b"1")
    desk.put("folder/a.zip", b"old")
    done = desk.seal("folder/a.zip", "folder", "--overwrite")
    assert contents(desk, "folder/a.zip") == {"folder": None, "folder/data": b"1"}
    assert done.err.startswith("strongroom: warning: 'folder/a.zip' is the archive itself")


def test_warnings_are_one_line(desk: Desk) -> None:
    """What is left out is said in a line without the place in the code."""
    desk.put("folder/data", b"1")
    (desk.folder / "folder/link").symlink_to("data")
    done = desk.seal("a.zip", "folder", "--quiet")
    assert done.err == "strongroom: warning: 'folder/link' is a symlink or a special file, and was left out\n"


def test_json_names_what_was_left_out(desk: Desk) -> None:
    """Programs learn of symlinks, special files and the archive itself, which are not in the archive."""
    desk.put("folder/data", b"1")
    desk.put("folder/a.zip", b"old")
    (desk.folder / "folder/link").symlink_to("data")
    os.mkfifo(desk.folder / "folder/fifo")
    done = desk.seal("folder/a.zip", "folder", "--overwrite", "--json")
    assert sorted(json.loads(done.out)["left_out"]) == ["folder/a.zip", "folder/fifo", "folder/link"]
    assert done.err.count("strongroom: warning: ") == 3


def test_json_of_failures(desk: Desk) -> None:
    """One object says why there is no archive."""
    done = desk.open("seal", "a.zip", "missing", "--json")
    result = json.loads(done.out)
    assert (done.code, result["archive"], result["ok"], len(result["findings"])) == (1, "a.zip", False, 1)


@pytest.mark.parametrize(("options", "name"), [([], "fifo"), (["--name", "log.txt"], "log.txt")])
def test_a_named_pipe(desk: Desk, options: list[str], name: str) -> None:
    """It is read as a stream, from when someone writes into it, to its end."""
    os.mkfifo(desk.folder / "fifo")
    process = desk.start("seal", "a.zip", "fifo", "--password-file", "pw", "-q", *options)
    with (desk.folder / "fifo").open("wb", buffering=0) as pipe:  # waits until it is read
        pipe.write(b"from a pipe")
    assert process.communicate(timeout=60) == (b"", b"")
    assert contents(desk) == {name: b"from a pipe"}


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_that_may_have_no_end(desk: Desk, device: str) -> None:
    """It is refused, and the hint says how to seal a part of it."""
    done = desk.open("seal", "a.zip", device)
    assert done.failure[::2] == (2, True)
    assert "--name NAME -" in done.err
    assert desk.names() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"a\\b", "'folder/a\\b'"), (b"\xe4.txt", r"$'folder/\xe4.txt'"), (b"a\n'b", r"$'folder/a\x0a\'b'")],
)
def test_a_file_whose_name_no_archive_can_have(desk: Desk, name: bytes, shown: str) -> None:
    """The hint says which file of the folder to rename, as a shell takes it; --name would not help."""
    desk.put("folder/good", b"1")
    (desk.folder / "folder" / os.fsdecode(name)).write_bytes(b"2")
    done = desk.open("seal", "a.zip", "folder")
    assert done.failure[::2] == (2, True)
    assert done.err.endswith(f"strongroom: hint: rename {shown}\n")
    assert desk.names() == ["folder"]


def test_names_that_begin_with_a_dash(desk: Desk) -> None:
    """Where one is taken for an option the hint says how it is written, and the recipient's commands are right."""
    desk.put("-dash.txt", b"1")
    done = desk.open("seal", "a.zip", "-dash.txt")
    assert done.failure[::2] == (2, True)
    assert "./-dash.txt" in done.err
    done = desk.seal("-q", "--overwrite", "--", "-x.zip", "-dash.txt")
    assert contents(desk, "-x.zip") == {"-dash.txt": b"1"}
    done = desk.seal("--overwrite", "--", "-x.zip", "-dash.txt")
    assert "  7zz x ./-x.zip\n" in done.err
    assert "strongroom extract ./-x.zip DIR" in done.err


@pytest.mark.parametrize("place", ["source", "folder", "archive", "password"])
def test_permission_denied(desk: Desk, place: str) -> None:
    """Whatever may not be read is named, with 1, as what is missing is."""
    desk.put("data", b"1")
    desk.put("folder/data", b"1")
    desk.seal("a.zip", "data")
    denied = {"source": "data", "folder": "folder", "archive": "a.zip", "password": "pw"}[place]
    (desk.folder / denied).chmod(0)
    verb = (
        ["cat", "a.zip", "data"] if place == "archive" else ["seal", "b.zip", "folder" if place == "folder" else "data"]
    )
    powers = "-dac_override,-dac_read_search"  # by which root may read all the same
    less = [] if os.geteuid() else [tool("setpriv"), f"--bounding-set={powers}", f"--inh-caps={powers}"]
    command = [*less, *COMMAND, *verb, "--password-file", "pw"]
    done = subprocess.run(command, cwd=desk.folder, capture_output=True, text=True, check=False)
    error, hint = done.stderr.splitlines()
    assert done.returncode == 1
    assert error.startswith(f"strongroom: error: the {'source' if place == 'folder' else place}")
    assert error.endswith(f"{denied!r} cannot be read: Permission denied")
    assert hint.startswith("strongroom: hint: ")


@pytest.mark.parametrize(
    ("archive", "hint"), [("no/a.zip", "mkdir -p no"), ("data/a.zip", "is a file"), ("folder.zip", "name a file in it")]
)
def test_places_that_no_archive_can_have(desk: Desk, archive: str, hint: str) -> None:
    """They are refused before anyone types a password, with what to do."""
    desk.put("data", b"1")
    (desk.folder / "folder.zip").mkdir()
    code, shown = desk.at_terminal("seal", archive, "data", "--overwrite").end()
    assert code == 1
    assert hint in shown
    assert "Password" not in shown


def test_a_link_is_not_replaced(desk: Desk) -> None:
    """The archive takes no link's place, and that of no device."""
    desk.put("data", b"1")
    (desk.folder / "a.zip").symlink_to("data")
    assert desk.open("seal", "a.zip", "data", "--overwrite").failure[::2] == (1, True)
    assert (desk.folder / "a.zip").is_symlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.zip"],  # no source
        ["a.zip", "-"],  # no name
        ["a.zip", "-", "data", "--name", "x"],
        ["a.zip", "data", "data"],  # the same name twice
        ["a.zip", "data", "other", "--name", "x"],
        ["a.zip", "data", "--name", "../x"],
        ["a.zip", "data", "--name", "x" * 5000],
        ["a.zip", "nothing-*"],
        ["a.foo", "data"],
        ["a.zip", "data", "--format", "rar"],
        ["a.zip", "data", "--method", "rar"],
        ["a.zip", "data", "--level", "99"],
        ["a.zip", "data", "--threads", "0"],
        ["-", "data", "--verify"],
        ["-", "data", "--json"],
        ["a.zip", "--name", "x", "--from-command"],
        ["a.zip", "--name", "x", "--from-command", "--"],
        ["a.zip", "--from-command", "--", "true"],
        ["a.zip", "data", "--name", "x", "--from-command", "--", "true"],
        ["a.zip", "--name", "x", "--from-command", "touch", "ran"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_misuse(desk: Desk, arguments: list[str]) -> None:
    """Arguments that do not fit are refused with 2 and a hint, and nothing is made or run."""
    desk.put("data", b"1")
    desk.put("other", b"1")
    code, _, hint = desk.run("seal", "--password-file", "pw", *arguments).failure
    assert (code, hint) == (2, True)
    assert desk.names() == ["data", "other"]


@pytest.mark.parametrize("seconds", [2**40, -(2**37)])
def test_a_time_that_no_calendar_has(desk: Desk, seconds: int) -> None:
    """A file with an absurd time is sealed all the same."""
    os.utime(desk.put("data", b"1"), (seconds, seconds))
    desk.seal("a.zip", "data")
    assert contents(desk) == {"data": b"1"}


def test_missing_source(desk: Desk) -> None:
    """A source that is not there is an error before anything is made."""
    assert desk.open("seal", "a.zip", "missing").failure == (
        1,
        "the source 'missing' cannot be read: No such file or directory",
        True,
    )
    assert desk.names() == []


def test_missing_folder(desk: Desk) -> None:
    """So is a folder for the archive that is not there."""
    assert desk.open("seal", "no/a.zip", "--name", "x", "-", stdin=b"").failure[0] == 1
    assert desk.names() == []
