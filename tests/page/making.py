"""What the browsers are given: files of each kind that the page shows, and pages with them."""

from __future__ import annotations

import struct
import zlib
from typing import Final

EVIL: Final = "<img src=x onerror=alert(1)>"
ARABIC: Final = "تقرير.txt"
TURNED: Final = "invoice\u202egpj.txt"
"""A name that turns its own direction, and would be read as another one."""

NEEDLES: Final = ("quarterly-plaintext-needle", "P199999", "patients.csv", "slice.png")
"""What must not be in the page any more once it is locked."""


def picture(width: int, height: int) -> bytes:
    """A PNG."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(width) for value in (x * 255 // width, y * 255 // height, 120))
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def letter(text: str) -> bytes:
    """A PDF of one page."""
    shown = f"BT /F1 18 Tf 40 140 Td ({text}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type/Page/Parent 2 0 R/MediaBox[0 0 420 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def table(rows: int) -> bytes:
    """A CSV with a head and `rows` rows of five cells, some of them quoted."""
    lines = (f'P{n:06d},ward {n % 7},{n * 37 % 1000 / 10},mg,"taken, {n}"\n' for n in range(rows))
    return ("patient,ward,dose,unit,note\n" + "".join(lines)).encode()


def entries() -> dict[str, bytes]:
    """Entries of every kind, by name."""
    return {
        "report.txt": b"quarterly-plaintext-needle\n" + "Ergebnis: Übelkeit, 37 °C\n".encode() * 20,
        "patients.csv": table(200_000),
        "scans/slice.png": picture(400, 300),
        "letter.pdf": letter("Discharge letter"),
        "data.bin": bytes(range(256)) * 10,
        EVIL: b"<script>alert(2)</script>",
        ARABIC: "تقرير".encode(),
        TURNED: b"x",
        "empty.txt": b"",
    }
