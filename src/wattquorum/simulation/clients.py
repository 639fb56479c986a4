"""Clients: people who send transactions and read, and remember what they were told.

Each is a cashier with an account of its own and sends one transaction at a time to some host. While no answer comes
it sends the same bytes elsewhere, so that duplicates are common. What it was told is done must stay done for ever, and
a read that it begins later must show it.
"""

from __future__ import annotations

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.ledger.transactions import Body, Deposit, WithdrawMoney, sign, transaction_hash

PATIENCE_MS = 1_500
EXPIRY_BLOCKS = 900_000
EXPIRY_MS = 365 * 86_400_000


class Client:
    """A cashier. `waits_for` is the hash of what it sent last, empty when it waits for nothing."""

    __slots__ = ("_chain_id", "_chance", "_key", "_nonce", "address", "data", "done", "host", "sent_ms", "waits_for")

    def __init__(self, key: SigningKey, chain_id: bytes, chance: Chance) -> None:
        self.address = address_of(chain_id, key.public)
        self.host = 0  # where it sent it
        self.sent_ms = 0
        self.data = b""
        self.waits_for = b""
        self.done = 0  # how many of its transactions it knows to be in a block
        self._key, self._chain_id, self._chance = key, chain_id, chance
        self._nonce = 0

    def next(self, now: int, created_ms: int) -> bytes:
        """The next transaction: a deposit, or a withdrawal that its account may not cover."""
        chance = self._chance
        payload: Deposit | WithdrawMoney
        if chance.happens(800_000):
            payload = Deposit(
                self.address, chance.between(1, 1_000_000), f"paid-{self.address.hex()[:8]}-{self._nonce}"
            )
        else:
            payload = WithdrawMoney(chance.between(1, 1_000_000))
        body = Body(self._chain_id, self.address, self._nonce, EXPIRY_BLOCKS, created_ms + now + EXPIRY_MS, payload)
        self.data = sign(self._key, body)
        self.waits_for = transaction_hash(self.data)
        self._nonce += 1
        self.sent_ms = now
        return self.data

    def is_impatient(self, now: int) -> bool:
        """Whether it should try elsewhere."""
        return now - self.sent_ms >= PATIENCE_MS

    def told(self) -> None:
        """Its transaction is in a block."""
        self.data = self.waits_for = b""
        self.done += 1
