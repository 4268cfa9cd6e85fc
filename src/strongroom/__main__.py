"""The command line, as `strongroom` or `python -m strongroom`."""

import os
import sys

from strongroom.memory.restart import restart


def main() -> int:
    """Harden this process, and run the command line in it."""
    if "_STRONGROOM_COMPLETE" not in os.environ:  # a shell waits with each key, and there is nothing to protect
        restart()
        from strongroom.memory.process import harden  # noqa: PLC0415 - loads nothing before the restart

        harden()
    from strongroom.cli import main as run  # noqa: PLC0415 - so does this

    return run()


if __name__ == "__main__":
    sys.exit(main())
