"""Reads a page's code blocks, and runs them as its reader would: from top to bottom, in one folder.

Blocks of `python` share their variables, blocks of `sh` are run by bash on a terminal, where every password that is
asked for is typed. All other blocks are only shown. What a reader has already, such as a DataFrame, stands in an HTML
comment that begins with the language: `<!-- python`. A page that runs `pg_dump` finds a server with a database `clinic`
and an empty one, `copy`.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PASSWORD: Final = "trench apple moves slowly under glass"
SHOWN: Final = frozenset(
    {"", "text", "json", "powershell", "toml", "ini", "eval-rst", "toctree", "include", "literalinclude"}
)
_SERVER: Final = ("PGHOST", "PGUSER")
_PATIENCE: Final = 120.0
_BLOCK: Final = re.compile(
    r"(?ms)^(?:```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^```|<!-- (?P<hidden>python|sh)\n(?P<setting>.*?)^-->)"
)
_ASKS: Final = re.compile(rb"(?i)(?:password|passphrase|again)[^\r\n]*: ?$")


class Block(NamedTuple):
    """A block of a page, or a setting in a comment."""

    line: int
    language: str
    code: str


def pages() -> list[Path]:
    """All pages with blocks that can be run."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if any(block.language in ("python", "sh") for block in blocks(page))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        language = (match["language"] or match["hidden"] or "").strip("{}")
        yield Block(text.count("\n", 0, match.start()) + 1, language, match["code"] or match["setting"] or "")


def run(page: Path, folder: Path) -> int:
    """Run a page's blocks in a folder; return how many there were."""
    names: dict[str, object] = {"__name__": "__main__", "password": PASSWORD}
    count = 0
    for block in blocks(page):
        if block.language == "python":
            place = f"{page.relative_to(ROOT)}:{block.line}"
            exec(compile(block.code, place, "exec"), names)  # noqa: S102 - what the pages say
        elif block.language == "sh":
            shell(block, folder)
        else:
            assert block.language in SHOWN, f"line {block.line}: blocks of {block.language} are neither run nor shown"
            continue
        count += 1
    return count


def main(page: str) -> None:
    """Run a page here: `python -m tests.docs.pages docs/tutorial.md`."""
    if not run(ROOT / page, Path.cwd()):
        sys.exit(f"{page} has nothing to run")


def shell(block: Block, folder: Path) -> None:
    """Run a block in bash, which must succeed."""
    ours, theirs = os.openpty()
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "xterm",
                   "LC_ALL": "C.UTF-8"}  # fmt: skip
    environment |= {name: os.environ[name] for name in _SERVER if name in os.environ}
    try:
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", "bash", "-euo", "pipefail", "-c", block.code],
            cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
    finally:
        os.close(theirs)
    shown = b""
    deadline = time.monotonic() + _PATIENCE
    while True:
        assert select.select([ours], [], [], max(0, deadline - time.monotonic()))[0], shown
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # how Linux says that nobody has the other end
            break
        shown += piece
        if _ASKS.search(shown):
            os.write(ours, PASSWORD.encode() + b"\n")
            shown += b"\n"
    code = process.wait(_PATIENCE)
    os.close(ours)  # not before: it hangs up on who has not ended yet
    assert code == 0, f"line {block.line} ended with {code}: {shown.decode()}"


if __name__ == "__main__":
    main(sys.argv[1])
