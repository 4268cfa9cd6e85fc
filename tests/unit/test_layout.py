from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import strongroom

HOUSE = Path(strongroom.__file__).parent
ORDER = [
    "errors",
    "limits",
    "memory",
    "flow",
    "fs",
    "source",
    "output",
    "sshkey",
    "names",
    "isolated_worker",
    "isolated",
    "passphrase",
    "strength_worker",
    "strength",
    "openers",
    "compression",
    "manifest",
    "formats",
    "extract",
    "receipt",
    "layers",
    "fs/sealed",
    "room",
    "converting",
    "inspection",
    "aio",
    "compat",
    "audit",
    "cli",
]
OF_ONE_FORMAT = {"layers/age.py": "age", "fs/sealed": "age", "cli/page.py": "html"}
"""What is made of a format outside of its folder, by name: age, which is no archive there, and the page without one."""
MODULES = sorted(path for path in HOUSE.rglob("*.py") if path != HOUSE / "__init__.py")


def place(parts: tuple[str, ...]) -> str:
    """The name in `ORDER` under which a module stands: that of its folder, or of a folder in that."""
    whole = [part.removesuffix(".py") for part in parts]
    return "/".join(whole[:2]) if "/".join(whole[:2]) in ORDER else whole[0]


def imported(path: Path) -> set[str]:
    """All modules of ours that a file names in its imports, also those inside functions or for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path} has a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("strongroom.") for name in found if name.startswith("strongroom.")}


def test_the_order_names_every_module() -> None:
    """Who adds a module decides where it stands."""
    assert {place(path.relative_to(HOUSE).parts) for path in MODULES} <= {*ORDER, "__main__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only what stands above it in the list, or beside it in its own folder."""
    mine = place(path.relative_to(HOUSE).parts)
    allowed = ORDER[: ORDER.index(mine) + 1] if mine in ORDER else ORDER
    if path != HOUSE / "fs/__init__.py":  # which names what loads on first use
        assert {place(tuple(name.split("."))) for name in imported(path)} & set(ORDER) <= set(allowed)


def test_a_format_never_imports_another() -> None:
    """Each format stands alone; nobody but the table knows which there are."""
    formats = {path.name for path in (HOUSE / "formats").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert formats
    for path in MODULES:
        parts = path.relative_to(HOUSE).parts
        own = OF_ONE_FORMAT.get("/".join(parts[:2]))
        if parts[0] == "formats" and len(parts) > 2:
            own = parts[1]
        named = {name.split(".")[1] for name in imported(path) if name.startswith("formats.")}
        assert named & formats <= {own}, path


def test_formats_do_no_io() -> None:
    """A format opens no file, reads no clock and rolls no dice."""
    for path in (HOUSE / "formats").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"os", "io", "time", "random", "secrets", "socket", "pathlib", "urandom"}, path
            elif isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in {"open", "datetime.now", "datetime.today"}, path


def test_two_modules_open_files() -> None:
    """Files are opened in `source` for reading, and in `output` for writing; `extract` opens folders only."""
    openers = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if call in {"os.open", "io.open", "os.fdopen", "os.mkstemp"} or call.endswith(
                ("write_bytes", "write_text")
            ):
                openers.add(path.relative_to(HOUSE).parts[0])
    assert openers - {"cli"} == {"source.py", "output.py", "extract.py"}


@pytest.mark.parametrize("statement", ["import strongroom", "import strongroom; strongroom.Secret('a').close()"])
def test_import_is_light(statement: str) -> None:
    """`import strongroom` loads neither numpy nor fsspec, nor anything of the command line, nor a format."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "fsspec", "click", "rich", "cryptography", "isal", "backports", "lzma", "bz2"}
    assert not [name for name in done.stdout.split() if name.startswith(("strongroom.cli", "strongroom.formats."))]


@pytest.mark.parametrize("name", ["zip", "7z"])
def test_small_work_is_light(name: str) -> None:
    """Sealing 30 bytes, and reading them, loads no numpy and no threads."""
    code = f"""
import io, sys, strongroom
stream = io.BytesIO()
strongroom.seal({{"a": bytes(30)}}, stream, format="{name}", password="pass")
strongroom.open(stream, password="pass").read("a")
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name.split(".")[0] for name in loaded} & {"numpy", "fsspec", "click", "rich"}
    assert "concurrent.futures" not in loaded


def test_only_the_composition_asks_for_no_encryption() -> None:
    """What switches an inner archive's encryption off is named where it is declared, used, and asked for: once."""
    setters = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and {"enveloped", "authenticate"} & {word.arg for word in node.keywords}:
                setters.add(str(path.relative_to(HOUSE)))
    assert setters == {"formats/composed.py"}
