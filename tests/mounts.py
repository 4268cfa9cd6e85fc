"""File systems that a test mounts for itself, as root; they are gone at its end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.helpers import missing

_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class FileSystem:
    """A kind of file system.

    format   the program that makes one in a file, and its arguments
    mount    its name for mount(8), and options; SIZE stands for a number of bytes
    helper   a program that mount(8) needs
    unnamed  whether it has files without a name (O_TMPFILE), and hard links
    special  whether symlinks and pipes can be on it
    """

    name: str
    format: tuple[str, ...]
    mount: tuple[str, str]
    helper: str = "mount"
    unnamed: bool = True
    special: bool = True

    def __str__(self) -> str:
        return self.name


TMPFS: Final = FileSystem("tmpfs", (), ("tmpfs", "size=SIZE"))
EXT4: Final = FileSystem(
    # All of it is laid out at once, lest the kernel write on later, when free space is counted or the image is read.
    "ext4", ("mkfs.ext4", "-q", "-F", "-m0", "-Elazy_itable_init=0,lazy_journal_init=0,nodiscard"), ("ext4", "loop")
)  # fmt: skip
EXFAT: Final = FileSystem(
    "exfat", ("mkfs.exfat",), ("exfat-fuse", "loop"), "mount.exfat-fuse", unnamed=False, special=False
)
FILE_SYSTEMS: Final = (TMPFS, EXT4, EXFAT)


@contextmanager
def mounted(kind: FileSystem, folder: Path, size: int, *options: str) -> Iterator[Path]:
    """Mount a new one of `size` bytes, whose image is `folder`/image; where that cannot be, skip, or fail in CI."""
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    if kind.format:
        with image.open("wb") as file:
            file.truncate(size)
        _run(*kind.format, str(image))
    name, own = kind.mount
    _found(kind.helper)
    chosen = ",".join((own.replace("SIZE", str(size)), *options))
    _run("mount", "-t", name, "-o", chosen, str(image) if kind.format else "none", str(place))
    try:
        yield place
    finally:
        unmount(place)


@contextmanager
def after_power_cut(folder: Path, elsewhere: Path) -> Iterator[Path]:
    """Mount what the disk of `mounted` in `folder` would have if the power failed now: what was not synced is lost."""
    place, image = elsewhere / "disk", elsewhere / "image"
    place.mkdir(parents=True)
    shutil.copyfile(folder / "image", image)
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        unmount(place)
        image.unlink()
        place.rmdir()


@contextmanager
def filled(place: Path, left: int) -> Iterator[None]:
    """Leave so many bytes free."""
    ballast = place / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            size = 0
            for piece in (1 << 20, 4096, 512):
                with suppress(OSError):
                    while True:
                        size += file.write(bytes(piece))
            file.truncate(max(size - left, 0))
            os.fsync(file.fileno())
        yield
    finally:
        ballast.unlink()


@contextmanager
def bound_read_only(folder: Path) -> Iterator[None]:
    """Have nobody write into a folder, by a mount over it."""
    _run("mount", "--bind", str(folder), str(folder))
    try:
        _run("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        unmount(folder)


def unmount(place: Path) -> None:
    """Unmount it, which also lets go of the loop device; in any case it is no longer to be seen afterwards."""
    done = subprocess.run([_found("umount"), place], capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run([_found("umount"), "--lazy", place], check=True)
        message = f"something still used what a test had mounted: {done.stderr}"
        raise OSError(message)


def _found(program: str) -> str:
    return shutil.which(program, path=_PATH) or missing(f"{program} is not installed")


def _run(program: str, *arguments: str) -> None:
    if os.geteuid():
        missing("only root can mount file systems")
    done = subprocess.run([_found(program), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"no file system can be mounted: {done.stderr.strip()}")
