"""`strongroom keygen`: a secret key, the identity, and the public one that belongs to it, the recipient."""

from __future__ import annotations

import os
from contextlib import closing, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Misuse
from strongroom.cli.messages import data, data_bytes, data_json, say
from strongroom.cli.options import PATH, SETTINGS, STDIO, identity_option, json_option, password_options, quiet_option
from strongroom.cli.passwords import password_for_sealing
from strongroom.cli.reading import with_identities
from strongroom.cli.target import check_target
from strongroom.output import FileOutput, put
from strongroom.room.keygen import NewIdentity, recipients_of

if TYPE_CHECKING:
    from strongroom.cli.passwords import PasswordOptions

_STDOUT: Final = 1
_EPILOG: Final = """\b
Example:
  strongroom keygen -o key.txt
  strongroom seal -r age1pq1... case-42.zip.age patients.csv
  strongroom cat -i key.txt case-42.zip.age patients.csv
  strongroom keygen --recipient -i key.txt
"""


@click.command("keygen", context_settings=SETTINGS, short_help="Make a key pair for age files.", epilog=_EPILOG)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write the identity there, with mode 0600.")
@click.option("--classic", is_flag=True, help="X25519, for recipients with an age older than 1.3.")
@click.option(
    "-y", "--recipient", "show", is_flag=True, help="Make none, and print the recipients of those in -i FILE."
)
@identity_option
@click.option("--passphrase", is_flag=True, help="Seal the identity with a passphrase, which is asked for.")
@password_options
@quiet_option
@json_option
def command(
    *,
    output: str | None,
    classic: bool,
    show: bool,
    identities: tuple[str, ...],
    passphrase: bool,
    password: PasswordOptions,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make an identity, with which you open what others seal to the recipient that belongs to it.

    The identity is secret: whoever has it reads all that is sealed to you, and without it nobody does. It goes to FILE,
    which is never replaced, or to standard output. The recipient is public; give it to those who seal. Keys are
    post-quantum (ML-KEM-768 with X25519), and take age 1.3 or later; --classic ones take any age.

    With --passphrase, or with --password-*, which give it, the identity is an age file of its own.
    """
    password = password._replace(identities=identities)
    password.check(stdin_is_data=False)
    if show or identities:
        _show(password, alone=show and bool(identities) and not (output or classic or passphrase), as_json=as_json)
        return
    to_stdout = output in (None, STDIO)
    if as_json and to_stdout:
        message = "--json does not go with an identity on standard output"
        raise Misuse(message, hint="-o FILE writes it there")
    if not to_stdout:
        check_target(str(output), overwrite=False)
    sealed = passphrase or password.given
    place = "the identity" if to_stdout else str(output)
    with (
        password_for_sealing(password, place, "Passphrase") if sealed else nullcontext() as phrase,
        closing(NewIdentity(classic=classic)) as identity,
    ):
        pieces = identity.file(datetime.now().astimezone(), phrase)
        if to_stdout:
            for piece in pieces:
                data_bytes(piece)
        else:
            put(FileOutput(str(output)), pieces)
        recipient = identity.recipient
    if as_json:
        data_json({"ok": True, "identity": output, "recipient": recipient, "post_quantum": not classic})
        return
    if quiet:
        return
    if not (to_stdout and os.isatty(_STDOUT) and not sealed):  # else it stands there already
        say(f"Public key: {recipient}")
    if not classic:
        say("files for it open with age 1.3 or later; --classic makes keys for older ones")


def _show(password: PasswordOptions, *, alone: bool, as_json: bool) -> None:
    """Print the recipients of identities that are there."""
    if not alone:
        message = "--recipient and -i FILE go together, and with nothing that makes an identity"
        raise Misuse(message, hint="strongroom keygen --recipient -i key.txt")
    found = with_identities(password, lambda keys: recipients_of(keys.identities, keys.password, keys.ask))
    if as_json:
        data_json({"ok": True, "recipients": found})
    for recipient in found if not as_json else ():
        data(recipient)
