from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.memory.machine import machine
from strongroom.memory.report import Check

SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \n"
ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw\n"


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A machine of files, on which all is well."""
    return Fake(tmp_path)


class Fake:
    """Made-up /proc and /sys."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"
        self.put("proc/swaps", SWAPS)
        self.put(
            "proc/self/limits", f"{LIMITS}Max locked memory         8388608              8388608              bytes\n"
        )
        self.put("proc/self/mountinfo", ROOT)
        self.put("proc/sys/kernel/core_pattern", "core\n")
        self.put("proc/sys/kernel/yama/ptrace_scope", "1\n")
        self.put("sys/power/state", "freeze mem\n")
        (self.sys / "class/block").mkdir(parents=True)

    def put(self, name: str, text: str | None) -> None:
        path = self.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    def block(
        self, name: str, *, uuid: str | None = None, mapped: str | None = None, below: tuple[str, ...] = ()
    ) -> None:
        """Make a block device, of device mapper where it has a UUID or a name."""
        folder = self.sys / "class/block" / name
        folder.mkdir()
        if uuid is not None:
            self.put(f"sys/class/block/{name}/dm/uuid", f"{uuid}\n")
        if mapped is not None:
            self.put(f"sys/class/block/{name}/dm/name", f"{mapped}\n")
        for each in below:
            (folder / "slaves" / each).mkdir(parents=True)

    def swap(self, *areas: str) -> Check:
        """What is found with these swap areas."""
        self.put("proc/swaps", SWAPS + "".join(f"{area}\tpartition\t1024\t0\t-2\n" for area in areas))
        return self.look("swap")

    def look(self, name: str) -> Check:
        """What is found under a name; what is not ok has advice, and only that."""
        checks = {check.name: check for check in machine(self.proc, self.sys)}
        assert all(check.ok != bool(check.advice) for check in checks.values())
        return checks[name]


def test_this_machine() -> None:
    """What is really here is told without an error."""
    assert [check.name for check in machine()] == [
        "secret memory",
        "lock limit",
        "swap",
        "hibernation",
        "core pattern",
        "ptrace scope",
    ]


def test_all_well(fake: Fake) -> None:
    """A machine with nothing to complain of is ok in all rows."""
    assert all(check.ok for check in machine(fake.proc, fake.sys)[1:])


def test_machine_that_tells_nothing(tmp_path: Path) -> None:
    """Without /proc and /sys nothing is taken for safe, but hibernation, which would be there."""
    found = {check.name: check.ok for check in machine(tmp_path / "proc", tmp_path / "sys")[1:]}
    assert found == {
        "lock limit": False,
        "swap": False,
        "hibernation": True,
        "core pattern": False,
        "ptrace scope": False,
    }


@pytest.mark.parametrize(
    ("limit", "ok"), [("unlimited", True), ("8388608", True), ("65536", True), ("65535", False), ("0", False)]
)
def test_lock_limit(fake: Fake, limit: str, *, ok: bool) -> None:
    """64 KiB are enough for keys."""
    fake.put("proc/self/limits", f"{LIMITS}Max locked memory         {limit}     unlimited    bytes\n")
    assert fake.look("lock limit").ok == ok


def test_swap_in_clear(fake: Fake) -> None:
    """A partition, and what stands on one, is not encrypted; one area in clear is enough."""
    fake.block("sda2")
    fake.block("dm-0", uuid="LVM-abc", mapped="vg-swap", below=("sda2",))
    fake.block("dm-1", uuid="CRYPT-PLAIN-swap", mapped="swap")
    assert not fake.swap("/dev/sda2").ok
    assert not fake.swap("/dev/dm-0").ok
    mixed = fake.swap("/dev/dm-1", "/dev/sda2")
    assert not mixed.ok
    assert "/dev/sda2 (not encrypted)" in mixed.found
    assert not fake.swap("/dev/unheard-of").ok


