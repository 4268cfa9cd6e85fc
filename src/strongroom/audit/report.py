"""What an audit says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from strongroom.audit.needles import Subject
    from strongroom.audit.tracer import Opened


@dataclass(frozen=True, slots=True)
class Measure:
    """How often `subject` was found in `place`; None where that could not be measured.

    `judged` says whether anything but 0 fails the audit.
    """

    place: str
    subject: Subject | Literal["files"]
    found: int | None
    judged: bool = True

    @property
    def ok(self) -> bool:
        """Whether the promise holds here, as far as there is one."""
        return not self.judged or self.found == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured, how and where.

    setting   what was done, on what machine
    measures  the results
    traces    where each thing was found, and in which form
    opened    the files that were opened for writing
    unseen    what the audit could not look into
    """

    setting: dict[str, str]
    measures: tuple[Measure, ...]
    traces: tuple[str, ...]
    opened: tuple[Opened, ...]
    unseen: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all that can be zero was measured, and is."""
        return all(measure.ok for measure in self.measures)
