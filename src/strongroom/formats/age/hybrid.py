"""Post-quantum recipients and identities. age, "The MLKEM768-X25519 (i.e. X-Wing) hybrid post-quantum recipient type".

HPKE is `cryptography`'s, whose sender takes no randomness from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from strongroom.errors import UnsupportedError
from strongroom.formats.age import bech32, keys
from strongroom.formats.age.spec import Stanza, encode_base64
from strongroom.memory.returned import move_into

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.memory.secret import SecretBuffer
    from strongroom.memory.slots import Slots

KIND: Final = "mlkem768x25519"
RECIPIENT_PREFIX: Final = "age1pq"
IDENTITY_PREFIX: Final = "age-secret-key-pq-"
SIZE: Final = 32
_INFO: Final = b"age-encryption.org/mlkem768x25519"
_LATTICE_SEED: Final = 64  # d and z; FIPS 203, 7.1
_LATTICE_PUBLIC: Final = 1184
_LATTICE_CIPHERTEXT: Final = 1088
_CURVE: Final = 32
PUBLIC_SIZE: Final = _LATTICE_PUBLIC + _CURVE
_ENCAPSULATED: Final = _LATTICE_CIPHERTEXT + _CURVE


class HybridRecipient:
    """A public key, `age1pq1…`: the ML-KEM-768 encapsulation key, then the X25519 one."""

    post_quantum = True

    def __init__(self, public: bytes) -> None:
        self._public = public
        try:
            lattice = MLKEM768PublicKey.from_public_bytes(public[:_LATTICE_PUBLIC])
        except UnsupportedAlgorithm:
            raise _unsupported() from None
        self._key = MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(public[_LATTICE_PUBLIC:]))

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:  # noqa: ARG002 - HPKE's is its own
        """See `recipients.Recipient`. age, "mlkem768x25519 recipient stanza"."""
        sealed = _suite().encrypt(file_key, self._key, _INFO)
        return Stanza(KIND, (encode_base64(sealed[:_ENCAPSULATED]),), sealed[_ENCAPSULATED:])

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self._public)


class HybridIdentity:
    """A secret key, `AGE-SECRET-KEY-PQ-1…`. Takes over `secret`; `close` wipes it."""

    kind = KIND

    def __init__(self, secret: SecretBuffer) -> None:
        self.secret = secret
        lattice, curve = self._expand()
        self._public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    @property
    def prefix(self) -> str:
        """See `identities.Native`."""
        return IDENTITY_PREFIX

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        return bech32.encode(RECIPIENT_PREFIX, self._public)

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """See `identities.Identity`. age, "mlkem768x25519 recipient stanza"."""
        lattice, curve = self._expand()
        private = MLKEM768X25519PrivateKey(lattice, curve)
        return any(_unwrap(private, curve, stanza, file_key, slots) for stanza in stanzas)

    def close(self) -> None:
        """See `identities.Identity`."""
        self.secret.close()

    def _expand(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        """Return the two secret keys. draft-ietf-hpke-pq-03, "expandDecapsKeyG": SHAKE256 of the 32 bytes."""
        with keys.slots() as slots, keys.slot(slots, _LATTICE_SEED + _CURVE) as expanded:
            shake = Hash(SHAKE256(len(expanded)))
            with memoryview(self.secret) as secret:
                shake.update(secret)
            move_into(shake.finalize(), expanded)
            with expanded[:_LATTICE_SEED] as seed, expanded[_LATTICE_SEED:] as scalar:
                try:
                    lattice = MLKEM768PrivateKey.from_seed_bytes(seed)
                except UnsupportedAlgorithm:
                    raise _unsupported() from None
                return lattice, X25519PrivateKey.from_private_bytes(scalar)


def _unwrap(
    private: MLKEM768X25519PrivateKey, curve: X25519PrivateKey, stanza: Stanza, file_key: memoryview, slots: Slots
) -> bool:
    keys.check_shape(stanza, 1)
    encapsulated = keys.argument(stanza, 0, _ENCAPSULATED)
    with keys.slot(slots, _CURVE) as shared:
        try:  # HPKE says no more of this than of a wrong key
            share = X25519PublicKey.from_public_bytes(encapsulated[_LATTICE_CIPHERTEXT:])
            move_into(curve.exchange(share), shared)
        except ValueError:
            raise keys.fault(stanza, "the X25519 share is a point of low order") from None
    try:
        move_into(_suite().decrypt(encapsulated + stanza.body, private, _INFO), file_key)
    except InvalidTag:
        return False
    return True


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _unsupported() -> UnsupportedError:
    return UnsupportedError("the cryptography library here is built without ML-KEM, which post-quantum keys need")
