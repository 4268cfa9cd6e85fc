"""Receipts as they are made and checked, and what is tried against them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import (
    FormatError,
    LimitError,
    OutputError,
    OutputExistsError,
    StrongroomError,
    TamperedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from strongroom.output import FileOutput
from strongroom.receipt import NAMESPACE, Receipt, Request, Signer, check
from strongroom.receipt.sshsig import Signature
from strongroom.source import FileSource
from tests.helpers import listing, nothing_left, tool
from tests.proof import Tried
from tests.traits import TRAITS

PASSWORD = "correct horse battery"
PHRASE = "open sesame"


@dataclass
class Case:
    """A folder with the keys of a lab and of a stranger, and one with archives and receipts."""

    keys: Path
    folder: Path

    def key(self, name: str = "lab") -> Path:
        return self.keys / name

    def public(self, name: str = "lab") -> Path:
        return self.keys / f"{name}.pub"

    def seal(self, name: str = "case.zip", *, key: str | None = "lab", brief: bool = False, data: bytes = b"x") -> Path:
        """Seal an archive with a receipt beside it, and return the path of the receipt."""
        path = self.folder / f"{name}.json"
        signer = None if key is None else Signer(self.key(key))
        try:
            strongroom.seal(
                {"notes/a.txt": data, "b.txt": b""},
                self.folder / name,
                password=PASSWORD,
                receipt=Request(path, signer, brief=brief),
            )
        finally:
            if signer is not None:
                signer.close()
        return path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys that ssh-keygen made."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind, phrase in (
        ("lab", "ed25519", ""),
        ("stranger", "ed25519", ""),
        ("locked", "ed25519", PHRASE),
        ("rsa", "rsa", ""),
    ):
        command = [tool("ssh-keygen"), "-q", "-t", kind, "-N", phrase, "-C", "a comment", "-f", folder / name]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def case(keys: Path, tmp_path: Path) -> Case:
    """A folder to work in."""
    return Case(keys, tmp_path)


def ssh_verify(case: Case, receipt: Path, key: str = "lab", namespace: str = NAMESPACE) -> bool:
    """Whether ssh-keygen takes the signature of a receipt for that of a key."""
    signers = case.folder / ".allowed"
    signers.write_text(f"someone {case.public(key).read_text()}")
    command = [tool("ssh-keygen"), "-Y", "verify", "-f", signers, "-I", "someone", "-n", namespace, "-s"]
    done = subprocess.run([*command, f"{receipt}.sig"], input=receipt.read_bytes(), capture_output=True, check=False)
    signers.unlink()
    return done.returncode == 0


def ssh_sign(case: Case, receipt: Path, key: str = "lab", namespace: str = NAMESPACE) -> None:
    """Have ssh-keygen sign a receipt."""
    Path(f"{receipt}.sig").unlink(missing_ok=True)
    command = [tool("ssh-keygen"), "-q", "-Y", "sign", "-n", namespace, "-f", case.key(key), receipt]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("name", [f"case{trait.suffix}" for trait in TRAITS])
@pytest.mark.parametrize("brief", [False, True])
def test_receipt_of_each_format(case: Case, name: str, brief: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """It says what the file is, is the owner's alone, and holds against the archive, without the password."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    path = case.seal(name, brief=brief)
    assert listing(case.folder) == sorted([name, path.name, f"{path.name}.sig"])
    assert {file.stat().st_mode & 0o777 for file in case.folder.iterdir()} == {0o600}
    found = check(case.folder / name, path, allowed_signers=case.public())
    assert found.ok
    assert found.signature == "trusted"
    assert found.receipt.size == (case.folder / name).stat().st_size
    assert before <= found.receipt.sealed <= datetime.now(UTC)
    assert (found.receipt.archive, found.receipt.format) == (name, name.partition(".")[2])
    if brief:
        assert found.receipt.entries is None
        assert b"notes" not in path.read_bytes()
    else:
        assert [(line.name, line.size) for line in found.receipt.entries or ()] == [("notes/a.txt", 1), ("b.txt", 0)]
        with strongroom.open(case.folder / name, password=PASSWORD) as room:
            assert found.receipt.differences(room.entries) == ()


