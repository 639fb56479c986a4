"""Filling a gap: what blocks of others are worth, where they may lie.

Who took a state over fetches the blocks before it, for its chain folder to be whole. They follow each other by their
hashes; which of two chains is the right one, the committee's certificate says that stands in the last of them. That a
block's rows are there and are the right ones, the digest of its entry says, which the next block tells. Rows may have
been deleted when their time had come, so blocks are taken without them when nobody who is connected has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Sealed, entry_digest, restart_in, sealed_in
from wattquorum.ledger.blocks import Header, receipts_root, transactions_root
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.light import LightClient, Step, Steps
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.replica.recovery import ordered_again


class Filling:
    """Proves blocks that are to be put in after those whose steps are known."""

    __slots__ = ("_genesis", "_steps", "_trusted", "_verify")

    def __init__(self, genesis: bytes, steps: Steps, verify: Verifier, trusted: Sequence[bytes] = ()) -> None:
        """`trusted` are the digests of restarts by which the chain may go on."""
        self._genesis, self._steps, self._verify, self._trusted = genesis, steps, verify, tuple(trusted)

    def proven(self, batch: Sequence[Executed], follower: Header | None) -> list[Executed]:
        """Those of linked blocks, the first of which follows the last step's header, that are the chain's.

        `follower` is the header after them, when that is known to be right; without it the last of them proves the
        others and stays out. Refused for what no correct node gives, as `LightClient.take`.
        """
        headers = [each.block.header for each in batch]
        if follower is None:
            self._prove(headers)
        else:
            headers.append(follower)
        return [_with_rows(each, following) for each, following in zip(batch, headers[1:], strict=False)]

    def _prove(self, headers: Sequence[Header]) -> None:
        """Refused unless a committee has certified the last but one of linked headers: then so are those before it."""
        light = LightClient(self._genesis, self._verify, self._trusted)
        self._steps.lead(light)
        for header, following in pairwise(headers):
            if header.committee or restart_in(following.evidence):
                light.step(Step(header, following.evidence))
            elif following is headers[-1]:
                light.leap(header, _sealed(following))


def _with_rows(executed: Executed, following: Header) -> Executed:
    """A block with exactly the rows that belong to it, without any where some are missing; its header is proven.

    Refused for one that its header does not commit to, and for other rows.
    """
    block = executed.block
    roots = transactions_root(block.transactions), receipts_root(block.receipts)
    if roots != (block.header.transactions_root, block.header.receipts_root):
        raise _altered(block.header)
    if len(block.transactions) != len(block.receipts):
        raise _altered(block.header)
    sealed = _sealed(following)
    given = {root_of_rows(decode_rows(rows)): rows for rows in executed.rows}
    try:
        entry = ordered_again(block, given.get)
    except Refused as refused:
        if refused.code != "rows_missing":
            raise
        return executed._replace(rows=())
    if entry_digest(encode(entry)) != sealed.entry:
        raise _altered(block.header)
    return executed._replace(rows=entry.attachments)


def _sealed(following: Header) -> Sealed:
    """What a header that is not the first tells of the one before it."""
    sealed = sealed_in(following.evidence)
    if sealed is None:
        raise _altered(following)
    return sealed


def _altered(header: Header) -> Refused:
    return Refused("chain_altered", "blocks", header.height, "Another peer has to be asked.")


def lacks_rows(executed: Executed, needed: Sequence[bytes]) -> bool:
    """Whether rows with these roots did not come with a proven block."""
    return len(executed.rows) < len(dict.fromkeys(needed))
