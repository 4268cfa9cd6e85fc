"""Where the keys of an age file are, and for how long."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.flow import CHUNK
from strongroom.formats.age import identities
from strongroom.memory import pages
from tests import agecraft
from tests.helpers import in_memory

# The child does the work with a key that it gets through a pipe, and stays while its memory is searched.
CHILD = """
import sys
from strongroom.memory import pages
pages.has_memfd_secret = False  # else the search could not see it
from strongroom.memory.secret import SecretBuffer
from strongroom.formats.age import identities
from tests import agecraft
text = SecretBuffer({length})
sys.stdin.buffer.raw.readinto(text)
own = identities.parse(memoryview(text))
for size in (1000, {large}):
    file = agecraft.seal(bytes(size), [own.recipient], threads=2)
    assert len(agecraft.read_whole(file, [own], 2).data) == size
    assert len(agecraft.read_seeking(file, [own], 300_000).data) == size
    assert agecraft.read_streaming(file[:-1], [own], 2).error
print("used", flush=True)
sys.stdin.read(1)
own.close()
text.close()
print("closed", flush=True)
sys.stdin.read(1)
"""


def mapped() -> int:
    """How many buffers for secrets there are."""
    return sum(not one.closed for one in list(pages._living.values()))


def derived(file_key: bytes, nonce: bytes) -> list[bytes]:
    """The keys that come of a file key."""
    return [
        HKDF(SHA256(), 32, b"", b"header").derive(file_key),
        HKDF(SHA256(), 32, nonce, b"payload").derive(file_key),
    ]


@pytest.mark.parametrize("classic", [True, False])
def test_no_key_is_left_in_memory(classic: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """After sealing and opening, of all keys only the identity is there, and that once; at the end nothing is.

    Without hardening: what libraries return as bytes is overwritten, too.
    """
    own = identities.generate(classic=classic)
    random = agecraft.fixed()
    file_key = random(16)
    ephemeral = random(32) if classic else b""
    needles = [file_key, *derived(file_key, random(16))]
    if classic:
        needles += [
            ephemeral,
            X25519PrivateKey.from_private_bytes(ephemeral).exchange(
                X25519PrivateKey.from_private_bytes(own.secret).public_key()
            ),
        ]
    else:
        expanded = hashlib.shake_256(own.secret).digest(96)
        needles += [expanded[:32], expanded[32:64], expanded[64:]]
    with identities.encode(own) as text:
        code = CHILD.format(length=len(text), large=3 * CHUNK)
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                child.stdin.write(bytes(text))
                child.stdin.flush()
                assert child.stdout.readline() == b"used\n"
                found = in_memory(child.pid, [*needles, bytes(own.secret), bytes(text)])
                child.stdin.write(b"\n")
                child.stdin.flush()
                assert child.stdout.readline() == b"closed\n"
                after = in_memory(child.pid, [*needles, bytes(own.secret), bytes(text)])
            finally:
                child.kill()
    assert found == [0] * len(needles) + [1, 1]
    assert after == [0] * (len(needles) + 2)
