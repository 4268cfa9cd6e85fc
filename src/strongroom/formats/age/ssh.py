"""SSH keys as recipients and identities. Not in age.md: age 1.2, agessh/agessh.go, functions Wrap and Unwrap."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, Hash
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from strongroom import sshkey
from strongroom.errors import FormatError, UnsupportedError
from strongroom.formats.age import keys
from strongroom.formats.age.spec import FILE_KEY_SIZE, Stanza, encode_base64
from strongroom.memory.returned import move_into
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.sshkey import ED25519, RSA, wire_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.memory.slots import Slots

_ED25519_LABEL: Final = b"age-encryption.org/v1/ssh-ed25519"
_RSA_LABEL: Final = b"age-encryption.org/v1/ssh-rsa"
_SIZE: Final = 32
_TAG: Final = 4
_SMALLEST_RSA: Final = 2048  # bits
_PRIME: Final = 2**255 - 19
_SIGN: Final = 1 << 255


class Ed25519Recipient:
    """A public key of type ssh-ed25519, used with X25519 after a map between the two curves."""

    post_quantum = False

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._wire = wire_of(key)
        self._curve = _montgomery(key.public_bytes_raw())

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:
        """See `recipients.Recipient`."""
        with keys.slots() as slots, keys.slot(slots, _SIZE) as ephemeral, keys.slot(slots, keys.KEY_SIZE) as key:
            move_into(random(_SIZE), ephemeral)
            private = X25519PrivateKey.from_private_bytes(ephemeral)
            share = private.public_key().public_bytes_raw()
            _ed25519_key(private, self._curve, self._wire, share + self._curve, key, slots)
            return Stanza(ED25519, (_tag(self._wire), encode_base64(share)), keys.wrap(key, file_key))

    def __str__(self) -> str:
        return f"{ED25519} {base64.b64encode(self._wire).decode()}"


class Ed25519Identity:
    """A private key of type ssh-ed25519. Takes over `scalar`, X25519's; `close` wipes it."""

    kind = ED25519

    def __init__(self, scalar: SecretBuffer, wire: bytes) -> None:
        self._scalar = scalar
        self._wire = wire
        with memoryview(scalar) as view:
            self._curve = X25519PrivateKey.from_private_bytes(view).public_key().public_bytes_raw()

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        return f"{ED25519} {base64.b64encode(self._wire).decode()}"

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """See `identities.Identity`."""
        with memoryview(self._scalar) as scalar:
            private = X25519PrivateKey.from_private_bytes(scalar)
        return any(self._unwrap(private, stanza, file_key, slots) for stanza in stanzas)

    def close(self) -> None:
        """See `identities.Identity`."""
        self._scalar.close()

    def _unwrap(self, private: X25519PrivateKey, stanza: Stanza, file_key: memoryview, slots: Slots) -> bool:
        keys.check_shape(stanza, 2)
        share = keys.argument(stanza, 1, _SIZE)
        if stanza.arguments[0] != _tag(self._wire):
            return False
        with keys.slot(slots, keys.KEY_SIZE) as key:
            try:
                _ed25519_key(private, share, self._wire, share + self._curve, key, slots)
            except ValueError:
                raise keys.fault(stanza, "the share is a point of low order") from None
            return keys.unwrap(key, stanza.body, file_key)


class RSARecipient:
    """A public key of type ssh-rsa, used with OAEP. Raises `ValueError` below 2048 bits, as age does."""

    post_quantum = False

    def __init__(self, key: RSAPublicKey) -> None:
        if key.key_size < _SMALLEST_RSA:
            message = f"the RSA key has {key.key_size} bits, and {_SMALLEST_RSA} is the least"
            raise ValueError(message)
        self._key = key
        self._wire = wire_of(key)

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:  # noqa: ARG002 - OAEP's is its own
        """See `recipients.Recipient`."""
        # `encrypt` takes bytes alone: a copy, which goes the way of what libraries return.
        copy = [bytes(file_key)]
        body = self._key.encrypt(copy[0], _oaep())
        with keys.slots() as slots, keys.slot(slots, FILE_KEY_SIZE) as grave:
            move_into(copy.pop(), grave)
        return Stanza(RSA, (_tag(self._wire),), body)

    def __str__(self) -> str:
        return f"{RSA} {base64.b64encode(self._wire).decode()}"


