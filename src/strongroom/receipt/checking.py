"""Holds a receipt against an archive, and a signature against the receipt. Neither takes the archive's password."""

from __future__ import annotations

import hmac
import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError
from strongroom.limits import Limits
from strongroom.receipt import allowed, sshsig
from strongroom.receipt.spec import Receipt
from strongroom.source import digest, open_source, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.receipt.sshsig import Signature

SignatureState = Literal["trusted", "unknown", "absent", "bad"]
"""`trusted`: it holds, and is by one of the allowed signers. `unknown`: it holds, by a key that nobody here vouches
for. `absent`: there is none. `bad`: it does not hold, or is by none of the allowed signers."""

_SKEW: Final = timedelta(minutes=10)  # between two machines' clocks


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a receipt: `findings` say in words what does not hold.

    `key` is the fingerprint of the key that signed it, where there is a signature that could be read; `signer` is who
    that is, as the file of allowed signers has it.
    """

    receipt: Receipt
    signature: SignatureState
    key: str | None
    signer: str
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all of it holds. That a receipt is not signed is no finding, unless signers were named."""
        return not self.findings


def check(  # noqa: PLR0913 - keyword-only, and the public API
    archive: str | os.PathLike[str] | BinaryIO,
    receipt: str | os.PathLike[str],
    *,
    signature: str | os.PathLike[str] | None = None,
    allowed_signers: str | os.PathLike[str] | None = None,
    signer: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Checked:
    """Check that an archive is the one that a receipt is of, and that the receipt's signature holds.

    It reads the whole file, and needs no password: who holds the bytes of an archive against its receipt need not be
    able to open it. `Receipt.differences` compares the entries, where they can be listed.

    archive          a path or a binary stream
    receipt          the path of the receipt
    signature        that of its signature; by default the receipt's with `.sig`, where that is there
    allowed_signers  a file as `ssh-keygen -Y verify` has it, or of public keys: the receipt has to be signed by one
    signer           the name of the one that it has to be signed by, as that file has it
    progress         called as `progress(done, total)` with bytes of the archive

    Raises `FormatError`, `LimitError` for what is no receipt, no signature or no file of signers, `UnsupportedError`
    for signatures by other keys than Ed25519, `OSError` where a file cannot be read, `ValueError` for a `signer`
    without `allowed_signers`.
    """
    if signer is not None and allowed_signers is None:
        message = "a signer is one of the allowed signers, whose file is missing"
        raise ValueError(message)
    limits = limits or Limits()
    signers = None
    if allowed_signers is not None:
        signers = allowed.decode(_read(allowed_signers, allowed.LARGEST, "the file of signers"))
    data = _read(receipt, limits.header_size, "the receipt")
    found = Receipt.decode(data, limits)
    state, key, who, findings = _check_signature(data, _signature(receipt, signature), signers, signer)
    now = datetime.now(UTC)
    if found.sealed > now + _SKEW:
        findings.append(f"the receipt is from the future: sealed {found.sealed.isoformat()}, and now is {_text(now)}")
    with closing(open_source(archive, limits)) as source:
        size = source.size
        computed = digest(source, lambda done: None if progress is None else progress(done, size))
    if size != found.size:
        findings.append(f"the archive has {size} bytes, and the receipt is of one that has {found.size}")
    if not hmac.compare_digest(computed.hex(), found.sha256):
        findings.append("the archive is not the one that the receipt is of: its SHA-256 is another one")
    return Checked(found, state, key, who, tuple(findings))


def _check_signature(
    data: bytes, signature: Signature | None, signers: list[allowed.Allowed] | None, name: str | None
) -> tuple[SignatureState, str | None, str, list[str]]:
    """Return the state, the key's fingerprint, who signed, and what is wrong."""
    if signature is None:
        findings = [] if signers is None else ["the receipt is not signed, and one of the signers should have done so"]
        return "absent", None, "", findings
    key = sshsig.fingerprint(signature.wire)
    try:
        signature.check(data)
    except UnsupportedError:
        raise
    except StrongroomError as error:
        return "bad", key, "", [str(error)]
    if signers is None:
        return "unknown", key, "", []
    who, reason = allowed.judge(signers, signature.wire, name, datetime.now(UTC))
    return ("trusted", key, who, []) if reason is None else ("bad", key, "", [reason])


def _signature(receipt: str | os.PathLike[str], path: str | os.PathLike[str] | None) -> Signature | None:
    beside = path is None
    place = os.fsdecode(receipt) + sshsig.SUFFIX if path is None else path
    try:
        data = _read(place, sshsig.LARGEST, "the signature")
    except FileNotFoundError:
        if beside:
            return None
        raise
    return sshsig.Signature.decode(data)


def _read(path: str | os.PathLike[str], largest: int, what: str) -> bytes:
    with closing(open_source(path, Limits(memory_size=largest))) as source:
        if source.size > largest:
            message = f"{what} has {source.size} bytes, and at most {largest} are read"
            raise LimitError(message)
        if not source.size:
            message = f"{what} is empty"
            raise FormatError(message)
        return read(source, 0, source.size)


def _text(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()
