"""X25519 recipients and identities. age, "The X25519 recipient type"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from strongroom.formats.age import bech32, keys
from strongroom.formats.age.spec import Stanza, encode_base64
from strongroom.memory.returned import move_into
from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.memory.slots import Slots

KIND: Final = "X25519"
RECIPIENT_PREFIX: Final = "age"
IDENTITY_PREFIX: Final = "age-secret-key-"
SIZE: Final = 32
_INFO: Final = b"age-encryption.org/v1/X25519"


class X25519Recipient:
    """A public key, `age1…`."""

    post_quantum = False

    def __init__(self, public: bytes) -> None:
        self._public = public

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:
        """See `recipients.Recipient`. age, "X25519 recipient stanza"."""
        with keys.slots() as slots, keys.slot(slots, SIZE) as ephemeral, keys.slot(slots, keys.KEY_SIZE) as key:
            move_into(random(SIZE), ephemeral)
            private = X25519PrivateKey.from_private_bytes(ephemeral)
            share = private.public_key().public_bytes_raw()
            with keys.slot(slots, SIZE) as shared:
                try:
                    move_into(private.exchange(X25519PublicKey.from_public_bytes(self._public)), shared)
                except ValueError:
                    message = "the recipient is a point of low order, to which nothing can be encrypted"
                    raise ValueError(message) from None
                keys.derive(shared, share + self._public, _INFO, key)
            return Stanza(KIND, (encode_base64(share),), keys.wrap(key, file_key))

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self._public)


class X25519Identity:
    """A secret key, `AGE-SECRET-KEY-1…`. Takes over `secret`; `close` wipes it."""

    kind = KIND

    def __init__(self, secret: SecretBuffer) -> None:
        self.secret = secret
        with memoryview(secret) as view:
            self._public = X25519PrivateKey.from_private_bytes(view).public_key().public_bytes_raw()

    @property
    def prefix(self) -> str:
        """See `identities.Native`."""
        return IDENTITY_PREFIX

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        return bech32.encode(RECIPIENT_PREFIX, self._public)

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """See `identities.Identity`. age, "X25519 recipient stanza"."""
        with memoryview(self.secret) as secret:
            private = X25519PrivateKey.from_private_bytes(secret)
        return any(self._unwrap(private, stanza, file_key, slots) for stanza in stanzas)

    def close(self) -> None:
        """See `identities.Identity`."""
        self.secret.close()

    def _unwrap(self, private: X25519PrivateKey, stanza: Stanza, file_key: memoryview, slots: Slots) -> bool:
        keys.check_shape(stanza, 1)
        share = keys.argument(stanza, 0, SIZE)
        with keys.slot(slots, SIZE) as shared, keys.slot(slots, keys.KEY_SIZE) as key:
            try:
                move_into(private.exchange(X25519PublicKey.from_public_bytes(share)), shared)
            except ValueError:  # all zeros
                raise keys.fault(stanza, "the share is a point of low order") from None
            keys.derive(shared, share + self._public, _INFO, key)
            return keys.unwrap(key, stanza.body, file_key)
