"""Passwords: from the terminal, a file, a descriptor, a command or the keyring, never an argument or the environment.

They go from the descriptor straight into a `SecretBuffer`: no `str` and no `bytes` ever holds one.
"""

from __future__ import annotations

import os
import stat
from typing import Final, NamedTuple

from strongroom.cli.advice import for_system
from strongroom.cli.child import output_of
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import STDOUT, warn
from strongroom.cli.terminal import Terminal
from strongroom.limits import KIB
from strongroom.memory.secret import Secret, SecretBuffer

TRIES: Final = 3
_LONGEST: Final = 4 * KIB - 1  # beyond this it is not a password, but the wrong file; and it fits a page
_READABLE_BY_OTHERS: Final = 0o044


class PasswordOptions(NamedTuple):
    """Where the password comes from; the terminal, where nothing is given.

    `identities` are files of secret keys, which stand in its place; a password is then that of these files. `prefix` is
    what the options' names have before "password".
    """

    file: str | None
    descriptor: int | None
    command: str | None
    identities: tuple[str, ...] = ()
    prefix: str = "--"
    keyring: str | None = None

    @property
    def given(self) -> bool:
        """Whether an option says where the password comes from."""
        return self._sources > 0

    @property
    def _sources(self) -> int:
        return sum(option is not None for option in (self.file, self.descriptor, self.command, self.keyring))

    def check(self, *, stdin_is_data: bool) -> None:
        """Raise `Misuse` for options that contradict each other."""
        if self._sources > 1:
            names = ", ".join(f"{self.prefix}password-{source}" for source in ("file", "fd", "command"))
            message = f"only one of {names} and {self.prefix}password-keyring can be used"
            raise Misuse(message)
        if stdin_is_data and self.descriptor == 0:
            message = "standard input cannot give both the data and the password"
            hint = f"without {self.prefix}password-fd 0 the password is asked for on the terminal"
            raise Misuse(message, hint=hint)
        if (stdin_is_data or self.descriptor == 0) + self.identities.count("-") > 1:
            message = "standard input cannot give an identity and something else"
            raise Misuse(message, hint="put the identity into a file of mode 0600, and name that")

    def take(self) -> Secret:
        """Get the password that an option tells of, with one final newline cut."""
        if self.file is not None:
            return _from_file(self.file)
        if self.descriptor is not None:
            return _from_descriptor(self.descriptor)
        if self.keyring is not None:
            return _from_keyring(self.keyring)
        return _from_command(self.command or "")


def password_for_sealing(options: PasswordOptions, archive: str, what: str = "Password") -> Secret:
    """Get the password for a new archive; on the terminal it is asked for twice."""
    if options.given:
        return _typeable(options.take())
    place = f"the archive on {STDOUT}" if archive == "-" else archive
    with Terminal(what.lower(), options.prefix) as terminal:
        terminal.say("There is no way back without the password: nobody can recover it.")
        for _ in range(TRIES):
            first = terminal.ask(f"{what} for {place}: ")
            if first is None:
                terminal.say("The password is empty.")
                continue
            second = terminal.ask("The same again: ")
            equal = first == second
            if second is not None:
                second.close()
            if equal:
                return first
            first.close()
            terminal.say("The two passwords differ.")
    message = f"no password was given twice the same in {TRIES} tries"
    raise Failure(message)


def ask_passphrase(name: str) -> Secret:
    """Ask on the terminal for the passphrase of a key's file."""
    with Terminal() as terminal:
        phrase = terminal.ask(f"Passphrase for {name}: ")
    if phrase is None:
        message = "no passphrase was given"
        raise Failure(message)
    return phrase


def warn_of_readers(what: str, mode: int) -> None:
    """Warn of a secret's file that others can read."""
    if stat.S_ISREG(mode) and mode & _READABLE_BY_OTHERS:
        warn(f"{what} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it")


def _typeable(password: Secret) -> Secret:
    """Return a password that the recipient can type: refuse line breaks, and warn of spaces that nobody sees."""
    with memoryview(password) as view:
        broken = any(byte in b"\r\n" for byte in view)
        padded = view[0] in b" \t" or view[-1] in b" \t"
    if broken:
        password.close()
        message = "the password has a line break, which cannot be typed at any prompt"
        raise Misuse(message, hint="write it on one line; of line breaks only one at the very end is cut off")
    if padded:
        warn("the password begins or ends with a space, which is part of it, and easily overlooked")
    return password


def _from_file(path: str) -> Secret:
    if path == "-":
        message = "--password-file takes the name of a file"
        raise Misuse(message, hint="--password-fd 0 reads the password from standard input")
    what = f"the password file {path!r}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            warn_of_readers(what, os.fstat(descriptor).st_mode)
            return _not_empty(_read(descriptor, what), what)
        finally:
            os.close(descriptor)
    except OSError as error:
        message = f"{what} cannot be read: {error.strerror}"
        raise Failure(message, hint=for_system(error)) from error


def _from_descriptor(descriptor: int) -> Secret:
    if os.isatty(descriptor):
        message = f"descriptor {descriptor} is a terminal, which would show the password"
        raise Misuse(message, hint="without --password-fd the password is asked for on the terminal, unseen")
    try:
        what = f"descriptor {descriptor}"
        return _not_empty(_read(descriptor, what), what)
    except OSError as error:
        message = f"the password cannot be read from descriptor {descriptor}: {error.strerror}"
        raise Failure(message, hint=f"open it for reading, as the shell does with {descriptor}<FILE") from error


def _from_command(command: str) -> Secret:
    import shlex  # noqa: PLC0415 - few runs need it

    try:
        words = shlex.split(command)
    except ValueError as error:
        message = f"the password command cannot be split into words: {error}"
        raise Misuse(message) from error
    if not words:
        message = "the password command is empty"
        raise Misuse(message)
    # What comes on standard input may be the data. Programs that must ask do so on the terminal.
    what = "the password command"
    with output_of(words, what, stdin=os.isatty(0)) as output:
        secret = _read(output.fileno(), f"what {what} wrote")
    return _not_empty(secret, f"what {what} wrote")


def _from_keyring(name: str) -> Secret:
    from strongroom.cli.keyring import from_keyring  # noqa: PLC0415 - few runs need it

    what = f"what the keyring has for {name!r}"
    with from_keyring(name) as output:
        secret = _read(output.fileno(), what)
    return _not_empty(secret, what)


def _read(descriptor: int, what: str) -> Secret | None:
    """Read to the end; one final newline is not part of the password. None where nothing is left."""
    with SecretBuffer(_LONGEST + 1) as buffer, memoryview(buffer) as view:
        size = 0
        while size < len(view) and (count := os.readv(descriptor, [view[size:]])):
            size += count
        if size > _LONGEST:
            message = f"{what} is longer than any password, which has at most {_LONGEST} bytes"
            raise Misuse(message, hint="the password stands there alone, on one line: is it the right file?")
        for ending in b"\n\r":
            if not size or view[size - 1] != ending:
                break
            size -= 1
        return Secret(view[:size]) if size else None


def _not_empty(secret: Secret | None, what: str) -> Secret:
    if secret is None:
        message = f"{what} is empty"
        raise Misuse(message, hint="the password stands there alone, on one line")
    return secret
