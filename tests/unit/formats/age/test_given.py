from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import FormatError, LimitError, UnsupportedError, WrongKeyError
from strongroom.formats.age import bech32, recipients
from strongroom.formats.age.given import given_identities, given_recipients
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from tests import agecraft
from tests.helpers import nothing_left

LIMITS = Limits()
HYBRID_RECIPIENT = agecraft.identity(agecraft.HYBRID).recipient
PHRASE = "a file's own phrase"


def shown(given: Any, ask: Callable[[str], Secret] | None = None) -> list[str]:  # noqa: ANN401 - wrong ones too
    """The recipients of the identities that are given."""
    return [identity.recipient for identity in given_identities(given, LIMITS, ask)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with files of keys."""
    (tmp_path / "public").write_text(f"# two\n{agecraft.X25519_RECIPIENT}\n\n{agecraft.X25519_RECIPIENT}\n")
    (tmp_path / "key").write_text(f"# one\n{agecraft.X25519}\n")
    with Secret(PHRASE) as phrase:
        sealed = agecraft.seal(agecraft.X25519.encode(), [ScryptRecipient(phrase, 1)])
    (tmp_path / "key.age").write_bytes(sealed)
    return tmp_path


def test_recipients_of_any_kind(files: Path) -> None:
    """Text is a recipient, a path a file of them; one stands for itself, several keep their order."""
    one = agecraft.X25519_RECIPIENT
    for given, count in ((one, 1), ([one], 1), ((one, files / "public"), 3), (files / "public", 2), (iter([one]), 1)):
        found = given_recipients(given, LIMITS)  # type: ignore[arg-type]
        assert [str(recipient) for recipient in found] == [one] * count
    assert given_recipients([], LIMITS) == ()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("key.txt", ValueError),
        ([agecraft.X25519], ValueError),
        ([bech32.encode("age1yubikey", bytes(33))], UnsupportedError),
        ([Path("/nowhere/at/all")], FileNotFoundError),
        ([b"age1"], TypeError),
        (5, TypeError),
    ],
)
def test_what_is_no_recipient(given: Any, error: type[Exception]) -> None:  # noqa: ANN401 - as above
    """The caller's mistakes are told as such; a secret key given as a recipient is not shown."""
    with pytest.raises(error) as caught:
        given_recipients(given, LIMITS)
    assert agecraft.X25519[20:] not in str(caught.value)


def test_a_file_that_is_too_long(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be one of recipients is not read."""
    monkeypatch.setattr(recipients, "LARGEST_FILE", 10)
    with nothing_left(files), pytest.raises(LimitError):
        given_recipients(files / "public", LIMITS)


def test_identities_of_any_kind(files: Path) -> None:
    """Text, bytes and secrets are what stands in a file of identities, and a path is such a file."""
    text = agecraft.X25519
    with Secret(text) as secret, nothing_left(files):
        for given in (text, text.encode(), bytearray(text.encode()), secret, [secret], f"# made\n{text}\n"):
            assert shown(given) == [agecraft.X25519_RECIPIENT]
        assert shown([agecraft.HYBRID, files / "key"]) == [HYBRID_RECIPIENT, agecraft.X25519_RECIPIENT]
        assert secret == text.encode()
    assert shown([]) == []


def test_a_file_that_takes_a_passphrase(files: Path) -> None:
    """Its name is what is asked with; who cannot be asked is told."""
    asked: list[str] = []

    def ask(name: str) -> Secret:
        asked.append(name)
        return Secret(PHRASE if len(asked) == 1 else "wrong")

    path = files / "key.age"
    assert shown([path, files / "key"], ask) == [agecraft.X25519_RECIPIENT] * 2
    assert asked == [str(path)]
    with nothing_left(files), pytest.raises(WrongKeyError):
        shown(path, ask)
    with pytest.raises(FormatError):
        shown(path)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (agecraft.X25519[:-1], ValueError),
        ([agecraft.X25519, agecraft.X25519[:-1] + "Q"], ValueError),
        ([agecraft.X25519[:-1].encode()], ValueError),
        ([bech32.encode("age-plugin-yubikey-", bytes(20)).upper()], UnsupportedError),
        ("", ValueError),
        ([Path("/nowhere/at/all")], FileNotFoundError),
        ([5], TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_identity(given: Any, error: type[Exception]) -> None:  # noqa: ANN401 - as above
    """The caller's mistakes are told as such, and nothing of a key stands in the traceback."""
    with pytest.raises(error) as caught:
        given_identities(given, LIMITS)
    trace = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    inside = trace[trace.index("formats/age/given.py") :]
    assert agecraft.X25519[20:40] not in inside
