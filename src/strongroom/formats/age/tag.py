"""Recipients on hardware keys, to encrypt only. age, "The tagged recipient types"."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from strongroom.formats.age import bech32
from strongroom.formats.age.spec import Stanza, encode_base64

if TYPE_CHECKING:
    from collections.abc import Callable

KIND: Final = "p256tag"
RECIPIENT_PREFIX: Final = "age1tag"
SIZE: Final = 33
_INFO: Final = b"age-encryption.org/p256tag"
_ENCAPSULATED: Final = 65  # an uncompressed point
_TAG: Final = 4


class TagRecipient:
    """A public key, `age1tag1…`: a compressed point of P-256. Raises `ValueError` for anything else."""

    post_quantum = False

    def __init__(self, public: bytes) -> None:
        self._public = public
        if public[:1] not in (b"\x02", b"\x03"):
            message = "the recipient is no compressed point of P-256"
            raise ValueError(message)
        self._key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public)

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:  # noqa: ARG002 - HPKE's is its own
        """See `recipients.Recipient`. age, "p256tag recipient stanza"."""
        sealed = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305).encrypt(file_key, self._key, _INFO)
        encapsulated, body = sealed[:_ENCAPSULATED], sealed[_ENCAPSULATED:]
        # HKDF-Extract is HMAC, with the salt as its key. RFC 5869, 2.2
        tag = hmac.digest(_INFO, encapsulated + hashlib.sha256(self._public).digest()[:_TAG], "sha256")[:_TAG]
        return Stanza(KIND, (encode_base64(tag), encode_base64(encapsulated)), body)

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self._public)
