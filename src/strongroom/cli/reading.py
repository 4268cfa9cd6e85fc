"""Opens the archive that a verb reads, and gets its password."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import strongroom
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import STDIN
from strongroom.cli.options import STDIO, ReadingOptions
from strongroom.cli.passwords import TRIES, ask_passphrase, warn_of_readers
from strongroom.cli.terminal import Terminal
from strongroom.cli.units import count
from strongroom.errors import LimitError, StrongroomError, WrongKeyError
from strongroom.limits import KIB, MIB
from strongroom.memory.secret import Secret, SecretBuffer
from strongroom.room.keys import DamagedIdentityError, UnusedIdentityError

if TYPE_CHECKING:
    from strongroom.cli.passwords import PasswordOptions
    from strongroom.limits import Limits
    from strongroom.room import ReadRoom

Opened = TypeVar("Opened")
_LARGEST_IDENTITY: Final = 64 * KIB
_SEALED: Final = (b"age-encryption.org/", b"-----BEGIN AGE")


@runtime_checkable
class Closable(Protocol):
    """What has to be closed."""

    def close(self) -> None: ...  # noqa: D102


def open_listed(archive: str, password: PasswordOptions, limits: Limits, format_name: str | None) -> ReadRoom:
    """Open an archive for its list of entries; a password is asked for only where the names are encrypted."""
    options = ReadingOptions(password, False, False, "auto", limits, format_name)  # noqa: FBT003 - in their order
    return open_archive(archive, options, data=False)


def open_archive(
    archive: str,
    options: ReadingOptions,
    progress: Callable[[int, int | None], object] | None = None,
    check: Callable[[ReadRoom], object] = lambda _: None,
    *,
    data: bool = True,
) -> ReadRoom:
    """Open an archive to read its data. On a terminal the password is asked for up to three times.

    `check` raises where the list of entries shows that there is nothing to do, before anyone types a password.
    """
    if options.manifest == "required" and options.password.identities:
        message = "what an identity opens has no manifest, and so none to require"
        hint = "an age file is always checked whole, but does not say who made it: leave --manifest out"
        raise Misuse(message, hint=hint)

    def opened(place: str | BinaryIO, keys: Keys) -> ReadRoom:
        room = strongroom.open(
            place,
            password=keys.password,
            identities=keys.identities,
            ask=keys.ask,
            format=options.format_name,
            legacy=options.legacy,
            allow_plaintext=options.allow_plaintext,
            manifest="auto" if keys.password is None else options.manifest,
            streaming=options.streaming,
            limits=options.limits,
            progress=progress,
        )
        return _checked(room, check)

    def enough(room: ReadRoom) -> bool:
        """Whether no password is needed; raises where an identity is."""
        if not data or (options.manifest != "required" and not any(entry.encrypted for entry in room)):
            return True
        _refuse_without_identity(room)
        return False

    return with_keys(archive, options, opened, enough)


class Keys(NamedTuple):
    """What opens an archive, in one try."""

    password: Secret | None = None
    identities: tuple[Path | Secret, ...] = ()
    ask: Callable[[str], Secret] | None = None


def with_keys(
    archive: str,
    options: ReadingOptions,
    use: Callable[[str | BinaryIO, Keys], Opened],
    enough: Callable[[Opened], bool] = lambda _: True,
) -> Opened:
    """Give `use` what opens an archive. On a terminal it is asked for, up to three times.

    `enough` says of what `use` returned without a password whether that does; if not, it is closed.
    """
    options.password.check(stdin_is_data=archive == STDIO)
    if options.password.identities:
        return _identified(archive, options, use)
    if options.password.given:
        with options.password.take() as password:
            return use(_place(archive), Keys(password))
    place = _place_to_reopen(archive, options.limits)
    try:
        found = use(place, Keys())
        if enough(found):
            return found
        if isinstance(found, Closable):
            found.close()
    except WrongKeyError as error:  # the names are encrypted as well
        if error.identity:
            raise
    return _asked(archive, lambda password: use(place, Keys(password)))


def with_identities(options: PasswordOptions, use: Callable[[Keys], Opened]) -> Opened:
    """Give `use` the identities. The password is that of their files, and asked for once one of them needs it."""
    try:
        found = _with_passphrase(options, use)
    except ValueError as error:  # how the library refuses what are no identities
        hint = "-i FILE names a file of secret keys, as keygen writes it, and is for age files alone"
        raise Misuse(str(error), hint=hint) from error
    except UnusedIdentityError as error:
        hint = "identities are AGE-SECRET-KEY-1..., as keygen writes it, or SSH keys (ssh-ed25519, ssh-rsa)"
        raise Misuse(str(error), hint=hint) from error
    except DamagedIdentityError as error:
        raise Failure(str(error), hint="that file is no whole identity: use a copy that is") from error
    _check_modes(options.identities)
    return found


def _with_passphrase(options: PasswordOptions, use: Callable[[Keys], Opened]) -> Opened:
    with ExitStack() as stack:
        identities = tuple(
            stack.enter_context(_from_stdin()) if name == STDIO else Path(name) for name in options.identities
        )
        if options.given:
            return use(Keys(stack.enter_context(options.take()), identities))
        for left in reversed(range(TRIES)):
            asked: list[str] = []
            try:
                return use(Keys(None, identities, partial(_passphrase, asked)))
            except WrongKeyError:
                if not asked or not left:
                    raise
                with Terminal() as terminal:
                    terminal.say(f"That is not the passphrase; {count(left, 'try', 'tries')} left.")
    raise AssertionError


def _identified(archive: str, options: ReadingOptions, use: Callable[[str | BinaryIO, Keys], Opened]) -> Opened:
    """Open with identities; where a password is what the archive takes, ask for that."""
    given = options.password.given
    place = _place(archive) if given else _place_to_reopen(archive, options.limits)
    instead: list[WrongKeyError] = []

    def identified(keys: Keys) -> Opened | None:
        try:
            return use(place, keys)
        except WrongKeyError as error:
            if given or not error.password:
                raise
            instead.append(error)
            return None

    found = with_identities(options.password, identified)
    if instead:
        return _asked_instead(archive, partial(_with_password, use, place), instead[0])
    return cast("Opened", found)


def _check_modes(names: Iterable[str]) -> None:
    """Warn of identities that others can read, unless a passphrase of age's seals them."""
    for name in names:
        with suppress(OSError):
            if name != STDIO and stat.S_ISREG(mode := Path(name).stat().st_mode) and not _is_sealed(name):
                warn_of_readers(f"the identity file {name!r}", mode)


