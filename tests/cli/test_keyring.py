"""Passwords from the system's keyring: a file in place of it, and GNOME's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, Desk, Done
from tests.helpers import tool

KEYRING = [sys.executable, "-m", "keyring"]
IN_A_FILE = "keyrings.alt.file.PlaintextKeyring"


def environment(desk: Desk, backend: str) -> dict[str, str]:
    """Have a keyring of our own."""
    return {
        "PYTHON_KEYRING_BACKEND": backend,
        "XDG_DATA_HOME": str(desk.folder / "data"),
        "XDG_CONFIG_HOME": str(desk.folder / "config"),
    }


def run(desk: Desk, *arguments: str, backend: str = IN_A_FILE, stdin: bytes | None = None) -> Done:
    """Run strongroom with a keyring of our own."""
    return desk.run(*arguments, stdin=stdin, **environment(desk, backend))


def keep(desk: Desk, name: str, password: bytes, service: str = "strongroom") -> None:
    """Keep a password as the user does."""
    variables = os.environ | environment(desk, IN_A_FILE)
    subprocess.run([*KEYRING, "set", service, name], input=password, env=variables, check=True, timeout=60)


def test_seal_and_open(desk: Desk) -> None:
    """What was kept with the keyring's own command seals and opens, whatever its name and letters."""
    keep(desk, "case 42", "Größe 体温".encode())
    keep(desk, "new", b"another one\n")
    desk.put("x", b"data")
    assert run(desk, "seal", "a.zip", "x", "-q", "--password-keyring", "case 42").code == 0
    assert desk.run("cat", "a.zip", "--password-command", "echo 'Größe 体温'").out == b"data"
    assert run(desk, "cat", "a.zip", "--password-keyring", "case 42").out == b"data"
    assert run(desk, "cat", "a.zip", "--password-keyring", "new").failure[::2] == (3, True)


def test_the_new_password(desk: Desk) -> None:
    """`rekey` takes it from there, and says where there is none."""
    desk.put("x.age", b"any")
    done = run(desk, "rekey", "x.age", "--password-file", "pw", "--new-password-keyring", "other")
    code, error, hint = done.failure
    assert (code, hint) == (1, True)
    assert "no password for 'other'" in error


def test_a_passphrase_goes_there_through_a_pipe(desk: Desk) -> None:
    """`strongroom passphrase | keyring set` keeps it, and nobody has seen it."""
    desk.put("x", b"data")
    phrase = desk.run("passphrase", "-q").out
    keep(desk, "made", phrase)
    assert run(desk, "seal", "a.zip", "x", "-q", "--password-keyring", "made").code == 0
    desk.put("phrase", phrase).chmod(0o600)
    assert desk.run("cat", "a.zip", "--password-file", "phrase").out == b"data"


@pytest.mark.parametrize(
    ("name", "backend", "code", "said"),
    [
        ("other", IN_A_FILE, 1, "no password for 'other'"),
        ("", IN_A_FILE, 1, "no password for ''"),
        ("empty", IN_A_FILE, 2, "is empty"),
        ("case", "keyring.backends.fail.Keyring", 1, "no keyring"),
        ("case", "keyring.backends.null.Keyring", 1, "no password for 'case'"),
        ("case", "no.such.Keyring", 1, "does not answer"),
    ],
)
def test_no_password(desk: Desk, name: str, backend: str, code: int, said: str) -> None:
    """It is said why there is none, and what to do; nothing is made."""
    keep(desk, "case", b"secret")
    keep(desk, "elsewhere", b"secret", service="mail")
    keep(desk, "empty", b"\n\n")
    done = run(desk, "seal", "a.zip", "--name", "x", "-", "--password-keyring", name, backend=backend, stdin=b"x")
    found, error, hint = done.failure
    assert (found, hint) == (code, True)
    assert said in error
    assert not (desk.folder / "a.zip").exists()


def test_only_one_source(desk: Desk) -> None:
    """The keyring is one of the places that exclude each other."""
    done = run(desk, "ls", "a.zip", "--password-keyring", "case", "--password-file", "pw")
    assert done.failure[::2] == (2, True)


def test_without_the_extra(desk: Desk) -> None:
    """Where the package is missing, the hint says how to get it."""
    script = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'keyring' else real(name, *rest)\n"
        "from strongroom.cli import main\n"
        "sys.exit(main(['seal', 'a.zip', '--name', 'x', '-', '--password-keyring', 'case']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=desk.folder, input=b"x", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"pip install 'strongroom[keyring]'" in done.stderr


SESSION = """
gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 <pass
printf 'kept by gnome' | {keyring} set strongroom case
{strongroom} seal a.zip x -q --password-keyring case || exit 91
{strongroom} cat a.zip --password-keyring case || exit 92
{strongroom} cat a.zip --password-keyring other && exit 93
{python} -c '
import secretstorage
secretstorage.get_default_collection(secretstorage.dbus_init()).lock()
'
{strongroom} cat a.zip --password-keyring case
exit $?
"""


def test_the_keyring_of_gnome(desk: Desk) -> None:
    """It gives the password while it is unlocked, and is said to be locked when it is."""
    dbus = tool("dbus-run-session")
    tool("gnome-keyring-daemon")
    desk.put("x", b"data")
    desk.put("pass", b"unlock me")
    script = SESSION.format(keyring=" ".join(KEYRING), strongroom=" ".join(COMMAND), python=sys.executable)
    variables = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    variables |= environment(desk, "keyring.backends.SecretService.Keyring")
    variables |= {"HOME": str(desk.folder), "XDG_RUNTIME_DIR": str(desk.folder)}
    done = subprocess.run(
        [dbus, "--", "sh", "-c", script], cwd=desk.folder, env=variables, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == b"data"
    errors = [line for line in done.stderr.decode().splitlines() if line.startswith("strongroom: error: ")]
    assert "no password for 'other'" in errors[0]
    assert errors[1:] == ["strongroom: error: the system's keyring is locked"]
    assert not Path(desk.folder, "data/python_keyring").exists()
