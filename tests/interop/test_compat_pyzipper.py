"""The stand-in for pyzipper: pyzipper's own AES tests pass on it, and each opens what the other writes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest
import pyzipper

from strongroom.compat import pyzipper as ours
from tests.helpers import missing, noise, text

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = "pyzipper==0.3.5"  # the last whose source distribution has its tests
PASSWORD: Final = b"nine tame owls read maps"

AES_256: Final = "AES-256 in AE-2 is written, whatever weaker encryption is asked for"
PLAIN: Final = "writes without encryption, or appends to what it wrote"
UNLIKE: Final = {
    "StoredTestZip64InSmallFiles.test_append": "an archive is sealed once: there is no mode 'a'",
    "StoredTestZip64InSmallFiles.test_large_file_exception": "allowZip64=False is no reason to fail",
    "WZAESKnownFileTests.test_decrypt_bad_crc_ae2": "AE-2 has no CRC: the specification has readers not look at it",
    "WZAESTests.test_aes_encryption_via_init_with_kwargs": AES_256,
    "WZAESTests.test_aes_strengths": AES_256,
    "WZAESTests.test_force_wz_aes_version": AES_256,
    "WZAESTests.test_local_header": "looks into the private attributes of pyzipper's file",
} | {
    f"{method}TestZip64InSmallFiles.{test}": PLAIN
    for method in ("Stored", "Deflate", "Bzip2", "Lzma")
    for test in ("test_too_many_files", "test_too_many_files_append")
}
"""The tests that cannot pass, each with the reason, as docs/migrate/pyzipper.md has it."""


def suite(scratch: Path) -> Path:
    """The source of pyzipper as it was published, fetched where it is not yet beside the virtual environment's own."""
    folder = Path(sys.prefix) / SOURCE
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=pyzipper", SOURCE]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            missing(f"pip could not fetch {SOURCE}: {done.stderr.strip()[-300:]}")
        (archive,) = scratch.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch / "source", filter="data")
        (made,) = (scratch / "source").iterdir()
        made.rename(folder)
    return folder


def test_its_own_tests(tmp_path: Path) -> None:
    """They pass, but for those that ask for what we refuse; of these each fails, so that none is listed in vain."""
    folder, scratch = suite(tmp_path), tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", "from tests.interop.pyzipper_suite import main; main()", str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, str] = json.loads(done.stdout)["outcomes"]
    assert len(outcomes) == 44
    assert {test: said for test, said in outcomes.items() if said != "passed" and test not in UNLIKE} == {}
    assert {test for test, said in outcomes.items() if said != "passed"} == set(UNLIKE)


METHODS: Final = [ours.ZIP_STORED, ours.ZIP_DEFLATED, ours.ZIP_BZIP2, ours.ZIP_LZMA]
DATA: Final = {"a.txt": text(5000), "folder/noise": noise(5000), "empty": b"", "Zoë": text(1_300_000)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("writes", "reads"), [(ours, pyzipper), (pyzipper, ours), (ours, ours)])
def test_the_same_code_on_both(writes: type[ours], reads: type[ours], method: int) -> None:
    """Code that was written for pyzipper gives the same on both, whoever wrote the archive."""
    stream = io.BytesIO()
    with writes.AESZipFile(stream, "w", compression=method, encryption=writes.WZ_AES) as archive:
        archive.setpassword(PASSWORD)
        for name, data in DATA.items():
            info = writes.AESZipFile.zipinfo_cls(name, (2024, 2, 29, 12, 34, 56)) if name == "Zoë" else name
            archive.writestr(info, data, compress_type=method)
        with archive.open("pushed", "w") as file:
            file.write(b"one")
            file.write(b"two")
    stream.seek(0)
    with reads.AESZipFile(stream) as archive:
        archive.setpassword(PASSWORD)
        assert archive.namelist() == [*DATA, "pushed"]
        assert {name: archive.read(name) for name in DATA} == DATA
        assert archive.testzip() is None
        with archive.open("a.txt") as file:
            assert file.readline() == DATA["a.txt"]
            file.seek(-10, io.SEEK_END)
            assert file.read(5) == DATA["a.txt"][-10:-5]
        info = archive.getinfo("Zoë")
        assert (info.filename, info.file_size, info.date_time) == ("Zoë", 1_300_000, (2024, 2, 29, 12, 34, 56))
        assert (info.compress_type, info.wz_aes_strength, bool(info.is_encrypted), info.is_dir()) == (
            method,
            3,
            True,
            False,
        )
        assert archive.read(info) == DATA["Zoë"]
        assert archive.read("pushed", pwd=PASSWORD) == b"onetwo"
        with pytest.raises(KeyError):
            archive.read("missing")
        with pytest.raises(RuntimeError):
            archive.read("a.txt", pwd=b"wrong")
