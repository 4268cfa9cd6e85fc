"""What all tests have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from strongroom.formats.age import writer
from strongroom.formats.age.passphrase import ScryptRecipient
from tests.proof import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
    times,
    tried,
)

__all__ = [  # pytest finds them by name
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_terminal_summary",
    "times",
    "tried",
]

CHEAP_LOG_N = 10


@pytest.fixture(autouse=True, scope="session")
def _cheap_scrypt() -> Iterator[None]:
    """Passphrases of age files take a millisecond and 1 MiB here, not a second and 256; not in other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ScryptRecipient", partial(ScryptRecipient, log_n=CHEAP_LOG_N))
        yield
