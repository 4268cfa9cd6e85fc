"""Receipts: what an archive was when it was sealed, for those who must show later that it still is.

`create(..., receipt=...)` and `seal` make them; `check` holds one against an archive. A receipt is a small file of
JSON; with a `Signer` a signature stands beside it, as `ssh-keygen -Y sign` makes it, and `ssh-keygen -Y verify` checks
it. Unsigned, it is worth what a checksum is: nothing against somebody who can change it together with the archive.
"""

from __future__ import annotations

from strongroom.receipt.checking import Checked, SignatureState, check
from strongroom.receipt.request import Request
from strongroom.receipt.signing import Signer
from strongroom.receipt.spec import Line, Receipt
from strongroom.receipt.sshsig import NAMESPACE

__all__ = ["NAMESPACE", "Checked", "Line", "Receipt", "Request", "SignatureState", "Signer", "check"]
