"""A plot of one kind of work: a bar for each tool, as SVG, legible on light and dark pages, and on a telephone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 480
_MARGIN: Final = 16
_HEAD: Final = 58
_ROW: Final = 38
_FULL: Final = WIDTH - 2 * _MARGIN
_STYLE: Final = """\
text { font: 14px system-ui, sans-serif; fill: #1f2933 }
.title { font-size: 15px; font-weight: 600 }
.quiet { font-size: 13px; fill: #52606d }
.panel { fill: #f7f8fa }
.bar { fill: #9aa5b1 }
.own { fill: #1d5fd1 }
@media (prefers-color-scheme: dark) {
text { fill: #e4e7eb }
.quiet { fill: #aab4bf }
.panel { fill: #1b2127 }
.bar { fill: #7b8794 }
.own { fill: #6ea8fe }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A tool, its figure, and the words beside it."""

    tool: str
    figure: float
    words: str
    own: bool


def svg(title: str, note: str, bars: Sequence[Bar]) -> str:
    """Draw the bars below each other; the largest figure has the whole width."""
    height = _HEAD + _ROW * len(bars) + _MARGIN // 2
    largest = max(bar.figure for bar in bars) or 1
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="panel" width="{WIDTH}" height="{height}" rx="8"/>',
        _text(_MARGIN, 26, "title", title),
        _text(_MARGIN, 45, "quiet", note),
    ]
    for number, bar in enumerate(bars):
        top = _HEAD + _ROW * number
        width = max(1.0, _FULL * bar.figure / largest)
        kind = "own" if bar.own else "bar"
        lines += [
            _text(_MARGIN, top + 14, "", bar.tool),
            _text(WIDTH - _MARGIN, top + 14, "quiet", bar.words, anchor="end"),
            f'<rect class="{kind}" x="{_MARGIN}" y="{top + 20}" width="{width:.1f}" height="9" rx="2"/>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _text(x: int, y: int, kind: str, text: str, *, anchor: str = "start") -> str:
    named = f' class="{kind}"' * bool(kind)
    return f'<text x="{x}" y="{y}"{named} text-anchor="{anchor}">{escape(text)}</text>'
