"""How the replicas of a simulated world on Raft are put together, from the engine and the replica that nodes run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.execution import Ledger
from wattquorum.replica.replica import Replica, founding_configuration

EngineOf = Callable[..., Raft]


class RaftPlan(NamedTuple):
    """A chain, and the rules by which its replicas agree."""

    genesis: bytes
    verify: Verifier
    settings: Settings
    engine: EngineOf  # `Raft`, or the literal rules

    def start(self, key: SigningKey, records: Sequence[Durable], seed: int, now: Millis) -> tuple[Raft, Replica]:
        """An engine and its replica."""
        ledger = Ledger(self.genesis)
        address = address_of(ledger.chain_id, key.public)
        engine = self.engine(address, founding_configuration(ledger), records, seed, now, settings=self.settings)
        return engine, Replica(engine, ledger, key, self.verify)