@pytest.mark.parametrize("area", ["/dev/dm-1", "/dev/mapper/cryptswap", "/dev/dm-2", "/dev/mapper/vg-swap"])
def test_swap_that_is_encrypted(fake: Fake, area: str) -> None:
    """dm-crypt is found by its UUID, also below a logical volume, and by a mapped name."""
    fake.block("sda2")
    fake.block("dm-1", uuid="CRYPT-LUKS2-0123-cryptswap", mapped="cryptswap", below=("sda2",))
    fake.block("dm-2", uuid="LVM-abc", mapped="vg-swap", below=("dm-1",))
    assert fake.swap(area).ok


def test_swap_on_two_disks(fake: Fake) -> None:
    """A volume that stands on an encrypted disk and on one in clear is not encrypted."""
    fake.block("sdb1")
    fake.block("dm-1", uuid="CRYPT-LUKS2-0123-a")
    fake.block("dm-2", uuid="LVM-abc", below=("dm-1", "sdb1"))
    assert not fake.swap("/dev/dm-2").ok


@pytest.mark.parametrize(("backing", "ok"), [(None, True), ("none", True), ("/dev/sda3", False), ("/dev/dm-1", True)])
def test_zram(fake: Fake, backing: str | None, *, ok: bool) -> None:
    """Compressed memory reaches no disk, unless it is written back to one in clear."""
    fake.block("zram0")
    fake.block("sda3")
    fake.block("dm-1", uuid="CRYPT-PLAIN-back")
    if backing is not None:
        fake.put("sys/class/block/zram0/backing_dev", f"{backing}\n")
    assert fake.swap("/dev/zram0").ok == ok


@pytest.mark.parametrize(
    ("file", "ok"), [("/swapfile", True), ("/data/my\\040swap", False), ("/data2/swap", True), ("/data/in/swap", True)]
)
def test_swap_file(fake: Fake, file: str, *, ok: bool) -> None:
    """A file is as its file system, which is the deepest that its path is in."""
    fake.block("dm-0", uuid="CRYPT-LUKS2-0123-root", mapped="vg-root")
    fake.block("sdb1")
    fake.put(
        "proc/self/mountinfo",
        f"{ROOT}23 22 8:17 / /data rw - xfs /dev/sdb1 rw\n24 23 254:0 /x /data/in rw - ext4 /dev/mapper/vg-root rw\n",
    )
    assert fake.swap(file).ok == ok


def test_hibernation(fake: Fake) -> None:
    """It matters where the kernel can do it and the swap is in clear."""
    fake.block("sda2")
    fake.put("sys/power/state", "freeze mem disk\n")
    fake.put("sys/power/disk", "[platform] shutdown reboot suspend test_resume\n")
    assert fake.look("hibernation").ok
    fake.swap("/dev/sda2")
    assert not fake.look("hibernation").ok
    fake.put("sys/power/disk", "[disabled]\n")
    assert fake.look("hibernation").ok


@pytest.mark.parametrize(
    ("pattern", "ok"),
    [
        ("core", True),
        ("/var/cores/%e.%p", True),
        ("", True),
        ("|/lib/systemd/systemd-coredump %P %u", False),
        ("|", False),
        ("@/run/coredump.socket", False),
    ],
)
def test_core_pattern(fake: Fake, pattern: str, *, ok: bool) -> None:
    """A limit of 0 keeps files from being written, but not a handler from being run."""
    fake.put("proc/sys/kernel/core_pattern", f"{pattern}\n")
    assert fake.look("core pattern").ok == ok


@pytest.mark.parametrize(
    ("scope", "ok"), [(None, False), ("0", False), ("1", True), ("2", True), ("3", True), ("?", False)]
)
def test_ptrace_scope(fake: Fake, scope: str | None, *, ok: bool) -> None:
    """Without Yama, and with scope 0, processes of a user read each other."""
    fake.put("proc/sys/kernel/yama/ptrace_scope", scope)
    assert fake.look("ptrace scope").ok == ok
