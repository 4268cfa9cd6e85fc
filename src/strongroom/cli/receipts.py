"""Receipts on the command line: the options for making one and for checking one, and what is said of it."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.options import PATH, STDIO, Verb
from strongroom.cli.passwords import TRIES, ask_passphrase, warn_of_readers
from strongroom.cli.terminal import Terminal
from strongroom.cli.units import count
from strongroom.errors import FormatError, UnsupportedError, WrongKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret
    from strongroom.receipt import Checked, Request, Signer


class Wanted(NamedTuple):
    """The receipt that `seal` is to make: where, signed with which key, and whether without the list of entries."""

    path: str | None
    key: str | None
    brief: bool

    def check(self, archive: str) -> None:
        """Raise `Misuse` for options that do not go together."""
        if self.path is None:
            if self.key is not None or self.brief:
                message = f"--receipt-{'brief' if self.key is None else 'key'} goes with --receipt FILE"
                raise Misuse(message)
            return
        if STDIO in (archive, self.path):
            message = "a receipt is a file, of an archive that is one: standard output cannot be read again"
            raise Misuse(message)

    def request(self, signer: Signer | None) -> Request | None:
        """Return what the library is asked for."""
        if self.path is None:
            return None
        from strongroom.receipt import Request  # noqa: PLC0415 - few runs need it

        return Request(self.path, signer, self.brief)

    def signer(self) -> Signer | None:
        """Load the key that signs; on a terminal its passphrase is asked for, up to three times."""
        if self.key is None:
            return None
        from strongroom.receipt import Signer  # noqa: PLC0415 - few runs need it

        path = Path(self.key)
        asked: list[str] = []
        for left in reversed(range(TRIES)):
            try:
                signer = Signer(path, ask=_asking(asked))
            except WrongKeyError:
                if not asked or not left:
                    raise
                with Terminal() as terminal:
                    terminal.say(f"That is not the passphrase; {count(left, 'try', 'tries')} left.")
            except (FormatError, UnsupportedError) as error:
                notes: list[str] = getattr(error, "__notes__", [])
                hint = notes[0] if notes else "ssh-keygen -t ed25519 makes a key that signs receipts"
                message = str(error) if self.key in str(error) else f"{self.key}: {error}"
                raise Failure(message, hint=hint) from error
            else:
                warn_of_readers(f"the key {self.key!r}", path.stat().st_mode)
                return signer
        raise AssertionError


def _asking(asked: list[str]) -> Callable[[str], Secret]:
    def ask(name: str) -> Secret:
        try:
            phrase = ask_passphrase(name)
        except Misuse as error:
            message = f"the key {name!r} has a passphrase, and there is no terminal to ask for it on"
            hint = "seal without --receipt-key, and sign later: docs/evidence.md has the command of ssh-keygen"
            raise Failure(message, hint=hint) from error
        asked.append(name)
        return phrase

    return ask


class Given(NamedTuple):
    """The receipt that `verify` is to hold against the archive, and who has to have signed it."""

    path: str | None
    signers: str | None
    signer: str | None

    def check(self, archive: str) -> None:
        """Raise `Misuse` for options that do not go together."""
        if self.path is None and (self.signers, self.signer) != (None, None):
            message = "--allowed-signers and --signer go with --receipt FILE"
            raise Misuse(message)
        if self.signer is not None and self.signers is None:
            message = "--signer names one of the signers in a file, which --allowed-signers names"
            raise Misuse(message)
        if self.path is not None and archive == STDIO:
            message = "a receipt is checked against a file, and standard input is none"
            raise Misuse(message)

    def hold_against(
        self, archive: str, limits: Limits, progress: Callable[[int, int | None], object]
    ) -> Checked | None:
        """Check it; the library's errors say what is wrong with its own files."""
        if self.path is None:
            return None
        from strongroom.receipt import check  # noqa: PLC0415 - few runs need it

        try:
            return check(
                archive, self.path, allowed_signers=self.signers, signer=self.signer, limits=limits, progress=progress
            )
        except FormatError as error:
            error.add_note("get that file again from who made it: the archive was not looked at")
            raise


def receipt_making_options(verb: Verb) -> Verb:
    """Add the options that have a receipt made; `verb` gets them as `wanted`."""

    @click.option(
        "--receipt",
        type=PATH,
        metavar="FILE",
        help="Write a receipt: the SHA-256 of ARCHIVE as the disk gives it back, its entries, the time. It shows names"
        " also where ARCHIVE hides them.",
    )
    @click.option(
        "--receipt-key",
        type=PATH,
        metavar="KEYFILE",
        help="Sign it with an ed25519 SSH key, into FILE.sig, which ssh-keygen -Y verify checks.",
    )
    @click.option("--receipt-brief", is_flag=True, help="Leave the list of entries out of it.")
    @wraps(verb)
    def with_receipt(*, receipt: str | None, receipt_key: str | None, receipt_brief: bool, **rest: object) -> None:
        verb(wanted=Wanted(receipt, receipt_key, receipt_brief), **rest)

    return with_receipt


def receipt_checking_options(verb: Verb) -> Verb:
    """Add the options that hold a receipt against the archive; `verb` gets them as `given`."""

    @click.option(
        "--receipt",
        type=PATH,
        metavar="FILE",
        help="Check that ARCHIVE is the one that this receipt is of, and FILE.sig if it is there. It takes no password;"
        " with one, or an identity, everything in ARCHIVE is read as well.",
    )
    @click.option(
        "--allowed-signers",
        type=PATH,
        metavar="FILE",
        help="The receipt has to be signed by a key in FILE, which ssh-keygen -Y verify takes as well, or which is a"
        " public key.",
    )
    @click.option("--signer", metavar="NAME", help="It has to be that of NAME, as FILE has it.")
    @wraps(verb)
    def with_receipt(*, receipt: str | None, allowed_signers: str | None, signer: str | None, **rest: object) -> None:
        verb(given=Given(receipt, allowed_signers, signer), **rest)

    return with_receipt


def describe(checked: Checked, archive: str) -> str:
    """Say in a line what a receipt that holds is worth."""
    signed = {
        "trusted": f"signed by {checked.signer or checked.key}",
        "unknown": f"signed by {checked.key}, whom nobody vouches for here",
        "absent": "not signed",
        "bad": "",
    }[checked.signature]
    return f"{archive}: as the receipt says, sealed {checked.receipt.sealed:%Y-%m-%d %H:%M:%S} UTC, {signed}"


def as_json(checked: Checked) -> dict[str, object]:
    """Return what programs are told of a receipt."""
    return {
        "ok": checked.ok,
        "sha256": checked.receipt.sha256,
        "sealed": checked.receipt.sealed.isoformat(),
        "signature": checked.signature,
        "key": checked.key,
        "signer": checked.signer or None,
    }
