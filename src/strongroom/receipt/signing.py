"""Who signs receipts: an Ed25519 key of SSH, as ssh-keygen makes it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strongroom import sshkey
from strongroom.errors import FormatError, UnsupportedError, WrongKeyError
from strongroom.limits import Limits
from strongroom.memory.returned import move_into
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.receipt import sshsig
from strongroom.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

_SEED: Final = 32  # RFC 8032, 5.1.5


class Signer:
    """Signs with the private key in the file `key`, of OpenSSH or PEM, or in a `Secret` with its text.

    `ask` is called as `ask(name)` where it has a passphrase, and returns that in a `Secret`. A context manager;
    `close` wipes the key.

    Raises `FormatError`, `LimitError`, `UnsupportedError` for keys of other kinds, `WrongKeyError` where the passphrase
    does not fit or is missing, `OSError` where the file cannot be read, `TypeError` for other arguments.
    """

    def __init__(self, key: os.PathLike[str] | SecretBuffer, *, ask: Callable[[str], Secret] | None = None) -> None:
        if isinstance(key, SecretBuffer):
            with memoryview(key) as pem:
                private = _load(pem, "the SSH key", ask)
        else:
            private = _read(key, ask)
        if not isinstance(private, Ed25519PrivateKey):
            message = f"receipts are signed with keys of type {sshkey.ED25519}, and this is another one"
            error = UnsupportedError(message)
            error.add_note(
                f"ssh-keygen -Y sign -n {sshsig.NAMESPACE} -f KEY RECEIPT signs it with any key, once it is there"
            )
            raise error
        self._wire = sshkey.wire_of(private.public_key())
        self._seed = SecretBuffer(_SEED)
        with memoryview(self._seed) as seed:
            move_into(private.private_bytes_raw(), seed)

    @property
    def public_key(self) -> str:
        """The public key, as a line of allowed_signers has it behind the name."""
        import base64  # noqa: PLC0415 - few need it

        return f"{sshkey.ED25519} {base64.b64encode(self._wire).decode()}"

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, as ssh-keygen -l shows it."""
        return sshsig.fingerprint(self._wire)

    def sign(self, receipt: bytes) -> bytes:
        """Return the file of a signature of a receipt."""
        with memoryview(self._seed) as seed:
            private = Ed25519PrivateKey.from_private_bytes(seed)
        code = private.sign(sshsig.signed_data(receipt, sshsig.NAMESPACE.encode()))
        return sshsig.signature_of(code, self._wire).encode()

    def close(self) -> None:
        """Wipe the key."""
        self._seed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(path: os.PathLike[str], ask: Callable[[str], Secret] | None) -> object:
    if not isinstance(cast("object", path), os.PathLike):
        message = f"the key that signs is the path of a file, or a Secret with its text, not {type(path).__name__}"
        raise TypeError(message)
    name = os.fsdecode(path)
    with closing(open_source(path, Limits())) as source:
        if not 0 < source.size <= sshkey.LONGEST_KEY:
            message = f"{name!r} has {source.size} bytes, and is no private key of SSH"
            raise FormatError(message)
        with SecretBuffer(source.size) as text, memoryview(text) as pem:
            source.read_into(0, pem)
            return _load(pem, name, ask)


def _load(pem: memoryview, name: str, ask: Callable[[str], Secret] | None) -> object:
    if bytes(pem[:5]) in (b"ssh-e", b"ssh-r", b"ecdsa", b"sk-ss"):
        message = f"{name!r} is a public key, and the private one signs"
        raise FormatError(message)
    if not sshkey.is_encrypted(pem):
        return sshkey.load_private(pem)
    if ask is None:
        message = f"{name!r} takes a passphrase, and there is none"
        raise WrongKeyError(message)
    with ask(name) as phrase:
        return sshkey.load_private(pem, phrase)
