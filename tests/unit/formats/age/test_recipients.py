from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.errors import StrongroomWarning, UnsupportedError
from strongroom.formats.age import bech32, hybrid, identities, recipients, spec, tag
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.memory.secret import Secret
from tests import agecraft

FILE_KEY = bytes(range(16))
ECDSA = (
    ec.derive_private_key(7, ec.SECP256R1()).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
)


def test_recipient_of_the_specification() -> None:
    """age, "The X25519 recipient type": the example."""
    assert agecraft.identity().recipient == agecraft.X25519_RECIPIENT


def test_post_quantum_recipient_of_the_specification() -> None:
    """age, "The MLKEM768-X25519 … recipient type": the example, by its beginning, end and length."""
    recipient = agecraft.identity(agecraft.HYBRID).recipient
    assert recipient.startswith("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zrqtzdxz95p")
    assert recipient.endswith("xpfqdkmhh6gjtqmwze9pyyzk3tlhl53k2ykx3qheyty7saeq0d3fzv49zc0k")
    assert len(bech32.decode(recipient)) == hybrid.PUBLIC_SIZE


@pytest.mark.parametrize(
    "text", [agecraft.X25519_RECIPIENT, agecraft.TAG_RECIPIENT, agecraft.identity(agecraft.HYBRID).recipient]
)
def test_recipient_reads_what_it_writes(text: str) -> None:
    """A recipient's `str` is its text; capitals mean the same, as Bech32 has it."""
    assert str(recipients.parse(text)) == text
    assert str(recipients.parse(f" {text}\n")) == text


@pytest.mark.parametrize("size", [0, 31, 33])
@pytest.mark.parametrize("kind", ["age", "age1pq", "age1tag"])
def test_recipient_of_another_size_is_refused(kind: str, size: int) -> None:
    """Its checksum holds, and it is no key all the same."""
    if (kind, size) != ("age1tag", 33):
        with pytest.raises(ValueError):
            recipients.parse(bech32.encode(kind, bytes(size)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        "hello",
        "github:someone",
        agecraft.X25519_RECIPIENT[:-1],
        agecraft.X25519_RECIPIENT.replace("z", "Z", 1),
        "ssh-ed25519 AAAA",
        "ssh-rsa",
        bech32.encode("age1tag", b"\x04" + bytes(32)),
        bech32.encode("age1tag", b"\x02" + b"\xff" * 32),
        bech32.encode("age1pq", b"\xff" * hybrid.PUBLIC_SIZE),
    ],
)
def test_what_is_no_recipient_is_refused(text: str) -> None:
    """A mistyped recipient is the caller's mistake."""
    with pytest.raises(ValueError):
        recipients.parse(text)


@pytest.mark.parametrize("text", [agecraft.X25519, agecraft.HYBRID.lower(), "AGE-PLUGIN-X-1QQQ", "-----BEGIN OPENSSH"])
def test_identity_in_place_of_a_recipient_is_not_shown(text: str) -> None:
    """Whoever takes the wrong half of a key is told, and the error does not show it."""
    with pytest.raises(ValueError) as caught:
        recipients.parse(text)
    assert text[15:] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (bech32.encode("age1yubikey", bytes(33)), "age-plugin-yubikey"),
        (bech32.encode("age1tagpq", bytes(1249)), "age1tagpq"),
        (ECDSA, "ecdsa-sha2-nistp256"),
        ("ssh-dss AAAA", "ssh-dss"),
    ],
)
def test_what_is_not_done_is_named(text: str, name: str) -> None:
    """Plugins and other kinds of keys are legal, and refused by name."""
    with pytest.raises(UnsupportedError, match=name):
        recipients.parse(text)


def test_low_order_point_is_refused() -> None:
    """Nothing is encrypted to a key that everybody has."""
    recipient = recipients.parse(bech32.encode("age", bytes(32)))
    with pytest.raises(ValueError):
        recipient.wrap(memoryview(bytearray(16)), agecraft.fixed())


def test_password_stands_alone() -> None:
    """age, "scrypt recipient stanza"."""
    with Secret("pass") as password:
        one = ScryptRecipient(password, 1)
        recipients.check([one])
        for others in ([one], [recipients.parse(agecraft.X25519_RECIPIENT)]):
            with pytest.raises(ValueError):
                recipients.check([one, *others])
    with pytest.raises(ValueError):
        recipients.check([])


