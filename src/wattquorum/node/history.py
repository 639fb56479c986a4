"""History: blocks and transactions of a chain that goes on, for who asks a node that runs.

The last blocks are at hand, those before them are read from the chain folder: in a thread, a few at a time, and never
beyond what is durable, so that nobody meets a write that is under way. There is no index of transactions. What a node
does not remember is looked for in the blocks' bytes, which takes a second for some hundred megabytes; so one search
runs at a time, few may wait for it, and the others are told to ask again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, Header, Outcome, decode_block, header_hash
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.inclusion import prove_vouched
from wattquorum.node.chain_folder import ChainFolder

AT_HAND_MAX: Final = 2_000  # blocks
AT_HAND_BYTES_MAX: Final = 64 * 1024 * 1024
READERS_MAX: Final = 2  # threads that read the folder
SEARCHES_MAX: Final = 8  # that run or wait
READ_MAX: Final = 500  # blocks that are read at once
READ_BYTES_MAX: Final = 8 * 1024 * 1024
VOUCHED_WITHIN: Final = 4_096  # blocks, in which a founder has to vouch for a block that is proved


class Found(NamedTuple):
    """Where a transaction stands, and its block."""

    block: Block
    place: int


class History:
    """What a node knows of its past. Everything is called in the node's loop."""

    __slots__ = ("_at_hand", "_bytes", "_chain", "_reading", "_searches", "_searching")

    def __init__(self, chain: ChainFolder) -> None:
        self._chain = chain
        self._at_hand: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._reading = asyncio.Semaphore(READERS_MAX)
        self._searching = asyncio.Semaphore(1)
        self._searches = 0

    def keep(self, executed: Executed) -> None:
        """A block that was decided."""
        height = executed.block.header.height
        if self._at_hand and next(reversed(self._at_hand)) + 1 != height:
            self._at_hand.clear()  # this node took over another's state: no gap lies within what is at hand
            self._bytes = 0
        self._at_hand[height] = executed.data
        self._bytes += len(executed.data)
        while len(self._at_hand) > AT_HAND_MAX or (self._bytes > AT_HAND_BYTES_MAX and len(self._at_hand) > 1):
            _, data = self._at_hand.popitem(last=False)
            self._bytes -= len(data)

    async def blocks(self, first: int) -> list[bytes]:
        """Blocks from a height on, as many as are read at once; none where this node has no such block."""
        found: list[bytes] = []
        size = 0
        while len(found) < READ_MAX and size < READ_BYTES_MAX and (data := self._at_hand.get(first + len(found))):
            found.append(data)
            size += len(data)
        if found or not 0 < first <= self._chain.height:
            return found
        async with self._reading:
            return await asyncio.to_thread(self._read, first, self._chain.height)

    def _read(self, first: int, last: int) -> list[bytes]:
        found: list[bytes] = []
        size = 0
        for position, data in self._chain.read(first):
            found.append(data)
            size += len(data)
            if position.height >= last or len(found) >= READ_MAX or size >= READ_BYTES_MAX:
                break
        return found

    async def block(self, height: int) -> bytes | None:
        """One block, if this node has it."""
        data = self._at_hand.get(height)
        if data is None and 0 < height <= self._chain.height:
            async with self._reading:
                data = await asyncio.to_thread(self._read_one, height)
        return data

    def _read_one(self, height: int) -> bytes | None:
        return next((data for _, data in self._chain.read(height)), None)

    async def place(self, transaction: bytes, height: int) -> Found | None:
        """Where a transaction stands in the block at a height."""
        data = await self.block(height)
        return None if data is None else _placed(decode_block(data), transaction)

    async def search(self, transaction: bytes, last: int) -> Found | None:
        """Looks for a transaction in all blocks up to a height, as far as they are in the folder.

        Where it stands there more than once, the one that was done is told, or else the one that used its nonce.
        Refused("pool_full") when too many look already.
        """
        if self._searches >= SEARCHES_MAX:
            remedy = "Too many look for old transactions now; ask again later, or ask another node."
            raise Refused("pool_full", "searches", self._searches, remedy)
        self._searches += 1
        try:
            async with self._searching:
                return await asyncio.to_thread(self._search, transaction, min(last, self._chain.height))
        finally:
            self._searches -= 1

    def _search(self, transaction: bytes, last: int) -> Found | None:
        best: Found | None = None
        if last < 1:
            return None
        for position, data in self._chain.read():
            if transaction in data:  # its receipt names it
                found = _placed(decode_block(data), transaction)
                if found is not None and (best is None or _outcome(found) < _outcome(best)):
                    best = found
            if position.height >= last or (best is not None and _outcome(best) is Outcome.DONE):
                break
        return best

    async def prove(self, found: Found) -> bytes | None:
        """The proof file of a transaction, or None while no founder has vouched for its block yet.

        Refused("chain_unclosed") where none did in the blocks that followed.
        """
        block = found.block
        headers: list[Header] = [block.header]
        founders = frozenset(bytes.fromhex(each) for each in self._chain.genesis.proposers)
        while len(headers) <= VOUCHED_WITHIN:
            following = await self.blocks(headers[-1].height + 1)
            if not following:
                return None
            for data in following:
                header = decode_block(data).header
                named = header.applied.height - block.header.height
                if header.proposer in founders and 0 <= named < len(headers):
                    if header_hash(headers[named]) != header.applied.hash:
                        raise Refused("diverged", "block", headers[named].height, "A proposal names another block.")
                    later = headers[1 : named + 1]
                    return prove_vouched(self._chain.genesis_bytes, block, later, header, found.place)
                headers.append(header)
        remedy = "No founder proposed a block since; prove it from a chain folder that a founder has closed."
        raise Refused("chain_unclosed", "proof", f"blocks {block.header.height} to {headers[-1].height}", remedy)


def _placed(block: Block, transaction: bytes) -> Found | None:
    places = [place for place, receipt in enumerate(block.receipts) if receipt.transaction == transaction]
    best = min(places, key=lambda place: block.receipts[place].outcome, default=None)
    return None if best is None else Found(block, best)


def _outcome(found: Found) -> Outcome:
    return found.block.receipts[found.place].outcome
