"""The tests on the built wheel, as users install it: `make matrix`.

On each Python that we support with the newest dependencies, and on the oldest one with the oldest dependencies that
pyproject.toml allows. uv finds the interpreters, or fetches them, and resolves the oldest versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / "build" / "matrix"
PYTHONS: Final = ("3.11", "3.12", "3.13")
OLDEST: Final = "oldest"


def uv(*arguments: str | Path) -> None:
    """Run uv, which must succeed."""
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True, cwd=ROOT)


def environment(name: str, wheel: Path) -> Path:
    """Make an environment with the wheel and what its tests need; return its Python."""
    folder = WORK / name
    python = folder / "bin" / "python"
    uv("venv", "--clear", "--python", PYTHONS[0] if name == OLDEST else name, folder)
    install: list[str | Path] = ["pip", "install", "--python", python, f"{wheel}[test]"]
    if name == OLDEST:
        oldest = WORK / "oldest.txt"
        resolve = [
            "--resolution",
            "lowest-direct",
            "--extra",
            "codecs",
            "--extra",
            "ssh",
            "--python-version",
            PYTHONS[0],
        ]
        uv("pip", "compile", *resolve, "--output-file", oldest, "pyproject.toml")
        install += ["--constraint", oldest]
    uv(*install)
    return python


def main(arguments: Sequence[str]) -> int:
    """Run the tests in every environment; return 1 if any failed."""
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.glob("*.whl"):
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", WORK, ROOT], check=True, stdout=subprocess.DEVNULL
    )
    (wheel,) = WORK.glob("*.whl")
    ended: dict[str, int] = {}
    for name in (*PYTHONS, OLDEST):
        print(f"== {name}", flush=True)
        python = environment(name, wheel)
        settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        tests = [python, "-m", "pytest", "--numprocesses=auto", "--dist=worksteal", "-q", *arguments]
        ended[name] = subprocess.run(tests, cwd=ROOT, env=settings, check=False).returncode
    for name, code in ended.items():
        print(f"{name}: {'passed' if code == 0 else f'failed ({code})'}")
    return int(any(ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
