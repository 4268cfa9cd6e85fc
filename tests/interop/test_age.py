"""Other tools and our age files, both ways: each kind of recipient, also those that a tool cannot do."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from strongroom.flow import CHUNK
from strongroom.formats.age import envelope, identities
from strongroom.formats.age.identities import Identity
from strongroom.formats.age.passphrase import ScryptIdentity, ScryptRecipient
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from tests import agecraft
from tests.helpers import noise, tool

PHRASE = "interop pass phrase"
SIZES = (0, 1, 65535, 65536, 65537, 131072, CHUNK + 3)
KINDS = ("x25519", "ssh-ed25519", "ssh-rsa")


def run(*command: str | Path, data: bytes = b"") -> bytes:
    """Run a tool that has to succeed, and return what it writes."""
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=True).stdout


def typed(*command: str | Path, times: int) -> None:
    """Run a tool that asks for a passphrase at its terminal."""
    mine, its = pty.openpty()
    setsid = tool("setsid")
    try:
        with subprocess.Popen(
            [setsid, "--ctty", "--wait", *command], stdin=its, stdout=subprocess.DEVNULL, stderr=its
        ) as process:
            for _ in range(times):
                while b"passphrase" not in os.read(mine, 4096):
                    pass
                os.write(mine, f"{PHRASE}\n".encode())
            assert process.wait(60) == 0
    finally:
        os.close(mine)
        os.close(its)


@dataclass
class Pair:
    """A key as files, which age reads, and as text."""

    kind: str
    path: Path
    recipient: str

    def own(self) -> list[Identity]:
        """Return it as an identity of ours."""
        return envelope.open_identities(
            agecraft.source(self.path.read_bytes()), self.path.name, lambda: Secret(PHRASE), Limits()
        )

    def pyrage(self) -> pyrage.x25519.Identity | pyrage.ssh.Identity:
        """Return it as an identity of pyrage."""
        if self.kind == "x25519":
            return pyrage.x25519.Identity.from_str(self.path.read_text().splitlines()[-1])
        return pyrage.ssh.Identity.from_buffer(self.path.read_bytes())

    def pyrage_recipient(self) -> pyrage.x25519.Recipient | pyrage.ssh.Recipient:
        """Return its recipient as pyrage's."""
        module = pyrage.x25519 if self.kind == "x25519" else pyrage.ssh
        return module.Recipient.from_str(self.recipient)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A key of each kind, made by the tool whose kind it is."""
    path = tmp_path_factory.mktemp("keys") / "key"
    if request.param == "x25519":
        run(tool("age-keygen"), "-o", path)
        return Pair("x25519", path, run("age-keygen", "-y", path).decode().strip())
    run(tool("ssh-keygen"), "-q", "-N", "", "-t", request.param.removeprefix("ssh-"), "-b", "2048", "-f", path)
    return Pair(request.param, path, path.with_suffix(".pub").read_text().strip())


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_age_opens_ours(pair: Pair, size: int, armored: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """Each kind of recipient, binary and as text."""
    data, path = noise(size), tmp_path / "sealed.age"
    path.write_bytes(agecraft.seal(data, [pair.recipient], armored=armored, threads=2))
    assert run(tool("age"), "-d", "-i", pair.path, path) == data


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_age_writes(pair: Pair, size: int, armored: bool) -> None:  # noqa: FBT001 - a parameter
    """In every way of reading."""
    data = noise(size)
    file = run(tool("age"), "-r", pair.recipient, *(["-a"] if armored else []), data=data)
    for way in (agecraft.read_whole, agecraft.read_streaming, agecraft.read_seeking):
        found = way(file, pair.own())
        assert (found.data, found.error) == (data, None)


def test_age_and_we_write_the_same_recipient(pair: Pair) -> None:
    """As `age-keygen -y`, and the public half of an SSH key."""
    (own,) = pair.own()
    assert own.recipient == " ".join(pair.recipient.split(" ")[:2])


@pytest.mark.parametrize("size", [0, 65536, CHUNK + 3])
def test_pyrage_and_we_open_each_others(pair: Pair, size: int) -> None:
    """The implementation in Rust is rage, and this is it, the implementation in Rust."""
    data = noise(size)
    assert pyrage.decrypt(agecraft.seal(data, [pair.recipient]), [pair.pyrage()]) == data
    found = agecraft.read_whole(pyrage.encrypt(data, [pair.pyrage_recipient()]), pair.own())
    assert (found.data, found.error) == (data, None)


def test_keys_of_ours_are_age_keygens(tmp_path: Path) -> None:
    """Age takes the identity, and shows the recipient that we do."""
    own, path = identities.generate(classic=True), tmp_path / "key"
    with identities.encode(own) as text:
        path.write_bytes(bytes(text))
    assert run(tool("age-keygen"), "-y", path).decode().strip() == own.recipient
    assert pyrage.x25519.Identity.from_str(path.read_text()).to_public() is not None


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_with_a_passphrase(kind: str, tmp_path: Path) -> None:
    """As ssh-keygen writes them."""
    path = tmp_path / "id"
    run(tool("ssh-keygen"), "-q", "-N", PHRASE, "-t", kind, "-b", "2048", "-a", "1", "-f", path)
    recipient = path.with_suffix(".pub").read_text()
    own = Pair(kind, path, recipient).own()
    file = run(tool("age"), "-r", recipient, data=b"data")
    assert agecraft.read_whole(file, own).data == b"data"


# Passphrases


@pytest.fixture
def password() -> Iterator[Secret]:
    """What the tools are told."""
    with Secret(PHRASE) as secret:
        yield secret


def test_age_opens_ours_with_a_passphrase(password: Secret, tmp_path: Path) -> None:
    """It asks once."""
    path, out = tmp_path / "sealed.age", tmp_path / "out"
    path.write_bytes(agecraft.seal(b"data", [ScryptRecipient(password, 10)]))
    typed(tool("age"), "-d", "-o", out, path, times=1)
    assert out.read_bytes() == b"data"


def test_we_open_what_age_writes_with_a_passphrase(password: Secret, tmp_path: Path) -> None:
    """Its work factor is 18."""
    path, out = tmp_path / "plain", tmp_path / "sealed.age"
    path.write_bytes(b"data")
    typed(tool("age"), "-p", "-o", out, path, times=2)
    assert agecraft.read_whole(out.read_bytes(), [ScryptIdentity(password, Limits())]).data == b"data"


def test_identity_file_that_age_encrypted(tmp_path: Path) -> None:
    """`age -p` around what `age-keygen` writes, as age's own manual has it."""
    key, sealed = tmp_path / "key", tmp_path / "key.age"
    run(tool("age-keygen"), "-o", key)
    typed(tool("age"), "-p", "-a", "-o", sealed, key, times=2)
    (own,) = Pair("x25519", sealed, "").own()
    assert own.recipient == run("age-keygen", "-y", key).decode().strip()


