"""Who opens a file: all kinds of identities, how they are written, and how the file key is found with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from strongroom import sshkey
from strongroom.errors import LimitError, UnsupportedError, WrongKeyError
from strongroom.formats.age import bech32, hybrid, keys, passphrase, recipients, ssh, x25519
from strongroom.memory.secret import Secret, SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from strongroom.formats.age.spec import Header, Stanza
    from strongroom.memory.slots import Slots

_BEGINNING: Final = 24  # what of a line says its kind
_PLUGIN: Final = "age-plugin-"
_MOST_TRIES: Final = 1 << 13  # of 0.1 ms with X25519: a header has room for three times as many stanzas
_LONGEST_NAME: Final = 24  # of a plugin
_MOST: Final = 1 << 12  # identities in a file, each in memory of its own
_PUBLIC: Final = (b"age1", b"ssh-", b"sk-ssh-", b"ecdsa-sha2-")
_PEM: Final = b"-----BEGIN "
LARGEST_FILE: Final = 1 << 20
"""Of a file of identities; one takes a line of 80 bytes."""
_KINDS: Final[dict[str, type[x25519.X25519Identity | hybrid.HybridIdentity]]] = {
    x25519.IDENTITY_PREFIX: x25519.X25519Identity,
    hybrid.IDENTITY_PREFIX: hybrid.HybridIdentity,
}
assert x25519.SIZE == hybrid.SIZE  # noqa: S101 - both are seeds of 32 bytes


class Identity(Protocol):
    """Opens files that were encrypted to its recipient. `kind` is that of its stanzas; `close` wipes its secret."""

    kind: str

    @property
    def recipient(self) -> str:
        """To whom others encrypt; raises `ValueError` where that is nobody."""
        ...

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """Put the file key into `file_key`, which is to be wiped; False where the stanzas are somebody else's.

        All `stanzas` are of its kind. `slots` have `keys.SLOT` bytes each.

        Raises `FormatError` for a stanza that breaks the rules of its kind, `LimitError`.
        """
        ...

    def close(self) -> None:
        """Wipe the secret."""
        ...


class Native(Protocol):
    """An identity of age's own: 32 bytes in Bech32."""

    secret: SecretBuffer

    @property
    def prefix(self) -> str:
        """What its text begins with, in small letters."""
        ...


def unwrap(header: Header, identities: Iterable[Identity], file_key: memoryview) -> None:
    """Find the file key, and put it into `file_key`. Its header's MAC is still to be checked.

    Raises `WrongKeyError` where no identity fits, `FormatError`, `LimitError`.
    """
    passphrase.check_alone(header.stanzas)
    tries = 0
    identities = tuple(identities)
    with keys.slots() as slots:
        for identity in identities:
            own = [stanza for stanza in header.stanzas if stanza.kind == identity.kind]
            tries += len(own)
            if tries > _MOST_TRIES:
                message = f"the header has so many recipients that the identities take more than {_MOST_TRIES} tries"
                raise LimitError(message)
            if own and identity.unwrap(own, file_key, slots):
                return
    kinds = ", ".join(sorted({stanza.kind for stanza in header.stanzas if stanza.kind.replace("-", "").isalnum()})[:5])
    if any(stanza.kind == passphrase.KIND for stanza in header.stanzas):
        if any(identity.kind == passphrase.KIND for identity in identities):
            message = "the password does not fit"
            raise WrongKeyError(message)
        message = "no identity fits: the file takes a password"
        raise WrongKeyError(message, password=True)
    message = f"no identity fits; the file is encrypted to recipients of other kinds or keys ({kinds})"
    raise WrongKeyError(message, identity=True)


