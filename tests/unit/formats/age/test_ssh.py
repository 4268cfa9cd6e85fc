from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat

from strongroom import sshkey
from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError, WrongKeyError
from strongroom.formats.age import identities, ssh
from strongroom.memory.secret import Secret
from tests import agecraft

Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RSA = rsa.generate_private_key(65537, 2048)
each_key = pytest.mark.parametrize("key", [ED25519, RSA], ids=["ed25519", "rsa"])


def pem(key: object, passphrase: bytes | None = None, form: PrivateFormat = PrivateFormat.OpenSSH) -> memoryview:
    """Return the file of a private key, its passphrase made to cost little."""
    assert isinstance(key, (ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        how = form.encryption_builder().kdf_rounds(1).build(passphrase)
    return memoryview(key.private_bytes(Encoding.PEM, form, how))


def public(key: Key) -> str:
    """Return the line that stands in authorized_keys."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@each_key
def test_key_opens_what_its_recipient_was_given(key: Key) -> None:
    """Also with a comment behind it; and it shows the recipient that belongs to it."""
    (own,) = identities.parse_file(pem(key), "id")
    file = agecraft.seal(b"data", [f"{public(key)} me@here"])
    assert agecraft.read_whole(file, [own]).data == b"data"
    assert own.recipient == public(key)
    own.close()
    with pytest.raises(ValueError):
        agecraft.read_whole(file, [own])


@each_key
def test_key_is_no_key_to_others_files(key: Key) -> None:
    """Neither to those of another key of the same kind, nor to those of another kind."""
    other: Key = ed25519.Ed25519PrivateKey.generate() if key is ED25519 else rsa.generate_private_key(65537, 2048)
    own = identities.parse_file(pem(key), "id")
    for recipient in (public(other), agecraft.X25519_RECIPIENT):
        assert isinstance(agecraft.read_whole(agecraft.seal(b"", [recipient]), own).error, WrongKeyError)


@each_key
def test_pem_keys_of_other_tools_open(key: Key) -> None:
    """PKCS #8 is what OpenSSL writes."""
    own = identities.parse_file(pem(key, form=PrivateFormat.PKCS8), "id")
    assert agecraft.read_whole(agecraft.seal(b"data", [public(key)]), own).data == b"data"


@each_key
def test_passphrase_of_a_key(key: Key) -> None:
    """It is asked for once, and only for a file that is for this key; a wrong one, or none, is a wrong key."""
    file, asked = pem(key, b"open sesame"), []

    def ask(text: str) -> Secret:
        asked.append(text)
        return Secret(text)

    (own,) = identities.parse_file(file, "id", lambda: ask("open sesame"))
    assert own.recipient == public(key)
    assert isinstance(agecraft.read_whole(agecraft.seal(b"data"), [own]).error, WrongKeyError)
    other = ed25519.Ed25519PrivateKey.generate()
    assert isinstance(agecraft.read_whole(agecraft.seal(b"data", [public(other)]), [own]).error, WrongKeyError)
    assert not asked
    sealed = agecraft.seal(b"data", [public(key)])
    for _ in range(2):
        assert agecraft.read_whole(sealed, [own]).data == b"data"
    assert asked == ["open sesame"]
    own.close()
    wrong = identities.parse_file(file, "id", lambda: ask("sesame"))
    assert isinstance(agecraft.read_whole(sealed, wrong).error, WrongKeyError)
    with pytest.raises(WrongKeyError):
        identities.parse_file(file, "id")


@each_key
def test_passphrase_of_a_pem_key(key: Key) -> None:
    """Its public key is not shown, so that the passphrase is asked for at once."""
    how = serialization.BestAvailableEncryption(b"open sesame")
    file = memoryview(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    own = identities.parse_file(file, "id", lambda: Secret("open sesame"))
    assert agecraft.read_whole(agecraft.seal(b"data", [public(key)]), own).data == b"data"
    with pytest.raises(WrongKeyError):
        identities.parse_file(file, "id", lambda: Secret("sesame"))


def test_cost_of_a_passphrase_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hostile file asks for is refused before any work: rounds of bcrypt, and of PBKDF2."""
    file = bytes(pem(ED25519, b"open sesame"))
    lines = file.splitlines()
    binary = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    place = binary.index(b"bcrypt") + 6 + 4 + 4 + 16  # the options: length, salt with its own, rounds
    binary[place : place + 4] = (1 << 11).to_bytes(4)
    changed = b"\n".join([lines[0], base64.b64encode(binary), lines[-1], b""])
    with pytest.raises(LimitError, match="2048 rounds of bcrypt"):
        identities.parse_file(memoryview(changed), "id", lambda: Secret("open sesame"))

    how = serialization.BestAvailableEncryption(b"open sesame")
    key = memoryview(ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    monkeypatch.setattr(sshkey, "_MOST_ITERATIONS", 2047)  # one less than OpenSSL's
    with pytest.raises(LimitError, match="2048 rounds of PBKDF2"):
        identities.parse_file(key, "id", lambda: Secret("open sesame"))
    for changed in (bytes(key)[:80] + b"\n-----END", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"):
        with pytest.raises(StrongroomError):
            identities.parse_file(memoryview(changed), "id", lambda: Secret("open sesame"))


def test_public_key_that_does_not_belong_is_refused() -> None:
    """Nobody is asked for a passphrase and then shown another key's recipient."""
    other = ed25519.Ed25519PrivateKey.generate()
    wire, wrong = (base64.b64decode(public(one).split(" ")[1]) for one in (ED25519, other))
    lines = bytes(pem(ED25519, b"open sesame")).splitlines()
    binary = base64.b64decode(b"".join(lines[1:-1]))
    changed = base64.encodebytes(binary.replace(wire, wrong, 1))
    file = b"\n".join([lines[0], changed.strip(), lines[-1], b""])
    (own,) = identities.parse_file(memoryview(file), "id", lambda: Secret("open sesame"))
    assert own.recipient == public(other)
    assert agecraft.read_whole(agecraft.seal(b"data", [public(other)]), [own]).error is not None


def test_damaged_key_with_a_passphrase_is_an_error_of_ours() -> None:
    """Each changed byte gives a key or an error of ours; and so does each end."""
    file = bytes(pem(ED25519, b"open sesame"))
    sealed = agecraft.seal(b"data", [public(ED25519)])
    for place in range(0, len(file), 11):
        for changed in (file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :], file[:place]):
            with suppress(StrongroomError):
                own = ssh.EncryptedIdentity(memoryview(changed), lambda: Secret("open sesame"))
                agecraft.read_whole(sealed, [own])


def test_passphrase_for_a_key_that_has_none() -> None:
    """Nobody is asked."""
    assert not sshkey.is_encrypted(pem(ED25519))
    with Secret("pass") as phrase, pytest.raises(WrongKeyError):
        ssh.parse_identity(pem(ED25519), phrase)


def test_missing_bcrypt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that has it is in the message."""
    file = pem(ED25519, b"open sesame")

    def absent(*_: object, **__: object) -> None:
        message = "Need bcrypt module"  # what `cryptography` says where it is not there
        raise UnsupportedAlgorithm(message)

    monkeypatch.setattr(serialization.ssh, "_bcrypt_kdf", absent)
    with Secret("open sesame") as phrase, pytest.raises(UnsupportedError, match=r"strongroom\[ssh\]"):
        ssh.parse_identity(file, phrase)


def test_keys_that_age_does_not_use_are_refused() -> None:
    """Other curves, and RSA below 2048 bits."""
    with pytest.raises(UnsupportedError):
        ssh.parse_identity(pem(ec.generate_private_key(ec.SECP256R1())))
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - too small is the point
    with pytest.raises(UnsupportedError):
        ssh.parse_identity(pem(small))
    with pytest.raises(ValueError):
        ssh.parse_recipient(public(small))


@pytest.mark.parametrize("line", ["ssh-ed25519", "ssh-ed25519 !", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA"])
def test_damaged_recipient_is_refused(line: str) -> None:
    """A mistyped key is the caller's mistake."""
    with pytest.raises(ValueError):
        ssh.parse_recipient(line)


def test_neutral_point_is_no_recipient() -> None:
    """The map between the curves has no value there."""
    with pytest.raises(ValueError):
        ssh._montgomery((1).to_bytes(32, "little"))


def test_map_between_the_curves() -> None:
    """RFC 7748, 4.1: the base point goes to 9."""
    y = 4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)
    assert ssh._montgomery(y.to_bytes(32, "little")) == (9).to_bytes(32, "little")


def test_damaged_key_is_a_format_error() -> None:
    """Each changed byte of a private key's file gives a key or an error of ours; and so does each end."""
    file = bytes(pem(ED25519))
    for place in range(0, len(file), 3):
        for changed in (file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :], file[:place]):
            with suppress(StrongroomError):
                ssh.parse_identity(memoryview(changed)).close()
    with pytest.raises(FormatError):
        ssh.parse_identity(memoryview(file[:100]))
    with pytest.raises(FormatError):
        ssh.parse_identity(memoryview(file + bytes(sshkey.LONGEST_KEY)))


@each_key
def test_changed_stanza_never_opens(key: Key) -> None:
    """Each changed character of the header is an error of ours."""
    own = identities.parse_file(pem(key), "id")
    file = agecraft.seal(b"data", [public(key)])
    for place in range(0, file.index(b"\n---") + 40, 7):
        changed = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        assert isinstance(agecraft.read_whole(changed, own).error, StrongroomError)
