"""Passwords from the system's keyring (extra `keyring`), which is asked in a process of its own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from strongroom.cli import keyring_worker as worker
from strongroom.cli.advice import quoted
from strongroom.cli.child import output_of
from strongroom.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Generator

SERVICE: Final = "strongroom"


@contextmanager
def from_keyring(name: str) -> Generator[IO[bytes]]:
    """Give what the keyring has under `SERVICE` and `name`. Raises `Failure` at the end where it has nothing."""
    if find_spec("keyring") is None:
        message = "--password-keyring needs the extra packages of strongroom[keyring]"
        raise Failure(message, hint="pip install 'strongroom[keyring]' adds them")
    failures = {
        worker.MISSING: Failure(
            f"the system's keyring has no password for {name!r} of the service {SERVICE!r}",
            hint=f"`keyring set {SERVICE} {quoted(name)}` asks for it, and keeps it there",
        ),
        worker.LOCKED: Failure(
            "the system's keyring is locked", hint="unlock it, as logging in to the desktop does, and try again"
        ),
        worker.NO_KEYRING: Failure(
            "this system has no keyring that can be used",
            hint="on a server there is none: use --password-file; `keyring diagnose` says more",
        ),
        worker.FAILED: Failure(
            "the system's keyring does not answer", hint=f"`keyring get {SERVICE} {quoted(name)}` shows why"
        ),
    }
    # -P: the folder of the script, which has a module of the name keyring, is not looked into.
    words = [sys.executable, "-P", "-B", str(Path(worker.__file__).resolve()), SERVICE, name]
    with output_of(words, "the keyring", stdin=False, failures=failures) as output:
        yield output
