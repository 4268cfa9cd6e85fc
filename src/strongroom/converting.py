"""Archives made out of archives, through memory alone: of another format, or with other keys."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Unpack, cast

from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from strongroom.output import unchanged
from strongroom.room import OpenOptions, create
from strongroom.room import open as open_archive
from strongroom.room.finding import by_suffix, detect, format_for, known
from strongroom.room.keys import NOT_BOTH, hide, public
from strongroom.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer

    from strongroom.formats import Entry, Format
    from strongroom.room import ReadRoom, WriteRoom


def convert(
    source: str | os.PathLike[str] | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    new_password: str | Buffer | Callable[[], Secret] | None = None,
    recipients: Iterable[str | os.PathLike[str]] = (),
    new_format: str | None = None,
    compression: str | None = None,
    level: int | None = None,
    overwrite: bool = False,
    verify: bool = False,
    armor: bool = False,
    **options: Unpack[OpenOptions],
) -> tuple[Entry, ...]:
    """Make an archive of another format, or of better encryption or compression, out of the entries of `source`.

    All of `source` is checked first. Then it is decrypted and sealed anew entry by entry, in constant memory. Names,
    times, permissions and folders are kept where the new format has them; symlinks are reported and left out. `target`
    appears once it is complete, and `source` stays as it is, unless they are one. Returns the new archive's entries.

    new_password        in place of the old one, which else seals the new archive too. A function is called for it, in a
                        `Secret`, once it is clear that the keys open `source`
    recipients          in place of a password, for age. What is opened with identities takes these, or a new password
    new_format          the format of `target`, by default that which its suffix names
    compression, level  as for `create`; so are `overwrite`, `verify` and `armor`
    options             how `source` is opened: those of `open`. `progress` is told of bytes that are checked, then of
                        those that are written, and with `verify` of them once more

    Raises `ValueError` for options that do not go together, and for several entries in a format that holds one;
    `OutputError`, and what `open` and `verify` find. Where `target` is `source`, also what `rekey` raises in place.
    """
    row = format_for(target, new_format)
    with ExitStack() as stack:
        try:
            keys = _Keys(stack, options, new_password, recipients)
        finally:
            del new_password, recipients  # tracebacks that show local variables would show them
        check = unchanged(cast("str", source)) if onto_itself(source, target) else None
        old = stack.enter_context(_open(source, options))
        if check is not None:
            old.check_replaceable()
        if row.single and [entry.kind for entry in old] != ["file"]:
            message = f"the archive has {len(old)} entries, and {row.name} holds a single file: name it .zip.age"
            raise ValueError(message)
        new = create(
            target,
            password=keys.new(same=not options.get("identities")),
            recipients=keys.recipients,
            format=row.name,
            compression=compression,
            level=level,
            overwrite=overwrite,
            verify=verify,
            armor=armor,
            threads=options.get("threads"),
            progress=options.get("progress"),
        )
        return _copy(old, new, check)


def rekey(
    source: str | os.PathLike[str] | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO | None = None,
    *,
    new_password: str | Buffer | Callable[[], Secret] | None = None,
    recipients: Iterable[str | os.PathLike[str]] = (),
    overwrite: bool = False,
    verify: bool = False,
    armor: bool | None = None,
    **options: Unpack[OpenOptions],
) -> None:
    """Encrypt an archive anew: with `new_password` or to `recipients`, in place or into `target`.

    As `convert`, in the same format. Every key and salt is a fresh one, so that whoever could open the old archive
    cannot open the new one; copies of the old one that they have they can open as before. What is in an age file is
    taken over byte for byte; in other formats each entry is compressed anew, by the method that most of them have. The
    file is untouched until the new one, of mode 0600, is complete, and after any error.

    new_password  as for `convert`; without it there have to be `recipients`
    armor         write text; by default where it was text
    overwrite     replace a `target` that is there
    verify        read it again from the disk, as for `create`
    options       as for `convert`

    Raises as `convert`; `ValueError` also for a `target` whose suffix says another format, `UnsupportedError` where
    something would be lost in place: symlinks, the program in front of an archive, further volumes; `OutputError` where
    the file was changed meanwhile, which is not replaced.
    """
    where = _where(source, target)
    with ExitStack() as stack:
        try:
            keys = _Keys(stack, options, new_password, recipients)
        finally:
            del new_password, recipients  # as above
        limits = options.get("limits") or Limits()
        check = unchanged(cast("str", source)) if target is None else None
        opened = open_source(source, limits)
        stack.callback(opened.close)
        row = known(name) if (name := options.get("format")) else detect(opened, source)
        _refuse_suffix(row if name or by_suffix(source) else None, row, target)
        if row.inside:
            options["format"] = row.outermost.name
        old = stack.enter_context(_open(cast("BinaryIO", opened), options))
        if check is not None:
            old.check_replaceable()
        new = create(
            where,
            password=keys.new(same=False),
            recipients=keys.recipients,
            format=old.format,
            compression=old.compression,
            overwrite=overwrite or target is None,
            verify=verify,
            armor=old.armored if armor is None else armor,
            threads=options.get("threads"),
            progress=options.get("progress"),
        )
        _copy(old, new, check)


class _Keys:
    """The passwords, old and new, in Secrets that `stack` closes; the old one is put into `options`."""

    def __init__(
        self,
        stack: ExitStack,
        options: OpenOptions,
        new: str | Buffer | Callable[[], Secret] | None,
        recipients: Iterable[str | os.PathLike[str]],
    ) -> None:
        try:
            old = None if (password := options.pop("password", None)) is None else Secret(password)
            if old is not None:
                stack.callback(old.close)
            self._later = new if callable(new) else None
            self._new = None
            if new is not None and self._later is None:
                self._new = stack.enter_context(Secret(cast("str | Buffer", new)))
            given = options.pop("identities", ())
            try:
                options["identities"] = stack.enter_context(hide(given))
            finally:
                del given
            to, recipients = recipients, ()
            try:
                self.recipients = public(to)
            finally:
                del to
        finally:
            password = new = None
            recipients = ()
        self._stack = stack
        self._old = options["password"] = old
        if self.recipients and (self._new is not None or self._later is not None):
            raise ValueError(NOT_BOTH)

    def new(self, *, same: bool) -> Secret | None:
        """Return the new password, if any: with `same` the old one, where there is no other key."""
        if self._later is not None:
            return self._stack.enter_context(self._later())
        if self._new is not None or self.recipients or not same:
            return self._new
        return self._old


def _open(source: str | os.PathLike[str] | BinaryIO, options: OpenOptions) -> ReadRoom:
    """Open an archive, and raise at once what reading would where keys are missing."""
    room = open_archive(source, **options)
    if options.get("password") is None and not options.get("identities"):
        try:
            name = next((entry.name for entry in room if entry.encrypted and entry.kind == "file"), None)
            if name is not None:
                next(room.chunks(name), None)
        except BaseException:
            room.close()
            raise
    return room


def _copy(old: ReadRoom, new: WriteRoom, check: Callable[[], None] | None) -> tuple[Entry, ...]:
    with new:
        if check is not None:
            new.before_it_appears(check)
        new.expect(sum(entry.size for entry in old))
        old.copy_to(new)
    return new.entries


def _where(
    source: str | os.PathLike[str] | BinaryIO, target: str | os.PathLike[str] | BinaryIO | None
) -> str | os.PathLike[str] | BinaryIO:
    """Return where the new archive goes."""
    if isinstance(source, (str, os.PathLike)):
        return source if target is None else target
    if target is None:
        message = "what comes from a stream takes a target"
        raise ValueError(message)
    if target is source:
        message = "a stream is not written over while it is read: give another one as target"
        raise ValueError(message)
    return target


def onto_itself(source: object, target: object) -> bool:
    """Whether both are paths of one file, which the new archive is to replace."""
    if not (isinstance(source, (str, os.PathLike)) and isinstance(target, (str, os.PathLike))):
        return False
    old, new = Path(cast("str", source)), Path(cast("str", target))
    return old.exists() and new.exists() and old.samefile(new)


def _refuse_suffix(named: Format | None, found: Format, target: object) -> None:
    """Raise `ValueError` for a target by whose suffix the archive would be taken for something else.

    `named` is the format that the caller, or the suffix of the source, says it has; `found` is what its content says,
    which does not tell an age file from one with a ZIP inside.
    """
    row = by_suffix(target)
    if row is None or row == named or (named is None and row.outermost == found.outermost):
        return
    message = f"rekeyed it is {(named or found).name} as before, and the suffix of {str(target)!r} says {row.name}"
    raise ValueError(message)
