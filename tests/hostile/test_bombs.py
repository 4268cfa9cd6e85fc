from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from strongroom.limits import GIB, MIB
from tests.corpus.manifest import Row, rows
from tests.hostile import bombs
from tests.hostile.measured import Cost, Job, measure
from tests.proof import Tried

SECONDS = 2.0
PEAK = 200 * MIB
HARMLESS = {
    "42.zip: 16 copies in 16 copies, of zeros",  # the archives inside are files like others
    "a dictionary of 4 GiB, lzma, for 5 bytes",  # of which it gets 5
    "an extra field of 16,000 records",
}


def assert_cheap(cost: Cost, name: str) -> None:
    """No more than the bounds that all hostile archives have."""
    assert cost.seconds < SECONDS, (name, cost)
    assert cost.peak < PEAK, (name, cost)


@pytest.mark.parametrize("kind", ["zips", "sevens", "ages"])
def test_bombs_cost_little(tmp_path: Path, kind: str, tried: Tried) -> None:
    """Read, verified, loaded and extracted with the limits as they are, none takes 2 s of CPU, all of them 200 MiB."""
    made: Iterable[bombs.Made] = getattr(bombs, kind)()
    jobs: dict[str, Job] = {}
    for name, data, options in made:
        path = tmp_path / str(len(jobs))
        path.write_bytes(data)
        assert name not in jobs
        jobs[name] = Job(path, options)
    for name, cost in zip(jobs, measure(jobs.values()), strict=True):
        assert_cheap(cost, name)
        assert ("" in cost.error.split("/")) == (name in HARMLESS), (name, cost)
    tried("P8", f"bombs: {kind}", "refused within 2 s of CPU and 200 MiB, or harmless", count=len(jobs))


def test_zeros_are_checked_in_constant_memory(tmp_path: Path, tried: Tried) -> None:
    """Deflate packs up to 1032:1, which is no bomb by itself: what that unpacks to is streamed, whatever its size."""
    packed = bombs.deflated(bytes(256 * MIB))
    item = bombs.zipcraft.aes("a", b"", "deflate", packed=packed).but(size=256 * MIB)
    path = tmp_path / "a.zip"
    path.write_bytes(bombs.zipcraft.join(item))
    options = {"password": bombs.PASSWORD}
    verified, refused = measure(
        [
            Job(path, options, ("verify",)),
            Job(path, {**options, "limits": {"memory_size": 255 * MIB}}, ("read", "load")),
        ]
    )
    assert verified.error == ""
    assert refused.error == "LimitError"
    assert_cheap(verified, "zeros")
    assert_cheap(refused, "zeros")
    tried("P8", "256 MiB of zeros, deflated", "verified in constant memory; beyond memory_size not read", count=2)


def test_scrypt_takes_what_its_limit_says(tmp_path: Path, times: Callable[[int, int], int], tried: Tried) -> None:
    """At the limit scrypt takes its 1 GiB (here, but for the proof, 2^16: 64 MiB), and with everything no more."""
    log_n = times(16, 20)
    data = b"age-encryption.org/v1\n-> scrypt %s %d\n%s\n--- %s\n%s" % (
        bombs._base64(bytes(16)),
        log_n,
        bombs._base64(bytes(32)),
        bombs._base64(bytes(32)),
        bytes(32),
    )
    path = tmp_path / "a.age"
    path.write_bytes(data)
    (cost,) = measure([Job(path, {"format": "age", "password": bombs.PASSWORD})])
    assert cost.error == "WrongKeyError"
    assert cost.peak < (GIB >> 20 - log_n) + PEAK
    tried("P8", "scrypt at its limit", "1 GiB, and a wrong passphrase", count=1)


CORPUS: list[Row] = [row for kind in ("zip", "7z") for row in rows(kind)]


def test_the_corpus_with_the_limits_as_they_are(tried: Tried) -> None:
    """Every honest archive opens, and every hostile one is an error, none of them at more than 2 s and 200 MiB."""
    jobs = [
        Job(row.path, {"format": row.format, "password": row.password, "legacy": True, "allow_plaintext": True})
        for row in CORPUS
    ]
    for row, cost in zip(CORPUS, measure(jobs), strict=True):
        assert_cheap(cost, row.id)
        if row.kind == "open":
            assert cost.error == "", row.id
        if row.kind == "refuse":
            assert "" not in cost.error.split("/"), row.id
    kinds = [row.kind for row in CORPUS]
    assert kinds.count("open") > 100
    tried("P8", "hostile archives of the corpus", "refused within 2 s of CPU and 200 MiB", count=kinds.count("refuse"))
    tried("P8", "honest archives of the corpus", "open with the limits as they are", count=kinds.count("open"))