class RSAIdentity:
    """A private key of type ssh-rsa. Takes over `der` (PKCS #8, not encrypted); `close` wipes it."""

    kind = RSA

    def __init__(self, der: SecretBuffer, wire: bytes, size: int) -> None:
        self._der = der
        self._wire = wire
        self._size = size

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        return f"{RSA} {base64.b64encode(self._wire).decode()}"

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:  # noqa: ARG002
        """See `identities.Identity`."""
        with memoryview(self._der) as der:  # validated when the identity was made, which takes 40 ms
            private = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(private, RSAPrivateKey)  # noqa: S101 - it was when the identity was made
        return any(self._unwrap(private, stanza, file_key) for stanza in stanzas)

    def close(self) -> None:
        """See `identities.Identity`."""
        self._der.close()

    def _unwrap(self, private: RSAPrivateKey, stanza: Stanza, file_key: memoryview) -> bool:
        keys.check_shape(stanza, 1, len(stanza.body))
        if stanza.arguments[0] != _tag(self._wire):
            return False
        if len(stanza.body) != self._size:
            raise keys.fault(stanza, f"has a body of {len(stanza.body)} bytes, and the key has {self._size}")
        try:
            found = [private.decrypt(stanza.body, _oaep())]
        except ValueError:
            return False
        with SecretBuffer(self._size) as opened, memoryview(opened) as view:
            size = len(found[0])
            move_into(found.pop(), view)
            if size != FILE_KEY_SIZE:
                raise keys.fault(stanza, f"the file key has {size} bytes, expected {FILE_KEY_SIZE}")
            file_key[:] = view[:FILE_KEY_SIZE]
        return True


class EncryptedIdentity:
    """A private key with a passphrase, which is asked for once, where a stanza is for this key. `pem` is copied.

    age does the same (agessh/encrypted_keys.go). Raises `FormatError`, `UnsupportedError` for what is no such key.
    """

    def __init__(self, pem: memoryview, ask: Callable[[], Secret]) -> None:
        self._wire = sshkey.public_of(pem)
        self.kind: str = sshkey.type_of(self._wire)
        if self.kind not in (ED25519, RSA):
            raise _unused()
        self._ask = ask
        self._identity: Ed25519Identity | RSAIdentity | None = None
        self._pem = Secret(pem)

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        return f"{self.kind} {base64.b64encode(self._wire).decode()}"

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """See `identities.Identity`. Raises `WrongKeyError` where the passphrase does not fit."""
        if not any(stanza.arguments[:1] == (_tag(self._wire),) for stanza in stanzas):
            return False
        if self._identity is None:
            with self._ask() as phrase, memoryview(self._pem) as pem:
                self._identity = parse_identity(pem, phrase)
            if self._identity.recipient != self.recipient:
                message = "the SSH key's file shows another public key than the private one has"
                raise FormatError(message)
        return self._identity.unwrap(stanzas, file_key, slots)

    def close(self) -> None:
        """See `identities.Identity`."""
        self._pem.close()
        if self._identity is not None:
            self._identity.close()


def parse_recipient(line: str) -> Ed25519Recipient | RSARecipient:
    """Return the recipient of a line as authorized_keys has it. Raises `ValueError`, `UnsupportedError`."""
    kind = line.split(" ", maxsplit=1)[0]
    if kind not in (ED25519, RSA):
        message = f"SSH keys of type {kind!r} are not used by age; {ED25519} and {RSA} are"
        raise UnsupportedError(message)
    try:
        key = serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        message = "the SSH public key is damaged"
        raise ValueError(message) from None
    if isinstance(key, Ed25519PublicKey):
        return Ed25519Recipient(key)
    if isinstance(key, RSAPublicKey):
        return RSARecipient(key)
    message = "the SSH public key is of another type than it says"
    raise ValueError(message)


