"""The replica of a chain on which a committee agrees although some of it lie (PROTOCOLS, part 3).

It differs from `Replica` in what meets the engine. A proposal is an entry with the header that executing it gives, so
whoever supports it has executed it: on the tip, and so that nothing stays unless it is certified. It is good only if
that very header comes out, if it carries the certificate that the engine's block carries, and if every transaction in
it is admissible. A proposal reserves its transactions and no more; they are free again when their height is certified
with another block, or the view ends. What waits here, in a proposal or not, is demanded of whoever is primary: so that
nobody who lies there can leave it out for ever, it is sent to the primary first and then to the whole committee. Who
follows gives it to its own agent first, and then to f+1 of those who agree, of whom one is honest and does the same.

Where it is too far behind, or nobody can give it the next block, it takes a state over (`taking_over`), and it gives
its own to others (`states`). Governors may let the chain go on with another committee (`ledger.restart`); a replica
goes along only by an act that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from wattquorum.consensus.bft.blocks import Block, Chained, Outline
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.committee import installed, tolerated
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.engine import Committed, Durable, Judged, Message, Restore
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.agreed import (
    Agreed,
    Restarted,
    Sealed,
    agreed_head,
    decode_agreed,
    entry_digest,
    evidence_for,
    payload_digest,
    restart_digest,
    restart_in,
    sealed_in,
)
from wattquorum.ledger.agreement import committee_at
from wattquorum.ledger.blocks import Header, Outcome, Round, decode_block, decode_ordered, header_hash
from wattquorum.ledger.execution import BLOCK_TRANSACTIONS_MAX, Executed, Ledger
from wattquorum.ledger.light import LightClient, Steps
from wattquorum.ledger.offices import Agents
from wattquorum.ledger.restart import Act
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import TRANSACTION_BYTES_MAX
from wattquorum.ledger.validators import configuration_of
from wattquorum.replica.pool import Limits, Pending
from wattquorum.replica.recovery import Rows, ordered_again
from wattquorum.replica.replica import Kind, Replica, StateCopy, Work, framed, read_copy, transactions_frame
from wattquorum.replica.states import (
    AskPart,
    AskState,
    Giving,
    Gone,
    Handed,
    Offer,
    Part,
    StateMessage,
    decode_handed,
    decode_state_message,
)
from wattquorum.replica.taking_over import TakingOver

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

    def digest(self, payload: bytes) -> bytes | None:
        """A payload's digest, without a look at what it orders; None for bytes that are none."""
        try:
            agreed = decode_agreed(payload)
        except Refused:
            return None
        return payload_digest(agreed.header, entry_digest(agreed.entry))

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

    __slots__ = (
        "_agreement",
        "_answered",
        "_behind_max",
        "_giving",
        "_known",
        "_own_agent",
        "_proven_state",
        "_restarts",
        "_said",
        "_served",
        "_skew_ms",
        "_turn",
        "_verify",
        "taking_over",
    )

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
        steps: Steps | None = None,
        restarts: Sequence[Act] = (),
        *,
        tick_ms: int = 0,
        declared: bool = False,
    ) -> None:
        """`ledger` is the chain's at its genesis, `records` and `seed` are for the engine, which is made here.

        `archive` gives what the engine keeps in memory no longer, `steps` are those of what it gives from. `restarts`
        are the acts of governors by which the chain goes on, as this replica's operator has them. While nothing is
        certified for `tick_ms`, members demand an empty block of the primary. For the rest see `Replica`.
        """
        limits, settings = limits or Limits(), settings or Settings()
        self._known, self._verify = Known(ledger), verify
        self._giving = Giving(steps or Steps())
        self._said: list[tuple[bytes, StateMessage]] = []  # in answer to others
        self._answered: dict[bytes, None] = {}  # who was given a large answer since the last drain
        self._proven_state: Ledger | None = None  # taken over, and on its way through the engine
        self._behind_max, self._skew_ms = settings.behind_max, settings.skew_ms
        self._restarts = {each.restart.height: each for each in restarts}
        outliner = Outliner(limits)
        self._agreement = Bft(
            address_of(ledger.chain_id, key.public),
            ledger.chain_id,
            ledger.configuration,
            Means(key.sign, verify, self._known, outliner, archive, outliner.digest),
            records,
            seed,
            now,
            settings=settings,
        )
        self.taking_over = TakingOver(settings, self._light, self._agreement.blame)
        super().__init__(self._agreement, ledger, key, verify, limits, tick_ms=tick_ms, declared=declared)
        self._turn = 0  # whom what waits is sent to again
        self._serve(now)

    @property
    def agreement(self) -> Bft:
        """Its engine."""
        return self._agreement

    def _restore(self, restore: Restore, now: Millis) -> None:
        proven, self._proven_state = self._proven_state, None
        ledger = proven if proven is not None and proven.height == restore.index else self._ledger_in(restore)
        self._known.ledger = ledger
        self._go_on_from(ledger, restore.index, now)
        self._serve(now)
        self._give(restore.index, restore.state, now)

    def _keep_state(self, index: int, state: bytes, now: Millis) -> None:
        super()._keep_state(index, state, now)
        self._give(index, state, now)

    def _give(self, index: int, state: bytes, now: Millis) -> None:
        """From now on this state is given to those who are far behind."""
        chained = self._agreement.block(index)
        if chained is not None:
            self._giving.hold(chained, state, now)

    def _serve(self, now: Millis) -> None:
        """Tells the engine whom to tell of blocks, and finds who tells this replica."""
        configuration = self.ledger.configuration
        self._served = configuration.version
        self._agreement.serve(followers_of(self.ledger, self._me), now)
        agreeing = [voter.replica for voter in configuration.new]
        self._own_agent = [each for each in agreeing if self._me in followers_of(self.ledger, each)]

    # States of others -----------------------------------------------------------------------------------------------

    def drain(self, now: Millis) -> Work:
        """As every replica does; asks for a state where it is far behind, and tells of its own.

        Hands out, once, what members of the committee proved of themselves.
        """
        taking, engine = self.taking_over, self._agreement
        taking.tick(engine.height, now)
        claims = engine.claims
        if max(claims.values(), default=0) > engine.height + self._behind_max:
            taking.seek(self._peers(claims), engine.height + self._behind_max, now)
        work = super().drain(now)
        said, self._said, self._answered = self._said, [], {}
        said += [(peer, self._giving.offer(height)) for peer, height in engine.unserved().items()]
        said += taking.said
        taking.said = []
        messages = [Message(to, framed(Kind.STATE, encode(message)), 0) for to, message in said]
        due = [each for each in (work.deadline, taking.due_ms) if each is not None]
        lies, deadline = engine.accusations(), min(due, default=None)
        return work._replace(messages=(*work.messages, *messages), deadline=deadline, lies=lies)

    def _peers(self, claims: Iterable[bytes]) -> list[bytes]:
        """Who may have a state: whoever speaks of later heights, and who agrees as far as is known here."""
        agreeing = [voter.replica for voter in self._agreement.configuration.new]
        return [peer for peer in dict.fromkeys((*claims, *agreeing)) if peer != self._me]

    def _light(self, last: LightClient | None) -> LightClient:
        """What this replica has proof of: its own tip, or the steps that were proven before."""
        ledger = self.ledger
        if last is not None and last.checkpoint.height >= ledger.height:
            return last
        trusted = [restart_digest(each.restart) for each in self._restarts.values()]
        light = LightClient(ledger.genesis_bytes, self._verify, trusted)
        if ledger.tip is not None:
            light.stand_at(ledger.tip, committee_at(ledger.state, ledger.configuration.version))
        return light

    def _on_state(self, sender: bytes, data: bytes, now: Millis) -> None:
        try:
            message = decode_state_message(data)
        except Refused:
            self.unreadable += 1
            return
        match message:
            case AskState(above):
                self._answer(sender, self._giving.offer(above))
            case AskPart(height, offset):
                self._answer(sender, self._giving.part(height, offset, now))
            case Offer():
                if message.height > self._agreement.height or message.more:
                    self.taking_over.hear_of(sender, self._agreement.height, now)
                self.taking_over.offered(sender, message, now)
            case Gone(height):
                self.taking_over.gone(sender, height, now)
            case Part():
                whole = self.taking_over.part(sender, message, now)
                if whole is not None:
                    self._take_over(message.height, whole, now)

    def _answer(self, sender: bytes, message: StateMessage) -> None:
        """One large answer to each in a turn."""
        if sender not in self._answered:
            self._answered[sender] = None
            self._said.append((sender, message))

    def _take_over(self, height: int, whole: bytes, now: Millis) -> None:
        """Proves a state and goes on from it, unless this replica has come as far meanwhile."""
        taking = self.taking_over
        try:
            handed = decode_handed(whole)
            copy = read_copy(handed.state)
            header = self._checked_header(height, handed, copy, taking.light)
            ledger = self._ledger_of(copy)
        except Refused as refused:
            taking.give_up(f"its state is not what was certified: {refused}", now, lied=True)
            return
        taking.taken()
        if height <= self._agreement.height:
            return
        versions = sorted({header.round.new, ledger.configuration.version})
        self._proven_state = self._known.ledger = ledger
        committees = [installed(configuration_of(ledger.state, version), ledger.key_of) for version in versions]
        self._agreement.take_over(handed.chained, committees, handed.state, now)

    def _checked_header(self, height: int, handed: Handed, copy: StateCopy, light: LightClient) -> Header:
        """The header that has the state's root; Refused where its committee has not certified it, or another block."""
        header = snapshots.read(copy.snapshot).header
        block, certificate = handed.chained.block, handed.chained.commit_certificate
        agreed = decode_agreed(block.payload)
        entry = entry_digest(agreed.entry)
        head = agreed_head(self.ledger.chain_id, header, entry)
        told = (header.height, block.height, block.previous, block.commit_certificate, agreed.header)
        if told != (height, height, head.previous, head.commit_certificate, header_hash(header)):
            raise Refused("snapshot_wrong", "block", block.height)
        light.check(header, Sealed(certificate, entry))
        return header

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
        """The same with any certificate of the tip; and by which act it is gone on from, where there is one."""
        chained = self._agreement.block(self.ledger.height)
        entry = b"" if chained is None else entry_digest(self._entry_of(chained.block.payload))
        act = self._restarts.get(self.ledger.height)
        if act is not None and certificate is not None:
            return encode(Restarted(Sealed(certificate, entry), act.restart, act.approvals))
        return evidence_for(certificate, entry)

    def _round(self) -> Round:
        act, term = self._restarts.get(self.ledger.height), self._engine.term
        return super()._round() if act is None else Round(term, act.restart.version, act.restart.version)

    # Judging --------------------------------------------------------------------------------------------------------

    def _is_good(self, judged: Judged) -> bool:
        """Whether a block gives the header that it says, carries its certificate, and has nothing inadmissible."""
        block = self._agreement.proposed(judged.digest)
        if block is None or block.height != self.ledger.height + 1:
            return False
        try:
            agreed = decode_agreed(judged.payload)
            ordered = decode_ordered(agreed.entry)
            if len(ordered.transactions) > BLOCK_TRANSACTIONS_MAX:
                return False  # before each of them is looked at: so many fit into a block if they are empty
            if not self._tells_of(ordered.evidence, block.commit_certificate):
                return False
            executed = self.ledger.try_out(agreed.entry, self._pool.verify)
        except Refused:
            return False
        admissible = all(receipt.outcome is not Outcome.INADMISSIBLE for receipt in executed.block.receipts)
        needed = executed.rows == ordered.attachments
        return admissible and needed and header_hash(executed.block.header) == agreed.header

    def _tells_of(self, evidence: bytes, certificate: CommitCertificate | None) -> bool:
        """Whether evidence is that of the tip with this certificate. Whose approvals an act has, the ledger checks."""
        own, found = restart_in(self._evidence_with(certificate)), restart_in(evidence)
        if own is None or found is None:
            return evidence == self._evidence_with(certificate)
        return (found.sealed, found.restart) == (own.sealed, own.restart)

    # What is decided ------------------------------------------------------------------------------------------------

    def _entry_of(self, payload: bytes) -> bytes:
        return decode_agreed(payload).entry

    def _apply(self, committed: Committed, now: Millis) -> Executed:
        """As every replica does. No proposal is under way above what is certified, so nothing stays reserved."""
        act = self._restarts.get(self.ledger.height)
        executed = super()._apply(committed, now)
        if act is not None:
            found = restart_in(executed.block.header.evidence)
            if found is None or found.restart != act.restart:
                raise Refused("diverged", "restart", act.restart.height, "The chain went on without it, or by another.")
        self._pool.release()
        if self.ledger.configuration.version != self._served:
            self._serve(now)
        self._demand(now)
        return executed

    def _tell_powers(self, now: Millis) -> None:
        """As every replica does; after the block from which the chain was restarted, who goes on agrees."""
        super()._tell_powers(now)
        act = self._restarts.get(self.ledger.height)
        if act is not None and act.restart.version > self._told:
            self._told = act.restart.version
            self._engine.reconfigure(self.ledger.restarted_by(act.restart), now)

    # What is demanded -----------------------------------------------------------------------------------------------

    def _demand(self, now: Millis) -> None:
        """What waits in no certified block, an empty block when one is due: until it comes, the view's time runs.

        What has expired by the clock of a primary that does not lie is not demanded of it: or who hands in, to all
        others, what is about to expire, would depose it.
        """
        oldest = self._pool.oldest_undecided_ms(Millis(now + self._skew_ms))
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
