"""Arguments of the command line, one a line, in a folder of its own. No other program is run, and none is reached.

Slashes become underscores and ".." goes, so that nothing outside of the folder is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final

from fuzz.reading import PASSWORD, sealed
from strongroom import cli
from strongroom.formats.age import writer
from strongroom.formats.age.passphrase import ScryptRecipient
from tests import agecraft

_CODES: Final = range(5)
_LINES: Final = """
ls a.zip
ls a.7z --json --password-file pw
cat a.zip a.txt --password-file pw
cat --format age -i key.txt --streaming a.age
cat a.zip.age -i key.txt a.txt --force
extract a.zip out --password-file pw
extract a.7z out folder_b --password-file pw --manifest required
verify --json a.zip --password-file pw --legacy --allow-plaintext
seal new.zip pw key.txt --password-file pw --method store --level 1 --verify
seal new.age --name n -r age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj pw --armor
seal new.7z --from-command --password-file pw -- echo a
seal - pw --format zip --password-fd 0 --overwrite
rekey a.zip -o b.zip --password-file pw --new-password-file pw
inspect a.zip --json
verify a.zip --receipt pw --allowed-signers key.txt --signer me
seal new.zip pw --password-file pw --receipt r.json --receipt-brief
convert a.zip b.7z --password-file pw --method store
convert a.zip a.zip --overwrite --password-file pw
edit a.zip a.txt --password-file pw
run --discard a.zip --password-file pw -- true
keygen -o new.txt
keygen -y -i key.txt
passphrase --words 7 --json
page
completion bash
doctor --json
audit --folder .
--version
seal --help
"""


def seeds() -> Iterator[bytes]:
    """Give a use of each verb."""
    for line in _LINES.strip().splitlines():
        yield "\n".join(line.split()).encode()


def one(data: bytes) -> None:
    """Run it; the exit code is one of those that the help lists, and the password is not said."""
    folder = _folder()
    words = data.replace(b"/", b"_").replace(b"\0", b"").replace(b"..", b"").split(b"\n")
    told = Path("told")
    kept = sys.stdout, sys.stderr, sys.stdin
    with told.open("w+", encoding="utf-8", errors="backslashreplace") as log, Path(os.devnull).open() as nothing:
        sys.stdout, sys.stderr, sys.stdin = log, log, nothing
        try:
            code = cli.main([os.fsdecode(word) for word in words])
        finally:
            sys.stdout, sys.stderr, sys.stdin = kept
    assert code in _CODES, code
    assert PASSWORD not in told.read_text("utf-8") or b"pw" in words
    _restore(folder)


@cache
def _folder() -> dict[str, bytes]:
    """Fill the working folder, which is to be an empty one, and return what is in it."""
    assert not os.listdir(), f"{Path.cwd()} is not empty"  # noqa: PTH208 - the names alone
    files = {name: sealed(format=name.partition(".")[2], password=PASSWORD) for name in ("a.zip", "a.7z")}
    files["a.zip.age"] = sealed(format="zip.age", recipients=[agecraft.X25519_RECIPIENT])
    files["a.age"] = agecraft.seal(b"alpha")
    files["pw"] = PASSWORD.encode()
    files["key.txt"] = agecraft.X25519.encode()
    _confine()
    _restore(files)
    return files


def _restore(files: dict[str, bytes]) -> None:
    """Have nothing in the working folder but these files."""
    for found in sorted(Path().rglob("*"), reverse=True):
        if found.is_dir() and not found.is_symlink():
            found.rmdir()
        elif files.get(found.name) != (found.read_bytes() if found.is_file() else None):
            found.unlink()
    for name, data in files.items():
        path = Path(name)
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o600)


def _confine() -> None:
    """Have this process run no other one, and keep its signal handlers; make scrypt cheap."""

    def refuse(event: str, _: tuple[object, ...]) -> None:
        if event in {
            "subprocess.Popen",
            "os.exec",
            "os.posix_spawn",
            "os.fork",
            "os.forkpty",
            "os.system",
            "pty.spawn",
        }:
            raise PermissionError(event)

    sys.addaudithook(refuse)
    cli.raise_on_signals = lambda: None  # type: ignore[attr-defined]
    writer.ScryptRecipient = partial(ScryptRecipient, log_n=1)  # type: ignore[misc,assignment]
