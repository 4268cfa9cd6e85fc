from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from strongroom import strength
from strongroom.formats import FORMATS
from strongroom.memory.secret import Secret
from strongroom.strength import GUESSES, WEAK, in_words, seconds_to_guess
from tests.helpers import in_memory, noise


def test_every_format_has_its_cost() -> None:
    """A ZIP's password is tried 300 times as fast as a 7z's, and that 46 times as fast as an age file's."""
    assert GUESSES.keys() == FORMATS.keys()
    assert GUESSES["zip"] / GUESSES["7z"] == 300
    assert 46 < GUESSES["7z"] / GUESSES["age"] < 47


def judged(password: str | bytes, format_name: str = "zip") -> float:
    """The seconds in which it is guessed."""
    with Secret(password) as secret:
        seconds = seconds_to_guess(secret, format_name)
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("password", ["123456", "monkey", "Passw0rd!", "12.11.1987", "qwertyuiop", "abcabcabc" * 30])
def test_weak_in_a_zip(password: str) -> None:
    """What people choose falls within a day; what repeats is no stronger for its length."""
    assert judged(password) < 86_400 < WEAK


@pytest.mark.parametrize("password", ["mabod-rikel-tusan-povim-halet-zudor", "体温 🌡 Größe und Gewicht 73", noise(20)])
def test_strong_in_a_zip(password: str | bytes) -> None:
    """Random words are, and what is no ASCII, or no text at all, can be judged."""
    assert judged(password) > WEAK


def test_the_format_decides() -> None:
    """The same password stands up 13,846 times as long in an age file as in a ZIP."""
    assert judged("Wed25Novemb", "age") / judged("Wed25Novemb") == pytest.approx(18e6 / 1.3e3)


def test_a_long_password_takes_no_time() -> None:
    """Only 72 characters are judged."""
    start = time.monotonic()
    assert judged("aé" * 2000) < WEAK
    assert time.monotonic() - start < 10


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said, and no process is started."""
    monkeypatch.setattr(strength, "library_folder", lambda _: None)
    monkeypatch.setattr(strength, "start_worker", None)
    with Secret("monkey") as secret:
        assert seconds_to_guess(secret, "zip") is None


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "print('much')", "import sys; sys.stdin.close()"])
def test_a_worker_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """A library that breaks, or answers nonsense, costs the estimate and nothing else."""
    path = tmp_path / "worker.py"
    path.write_text(script)
    monkeypatch.setattr(strength.worker, "__file__", str(path))
    with Secret("monkey" * 600) as secret:
        assert seconds_to_guess(secret, "zip") is None


def test_the_password_stays_out_of_this_process() -> None:
    """After it was judged, no copy is left in the process that asked, nor in its arguments or environment."""
    script = """
import os, sys
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.strength import seconds_to_guess
with SecretBuffer(32) as typed, memoryview(typed) as view:
    os.readv(0, [view])
    with Secret(view) as secret:
        print(seconds_to_guess(secret, "zip"), flush=True)
os.read(0, 1)
"""
    password = b"canary-" + bytes(range(65, 90))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(password)
        process.stdin.flush()
        assert float(process.stdout.readline()) > 0
        needles = [password, password.decode().encode("utf-32-le"), password[:16], b"canary-"]
        assert in_memory(process.pid, needles)[:3] == [0, 0, 0]


def test_the_worker_cannot_be_dumped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the worker judges, it is not dumpable, and can write no core and no file."""
    (tmp_path / "zxcvbn.py").write_text(
        "import ctypes, resource\n"
        "def zxcvbn(password):\n"
        "    limits = [resource.getrlimit(one)[0] for one in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)]\n"
        "    bad = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) or any(limits) or len(password) != 72\n"
        "    return {'guesses_log10': 1.0 if bad else 2.0}\n"
    )
    monkeypatch.setattr(strength, "library_folder", lambda _: str(tmp_path / "zxcvbn"))
    assert judged("x" * 80) == pytest.approx(100 / 18e6)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "under a second"),
        (1.4, "about 1 second"),
        (59.4, "about 59 seconds"),
        (60, "about 1 minute"),
        (3 * 3600, "about 3 hours"),
        (40 * 3600, "about 2 days"),
        (40 * 86_400, "about 1 month"),
        (2 * 365.25 * 86_400, "about 2 years"),
        (999.4 * 365.25 * 86_400, "about 999 years"),
        (5e3 * 365.25 * 86_400, "more than a thousand years"),
        (5e6 * 365.25 * 86_400, "more than a million years"),
        (1e300, "more than a billion years"),
    ],
)
def test_in_words(seconds: float, said: str) -> None:
    """Times are said as people say them."""
    assert in_words(seconds) == said
