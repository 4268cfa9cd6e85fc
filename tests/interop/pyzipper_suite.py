"""Runs pyzipper's own AES tests, of the folder that is named, on our stand-in; prints what became of each as JSON."""

from __future__ import annotations

import json
import sys
import time
import types
import unittest

from strongroom.compat import pyzipper


class Outcomes(unittest.TestResult):
    """What became of each test, by its name, and the seconds that it took."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's
        """Expect the best."""
        super().startTest(test)
        self.outcomes[name(test)] = "passed"
        self.seconds[name(test)] = -time.perf_counter()

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's
        """Take the time."""
        super().stopTest(test)
        self.seconds[name(test)] += time.perf_counter()

    def addError(self, test: unittest.TestCase, err: tuple) -> None:  # noqa: N802 - unittest's
        """Note what was raised."""
        self.outcomes[name(test)] = f"{err[0].__name__}: {err[1]}"

    addFailure = addError  # noqa: N815 - the same

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's
        """Note why."""
        self.outcomes[name(test)] = f"skipped: {reason}"


def name(test: unittest.TestCase) -> str:
    """Class and method."""
    return ".".join(test.id().split(".")[-2:])


def stand_in() -> None:
    """Be `pyzipper` and its two modules, with what the tests take from those beside the public names."""
    sys.modules["pyzipper"] = pyzipper
    for part in ("zipfile", "zipfile_aes"):
        module = types.ModuleType(f"pyzipper.{part}")
        vars(module).update({public: getattr(pyzipper, public) for public in pyzipper.__all__})
        vars(module).update(ZIP64_LIMIT=0, ZIP_FILECOUNT_LIMIT=0, WZ_AES_COMPRESS_TYPE=99, EXTRA_WZ_AES=0x9901)
        vars(module).update(sizeFileHeader=30, structFileHeader="<4s2B4HL2L2H")
        sys.modules[module.__name__] = module
        setattr(pyzipper, part, module)


def main() -> None:
    """Run them all. Their `test` package takes the place of Python's own."""
    stand_in()
    sys.path.insert(0, sys.argv[1])
    sys.modules.setdefault("nntplib", types.ModuleType("nntplib"))  # imported and not used; Python 3.13 has none
    outcomes = Outcomes()
    unittest.defaultTestLoader.loadTestsFromName("test.test_zipfile_aes").run(outcomes)
    print(json.dumps({"outcomes": outcomes.outcomes, "seconds": outcomes.seconds}))


if __name__ == "__main__":
    main()
