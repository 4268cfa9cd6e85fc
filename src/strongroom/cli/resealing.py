"""What the verbs share that make an archive out of another one: its new keys, and when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from strongroom.cli.failure import Misuse
from strongroom.cli.options import STDIO, ReadingOptions
from strongroom.cli.passwords import PasswordOptions, password_for_sealing
from strongroom.cli.progress import Bar
from strongroom.cli.reading import Keys, with_keys
from strongroom.cli.recipients import Recipients
from strongroom.cli.strength import judge
from strongroom.cli.target import check_password, check_stdout, check_target
from strongroom.memory.secret import Secret

if TYPE_CHECKING:
    from strongroom.formats import Format
    from strongroom.room import OpenOptions

NewPassword = Secret | Callable[[], Secret] | None
Make = Callable[[str | BinaryIO, NewPassword, list[str], "OpenOptions"], None]
"""Makes the archive: out of that place, with the new password, or to recipients, opened so."""


class NewKeys(NamedTuple):
    """With what the new archive is sealed. `keep` says to keep the old password, if any, rather than to ask for one."""

    password: PasswordOptions
    recipients: Recipients
    keep: bool

    def check(self, archive: str, row: Format, password: PasswordOptions) -> None:
        """Raise `Misuse` for options that contradict each other."""
        self.password.check(stdin_is_data=archive == STDIO)
        self.recipients.check(self.password, row, stdin_is_data=archive == STDIO)
        if self.password.descriptor is not None and self.password.descriptor == password.descriptor:
            message = f"descriptor {password.descriptor} cannot give both passwords"
            raise Misuse(message)


def check_place(target: str, *, overwrite: bool, verify: bool, as_json: bool, force: bool) -> None:
    """Refuse what cannot become the new archive."""
    if target == STDIO:
        check_stdout(verify=verify, as_json=as_json, force=force)
    else:
        check_target(target, overwrite=overwrite)


def reseal(
    archive: str, target: str, row: Format, reading: ReadingOptions, new: NewKeys, *, make: Make, quiet: bool
) -> bool | None:
    """Have `make` seal anew what is in `archive`; return whether its recipients are post-quantum, None without any.

    A password that is typed is asked for once the old keys open the archive: who cannot open it need not think of one.
    """
    to, post_quantum = new.recipients.take(row)

    def typed() -> Secret:
        secret = password_for_sealing(new.password, target, "New password")
        try:
            check_password(row, secret)
            judge(secret, row, quiet=quiet)
        except BaseException:
            secret.close()
            raise
        return secret

    with (
        typed() if new.password.given else nullcontext() as given,
        Bar("checking", "sealing", "verifying", quiet=quiet) as bar,
    ):

        def use(place: str | BinaryIO, keys: Keys) -> bool:
            same = keys.password is not None and not keys.identities and new.keep
            options: OpenOptions = {
                "password": keys.password,
                "identities": keys.identities,
                "ask": keys.ask,
                "format": reading.format_name,
                "legacy": reading.legacy,
                "allow_plaintext": reading.allow_plaintext,
                "manifest": "auto" if keys.password is None else reading.manifest,
                "limits": reading.limits,
                "progress": bar,
            }
            make(place, given if given is not None or to or same else typed, to, options)
            return True

        try:
            with_keys(archive, reading, use)
        except ValueError as error:  # how the library refuses arguments
            raise Misuse(str(error)) from error
    return post_quantum if to else None
