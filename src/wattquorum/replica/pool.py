"""The pool: transactions that wait for a block.

What is in it was admissible when it came (chain, sender, signature, nonce, expiry; rows beside a commitment), has the
sender's next free nonce, and leaves in the order in which it came. So nobody gains by sending twice, out of turn or
in masses: the number waiting per sender is a parameter of the ledger (L-26), the total is bounded by `Limits`. A pool
is one replica's own and no part of the replicated state; execution checks everything again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

from wattquorum.foundation.codec import announced
from wattquorum.foundation.identities import Signed, Verifier
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account
from wattquorum.ledger.blocks import Block
from wattquorum.ledger.execution import BLOCK_TRANSACTIONS_MAX, Ledger
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.transactions import CommitReadings, Received

SWEPT_MAX: Final = 2_000  # transactions that one call of `expire` looks at
LASTING_MORE: Final = 1_000  # that have gone and are still listed, beside as many as there are
REALIGNED_MAX: Final = 64  # senders that are looked at after every block, whatever is in it


class Limits(NamedTuple):
    """How much may wait in a pool, attachments included, and how much of it goes into one block."""

    pending_max: int = 100_000
    pending_bytes_max: int = 256 * 1024 * 1024
    attachment_bytes_max: int = 16 * 1024 * 1024
    attachment_rows_max: int = 20_000  # hashing these takes a fifth of a second
    block_transactions_max: int = BLOCK_TRANSACTIONS_MAX
    block_bytes_max: int = 32 * 1024 * 1024


class Checked(NamedTuple):
    """A transaction that was read before it is handed in, and the check of its signature, which it passed."""

    received: Received
    check: Signed


class Pending(NamedTuple):
    """A transaction that waits: what it says, the rows beside it, when it came, and the check that it passed."""

    received: Received
    attachment: bytes | None
    arrived_ms: Millis
    check: Signed

    @property
    def size(self) -> int:
        """Its bytes, those of its rows included."""
        return len(self.received.data) + len(self.attachment or b"")


class Lasting(NamedTuple):
    """Of a transaction that came, and may have gone since: its hash, when it came, and until when it can be used."""

    transaction: bytes
    arrived_ms: Millis
    expiry_ms: int

    @classmethod
    def of(cls, pending: Pending) -> Self:
        """What is remembered of it here, without its bytes."""
        return cls(pending.received.hash, pending.arrived_ms, pending.received.body.expiry_ms)


class Dropped(NamedTuple):
    """A transaction that left the pool without a block that was seen here: its hash, and why."""

    transaction: bytes
    reason: Refused


class Pool:
    """What waits at one replica. `take` reserves for a block, `executed` lets go what a block has used."""

    __slots__ = (
        "_bytes",
        "_checked",
        "_dropped",
        "_known",
        "_lasting",
        "_ledger",
        "_limits",
        "_senders",
        "_unswept",
        "_verify",
        "_waiting",
    )

    def __init__(self, ledger: Ledger, verify: Verifier, limits: Limits) -> None:
        self._ledger = ledger
        self._verify = verify
        self._limits = limits
        self._known: dict[bytes, Pending] = {}  # by hash: all that wait or are reserved
        self._waiting: dict[bytes, Pending] = {}  # those that wait, in the order in which they came
        self._lasting: deque[Lasting] = deque()  # as they came; what has gone or expires goes when it is the first
        self._senders: dict[bytes, deque[Pending]] = {}  # all of a sender's, nonces rising by one from its next
        self._checked: dict[Signed, None] = {}  # signatures that were found good
        self._unswept: deque[bytes] = deque()  # by hash: what `expire` has yet to look at before it begins anew
        self._bytes = 0
        self._dropped: list[Dropped] = []

    def __len__(self) -> int:
        """How many wait and are not reserved."""
        return len(self._waiting)

    @property
    def oldest_ms(self) -> Millis | None:
        """Since when the oldest has waited that is not reserved; None when nothing waits."""
        first = next(iter(self._waiting.values()), None)
        return first.arrived_ms if first is not None else None

    def oldest_undecided_ms(self, expires_ms: Millis) -> Millis | None:
        """Since when the oldest has waited that is in no block, reserved or not; None when there is none.

        Of those alone that can still be in a block of this time. Times rise, so what cannot is not looked at again.
        """
        lasting = self._lasting
        while lasting and (self._is_gone(lasting[0]) or lasting[0].expiry_ms < expires_ms):
            lasting.popleft()
        return lasting[0].arrived_ms if lasting else None

    def _is_gone(self, lasting: Lasting) -> bool:
        pending = self._known.get(lasting.transaction)
        return pending is None or pending.arrived_ms != lasting.arrived_ms

    def accept(self, data: bytes, attachment: bytes | None, now: Millis, checked: Checked | None = None) -> bytes:
        """Lets a signed transaction wait, with the rows beside it if it commits to any. Tells its hash.

        `checked` is what is known of these bytes already; the signature is not checked again if its key still holds.

        Raises Refused with the code that its receipt would have (encoding_*, transaction_oversized, chain_wrong,
        sender_unknown, nonce_wrong, expired, expiry_too_far, signature_forged, rows_missing, commitment_wrong), or
        already_pending, pending_too_many, pool_full; the pool is unchanged then.
        """
        received = Received(data) if checked is None else checked.received
        if received.hash in self._known:
            raise Refused("already_pending", "transaction", received.hash)
        account = self._admitted(received, now)
        self._check_room(received, attachment)
        check = received.check(account.key)
        if (checked is None or check != checked.check) and not all(self._verify([check])):
            raise Refused("signature_forged", "signature", received.envelope.signature)
        self._check_attachment(received, attachment)  # last: rows cost most, and somebody has to answer for them
        pending = Pending(received, attachment, now, check)
        self._checked[check] = None
        self._known[received.hash] = self._waiting[received.hash] = pending
        self._lasting.append(Lasting.of(pending))
        if len(self._lasting) > 2 * len(self._known) + LASTING_MORE:
            self._lasting = deque(map(Lasting.of, self._known.values()))
        self._senders.setdefault(received.body.sender, deque()).append(pending)
        self._bytes += pending.size
        return received.hash

    def _admitted(self, received: Received, now: Millis) -> Account:
        body = received.body
        if body.chain != self._ledger.chain_id:
            raise Refused("chain_wrong", "chain", body.chain)
        account = self._ledger.account(body.sender)
        if account is None or not account.key:
            raise Refused("sender_unknown", "sender", body.sender)
        free = account.nonce + len(self._senders.get(body.sender, ()))
        if body.nonce != free:
            raise Refused("nonce_wrong", "nonce", body.nonce, f"Use {free}.")
        self._check_expiry(received, now)
        furthest = self._ledger.height + 1 + self._ledger.parameters.expiry_blocks_max
        if body.expiry_height > furthest:
            raise Refused("expiry_too_far", "expiry_height", body.expiry_height, f"Choose at most {furthest}.")
        return account

    def _check_expiry(self, received: Received, now: Millis) -> None:
        body = received.body
        if body.expiry_height <= self._ledger.height:
            raise Refused("expired", "expiry_height", body.expiry_height, f"The chain is at {self._ledger.height}.")
        if body.expiry_ms < now:
            raise Refused("expired", "expiry_ms", body.expiry_ms, f"It is {now}.")

    def _check_room(self, received: Received, attachment: bytes | None) -> None:
        size = len(received.data) + len(attachment or b"")
        pending = len(self._senders.get(received.body.sender, ()))
        if pending >= self._ledger.parameters.pending_max:
            raise Refused("pending_too_many", "sender", f"{pending} of {received.body.sender.hex()}")
        if len(attachment or b"") > self._limits.attachment_bytes_max:
            raise Refused("transaction_oversized", "attachment", f"{len(attachment or b'')} bytes")
        if len(self._known) >= self._limits.pending_max or self._bytes + size > self._limits.pending_bytes_max:
            raise Refused("pool_full", "pool", f"{len(self._known)} transactions, {self._bytes} bytes")

    def _check_attachment(self, received: Received, attachment: bytes | None) -> None:
        payload = received.body.payload
        if not isinstance(payload, CommitReadings):
            if attachment is not None:
                remedy = "Send rows beside a commitment to readings alone."
                raise Refused("commitment_wrong", "attachment", f"{len(attachment)} bytes", remedy)
        elif attachment is None:
            raise Refused("rows_missing", "attachment", payload.root)
        elif payload.rows > self._limits.attachment_rows_max:
            raise Refused("transaction_oversized", "rows", payload.rows)
        elif announced(attachment, "rows") != payload.rows:
            raise Refused("commitment_wrong", "rows", payload.rows)
        elif root_of_rows(decode_rows(attachment)) != payload.root:
            raise Refused("commitment_wrong", "root", payload.root)

    def take(self, now: Millis) -> tuple[Pending, ...]:
        """Reserves what goes into the next block, in the order in which it came, within the limits of a block.

        What is no longer admissible (expired, or signed with a key that is no longer the sender's) is dropped on the
        way, and with it the sender's later ones, whose nonces have no predecessor any more.
        """
        taken: list[Pending] = []
        size = 0
        for hash_, pending in list(self._waiting.items()):
            if hash_ not in self._waiting:
                continue  # dropped with an earlier one of its sender
            reason = self._no_longer(pending, now)
            if reason is not None:
                self._drop_from(pending, reason)
                continue
            size += pending.size
            full = len(taken) >= self._limits.block_transactions_max or size > self._limits.block_bytes_max
            if full and taken:
                break
            taken.append(pending)
            del self._waiting[hash_]
        return tuple(taken)

    def release(self) -> None:
        """Lets what was reserved wait again, in its old place: its block may never come."""
        if len(self._waiting) < len(self._known):
            self._waiting = dict(self._known)

    def get(self, transaction: bytes) -> Pending | None:
        """A transaction that waits or is reserved, by its hash."""
        return self._known.get(transaction)

    def waiting(self) -> tuple[Pending, ...]:
        """What waits and is not reserved, in the order in which it came."""
        return tuple(self._waiting.values())

    def move_to(self, ledger: Ledger) -> None:
        """Goes on over another ledger of the chain, which is further, by blocks that this replica does not see.

        A transaction whose nonce they used may be in one of them, or another one is: nobody must sign it again unread.
        What follows on it stays.
        """
        self._ledger = ledger
        self.release()
        for sender, queue in list(self._senders.items()):
            account = self._ledger.account(sender)
            while queue and account is not None and queue[0].received.body.nonce < account.nonce:
                first = queue.popleft()
                self._dropped.append(Dropped(first.received.hash, _unseen(first)))
                self._forget(first)
            self._realign([sender])

    def expire(self) -> None:
        """Drops what no later block can hold any more, by the tip's height and time or because its nonce was used.

        Where another replica orders, nothing is taken here, and blocks may hold what the sender gave to others instead.
        Of a long queue each call looks at the next part, so that none takes long.
        """
        if not self._unswept:
            self._unswept = deque(self._known)
        tip = self._ledger.tip
        for _ in range(min(len(self._unswept), SWEPT_MAX)):
            hash_ = self._unswept.popleft()
            pending = self._known.get(hash_)
            if pending is not None:
                self._realign([pending.received.body.sender])
            if hash_ in self._waiting and pending is not None and tip is not None:
                reason = self._no_longer(pending, Millis(tip.time_ms + 1))
                if reason is not None:
                    self._drop_from(pending, reason)

    def _no_longer(self, pending: Pending, now: Millis) -> Refused | None:
        account = self._ledger.account(pending.received.body.sender)
        if account is None or account.key != pending.check.key:
            return Refused("signature_forged", "signature", pending.received.envelope.signature)
        try:
            self._check_expiry(pending.received, now)
        except Refused as refused:
            return refused
        return None

    def _drop_from(self, first: Pending, reason: Refused) -> None:
        """Drops a transaction and its sender's later ones."""
        sender = first.received.body.sender
        queue = self._senders[sender]
        while queue and queue[-1].received.body.nonce >= first.received.body.nonce:
            last = queue.pop()
            lost = reason if last is first else _orphaned(last)
            self._dropped.append(Dropped(last.received.hash, lost))
            self._forget(last)
        if not queue:
            del self._senders[sender]

    def _forget(self, pending: Pending) -> None:
        del self._known[pending.received.hash]
        self._waiting.pop(pending.received.hash, None)
        del self._checked[pending.check]
        self._bytes -= pending.size

    def verify(self, checks: Sequence[Signed]) -> list[bool]:
        """Checks signatures, but for those that were found good when their transactions came and still wait here."""
        verdicts = iter(self._verify([check for check in checks if check not in self._checked]))
        return [check in self._checked or next(verdicts) for check in checks]

    def executed(self, block: Block) -> None:
        """Lets go what a block has used, and drops what cannot follow on it any more.

        Also where the block has another transaction than its sender gave to this replica, as long as few senders wait:
        what nobody can propose any more must not be demanded, or who signs two in one place would depose primaries.
        """
        touched: dict[bytes, None] = {}
        for receipt in block.receipts:
            pending = self._known.get(receipt.transaction)
            if pending is not None:
                touched[pending.received.body.sender] = None
                self._senders[pending.received.body.sender].remove(pending)
                self._forget(pending)
        few = len(self._senders) <= max(len(block.receipts), REALIGNED_MAX)
        self._realign(list(self._senders) if few else touched)

    def _realign(self, senders: Iterable[bytes]) -> None:
        """Drops a sender's queue where it no longer begins with the sender's next nonce."""
        for sender in senders:
            queue = self._senders[sender]
            account = self._ledger.account(sender)
            if not queue:
                del self._senders[sender]
            elif account is None or queue[0].received.body.nonce != account.nonce:
                self._drop_from(queue[0], _orphaned(queue[0]))

    def dropped(self) -> tuple[Dropped, ...]:
        """Hands out, once, what was dropped since the last call."""
        dropped, self._dropped = tuple(self._dropped), []
        return dropped


def _unseen(pending: Pending) -> Refused:
    return Refused("outcome_unseen", "nonce", pending.received.body.nonce)


def _orphaned(pending: Pending) -> Refused:
    remedy = "An earlier transaction of the sender was not admitted; sign this one again."
    return Refused("nonce_wrong", "nonce", pending.received.body.nonce, remedy)
