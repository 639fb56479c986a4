"""The replica of a chain on which a committee agrees although some of it lie (PROTOCOLS, part 3).

It differs from `Replica` in what meets the engine. A proposal is an entry with the header that executing it gives, so
whoever supports it has executed it: on the tip, and so that nothing stays unless it is certified. It is good only if
that very header comes out, if it carries the certificate that the engine's block carries, and if every transaction in
it is admissible. A proposal reserves its transactions and no more; they are free again when their height is certified
with another block, or the view ends. What waits here, in a proposal or not, is demanded of whoever is primary: so that
nobody who lies there can leave it out for ever, it is sent to the primary first and then to the whole committee. Who
follows gives it to its own agent first, and then to f+1 of those who agree, of whom one is honest and does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from wattquorum.consensus.bft.blocks import Block, Chained, Outline
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.committee import tolerated
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.engine import Committed, Durable, Judged, Message, Restore
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import (
    Agreed,
    decode_agreed,
    entry_digest,
    evidence_for,
    payload_digest,
    sealed_in,
)
from wattquorum.ledger.blocks import Outcome, decode_block, decode_ordered, header_hash
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.offices import Agents
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import TRANSACTION_BYTES_MAX
from wattquorum.replica.pool import Limits, Pending
from wattquorum.replica.recovery import Rows, ordered_again
from wattquorum.replica.replica import Replica, Work, transactions_frame

OUTLINES_KEPT: Final = 8  # of the last payloads: the same one is looked at several times


def _nothing_older(_height: int) -> Chained | None:
    return None


class Outliner:
    """What agreement needs to know of a payload; None for bytes that are none."""

    __slots__ = ("_known", "_limits")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[bytes, Outline | None] = {}

    def __call__(self, payload: bytes) -> Outline | None:
        """The outline of a payload."""
        if payload not in self._known:
            while len(self._known) >= OUTLINES_KEPT:
                del self._known[next(iter(self._known))]
            self._known[payload] = self._read(payload)
        return self._known[payload]

    def _read(self, payload: bytes) -> Outline | None:
        try:
            agreed = decode_agreed(payload)
            ordered = decode_ordered(agreed.entry)
        except Refused:
            return None
        limits = self._limits
        fits = len(payload) + limits.attachment_bytes_max + TRANSACTION_BYTES_MAX <= limits.block_bytes_max
        room = fits and len(ordered.transactions) < limits.block_transactions_max
        return Outline(payload_digest(agreed.header, entry_digest(agreed.entry)), ordered.time_ms, room)


class Known:
    """The keys of replicas, by the ledger that is furthest here."""

    __slots__ = ("ledger",)

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __call__(self, replica: bytes) -> bytes:
        """A replica's key; Refused("validator_unknown") for one that was never admitted."""
        return self.ledger.key_of(replica)


