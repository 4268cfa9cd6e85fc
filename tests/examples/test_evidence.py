"""The how-to for evidence does what it says: every block of it is run, in its order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from strongroom.limits import Limits
from strongroom.receipt import Receipt
from tests.helpers import listing, noise, tool

PAGE = Path(__file__).parents[2] / "docs/evidence.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PASSWORD = "nine tame owls read maps"


def test_every_block(tmp_path: Path) -> None:
    """Commands and code succeed; the receipt that is shown is one, with the entries of the one made."""
    tool("ssh-keygen")
    (tmp_path / "pw").write_text(f"{PASSWORD}\n")
    (tmp_path / "pw").chmod(0o600)
    (tmp_path / "report.txt").write_bytes(b"sodium 140, potassium 4.2\n")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/1.png").write_bytes(noise(4096))
    blocks = BLOCK.findall(PAGE.read_text())
    assert [kind for kind, _ in blocks].count("sh") >= 9
    shown: Receipt | None = None
    for kind, text in blocks:
        if kind == "json":
            shown = Receipt.decode(text.encode(), Limits())
        else:
            assert kind in ("sh", "python")
            run(tmp_path, kind, text)
    assert shown is not None
    made = Receipt.decode((tmp_path / "case-42.json").read_bytes(), Limits())
    assert [(one.name, one.size) for one in made.entries or ()] == [(one.name, one.size) for one in shown.entries or ()]
    assert b"report" not in (tmp_path / "case-43.json").read_bytes()
    assert {name for name in listing(tmp_path) if name.startswith("case-4")} == {
        f"case-{number}.{suffix}"
        for number, archive in ((42, "zip"), (43, "7z"), (44, "zip"), (45, "zip"))
        for suffix in (archive, "json", "json.sig")
    }


def run(folder: Path, kind: str, text: str) -> None:
    """Run a block; a failing line ends it."""
    if kind == "python":
        command = [sys.executable, "-c", f"password = {PASSWORD!r}\n{text}"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", text]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
