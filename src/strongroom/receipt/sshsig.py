"""Signatures of files as OpenSSH has them. "sshsig" is PROTOCOL.sshsig of OpenSSH 9; integers are big-endian."""

from __future__ import annotations

import binascii
import hashlib
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from strongroom.errors import FormatError, TamperedError, UnsupportedError
from strongroom.limits import KIB
from strongroom.source import Cursor
from strongroom.sshkey import ED25519, string, type_of

NAMESPACE: Final = "strongroom-receipt"
"""What our signatures are for, so that none made for another purpose passes for one of them. sshsig, 2."""
SUFFIX: Final = ".sig"
"""What ssh-keygen adds to a file's name for its signature's."""
LARGEST: Final = 64 * KIB
"""Of a signature's file, in bytes; ours have 300."""
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_HASHES: Final = {"sha512": hashlib.sha512, "sha256": hashlib.sha256}
_HASH: Final = "sha512"  # that of ssh-keygen
_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
_END: Final = b"-----END SSH SIGNATURE-----"
_COLUMNS: Final = 70
_KEY_SIZE, _SIGNATURE_SIZE = 32, 64  # RFC 8032, 5.1


class Signature(NamedTuple):
    """A signature, sshsig, 1: magic, version, then strings in this order; armored.

    string  public key, as SSH sends it
    string  namespace
    string  reserved
    string  name of the hash
    string  signature: a string with its type, and one with the signature itself (RFC 8709, 6)
    """

    wire: bytes
    namespace: bytes
    reserved: bytes
    hash_name: str
    code: bytes

    def encode(self) -> bytes:
        """Return the file. sshsig, 1 and "Armored format"."""
        strings = (self.wire, self.namespace, self.reserved, self.hash_name.encode(), self.code)
        blob = _MAGIC + _VERSION.to_bytes(4) + b"".join(map(encode_string, strings))
        text = binascii.b2a_base64(blob, newline=False)
        lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
        return b"\n".join((_BEGIN, *lines, _END, b""))

    @classmethod
    def decode(cls, data: bytes) -> Signature:
        """Read a file. Raises `FormatError`, and `UnsupportedError` for other versions and hashes."""
        lines = data.split()  # other line ends than ours, too
        text = b" ".join(lines)
        if len(data) > LARGEST or not (text.startswith(_BEGIN) and text.endswith(_END)):
            raise _fault("is no SSH signature")
        try:
            blob = binascii.a2b_base64(text[len(_BEGIN) : -len(_END)].replace(b" ", b""), strict_mode=True)
        except binascii.Error:
            raise _fault("is damaged: it is not Base64") from None
        cursor = Cursor(blob)
        if cursor.take(len(_MAGIC), "the signature") != _MAGIC:
            raise _fault("is damaged")
        if (version := int.from_bytes(cursor.take(4, "the signature"))) != _VERSION:
            message = f"the signature is of version {version}, and {_VERSION} is read"
            raise UnsupportedError(message)
        wire, namespace, reserved, hash_name, code = (string(cursor, "signature") for _ in range(5))
        if cursor.left:
            raise _fault(f"has {cursor.left} bytes behind its end")
        name = hash_name.decode("ascii", "replace")
        if name not in _HASHES:
            message = f"the signature is of a hash {name!r}, and {', '.join(_HASHES)} are read"
            raise UnsupportedError(message)
        return cls(wire, namespace, reserved, name, code)

    def check(self, message: bytes) -> None:
        """Check that this is a signature of `message` in our namespace, by the key that it names.

        Whether that key is anybody's is another question. Raises `TamperedError`, `FormatError`, and `UnsupportedError`
        for other keys than Ed25519.
        """
        if (kind := type_of(self.wire)) != ED25519:
            hint = f"the signature is by a key of type {kind!r}, and {ED25519} is checked here"
            error = UnsupportedError(hint)
            error.add_note("ssh-keygen -Y verify checks it; docs/evidence.md has the command")
            raise error
        if self.namespace != NAMESPACE.encode():
            found = self.namespace.decode("ascii", "backslashreplace")
            text = f"the signature was made for another purpose, {found!r} and not {NAMESPACE!r}"
            raise TamperedError(text)
        key = public_key(self.wire)
        cursor = Cursor(self.code)
        code_type, code = string(cursor, "signature"), string(cursor, "signature")
        if code_type != ED25519.encode() or len(code) != _SIGNATURE_SIZE or cursor.left:
            raise _fault("is damaged")
        try:
            key.verify(code, signed_data(message, self.namespace, self.hash_name, self.reserved))
        except InvalidSignature:
            text = "the signature is not of this receipt"
            raise TamperedError(text) from None


def signed_data(message: bytes, namespace: bytes, hash_name: str = _HASH, reserved: bytes = b"") -> bytes:
    """Return what the key signs. sshsig, 2 ("Signed Data, of which the signature goes into the blob")."""
    digest = _HASHES[hash_name](message).digest()
    return _MAGIC + b"".join(map(encode_string, (namespace, reserved, hash_name.encode(), digest)))


def signature_of(code: bytes, wire: bytes) -> Signature:
    """Return the signature that an Ed25519 key made of `signed_data`."""
    return Signature(wire, NAMESPACE.encode(), b"", _HASH, encode_string(ED25519.encode()) + encode_string(code))


def public_key(wire: bytes) -> Ed25519PublicKey:
    """Return an Ed25519 key as `cryptography` has it. RFC 8709, 4. Raises `FormatError`."""
    cursor = Cursor(wire)
    string(cursor, "type")
    raw = string(cursor, "public key")
    if len(raw) != _KEY_SIZE or cursor.left:
        raise _fault("names a key that is damaged")
    return Ed25519PublicKey.from_public_bytes(raw)


def fingerprint(wire: bytes) -> str:
    """Return a public key's fingerprint, as ssh-keygen -l shows it."""
    return "SHA256:" + binascii.b2a_base64(hashlib.sha256(wire).digest(), newline=False).rstrip(b"=").decode()


def encode_string(data: bytes) -> bytes:
    """Return a string as SSH has it. RFC 4251, 5."""
    return len(data).to_bytes(4) + data


def _fault(what: str) -> FormatError:
    return FormatError(f"the signature {what}", spec="PROTOCOL.sshsig")
