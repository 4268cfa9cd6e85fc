"""Recipients and identities as callers give them: text is a key, a path is a file of keys.

The one place here that has files opened, by `source`. Text is never taken for a path: a key with a typing error would
stand in the error about a file that is not there.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from strongroom.errors import LimitError
from strongroom.flow import as_bytes
from strongroom.formats.age import identities, recipients
from strongroom.formats.age.envelope import open_identities
from strongroom.memory.secret import Secret
from strongroom.source import open_source, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer

    from strongroom.formats.age.identities import Identity
    from strongroom.formats.age.recipients import Recipient
    from strongroom.limits import Limits


@runtime_checkable
class PathLike(Protocol):
    """What `os.PathLike[str]` is, which is not imported where nothing is opened."""

    def __fspath__(self) -> str: ...


if TYPE_CHECKING:
    GivenRecipient = str | PathLike
    GivenIdentity = str | Buffer | PathLike


def given_recipients(given: GivenRecipient | Iterable[GivenRecipient], limits: Limits) -> tuple[Recipient, ...]:
    """Return the recipients that are `given`, one or several; `recipients.check` says whether they go together.

    Text is `age1…`, `age1pq1…`, `age1tag1…` or a line of authorized_keys; a file has one on each line.

    Raises `ValueError` that names what is wrong, `UnsupportedError`, `LimitError`, `OSError`; `TypeError` for others.
    """
    found: list[Recipient] = []
    for one in (given,) if isinstance(given, (str, PathLike)) else given:
        if isinstance(one, str):
            found.append(recipients.parse(one))
            continue
        name = _name(one, "a recipient is text, or the path of a file of them")
        with closing(open_source(name, limits)) as source:
            if source.size > recipients.LARGEST_FILE:
                message = f"{name!r} has more than {recipients.LARGEST_FILE} bytes"
                raise LimitError(message)
            found += recipients.parse_file(read(source, 0, source.size), name)
    return tuple(found)


def given_identities(
    given: GivenIdentity | Iterable[GivenIdentity], limits: Limits, ask: Callable[[str], Secret] | None = None
) -> tuple[Identity, ...]:
    """Return the identities that are `given`, one or several; the caller closes them (`identities.close`).

    Text, also as bytes or a `Secret`, is what stands in an identity file: `AGE-SECRET-KEY-…` on a line, or an SSH key.
    `ask` is called with a file's name, where that takes a passphrase. Raises `ValueError` that says where something is
    wrong, and not what stands there; `UnsupportedError`, `FormatError`, `WrongKeyError`, `LimitError`, `OSError`;
    `TypeError` for others.
    """
    found: list[Identity] = []
    one = isinstance(given, (str, PathLike)) or as_bytes(given) is not None
    several = (cast("GivenIdentity", given),) if one else cast("Iterable[GivenIdentity]", given)
    identity: GivenIdentity | None = None
    try:
        for number, identity in enumerate(several, 1):
            found += _identities(identity, number, limits, ask)
    except BaseException:
        identities.close(found)
        raise
    finally:
        del given, several, identity  # tracebacks that show local variables would show them
    return tuple(found)


def _identities(one: GivenIdentity, number: int, limits: Limits, ask: Callable[[str], Secret] | None) -> list[Identity]:
    try:
        if isinstance(one, str) or as_bytes(one) is not None:
            with Secret(cast("str | Buffer", one)) as text, memoryview(text) as view:
                name = f"identity {number}"
                return identities.parse_file(view, name, None if ask is None else partial(ask, name))
        name = _name(one, "an identity is text, a Secret, or the path of a file of them")
    finally:
        del one  # as above
    with closing(open_source(name, limits)) as source:
        return open_identities(source, name, None if ask is None else partial(ask, name), limits)


def _name(path: object, expected: str) -> str:
    if not isinstance(path, PathLike):
        message = f"{expected}, not {type(path).__name__}"
        raise TypeError(message)
    return path.__fspath__()
