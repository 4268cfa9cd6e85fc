"""To whom a file is encrypted: all kinds of recipients, how they are written, and which go together."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from strongroom import sshkey
from strongroom.errors import StrongroomWarning, UnsupportedError
from strongroom.formats.age import bech32, hybrid, keys, ssh, tag, x25519
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.age.spec import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from strongroom.formats.age.spec import Stanza

LARGEST_FILE: Final = 16 << 20
"""Bytes of a file of keys, as in age (cmd/age/parse.go, parseRecipientsFile)."""
LONGEST_LINE: Final = 8 << 10
_OPENS: Final = "age-secret-key-"
_IDENTITIES: Final = ("age-plugin-", "-----begin")
_MIXED_UP: Final = "this is a secret identity, and not the recipient that belongs to it: never pass it on"
_NATIVE: Final = "age1"
_PRE_QUANTUM: Final = "would give up what the post-quantum recipients are for"


class Recipient(Protocol):
    """Who can open a file, by a public key or a passphrase. Its `str` is what `parse` reads, but for a passphrase."""

    @property
    def post_quantum(self) -> bool:
        """Whether a quantum computer leaves it secure."""
        ...

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:
        """Return the stanza that lets it open the file. `random` makes what has to be new each time."""
        ...


_Key = TypeVar("_Key", x25519.X25519Recipient, hybrid.HybridRecipient, tag.TagRecipient)


def parse(text: str) -> Recipient:
    """Return the recipient that `text` names: `age1…`, `age1pq1…`, `age1tag1…`, or a line of authorized_keys.

    Raises `ValueError`, and `UnsupportedError` for a plugin's.
    """
    text = text.strip()
    if _is_identity(text):
        raise ValueError(_MIXED_UP)
    if text.startswith("ssh-") or sshkey.key_type(text) is not None:
        return ssh.parse_recipient(text)
    if not text.startswith(_NATIVE):
        message = f"{text[:40]!r} is no recipient: age1…, ssh-ed25519 … or ssh-rsa …"
        raise ValueError(message)
    try:
        kind = bech32.prefix(memoryview(text.encode()))
        if kind == x25519.RECIPIENT_PREFIX:
            return _key(text, x25519.SIZE, x25519.X25519Recipient)
        if kind == hybrid.RECIPIENT_PREFIX:
            return _key(text, hybrid.PUBLIC_SIZE, hybrid.HybridRecipient)
        if kind == tag.RECIPIENT_PREFIX:
            return _key(text, tag.SIZE, tag.TagRecipient)
    except ValueError as error:
        message = f"recipient {text[:40]!r}: {error}"
        raise ValueError(message) from None
    if kind == "age1tagpq":
        message = "recipients of type age1tagpq take ML-KEM-768 with P-256, which is not done here"
    else:
        message = f"recipients of type {kind} take age's plugin age-plugin-{kind.removeprefix('age1')}"
        message += ", and plugins are not run here"
    raise UnsupportedError(message)


def parse_file(data: bytes, name: str) -> list[Recipient]:
    """Return the recipients in a file: one a line, comments begin with "#". `name` is what errors call the file.

    SSH keys of types that age does not use are left out, with a warning each. Raises `ValueError` that says which line,
    and not what is in it, since the file may be none of recipients; `UnsupportedError`.
    """
    if len(data) > LARGEST_FILE:
        message = f"{name!r} has more than {LARGEST_FILE} bytes"
        raise ValueError(message)
    found: list[Recipient] = []
    for number, line in lines(memoryview(data)):
        try:
            text = bytes(line).decode()
            if len(line) > LONGEST_LINE:
                raise ValueError  # noqa: TRY301 - one message for all
            try:
                found.append(parse(text))
            except UnsupportedError:
                kind = sshkey.key_type(text)
                if kind is None:
                    raise
                message = f"{name!r}, line {number}: SSH keys of type {kind!r} are left out"
                warnings.warn(message, StrongroomWarning, stacklevel=2)
        except ValueError:
            what = _MIXED_UP if _is_identity(bytes(line[:LONGEST_LINE]).decode(errors="replace")) else "no recipient"
            message = f"{name!r}, line {number}: {what}"
            raise ValueError(message) from None
    if not found:
        message = f"{name!r} has no recipients"
        raise ValueError(message)
    return found


def lines(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Give the lines of a file of keys with their numbers, without blank ones and comments. Makes no copies."""
    start = number = 0
    while start < len(data):
        end = next((place for place in range(start, len(data)) if data[place] == 0x0A), len(data))  # noqa: PLR2004 - LF
        line, start, number = data[start:end], end + 1, number + 1
        if line and line[-1] == 0x0D:  # noqa: PLR2004 - CR
            line = line[:-1]
        if any(byte not in b" \t" for byte in line) and line[0] != ord("#"):
            yield number, line


def check(recipients: Sequence[Recipient]) -> None:
    """Raise `ValueError` for recipients that do not go together. age, "Native recipient types"."""
    if not recipients:
        message = "a file is encrypted to at least one recipient"
        raise ValueError(message)
    if len(recipients) > 1 and any(isinstance(recipient, ScryptRecipient) for recipient in recipients):
        message = "a password stands alone: whoever knows it vouches for the file"
        raise ValueError(message)
    if len({recipient.post_quantum for recipient in recipients}) > 1:
        weak = next(str(recipient)[:24] for recipient in recipients if not recipient.post_quantum)
        message = f"recipient {weak!r} is not post-quantum, and {_PRE_QUANTUM}"
        raise ValueError(message)


def make_header(recipients: Sequence[Recipient], file_key: memoryview, random: Callable[[int], bytes]) -> Header:
    """Return the header that gives `file_key` to `recipients`. Raises `ValueError` as `check` does."""
    check(recipients)
    stanzas = tuple(recipient.wrap(file_key, random) for recipient in recipients)
    return Header(stanzas, keys.header_mac(stanzas, file_key))


def _is_identity(text: str) -> bool:
    text = text.strip().lower()
    return text.startswith(_IDENTITIES) or _OPENS in text  # anywhere: errors quote the start of what they refuse


def _key(text: str, size: int, kind: Callable[[bytes], _Key]) -> _Key:
    data = bech32.decode(text)
    if len(data) != size:
        message = f"has {len(data)} bytes, expected {size}"
        raise ValueError(message)
    return kind(data)
