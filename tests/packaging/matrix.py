"""The tests on the built wheel, as users install it: `make matrix`.

On each Python that we support with the newest dependencies, and on the oldest one with the oldest dependencies that
pyproject.toml allows. Interpreters are those on PATH and of pyenv.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHONS: Final = ("3.11", "3.12", "3.13")
OLDEST: Final = "oldest"
_WORK: Final = ROOT / "build" / "matrix"


def interpreter(version: str) -> Path | None:
    """Find a Python of that version."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    folders = [Path(folder) for folder in os.get_exec_path() if "shims" not in folder]
    for folder in (*folders, *sorted(pyenv.glob(f"{version}.*/bin"))):
        if (folder / f"python{version}").is_file():
            return folder / f"python{version}"
    return None


def build(folder: Path) -> Path:
    """Build the wheel into a folder."""
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(name: str, wheel: Path, folder: Path, extra: str, *packages: str) -> Path:
    """Make an environment with the wheel and an extra of it; return its Python."""
    found = interpreter(PYTHONS[0] if name == OLDEST else name)
    if found is None:
        message = f"there is no Python {name}"
        raise FileNotFoundError(message)
    python = folder / "bin" / "python"
    _uv("venv", "--python", found, folder)
    install: list[str | Path] = ["pip", "install", "--python", python, f"{wheel}[{extra}]", *packages]
    if name == OLDEST:
        oldest = folder / "oldest.txt"
        extras = [option for one in ("codecs", "keyring", "ssh", "strength") for option in ("--extra", one)]
        lowest = ["--resolution", "lowest-direct", "--python-version", PYTHONS[0], *extras]
        _uv("pip", "compile", *lowest, "--output-file", oldest, ROOT / "pyproject.toml")
        install += ["--constraint", oldest]
    _uv(*install)
    return python


def test(python: Path, *arguments: str) -> int:
    """Run the tests of this tree on what is installed; return how pytest ended."""
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, "-P", "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _uv(*arguments: str | Path) -> None:
    _run(sys.executable, "-m", "uv", "--quiet", *arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the tests in every environment; return 1 if any failed."""
    _run("rm", "-rf", _WORK)
    wheel = build(_WORK)
    ended: dict[str, int] = {}
    for name in (*PYTHONS, OLDEST):
        print(f"== {name}", flush=True)
        python = environment(name, wheel, _WORK / name, "test")
        ended[name] = test(python, "--numprocesses=auto", "--dist=worksteal", *arguments)
    for name, code in ended.items():
        print(f"{name}: {'passed' if code == 0 else f'failed ({code})'}")
    return int(any(ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
