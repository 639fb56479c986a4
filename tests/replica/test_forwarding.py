"""What waits is sent to the leader once as it comes, and again in measure."""

from __future__ import annotations

from typing import cast

import pytest

from wattquorum.foundation.identities import Signed
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.transactions import Received
from wattquorum.replica import forwarding
from wattquorum.replica.forwarding import FORWARD_AGAIN_MS, Forwarding
from wattquorum.replica.pool import Pending, Pool


class Hashed:
    """As much of a received transaction as forwarding looks at."""

    def __init__(self, number: int) -> None:
        self.hash, self.data = bytes([number]), bytes(10)


class Waiting:
    """As much of a pool."""

    def __init__(self, numbers: range) -> None:
        checked = Signed(b"", b"", b"")
        self.pending = {bytes([n]): Pending(cast("Received", Hashed(n)), None, Millis(0), checked) for n in numbers}

    def get(self, transaction: bytes) -> Pending | None:
        return self.pending.get(transaction)


def sent(forwards: Forwarding, pool: Waiting, now: int) -> list[int]:
    """What goes out until nothing more is due."""
    found: list[int] = []
    while batch := forwards.batch(cast("Pool", pool), now):
        found += [pending.received.hash[0] for pending in batch]
    return found


def test_what_the_leader_does_not_take_is_sent_again_a_frame_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "FORWARD_BYTES_MAX", 30)
    forwards, pool = Forwarding(), Waiting(range(10))
    for number in range(10):
        forwards.came(bytes([number]))
    assert sent(forwards, pool, 5_000) == [*range(10)], "whatever is new goes at once"
    assert sent(forwards, pool, 5_000 + FORWARD_AGAIN_MS - 1) == []
    assert sent(forwards, pool, 5_000 + FORWARD_AGAIN_MS) == [0, 1, 2]
    assert sent(forwards, pool, 5_000 + 2 * FORWARD_AGAIN_MS - 1) == []
    for number in range(5):
        del pool.pending[bytes([number])]  # they came into a block
    assert sent(forwards, pool, 5_000 + 2 * FORWARD_AGAIN_MS) == [5, 6, 7]
    assert sent(forwards, pool, 5_000 + 3 * FORWARD_AGAIN_MS) == [8, 9, 5], "in turn"
    assert sent(forwards, pool, 5_000 + 4 * FORWARD_AGAIN_MS) == [6, 7, 8]
