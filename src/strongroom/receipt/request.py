"""What a caller asks for beside an archive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strongroom.receipt.signing import Signer


@dataclass(frozen=True, slots=True)
class Request:
    """A receipt at `path`, and with a `signer`, which stays the caller's, its signature at the same path and `.sig`.

    A `brief` one has no list of entries, and so shows nothing of what an archive hides but its size.
    """

    path: str | os.PathLike[str]
    signer: Signer | None = None
    brief: bool = False
