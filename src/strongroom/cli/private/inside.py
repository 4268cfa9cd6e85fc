"""What runs in the private folder's own process, and starts the command there.

It is started by path, as `python -I -S inside.py DESCRIPTOR PARENT LIMIT CWD WORD...`, and imports nothing of ours: no
secret is in this process. The descriptor is a socket to `folder`: it is told what was mounted, with a descriptor of it,
or why that cannot be; a byte from there starts the command; its status goes back. A closed socket ends all.

Everything else is mounted read-only for the command, and what it starts ends with it: mount, IPC and PID namespaces.
Who is not root gets a user namespace as well, in which the kernel has ramfs, but no tmpfs that is never swapped.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000  # sched.h
_NOSUID, _NODEV, _NOEXEC, _REC, _PRIVATE = 2, 4, 8, 0x4000, 1 << 18  # mount.h
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_PDEATHSIG, _CAPBSET_DROP, _NO_NEW_PRIVS, _SYS_ADMIN = 1, 24, 38, 21  # prctl.h, capability.h
_PLACES = "/dev/shm", "/mnt", "/tmp"  # noqa: S108 - the first that is there is mounted over
_SLACK = 16 << 20  # so that the limit is passed, and the command stopped, before its writes fail
_FOLDERS = {
    "HOME": "home",
    "TMPDIR": "tmp",
    "TMP": "tmp",
    "TEMP": "tmp",
    "XDG_CONFIG_HOME": "home/.config",
    "XDG_CACHE_HOME": "home/.cache",
    "XDG_DATA_HOME": "home/.local/share",
    "XDG_STATE_HOME": "home/.local/state",
    "XDG_RUNTIME_DIR": "run",
}
TREE = "tree"
"""The folder for what was sealed."""

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(Exception):
    """The kernel forbids it."""


def _call(what: str, function: str, *arguments: object) -> None:
    """Call the C library."""
    if getattr(_libc, function)(*arguments):
        reason = os.strerror(ctypes.get_errno())
        message = f"{what}: {reason}"
        raise RefusedError(message)


def _mount(what: str, kind: bytes | None, target: str, flags: int, data: bytes | None = None) -> None:
    _call(what, "mount", kind, os.fsencode(target), kind, ctypes.c_ulong(flags), data)


def _end_with_parent(parent: int) -> None:
    _call("end with the parent", "prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # which ended before
        sys.exit(1)


def _unshare() -> bool:
    """Enter namespaces of our own; return whether that took a user namespace."""
    user, group = os.geteuid(), os.getegid()
    if not _libc.unshare(_NEWNS | _NEWIPC | _NEWPID):
        return False
    if ctypes.get_errno() != errno.EPERM:
        _call("namespaces", "unshare", _NEWNS | _NEWIPC | _NEWPID)
    _call("a user namespace", "unshare", _NEWUSER)
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    except OSError as error:
        message = f"a user namespace: {error.strerror}"
        raise RefusedError(message) from error
    _call("namespaces in a user namespace", "unshare", _NEWNS | _NEWIPC | _NEWPID)
    return True


def _prepare(limit: int) -> tuple[str, str]:
    """Mount everything read-only, and memory; return where that is, and what it is."""
    _mount("a private view of all mounts", None, "/", _REC | _PRIVATE)
    attributes = (ctypes.c_uint64 * 4)(_RDONLY, 0, 0, 0)
    _call(
        "mounting everything read-only (mount_setattr, Linux 5.12)",
        "syscall",
        *(ctypes.c_long(number) for number in (_MOUNT_SETATTR, _AT_FDCWD)),
        b"/",
        ctypes.c_long(_AT_RECURSIVE),
        attributes,
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    root, kind = next(place for place in _PLACES if os.path.isdir(place)), "tmpfs"  # noqa: PTH112
    flags = _NOSUID | _NODEV
    try:
        _mount("tmpfs", b"tmpfs", root, flags, f"noswap,mode=0700,size={limit + _SLACK}".encode())
    except RefusedError:  # Linux before 6.4, or no root
        kind = "ramfs"
        _mount("ramfs", b"ramfs", root, flags, b"mode=0700")
    for folder in (*_FOLDERS.values(), TREE):
        os.makedirs(f"{root}/{folder}", 0o700, exist_ok=True)  # noqa: PTH103
    return root, kind


def _mount_proc(*, needed: bool) -> None:
    """Mount a /proc of our own processes alone, read-only: by that of others root gets to their mounts.

    In a user namespace the kernel allows nobody that. There, a container that hides parts of /proc allows no new one,
    and the outer one stays.
    """
    try:
        _mount("proc", b"proc", "/proc", _NOSUID | _NODEV | _NOEXEC | _RDONLY)
    except RefusedError:
        if needed:
            raise


def _confine_input() -> None:
    """Open standard input anew, where it is a file: the old descriptor can be opened for writing, by /proc.

    It knows the file by the mount that it was opened by, and not by ours, which is read-only.
    """
    try:
        before = os.fstat(0)
    except OSError:  # it is closed
        return
    if not (stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)):
        return
    try:
        descriptor = os.open(os.readlink("/proc/self/fd/0"), os.O_RDONLY | os.O_NONBLOCK)  # noqa: PTH115
        same = os.path.samestat(before, os.fstat(descriptor))
        if stat.S_ISREG(before.st_mode):
            os.lseek(descriptor, os.lseek(0, 0, os.SEEK_CUR), os.SEEK_SET)
    except OSError as error:
        message = f"standard input is a file that cannot be opened again: {error.strerror}"
        raise RefusedError(message) from error
    if not same:
        message = "standard input is a file that has another name by now"
        raise RefusedError(message)
    os.set_blocking(descriptor, True)
    os.dup2(descriptor, 0)
    os.close(descriptor)


def _restore(limit: int, interrupt: signal.Handlers) -> None:
    """Make the process one as the command expects; it dumps no core, and gains no rights to mount anew."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, interrupt)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # a lower one that is there stays
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit + _SLACK, limit + _SLACK))
    _libc.prctl(_CAPBSET_DROP, _SYS_ADMIN, 0, 0, 0)  # which only root has
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def _serve(channel: socket.socket, root: str, kind: str, limit: int, cwd: str, words: list[str]) -> None:  # noqa: PLR0917
    """Be the first process of the namespace: run the command, and end all that it leaves behind."""
    interrupt = signal.SIG_IGN if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else signal.SIG_DFL
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    socket.send_fds(channel, [json.dumps({"kind": kind}).encode()], [folder])
    os.close(folder)
    if not channel.recv(1):
        return
    environment = os.environ | {name: f"{root}/{folder}" for name, folder in _FOLDERS.items()}
    try:
        command = subprocess.Popen(  # noqa: S603 - the user's own
            words,
            cwd=f"{root}/{TREE}/{cwd}",
            env=environment,
            preexec_fn=lambda: _restore(limit, interrupt),  # noqa: PLW1509 - there are no threads
        )
    except OSError as error:
        channel.send(json.dumps({"errno": error.errno}).encode())
        return
    pid, status = 0, 0
    while pid != command.pid:
        pid, status = os.wait()
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    channel.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
    channel.recv(1)


def main() -> None:
    """Prepare the namespace, and fork its first process."""
    number, parent, limit, cwd, *words = sys.argv[1:]
    _end_with_parent(int(parent))
    with suppress(OSError), open("/proc/self/coredump_filter", "w") as file:  # noqa: PTH123
        file.write("0")  # nothing of the memory goes into a core dump, to whatever program: core(5); children have it
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    pid = None
    try:
        in_user_namespace = _unshare()
        root, kind = _prepare(int(limit))
        _confine_input()
        pid = os.fork()
        if not pid:
            _call("end with the parent", "prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _mount_proc(needed=not in_user_namespace)
    except RefusedError as error:
        channel.send(json.dumps({"refused": str(error)}).encode())
        return
    if not pid:
        _serve(channel, root, kind, int(limit), cwd, words)
        os._exit(0)
    channel.close()
    for ignored in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
