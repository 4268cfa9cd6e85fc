"""Create, open and seal archives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack, cast, get_args, overload

from strongroom.flow import as_bytes
from strongroom.formats import Format, ReaderOptions, WriterOptions
from strongroom.limits import Limits
from strongroom.manifest import ManifestPolicy
from strongroom.memory.secret import Secret
from strongroom.room import keys
from strongroom.room.base import (
    Finding,
    Progress,
    Report,
    Room,
    make_guard,
    make_sealer,
    output_for,
    threads_of,
)
from strongroom.room.finding import check_content, detect, format_for, known, name_kept, name_of
from strongroom.room.reading import ReadRoom
from strongroom.room.staging import Item, as_ram, ram_tree
from strongroom.room.writing import Data, WriteRoom
from strongroom.source import local_tree, modified_of, open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.formats import Identity
    from strongroom.fs.ram import RamFS
    from strongroom.manifest.checking import Guard
    from strongroom.receipt import Request
    from strongroom.room.receipting import Receipting
    from strongroom.source import Source

__all__ = ["Finding", "ReadRoom", "Report", "Room", "WriteRoom", "create", "open", "seal", "unseal"]


class CreateOptions(TypedDict, total=False):
    """The options of `create`, which `seal` takes as well."""

    password: str | Buffer | None
    recipients: Iterable[str | os.PathLike[str]]
    format: str | None
    compression: str | None
    level: int | None
    threads: int | None
    overwrite: bool
    verify: bool
    armor: bool
    receipt: str | os.PathLike[str] | Request | None
    progress: Progress | None


class OpenOptions(TypedDict, total=False):
    """The options of `open`, which `unseal` takes as well."""

    password: str | Buffer | None
    identities: Iterable[keys.Identities]
    ask: keys.Ask | None
    format: str | None
    legacy: bool
    allow_plaintext: bool
    manifest: ManifestPolicy
    streaming: bool
    threads: int | None
    limits: Limits | None
    progress: Progress | None


def create(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    password: str | Buffer | None = None,
    recipients: Iterable[str | os.PathLike[str]] = (),
    format: str | None = None,
    compression: str | None = None,
    level: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    verify: bool = False,
    armor: bool = False,
    receipt: str | os.PathLike[str] | Request | None = None,
    progress: Progress | None = None,
) -> WriteRoom:
    """Begin an archive; a context manager. It appears under `path` when the block ends without an exception.

    path         a path, whose suffix names the format, or a binary stream, for which `format` does
    password     text (encoded as UTF-8), bytes, or a `Secret`
    recipients   in place of the password, for age: public keys ("age1…", "ssh-ed25519 …"), or paths of files of them;
                 each opens the archive, and who seals needs none of the secret ones
    compression  one of the format's methods, or None for its default; `level` as that method counts
    threads      how many to work with; None for as many CPUs as this process may use, 1 for no threads at all
    overwrite    replace a file of that name; else `OutputExistsError`
    verify       read everything again from the disk, and check it, before it appears; age, for which nobody need have
                 the key here, is compared with what was written
    armor        write text, for mail and the like, where the format has that (age)
    receipt      where a receipt goes once the archive is in place: a path, or a `receipt.Request`, which can have it
                 signed; `strongroom.receipt.check` holds it against the archive later
    progress     called as `progress(done, total)` with plaintext bytes; `total` is None where it is not known;
                 with `verify` it counts once more, and with `receipt` too

    Raises `OutputError` where the file cannot be made, `ValueError` for options that don't fit together, and for a 7z
    that would go into a stream that cannot seek.
    """
    try:
        secret = None if password is None else Secret(password)
    finally:
        del password  # tracebacks that show local variables would show it
    given, recipients = recipients, ()
    try:
        try:
            recipients = keys.public(given)
        finally:
            del given  # which may be a secret key, by mistake
        row = format_for(path, format)
        options = _writer_options(row, secret, recipients, compression, level, threads)
        options = options._replace(armored=armor)
        if armor and not row.keys:
            message = f"{row.name} has no armor"
            raise ValueError(message)  # noqa: TRY301 - the password is wiped below
        row.writer(options).close()  # checks the level, and that recipients go together, before a file is made
        options = options._replace(manifest=make_sealer(options, row))
        output = output_for(path, options.threads, overwrite=overwrite, verify=verify)
        receipting = None
        try:
            receipting = _receipting(receipt, path, row, overwrite=overwrite)
            return WriteRoom(row, options, output, verify=verify, progress=progress, receipt=receipting)
        except BaseException:
            output.discard()
            if receipting is not None:
                receipting.discard()
            raise
    except BaseException:
        if secret is not None:
            secret.close()
        raise


def open(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    password: str | Buffer | None = None,
    identities: Iterable[keys.Identities] = (),
    ask: keys.Ask | None = None,
    format: str | None = None,
    legacy: bool = False,
    allow_plaintext: bool = False,
    manifest: ManifestPolicy = "auto",
    streaming: bool = False,
    threads: int | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ReadRoom:
    """Open an archive; a context manager. Its format is found in its content, unless `format` names it.

    The ZIP in an age file is opened where the path ends in `.zip.age`, or with format="zip.age".

    path             a path or a binary stream; what comes from a pipe is first read into memory, within `limits`
    password         text (encoded as UTF-8), bytes, or a `Secret`; without one the entries of a ZIP can be listed
    identities       secret keys, for age: text ("AGE-SECRET-KEY-…"), a `Secret` with it, or the path of a file of such
                     keys, or of an SSH key
    ask              called as `ask(name)` where such a file takes a passphrase, which it returns in a `Secret`;
                     `password` opens them by default
    legacy           also read entries with encryption that is broken (ZipCrypto)
    allow_plaintext  also read files that are not encrypted, which in an encrypted archive are an attack
    manifest         "auto" checks the manifest, which strongroom's archives have, and notices where it was removed;
                     "required" also refuses archives without one, as all age files are, which are authenticated whole;
                     "ignore" reads what was changed, with a warning
    streaming        age: give out what is read from the start piece by piece, each authentic, before all of it is
                     known to be; elsewhere it changes nothing
    threads          as for `create`
    limits           what the archive may ask of this machine
    progress         called as `progress(done, total)` with plaintext bytes by `verify`, and by `extract` and `load`,
                     which read all entries once to check them and then those that they write

    Raises `WrongKeyError` at once where the password does not fit, `TamperedError` where entries were added, deleted,
    renamed or altered since they were sealed, `FormatError` where the file is damaged, `OSError` where it cannot be
    opened. Without a password none of that is checked, and `manifest="required"` is a `ValueError`.
    """
    try:
        secret = None if password is None else Secret(password)
    finally:
        del password  # as in `create`
    hidden = keys.Hidden()
    source: Source | None = None
    guard: Guard | None = None
    own: tuple[Identity, ...] = ()
    limits = limits or Limits()
    try:
        try:
            hidden = keys.hide(identities)
        finally:
            del identities
        threads = threads_of(threads)
        keys.refuse_nul(secret)
        _check_policy(manifest, secret)
        source = open_source(path, limits)
        row = known(format) if format else detect(source, path)
        if hidden and not row.keys and not format:
            check_content(source, row, limits)
        own = keys.own_keys(row, hidden, secret, ask, limits)
        guard = make_guard(manifest, secret, row, limits)
        options = ReaderOptions(
            password=secret,
            legacy=legacy,
            allow_plaintext=allow_plaintext,
            limits=limits,
            threads=threads,
            guard=guard,
            identities=own,
            streaming=streaming,
            name=name_of(path) if row.single else "",
            modified=modified_of(path) if row.single else None,
        )
        reader = row.reader(source, options)
        if guard is not None:
            guard.demand()
        openers = tuple(identity.recipient for identity in own)
        return ReadRoom(row, reader, source, options._replace(identities=()), progress, openers)
    except BaseException:
        if guard is not None:
            guard.close()
        if source is not None:
            source.close()
        if secret is not None:
            secret.close()
        raise
    finally:
        with hidden:
            keys.close(own)  # the file's own key is what stays


@overload
def seal(
    source: Mapping[str, Data], path: str | os.PathLike[str] | BinaryIO, **options: Unpack[CreateOptions]
) -> None: ...
@overload
def seal(source: RamFS, path: str | os.PathLike[str] | BinaryIO, **options: Unpack[CreateOptions]) -> None: ...
@overload
def seal(
    source: os.PathLike[str],
    path: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = ...,
    **options: Unpack[CreateOptions],
) -> None: ...
@overload
def seal(
    source: Data, path: str | os.PathLike[str] | BinaryIO, *, name: str | None = ..., **options: Unpack[CreateOptions]
) -> None: ...
def seal(
    source: Mapping[str, Data] | RamFS | os.PathLike[str] | Data,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    **options: Unpack[CreateOptions],
) -> None:
    """Seal `source` into an archive at `path`, in one call; options and errors as for `create`.

    `source` is a mapping of names to data, a RamFS or a `pathlib.Path` of a file or of a folder, whose tree is taken,
    or one object (bytes, a binary file, an iterable of bytes) that goes under `name`. A plain age file keeps no name,
    and takes none.
    """
    try:
        secret = None if (password := options.pop("password", None)) is None else Secret(password)
    finally:
        password = None  # as in `create`
    try:
        given = options.pop("recipients", ())
        try:
            options["recipients"] = keys.public(given)
        finally:
            del given  # as in `create`
        options["password"] = secret
        room, items = prepare(source, path, name, options)
    finally:
        if secret is not None:
            secret.close()
    fill(room, items)


def prepare(
    source: Mapping[str, Data] | RamFS | os.PathLike[str] | Data,
    path: str | os.PathLike[str] | BinaryIO,
    name: str | None,
    options: CreateOptions,
) -> tuple[WriteRoom, list[Item | tuple[str, Data]]]:
    """Begin what `seal` does: list what is to be sealed, and create the Room. See `seal`."""
    kept = name_kept(path, options.get("format"))
    items = list(_items(source, name, kept))  # before a hidden file of ours can be among them
    _refuse_own(source, path)
    return create(path, **options), items


def fill(room: WriteRoom, items: Iterable[Item | tuple[str, Data]]) -> None:
    """End what `seal` does: write the items, and close the Room."""
    sizes = [_size(item[1]) if isinstance(item, tuple) else item.size for item in items]
    with room:
        room.expect(None if None in sizes else sum(size or 0 for size in sizes))
        for item in items:
            if isinstance(item, tuple):
                room.write(*item)
            else:
                room.add(item)


def unseal(path: str | os.PathLike[str] | BinaryIO, **options: Unpack[OpenOptions]) -> RamFS:
    """Open an archive and load all of it into a RamFS, in one call; options as for `open`, the rest as `ReadRoom.load`.

    It takes memory for the data once; an archive that comes from a pipe is held beside it meanwhile.
    """
    rest = cast("dict[str, Any]", options)
    # Taken out in the call itself: tracebacks that show local variables would show them.
    with open(path, password=rest.pop("password", None), identities=rest.pop("identities", ()), **rest) as room:
        return room.load()


def _items(
    source: Mapping[str, Data] | RamFS | os.PathLike[str] | Data, name: str | None, default: str | None
) -> Iterator[Item | tuple[str, Data]]:
    ram = as_ram(source)
    if ram is not None and name is None:
        yield from ram_tree(ram)
    elif isinstance(source, os.PathLike):
        yield from local_tree(source, name)
    elif isinstance(source, Mapping) and name is None:
        yield from cast("Mapping[str, Data]", source).items()
    elif isinstance(source, (str, Mapping)) or ram is not None:
        message = "source is a mapping of names to data, a RamFS, a pathlib.Path, or bytes with a name"
        raise TypeError(message)
    elif name is None and default is None:
        message = "data needs a name: seal(data, path, name=…), or a mapping of names to data"
        raise ValueError(message)
    else:
        yield cast("str", default if name is None else name), cast("Data", source)


def _refuse_own(source: object, path: object) -> None:
    """Refuse to seal a RamFS into one of its own files, which would grow for ever as it is read."""
    ram = as_ram(source)
    if ram is not None and getattr(path, "fs", None) is ram:
        message = "the archive would lie in the RamFS that it seals"
        raise ValueError(message)


def _size(data: object) -> int | None:
    view = as_bytes(data)
    return None if view is None else len(view)


def _writer_options(  # noqa: PLR0917 - those of `create`
    row: Format,
    secret: Secret | None,
    recipients: Iterable[str | os.PathLike[str]],
    compression: str | None,
    level: int | None,
    threads: int | None,
) -> WriterOptions:
    compression = row.compressions[0] if compression is None else compression
    if compression not in row.compressions:
        message = f"{row.name} is not written with {compression!r} (there are: {', '.join(row.compressions)})"
        raise ValueError(message)
    to = keys.new_keys(row, secret, recipients)
    if secret is not None:
        row.check_password(secret)
    return WriterOptions(
        recipients=to,
        password=secret,
        compression=compression,
        level=level,
        threads=threads_of(threads),
        patchable=True,
        random=os.urandom,
    )


def _receipting(
    receipt: str | os.PathLike[str] | Request | None,
    path: str | os.PathLike[str] | BinaryIO,
    row: Format,
    *,
    overwrite: bool,
) -> Receipting | None:
    if receipt is None:
        return None
    from strongroom.receipt.request import Request  # noqa: PLC0415 - few archives have one
    from strongroom.room.receipting import Receipting  # noqa: PLC0415 - the same

    if not isinstance(path, (str, os.PathLike)):
        message = "an archive that goes into a stream cannot be read again for a receipt"
        raise ValueError(message)  # noqa: TRY004 - the type is right, a receipt does not go with it
    request = receipt if isinstance(receipt, Request) else Request(receipt)
    return Receipting(request, path, row.name, overwrite=overwrite)


def _check_policy(manifest: str, secret: Secret | None) -> None:
    if manifest not in get_args(ManifestPolicy):
        message = f"manifest is one of {', '.join(get_args(ManifestPolicy))}, not {manifest!r}"
        raise ValueError(message)
    if manifest == "required" and secret is None:
        message = "a manifest that is required needs a password, to check it with"
        raise ValueError(message)
