"""The check of a password takes the same steps, whichever bytes the password has (P9).

Time is no measure on a busy machine, and needs very many tries to tell a microsecond; steps are exact. The interpreter
tells of each instruction that it does in our code, and two checks are the same if these are the same, one by one. What
this proves: no branch, no loop and no early end of ours depends on the bytes of a password, nor on how many of them
are right. What is done in C is PBKDF2, HMAC, SHA-256, scrypt, ChaCha20-Poly1305 and `hmac.compare_digest`, whose
authors promise that; that nothing else compares, the last test holds. Of caches and processors it proves nothing.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

import strongroom
from strongroom import Limits, Secret, WrongKeyError
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.sevenzip import crypto
from tests import agecraft, sevenzipcraft, zipcraft
from tests.proof import Tried

SOURCES: Final = Path(strongroom.__file__).parent
RIGHT: Final = "correct horse battery staple"
Steps = list[tuple[str, int]]


def steps(work: Callable[[], object]) -> Steps:
    """The interpreter's instructions in our code: function and place of each, in order."""
    seen: Steps = []

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if not Path(frame.f_code.co_filename).is_relative_to(SOURCES):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen.append((frame.f_code.co_qualname, frame.f_lasti))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return seen


def wrong() -> Iterator[str]:
    """Passwords of the right length: right up to some byte, right but for one, all the same byte, others."""
    for place in range(len(RIGHT)):
        yield RIGHT[:place] + "~" * (len(RIGHT) - place)
        yield RIGHT[:place] + chr(ord(RIGHT[place]) ^ 1) + RIGHT[place + 1 :]
    for character in "\x01 aZ~":
        yield character * len(RIGHT)
    yield RIGHT[::-1]


def opening(archive: bytes, password: str, **options: Any) -> None:  # noqa: ANN401 - those of `open`
    """Open with a wrong password."""
    with pytest.raises(WrongKeyError):
        strongroom.open(io.BytesIO(archive), password=password, threads=1, **options)


def zip_file() -> Callable[[str], None]:
    """Of a ZIP: the verifier."""
    archive = zipcraft.join(zipcraft.aes("a", b"data", password=RIGHT))
    return lambda password: opening(archive, password)


def zip_with_manifest() -> Callable[[str], None]:
    """Of a ZIP of ours: verifier and manifest."""
    stream = io.BytesIO()
    strongroom.seal({"a": b"data"}, stream, format="zip", password=RIGHT)
    return lambda password: opening(stream.getvalue(), password)


def age_file() -> Callable[[str], None]:
    """Of age: the stanza's tag."""
    with Secret(RIGHT) as phrase:
        archive = agecraft.seal(b"data", [ScryptRecipient(phrase, log_n=1)])
    return lambda password: opening(archive, password, format="age")


def seven_key() -> Callable[[str], None]:
    """Of 7z: the key; what comes behind depends on the key alone, which is a hash."""

    def derive(password: str) -> None:
        with Secret(password) as secret, closing(crypto.Key(secret, sevenzipcraft.SALT, 4, Limits())):
            pass

    return derive


def secret() -> Callable[[str], None]:
    """Of a `Secret` that is compared."""
    mine = Secret(RIGHT)

    def compare(password: str) -> None:
        assert mine != password.encode()

    return compare


@pytest.mark.parametrize("make", [zip_file, zip_with_manifest, age_file, seven_key, secret])
def test_each_wrong_password_takes_the_same_steps(make: Callable[[], Callable[[str], None]], tried: Tried) -> None:
    """Instruction by instruction, whatever the password's bytes, and however many of the first are right."""
    check = make()
    check("x" * len(RIGHT))  # loads what is loaded on first use
    first, *others = [steps(lambda password=password: check(password)) for password in wrong()]
    assert len(first) > 10
    for password, other in zip(list(wrong())[1:], others, strict=True):
        assert other == first, password
    tried(
        "P9", f"passwords right up to some byte: {make.__name__}", "the same steps, one by one", count=len(others) + 1
    )


def test_steps_would_tell() -> None:
    """A comparison that ends early takes other steps, and is noticed."""
    careless = compile(
        "def careless(a, b):\n  for x, y in zip(a, b):\n    if x != y:\n      return False\n  return True\n",
        str(SOURCES / "careless.py"),
        "exec",
    )
    names: dict[str, Any] = {}
    exec(careless, names)  # noqa: S102 - made above
    one, two = (steps(lambda text=text: names["careless"](RIGHT, text)) for text in list(wrong())[2:12:6])
    assert one != two


SECRETS: Final = {
    "password",
    "secret",
    "verifier",
    "mac",
    "tag",
    "code",
    "check",
    "key",
    "file_key",
    "phrase",
    "computed",
}
PUBLIC: Final = {
    ("sshkey.py", "tag"),  # of DER
    ("compat/pyzipper/writing.py", "password"),  # Secrets, whose == takes the same time
    ("compat/pyzipper/writing.py", "_password"),
    ("compat/pyzipper/reading.py", "password"),
    ("cli/inspect.py", "code"),  # of a weakness
    ("formats/age/ssh.py", "tag"),
    ("formats/zip/extras.py", "tag"),
}  # of a type, not of a message


def test_secrets_are_compared_in_one_way() -> None:
    """No `==` in our code has a password, a key or an authentication code on one of its sides."""

    def name(node: ast.expr) -> str:
        return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""

    found: list[str] = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(one, (ast.Eq, ast.NotEq)) for one in node.ops):
                where = path.relative_to(SOURCES).as_posix()
                sides = {name(side) for side in (node.left, *node.comparators)} & SECRETS
                if any((where, side) not in PUBLIC for side in sides):
                    found.append(f"{where}:{node.lineno}: {ast.unparse(node)}")
    assert not found
