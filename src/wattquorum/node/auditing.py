"""Auditing a chain folder: every byte of every file in it, none believed.

Opening the folder checks its framing, its genesis and its signed tip; the ledger's audit recomputes the blocks with
their rows and snapshots; what is left is checked here: that every rows file is one that the chain commits to, and that
no write was left unfinished.
"""

from __future__ import annotations

from collections.abc import Callable

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.audit import Audited, AuditFault, audit
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.node.chain_folder import ChainFolder


def audit_folder(
    folder: ChainFolder,
    verify: Verifier,
    on_block: Callable[[Executed], None] | None = None,
    on_begin: Callable[[Ledger], None] | None = None,
) -> Audited:
    """Audits an open chain folder; raises AuditFault at the first thing that is wrong. Readers as in `ledger.audit`."""
    blocks = (data for _, data in folder.read())
    snapshots = {height: folder.snapshot(height) for height in folder.snapshots()}
    signed = folder.ended.height if folder.ended else 0
    audited = audit(folder.genesis_bytes, blocks, folder.rows, snapshots, verify, on_block, signed, on_begin)
    for file in folder.files():
        if file.unfinished:
            remedy = "Open the chain for writing once, as a node does: it removes what an interrupted write left."
            raise AuditFault(file.path, Refused("file_unknown", "file", file.path, remedy))
    known = dict.fromkeys(audited.roots)
    for root in folder.roots():
        if root not in known:
            reason = Refused("chain_altered", f"rows/{root.hex()}.rows", root, "No block commits to these rows.")
            raise AuditFault("rows", reason)
    return audited
