"""Explains an age file without its password or identity."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from strongroom import sshkey
from strongroom.errors import FormatError, LimitError
from strongroom.formats.age import hybrid, passphrase, tag, x25519
from strongroom.formats.age.armor import is_armored
from strongroom.formats.age.envelope import Sealed
from strongroom.formats.facts import Cipher, Derivation, Inspection, Tool, Weakness, Weaknesses, plural, structure

if TYPE_CHECKING:
    from strongroom.formats.age.spec import Stanza
    from strongroom.limits import Limits
    from strongroom.source import Source

_NAMES: Final = {
    passphrase.KIND: "passphrase (scrypt)",
    x25519.KIND: "X25519",
    hybrid.KIND: "ML-KEM-768 with X25519",
    sshkey.ED25519: "SSH Ed25519",
    sshkey.RSA: "SSH RSA",
    tag.KIND: "P-256 (hardware key)",
}
_GREASE: Final = "-grease"
_SAFE: Final = {passphrase.KIND, hybrid.KIND}
_SHOWN_KINDS: Final = 10


def inspect(source: Source, limits: Limits) -> Inspection:
    """Explain a file. What the reader would refuse is a weakness here. Raises `FormatError` for what is no age file."""
    armored = is_armored(source)
    try:
        sealed = Sealed(source, limits)
        passphrase.check_alone(sealed.header.stanzas)
        derivations = [
            _derivation(stanza, limits) for stanza in sealed.header.stanzas if stanza.kind == passphrase.KIND
        ]
    except (FormatError, LimitError) as error:
        weak = structure([str(error)])
        if isinstance(error, LimitError):
            weak = (Weakness("limit", "note", str(error)),)
        return Inspection(description=_description(armored=armored), manifest="unneeded", weaknesses=weak)
    kinds = Counter(stanza.kind for stanza in sealed.header.stanzas if not stanza.kind.endswith(_GREASE))
    return Inspection(
        description=_description(armored=armored),
        ciphers=(Cipher("ChaCha20-Poly1305, 64 KiB chunks"),),
        derivations=tuple(derivations),
        recipients=_recipients(kinds),
        visible=(f"size of the contents ({sealed.size:,} bytes)", "number and kinds of recipients"),
        hidden=("contents", "names", "dates"),
        manifest="unneeded",
        weaknesses=tuple(_weaknesses(kinds, derivations)),
        tools=_tools(kinds),
    )


def recipient_count(source: Source, limits: Limits) -> int:
    """Return how many recipients a file has: none, where it takes a password. Raises as `Sealed`."""
    kinds = [stanza.kind for stanza in Sealed(source, limits).header.stanzas]
    return sum(kind != passphrase.KIND and not kind.endswith(_GREASE) for kind in kinds)


def _description(*, armored: bool) -> str:
    return "age file" + ", armored" * armored


def _derivation(stanza: Stanza, limits: Limits) -> Derivation:
    salt, log_n = passphrase.parameters(stanza, limits)
    return Derivation("scrypt", 1 << log_n, len(salt), "passphrase")


def _recipients(kinds: Counter[str]) -> tuple[str, ...]:
    named = [(_NAMES.get(kind, f"{kind[:40]} (of a plugin)"), count) for kind, count in sorted(kinds.items())]
    shown = tuple(f"{name}, {count} times" if count > 1 else name for name, count in named[:_SHOWN_KINDS])
    return shown if len(named) <= _SHOWN_KINDS else (*shown, f"{len(named) - _SHOWN_KINDS} more kinds")


def _weaknesses(kinds: Counter[str], derivations: list[Derivation]) -> list[Weakness]:
    gathered = Weaknesses()
    add = gathered.add
    usual = 1 << passphrase.LOG_N
    least = min((one.rounds for one in derivations), default=usual)
    text = f"scrypt with N = {least:,}, and age takes {usual:,}: passphrases are guessed faster"
    add("low-rounds", "weak", text, there=least < usual)
    text = "its recipients are not post-quantum: who keeps a copy may read it when there are quantum computers"
    add("not-post-quantum", "note", text, there=set(kinds) & set(_NAMES) - _SAFE)
    ssh_keys = kinds[sshkey.ED25519] + kinds[sshkey.RSA]
    text = f"{plural(ssh_keys, 'SSH key')} can be told from the file by who knows the public key"
    add("recipient-shown", "note", text, there=ssh_keys)
    text = "whoever has the public key can make such a file: nothing says who made this one"
    add("unknown-sender", "note", text, there=kinds and not kinds[passphrase.KIND])
    return gathered.found


def _tools(kinds: Counter[str]) -> tuple[Tool, ...]:
    ours = set(kinds) & set(_NAMES)
    plugin = None if not ours or ours == {tag.KIND} else True
    note = "with a plugin" if plugin is None else "1.3 or later" if ours == {hybrid.KIND} else ""
    classic = ours - {hybrid.KIND, tag.KIND}
    return (
        Tool("age", plugin, note),
        Tool("rage", True if classic else None, "" if classic else "newer kinds of keys"),
        *(Tool(tool, opens=False) for tool in ("7-Zip", "WinZip", "Windows Explorer", "macOS Archive Utility")),
    )
