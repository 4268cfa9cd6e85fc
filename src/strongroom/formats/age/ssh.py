"""SSH keys as recipients and identities. Not in age.md: age 1.2, agessh/agessh.go, functions Wrap and Unwrap."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, Hash
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError, WrongKeyError
from strongroom.formats.age import keys
from strongroom.formats.age.spec import FILE_KEY_SIZE, Stanza, encode_base64
from strongroom.memory.returned import move_into
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.source import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.memory.slots import Slots

ED25519: Final = "ssh-ed25519"
RSA: Final = "ssh-rsa"
LONGEST_KEY: Final = 1 << 14
"""Bytes of a private key's file, as in age (cmd/age/parse.go, parseIdentitiesFile)."""
_ED25519_LABEL: Final = b"age-encryption.org/v1/ssh-ed25519"
_RSA_LABEL: Final = b"age-encryption.org/v1/ssh-rsa"
_SIZE: Final = 32
_TAG: Final = 4
_SMALLEST_RSA: Final = 2048  # bits
_PRIME: Final = 2**255 - 19
_SIGN: Final = 1 << 255
_MAGIC: Final = b"openssh-key-v1\0"
_PKCS8: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY"
_SEQUENCE, _OID, _OCTETS, _INTEGER = 0x30, 0x06, 0x04, 0x02  # X.690
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_MOST_ITERATIONS: Final = 10_000_000  # 2 to 10 s, by the hash
_MOST_ROUNDS: Final = 1 << 10  # of 40 ms; ssh-keygen takes 24 unless told otherwise
_PEM_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"


class Ed25519Recipient:
    """A public key of type ssh-ed25519, used with X25519 after a map between the two curves."""

    post_quantum = False

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._wire = _wire(key)
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
        self._wire = _wire(key)

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
        self._wire = _public_of(pem)
        self.kind: str = _type_of(self._wire)
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


def key_type(line: str) -> str | None:
    """Return the type of an SSH public key, whichever it is, or None where the line is none. RFC 4253, 6.6."""
    kind, _, rest = line.partition(" ")
    try:
        wire = binascii.a2b_base64(rest.split(" ")[0], strict_mode=True)
        return kind if kind and kind == _type_of(wire) else None
    except (ValueError, FormatError):
        return None


def is_encrypted(pem: memoryview) -> bool:
    """Whether a private key takes a passphrase."""
    try:
        _load(pem, None)
    except TypeError:
        return True
    except StrongroomError:  # which `parse_identity` says
        return False
    return False


def parse_identity(pem: memoryview, passphrase: Secret | None = None) -> Ed25519Identity | RSAIdentity:
    """Return the identity in a private key's file, of OpenSSH or PEM.

    Raises `FormatError`, `UnsupportedError`, and `WrongKeyError` where the passphrase does not fit or is missing. What
    `cryptography` copies of the key while it reads it is freed, not wiped.
    """
    if len(pem) > LONGEST_KEY:
        message = f"a private key has at most {LONGEST_KEY} bytes"
        raise FormatError(message)
    if passphrase is not None and bytes(pem[: len(_PKCS8)]) == _PKCS8:
        _check_iterations(_binary_of(pem))
    try:
        private = _load(pem, passphrase)
    except TypeError:
        message = "the SSH key takes a passphrase, and there is none"
        if passphrase is not None:
            message = "the SSH key takes no passphrase, and one was given"
        raise WrongKeyError(message) from None
    if isinstance(private, Ed25519PrivateKey):
        return _ed25519_identity(private)
    if isinstance(private, RSAPrivateKey):
        return _rsa_identity(private)
    raise _unused()


def is_openssh(pem: memoryview) -> bool:
    """Whether a private key's file is in OpenSSH's own form, which shows the public key."""
    return bytes(pem[: len(_PEM_OPENSSH)]) == _PEM_OPENSSH


def _public_of(pem: memoryview) -> bytes:
    """Return the public key in a private key's file. OpenSSH, PROTOCOL.key, 1."""
    cursor = Cursor(_binary_of(pem))
    if cursor.take(min(len(_MAGIC), cursor.left), "the SSH key") != _MAGIC:
        message = "the SSH key is damaged"
        raise FormatError(message)
    for what in ("cipher", "key derivation"):
        _string(cursor, what)
    _check_rounds(Cursor(_string(cursor, "derivation's options")))
    if cursor.take(4, "the SSH key") != (1).to_bytes(4):
        message = "the SSH key's file has more than one key"
        raise UnsupportedError(message)
    return _string(cursor, "public key")


