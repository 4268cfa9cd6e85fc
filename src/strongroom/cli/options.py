"""The options that several verbs have, declared once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Final, NamedTuple, get_args

import click

from strongroom.cli.completing import archives, entries
from strongroom.cli.failure import Misuse
from strongroom.cli.messages import is_secret
from strongroom.cli.passwords import PasswordOptions
from strongroom.cli.recipients import Recipients
from strongroom.cli.units import parse_size
from strongroom.formats import FORMATS
from strongroom.limits import Limits
from strongroom.manifest import ManifestPolicy

Verb = Callable[..., None]

SETTINGS: Final[dict[str, object]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
ARCHIVE: Final = "strongroom.archive"  # in a context's meta, so that errors can name it
JSON: Final = "strongroom.json"  # whether errors are to be reported as JSON too
STDIO: Final = "-"
_METHODS: Final = tuple(dict.fromkeys(name for row in FORMATS.values() for name in row.compressions))
_DESCRIPTOR: Final = click.IntRange(min=0, max=(1 << 31) - 1)


class PathType(click.Path):
    """A path; a secret key in its place is refused, before an error that the file is missing would show it."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """See `click.Path`."""
        if isinstance(value, str) and is_secret(value):
            message = "this is the identity itself, where the name of a file belongs"
            raise Misuse(
                message, hint="put it into a file, with mode 0600, and name that; arguments are seen by all users"
            )
        return super().convert(value, param, ctx)


PATH: Final = PathType(readable=False)  # whether it can be read shows when it is, with the reason


def _remember(key: str) -> Callable[[click.Context, click.Parameter, object], object]:
    def remember(ctx: click.Context, _: click.Parameter, value: object) -> object:
        ctx.meta[key] = value
        return value

    return remember


archive_argument: Final = click.argument("archive", type=PATH, callback=_remember(ARCHIVE), shell_complete=archives)
entries_argument: Final = click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=entries)
json_option: Final = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_remember(JSON),
    help='Print one JSON object, for programs; its "ok" says whether all is well.',
)
quiet_option: Final = click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")
force_option: Final = click.option("--force", is_flag=True, help="Write binary data even to a terminal.")


class ReadingOptions(NamedTuple):
    """How an archive is opened."""

    password: PasswordOptions
    legacy: bool
    allow_plaintext: bool
    manifest: ManifestPolicy
    limits: Limits
    format_name: str | None = None
    streaming: bool = False


def password_options(verb: Verb) -> Verb:
    """Add the options that say where the password comes from; `verb` gets them as `password`."""

    @click.option(
        "--password-file",
        type=PATH,
        metavar="FILE",
        help="Take the password from a file, less one final newline.",
    )
    @click.option(
        "--password-fd",
        type=_DESCRIPTOR,
        metavar="N",
        help="Take it from an open file descriptor, read to its end.",
    )
    @click.option(
        "--password-command",
        metavar="CMD",
        help="Run CMD, without a shell, and take what it writes to standard output.",
    )
    @click.option(
        "--password-keyring",
        metavar="NAME",
        help="Take what the system's keyring has for NAME, set by `keyring set strongroom NAME`.",
    )
    @wraps(verb)
    def with_password(
        *,
        password_file: str | None,
        password_fd: int | None,
        password_command: str | None,
        password_keyring: str | None,
        **rest: object,
    ) -> None:
        options = PasswordOptions(password_file, password_fd, password_command, keyring=password_keyring)
        verb(password=options, **rest)

    return with_password


identity_option: Final = click.option(
    "-i",
    "--identity",
    "identities",
    type=PATH,
    metavar="FILE",
    multiple=True,
    help="age: the secret keys in FILE, of age or SSH; - is standard input. Can be repeated. If FILE has a passphrase,"
    " the options for passwords are for that.",
)


def opening_options(verb: Verb) -> Verb:
    """Add what opens an archive: a password or identities, and its format; `verb` gets `password` and `format_name`."""

    @identity_option
    @click.option(
        "--format",
        "format_name",
        type=click.Choice(tuple(FORMATS)),
        help="Instead of by ARCHIVE's content; zip.age opens the ZIP in an age file of another name.",
    )
    @password_options
    @wraps(verb)
    def with_identities(*, identities: tuple[str, ...], password: PasswordOptions, **rest: object) -> None:
        verb(password=password._replace(identities=identities), **rest)

    return with_identities


def recipient_options(verb: Verb) -> Verb:
    """Add to whom an archive is sealed; `verb` gets `recipients`, text and paths, and `armor`."""

    @click.option(
        "-r",
        "--recipient",
        "texts",
        metavar="KEY",
        multiple=True,
        help="age: seal to a public key (age1..., ssh-ed25519 ..., ssh-rsa ...) with no password. Can be repeated.",
    )
    @click.option(
        "-R",
        "--recipients-file",
        "files",
        type=PATH,
        metavar="FILE",
        multiple=True,
        help="age: the same with the public keys in FILE, one a line; - is standard input. Can be repeated.",
    )
    @click.option("-a", "--armor", is_flag=True, help="age: write text, which mail and the like let through.")
    @wraps(verb)
    def with_recipients(*, texts: tuple[str, ...], files: tuple[str, ...], **rest: object) -> None:
        verb(recipients=Recipients(texts, files), **rest)

    return with_recipients


def method_options(verb: Verb) -> Verb:
    """Add how an archive is compressed; `verb` gets `method` and `level`."""
    method = click.option(
        "--method", type=click.Choice(_METHODS), help="How to compress; each format has its own default."
    )
    return method(click.option("--level", type=int, metavar="L", help="How hard, as the method counts.")(verb))


def finishing_options(verb: Verb) -> Verb:
    """Add how a new archive comes into its place; `verb` gets `overwrite` and `verify`."""
    overwrite = click.option("--overwrite", is_flag=True, help="Replace a file of that name, once it is complete.")
    verify = click.option(
        "--verify", is_flag=True, help="Read it again from the disk and check it before it gets its name."
    )
    return overwrite(verify(verb))


def new_password_options(verb: Verb) -> Verb:
    """Add the options that say where the new password comes from; `verb` gets them as `new_password`."""

    @click.option("--new-password-file", type=PATH, metavar="FILE", help="Take the new password from a file.")
    @click.option("--new-password-fd", type=_DESCRIPTOR, metavar="N", help="From a descriptor.")
    @click.option("--new-password-command", metavar="CMD", help="From what CMD writes.")
    @click.option("--new-password-keyring", metavar="NAME", help="From the system's keyring.")
    @wraps(verb)
    def with_new(
        *,
        new_password_file: str | None,
        new_password_fd: int | None,
        new_password_command: str | None,
        new_password_keyring: str | None,
        **rest: object,
    ) -> None:
        options = PasswordOptions(
            new_password_file, new_password_fd, new_password_command, prefix="--new-", keyring=new_password_keyring
        )
        verb(new_password=options, **rest)

    return with_new


def limit_option(verb: Verb) -> Verb:
    """Add `--limit`; `verb` gets a `Limits` as `limits`."""
    names = ", ".join(field.name for field in fields(Limits))
    return click.option(
        "--limit",
        "limits",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_limits,
        help=f"Change a bound on what the archive may ask of this machine: {names}. VALUE may be like 100G.",
    )(verb)


def reading_options(verb: Verb) -> Verb:
    """Add the options with which data is read; `verb` gets them as `reading`."""

    @click.option("--legacy", is_flag=True, help="Also read entries with broken encryption (ZipCrypto).")
    @click.option("--allow-plaintext", is_flag=True, help="Also read files that are not encrypted.")
    @click.option(
        "--manifest",
        type=click.Choice(get_args(ManifestPolicy)),
        default="auto",
        help="What to do about the archive's tamper evidence: check it where there is one, require one, or read what"
        " does not hold, with a warning.",
    )
    @limit_option
    @opening_options
    @wraps(verb)
    def with_reading(
        *,
        format_name: str | None,
        password: PasswordOptions,
        legacy: bool,
        allow_plaintext: bool,
        manifest: ManifestPolicy,
        limits: Limits,
        **rest: object,
    ) -> None:
        verb(reading=ReadingOptions(password, legacy, allow_plaintext, manifest, limits, format_name), **rest)

    return with_reading


def _limits(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> Limits:
    known = {field.name for field in fields(Limits)}
    bounds: dict[str, int] = {}
    for value in values:
        name, _sign, number = value.partition("=")
        bound = parse_size(number)
        if name.replace("-", "_") not in known or bound is None:
            message = f"{value!r} is not NAME=VALUE, such as total_size=100G (names: {', '.join(sorted(known))})"
            raise click.BadParameter(message)
        bounds[name.replace("-", "_")] = bound
    return Limits(**bounds)
