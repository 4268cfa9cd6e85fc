"""Create, open and seal archives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, TypedDict, Unpack, cast, get_args, overload

from strongroom.errors import WrongKeyError
from strongroom.flow import as_bytes, default_threads
from strongroom.formats import FORMATS, Format, ReaderOptions, WriterOptions
from strongroom.limits import Limits
from strongroom.manifest import ManifestPolicy
from strongroom.memory.secret import Secret
from strongroom.output import FileOutput, StreamOutput
from strongroom.room.base import Finding, Progress, Report, Room, make_guard, make_sealer
from strongroom.room.reading import ReadRoom
from strongroom.room.staging import Item, as_ram, ram_tree
from strongroom.room.writing import Data, WriteRoom
from strongroom.source import local_tree, open_source, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.fs.ram import RamFS
    from strongroom.manifest.checking import Guard
    from strongroom.output import Output
    from strongroom.source import Source

__all__ = ["Finding", "ReadRoom", "Report", "Room", "WriteRoom", "create", "open", "seal", "unseal"]


_PROGRAMS = b"MZ", b"\x7fELF", b"#!"  # which a self-extracting archive starts with


class CreateOptions(TypedDict, total=False):
    """The options of `create`, which `seal` takes as well."""

    password: str | Buffer | None
    recipients: Iterable[str]
    format: str | None
    compression: str | None
    level: int | None
    threads: int | None
    overwrite: bool
    verify: bool
    progress: Progress | None


class OpenOptions(TypedDict, total=False):
    """The options of `open`, which `unseal` takes as well."""

    password: str | Buffer | None
    identities: Iterable[str]
    format: str | None
    legacy: bool
    allow_plaintext: bool
    manifest: ManifestPolicy
    threads: int | None
    limits: Limits | None
    progress: Progress | None


def create(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    password: str | Buffer | None = None,
    recipients: Iterable[str] = (),
    format: str | None = None,
    compression: str | None = None,
    level: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
) -> WriteRoom:
    """Begin an archive; a context manager. It appears under `path` when the block ends without an exception.

    path         a path, whose suffix names the format, or a binary stream, for which `format` does
    password     text (encoded as UTF-8), bytes, or a `Secret`
    recipients   public keys, for formats that have them
    compression  one of the format's methods, or None for its default; `level` as that method counts
    threads      how many to work with; None for as many CPUs as this process may use, 1 for no threads at all
    overwrite    replace a file of that name; else `OutputExistsError`
    verify       read everything again from the disk, and check it, before it appears
    progress     called as `progress(done, total)` with plaintext bytes; `total` is None where it is not known;
                 with `verify` it counts once more

    Raises `OutputError` where the file cannot be made, `ValueError` for options that don't fit together, and for a 7z
    that would go into a stream that cannot seek.
    """
    try:
        secret = None if password is None else Secret(password)
    finally:
        del password  # tracebacks that show local variables would show it
    try:
        row = format_for(path, format)
        _refuse_keys(row, recipients, "recipients")
        options = _writer_options(row, secret, compression, level, threads)
        row.writer(options)  # checks the level before a file is made
        options = options._replace(manifest=make_sealer(options, row))
        output = _output(path, options, overwrite=overwrite, verify=verify)
        return WriteRoom(row, options, output, verify=verify, progress=progress)
    except BaseException:
        if secret is not None:
            secret.close()
        raise


def open(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    password: str | Buffer | None = None,
    identities: Iterable[str] = (),
    format: str | None = None,
    legacy: bool = False,
    allow_plaintext: bool = False,
    manifest: ManifestPolicy = "auto",
    threads: int | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ReadRoom:
    """Open an archive; a context manager. Its format is found in its content, unless `format` names it.

    path             a path or a binary stream; what comes from a pipe is first read into memory, within `limits`
    password         text (encoded as UTF-8), bytes, or a `Secret`; without one the entries of a ZIP can be listed
    identities       private keys, for formats that have them
    legacy           also read entries with encryption that is broken (ZipCrypto)
    allow_plaintext  also read files that are not encrypted, which in an encrypted archive are an attack
    manifest         "auto" checks the manifest, which strongroom's archives have, and notices where it was removed;
                     "required" also refuses archives without one; "ignore" reads what was changed, with a warning
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
    source: Source | None = None
    guard: Guard | None = None
    limits = limits or Limits()
    try:
        threads = _threads(threads)
        _refuse_nul(secret)
        _check_policy(manifest, secret)
        source = open_source(path, limits)
        row = _known(format) if format else _detect(source)
        _refuse_keys(row, identities, "identities")
        guard = make_guard(manifest, secret, row, limits)
        options = ReaderOptions(
            password=secret,
            legacy=legacy,
            allow_plaintext=allow_plaintext,
            limits=limits,
            threads=threads,
            guard=guard,
        )
        reader = row.reader(source, options)
        guard.demand()
        return ReadRoom(reader, source, options, progress)
    except BaseException:
        if guard is not None:
            guard.close()
        if source is not None:
            source.close()
        if secret is not None:
            secret.close()
        raise


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
    source: Data, path: str | os.PathLike[str] | BinaryIO, *, name: str, **options: Unpack[CreateOptions]
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
    or one object (bytes, a binary file, an iterable of bytes) that goes under `name`.
    """
    try:
        secret = None if (password := options.pop("password", None)) is None else Secret(password)
    finally:
        password = None  # as in `create`
    try:
        items = list(_items(source, name))  # before a hidden file of ours can be among them
        _refuse_own(source, path)
        options["password"] = secret
        room = create(path, **options)
    finally:
        if secret is not None:
            secret.close()
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
    try:
        secret = None if (password := options.pop("password", None)) is None else Secret(password)
    finally:
        password = None  # as in `create`
    try:
        options["password"] = secret
        room = open(path, **options)
    finally:
        if secret is not None:
            secret.close()
    with room:
        return room.load()


def _items(
    source: Mapping[str, Data] | RamFS | os.PathLike[str] | Data, name: str | None
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
    elif name is None:
        message = "data needs a name"
        raise ValueError(message)
    else:
        yield name, cast("Data", source)


def _refuse_own(source: object, path: object) -> None:
    """Refuse to seal a RamFS into one of its own files, which would grow for ever as it is read."""
    ram = as_ram(source)
    if ram is not None and getattr(path, "fs", None) is ram:
        message = "the archive would lie in the RamFS that it seals"
        raise ValueError(message)


def _size(data: object) -> int | None:
    view = as_bytes(data)
    return None if view is None else len(view)


def format_for(path: object, name: str | None) -> Format:
    """Return the format that `name` or else the suffix of `path` names; raises `ValueError` where there is none."""
    if name is not None:
        return _known(name)
    if not isinstance(path, (str, os.PathLike)):
        message = 'a stream has no suffix: name the format, such as format="zip"'
        raise ValueError(message)  # noqa: TRY004 - the type is right, an argument is missing
    text = os.fsdecode(cast("str | os.PathLike[str]", path))
    for row in FORMATS.values():
        if text.lower().endswith(row.suffixes):
            return row
    suffixes = ", ".join(suffix for row in FORMATS.values() for suffix in row.suffixes)
    message = f"the suffix of {text!r} names no format (there are: {suffixes}); name the format"
    raise ValueError(message)


def _writer_options(
    row: Format, secret: Secret | None, compression: str | None, level: int | None, threads: int | None
) -> WriterOptions:
    compression = row.compressions[0] if compression is None else compression
    if compression not in row.compressions:
        message = f"{row.name} is not written with {compression!r} (there are: {', '.join(row.compressions)})"
        raise ValueError(message)
    if secret is None:
        message = f"{row.name} needs a password"
        raise ValueError(message)
    row.check_password(secret)
    return WriterOptions(
        password=secret,
        compression=compression,
        level=level,
        threads=_threads(threads),
        patchable=True,
        random=os.urandom,
    )


def _output(
    path: str | os.PathLike[str] | BinaryIO, options: WriterOptions, *, overwrite: bool, verify: bool
) -> Output:
    if isinstance(path, (str, os.PathLike)):
        return FileOutput(path, overwrite=overwrite, threads=options.threads)
    if verify:
        message = "an archive that goes into a stream cannot be read again to verify it"
        raise ValueError(message)
    return StreamOutput(path)


def _refuse_nul(password: Secret | None) -> None:
    """Refuse what no archive of ours is sealed with. HMAC fills keys up with NULs, so that "pw" and two of them fit."""
    if password is not None:
        with memoryview(password) as view:
            if 0 in view:
                message = "the password has a NUL byte, at which many tools end it: no archive is sealed with one"
                raise WrongKeyError(message)


def _threads(threads: int | None) -> int:
    if threads is not None and threads < 1:
        message = f"threads is at least 1, not {threads}"
        raise ValueError(message)
    return threads or default_threads()


def _check_policy(manifest: str, secret: Secret | None) -> None:
    if manifest not in get_args(ManifestPolicy):
        message = f"manifest is one of {', '.join(get_args(ManifestPolicy))}, not {manifest!r}"
        raise ValueError(message)
    if manifest == "required" and secret is None:
        message = "a manifest that is required needs a password, to check it with"
        raise ValueError(message)


def _known(name: str) -> Format:
    if name not in FORMATS:
        message = f"no format {name!r} (there are: {', '.join(FORMATS)})"
        raise ValueError(message)
    return FORMATS[name]


def _detect(source: Source) -> Format:
    head = read(source, 0, min(source.size, 16))
    for row in FORMATS.values():
        if head.startswith(row.magic):
            return row
    if head.startswith(_PROGRAMS):
        for row in FORMATS.values():
            if row.is_behind_program(source):
                return row
    return next(row for row in FORMATS.values() if row.from_end)


def _refuse_keys(row: Format, keys: Iterable[str], what: str) -> None:
    if tuple(keys):
        message = f"{row.name} has no {what}, only a password"
        raise ValueError(message)
