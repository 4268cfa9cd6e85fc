"""How the command line begins and ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.cli import VERBS
from strongroom.cli.messages import printable
from strongroom.cli.units import count, parse_size, rate, size
from tests.cli.running import COMMAND, Desk


def test_sealing_a_little_loads_little(desk: Desk) -> None:
    """The start is quick because what only other runs need is not loaded."""
    code = (
        "import sys; from strongroom.cli import main; "
        "assert main(['seal', 'a.zip', '--name', 'x', '-', '--password-file', 'pw', '-q']) == 0; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=desk.folder, input=b"x", capture_output=True, check=True)
    loaded = {name.decode() for name in done.stdout.split()}
    assert not loaded & {"rich", "json", "glob", "subprocess", "shlex", "numpy", "concurrent.futures", "tempfile"}
    assert loaded & {f"strongroom.cli.{verb}" for verb in VERBS} == {"strongroom.cli.seal"}
    assert "strongroom.receipt" not in loaded


@pytest.mark.parametrize("verb", [[], *([verb] for verb in VERBS)], ids=str)
def test_help(desk: Desk, verb: list[str]) -> None:
    """Each verb explains itself on standard output, with an example that begins like a command."""
    for flag in ("-h", "--help"):
        done = desk.run(*verb, flag)
        assert (done.code, done.err) == (0, "")
        assert "  strongroom " in done.out.decode().split("Example")[1]


def test_help_says_what_scripts_need(desk: Desk) -> None:
    """Exit codes, and who tells how to have completion, stand below the verbs; each verb's line says all of it."""
    shown = desk.run("--help").out.decode()
    assert all(re.search(rf"^    {code}  ", shown, re.MULTILINE) for code in (0, 1, 2, 3, 4, 130))
    assert "strongroom completion --help" in shown
    assert "..." not in shown.partition("Commands:")[2]


def test_version(desk: Desk) -> None:
    """The version is that of the package."""
    from importlib.metadata import version

    assert desk.run("--version").out.decode() == f"strongroom {version('strongroom')}\n"


def test_nothing_asked(desk: Desk) -> None:
    """Without a verb the help comes, as an error."""
    done = desk.run()
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("Usage: strongroom")


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["ls"], ["ls", "a", "b"], ["ls", "--nothing", "a"], ["--x"]], ids=str
)
def test_misuse(desk: Desk, arguments: list[str]) -> None:
    """What is not understood is answered with 2, and where the help is."""
    assert desk.run(*arguments).failure[::2] == (2, True)


def test_installed_command(desk: Desk) -> None:
    """The installed command is the same as `python -m strongroom`."""
    installed = Path(sys.executable).parent / "strongroom"
    done = subprocess.run([installed, "--version"], capture_output=True, check=True)
    assert done.stdout == desk.run("--version").out


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(desk: Desk, closed: str) -> None:
    """An archive does not take the number of a stream that is closed, so that no message ends up in it."""
    desk.put("x", b"data")
    command = f"{' '.join(COMMAND)} seal a.zip x --password-file pw {closed}"
    subprocess.run(["sh", "-c", command], cwd=desk.folder, check=True, capture_output=True)
    assert desk.open("verify", "a.zip").code == 0


@pytest.mark.parametrize("stream", [">&-", ">/dev/full"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_takes_nothing(desk: Desk, stream: str, unbuffered: str) -> None:
    """A list that cannot be written is an error, with its reason."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"x")
    for verb in ("ls a.zip", "cat a.zip x --password-file pw", "verify a.zip --password-file pw"):
        script = f"PYTHONUNBUFFERED={unbuffered} {' '.join(COMMAND)} {verb} {stream}"
        done = subprocess.run(["sh", "-c", script], cwd=desk.folder, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(b"strongroom: error: standard output: ")
        assert done.stderr.count(b"\n") == (2 if stream == ">/dev/full" else 1)  # with what to do


def test_completion(desk: Desk) -> None:
    """Shells complete verbs and options."""
    done = desk.run(_STRONGROOM_COMPLETE="bash_complete", COMP_WORDS="strongroom ver", COMP_CWORD="1")
    assert done.out == b"plain,verify\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 体温 'a'", "Größe 体温 'a'"),
        ("a\x1b[31m\x07\x7f\x9b", "a\\x1b[31m\\x07\\x7f\\x9b"),
        ("a\nb\t\r", "a\\nb\\t\\r"),
        ("\u202e\u2028\u200b\ud800", "\\u202e\\u2028\\u200b\\ud800"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """What a terminal obeys is escaped, what it shows is not."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (7_900_000, "7.9 MB"),
        (10**18, "1000 PB"),
    ],
)
def test_size(number: int, said: str) -> None:
    """Sizes have two or three digits and a decimal unit."""
    assert size(number) == said


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("5000", 5000), ("64K", 65_536), ("1MiB", 1 << 20), ("100g", 100 << 30), ("2T", 2 << 40)],
)
def test_parse_size(text: str, number: int) -> None:
    """Bounds are read in powers of 1024."""
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "1 G", "1GB", "1X", "\u0663"])
def test_parse_size_refuses(text: str) -> None:
    """What could mean two things, or nothing, is refused."""
    assert parse_size(text) is None


def test_counts_and_rates() -> None:
    """One of a thing has no plural, and too little of it no speed."""
    assert [count(1, "entry", "entries"), count(2, "entry", "entries"), count(0, "file")] == [
        "1 entry",
        "2 entries",
        "0 files",
    ]
    assert [rate(999_999, 1), rate(5_000_000, 0), rate(5_000_000, 2), rate(10**9, 2)] == [
        None,
        None,
        "2.5 MB/s",
        "500 MB/s",
    ]


@pytest.mark.parametrize(
    ("word", "verb"), [("sael", "seal"), ("list", "ls"), ("x", "extract"), ("unzip", "extract"), ("frobnicate", None)]
)
def test_a_word_that_is_no_verb(desk: Desk, word: str, verb: str | None) -> None:
    """The hint has the verb that was meant, where one comes to mind, also by what other tools call it."""
    done = desk.run(word, "a.zip")
    code, _, hint = done.failure
    assert (code, hint) == (2, True)
    assert (f"'{verb}'" in done.err) == (verb is not None)


def test_choices_stand_on_the_line_of_the_error(desk: Desk) -> None:
    """What click puts onto lines of their own is on one, and without escapes."""
    done = desk.run("completion")
    assert done.failure[0] == 2
    assert "\\" not in done.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["seal", "-o", "a.zip", "data"], "strongroom seal ARCHIVE"),
        (["seal", "-i", "key", "a.zip.age", "data"], "keygen -y"),
        (["extract", "a.zip", "-o", "out"], "strongroom extract ARCHIVE DIR"),
        (["extract", "out", "data"], "strongroom extract data out"),
        (["seal", "b.zip", "--", "data", "--password-file", "pw"], "before it"),
        (["rekey", "a.zip", "--password-file", "pw"], "--new-password-file"),
        (["cat", "a.zip", "--password-file", "pw"], "strongroom ls a.zip"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_hints_for_habits(desk: Desk, arguments: list[str], hint: str) -> None:
    """Who is used to other tools, or turns the arguments round, is told how it goes here."""
    desk.put("data", b"1")
    desk.put("more", b"1")
    desk.seal("a.zip", "data", "more")
    done = desk.run(*arguments)
    assert done.failure[0] in (1, 2)
    assert hint in done.err.splitlines()[1]