def test_ssh_keygen_takes_our_signatures(case: Case) -> None:
    """Ed25519 signs alike each time: ours is ssh-keygen's, byte for byte, and that verifies it."""
    path = case.seal()
    ours = Path(f"{path}.sig").read_bytes()
    assert ssh_verify(case, path)
    assert not ssh_verify(case, path, "stranger")
    assert not ssh_verify(case, path, namespace="file")
    ssh_sign(case, path)
    assert Path(f"{path}.sig").read_bytes() == ours


@pytest.mark.parametrize("key", ["lab", "locked"])
def test_we_take_signatures_of_ssh_keygen(case: Case, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt can be signed later, by the tool that everybody has."""
    path = case.seal(key=None)
    askpass = case.folder / ".askpass"
    askpass.write_text(f"#!/bin/sh\necho {PHRASE}\n")
    askpass.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(askpass))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    ssh_sign(case, path, key)
    assert check(case.folder / "case.zip", path, allowed_signers=case.public(key)).signature == "trusted"
    assert check(case.folder / "case.zip", path).signature == "unknown"


def test_other_hash_and_line_ends(case: Case) -> None:
    """SSH also signs with SHA-256, and mail turns line ends into two bytes."""
    path = case.seal(key=None)
    command = [tool("ssh-keygen"), "-q", "-Y", "sign", "-O", "hashalg=sha256", "-n", NAMESPACE, "-f", case.key(), path]
    subprocess.run(command, check=True, capture_output=True)
    sig = Path(f"{path}.sig")
    sig.write_bytes(sig.read_bytes().replace(b"\n", b"\r\n"))
    assert check(case.folder / "case.zip", path, allowed_signers=case.public()).ok


def test_passphrase(case: Case) -> None:
    """A key with a passphrase asks for it; a wrong one is told, and so is none."""
    asked: list[str] = []

    def ask(name: str) -> Secret:
        asked.append(name)
        return Secret(PHRASE)

    with Signer(case.key("locked"), ask=ask) as signer:
        assert case.public("locked").read_text().startswith(signer.public_key)
    assert asked == [str(case.key("locked"))]
    with pytest.raises(WrongKeyError):
        Signer(case.key("locked"), ask=lambda _: Secret("another"))
    with pytest.raises(WrongKeyError):
        Signer(case.key("locked"))


def test_keys_that_do_not_sign(case: Case) -> None:
    """Neither RSA keys, public ones, other files, nor paths as text."""
    with pytest.raises(UnsupportedError):
        Signer(case.key("rsa"))
    with pytest.raises(FormatError):
        Signer(case.public())
    noise = case.folder / "noise"
    for data in (b"", b"noise", bytes(1 << 20), case.key().read_bytes()[:200]):
        noise.write_bytes(data)
        with pytest.raises(FormatError):
            Signer(noise)
    with pytest.raises(TypeError):
        Signer(str(case.key()))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        Signer(case.folder / "missing")
    with Secret(case.key().read_bytes()) as text, Signer(text) as signer:
        assert case.public().read_text().startswith(signer.public_key)
    with pytest.raises(ValueError):
        signer.sign(b"")
    assert "PRIVATE" not in repr(signer)


# What is tried against it


def altered_receipt(case: Case, path: Path) -> None:
    """Say that the archive has one byte more."""
    old = Receipt.decode(path.read_bytes(), Limits())
    path.write_bytes(replace(old, size=old.size + 1).encode())


def backdated_receipt(case: Case, path: Path) -> None:
    """Say that it was sealed a year before."""
    old = Receipt.decode(path.read_bytes(), Limits())
    path.write_bytes(replace(old, sealed=old.sealed - timedelta(days=365)).encode())


def other_entries(case: Case, path: Path) -> None:
    """Strike an entry from the list."""
    old = Receipt.decode(path.read_bytes(), Limits())
    path.write_bytes(replace(old, entries=(old.entries or ())[:1]).encode())


def altered_archive(case: Case, path: Path) -> None:
    """Flip a bit."""
    data = bytearray((case.folder / "case.zip").read_bytes())
    data[40] ^= 1
    (case.folder / "case.zip").write_bytes(data)


def appended_archive(case: Case, path: Path) -> None:
    """Add a byte."""
    with (case.folder / "case.zip").open("ab") as file:
        file.write(b"\0")


def resealed_archive(case: Case, path: Path) -> None:
    """Somebody who knows the password seals the same again."""
    (case.folder / "case.zip").unlink()
    strongroom.seal({"notes/a.txt": b"x", "b.txt": b""}, case.folder / "case.zip", password=PASSWORD)


def both_by_a_stranger(case: Case, path: Path) -> None:
    """Somebody changes the archive and makes a receipt that fits it, with a key of their own."""
    for file in (case.folder / "case.zip", path, Path(f"{path}.sig")):
        file.unlink()
    case.seal(key="stranger", data=b"forged")


def other_namespace(case: Case, path: Path) -> None:
    """The lab's key signed it, as a file or a commit: somebody got them to."""
    ssh_sign(case, path, namespace="file")


def signature_of_another_text(case: Case, path: Path) -> None:
    """The right key signed something else."""
    other = case.folder / "other"
    other.write_bytes(b"another text")
    ssh_sign(case, other)
    Path(f"{other}.sig").replace(f"{path}.sig")


def replayed_receipt(case: Case, path: Path) -> None:
    """The receipt, properly signed, of another archive of the lab."""
    other = case.seal("other.zip")
    other.replace(path)
    Path(f"{other}.sig").replace(f"{path}.sig")


def signature_cut_off(case: Case, path: Path) -> None:
    """Make it look unsigned."""
    Path(f"{path}.sig").unlink()


def other_key_in_the_signature(case: Case, path: Path) -> None:
    """The lab's key is put in place of the one that signed."""
    ssh_sign(case, path, "stranger")
    sig = Path(f"{path}.sig")
    theirs = Signature.decode(sig.read_bytes())
    ssh_sign(case, path)
    ours = Signature.decode(sig.read_bytes())
    sig.write_bytes(theirs._replace(wire=ours.wire).encode())


ATTACKS = {
    altered_receipt: "receipt altered",
    backdated_receipt: "receipt backdated",
    other_entries: "an entry struck from the receipt",
    altered_archive: "archive altered, with its receipt",
    appended_archive: "a byte appended to an archive with a receipt",
    resealed_archive: "archive sealed anew with the password, under the old receipt",
    both_by_a_stranger: "archive and receipt replaced, signed with another key",
    other_namespace: "receipt signed by the right key for another purpose",
    signature_of_another_text: "signature over another text put beside the receipt",
    replayed_receipt: "signed receipt of another archive put in place",
    signature_cut_off: "signature taken away",
    other_key_in_the_signature: "the right key's name put into a signature by another",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(case: Case, attack: Callable[[Case, Path], None], tried: Tried) -> None:
    """Whoever names the signers is told of each."""
    path = case.seal()
    assert check(case.folder / "case.zip", path, allowed_signers=case.public()).ok
    attack(case, path)
    found = check(case.folder / "case.zip", path, allowed_signers=case.public())
    assert found.findings
    assert found.signature == "trusted" if "archive" in attack.__name__ or "replayed" in attack.__name__ else "bad"
    tried("P7", ATTACKS[attack], "a finding of `verify --receipt --allowed-signers`")


def test_every_flip_in_a_signature(case: Case, tried: Tried) -> None:
    """No changed byte of a signature is taken, but for what stands in no bit of it, nor is one a foreign error."""
    path = case.seal()
    sig = Path(f"{path}.sig")
    whole = Signature.decode(sig.read_bytes())
    data, taken = sig.read_bytes(), 0
    for position in range(len(data)):
        for mask in (1, 4, 32, 128):
            changed = bytearray(data)
            changed[position] ^= mask
            try:
                found = Signature.decode(bytes(changed))
                found.check(path.read_bytes())
            except StrongroomError:
                continue
            taken += 1
            assert found == whole  # another kind of white space
    assert taken < 20
    tried("P7", "a bit of a receipt's signature flipped", "an error, or the same signature", count=4 * len(data))


def test_what_an_unsigned_receipt_is_worth(case: Case, tried: Tried) -> None:
    """It tells of every change of the archive alone, and of none by somebody who changes both: so the docs say."""
    path = case.seal(key=None)
    assert check(case.folder / "case.zip", path).signature == "absent"
    altered_archive(case, path)
    assert not check(case.folder / "case.zip", path).ok
    for file in case.folder.iterdir():
        file.unlink()
    case.seal(key=None, data=b"forged")
    assert check(case.folder / "case.zip", path).ok
    tried("P7", "archive and receipt replaced, not signed", "not noticed, as SECURITY.md says")


def test_from_the_future(case: Case) -> None:
    """A receipt that is not made yet is a finding; one of a clock that goes a minute fast is not."""
    path = case.seal(key=None)
    old = Receipt.decode(path.read_bytes(), Limits())
    for ahead, ok in ((timedelta(minutes=1), True), (timedelta(days=1), False), (timedelta(days=2_800_000), False)):
        path.write_bytes(replace(old, sealed=datetime.now(UTC).replace(microsecond=0) + ahead).encode())
        assert check(case.folder / "case.zip", path).ok is ok


def test_named_signer(case: Case) -> None:
    """A name that has another key does not do."""
    path = case.seal()
    signers = case.folder / "allowed"
    signers.write_text(f"anna {case.public().read_text()}ben {case.public('stranger').read_text()}")
    archive = case.folder / "case.zip"
    assert check(archive, path, allowed_signers=signers).signer == "anna"
    assert check(archive, path, allowed_signers=signers, signer="anna").ok
    assert not check(archive, path, allowed_signers=signers, signer="ben").ok
    with pytest.raises(ValueError):
        check(archive, path, signer="anna")


def test_other_kinds_of_keys(case: Case) -> None:
    """A signature by an RSA key is none that is checked here: neither right nor wrong."""
    path = case.seal(key=None)
    ssh_sign(case, path, "rsa")
    with pytest.raises(UnsupportedError):
        check(case.folder / "case.zip", path)


@pytest.mark.parametrize(
    "data", [b"", b"noise", bytes(70_000), b"-----BEGIN SSH SIGNATURE-----\n????\n-----END SSH SIGNATURE-----\n"]
)
def test_what_is_no_signature(case: Case, data: bytes) -> None:
    """It is refused, as an error of ours."""
    path = case.seal(key=None)
    Path(f"{path}.sig").write_bytes(data)
    with pytest.raises((FormatError, LimitError)):
        check(case.folder / "case.zip", path)
    with pytest.raises((FormatError, LimitError)):
        check(case.folder / "case.zip", path, signature=f"{path}.sig")
    with pytest.raises(FileNotFoundError):
        check(case.folder / "case.zip", path, signature=case.folder / "missing")


def test_a_receipt_that_never_ends(case: Case) -> None:
    """A pipe or a huge file in the receipt's place is bounded."""
    case.seal(key=None)
    huge = case.folder / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LimitError):
        check(case.folder / "case.zip", huge)
    with pytest.raises(LimitError):
        check(case.folder / "case.zip", case.folder / "case.zip.json", allowed_signers=huge)


# Making one


def test_what_cannot_have_a_receipt(case: Case) -> None:
    """A stream, which cannot be read again; and no receipt takes the place of its own archive."""
    with nothing_left(case.folder):
        with pytest.raises(ValueError):
            strongroom.create(io.BytesIO(), format="zip", password=PASSWORD, receipt=case.folder / "r")
        for archive, receipt in (("a.zip", "a.zip"), ("a.zip", "b/../a.zip"), ("r.sig", "r")):
            (case.folder / "b").mkdir(exist_ok=True)
            with pytest.raises(ValueError):
                strongroom.create(case.folder / archive, format="zip", password=PASSWORD, receipt=case.folder / receipt)
        (case.folder / "b").rmdir()


@pytest.mark.parametrize("there", ["r", "r.sig"])
def test_what_is_there_stays(case: Case, there: str) -> None:
    """Neither a receipt nor a signature is replaced, unless that is asked for; then no archive is made either."""
    (case.folder / there).write_bytes(b"old")
    with nothing_left(case.folder), Signer(case.key()) as signer, pytest.raises(OutputExistsError):
        strongroom.create(case.folder / "a.zip", password=PASSWORD, receipt=Request(case.folder / "r", signer))
    with Signer(case.key()) as signer:
        strongroom.seal(
            {"a": b""},
            case.folder / "a.zip",
            password=PASSWORD,
            overwrite=True,
            receipt=Request(case.folder / "r", signer),
        )
    assert check(case.folder / "a.zip", case.folder / "r", allowed_signers=case.public()).ok


def test_no_signature_of_another_receipt_stays_beside_it(case: Case) -> None:
    """An unsigned receipt is not put beside an old signature, which would make it look forged."""
    (case.folder / "r.sig").write_bytes(b"old")
    with nothing_left(case.folder), pytest.raises(OutputError):
        strongroom.create(case.folder / "a.zip", password=PASSWORD, overwrite=True, receipt=case.folder / "r")


def test_no_archive_no_receipt(case: Case, tried: Tried) -> None:
    """Where the archive does not appear, neither does its receipt: an error in the block, or on the disk."""
    steps = [("finish", 0), ("finish", 1), ("reread", 0), ("publish", 0)]
    with nothing_left(case.folder), Signer(case.key()) as signer:
        request = Request(case.folder / "r", signer)
        room = strongroom.create(case.folder / "a.zip", password=PASSWORD, receipt=request)
        room.__exit__(RuntimeError, RuntimeError(), None)
        for step, number in steps:
            with pytest.MonkeyPatch.context() as patch:
                _fail(patch, step, number)
                with pytest.raises(OutputError):
                    strongroom.seal({"a": b"x"}, case.folder / "a.zip", password=PASSWORD, receipt=request)
    attack = "sealing with a receipt fails before the archive is in place"
    tried("P4", attack, "neither is there", count=1 + len(steps))


def _fail(patch: pytest.MonkeyPatch, step: str, number: int) -> None:
    """Have the call of that number fail, as a full disk makes it: the archive's comes first."""
    real = getattr(FileOutput, step)
    calls = 0

    def fail(self: FileOutput) -> object:
        nonlocal calls
        calls += 1
        if calls > number:
            message = "the disk is full"
            raise OutputError(message)
        return real(self)

    patch.setattr(FileOutput, step, fail)


@pytest.mark.parametrize("failing", [1, 2])
def test_archive_without_its_receipt(case: Case, failing: int, monkeypatch: pytest.MonkeyPatch, tried: Tried) -> None:
    """Where the receipt or its signature fails after that, the archive is there, whole, and the error says both."""
    _fail(monkeypatch, "publish", failing)
    with Signer(case.key()) as signer, pytest.raises(OutputError) as caught:
        strongroom.seal(
            {"a": b"x"}, case.folder / "a.zip", password=PASSWORD, receipt=Request(case.folder / "r", signer)
        )
    assert str(case.folder / "a.zip") in str(caught.value)
    assert listing(case.folder) == ["a.zip", "r.sig"][:failing]
    with strongroom.open(case.folder / "a.zip", password=PASSWORD, manifest="required") as room:
        assert room.verify().ok
    tried("P4", "the receipt cannot be put in place, once the archive is", "the error says that the archive is there")


def test_receipt_is_of_what_the_disk_gives_back(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what was written counts, but what is read again: a disk that lies is in the receipt, or found by verify."""
    real = FileSource.read_into

    def read_into(self: FileSource, offset: int, buffer: memoryview) -> None:
        real(self, offset, buffer)
        if not offset:
            buffer[0] ^= 1

    monkeypatch.setattr(FileSource, "read_into", read_into)
    strongroom.seal({"a": b"x"}, case.folder / "a.zip", password=PASSWORD, receipt=case.folder / "r")
    with pytest.raises(TamperedError):
        strongroom.seal({"a": b"x"}, case.folder / "b.zip", password=PASSWORD, receipt=case.folder / "s", verify=True)
    monkeypatch.undo()
    assert listing(case.folder) == ["a.zip", "r"]
    assert not check(case.folder / "a.zip", case.folder / "r").ok


def test_progress(case: Case) -> None:
    """The bytes count once more while the file is read again."""
    seen: list[tuple[int, int | None]] = []
    with strongroom.create(
        case.folder / "a.zip",
        password=PASSWORD,
        receipt=case.folder / "r",
        progress=lambda *now: seen.append(now),
    ) as room:
        room.write("a", bytes(3 << 20))
    assert seen[-1] == (3 << 20, 3 << 20)
    assert [now for now in seen if now == (3 << 20, 3 << 20)] == [(3 << 20, 3 << 20)] * 2
