"""Says in words what was done to an archive whose manifest does not hold. Nothing else depends on it."""

from __future__ import annotations

import hmac
from collections import deque
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, StrongroomError
from strongroom.manifest.keys import MARKED_SIZE
from strongroom.manifest.spec import ASPECTS, decode_field

if TYPE_CHECKING:
    from strongroom.manifest import Evidence, Shown
    from strongroom.manifest.keys import Key
    from strongroom.manifest.spec import Record

_ASPECT_NAME: Final = ASPECTS.index("name")
_ASPECT_DATA: Final = ASPECTS.index("data")
_OTHER: Final = "its manifest is that of another archive, or of an earlier version of this one"
_MOST_MISSING: Final = 1000  # numbers that are looked for, so that a forged count costs nothing


def changes(now: Record, was: Record, evidence: Evidence) -> str:
    """Say what of an entry is not as its record `was`; empty where the hints show nothing."""
    differ = [what for what, mine, theirs in zip(ASPECTS, now.hints, was.hints, strict=True) if mine != theirs]
    words = {
        "name": f"was renamed (it was number {was.number + 1})",
        "time": "was re-dated",
        "attributes": "got other attributes",
        "packing": f"was given another method, size or encryption (now {evidence.packing})",
        "data": "got other data, or was encrypted anew",
    }
    return ", ".join(words[what] for what in differ)


def diagnose(shown: Shown, key: Key, count: int | None) -> list[str]:
    """Say what was done to the archive, the gravest first; `count` is how many entries it had, if that is known."""
    return _Diagnosis(shown, key).say(count)


class _Diagnosis:
    def __init__(self, shown: Shown, key: Key) -> None:
        self._shown = shown
        self._key = key
        self._names: dict[bytes, int] = {}  # hint of a name -> number of the entry that had it
        self._order: list[int] = []
        self._seen: set[int] = set()
        self._added: list[str] = []
        self._unrecorded: list[str] = []
        self._changed: list[str] = []
        self._moved: list[str] = []

    def say(self, count: int | None) -> list[str]:
        if self._shown.salt and not self._key.marked(self._shown.salt):
            return [_OTHER]
        records = [self._record(field) for field in self._shown.fields]
        self._names = {record.hints[0]: record.number for record in records if record}
        try:
            entries = self._shown.count
        except StrongroomError:
            return ["its header was changed, and the names are in it"]
        if entries is not None:
            records = self._pair(records, entries)
        for position, record in enumerate(records):
            self._look(record, self._shown.evidence(position))
        if records and not self._order and not self._unrecorded:
            return [_OTHER]
        found = self._added + self._missing(count) + self._changed
        if self._order != sorted(self._order):
            found.append("the entries were put in another order")
        found.extend(self._shown.oddities)
        return found or self._moved or ["its end records or its manifest were changed"]

    def _pair(self, records: list[Record | None], entries: int) -> list[Record | None]:
        """Find the record of each entry, where they stand apart: that of its data, else that of its name."""
        paired: list[Record | None] = [None] * entries
        for hint in (_ASPECT_DATA, _ASPECT_NAME):
            free = {record.hints[hint]: record for record in records if record and record not in paired}
            for position, record in enumerate(paired):
                evidence = self._shown.evidence(position)
                if record is None and evidence.aspects[hint]:
                    now = self._key.record(position, (), evidence.aspects)
                    paired[position] = free.pop(now.hints[hint], None)
        return paired

    @staticmethod
    def _record(field: bytes) -> Record | None:
        try:
            return decode_field(field)[0]
        except FormatError:
            return None

    def _look(self, record: Record | None, evidence: Evidence) -> None:
        name, marked = evidence.name, self._key.marked(evidence.salt)
        if record is None:
            if marked:
                self._unrecorded.append(name)
            else:
                self._added.append(f"{name!r} was added ({evidence.packing})")
            return
        now = self._key.record(record.number, evidence.parts, evidence.aspects)
        resealed = len(evidence.salt) == MARKED_SIZE and not marked and now.hints[-1] != record.hints[-1]
        if resealed or not set(now.hints) & set(record.hints):  # another record was put on it
            self._added.append(f"{name!r} was added ({evidence.packing})")
        elif record.number in self._seen:
            self._added.append(f"{name!r} was added, a copy of number {record.number + 1}")
        else:
            self._order.append(record.number)
            self._seen.add(record.number)
            if not hmac.compare_digest(now.tag, record.tag):
                self._tell(now, record, evidence)

    def _tell(self, now: Record, was: Record, evidence: Evidence) -> None:
        name, number = evidence.name, was.number + 1
        other = self._names.get(now.hints[0])
        if now.hints[0] != was.hints[0] and other is not None:
            self._changed.append(
                f"{name!r} was swapped: its name is that of number {other + 1}, the rest number {number}"
            )
        elif what := changes(now, was, evidence):
            self._changed.append(f"{name!r} {what}")
        else:
            self._moved.append(f"{name!r} was moved, or its headers were changed")

    def _missing(self, count: int | None) -> list[str]:
        """Name what was deleted, by number, since the names are gone, and what has lost its record instead."""
        found: list[str] = []
        if count is None:
            found.append("the last entries were deleted, or the end of the manifest")
            count = max(self._seen, default=-1) + 1
        numbers = range(min(count, len(self._seen) + _MOST_MISSING))
        missing = deque(number for number in numbers if number not in self._seen)
        for name in self._unrecorded:
            number = f"number {missing.popleft() + 1}" if missing else "an entry"
            found.append(f"{name!r} is {number}, but was renamed or altered by a tool that dropped its record")
        return found + [f"number {number + 1} was deleted" for number in missing]