def parse_identity(pem: memoryview, passphrase: Secret | None = None) -> Ed25519Identity | RSAIdentity:
    """Return the identity in a private key's file, of OpenSSH or PEM.

    Raises `FormatError`, `UnsupportedError`, and `WrongKeyError` where the passphrase does not fit or is missing. What
    `cryptography` copies of the key while it reads it is freed, not wiped.
    """
    private = sshkey.load_private(pem, passphrase)
    if isinstance(private, Ed25519PrivateKey):
        return _ed25519_identity(private)
    if isinstance(private, RSAPrivateKey):
        return _rsa_identity(private)
    raise _unused()


def _unused() -> UnsupportedError:
    return UnsupportedError(f"SSH keys other than {ED25519} and {RSA} are not used by age")


def _ed25519_identity(private: Ed25519PrivateKey) -> Ed25519Identity:
    wire = wire_of(private.public_key())
    scalar = SecretBuffer(_SIZE)
    with keys.slots() as slots, keys.slot(slots, _SIZE) as seed, keys.slot(slots, 2 * _SIZE) as digest:
        move_into(private.private_bytes_raw(), seed)
        sha512 = Hash(SHA512())
        sha512.update(seed)
        move_into(sha512.finalize(), digest)
        scalar[:] = digest[:_SIZE]  # RFC 8032, 5.1.5, steps 1 and 2; X25519 clears the bits itself
    return Ed25519Identity(scalar, wire)


def _rsa_identity(private: RSAPrivateKey) -> RSAIdentity:
    if private.key_size < _SMALLEST_RSA:
        message = f"the RSA key has {private.key_size} bits, and {_SMALLEST_RSA} is the least"
        raise UnsupportedError(message)
    wire = wire_of(private.public_key())
    found = [private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())]
    der = SecretBuffer(len(found[0]))
    with memoryview(der) as view:
        move_into(found.pop(), view)
    return RSAIdentity(der, wire, private.key_size // 8)


def _tag(wire: bytes) -> str:
    """Return by which a stanza is found. agessh.go, sshFingerprint."""
    return encode_base64(hashlib.sha256(wire).digest()[:_TAG])


def _montgomery(public: bytes) -> bytes:
    """Return the X25519 key of an Ed25519 one: u = (1 + y) / (1 - y). RFC 7748, 4.1."""
    y = int.from_bytes(public, "little") & ~_SIGN
    if y % _PRIME == 1:
        message = "the SSH public key is the neutral point"
        raise ValueError(message)
    return ((1 + y) * pow(1 - y, -1, _PRIME) % _PRIME).to_bytes(_SIZE, "little")


def _ed25519_key(  # noqa: PLR0913, PLR0917 - what goes into the derivation
    private: X25519PrivateKey, public: bytes, wire: bytes, salt: bytes, key: memoryview, slots: Slots
) -> None:
    """Derive what wraps the file key. The tweak ties it to the SSH key. Raises `ValueError` for points of low order."""
    with keys.slot(slots, _SIZE) as shared, keys.slot(slots, _SIZE) as tweak:
        keys.derive(b"", wire, _ED25519_LABEL, tweak)
        first = [private.exchange(X25519PublicKey.from_public_bytes(public))]
        try:
            tweaked = X25519PublicKey.from_public_bytes(first[0])
        finally:
            move_into(first.pop(), shared)
        move_into(X25519PrivateKey.from_private_bytes(tweak).exchange(tweaked), shared)
        keys.derive(shared, salt, _ED25519_LABEL, key)


def _oaep() -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), _RSA_LABEL)
