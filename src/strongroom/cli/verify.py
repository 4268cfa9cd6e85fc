"""`strongroom verify`: everything is read and checked."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.advice import for_unsupported
from strongroom.cli.failure import Unsound
from strongroom.cli.messages import advise, data, data_json, printable
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
from strongroom.cli.units import count, rate, size
from strongroom.errors import StrongroomError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.room import Finding, ReadRoom

if TYPE_CHECKING:
    from strongroom.manifest import ManifestState


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
    epilog="Example:  strongroom verify case-42.zip && cp case-42.zip /media/usb",
)
@archive_argument
@reading_options
@json_option
@quiet_option
def command(archive: str, *, reading: ReadingOptions, as_json: bool, quiet: bool) -> None:
    """Read all of ARCHIVE, check every entry's authentication code, and report what is wrong.

    Exits with 4 where anything is damaged or forged, with 1 where all that is wrong is that something cannot be read
    here. Nothing is written to the disk.
    """
    with Bar("verifying", quiet=quiet) as bar, open_archive(archive, reading, bar) as room:
        start = time.monotonic()
        report = room.verify()
        seconds = time.monotonic() - start
        unread = _unread(room, report.findings)
    total = sum(entry.size for entry in report.entries)
    if as_json:
        findings = [{"entry": finding.entry, "problem": finding.problem} for finding in report.findings]
        result = {"archive": archive, "ok": report.ok, "entries": len(report.entries), "bytes": total}
        data_json(result | {"manifest": report.manifest, "findings": findings})
    else:
        for finding in report.findings:
            named = finding.entry is None or repr(finding.entry) in finding.problem
            data(printable(finding.problem if named else f"{finding.entry!r}: {finding.problem}"))
        entries = count(len(report.entries), "entry", "entries")
        failed = len({finding.entry for finding in report.findings})
        if not report.ok:
            data(printable(f"{archive}: {failed} of {entries} {'cannot be read here' if unread else 'failed'}"))
        elif not quiet:
            speed = rate(total, seconds)
            manifest = f", {_MANIFEST[report.manifest]}"
            data(printable(f"{archive}: ok, {entries}, {size(total)}" + (f", {speed}" if speed else "") + manifest))
    if unread is not None:
        advise(for_unsupported(unread))
    if not report.ok:
        raise Unsound(damaged=unread is None)


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
