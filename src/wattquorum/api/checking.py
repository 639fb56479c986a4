"""Checking a batch's signatures before any of it is handed in: together, and beside the loop.

A node that leads has to be heard while others send it thousands of signatures. So they are read a few at a time and
checked in threads, and whoever sends many that are forged, or of nobody, does not have the rest looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Received
from wattquorum.node.node import Node
from wattquorum.replica.pool import Checked

AT_ONCE: Final = 100  # transactions that are read in one turn of the loop, and whose signatures are checked together
UNPROVED_MAX: Final = 100  # forged, or of unknown senders, in one batch: what follows on them is not looked at

STRANGER: Final = Refused("sender_unknown", "sender", "by this node, so far")


async def checked(node: Node, transactions: Sequence[bytes]) -> list[Checked | Refused | None]:
    """What each says and that it is signed by its sender, or why it is refused.

    None for one that is decided, or whose sender this node does not know (yet): handing it in tells.
    """
    found: list[Checked | Refused | None] = []
    unproved = 0
    for start in range(0, len(transactions), AT_ONCE):
        if unproved >= UNPROVED_MAX:
            rest = Refused("undecided", "batch", f"{unproved} forged or of unknown senders", "Send it without these.")
            return found + [rest] * (len(transactions) - start)
        read = [_read(node, data) for data in transactions[start : start + AT_ONCE]]
        checks = [each.check for each in read if isinstance(each, Checked)]
        verdicts = iter(await asyncio.to_thread(node.verify, checks) if checks else ())
        for each in read:
            told = each
            if isinstance(each, Checked) and not next(verdicts):
                told = Refused("signature_forged", "signature", each.received.envelope.signature)
            unproved += told is not each or each is STRANGER
            found.append(None if each is STRANGER else told)
    return found


def _read(node: Node, data: bytes) -> Checked | Refused | None:
    try:
        received = Received(data)
    except Refused as refused:
        return refused
    if node.receipt(received.hash) is not None:
        return None
    account = node.ledger.account(received.body.sender)
    if account is None or not account.key:
        return STRANGER
    return Checked(received, received.check(account.key))