def test_pyrage_and_we_share_a_passphrase(password: Secret) -> None:
    """Pyrage chooses its work factor by the machine's speed; here `Limits` lets each of them through."""
    assert pyrage.passphrase.decrypt(agecraft.seal(b"data", [ScryptRecipient(password, 10)]), PHRASE) == b"data"
    file = pyrage.passphrase.encrypt(b"data", PHRASE)
    found = agecraft.read_whole(file, [ScryptIdentity(password, Limits(scrypt_log_n=24))])
    assert (found.data, found.error) == (b"data", None)


# What the tools cannot do


def test_post_quantum_keys_take_a_new_age(tmp_path: Path) -> None:
    """Age before 1.3 refuses them, and so does pyrage to this day: so keygen has to say it. Later ones open it."""
    version = run(tool("age"), "--version").decode().strip().removeprefix("v")
    own, path = identities.generate(), tmp_path / "key"
    with identities.encode(own) as text:
        path.write_bytes(bytes(text))
    file = agecraft.seal(b"data", [own.recipient])
    with pytest.raises(pyrage.IdentityError):
        pyrage.x25519.Identity.from_str(path.read_text())
    if tuple(map(int, version.split("-")[0].split(".")[:2])) >= (1, 3):
        assert run("age", "-d", "-i", path, data=file) == b"data"
        assert run("age-keygen", "-y", path).decode().strip() == own.recipient
        return
    for command in (("age", "-d", "-i", path), ("age-keygen", "-y", path)):
        with pytest.raises(subprocess.CalledProcessError):
            run(*command, data=file)
