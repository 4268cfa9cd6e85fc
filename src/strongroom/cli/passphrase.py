"""`strongroom passphrase`: random words for a password."""

from __future__ import annotations

import json
from typing import Final

import click

from strongroom.cli.messages import data_bytes, say
from strongroom.cli.options import SETTINGS, json_option, quiet_option
from strongroom.passphrase import BITS, FEWEST, MOST, make_passphrase

_EPILOG: Final = """\b
Examples:
  strongroom passphrase
  strongroom passphrase | keyring set strongroom case-42
  strongroom seal --password-keyring case-42 case-42.zip patients.csv
"""


@click.command("passphrase", context_settings=SETTINGS, short_help="Make a password of random words.", epilog=_EPILOG)
@click.option(
    "--words",
    type=click.IntRange(FEWEST, MOST),
    default=FEWEST,
    metavar="N",
    help="How many.",
    show_default=True,
)
@quiet_option
@json_option
def command(*, words: int, quiet: bool, as_json: bool) -> None:
    """Write a passphrase of random words to standard output.

    A word is five letters that can be pronounced, worth 16 bits of the system's randomness. Nothing keeps it: write it
    down, or pipe it into the system's keyring, as in the example, from where --password-keyring takes it.
    """
    with make_passphrase(words) as phrase:
        if as_json:  # around the words, of which json would make copies
            facts = {"ok": True, "words": words, "bits": words * BITS}
            data_bytes(json.dumps(facts).removesuffix("}").encode() + b', "passphrase": "')
            data_bytes(phrase)
            data_bytes(b'"}\n')
        else:
            data_bytes(phrase)
            data_bytes(b"\n")
    if not (quiet or as_json):
        say(f"{words} words, {words * BITS} bits")