def _binary_of(pem: memoryview) -> bytes:
    """Return what stands in Base64 between the first line and the last; nothing where it is damaged."""
    try:
        return binascii.a2b_base64(b"".join(bytes(pem).split(b"\n")[1:]).partition(b"-")[0].replace(b"\r", b""))
    except binascii.Error:
        return b""


def _check_iterations(binary: bytes) -> None:
    """Refuse a derivation that would take minutes or hours. RFC 5958, 3; RFC 8018, A.4 (PBES2) and A.2 (PBKDF2)."""
    outer = _der(_der(binary, _SEQUENCE)[0], _SEQUENCE)[0]
    scheme, rest = _der(outer, _OID)
    function, rest = _der(_der(_der(rest, _SEQUENCE)[0], _SEQUENCE)[0], _OID)
    if (scheme, function) != (_PBES2, _PBKDF2):
        message = (
            "private keys of PKCS#8 are read with PBES2 and PBKDF2 alone: ssh-keygen -p makes one of OpenSSH's form"
        )
        raise UnsupportedError(message)
    _, rest = _der(_der(rest, _SEQUENCE)[0], _OCTETS)
    if (iterations := int.from_bytes(_der(rest, _INTEGER)[0])) > _MOST_ITERATIONS:
        message = f"the SSH key's passphrase takes {iterations} rounds of PBKDF2, above {_MOST_ITERATIONS}"
        raise LimitError(message)


def _der(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element that `data` begins with, and what follows it. X.690, 8.1."""
    cursor = Cursor(data)
    found, size = cursor.take(2, "the SSH key")
    if size & 0x80:
        size = int.from_bytes(cursor.take(size & 0x7F, "the SSH key"))
    if found != tag:
        message = "the SSH key is damaged"
        raise FormatError(message)
    return cursor.take(size, "the SSH key"), cursor.take(cursor.left, "the SSH key")


def _check_rounds(options: Cursor) -> None:
    """Refuse a derivation that would take minutes or years. OpenSSH, PROTOCOL.key, 2: salt and rounds of bcrypt."""
    if not options.left:  # without a passphrase
        return
    _string(options, "salt")
    if (rounds := int.from_bytes(options.take(4, "the SSH key"))) > _MOST_ROUNDS:
        message = f"the SSH key's passphrase takes {rounds} rounds of bcrypt, above {_MOST_ROUNDS}"
        raise LimitError(message)


def _type_of(wire: bytes) -> str:
    return _string(Cursor(wire), "type").decode("ascii", "replace")


def _string(cursor: Cursor, what: str) -> bytes:
    """Read a string as SSH has it. RFC 4251, 5."""
    return cursor.take(int.from_bytes(cursor.take(4, f"the SSH key's {what}")), f"the SSH key's {what}")


def _unused() -> UnsupportedError:
    return UnsupportedError(f"SSH keys other than {ED25519} and {RSA} are not used by age")


def _load(pem: memoryview, passphrase: Secret | None) -> object:
    """Load a key. Raises `TypeError` for a passphrase too many or missing."""
    load = serialization.load_pem_private_key
    if is_openssh(pem):
        load = serialization.load_ssh_private_key
    try:
        if passphrase is None:
            return load(pem, None)
        # bcrypt takes bytes alone.
        password = [bytes(passphrase)]
        try:
            return load(pem, password[0])
        finally:
            with SecretBuffer(len(passphrase)) as grave, memoryview(grave) as view:
                move_into(password.pop(), view)
    except UnsupportedAlgorithm as error:
        message = "the SSH key cannot be read here"
        if "bcrypt" in str(error):
            message = "SSH keys with a passphrase take bcrypt: pip install 'strongroom[ssh]'"
        raise UnsupportedError(message) from None
    except ValueError:
        if passphrase is not None:
            message = "the passphrase does not fit the SSH key, or the key is damaged"
            raise WrongKeyError(message) from None
        message = "the SSH key is damaged"
        raise FormatError(message) from None


def _ed25519_identity(private: Ed25519PrivateKey) -> Ed25519Identity:
    wire = _wire(private.public_key())
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
    wire = _wire(private.public_key())
    found = [private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())]
    der = SecretBuffer(len(found[0]))
    with memoryview(der) as view:
        move_into(found.pop(), view)
    return RSAIdentity(der, wire, private.key_size // 8)


def _wire(key: Ed25519PublicKey | RSAPublicKey) -> bytes:
    """Return a public key as SSH sends it. RFC 4253, 6.6."""
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")[1])


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