def parse(text: memoryview) -> x25519.X25519Identity | hybrid.HybridIdentity:
    """Return the identity in a line: `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`.

    Raises `ValueError`, which does not show the line, and `UnsupportedError` for a plugin's.
    """
    if bytes(text[: len(_PUBLIC[-1])]).startswith(_PUBLIC):
        message = "that is a public key, and an identity is the secret one"
        raise ValueError(message)
    if len(text) < _BEGINNING:
        message = "a line is no identity"
        raise ValueError(message)
    start = bytes(text[: len(_PLUGIN)]).decode("ascii", "replace").lower()
    if start == _PLUGIN:
        name = bech32.prefix(text).removeprefix(_PLUGIN).rstrip("-")[:_LONGEST_NAME]  # a key may be glued to it
        message = f"identities of type {_PLUGIN}{name} take age's plugin, and plugins are not run here"
        raise UnsupportedError(message)
    kind = bech32.prefix(text)
    make = _KINDS.get(kind)
    if make is None:
        message = "a line is no identity: those begin with AGE-SECRET-KEY-1 or AGE-SECRET-KEY-PQ-1"
        raise ValueError(message)
    secret = SecretBuffer(x25519.SIZE)
    try:
        with memoryview(secret) as view:
            bech32.decode_into(text, view)
        return make(secret)
    except BaseException:
        secret.close()
        raise


def parse_file(data: memoryview, name: str, ask: Callable[[], Secret] | None = None) -> list[Identity]:
    """Return the identities in a file: one a line, comments begin with "#"; or an SSH key's file.

    `ask` is asked for the passphrase of an SSH key that has one: once, where an age file is for that key. A file that
    is itself encrypted is for `envelope.open_identities`. The caller wipes `data`. Raises `ValueError` that says which
    line; `UnsupportedError`, `FormatError`, `WrongKeyError`.
    """
    if len(data) > LARGEST_FILE:
        message = f"{name!r} has more than {LARGEST_FILE} bytes"
        raise ValueError(message)
    if bytes(data[: len(_PEM)]) == _PEM:
        return [_parse_ssh(data, ask)]
    found: list[Identity] = []
    try:
        for number, line in recipients.lines(data):
            if len(found) == _MOST:
                message = f"{name!r} has more than {_MOST} identities"
                raise LimitError(message)  # noqa: TRY301 - those that were read are closed below
            try:
                found.append(parse(line))
            except ValueError as error:
                message = f"{name!r}, line {number}: {error}"
                raise ValueError(message) from None
    except BaseException:
        close(found)
        raise
    if not found:
        message = f"{name!r} has no identities"
        raise ValueError(message)
    return found


def close(identities: Sequence[Identity]) -> None:
    """Wipe all of them."""
    for identity in identities:
        identity.close()


def generate(*, classic: bool = False) -> x25519.X25519Identity | hybrid.HybridIdentity:
    """Make a new identity: post-quantum, or with `classic` X25519, which every version of age opens files with."""
    secret = SecretBuffer.random(x25519.SIZE)
    try:
        return x25519.X25519Identity(secret) if classic else hybrid.HybridIdentity(secret)
    except BaseException:
        secret.close()
        raise


def encode(identity: Native) -> Secret:
    """Return the text of an identity, in capital letters as age writes it; the caller closes it."""
    with memoryview(identity.secret) as secret, SecretBuffer(bech32.length(identity.prefix, len(secret))) as lower:
        with memoryview(lower) as text:
            bech32.encode_into(identity.prefix, secret, text)
            for place, byte in enumerate(text):
                if ord("a") <= byte <= ord("z"):
                    text[place] = byte - 0x20
        return Secret(lower)


def _parse_ssh(data: memoryview, ask: Callable[[], Secret] | None) -> Identity:
    if not sshkey.is_encrypted(data):
        return ssh.parse_identity(data)
    if ask is None:
        message = "the SSH key takes a passphrase, and there is none"
        raise WrongKeyError(message)
    if len(data) <= sshkey.LONGEST_KEY and sshkey.is_openssh(data):
        return ssh.EncryptedIdentity(data, ask)
    with ask() as phrase:
        return ssh.parse_identity(data, phrase)
