from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.errors import FormatError
from strongroom.receipt import NAMESPACE, allowed
from tests.helpers import tool

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def key(seed: int = 0) -> tuple[str, bytes]:
    """A public key, as text and as bytes."""
    wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([seed]) * 32
    return f"ssh-ed25519 {base64.b64encode(wire).decode()}", wire


TEXT, WIRE = key()


@pytest.mark.parametrize(
    ("line", "name", "fits"),
    [
        (TEXT, None, True),
        (f"{TEXT} a comment", None, True),
        (TEXT, "anna", False),
        (f"anna {TEXT}", None, True),
        (f"anna {TEXT}", "anna", True),
        (f"anna {TEXT}", "Anna", False),
        (f"anna,ben {TEXT} comment", "ben", True),
        (f"*@lab.example {TEXT}", "anna@lab.example", True),
        (f"*@lab.example {TEXT}", "anna@lab.example.org", False),
        (f"*,!ben {TEXT}", "ben", False),
        (f"*,!ben {TEXT}", "anna", True),
        (f"a??a {TEXT}", "anna", True),
        (f'"anna" {TEXT}', "anna", True),
        (f'anna namespaces="{NAMESPACE}" {TEXT}', "anna", True),
        (f'anna namespaces="git,strongroom-*" {TEXT}', "anna", True),
        (f'anna namespaces="git" {TEXT}', "anna", False),
        (f'anna valid-after="20260101",valid-before="20270101" {TEXT}', "anna", True),
        (f'anna valid-after="20260101Z" {TEXT}', "anna", True),
        (f'anna valid-after="20270101" {TEXT}', "anna", False),
        (f'anna valid-before="20260101" {TEXT}', "anna", False),
        (f'anna valid-before="202611250000Z" {TEXT}', "anna", False),
        (f'anna valid-before="20261125000001Z" {TEXT}', "anna", True),
        (f"anna cert-authority {TEXT}", "anna", False),
        (f"anna {key(1)[0]}", "anna", False),
        (f"\n# comment\n\nben {key(1)[0]}\nanna {TEXT}\r\n", "anna", True),
        (f'anna namespaces="git" {TEXT}\nanna {TEXT}', "anna", True),
        ("anna ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=", "anna", False),
        (f'anna {TEXT} anna"s laptop', "anna", True),
        *((f"ben {key(1)[0]} laptop{end}anna {TEXT}", "anna", False) for end in "\v\f\r\x1c\x85\u2028"),
        ("", None, False),
    ],
)
def test_who_may_sign(line: str, name: str | None, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """A key counts where a line has it, for that name and purpose, and at this time."""
    _, reason = allowed.judge(allowed.decode(line.encode()), WIRE, name, NOW)
    assert (reason is None) is fits


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        "anna ssh-ed25519",
        "anna ssh-ed25519 ????",
        f"anna unknown-option {TEXT}",
        f'anna valid-after="tomorrow" {TEXT}',
        f'anna valid-after="20261301" {TEXT}',
        f'anna namespaces="a",namespaces="b" {TEXT}',
        f"anna namespaces={NAMESPACE} {TEXT}",
        f'anna namespaces="git {TEXT}',
        f"anna {TEXT.replace('ed25519', 'rsa')}",
        f"anna namespaces {TEXT}",
        f'anna namespaces="" {TEXT}',
        f"anna valid-before {TEXT}",
        f'anna namespaces="{NAMESPACE}",valid-after {TEXT}',
        f'anna cert-authority="x" {TEXT}',
        f'anna" {TEXT}',
        f'"anna {TEXT}',
        "\0",
    ],
)
def test_lines_that_are_none(line: str) -> None:
    """What cannot be read may be what limits a key: it is refused, and not passed over."""
    with pytest.raises(FormatError):
        allowed.decode(line.encode())


@pytest.mark.parametrize("data", [b"\xff\xfe", bytes(allowed.LARGEST + 1)])
def test_files_that_are_none(data: bytes) -> None:
    """Neither what is no text nor what is too large is read."""
    with pytest.raises(FormatError):
        allowed.decode(data)


@pytest.mark.parametrize("pattern", ["*a" * 20_000, "*" * 40_000, "?" * 40_000 + "*"])
def test_patterns_end(pattern: str) -> None:
    """A pattern of many stars is no way to keep us busy."""
    assert allowed.matches("b" * 64, pattern) is (set(pattern) == {"*"})


@pytest.mark.parametrize(
    ("principals", "name"),
    [("anna", "anna"), ("anna", "ben"), ("*,!ben", "ben"), ("!ben,*", "anna"), ("a*a", "anna"), ("a?a", "anna")],
)
def test_as_ssh_keygen(tmp_path: Path, principals: str, name: str) -> None:
    """Names match as ssh-keygen has it."""
    keygen = tool("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", "key"], cwd=tmp_path, check=True)
    (tmp_path / "text").write_bytes(b"receipt")
    subprocess.run([keygen, "-Y", "sign", "-n", NAMESPACE, "-f", "key", "text"], cwd=tmp_path, check=True)
    text = f"{principals} {(tmp_path / 'key.pub').read_text()}"
    (tmp_path / "allowed").write_text(text)
    command = [keygen, "-Y", "verify", "-f", "allowed", "-I", name, "-n", NAMESPACE, "-s", "text.sig"]
    done = subprocess.run(command, cwd=tmp_path, input=b"receipt", capture_output=True, check=False)
    (line,) = allowed.decode(text.encode())
    assert (allowed.judge([line], line.wire, name, NOW)[1] is None) is (done.returncode == 0)
