"""typage, which is age in JavaScript and knows post-quantum keys, and our files, both ways.

Node runs once for all cases.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from strongroom.errors import WrongKeyError
from strongroom.formats.age import identities
from strongroom.formats.age.identities import Identity
from strongroom.formats.age.passphrase import ScryptIdentity, ScryptRecipient
from strongroom.formats.age.recipients import Recipient
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from tests import agecraft
from tests.helpers import noise
from tests.node import installed, node

HERE: Final = Path(__file__).parent / "typage"
PHRASE: Final = "interop pass phrase"
SIZES: Final = (0, 1, 65535, 65536, 65537, 1 << 20)
KINDS: Final = {"x25519": agecraft.X25519, "hybrid": agecraft.HYBRID, "passphrase": PHRASE}
CASES: Final = list(product(KINDS, ("binary", "armored"), SIZES))


@dataclass(frozen=True)
class Run:
    """What typage made, in `folder`, and what it said."""

    folder: Path
    said: dict[str, dict[str, str]]


def name(kind: str, form: str, size: int) -> str:
    """A case's files."""
    return f"{kind}-{form}-{size}"


def ours(kind: str, password: Secret) -> tuple[Recipient | str, Identity]:
    """Keys for our side of a case."""
    if kind == "passphrase":
        return ScryptRecipient(password, 10), ScryptIdentity(password, Limits())
    identity = agecraft.identity(KINDS[kind])
    return identity.recipient, identity


def key(kind: str, side: str) -> dict[str, str]:
    """The same keys for typage's."""
    if kind == "passphrase":
        return {"passphrase": PHRASE}
    return {side: agecraft.identity(KINDS[kind]).recipient if side == "recipient" else KINDS[kind]}


@pytest.fixture(scope="module")
def password() -> Iterator[Secret]:
    """What both are told."""
    with Secret(PHRASE) as secret:
        yield secret


@pytest.fixture(scope="module")
def typage(tmp_path_factory: pytest.TempPathFactory, password: Secret) -> Run:
    """All that typage is asked, at once."""
    program, folder = node(), tmp_path_factory.mktemp("typage")
    script = shutil.copy(HERE / "typage.js", installed(HERE))
    jobs: dict[str, dict[str, Any]] = {}
    for kind, form, size in CASES:
        case, armored = name(kind, form, size), form == "armored"
        path = folder / case
        path.with_suffix(".plain").write_bytes(noise(size))
        path.with_suffix(".ours").write_bytes(agecraft.seal(noise(size), [ours(kind, password)[0]], armored=armored))
        jobs[f"open {case}"] = {
            "verb": "open", "armored": armored, **key(kind, "identity"),
            "source": f"{path}.ours", "target": f"{path}.opened",
        }  # fmt: skip
        jobs[f"seal {case}"] = {
            "verb": "seal", "armored": armored, **key(kind, "recipient"),
            "source": f"{path}.plain", "target": f"{path}.theirs",
        }  # fmt: skip
    for kind in ("x25519", "hybrid"):
        jobs[f"generate {kind}"] = {"verb": "generate", "hybrid": kind == "hybrid"}
        other = "hybrid" if kind == "x25519" else "x25519"
        jobs[f"wrong {kind}"] = {
            "verb": "open", "identity": KINDS[other],
            "source": f"{folder / name(kind, 'binary', 1)}.ours", "target": str(folder / "never"),
        }  # fmt: skip
    done = subprocess.run(
        [program, script], input=json.dumps(list(jobs.values())), capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    return Run(folder, dict(zip(jobs, json.loads(done.stdout), strict=True)))


@pytest.mark.parametrize(("kind", "form", "size"), CASES)
def test_typage_opens_ours(typage: Run, kind: str, form: str, size: int) -> None:
    """Every kind of key, with and without armor, at the sizes where chunks end."""
    case = name(kind, form, size)
    assert typage.said[f"open {case}"] == {}
    assert (typage.folder / f"{case}.opened").read_bytes() == noise(size)


@pytest.mark.parametrize(("kind", "form", "size"), CASES)
def test_we_open_typages(typage: Run, password: Secret, kind: str, form: str, size: int) -> None:
    """And the other way round; one key more would not open it."""
    case = name(kind, form, size)
    assert typage.said[f"seal {case}"] == {}
    file = (typage.folder / f"{case}.theirs").read_bytes()
    assert file.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----" if form == "armored" else b"age-encryption.org/v1\n")
    found = agecraft.read_whole(file, [ours(kind, password)[1]])
    assert (found.data, found.error) == (noise(size), None)
    assert isinstance(agecraft.read_whole(file, [identities.generate()]).error, WrongKeyError)


@pytest.mark.parametrize("kind", ["x25519", "hybrid"])
def test_keys_that_typage_makes(typage: Run, kind: str) -> None:
    """An identity of typage's is one of ours, and belongs to the same recipient."""
    said = typage.said[f"generate {kind}"]
    own = agecraft.identity(said["identity"])
    assert own.recipient == said["recipient"]
    assert agecraft.read_whole(agecraft.seal(b"data", [said["recipient"]]), [own]).data == b"data"
    own.close()


@pytest.mark.parametrize("kind", ["x25519", "hybrid"])
def test_typage_refuses_another_key(typage: Run, kind: str) -> None:
    """The wrong identity opens nothing there either, so that the cases above say something."""
    assert "error" in typage.said[f"wrong {kind}"]
    assert not (typage.folder / "never").exists()
