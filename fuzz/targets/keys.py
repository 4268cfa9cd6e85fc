"""Files of identities and recipients, SSH's too. What is wrong with them is said, and nothing of what stands there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fuzz.reading import LIMITS, corpus
from strongroom.errors import StrongroomError
from strongroom.formats.age import envelope, identities, recipients
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.memory.secret import Secret
from tests import agecraft

PHRASE: Final = "phrase"
SECRETS: Final = re.compile(r"AGE-SECRET-KEY-(?:PQ-)?1([A-Z0-9]{16,})")
_SHOWN: Final = 8


def seeds() -> Iterator[bytes]:
    """Give files of each kind of key."""
    for text in (agecraft.X25519, agecraft.HYBRID, agecraft.X25519_RECIPIENT, agecraft.TAG_RECIPIENT):
        yield f"# a comment\n{text}\r\n\n{text}\n".encode()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    yield key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" name@host\n"
    locked: KeySerializationEncryption
    for locked in (NoEncryption(), BestAvailableEncryption(PHRASE.encode())):
        for form in (PrivateFormat.OpenSSH, PrivateFormat.PKCS8):
            yield key.private_bytes(Encoding.PEM, form, locked)
    with Secret(PHRASE) as phrase:
        sealed = [ScryptRecipient(phrase, log_n=1)]
        for armored in (False, True):
            yield agecraft.seal(agecraft.X25519.encode(), sealed, armored=armored)
    yield from corpus("age", "*keys.txt")


def one(data: bytes) -> None:
    """Read it as a file of identities, and as one of recipients."""

    def own() -> None:
        found = envelope.open_identities(agecraft.source(data), "a file", lambda: Secret(PHRASE), LIMITS)
        with_recipients = [identity.recipient for identity in found]
        identities.close(found)
        assert all(with_recipients)

    _tell_nothing(data, own)
    _tell_nothing(data, lambda: recipients.parse_file(data, "a file"))


def _tell_nothing(data: bytes, read: Callable[[], object]) -> None:
    try:
        read()
    except (StrongroomError, ValueError) as error:
        if not isinstance(error, StrongroomError) and type(error) is not ValueError:
            raise
        told, text = str(error).upper(), data.decode("latin-1").upper()
        public = SECRETS.sub("", text)
        for secret in SECRETS.findall(text):
            for part in (secret[:_SHOWN], secret[-_SHOWN:]):
                assert part not in told or part in public, told
