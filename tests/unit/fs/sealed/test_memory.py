"""What of keys and plaintext stays in memory, and how much memory it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from strongroom.formats.age import identities
from tests.helpers import in_memory
from tests.unit.fs.sealed.conftest import Keys

# The child overwrites what it holds itself; the word is not in its program, which Python keeps.
CHILD = """
import sys
from strongroom.memory import pages
pages.has_memfd_secret = False  # else the search could not see it
from strongroom import Secret
from strongroom.fs import SealedFileSystem
room = bytearray({length})
with open("{path}", "rb", buffering=0) as file:
    file.readinto(room)
text = Secret.take(room)
word = bytes(byte ^ 1 for byte in b"b`o`sx!bi`sudsr!hr!idsd!")
fs = SealedFileSystem(target_protocol="file", recipients="{recipient}", identities=[text, "{path}"])
room = bytearray(6 << 20)
room[::1000] = b"x" * len(room[::1000])
place = 5 << 20
room[place : place + len(word)] = word
with fs.open("{folder}/a", "wb") as file:
    file.write(room)
into = bytearray(100_000)
with fs.open("{folder}/a") as file:
    file.readinto(room)
    file.seek(place - 10)
    file.readinto(into)
    file.seek(place + 100)
    for _ in range(100):
        file.read(1)
for place in range(len(room)):
    room[place] = 0
for place in range(len(into)):
    into[place] = 0
text.close()
print("used", flush=True)
sys.stdin.read(1)
fs.close()
print("closed", flush=True)
sys.stdin.read(1)
"""


def test_no_key_and_no_plaintext_is_left(keys: Keys, tmp_path: Path) -> None:
    """While the file system is open each identity is there once, as a key; then nothing is, nor of the plaintext."""
    text = keys.path.read_bytes()
    with memoryview(text) as view:
        own = identities.parse(view)
    secret, word = bytes(own.secret), bytes(byte ^ 1 for byte in b"b`o`sx!bi`sudsr!hr!idsd!")
    own.close()
    code = CHILD.format(length=len(text), path=keys.path, recipient=keys.recipient, folder=tmp_path)
    found: list[list[int]] = []
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            for state in (b"used\n", b"closed\n"):
                assert child.stdout.readline() == state
                found.append(in_memory(child.pid, [text, secret, word]))
                child.stdin.write(b"\n")
                child.stdin.flush()
        finally:
            child.kill()
    assert found == [[0, 2, 1], [0, 0, 1]]  # the word is the child's own
    assert word not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_constant_memory(keys: Keys, tmp_path: Path) -> None:
    """Writing and reading 300 MiB take no more than some buffers."""
    code = f"""
import resource
from strongroom.fs import SealedFileSystem
fs = SealedFileSystem(target_protocol="file", recipients="{keys.recipient}", identities="{keys.path}")
def use(count):
    with fs.open("{tmp_path}/a", "wb") as file:
        for _ in range(count):
            file.write(piece)
    with fs.open("{tmp_path}/a") as file:
        while file.read(1 << 20):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
piece = bytes(1 << 20)
print(-use(10) + use(300))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 24 << 10  # KiB
