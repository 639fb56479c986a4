"""Execution: an ordered entry becomes a block, deterministically.

Executing the same entries on two machines, twice, or after a restart gives the same blocks to the last byte. An
inadmissible transaction (bytes, chain, signature, nonce, expiry) changes nothing and gets a receipt that says so; a
refused one changes nothing but its sender's nonce. Neither stops the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.configuration import Configuration
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import Signed, Verifier, address_of, is_signed, tagged_hash
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import (
    carbon,
    certificates,
    closing,
    delivery,
    flows,
    issuing,
    membership,
    money,
    negotiation,
    settling,
)
from wattquorum.ledger.accounts import Account, reserved
from wattquorum.ledger.accusing import accuse
from wattquorum.ledger.agreed import Restart, restart_in
from wattquorum.ledger.agreement import check_certificate, check_view, note_view, seal_checks
from wattquorum.ledger.attendance import agents_of, attest, note_attendance
from wattquorum.ledger.blocks import (
    Applied,
    Block,
    Header,
    Ordered,
    Outcome,
    Proposed,
    Receipt,
    Round,
    decode_ordered,
    header_hash,
    receipts_root,
    transactions_root,
)
from wattquorum.ledger.committees import named, seat_everybody
from wattquorum.ledger.context import Context, Tariffs
from wattquorum.ledger.elections import closes, elect_agents, replace_agents, stand, vote
from wattquorum.ledger.entities import Chain, version_in_force
from wattquorum.ledger.facts import Fact, VectorMade
from wattquorum.ledger.genesis import (
    Genesis,
    chain_id_of,
    decode_genesis,
    first_parameters,
    first_state,
    genesis_hash,
    version_key,
)
from wattquorum.ledger.metering import rows_in_use
from wattquorum.ledger.parameters import Consensus, Parameters
from wattquorum.ledger.readings import Shelf
from wattquorum.ledger.restart import Act, carry_out, check_approvals, check_restart
from wattquorum.ledger.rounds import check_round, end_epoch, note_round
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Change, State, Table, next_digest
from wattquorum.ledger.transactions import (
    Accept,
    Accuse,
    AddMeter,
    Approve,
    ApproveContracts,
    Attest,
    BuyCertificates,
    Cancel,
    CloseCarbonPeriod,
    CloseDay,
    ClosePage,
    CommitReadings,
    Counter,
    Curtail,
    Deposit,
    Dispute,
    GrantQuota,
    IssueCertificates,
    Leave,
    MoveAllowances,
    Offer,
    OfferCertificates,
    Payload,
    PayOut,
    Propose,
    ReadyValidator,
    Received,
    Register,
    ReportEmissions,
    ReportFault,
    ReportFlow,
    RetireCertificates,
    RollUp,
    RotateKey,
    SealDay,
    SetStatus,
    SettleDebt,
    SplitBundle,
    Stand,
    TransferCertificates,
    Vote,
    WithdrawCertificates,
    WithdrawMoney,
    WithdrawOffer,
    WithdrawSale,
    transaction_hash,
)
from wattquorum.ledger.validators import configuration_of, ready_validator, seat_voters, seats_of, vector_of

BLOCK_TRANSACTIONS_MAX: Final = 20_000
APPLIED_LAG_MAX: Final = 1_024  # blocks that a proposer may have ordered beyond the last one it executed
TRIALS_MAX: Final = 4  # entries of one height whose trial is remembered

RULES: Final[dict[type, Callable[[Context, Any], None]]] = {
    Register: membership.register,
    AddMeter: membership.add_meter,
    SetStatus: membership.set_status,
    RotateKey: membership.rotate_key,
    Leave: membership.leave,
    Propose: membership.propose,
    Approve: membership.approve,
    Offer: negotiation.offer,
    Counter: negotiation.counter,
    Accept: negotiation.accept,
    WithdrawOffer: negotiation.withdraw_offer,
    Cancel: negotiation.cancel,
    ApproveContracts: delivery.approve_contracts,
    Curtail: delivery.curtail,
    ReportFault: delivery.report_fault,
    ReportFlow: flows.report_flow,
    CommitReadings: delivery.commit_readings,
    ClosePage: settling.close_page,
    CloseDay: closing.close_day,
    SealDay: closing.seal_day,
    Deposit: money.deposit,
    WithdrawMoney: money.withdraw_money,
    PayOut: money.pay_out,
    SettleDebt: money.settle_debt,
    Dispute: delivery.dispute,
    IssueCertificates: issuing.issue_certificates,
    TransferCertificates: certificates.transfer_certificates,
    SplitBundle: certificates.split_bundle,
    RollUp: certificates.roll_up_bundles,
    OfferCertificates: certificates.offer_certificates,
    BuyCertificates: certificates.buy_certificates,
    WithdrawSale: certificates.withdraw_sale,
    RetireCertificates: certificates.retire_certificates,
    WithdrawCertificates: issuing.withdraw_certificates,
    GrantQuota: carbon.grant_quota,
    MoveAllowances: carbon.move_allowances,
    ReportEmissions: carbon.report_emissions,
    CloseCarbonPeriod: carbon.close_carbon_period,
    ReadyValidator: ready_validator,
    Vote: vote,
    Stand: stand,
    Attest: attest,
    Accuse: accuse,
}


class Executed(NamedTuple):
    """A block and what it did."""

    block: Block
    data: bytes  # the encoded block
    facts: tuple[tuple[Fact, ...], ...]  # per transaction, as ordered
    told: tuple[Fact, ...]  # of no transaction: its round, then the end of its epoch, then who votes from now on
    rows: tuple[bytes, ...]  # attachments that its commitments read, refused ones included: a replay needs them


class Prepared(NamedTuple):
    """An entry with the signatures that executing it asks for."""

    ordered: Ordered
    root: bytes  # of its transactions
    received: tuple[Received | Refused, ...]
    keys: tuple[bytes, ...]  # the senders' when this was prepared; empty where there was none
    seals: tuple[Signed, ...]  # of who certified the block before, where a committee agrees
    checks: tuple[Signed, ...]  # the proposer's, those of the transactions whose sender had a key, the seals'


class Trial(NamedTuple):
    """What executing an entry on the tip does: its block, what it changes in the state, and the rows beside it then."""

    executed: Executed
    changes: tuple[Change, ...]
    shelf: Shelf


class Ledger:
    """The replicated state machine: state, rows beside it, and the tip of its chain."""

    __slots__ = (
        "_hashes",
        "_reserved",
        "_tariffs",
        "_trials",
        "chain_id",
        "consensus",
        "founding_facts",
        "genesis",
        "genesis_bytes",
        "shelf",
        "state",
        "tip",
    )

    def __init__(self, genesis_bytes: bytes) -> None:
        """The ledger before its first block; Refused on an invalid genesis."""
        self.genesis: Genesis = decode_genesis(genesis_bytes)
        self.genesis_bytes = genesis_bytes
        self.chain_id = chain_id_of(genesis_bytes)
        self.consensus = Consensus(first_parameters(self.genesis).consensus)
        self.state: State
        self.state, self.founding_facts = first_state(self.genesis, self.chain_id)
        self.shelf = Shelf()
        self.tip: Header | None = None
        self._reserved = reserved(self.chain_id)
        self._hashes = {0: genesis_hash(genesis_bytes)}  # of the last blocks, by height
        self._tariffs = Tariffs()
        self._trials: dict[bytes, Trial] = {}  # by entry, of this tip

    def stand_at(self, header: Header) -> None:
        """Moves the tip; the hashes of the last blocks are kept for what later proposals name."""
        self.tip = header
        self._trials.clear()
        self._hashes[header.height] = header_hash(header)
        self._hashes.pop(header.height - APPLIED_LAG_MAX - 1, None)

    @property
    def applied(self) -> Applied:
        """What a proposal made now says that its proposer has executed."""
        return Applied(self.height, self.tip_hash)

    @property
    def height(self) -> int:
        """How many blocks the chain has."""
        return self.tip.height if self.tip else 0

    @property
    def tip_hash(self) -> bytes:
        """What the next block names as its predecessor."""
        return self._hashes[self.height]

    @property
    def digest(self) -> bytes:
        """The state digest of the tip."""
        return self.tip.state_digest if self.tip else genesis_hash(self.genesis_bytes)

    @property
    def parameters(self) -> Parameters:
        """The parameters in force."""
        chain: Chain = self.state.get(Table.CHAIN, b"")
        found: Parameters = self.state.get(Table.PARAMETERS, version_key(version_in_force(chain, self.height)))
        return found

    def account(self, address: bytes) -> Account | None:
        """An account, if there is one."""
        found: Account | None = self.state.get(Table.ACCOUNT, address)
        return found

    @property
    def by_committee(self) -> bool:
        """Whether a committee agrees on this chain, of which some may lie."""
        return self.consensus is not Consensus.RAFT

    @property
    def closing(self) -> int:
        """The last height of the running epoch, in which agents may stand until then; 0 while it is not known."""
        return agents_of(self.state).closing if self.consensus is Consensus.CGPBFT else 0

    @property
    def configuration(self) -> Configuration:
        """Who votes by the newest vector, as an engine is told it; whether it is in force the engine knows."""
        return configuration_of(self.state, seats_of(self.state).newest)

    def round_of(self, configuration: Configuration, term: int) -> Round:
        """What a proposal says of an engine's effective configuration, whose old half names no version.

        The old one is the newest version below it with these voters. So all proposers name the same, provided that
        they have executed the block that made the new one: Refused("input_unexpected") where this ledger has not.
        """
        seats, version = seats_of(self.state), configuration.version
        if version > seats.newest:
            remedy = f"Execute what is decided first; {seats.newest} is the newest that is known here."
            raise Refused("input_unexpected", "configuration.version", version, remedy)
        if configuration.old is None:
            return Round(term, version, version)
        for old in range(version - 1, seats.old - 1, -1):
            vector = vector_of(self.state, old)
            if vector is not None and vector.voters == configuration.old:
                return Round(term, old, version)
        raise Refused("diverged", "configuration.old", version, "No version has these voters.")

    def key_of(self, replica: bytes) -> bytes:
        """The key of a replica that was admitted here; Refused("validator_unknown") for any other."""
        found: Validator | None = self.state.get(Table.VALIDATOR, replica)
        if found is None:
            raise Refused("validator_unknown", "replica", replica)
        return found.key

    def votes(self, key: bytes) -> bool:
        """Whether a replica's key was ever admitted here."""
        return self.state.get(Table.VALIDATOR, address_of(self.chain_id, key)) is not None

    def execute(self, entry: bytes, verify: Verifier) -> Executed:
        """Executes an ordered entry and moves the tip.

        `verify` checks many signatures at once. Refused on an entry that no proposer of this chain signed or whose
        time does not lie above the previous block's; nothing is changed then. An entry that was tried out on this tip
        is not computed again.
        """
        trial = self._trials.get(entry)
        if trial is None:
            return self.execute_ordered(decode_ordered(entry), verify)
        self.state.redo(trial.changes)
        return self._conclude(trial.executed, trial.shelf)

    def try_out(self, entry: bytes, verify: Verifier) -> Executed:
        """What executing an entry now would give; nothing is changed. Refused as by `execute`.

        So a block can be judged, and named by what it leads to, before it is agreed on; one that is not leaves nothing.
        """
        trial = self._trials.get(entry)
        if trial is None:
            prepared = self.prepare(decode_ordered(entry))
            mark = self.state.mark()
            try:
                executed, shelf = self._carry_out(prepared, verify(prepared.checks))
            finally:
                changes = self.state.take_back(mark)
            if len(self._trials) >= TRIALS_MAX:
                del self._trials[next(iter(self._trials))]
            trial = self._trials[entry] = Trial(executed, changes, shelf)
        return trial.executed

    def execute_ordered(self, ordered: Ordered, verify: Verifier) -> Executed:
        """As `execute`, for an entry that is decoded already."""
        prepared = self.prepare(ordered)
        return self.execute_prepared(prepared, verify(prepared.checks))

    def prepare(self, ordered: Ordered) -> Prepared:
        """What has to be checked before an entry is executed; nothing is changed.

        It may be prepared before the entries ahead of it are executed, so that its signatures are checked meanwhile:
        where a sender's key is another one by then, or the first, that signature is checked again.
        """
        received = tuple(_receive(data) for data in ordered.transactions)
        keys = tuple(self._key_of(each) for each in received)
        root = transactions_root(ordered.transactions)
        proposed = Proposed(self.chain_id, ordered.time_ms, ordered.applied, ordered.round, ordered.evidence, root)
        checks = [proposed.check(ordered.proposer, ordered.signature)]
        checks.extend(
            each.check(key) for each, key in zip(received, keys, strict=True) if isinstance(each, Received) and key
        )
        seals: tuple[Signed, ...] = ()
        if self.by_committee:
            seals = seal_checks(self.state, self.chain_id, self.tip, ordered.evidence)
            checks.extend(seals)
        return Prepared(ordered, root, received, keys, seals, tuple(checks))

    def execute_prepared(self, prepared: Prepared, verdicts: Iterable[bool]) -> Executed:
        """Executes an entry whose signatures were checked, with one verdict for each of its checks; as `execute`."""
        return self._conclude(*self._carry_out(prepared, verdicts))

    def _carry_out(self, prepared: Prepared, verdicts: Iterable[bool]) -> tuple[Executed, Shelf]:
        """Changes the state as an entry has it, journalled; the tip and the shelf stay where they are."""
        ordered, root, received, keys, seals, _ = prepared
        mark = self.state.mark()
        try:
            told = self._restart(ordered.evidence)
            self._check_order(ordered)
            left = iter(verdicts)
            if not next(left):
                raise Refused("signature_forged", "proposal_signature", ordered.signature)
            signed = [key if key and next(left) else b"" for key in keys]
            certificate = None
            if self.by_committee:
                good = [each for each in seals if next(left)]
                certificate = check_certificate(self.state, self.chain_id, self.tip, ordered.evidence, good)
            return self._apply(ordered, root, received, signed, certificate, told)
        except Refused:
            self.state.roll_back(mark)
            raise

    def _restart(self, evidence: bytes) -> list[Fact]:
        """Seats those who go on, where a block's evidence has an act of governors; nothing in any other block."""
        restarted = restart_in(evidence) if self.by_committee else None
        if restarted is None:
            return []
        check_restart(self.state, self.chain_id, self.consensus, self.tip, restarted.restart)
        check_approvals(self.state, Act(restarted.restart, restarted.approvals))
        return carry_out(self.state, self.consensus, restarted.restart, self.digest)

    def restarted_by(self, restart: Restart) -> Configuration:
        """Who agrees on the next block if it goes on by this act. Refused for one that cannot be carried out now."""
        mark = self.state.mark()
        try:
            check_restart(self.state, self.chain_id, self.consensus, self.tip, restart)
            carry_out(self.state, self.consensus, restart, self.digest)
            return self.configuration
        finally:
            self.state.roll_back(mark)

    def _conclude(self, executed: Executed, shelf: Shelf) -> Executed:
        """What was carried out stays."""
        self.state.commit()
        self.shelf = shelf
        self.stand_at(executed.block.header)
        return executed

    def foresee(self, data: bytes, now: Millis) -> Receipt:
        """What would become of a transaction that comes without rows, alone in a block made now; nothing is changed."""
        context = Context(self.state, self.shelf, self._tariffs, self.chain_id, self._reserved)
        context.now, context.height = now, self.height + 1
        mark = self.state.mark()
        try:
            return self._transact(context, data, _receive(data), b"")
        finally:
            self.state.roll_back(mark)

    def _apply(
        self,
        ordered: Ordered,
        root: bytes,
        received: Sequence[Received | Refused],
        signed: Sequence[bytes],
        certificate: CommitCertificate | None,
        told: list[Fact],
    ) -> tuple[Executed, Shelf]:
        shelved, shelf = self.shelf.roots(), self.shelf.copied()
        beside = {put: data for data in ordered.attachments if (put := _shelve(shelf, data))}
        context = Context(self.state, shelf, self._tariffs, self.chain_id, self._reserved)
        context.now, context.height, context.beside = Millis(ordered.time_ms), self.height + 1, dict.fromkeys(beside)
        if self.by_committee:
            note_view(self.state, ordered, certificate)
            if self.tip and certificate and self.consensus is Consensus.CGPBFT:
                parameters = context.parameters()
                told.extend(note_attendance(self.state, parameters, self.tip, certificate, context.height))
        elif (counted := note_round(self.state, self.chain_id, context.height, ordered)) is not None:
            told.append(counted)
        receipts, facts, done = [], [], list[Payload]()
        for data, each, key in zip(ordered.transactions, received, signed, strict=True):
            context.facts, context.transfers, context.owing, context.done = [], [], {}, ("", "")
            receipt = self._transact(context, data, each, key)
            receipts.append(receipt)
            facts.append(tuple(context.facts))
            if isinstance(each, Received) and receipt.outcome is Outcome.DONE:
                done.append(each.body.payload)
        block = self._sealed(ordered, root, tuple(receipts), context.parameters(), told)
        if any(isinstance(payload, SealDay) for payload in done):
            shelf.keep(rows_in_use(self.state))
        elif beside:
            shelf.keep((*shelved, *(payload.root for payload in done if isinstance(payload, CommitReadings))))
        rows = tuple(data for put, data in beside.items() if put in context.rows_read)
        return Executed(block, encode(block), tuple(facts), tuple(told), rows), shelf

    def _key_of(self, received: Received | Refused) -> bytes:
        """The key that the sender has before this block; empty when there is none."""
        if isinstance(received, Refused):
            return b""
        account = self.account(received.body.sender)
        return account.key if account else b""

    def _transact(self, context: Context, data: bytes, received: Received | Refused, signed: bytes) -> Receipt:
        """One transaction: admitted or not, then done or refused. `signed` is the key that its signature belongs to."""
        if isinstance(received, Refused):
            return _refusal(transaction_hash(data), Outcome.INADMISSIBLE, received)
        try:
            account = self._admit(context, received, signed)
        except Refused as refused:
            return _refusal(received.hash, Outcome.INADMISSIBLE, refused)
        context.sender, context.hash = received.body.sender, received.hash
        context.put_account(context.sender, changed(account, nonce=account.nonce + 1))
        mark = self.state.mark()
        try:
            RULES[type(received.body.payload)](context, received.body.payload)
        except Refused as refused:
            self.state.roll_back(mark)
            context.facts, context.transfers = [], []
            return _refusal(received.hash, Outcome.REFUSED, refused)
        digest = tagged_hash("transfers", encode(context.transfers)) if context.transfers else b""
        return Receipt(received.hash, Outcome.DONE, "", *context.done, digest)

    def _admit(self, context: Context, received: Received, signed: bytes) -> Account:
        """The sender's account, if chain, sender, signature, nonce and expiry are right (L-26)."""
        body = received.body
        if body.chain != self.chain_id:
            raise Refused("chain_wrong", "chain", body.chain)
        account = self.account(body.sender)
        if account is None or not account.key:
            raise Refused("sender_unknown", "sender", body.sender)
        # A key that changed inside this block, or an account that was opened in it, is checked here.
        if signed != account.key and not is_signed(received.check(account.key)):
            raise Refused("signature_forged", "signature", received.envelope.signature)
        if body.nonce != account.nonce:
            raise Refused("nonce_wrong", "nonce", body.nonce, f"Use {account.nonce}.")
        if body.expiry_height < context.height:
            raise Refused("expired", "expiry_height", body.expiry_height, f"The chain is at height {context.height}.")
        if body.expiry_ms < context.now:
            raise Refused("expired", "expiry_ms", body.expiry_ms, f"It is {context.now}.")
        furthest = context.height + context.parameters().expiry_blocks_max
        if body.expiry_height > furthest:
            raise Refused("expiry_too_far", "expiry_height", body.expiry_height, f"Choose at most {furthest}.")
        return account

    def _sealed(
        self, ordered: Ordered, root: bytes, receipts: tuple[Receipt, ...], parameters: Parameters, told: list[Fact]
    ) -> Block:
        """The block of what was done, and what ending it did, in `told`.

        The first block at or past an epoch's length is the epoch's last (L-16).
        """
        chain: Chain = self.state.get(Table.CHAIN, b"")
        if self.consensus is Consensus.CGPBFT:
            ends = closes(self.state, parameters, self.height + 1, ordered.time_ms)
        else:
            ends = ordered.time_ms >= chain.epoch_started_ms + parameters.epoch_ms
        if ends:
            self.state.put(Table.CHAIN, b"", changed(chain, epoch=chain.epoch + 1, epoch_started_ms=ordered.time_ms))
            told.extend(end_epoch(self.state, parameters))
        seated = self._seat(parameters, chain.epoch, epoch_ends=ends)
        told.extend(seated)
        vector = seated[-1] if seated and isinstance(seated[-1], VectorMade) else None
        header = Header(
            self.height + 1,
            self.tip_hash,
            ordered.time_ms,
            ordered.applied,
            chain.epoch,
            ordered.proposer,
            ordered.signature,
            ordered.round,
            ordered.evidence,
            root,
            receipts_root(receipts),
            next_digest(self.digest, self.state.changes()),
            self.state.root() if ends else b"",
            encode(named(self.state, vector)) if vector is not None and self.by_committee else b"",
        )
        return Block(header, ordered.transactions, receipts)

    def _seat(self, parameters: Parameters, epoch: int, *, epoch_ends: bool) -> list[Fact]:
        """Who votes from the next block on, if this one changes that; told last."""
        state, height, digest = self.state, self.height + 1, self.digest
        if self.consensus is Consensus.CGPBFT:
            if epoch_ends:
                return elect_agents(state, parameters, self.chain_id, height, digest, epoch)
            return replace_agents(state, parameters, self.chain_id, height, digest, epoch)
        if self.consensus is Consensus.PBFT:
            made = seat_everybody(state, height, digest)
        else:
            made = seat_voters(state, parameters, height, digest, epoch_ends=epoch_ends)
        return [] if made is None else [made]

    def _check_order(self, ordered: Ordered) -> None:
        if self.by_committee:
            check_view(self.state, self.chain_id, ordered)
        else:
            check_round(self.state, self.chain_id, ordered)
            if self.tip and ordered.round.term < self.tip.round.term:
                remedy = f"Terms never fall below {self.tip.round.term}."
                raise Refused("out_of_range", "round.term", ordered.round.term, remedy)
        if len(ordered.transactions) > BLOCK_TRANSACTIONS_MAX:
            raise Refused(
                "out_of_range", "transactions", len(ordered.transactions), f"At most {BLOCK_TRANSACTIONS_MAX}."
            )
        if not self.height - APPLIED_LAG_MAX <= ordered.applied.height <= self.height:
            remedy = f"Name a block from {max(0, self.height - APPLIED_LAG_MAX)} to {self.height}."
            raise Refused("out_of_range", "applied.height", ordered.applied.height, remedy)
        known = self._hashes.get(ordered.applied.height, ordered.applied.hash)
        if known != ordered.applied.hash:
            raise Refused("diverged", "applied.hash", ordered.applied.hash, "The proposer executed another chain.")
        before = self.tip.time_ms if self.tip else self.genesis.created_ms
        if ordered.time_ms <= before:
            raise Refused("out_of_range", "time_ms", ordered.time_ms, f"A block's time lies above {before}.")


def _receive(data: bytes) -> Received | Refused:
    try:
        return Received(data)
    except Refused as refused:
        return refused


def _shelve(shelf: Shelf, data: bytes) -> bytes:
    """The root of an attachment's rows; empty for an attachment that says nothing, which nobody can commit to."""
    try:
        return shelf.put(data)
    except Refused:
        return b""


def _refusal(hash_: bytes, outcome: Outcome, refused: Refused) -> Receipt:
    return Receipt(hash_, outcome, refused.code, refused.field, refused.value, b"")