class AgreeingReplica(Replica):
    """A replica whose engine is `Bft`."""

    __slots__ = ("_agreement", "_known", "_own_agent", "_served", "_turn")

    def __init__(
        self,
        ledger: Ledger,
        key: SigningKey,
        verify: Verifier,
        records: Iterable[Durable],
        seed: int,
        now: Millis,
        settings: Settings | None = None,
        limits: Limits | None = None,
        archive: Callable[[int], Chained | None] = _nothing_older,
        *,
        tick_ms: int = 0,
        declared: bool = False,
    ) -> None:
        """`ledger` is the chain's at its genesis, `records` and `seed` are for the engine, which is made here.

        `archive` gives what the engine keeps in memory no longer. While nothing is certified for `tick_ms`, members
        demand an empty block of the primary. For the rest see `Replica`.
        """
        limits = limits or Limits()
        self._known = Known(ledger)
        self._agreement = Bft(
            address_of(ledger.chain_id, key.public),
            ledger.chain_id,
            ledger.configuration,
            Means(key.sign, verify, self._known, Outliner(limits), archive),
            records,
            seed,
            now,
            settings=settings,
        )
        super().__init__(self._agreement, ledger, key, verify, limits, tick_ms=tick_ms, declared=declared)
        self._turn = 0  # whom what waits is sent to again
        self._serve(now)

    @property
    def agreement(self) -> Bft:
        """Its engine."""
        return self._agreement

    def _restore(self, restore: Restore, now: Millis) -> None:
        self._known.ledger = ledger = self._ledger_in(restore)
        self._go_on_from(ledger, restore.index, now)
        self._serve(now)

    def _serve(self, now: Millis) -> None:
        """Tells the engine whom to tell of blocks, and finds who tells this replica."""
        configuration = self.ledger.configuration
        self._served = configuration.version
        self._agreement.serve(followers_of(self.ledger, self._me), now)
        agreeing = [voter.replica for voter in configuration.new]
        self._own_agent = [each for each in agreeing if self._me in followers_of(self.ledger, each)]

    # Proposing ------------------------------------------------------------------------------------------------------

    def _order(self, taken: Sequence[Pending], time_ms: Millis, now: Millis) -> bytes:
        """Proposes an entry with the header that it gives, without what turns out to be inadmissible in it."""
        evidence = self._evidence()
        while True:
            attachments = tuple(each.attachment for each in taken if each.attachment is not None)
            entry = self._entry(taken, attachments, time_ms, evidence)
            executed = self.ledger.try_out(entry, self._pool.verify)
            admissible = [
                each
                for each, receipt in zip(taken, executed.block.receipts, strict=True)
                if receipt.outcome is not Outcome.INADMISSIBLE
            ]
            if len(admissible) == len(taken):
                break
            taken = admissible
        if executed.rows != attachments:  # nobody is asked to carry rows that nothing looked at
            entry = self._entry(taken, executed.rows, time_ms, evidence)
            executed = self.ledger.try_out(entry, self._pool.verify)
        payload = encode(Agreed(entry, header_hash(executed.block.header)))
        self._engine.propose((payload,), now)
        return entry

    def _evidence(self) -> bytes:
        """What a block on the tip tells of it, with the certificate that this replica has of it."""
        chained = self._agreement.block(self.ledger.height)
        return self._evidence_with(None if chained is None else chained.commit_certificate)

    def _evidence_with(self, certificate: CommitCertificate | None) -> bytes:
        """The same with any certificate of the tip."""
        chained = self._agreement.block(self.ledger.height)
        entry = b"" if chained is None else entry_digest(self._entry_of(chained.block.payload))
        return evidence_for(certificate, entry)

    # Judging --------------------------------------------------------------------------------------------------------

    def _is_good(self, judged: Judged) -> bool:
        """Whether a block gives the header that it says, carries its certificate, and has nothing inadmissible."""
        block = self._agreement.proposed(judged.digest)
        if block is None or block.height != self.ledger.height + 1:
            return False
        try:
            agreed = decode_agreed(judged.payload)
            ordered = decode_ordered(agreed.entry)
            if ordered.evidence != self._evidence_with(block.commit_certificate):
                return False
            executed = self.ledger.try_out(agreed.entry, self._pool.verify)
        except Refused:
            return False
        admissible = all(receipt.outcome is not Outcome.INADMISSIBLE for receipt in executed.block.receipts)
        needed = executed.rows == ordered.attachments
        return admissible and needed and header_hash(executed.block.header) == agreed.header

    def drain(self, now: Millis) -> Work:
        """As every replica does; and hands out, once, what members of the committee proved of themselves."""
        work = super().drain(now)
        lies = self._agreement.accusations()
        return work._replace(lies=lies) if lies else work

    # What is decided ------------------------------------------------------------------------------------------------

    def _entry_of(self, payload: bytes) -> bytes:
        return decode_agreed(payload).entry

    def _apply(self, committed: Committed, now: Millis) -> Executed:
        """As every replica does. No proposal is under way above what is certified, so nothing stays reserved."""
        executed = super()._apply(committed, now)
        self._pool.release()
        if self.ledger.configuration.version != self._served:
            self._serve(now)
        self._demand(now)
        return executed

    # What is demanded -----------------------------------------------------------------------------------------------

    def _demand(self, now: Millis) -> None:
        """What waits in no certified block, an empty block when one is due: until it comes, the view's time runs."""
        oldest = self._pool.oldest_undecided_ms
        if oldest is None and self._ticks(now):
            oldest = Millis(self._last_ms)
        self._engine.demand(oldest, now)

    @property
    def _has_to_tick(self) -> bool:
        return True

    def _forward(self, now: Millis) -> Iterator[Message]:
        """What waits here, and again what waited for long, to whoever is to have it then."""
        leader = self._engine.leader
        fresh, again = self._forwarding.batches(self._pool, now)
        committee = [voter.replica for voter in self._engine.configuration.new]
        others = [each for each in committee if each != self._me]
        if len(others) == len(committee):  # it follows
            self._turn += bool(again)
            in_turn = [committee[(self._turn + each) % len(committee)] for each in range(tolerated(len(committee)) + 1)]
            first, then = self._own_agent or in_turn, in_turn
        elif leader == self._me:
            first, then = [], []
        else:
            first, then = [leader] if leader else others, others
        for batch, receivers in ((fresh, first), (again, then)):
            if batch and receivers:
                frame = transactions_frame(batch)
                for to in receivers:
                    yield Message(to, frame, 0)


def followers_of(ledger: Ledger, replica: bytes) -> tuple[bytes, ...]:
    """The replicas that one who agrees tells of blocks: those of its group, and its share of those in no group."""
    configuration = ledger.configuration
    agreeing = [voter.replica for voter in configuration.new]
    if replica not in agreeing:
        return ()
    agents: Agents | None = ledger.state.get(Table.AGENTS, b"")
    groups = {each.replica: [runner.replica for runner in each.runners] for each in agents.agents} if agents else {}
    grouped = dict.fromkeys(runner for runners in groups.values() for runner in runners)
    own = [each for each in groups.get(replica, ()) if each in configuration.learners]
    rest = [each for each in configuration.learners if each not in grouped]
    return (*own, *rest[agreeing.index(replica) :: len(agreeing)])


def archived(genesis: bytes, height: int, block: Callable[[int], bytes | None], rows: Rows) -> Chained | None:
    """A certified block as a committee agreed on it, from the chain on a disk; None where it is not there whole.

    `block` gives the encoded block of a height, `rows` the rows of a root. The last block's certificate is not on the
    chain yet: it stands in the next.
    """
    data, following = block(height), block(height + 1)
    if data is None or following is None:
        return None
    of, after = decode_block(data), decode_block(following)
    own, before = sealed_in(after.header.evidence), sealed_in(of.header.evidence)
    if own is None:
        return None
    try:
        entry = encode(ordered_again(of, rows))
    except Refused:  # rows that were deleted when their time had come
        return None
    if entry_digest(entry) != own.entry:
        return None
    previous = genesis if before is None else before.certificate.digest
    certificate = None if before is None else before.certificate
    payload = encode(Agreed(entry, header_hash(of.header)))
    return Chained(Block(height, previous, certificate, payload), own.certificate)
