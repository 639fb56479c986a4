"""Clients: people who send transactions and read, and remember what they were told.

Most are cashiers with an account of their own; each sends one transaction at a time to some host. While no answer comes
it sends the same bytes elsewhere, so that duplicates are common. What it was told is done must stay done for ever, and
a read that it begins later must show it.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.ledger.transactions import Body, Deposit, Payload, WithdrawMoney, sign, transaction_hash

PATIENCE_MS = 1_500
EXPIRY_BLOCKS = 900_000
EXPIRY_MS = 365 * 86_400_000


class Client:
    """Somebody with a key. `waits_for` is the hash of what it sent last, empty when it waits for nothing.

    It sends `first`, one by one, and then what a cashier does; without `endless` it ends with the first.
    """

    __slots__ = (
        "_chain_id",
        "_chance",
        "_first",
        "_key",
        "_nonce",
        "address",
        "data",
        "done",
        "endless",
        "host",
        "sent_ms",
        "waits_for",
    )

    def __init__(
        self, key: SigningKey, chain_id: bytes, chance: Chance, first: Sequence[Payload] = (), *, endless: bool = True
    ) -> None:
        self.address = address_of(chain_id, key.public)
        self.host = 0  # where it sent it
        self.sent_ms = 0
        self.data = b""
        self.waits_for = b""
        self.done = 0  # how many of its transactions it knows to be in a block
        self._key, self._chain_id, self._chance = key, chain_id, chance
        self._nonce = 0
        self._first = list(first)
        self.endless = endless

    @property
    def has_more(self) -> bool:
        """Whether it will send anything when it waits for nothing."""
        return self.endless or bool(self._first)

    def next(self, now: int, created_ms: int) -> bytes:
        """The next transaction: a deposit, or a withdrawal that its account may not cover."""
        chance = self._chance
        payload: Payload
        if self._first:
            payload = self._first.pop(0)
        elif chance.happens(800_000):
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
