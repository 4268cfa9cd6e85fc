"""Checks a manifest, while an archive is read."""

from __future__ import annotations

import hmac
import inspect
import threading
import warnings
from typing import TYPE_CHECKING, Final, Literal

from strongroom.errors import LimitError, StrongroomError, StrongroomWarning, TamperedError, WrongKeyError
from strongroom.manifest import keys
from strongroom.manifest.diagnosis import changes, diagnose
from strongroom.manifest.keys import MARKED_SIZE
from strongroom.manifest.sealing import whole_tag
from strongroom.manifest.spec import SALT_SIZE, Tail, decode_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.limits import Limits
    from strongroom.manifest import Evidence, ManifestPolicy, ManifestState, Shown
    from strongroom.manifest.keys import Key

_MOST_MARKS: Final = 16
"""How many keys are derived to look for marks in an archive without a manifest, 17 ms each. One of ours needs one; in
those of other tools every salt would need its own."""
_PACKAGE: Final = __name__.split(".")[0]
_MOST_NAMED: Final = 4  # changes that an error lists


class Guard:
    """Checks one archive. Its reader calls `open` once, and `entry` whenever it has found an entry in the file.

    Both raise a `StrongroomError` where something does not hold, or warn, where the policy is to ignore that. `open`
    checks the directory, and thus every record; an entry's own headers are checked when it is read, since to read those
    of 100,000 entries takes as long as all the rest of opening, and a disk that seeks much longer.

    `derive` makes its key of salt and rounds, or is None where there is no password. `entry` may be called by several
    threads at once. Wiped by `close()`.
    """

    def __init__(self, policy: ManifestPolicy, derive: Callable[[bytes, int], Key] | None, limits: Limits) -> None:
        self._policy = policy
        self._derive = derive
        self._limits = limits
        self._fields: Sequence[bytes] = ()
        self._key: Key | None = None
        self._marks: dict[bytes, Key] = {}
        self._lock = threading.Lock()
        self._entries: Literal["none", "records", "marks"] = "none"  # what `entry` checks
        self._shared = False
        self.state: ManifestState = "unchecked"

    def share(self, derive: Callable[[bytes, int], Key]) -> None:
        """Have `derive` make the key, of the archive's own, for formats that have one; see `Sealer.share`."""
        self._shared = True
        self._derive = self._derive and derive

    @property
    def covers_data(self) -> bool:
        """Whether `entry` says that an entry's data is what was sealed, as far as its evidence has that."""
        return self._entries == "records"

    def open(self, shown: Shown) -> None:
        """Check directory and end records.

        Raises `TamperedError` that says what was changed, `WrongKeyError`, `FormatError`, and `LimitError` before any
        work that the archive asks too much of.
        """
        self._fields = shown.fields
        if not any(self._fields):
            self.state, self._entries = "absent", "marks"
        elif self._derive is not None:
            try:
                self._check(shown, self._derive)
            except WrongKeyError:
                raise
            except StrongroomError as error:
                self._fail(error, "changed")
            else:
                self.state, self._entries = "verified", "records"

    def demand(self) -> None:
        """Refuse an archive without a manifest where one is required; for the Room, whatever the reader did."""
        if self._policy == "required" and self.state != "verified":
            message = "the archive has no manifest, and one is required"
            raise TamperedError(message)

    def fits(self, shown: Shown) -> bool:
        """Whether the manifest says that the password is right; False where it cannot."""
        try:
            last = _tail(shown.fields)
            return last is not None and self._derive is not None and self._fitting(last, self._derive) is not None
        except StrongroomError:
            return False

    def entry(self, position: int, evidence: Evidence) -> None:
        """Check an entry's raw parts against its record; without a manifest, look for the mark in its salt."""
        if self._entries == "records":
            self._check_record(position, evidence)
        elif self._entries == "marks":
            self.miss(evidence.salt, f"{evidence.name!r} was sealed with one")

    def miss(self, salt: bytes, where: str) -> None:
        """In an archive without a manifest, raise `TamperedError` where a salt is one of ours, which says `where`."""
        if self._entries == "marks" and (keys.stamped(salt) if self._shared else self._is_marked(salt)):
            message = f"the archive's manifest was removed: {where}"
            self._fail(TamperedError(message), "removed")

    def close(self) -> None:
        """Wipe the keys."""
        for key in (self._key, *self._marks.values()):
            if key is not None:
                key.close()
        self._key = None
        self._marks.clear()

    def _fail(self, error: StrongroomError, state: ManifestState) -> None:
        self.state = state
        if self._policy != "ignore":
            raise error
        self._entries = "none"  # more of them say nothing new
        warnings.warn(f"{error}; it is read all the same", StrongroomWarning, stacklevel=_depth())

    def _check_record(self, position: int, evidence: Evidence) -> None:
        if self._key is None:
            message = "the archive is closed"
            raise ValueError(message)
        record, _ = decode_field(self._fields[position])
        now = self._key.record(position, evidence.parts, evidence.aspects)
        if record is not None and hmac.compare_digest(now.tag, record.tag):
            return
        if len(evidence.salt) == MARKED_SIZE and not self._key.marked(evidence.salt):
            found = "is of another archive than the manifest, or of another version of it"
        else:
            found = (record and changes(now, record, evidence)) or f"has {evidence.rest} than it was sealed with"
        self._fail(TamperedError(f"{evidence.name!r} {found}"), "changed")

    def _check(self, shown: Shown, derive: Callable[[bytes, int], Key]) -> None:
        tail = _tail(self._fields)
        key = self._key = self._marked_key(shown) if tail is None else self._fitting(tail, derive)
        if key is None:
            if tail is not None and not shown.authentic():
                message = "the password does not fit the manifest"
                raise WrongKeyError(message)
            message = "the end of the manifest was removed or changed"
            raise TamperedError(message)
        if tail is not None and hmac.compare_digest(whole_tag(key, shown.whole), tail.tag):
            return
        found = diagnose(shown, key, None if tail is None else tail.entries)
        more = [f"and {len(found) - _MOST_NAMED} more changes"] if len(found) > _MOST_NAMED else []
        message = f"the archive is not as it was sealed: {'; '.join(found[:_MOST_NAMED] + more)}"
        raise TamperedError(message)

    def _fitting(self, tail: Tail, derive: Callable[[bytes, int], Key]) -> Key | None:
        """Return the key that the tail names, or None where it is another one."""
        if tail.rounds > self._limits.kdf_work:
            message = f"the manifest's key takes {tail.rounds} rounds, above the kdf_work limit of "
            raise LimitError(message + str(self._limits.kdf_work))
        if self._key is None or (self._key.salt, self._key.rounds) != (tail.salt, tail.rounds):
            if self._key is not None:
                self._key.close()
            self._key = derive(tail.salt, tail.rounds)
        return self._key if hmac.compare_digest(self._key.check, tail.check) else None

    def _marked_key(self, shown: Shown) -> Key | None:
        """Return the key of the first entry whose salt is marked: for an archive whose manifest lost its end."""
        for position in range(len(self._fields)):
            salt = shown.evidence(position).salt
            if self._is_marked(salt):
                return self._marks.pop(salt[:SALT_SIZE])
        return None

    def _is_marked(self, salt: bytes) -> bool:
        if self._derive is None or len(salt) != MARKED_SIZE:
            return False
        front = salt[:SALT_SIZE]
        with self._lock:
            if front not in self._marks and len(self._marks) < _MOST_MARKS:
                self._marks[front] = self._derive(front, keys.ROUNDS)
            return front in self._marks and self._marks[front].marked(salt)


def _tail(fields: Sequence[bytes]) -> Tail | None:
    """Return the tail from the last field, or, in an archive that was put in another order, from where it is."""
    for field in reversed(fields):
        if field and (tail := decode_field(field)[1]):
            return tail
    return None


def _depth() -> int:
    """Return the stack level, for the caller, of who called us from outside: there are many ways to an entry."""
    depth, frame = 0, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] == _PACKAGE:
        depth, frame = depth + 1, frame.f_back
    return depth
