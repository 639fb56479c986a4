"""Checkers of what every world's ledgers must hold after every event, judged from outside (PROTOCOLS, part 4).

They know everything that was executed and everything that anybody was told. They share no code with what they judge but
the forms of blocks. A broken invariant is raised with its id and what was found; the world adds when, and the seed.
What only one protocol promises is checked beside it: `raft_checkers`, `bft_checkers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.configuration import Configuration
from wattquorum.foundation.identities import address_of
from wattquorum.ledger.accounts import reserved
from wattquorum.ledger.blocks import Header, Outcome, Round, header_hash
from wattquorum.ledger.conservation import Books
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.transactions import ReadyValidator, Received


class Broken(Exception):
    """An invariant does not hold: its id, and what was found."""

    def __init__(self, invariant: str, found: str) -> None:
        super().__init__(f"{invariant}: {found}")
        self.invariant = invariant
        self.found = found


def must(holds: bool, invariant: str, found: str) -> None:
    """Raises `Broken` where something does not hold."""
    if not holds:
        raise Broken(invariant, found)


class Checkers:
    """What must hold of ledgers and answers, over all hosts of a world."""

    __slots__ = (
        "_asked_to_vote",
        "_blocks",
        "_books",
        "_chain_id",
        "_hashes",
        "_nonces",
        "_rounds",
        "_vectors",
        "acknowledged",
        "parameters",
    )

    def __init__(self, ledger: Ledger) -> None:
        self.parameters = ledger.parameters  # they stay as the genesis has them
        self._blocks: list[bytes] = [ledger.tip_hash]  # header hashes by height
        self._chain_id = ledger.chain_id
        self._rounds: list[tuple[bytes, Round]] = [(b"", Round(0, 0, 0))]  # by height: proposer and round
        self._vectors = {ledger.configuration.version: ledger.configuration}
        self._asked_to_vote = dict.fromkeys(voter.replica for voter in ledger.configuration.new)
        self._books = Books()
        self._books.enter(ledger.founding_facts, b"", ledger.genesis.created_ms)
        self._nonces: dict[tuple[bytes, int], None] = {}
        self._hashes: dict[bytes, int] = {}  # height by transaction
        self.acknowledged = 0  # the highest block that anybody was told of

    @property
    def height(self) -> int:
        """The highest block that anybody executed."""
        return len(self._blocks) - 1

    @property
    def changes(self) -> int:
        """How many configurations were in force after the first, joint ones not counted."""
        raise NotImplementedError

    @property
    def elections(self) -> int:
        """How many terms or views had a leader."""
        raise NotImplementedError

    # Ledgers --------------------------------------------------------------------------------------------------------

    def executed(self, executed: Executed, ledger: Ledger) -> None:
        """I7: one block at a height. I12: no nonce twice. I14: nothing is made or lost."""
        block = executed.block
        height, hash_ = block.header.height, header_hash(block.header)
        if height < len(self._blocks):
            must(self._blocks[height] == hash_, "I7", f"two blocks of height {height}")
            return
        must(height == len(self._blocks), "I7", f"block {height} was executed before the one below it")
        self._blocks.append(hash_)
        self._rounds.append((address_of(self._chain_id, block.header.proposer), block.header.round))
        self._proven(block.header)
        for data, receipt, facts in zip(block.transactions, block.receipts, executed.facts, strict=True):
            if receipt.outcome is Outcome.INADMISSIBLE:
                continue
            body = Received(data).body
            place = (body.sender, body.nonce)
            must(place not in self._nonces, "I12", f"nonce {body.nonce} of {body.sender.hex()[:8]} was used twice")
            self._nonces[place] = None
            self._hashes[receipt.transaction] = height
            if receipt.outcome is Outcome.DONE and isinstance(body.payload, ReadyValidator):
                self._asked_to_vote[body.payload.replica] = None
            self._books.enter(facts, receipt.transfers, block.header.time_ms)
        if height == ledger.height:
            newest = ledger.configuration
            if newest.version not in self._vectors:
                self._vectors[newest.version] = newest
                before = self._vectors.get(newest.version - 1)
                made_now = newest.basis_index == height  # later, standing may have moved on
                if made_now and (before is None or before.new != newest.new):
                    self._ordered(ledger, newest)
            self._seated(ledger)
            self._books.check(ledger.state, reserved(ledger.chain_id))

    def _proven(self, header: Header) -> None:
        """What a block tells of who agreed on an earlier one."""

    def _ordered(self, ledger: Ledger, newest: Configuration) -> None:
        """A block made this configuration."""

    def _seated(self, ledger: Ledger) -> None:
        """Who has a seat after a block."""

    def timed(self, header: Header, right_clocks: Sequence[int]) -> None:
        """I15: no block's time lies further ahead than it may of all clocks that are right, whatever others show."""
        if header.height > self.height:
            ahead = header.time_ms - max(right_clocks)
            most = self.parameters.drift_ms
            must(ahead <= most, "I15", f"the time of block {header.height} lies {ahead} ms ahead of the right clocks")

    def went_on(self, ledger: Ledger, reached_ms: int) -> None:
        """I15: and time goes on with the right clocks."""
        time_ms = ledger.tip.time_ms if ledger.tip else 0
        must(time_ms >= reached_ms, "I15", f"the chain's time lies {reached_ms - time_ms} ms behind the right clocks")

    def stands(self, transaction: bytes) -> int | None:
        """In which block a transaction stands, if it does."""
        return self._hashes.get(transaction)

    def told(self, transaction: bytes, height: int) -> None:
        """A client was told that its transaction stands in this block."""
        must(self._hashes.get(transaction) == height, "I3", f"a transaction that was acknowledged is not in {height}")
        self.acknowledged = max(self.acknowledged, height)

    def read(self, ledger: Ledger, sees: int) -> None:
        """A read was answered that had to show every block up to `sees`."""
        must(ledger.height >= sees, "I3", f"a read showed block {ledger.height}, and {sees} was acknowledged before it")
        must(ledger.tip_hash == self._blocks[ledger.height], "I7", f"a read showed another block {ledger.height}")
