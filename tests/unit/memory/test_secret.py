from __future__ import annotations

import copy
import os
import pickle
import traceback
from collections.abc import Callable

import pytest

from strongroom import Secret, SecretBuffer, SecureMemoryError
from strongroom.memory.secret import wipe


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("pass", b"pass"),
        ("naïve", "naïve".encode()),
        ("e\u0301", b"e\xcc\x81"),
        ("密码🔑", "密码🔑".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abc")[1:], b"bc"),
    ],
)
def test_holds_the_bytes(value: str | bytes, held: bytes) -> None:
    """Text is held as UTF-8, without normalisation; bytes as they are."""
    with Secret(value) as secret:
        assert bytes(secret) == held
        assert len(secret) == len(held)


def test_copies_a_secret() -> None:
    """A Secret of a Secret lives on when the first one is closed."""
    first = Secret("pass")
    with Secret(first) as second:
        first.close()
        assert second == b"pass"


@pytest.mark.parametrize("value", ["", b"", bytearray(), "\ud800", "a\udfffb"])
def test_refuses_values_without_meaning(value: str | bytes) -> None:
    """Nothing at all, and text that has no encoding, are a ValueError."""
    with pytest.raises(ValueError):
        Secret(value)


@pytest.mark.parametrize("value", [None, 5, ["a"]])
def test_refuses_other_types(value: object) -> None:
    """What is neither text nor bytes is a TypeError."""
    with pytest.raises(TypeError):
        Secret(value)  # type: ignore[arg-type]


def test_error_shows_no_text() -> None:
    """Not even a traceback with local variables shows the text that was refused."""
    with pytest.raises(ValueError) as caught:
        Secret("hunter2-canary\ud800")
    stack = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    ours = [frame for frame in stack if "strongroom" in frame.filename and "tests" not in frame.filename]
    assert ours
    assert "canary" not in repr([frame.locals for frame in ours]) + repr(caught.value)


def test_close_wipes() -> None:
    """Views that are still out when it is closed see zeros, with no error."""
    secret = Secret("pass")
    with memoryview(secret) as view:
        secret.close()
        assert bytes(view) == bytes(4)
    secret.close()


def test_closed_is_unusable() -> None:
    """After the block every use is a ValueError, and the repr says so."""
    with Secret("pass") as secret:
        pass
    with pytest.raises(ValueError):
        bytes(secret)
    with pytest.raises(ValueError):
        secret[0]
    assert "closed" in repr(secret)


def test_closed_by_an_exception() -> None:
    """Leaving the block by an exception wipes as well."""
    secret = Secret("pass")
    with pytest.raises(KeyError), secret:
        raise KeyError
    assert secret.closed


def test_forgotten_is_wiped() -> None:
    """A Secret that nobody closes is wiped when it is collected."""
    secret = Secret("pass")
    view = memoryview(secret)  # keeps the pages, not the wrapper's content
    secret.__del__()
    assert bytes(view) == bytes(4)
    view.release()


def test_take_wipes_what_it_took() -> None:
    """`take` leaves zeros behind, also where it fails."""
    value = bytearray(b"pass")
    with Secret.take(value) as secret:
        assert secret == b"pass"
    assert value == bytes(4)
    with pytest.raises(TypeError):
        Secret.take(b"pass")  # type: ignore[arg-type]


def test_compares() -> None:
    """Equality is by content, with Secrets and bytes; text and other objects are never equal."""
    with Secret("pass") as secret, Secret("pass") as same, Secret("word") as other:
        assert secret == same
        assert secret == b"pass"
        assert secret == bytearray(b"pass")
        assert secret != other
        assert secret != b"pas"
        assert secret != b"passs"
        assert secret != "pass"
        assert secret != 5


def test_comparison_is_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equality is decided by `hmac.compare_digest` alone."""
    asked = []

    def compare(*values: object) -> bool:
        asked.append(values)
        return True

    monkeypatch.setattr("hmac.compare_digest", compare)
    with Secret("pass") as secret:
        assert secret == b"word"
    assert len(asked) == 1


def test_unhashable() -> None:
    """A Secret is no dictionary key."""
    with Secret("pass") as secret, pytest.raises(TypeError):
        hash(secret)


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_not_copied_by_accident(copier: Callable[[object], object]) -> None:
    """Neither pickling nor copying gives the content away."""
    with Secret("pass") as secret, pytest.raises(TypeError):
        copier(secret)


def test_repr_shows_a_length_only() -> None:
    """No way to print a Secret shows its content."""
    with Secret("canary") as secret:
        shown = f"{secret} {secret!r} {secret!s} {[secret]} %s" % secret
    assert "canary" not in shown
    assert "6 bytes" in shown


def test_buffer_is_writable() -> None:
    """A SecretBuffer begins as zeros and can be filled in place."""
    with SecretBuffer(3) as buffer:
        assert buffer == bytes(3)
        memoryview(buffer)[:] = b"abc"
        assert buffer == b"abc"


@pytest.mark.parametrize("size", [0, -1])
def test_buffer_has_a_size(size: int) -> None:
    """A buffer of no bytes is a ValueError."""
    with pytest.raises(ValueError):
        SecretBuffer(size)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_wipe(size: int) -> None:
    """All of a buffer becomes zeros, of any size and item format."""
    buffer = bytearray(b"x") * size
    wipe(buffer)
    assert buffer == bytes(size)
    if size % 4 == 0 and size:
        wide = memoryview(bytearray(b"x") * size).cast("I")
        wipe(wide)
        assert bytes(wide) == bytes(size)


def test_random_keys() -> None:
    """A random key is of the size that was asked for, and another one each time."""
    with SecretBuffer.random(1000) as first, SecretBuffer.random(1000) as second:
        assert len(first) == 1000
        assert first != second
        assert len(set(bytes(first)[-232:])) > 100  # what the last of the kernel's answers filled


def test_child_cannot_use_a_secret() -> None:
    """A forked child can neither compare a secret nor copy it: it is never taken for zeros."""
    with Secret("pass") as secret:
        for use in (lambda: secret == bytes(4), lambda: Secret(secret)):
            child = os.fork()
            if not child:
                try:
                    use()
                except SecureMemoryError:
                    os._exit(7)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("value", ["text", b"bytes", 5])
def test_take_takes_what_can_be_wiped(value: object) -> None:
    """`take` refuses what it could not wipe."""
    with pytest.raises(TypeError):
        Secret.take(value)  # type: ignore[arg-type]