def _is_sealed(name: str) -> bool:
    with Path(name).open("rb", buffering=0) as file:
        return file.read(len(_SEALED[0])).startswith(_SEALED)


def _with_password(use: Callable[[str | BinaryIO, Keys], Opened], place: str | BinaryIO, password: Secret) -> Opened:
    return use(place, Keys(password))


def _asked_instead(archive: str, opened: Callable[[Secret], Opened], error: WrongKeyError) -> Opened:
    """Ask for the password that the archive takes; without a terminal, say with `error` that it takes one."""
    try:
        terminal = Terminal()
    except Misuse:
        raise error from None
    with terminal:
        pass
    return _asked(archive, opened)


def _passphrase(asked: list[str], name: str) -> Secret:
    phrase = ask_passphrase(name)
    asked.append(name)
    return phrase


def _from_stdin() -> Secret:
    with SecretBuffer(_LARGEST_IDENTITY) as buffer, memoryview(buffer) as view:
        size = 0
        while size < len(view) and (got := os.readv(stdin().fileno(), [view[size:]])):
            size += got
        if not size or size == len(view):
            message = f"{STDIN} gives {'too much for' if size else 'nothing, and no'} identity"
            raise Failure(message)
        return Secret(view[:size])


def _refuse_without_identity(room: ReadRoom) -> None:
    """Raise what reading an entry does without keys, where only an identity would help."""
    name = next((entry.name for entry in room if entry.encrypted and entry.kind == "file"), None)
    if name is not None:
        try:
            next(room.chunks(name), None)
        except WrongKeyError as error:
            if error.identity:
                room.close()
                raise
        except StrongroomError:
            pass


def _checked(room: ReadRoom, check: Callable[[ReadRoom], object]) -> ReadRoom:
    try:
        check(room)
    except BaseException:
        room.close()
        raise
    return room


def _asked(archive: str, opened: Callable[[Secret], Opened]) -> Opened:
    place = f"the archive on {STDIN}" if archive == STDIO else archive
    with Terminal() as terminal:
        for left in reversed(range(TRIES)):
            password = terminal.ask(f"Password for {place}: ")
            if password is not None:
                try:
                    with password:
                        return opened(password)
                except WrongKeyError:
                    pass
            if left:
                terminal.say(f"That is not the password; {count(left, 'try', 'tries')} left.")
    message = f"none of {TRIES} passwords fits"
    raise WrongKeyError(message)


def _place(archive: str) -> str | BinaryIO:
    return stdin() if archive == STDIO else archive


def stdin() -> BinaryIO:
    """Return standard input, for an archive. Raises `OSError` where it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDIN)
    return sys.stdin.buffer


def _place_to_reopen(archive: str, limits: Limits) -> str | BinaryIO:
    """Give what can be opened once for each try: a pipe is taken into memory."""
    if archive == STDIO:
        return stdin() if stdin().seekable() else _taken(stdin(), limits)
    if not stat.S_ISFIFO(Path(archive).stat().st_mode):
        return archive
    with Path(archive).open("rb") as pipe:
        return _taken(pipe, limits)


def _taken(pipe: BinaryIO, limits: Limits) -> BinaryIO:
    kept = io.BytesIO()
    while data := pipe.read(MIB):
        if kept.tell() + len(data) > limits.memory_size:
            message = f"the pipe gives more than the memory_size limit of {limits.memory_size} bytes"
            raise LimitError(message)
        kept.write(data)
    return kept
