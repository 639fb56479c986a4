"""Testifying: what a member's program tells the ledger of heights at which its replica agreed unnoticed (B-5).

A certificate names a quorum and no more, so some agent is left out at every height, and one who is slow or far away at
most of them. It attests them together: not each as it comes, and not so late that a block which is slow to come would
be too late [chosen]. A lie that its node can prove it tells at once; there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.ledger.offices import ATTEST_BLOCKS
from wattquorum.ledger.transactions import Attest, OwnCommit

AGE_BLOCKS: Final = ATTEST_BLOCKS // 2  # that the oldest height has when all are attested
SPARE_BLOCKS: Final = 8  # until the attestation stands in a block


def attestation(height: int, left_out: Sequence[OwnCommit], age: int = AGE_BLOCKS) -> Attest | None:
    """What a member should attest after the block at `height`; None: nothing, or nothing yet.

    `left_out` are the heights that it can attest, ascending. `age` 0: it does not wait until there are more.
    """
    in_time = tuple(each for each in left_out if each.height + ATTEST_BLOCKS >= height + SPARE_BLOCKS)
    if not in_time or height - in_time[0].height < age:
        return None
    return Attest(in_time)
