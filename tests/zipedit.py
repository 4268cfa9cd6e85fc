"""Takes a ZIP file of ours apart, and puts it together again as an attacker would: without the password."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from strongroom.formats.zip import extras, spec
from strongroom.source import Cursor


@dataclass(frozen=True, kw_only=True)
class Part:
    """An entry: both its headers, and what stands between local header and the next entry."""

    central: spec.CentralHeader
    local: spec.LocalHeader
    body: bytes

    @property
    def name(self) -> str:
        """Its name."""
        return self.central.name.decode()

    @property
    def manifest(self) -> bytes:
        """What the manifest stored with it."""
        return extras.decode_extra(self.central.extra, 0).get(extras.MANIFEST_ID, b"")

    def but(self, **changes: Any) -> Part:  # noqa: ANN401 - a header's field
        """The same with other fields in both headers; `extra` goes before the central one's manifest."""
        rest = changes.pop("extra", None)
        central, local = self.central._replace(**changes), self.local._replace(**changes)
        if rest is not None:
            local = local._replace(extra=rest)
            central = central._replace(extra=rest)
        part = replace(self, central=central, local=local)
        return part if rest is None else part.with_manifest(self.manifest)

    def central_but(self, **changes: Any) -> Part:  # noqa: ANN401 - the same
        """The same with other fields in the central directory alone."""
        return replace(self, central=self.central._replace(**changes))

    def with_manifest(self, data: bytes) -> Part:
        """The same with something else in the manifest's field; with no field where that is empty."""
        records = extras.extra_records(self.central.extra, 0)
        extra = b"".join(extras.encode_extra(number, old) for _, number, old in records if number != extras.MANIFEST_ID)
        return self.central_but(extra=extra + (extras.encode_extra(extras.MANIFEST_ID, data) if data else b""))


@dataclass(frozen=True, kw_only=True)
class Apart:
    """An archive in pieces."""

    parts: list[Part]
    comment: bytes = b""
    prefix: bytes = field(default=b"")

    def together(self) -> bytes:
        """The archive, with the offsets and counts that belong to its parts."""
        out, directory = bytearray(self.prefix), bytearray()
        for part in self.parts:
            directory += part.central._replace(offset=len(out)).encode()
            out += part.local.encode() + part.body
        count, start = len(self.parts), len(out)
        end = spec.EndRecord(0, 0, count, count, len(directory), start, len(self.comment))
        return bytes(out + directory + end.encode() + self.comment)


def apart(archive: bytes) -> Apart:
    """Take an archive apart, ours or another tool's; without ZIP64, and with an end record that is the last."""
    place = archive.rindex(spec.END)
    end = spec.EndRecord.decode(archive[place : place + spec.END_SIZE])
    cursor = Cursor(archive[end.directory_offset : place])
    headers = [spec.CentralHeader.decode(cursor) for _ in range(end.entries)]
    limits = sorted([header.offset for header in headers] + [end.directory_offset])
    parts = []
    for header in headers:
        limit = limits[limits.index(header.offset) + 1]
        inner = Cursor(archive[header.offset : limit])
        local = spec.LocalHeader.decode(inner)
        parts.append(Part(central=header, local=local, body=inner.take(inner.left, "the data")))
    return Apart(parts=parts, comment=archive[place + spec.END_SIZE :])
