"""`strongroom verify`: everything is read and checked."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import click

import strongroom
from strongroom.cli import receipts
from strongroom.cli.advice import for_unsupported
from strongroom.cli.failure import Unsound
from strongroom.cli.messages import advise, data, data_json, printable, say
from strongroom.cli.options import (
    SETTINGS,
    ReadingOptions,
    archive_argument,
    json_option,
    quiet_option,
    reading_options,
)
from strongroom.cli.progress import Bar
from strongroom.cli.reading import open_archive
from strongroom.cli.receipts import Given, receipt_checking_options
from strongroom.cli.units import count, rate, size
from strongroom.errors import FormatError, StrongroomError, TamperedError, UnsupportedError
from strongroom.formats import FORMATS
from strongroom.room import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.formats import Entry
    from strongroom.manifest import ManifestState
    from strongroom.receipt import Checked
    from strongroom.room import ReadRoom, Report

_EPILOG: Final = """\b
Examples:
  strongroom verify case-42.zip && cp case-42.zip /media/usb
  strongroom verify case-42.zip --receipt case-42.json --allowed-signers lab.pub
"""
_MANIFEST: Final[dict[ManifestState, str]] = {
    "verified": "manifest verified",
    "absent": "no manifest, so names, dates and the list of entries are not authenticated",
    "removed": "manifest removed",
    "changed": "manifest does not hold",
    "unchecked": "manifest not checked",
    "unneeded": "authenticated whole",
}


@click.command(
    "verify",
    context_settings=SETTINGS,
    short_help="Check everything in an archive.",
    epilog=_EPILOG,
)
@archive_argument
@receipt_checking_options
@reading_options
@json_option
@quiet_option
def command(archive: str, *, given: Given, reading: ReadingOptions, as_json: bool, quiet: bool) -> None:
    """Read all of ARCHIVE, check every entry's authentication code, and report what is wrong.

    With --receipt, check that it is the archive of that receipt, which takes no password; with one, do both.

    Exits with 4 where anything is damaged or forged, with 1 where all that is wrong is that something cannot be read
    here. Nothing is written to the disk.
    """
    given.check(archive)
    with Bar("verifying", quiet=quiet or as_json) as bar:
        checked = given.hold_against(archive, reading.limits, bar)
        found = [] if checked is None else [Finding(None, problem) for problem in checked.findings]
        contents = None
        if checked is None or reading.password.given or reading.password.identities:
            try:
                contents = _read(archive, reading, bar)
            except (FormatError, TamperedError) as error:
                if checked is None:
                    raise
                found.append(Finding(None, str(error)))
    if checked is not None:
        entries = _listed(archive, checked.receipt.format, reading) if contents is None else contents.report.entries
        if entries is not None:
            found += [Finding(None, problem) for problem in checked.receipt.differences(entries)]
    verdict = Verdict(archive, checked, contents, tuple(found))
    if as_json:
        data_json(verdict.as_json())
    else:
        verdict.show(quiet=quiet)
    unread = contents.unread if contents is not None else None
    if unread is not None:
        advise(for_unsupported(unread))
    if not verdict.ok:
        raise Unsound(damaged=bool(found) or unread is None)


class Contents(NamedTuple):
    """What reading everything in an archive has found, and why some of it could not be read, where that is all."""

    report: Report
    seconds: float
    unread: UnsupportedError | None


class Verdict(NamedTuple):
    """What `verify` has to say: of a receipt, if there is one, and of the contents, if they were read."""

    archive: str
    receipt: Checked | None
    contents: Contents | None
    found: tuple[Finding, ...]
    """What does not go with the receipt."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.found and (self.contents is None or self.contents.report.ok)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong."""
        return (*self.found, *(self.contents.report.findings if self.contents is not None else ()))

    def as_json(self) -> dict[str, object]:
        """Return what programs are told."""
        result: dict[str, object] = {"archive": self.archive, "ok": self.ok}
        if self.contents is not None:
            report = self.contents.report
            total = sum(entry.size for entry in report.entries)
            result |= {"entries": len(report.entries), "bytes": total, "manifest": report.manifest}
        if self.receipt is not None:
            result["receipt"] = receipts.as_json(self.receipt)
        return result | {"findings": [{"entry": one.entry, "problem": one.problem} for one in self.findings]}

    def show(self, *, quiet: bool) -> None:
        """Say it to people."""
        for finding in self.findings:
            named = finding.entry is None or repr(finding.entry) in finding.problem
            data(printable(finding.problem if named else f"{finding.entry!r}: {finding.problem}"))
        if self.found:
            data(printable(f"{self.archive}: not as the receipt says"))
        elif self.receipt is not None and not quiet:
            data(printable(receipts.describe(self.receipt, self.archive)))
        if self.contents is not None:
            self._show_contents(self.contents, quiet=quiet)
        elif not self.found and not quiet:
            say("its contents were not read: that takes the password, or an identity")
        if self.receipt is not None and self.receipt.signature == "unknown" and not quiet:
            advise("--allowed-signers FILE says whose signatures count, such as the public key of who sealed it")

    def _show_contents(self, contents: Contents, *, quiet: bool) -> None:
        report = contents.report
        entries = count(len(report.entries), "entry", "entries")
        failed = len({finding.entry for finding in report.findings})
        if not report.ok:
            problem = "cannot be read here" if contents.unread else "failed"
            data(printable(f"{self.archive}: {failed} of {entries} {problem}"))
        elif not quiet:
            total = sum(entry.size for entry in report.entries)
            speed = rate(total, contents.seconds)
            facts = ["ok", entries, size(total), *([speed] if speed else []), _MANIFEST[report.manifest]]
            data(printable(f"{self.archive}: {', '.join(facts)}"))


def _read(archive: str, reading: ReadingOptions, bar: Bar) -> Contents:
    with open_archive(archive, reading, bar) as room:
        start = time.monotonic()
        report = room.verify()
        return Contents(report, time.monotonic() - start, _unread(room, report.findings))


def _listed(archive: str, format_name: str, reading: ReadingOptions) -> tuple[Entry, ...] | None:
    """List the entries as far as that takes no password, for the receipt; None where it does, or is no archive."""
    try:
        with strongroom.open(
            archive, format=format_name if format_name in FORMATS else None, limits=reading.limits
        ) as room:
            return room.entries
    except StrongroomError:
        return None


def _unread(room: ReadRoom, findings: Iterable[Finding]) -> UnsupportedError | None:
    """Return why entries cannot be read, where that is all that was found; a first damaged one is read once more.

    A file that is not encrypted beside others that are counts as forged.
    """
    reason: UnsupportedError | None = None
    for finding in findings:
        if finding.entry is None:
            return None
        try:
            deque(room.chunks(finding.entry), maxlen=0)
        except UnsupportedError as error:
            if error.option == "allow_plaintext" and any(entry.encrypted for entry in room):
                return None
            reason = error
        except StrongroomError:
            return None
        else:
            return None
    return reason
