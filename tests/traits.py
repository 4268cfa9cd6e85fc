"""What the tests that all formats pass know of each: where formats differ by nature, that is data, not a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest

from strongroom.formats import FORMATS


@dataclass(frozen=True)
class Trait:
    """A format.

    methods  its compressions
    pipes    it can be written into a pipe
    text     its passwords have to be text
    hidden   its names take the password
    solid    small entries share a folder, and its method
    rounds, bound  what a key derivation takes that is read, and the limit that bounds it
    manifest it has tamper evidence of ours
    encryption, packed_five, precision  what its entries say: the scheme, the size that five bytes have, times
    encoder  for faults: what gives its writer a compressor, `cipher` encrypts a chunk, `key` derives a key
    keys     for faults: how many keys are derived before one may fail in the middle of the archive
    """

    name: str
    methods: tuple[str, ...]
    pipes: bool
    text: bool
    hidden: bool
    solid: bool
    rounds: int
    encryption: str
    packed_five: int
    precision: timedelta
    encoder: str
    cipher: str
    key: str
    keys: int
    bound: str = "kdf_work"
    manifest: bool = True

    @property
    def suffix(self) -> str:
        """What its files' names end in."""
        return FORMATS[self.name].suffixes[0]

    @property
    def magic(self) -> bytes:
        """What its files begin with."""
        return FORMATS[self.name].magic[0]

    def __str__(self) -> str:
        return self.name


ZIP: Final = Trait(
    name="zip",
    methods=FORMATS["zip"].compressions,
    pipes=True,
    text=False,
    hidden=False,
    solid=False,
    rounds=100_000,
    encryption="AES-256 (AE-2)",
    packed_five=5 + 28,
    precision=timedelta(seconds=1),
    encoder="strongroom.formats.zip.writer.encoder_for",
    cipher="strongroom.formats.zip.crypto.Keystream.apply",
    key="strongroom.formats.zip.crypto.Keys",
    keys=3,
)
SEVEN: Final = Trait(
    name="7z",
    methods=FORMATS["7z"].compressions,
    pipes=False,
    text=True,
    hidden=True,
    solid=True,
    rounds=1 << 19,
    encryption="AES-256",
    packed_five=16,
    precision=timedelta(microseconds=1),
    encoder="strongroom.formats.sevenzip.encoders.encoder_for",
    cipher="strongroom.formats.sevenzip.writer.FolderEncoder._apply",
    key="strongroom.formats.sevenzip.crypto.Key",
    keys=0,
)
ZIP_AGE: Final = Trait(
    name="zip.age",
    methods=("deflate", "store"),  # the others are ZIP's, which has tests of them
    pipes=True,
    text=False,
    hidden=True,
    solid=False,
    rounds=10,
    bound="scrypt_log_n",
    manifest=False,
    encryption="age",
    packed_five=5,
    precision=timedelta(seconds=1),
    encoder="strongroom.formats.zip.writer.encoder_for",
    cipher="strongroom.formats.age.stream.Cipher.seal",
    key="strongroom.formats.age.keys.derive_payload_key",
    keys=0,
)
TRAITS: Final = (ZIP, SEVEN, ZIP_AGE)
SINGLE: Final = "age"  # which holds one entry, and has tests of its own
CARRIES: Final = "html"  # which is a zip.age and what stands around it, and has tests of that
assert {SINGLE, CARRIES, *(trait.name for trait in TRAITS)} == set(FORMATS), "every format has to pass these tests"

each_format: Final = pytest.mark.parametrize("trait", TRAITS, ids=str)
each_pipe: Final = pytest.mark.parametrize("trait", [trait for trait in TRAITS if trait.pipes], ids=str)
each_method: Final = pytest.mark.parametrize(
    ("trait", "method"),
    [pytest.param(trait, method, id=f"{trait}-{method}") for trait in TRAITS for method in trait.methods],
)