@pytest.mark.parametrize("weak", [agecraft.X25519_RECIPIENT, agecraft.TAG_RECIPIENT])
def test_post_quantum_recipients_stand_among_themselves(weak: str) -> None:
    """One that a quantum computer breaks would give up the whole file."""
    strong = recipients.parse(agecraft.identity(agecraft.HYBRID).recipient)
    recipients.check([strong, strong])
    with pytest.raises(ValueError):
        recipients.check([strong, recipients.parse(weak)])
    assert recipients.check([recipients.parse(weak), recipients.parse(agecraft.X25519_RECIPIENT)]) is None


def test_recipients_file() -> None:
    """Comments and blank lines are left out, line ends may be those of Windows, other SSH keys are warned of."""
    text = f"# mine\n\n{agecraft.X25519_RECIPIENT}\r\n{agecraft.TAG_RECIPIENT}\n{ECDSA} me\n"
    with pytest.warns(StrongroomWarning, match="line 5"):
        found = recipients.parse_file(text.encode(), "friends")
    assert [str(one) for one in found] == [agecraft.X25519_RECIPIENT, agecraft.TAG_RECIPIENT]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# nobody\n",
        b"hello\n",
        b"ssh-ed25519 AAAA me",
        b"ecdsa AAAAA2Vj",
        b"\xff\n",
        b"age1" + b"q" * 9000,
        b" \n",
        agecraft.X25519.encode(),
    ],
)
def test_file_without_recipients_is_refused(data: bytes) -> None:
    """The error says which line, and not what is in it: the file may be a secret one."""
    with pytest.raises(ValueError) as caught:
        recipients.parse_file(data, "friends")
    assert "friends" in str(caught.value)
    assert not data.strip() or data.decode("latin-1").strip() not in str(caught.value)


def test_plugin_in_a_recipients_file_is_named() -> None:
    """It is no mistake of the caller."""
    with pytest.raises(UnsupportedError, match="yubikey"):
        recipients.parse_file(bech32.encode("age1yubikey", bytes(33)).encode(), "friends")


def test_tag_stanza_opens_with_the_key_on_the_token() -> None:
    """age, "p256tag recipient stanza": tag and file key are what the specification's own words make of them."""
    import hmac

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    stanza = tag.TagRecipient(public).wrap(memoryview(FILE_KEY), agecraft.fixed())
    assert stanza.kind == "p256tag"
    shown, enc = map(spec.decode_base64, stanza.arguments)
    salt = b"age-encryption.org/p256tag"
    assert shown == hmac.digest(salt, enc + hashlib.sha256(public).digest()[:4], "sha256")[:4]
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    assert suite.decrypt(enc + stanza.body, key, salt) == FILE_KEY


def test_randomness_makes_the_stanza() -> None:
    """The same randomness gives the same X25519 stanza, and other randomness another one: the seam of vectors."""
    recipient = recipients.parse(agecraft.X25519_RECIPIENT)
    key = memoryview(FILE_KEY)
    assert recipient.wrap(key, agecraft.fixed()) == recipient.wrap(key, agecraft.fixed())
    assert recipient.wrap(key, agecraft.fixed()) != recipient.wrap(key, agecraft.fixed("other"))


@pytest.mark.parametrize("secret", [agecraft.X25519, agecraft.HYBRID])
def test_each_recipient_of_several_opens(secret: str) -> None:
    """The others' stanzas are passed over."""
    others = [identities.generate(classic=secret == agecraft.X25519).recipient for _ in range(2)]
    file = agecraft.seal(b"data", [*others, agecraft.identity(secret).recipient])
    assert agecraft.read_whole(file, [agecraft.identity(secret)]).data == b"data"


@pytest.mark.parametrize("before", ["ssh-x", "ssh-rsa ", "age1", "age1x ", "AGE-PLUGIN-", "x", "#", '"'])
@pytest.mark.parametrize("secret", [agecraft.X25519, agecraft.HYBRID, agecraft.X25519.lower()])
def test_a_secret_key_behind_something_is_not_shown(before: str, secret: str) -> None:
    """A secret key that something was pasted to stands in no error, neither its front nor its end."""
    for read in (
        lambda: recipients.parse(before + secret),
        lambda: recipients.parse_file((before + secret).encode(), "file"),
        lambda: identities.parse(memoryview((before + secret).encode())),
        lambda: identities.parse(memoryview(f"AGE-PLUGIN-{secret}1{secret}".encode())),
    ):
        with pytest.raises((ValueError, UnsupportedError)) as caught:
            read()
        said = str(caught.value).lower()
        _, _, key = secret.lower().rpartition("1")
        assert key[:16] not in said
        assert key[-8:] not in said
