"""Audit: recompute a chain and name the first thing that is wrong (L-27).

The auditor believes nothing but the genesis (whose hash is the chain's id). It decodes every block strictly, checks
its place, its proposer's signature and its roots, executes its transactions with the rows that stand beside it, and
compares the block that comes out with the one that was stored, header field by header field; an auditor's own books
check that money and energy are conserved. Every proposal names the block that its proposer had executed, so that no
block before it can be left out or replaced. Where rows were deleted after their retention, it starts from a snapshot
whose root the chain commits to, and says which blocks it could only check for integrity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Role, reserved
from wattquorum.ledger.blocks import (
    Block,
    Header,
    Ordered,
    Outcome,
    decode_block,
    header_hash,
    ordered_of,
    read_rows,
    receipts_root,
)
from wattquorum.ledger.conservation import Books
from wattquorum.ledger.execution import Executed, Ledger, Prepared
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.replay import checked_ahead
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import AddValidator, CommitReadings, GrantRole, Propose

Rows = Callable[[bytes], bytes | None]


class AuditFault(Exception):
    """The first thing that is wrong with a chain: where, and why."""

    def __init__(self, where: str, reason: Refused) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Audited(NamedTuple):
    """What an audit established."""

    height: int
    digest: bytes
    tip_hash: bytes
    replayed_from: int  # the first block that was executed; later than 1 where rows were deleted
    transactions: int
    roots: tuple[bytes, ...]  # rows that the replayed blocks commit to
    forgotten: int  # the last block whose rows were deleted before their retention had passed; 0: none
    vouched: int  # up to this height a proposer has signed what the chain is, directly or by a later proposal


def audit(
    genesis_bytes: bytes,
    blocks: Iterable[bytes],
    rows: Rows,
    taken: Mapping[int, bytes],
    verify: Verifier,
    on_block: Callable[[Executed], None] | None = None,
    signed: int = 0,
    on_begin: Callable[[Ledger], None] | None = None,
) -> Audited:
    """Audits a chain of encoded blocks, in order.

    `rows` gives the attachment of a root, or None when it was deleted; `taken` are snapshots by height; at height
    `signed` a signed tip names the block. Raises AuditFault at the first thing that is wrong. `on_block` is told of
    every block that was executed, for progress and for readers; `on_begin` of the ledger that executes from then on:
    the genesis's, and that of each snapshot where the replay goes on after deleted rows.
    """
    try:
        ledger = Ledger(genesis_bytes)
    except Refused as refused:
        raise AuditFault("genesis", refused) from None
    return _Replay(ledger, rows, dict(taken), verify, on_block, signed, on_begin).run(blocks)


class _Replay:
    """One audit under way."""

    __slots__ = (
        "admitted",
        "ahead",
        "appointed",
        "books",
        "from_height",
        "hashes",
        "ledger",
        "missing",
        "on_begin",
        "on_block",
        "roots",
        "rows",
        "special",
        "taken",
        "tip",
        "total",
        "trusted",
        "unreadable",
        "verify",
        "vouched",
    )

    def __init__(
        self,
        ledger: Ledger,
        rows: Rows,
        taken: dict[int, bytes],
        verify: Verifier,
        on_block: Callable[[Executed], None] | None,
        signed: int,
        on_begin: Callable[[Ledger], None] | None,
    ) -> None:
        self.ledger: Ledger = ledger
        self.rows = rows
        self.taken = taken
        self.verify = verify
        self.on_block = on_block
        self.on_begin = on_begin
        self.special = reserved(ledger.chain_id)
        self.books = Books()
        self.books.enter(ledger.founding_facts, b"", ledger.genesis.created_ms)
        self.tip: Header | None = None
        self.from_height = 1
        self.total = 0
        self.hashes = [ledger.tip_hash]  # by height, the genesis's first
        self.vouched = signed
        self.missing: list[Header] = []  # of blocks whose rows were deleted
        self.trusted: frozenset[bytes] | None = None  # after a gap, whose word counts: a snapshot may make up voters
        self.admitted: dict[bytes, None] = {}  # keys of replicas that governors proposed in blocks not executed
        self.appointed: dict[bytes, None] = {}  # governors, likewise
        self.roots: list[bytes] = []
        self.ahead: deque[tuple[Block, bytes]] = deque()  # blocks that were read and not yet looked at
        self.unreadable: Refused | None = None  # what the block after them is refused for

    def run(self, blocks: Iterable[bytes]) -> Audited:
        """All blocks, then the snapshots that no block has accounted for."""
        skipping = False
        self._begin()
        for prepared, verdicts in checked_ahead(self._prepare, self._ordered(blocks), self.verify):
            block, data = self.ahead.popleft()
            height = self.tip.height + 1 if self.tip else 1
            try:
                self._check_header(block.header, height)
                self._check_roots(block, prepared.root)
                attachments, missing = self._attachments(block, prepared)
                skipping = skipping or missing
                if missing:
                    self.missing.append(block.header)
                if skipping:
                    self._check_proposal(block, prepared, verdicts)
                else:
                    whole = prepared._replace(ordered=ordered_of(block, attachments))
                    self._execute(whole, verdicts, block, data)
                self.tip = block.header
                self.hashes.append(header_hash(block.header))
                if height in self.taken:
                    skipping = self._check_snapshot(height, skipping)
                self.total += len(block.transactions)
            except Refused as refused:
                raise AuditFault(f"block {height}", refused) from None
        if self.unreadable is not None:
            raise AuditFault(f"block {len(self.hashes)}", self.unreadable)
        if skipping:
            reason = Refused("snapshot_missing", "rows", "deleted", "A snapshot after the deleted rows is needed.")
            raise AuditFault(f"block {self.from_height}", reason)
        if self.vouched < self.from_height - 1:
            reason = Refused(
                "snapshot_wrong", "height", self.from_height - 1, "No proposer has signed anything over it."
            )
            raise AuditFault(f"snapshot {self.from_height - 1}", reason)
        for height in sorted(self.taken):
            raise AuditFault(
                f"snapshot {height}", Refused("snapshot_wrong", "height", height, "No block has this height.")
            )
        return Audited(
            self.ledger.height,
            self.ledger.digest,
            self.ledger.tip_hash,
            self.from_height,
            self.total,
            tuple(self.roots),
            self._forgotten_early(),
            self.vouched,
        )

    def _ordered(self, blocks: Iterable[bytes]) -> Iterator[Ordered]:
        """What was ordered, up to the first block that cannot be read; rows do not change what is to be checked."""
        for data in blocks:
            try:
                block = decode_block(data)
            except Refused as refused:
                self.unreadable = refused
                return
            self.ahead.append((block, data))
            yield ordered_of(block, ())

    def _prepare(self, ordered: Ordered) -> Prepared:
        return self.ledger.prepare(ordered)  # which is another ledger after a snapshot

    def _forgotten_early(self) -> int:
        """The last block whose rows are missing although they had to be kept longer (L-23)."""
        end = self.tip.time_ms if self.tip else 0
        kept_ms = self.ledger.parameters.retention_days * MS_PER_DAY
        return max((header.height for header in self.missing if header.time_ms + kept_ms > end), default=0)

    def _check_header(self, header: Header, height: int) -> None:
        if header.height != height:
            raise altered("height", header.height, f"Height {height} was expected.")
        if header.previous != self.hashes[-1]:
            raise altered("previous", header.previous, "The header does not follow the block before it.")
        applied = header.applied
        if applied.height >= height or applied.hash != self.hashes[applied.height]:
            raise altered("applied", applied.hash, f"The proposer had executed another block {applied.height}.")
        if self.trusted is None or header.proposer in self.trusted or header.proposer in self.admitted:
            self.vouched = max(self.vouched, applied.height)
        if self.tip and header.time_ms <= self.tip.time_ms:
            raise altered("time_ms", header.time_ms, "Times must rise.")

    def _check_roots(self, block: Block, root: bytes) -> None:
        if root != block.header.transactions_root:
            raise altered("transactions_root", block.header.transactions_root, "The transactions have another root.")
        if len(block.receipts) != len(block.transactions):
            raise altered("receipts", len(block.receipts), f"{len(block.transactions)} transactions need as many.")
        if receipts_root(block.receipts) != block.header.receipts_root:
            raise altered("receipts_root", block.header.receipts_root, "The receipts have another root.")

    def _check_proposal(self, block: Block, prepared: Prepared, verdicts: Iterable[bool]) -> None:
        """What can be checked without the state: that a validator of this chain signed the order.

        Validators are those of the last state that is known, and whom its governors proposed since, or governors whom
        those proposed. So a chain of signatures leads from that state to the next one.
        """
        header = block.header
        if header.proposer not in self.admitted and not self.ledger.votes(header.proposer):
            raise altered("proposer", header.proposer, "It is the key of no validator.")
        if not next(iter(verdicts)):
            raise altered("proposal_signature", header.proposal_signature, "It is not the proposer's.")
        for received, receipt in zip(prepared.received, block.receipts, strict=True):
            if isinstance(received, Refused) or receipt.outcome is not Outcome.DONE:
                continue
            match received.body.payload:
                case Propose(action=AddValidator() as action) if self._governs(received.body.sender):
                    self.admitted[action.key] = None
                case Propose(action=GrantRole() as action) if self._governs(received.body.sender):
                    if action.role == Role.GOVERNOR:
                        self.appointed[action.account] = None
                case _:
                    pass

    def _governs(self, sender: bytes) -> bool:
        account = self.ledger.account(sender)
        return sender in self.appointed or (account is not None and bool(account.roles & Role.GOVERNOR))

    def _attachments(self, block: Block, prepared: Prepared) -> tuple[list[bytes], bool]:
        """The rows that the block's commitments need, and whether any were deleted."""
        found: dict[bytes, bytes] = {}
        missing = False
        for received, receipt in zip(prepared.received, block.receipts, strict=True):
            if not read_rows(receipt):
                continue
            if isinstance(received, Refused):
                raise received
            payload = received.body.payload
            if isinstance(payload, CommitReadings) and payload.root not in found:
                rows = self.rows(payload.root)
                if rows is None:
                    missing = True
                else:
                    if root_of_rows(decode_rows(rows)) != payload.root:
                        raise altered("rows", payload.root, "The rows beside the chain have another root.")
                    found[payload.root] = rows
                    self.roots.append(payload.root)
        return list(found.values()), missing

    def _execute(self, prepared: Prepared, verdicts: Iterable[bool], block: Block, data: bytes) -> None:
        executed = self.ledger.execute_prepared(prepared, verdicts)
        if executed.data != data:
            raise _difference(executed.block, block)
        for facts, receipt in zip(executed.facts, block.receipts, strict=True):
            self.books.enter(facts, receipt.transfers, block.header.time_ms)
        self.books.check(self.ledger.state, self.special)
        if self.on_block:
            self.on_block(executed)

    def _check_snapshot(self, height: int, skipping: bool) -> bool:
        """A snapshot is the state after its block; where rows were deleted, the replay goes on from it."""
        data = self.taken.pop(height)
        assert self.tip is not None
        if not skipping:
            if data != snapshots.take(self.ledger):
                raise Refused("snapshot_wrong", "snapshot", height)
            return False
        if snapshots.read(data).header != self.tip:
            raise Refused("snapshot_wrong", "header", height)
        ledger = snapshots.restore(self.ledger.genesis_bytes, data)
        for root in snapshots.rows_needed(ledger):
            rows = self.rows(root)
            if rows is None:
                return True  # a later snapshot may not need them
            ledger.shelf.load(rows, root)
            self.roots.append(root)
        if self.trusted is None:
            self.trusted = frozenset(each.key for _, each in self.ledger.state.items(Table.VALIDATOR))
        self.ledger = ledger
        self.books = Books()
        self.books.adopt(ledger.state, ledger.shelf)
        self.from_height = height + 1
        self._begin()
        return False

    def _begin(self) -> None:
        if self.on_begin:
            self.on_begin(self.ledger)


def _difference(recomputed: Block, stored: Block) -> Refused:
    """The first header field, or the receipt, in which a recomputed block differs from the stored one."""
    for position, (mine, theirs) in enumerate(zip(recomputed.receipts, stored.receipts, strict=True)):
        if mine != theirs:
            return altered(f"receipt {position}", theirs.code or theirs.outcome.name.lower(), _say(mine.code))
    for name in Header.__struct_fields__:
        mine_field, stored_field = getattr(recomputed.header, name), getattr(stored.header, name)
        if mine_field != stored_field:
            return altered(name, stored_field, "Executing the block gives another one.")
    return altered("block", stored.header.height, "Executing it gives other bytes.")


def _say(code: str) -> str:
    return f"Executing the transaction gives {code or 'done'}."


def altered(field: str, value: object, reason: str) -> Refused:
    """A chain that is not what it commits to."""
    return Refused("chain_altered", field, value, reason)
