"""SSH keys as OpenSSH and PEM write them, for all that uses such keys: reading private ones, and public ones' bytes."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError, WrongKeyError
from strongroom.memory.returned import move_into
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.source import Cursor

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ED25519: Final = "ssh-ed25519"
RSA: Final = "ssh-rsa"
LONGEST_KEY: Final = 1 << 14
"""Bytes of a private key's file, as in age (cmd/age/parse.go, parseIdentitiesFile)."""
_MAGIC: Final = b"openssh-key-v1\0"
_PKCS8: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY"
_SEQUENCE, _OID, _OCTETS, _INTEGER = 0x30, 0x06, 0x04, 0x02  # X.690
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_MOST_ITERATIONS: Final = 10_000_000  # 2 to 10 s, by the hash
_MOST_ROUNDS: Final = 1 << 10  # of 40 ms; ssh-keygen takes 24 unless told otherwise
_PEM_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def key_type(line: str) -> str | None:
    """Return the type of an SSH public key, whichever it is, or None where the line is none. RFC 4253, 6.6."""
    kind, _, rest = line.partition(" ")
    try:
        wire = binascii.a2b_base64(rest.split(" ")[0], strict_mode=True)
        return kind if kind and kind == type_of(wire) else None
    except (ValueError, FormatError):
        return None


def is_encrypted(pem: memoryview) -> bool:
    """Whether a private key takes a passphrase."""
    try:
        _load(pem, None)
    except TypeError:
        return True
    except StrongroomError:  # which `load_private` says
        return False
    return False


def load_private(pem: memoryview, passphrase: Secret | None = None) -> object:
    """Return `cryptography`'s object of the private key in a file, of OpenSSH or PEM.

    Raises `FormatError`, `LimitError`, `UnsupportedError`, and `WrongKeyError` where the passphrase does not fit or is
    missing. What `cryptography` copies of the key while it reads it is freed, not wiped.
    """
    if len(pem) > LONGEST_KEY:
        message = f"a private key has at most {LONGEST_KEY} bytes"
        raise FormatError(message)
    if passphrase is not None and bytes(pem[: len(_PKCS8)]) == _PKCS8:
        _check_iterations(_binary_of(pem))
    if passphrase is not None and is_openssh(pem):
        public_of(pem)  # which bounds the rounds
    try:
        return _load(pem, passphrase)
    except TypeError:
        message = "the SSH key takes a passphrase, and there is none"
        if passphrase is not None:
            message = "the SSH key takes no passphrase, and one was given"
        raise WrongKeyError(message) from None


def is_openssh(pem: memoryview) -> bool:
    """Whether a private key's file is in OpenSSH's own form, which shows the public key."""
    return bytes(pem[: len(_PEM_OPENSSH)]) == _PEM_OPENSSH


def public_of(pem: memoryview) -> bytes:
    """Return the public key in a private key's file, which takes no passphrase. OpenSSH, PROTOCOL.key, 1.

    Raises `FormatError`, `UnsupportedError`, and `LimitError` where the passphrase would take too many rounds.
    """
    cursor = Cursor(_binary_of(pem))
    if cursor.take(min(len(_MAGIC), cursor.left), "the SSH key") != _MAGIC:
        message = "the SSH key is damaged"
        raise FormatError(message)
    for what in ("cipher", "key derivation"):
        string(cursor, what)
    _check_rounds(Cursor(string(cursor, "derivation's options")))
    if cursor.take(4, "the SSH key") != (1).to_bytes(4):
        message = "the SSH key's file has more than one key"
        raise UnsupportedError(message)
    return string(cursor, "public key")


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
    string(options, "salt")
    if (rounds := int.from_bytes(options.take(4, "the SSH key"))) > _MOST_ROUNDS:
        message = f"the SSH key's passphrase takes {rounds} rounds of bcrypt, above {_MOST_ROUNDS}"
        raise LimitError(message)


def type_of(wire: bytes) -> str:
    """Return the type of a public key as SSH sends it. Raises `FormatError`."""
    return string(Cursor(wire), "type").decode("ascii", "replace")


def string(cursor: Cursor, what: str) -> bytes:
    """Read a string as SSH has it. RFC 4251, 5. Raises `FormatError`."""
    return cursor.take(int.from_bytes(cursor.take(4, f"the SSH key's {what}")), f"the SSH key's {what}")


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


def wire_of(key: Ed25519PublicKey | RSAPublicKey) -> bytes:
    """Return a public key as SSH sends it. RFC 4253, 6.6."""
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")[1])
