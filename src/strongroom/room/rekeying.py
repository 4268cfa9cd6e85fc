"""`rekey`: other recipients or another password for an archive."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from strongroom.errors import UnsupportedError
from strongroom.formats import ReaderOptions, WriterOptions
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from strongroom.room import keys
from strongroom.room.base import Meter, Progress, output_for, threads_of
from strongroom.room.finding import check_content, detect, known, refuse_suffix
from strongroom.room.rereading import Hashed
from strongroom.source import open_source, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.formats import Envelope, Enveloped, Format, Recipient
    from strongroom.output import Output
    from strongroom.source import Source

_ARMOR: Final = b"-----BEGIN"
_HEAD: Final = 4096


def rekey(
    source: str | os.PathLike[str] | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO | None = None,
    *,
    password: str | Buffer | None = None,
    identities: Iterable[keys.Identities] = (),
    ask: keys.Ask | None = None,
    new_password: str | Buffer | Callable[[], Secret] | None = None,
    recipients: Iterable[str | os.PathLike[str]] = (),
    format: str | None = None,
    overwrite: bool = False,
    verify: bool = False,
    armor: bool | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> None:
    """Encrypt an archive anew: to `recipients` or with `new_password`, in place or into `target`.

    The whole archive is checked first. Then it is decrypted and encrypted piece by piece, through memory alone, with a
    fresh file key, so that whoever could open the old one cannot open the new one. Copies of the old one that they have
    they can open as before. The file is untouched until the new one is complete, and after any error. So far this is
    done for age files (.age, .zip.age).

    password, identities, ask  open it as it is now, as for `open`; so do `format` and `limits`
    recipients, new_password   open it from now on, as for `create`; a function is called for the new password, in a
                               `Secret`, once it is clear that the old keys open the file
    overwrite                  replace a `target` that is there
    verify                     read it again from the disk, as for `create`
    armor                      write text; by default where it was text
    progress                   called as `progress(done, total)` with plaintext bytes, each of which counts twice

    Raises `ValueError` for keys that do not go together, `UnsupportedError` for other formats, `OutputError`, and what
    `open` and `verify` find.
    """
    with ExitStack() as stack:
        try:
            old = None if password is None else stack.enter_context(Secret(password))
            later = new_password if callable(new_password) else None
            new = None
            if new_password is not None and later is None:
                new = stack.enter_context(Secret(cast("str | Buffer", new_password)))
        finally:
            del password, new_password  # tracebacks that show local variables would show them
        given, identities, recipients = (identities, recipients), (), ()
        try:
            hidden, recipients = stack.enter_context(keys.hide(given[0])), keys.public(given[1])
        finally:
            del given  # likewise
        limits = limits or Limits()
        threads = threads_of(threads)
        where = _where(source, target)
        refuse_suffix(target)
        opened = open_source(source, limits)
        stack.callback(opened.close)
        row = known(format) if format else detect(opened, source)
        if not row.keys:
            check_content(opened, row, limits)
            message = f"a {row.name} archive is not rekeyed: seal what is in it anew"
            error = UnsupportedError(message)
            error.add_note("only age files (.age, .zip.age) are rekeyed; this one is as it was")
            raise error
        to = _new_keys(row, new, recipients, later=later is not None)
        own = keys.own_keys(row, hidden, old, ask, limits)
        stack.callback(keys.close, own)
        reading = ReaderOptions(
            password=old, legacy=False, allow_plaintext=False, limits=limits, threads=threads, identities=own
        )
        payload = row.payload(opened, reading)
        stack.callback(payload.close)
        if later is not None:
            new = stack.enter_context(later())
            row.check_password(new)
        envelope = row.envelope(_writing(row, new, to, threads, armored=_is_text(opened) if armor is None else armor))
        stack.callback(envelope.close)
        meter = Meter(progress, 2 * payload.size)
        payload.check(meter.tick)
        output = output_for(where, threads, overwrite=overwrite or target is None, verify=verify)
        try:
            _rewrite(payload, envelope, Hashed(output) if verify else output, meter)
        except BaseException:
            output.discard()
            raise


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


def _writing(
    row: Format, new: Secret | None, to: tuple[Recipient, ...], threads: int, *, armored: bool
) -> WriterOptions:
    return WriterOptions(
        password=new,
        compression=row.compressions[0],
        level=None,
        threads=threads,
        patchable=False,
        random=os.urandom,
        recipients=to,
        armored=armored,
    )


def _new_keys(
    row: Format, new: Secret | None, recipients: Iterable[str | os.PathLike[str]], *, later: bool
) -> tuple[Recipient, ...]:
    if later:
        if tuple(recipients):
            raise ValueError(keys.NOT_BOTH)
        return ()
    to = keys.new_keys(row, new, recipients)
    if new is not None:
        row.check_password(new)
    return to


def _rewrite(payload: Enveloped, envelope: Envelope, output: Output, meter: Meter) -> None:
    output.write(_pieces(payload, envelope, meter))
    output.finish()
    if isinstance(output, Hashed):
        output.compare(lambda _, __: None)
    output.publish()


def _pieces(payload: Enveloped, envelope: Envelope, meter: Meter) -> Iterator[bytes | memoryview]:
    for chunk in payload.chunks():
        yield from envelope.update(chunk)
        meter.tick(len(chunk))
    yield from envelope.finish()


def _is_text(source: Source) -> bool:
    return read(source, 0, min(source.size, _HEAD)).lstrip().startswith(_ARMOR)
