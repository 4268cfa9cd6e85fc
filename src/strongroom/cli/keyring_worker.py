"""The child that `keyring` starts: looks a password up in the system's keyring, and writes it to standard output.

It runs as a script of its own and imports nothing of strongroom. Libraries for keyrings return a `str`, and so do those
below them: all copies are in this process, which cannot be dumped, and ends. How it went is its exit status.
"""

from __future__ import annotations

import os
import sys

MISSING = 64
LOCKED = 65
NO_KEYRING = 66
FAILED = 67

_PR_SET_DUMPABLE = 4


def main() -> int:
    """Look up the password of one user of one service."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    import keyring  # noqa: PLC0415 - an extra
    import keyring.errors  # noqa: PLC0415

    service, user = sys.argv[1:]
    try:
        password = keyring.get_password(service, user)
        if password is None:
            return MISSING
        data = memoryview(password.encode())
        while data:
            data = data[os.write(1, data) :]
    except keyring.errors.NoKeyringError:
        return NO_KEYRING
    except keyring.errors.KeyringLocked:
        return LOCKED
    except Exception:  # noqa: BLE001 - backends raise what they like, and a traceback could show the password
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
