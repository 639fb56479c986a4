"""Engines: by which protocol a node's replicas agree is its chain's, as its genesis says; here it is put together.

Beyond the contract of engines, a node tells its operator what it is in its protocol, and how far things are decided.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import Chained, genesis_digest
from wattquorum.consensus.bft.committee import quorum_of
from wattquorum.consensus.bft.desk import Fault
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.settings import Settings as BftSettings
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis, VotingPower
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.restart import Act
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.replica.agreeing import AgreeingReplica, archived
from wattquorum.replica.pool import Limits
from wattquorum.replica.replica import Replica, founding_configuration
from wattquorum.replica.taking_over import Failure
from wattquorum.standing.power import QuorumSizes
from wattquorum.standing.power import quorum_sizes as sizes_by_power

ENTRY_BYTES_MAX: Final = 8 << 20  # of the transactions and rows in a block that a committee agrees on
ROWS_BYTES_MAX: Final = 4 << 20
BLOCKS_AT_ONCE, BYTES_AT_ONCE = 256, 4 << 20  # read from a chain's folder
ANY_TIME_MS: Final = 1 << 60  # how far a block's time may lie from a clock that means nothing


class Times(NamedTuple):
    """Times and bounds of either engine."""

    raft: Settings = Settings()
    bft: BftSettings = BftSettings()


class Rules(NamedTuple):
    """How a node's replica works, whatever its protocol."""

    times: Times
    limits: Limits
    tick_ms: int
    declared: bool
    restarts: Sequence[Act] = ()  # of the chain, as its operator has them


class StoredBlocks:
    """Blocks of a chain folder by height, for who wants many in a row: a read finds its place once for all of them."""

    __slots__ = ("_chain", "_read")

    def __init__(self, chain: ChainFolder) -> None:
        self._chain = chain
        self._read: dict[int, bytes] = {}  # what came with the last block that was asked for

    def __call__(self, height: int) -> bytes | None:
        """An encoded block; None for one that is not there."""
        if height > self._chain.height:
            return None
        if height not in self._read:
            self._read, size = {}, 0
            for position, data in self._chain.read(height):
                self._read[position.height] = data
                size += len(data)
                if len(self._read) >= BLOCKS_AT_ONCE or size > BYTES_AT_ONCE:
                    break
        return self._read.get(height)


def started(
    chain: ChainFolder, key: SigningKey, verify: Verifier, records: Sequence[Durable], now: Millis, rules: Rules
) -> tuple[Raft | Bft, Replica]:
    """The engine of a chain and the replica that drives it, from what the log holds."""
    ledger = Ledger(chain.genesis_bytes)
    seed = int.from_bytes(os.urandom(8), "big")
    ticks = 0 if rules.declared else rules.tick_ms
    if ledger.parameters.consensus == Consensus.RAFT:
        address = address_of(ledger.chain_id, key.public)
        founding = founding_configuration(ledger)
        raft = Raft(address, founding, records, seed, now, settings=rules.times.raft)
        return raft, Replica(raft, ledger, key, verify, rules.limits, tick_ms=ticks, declared=rules.declared)
    times = replace(rules.times.bft, skew_ms=ANY_TIME_MS) if rules.declared else rules.times.bft
    limits = rules.limits._replace(
        block_bytes_max=min(rules.limits.block_bytes_max, ENTRY_BYTES_MAX),
        attachment_bytes_max=min(rules.limits.attachment_bytes_max, ROWS_BYTES_MAX),
    )
    genesis, stored = genesis_digest(ledger.chain_id), StoredBlocks(chain)

    def archive(height: int) -> Chained | None:
        return archived(genesis, height, stored, chain.rows)

    agreeing = AgreeingReplica(
        ledger,
        key,
        verify,
        records,
        seed,
        now,
        times,
        limits,
        archive,
        chain.steps,
        rules.restarts,
        tick_ms=ticks,
        declared=rules.declared,
    )
    return agreeing.agreement, agreeing


def role(engine: Raft | Bft, me: bytes) -> str:
    """What a replica is in its protocol, in a word."""
    if isinstance(engine, Raft):
        return engine.role.value
    if engine.leader == me:
        return "primary"
    if engine.committee_at(engine.height + 1).place(me) is None:
        return "member"
    return "agent" if engine.established else "prospect"


def decided(engine: Raft | Bft) -> int:
    """The last index or height that is known to be decided."""
    return engine.commit if isinstance(engine, Raft) else engine.height


def oversized(engine: Raft | Bft, replica: Replica) -> int:
    """The bytes of a snapshot that it needs and may not take; 0: there is none."""
    if isinstance(replica, AgreeingReplica):
        return replica.taking_over.oversized
    return engine.oversized if isinstance(engine, Raft) else 0


def failures(replica: Replica) -> list[Failure]:
    """Hands out, once, from whom no state could be taken over, and why."""
    if not isinstance(replica, AgreeingReplica):
        return []
    found, replica.taking_over.failures = replica.taking_over.failures, []
    return found


def faults(engine: Raft | Bft) -> Mapping[tuple[bytes, Fault], int]:
    """How often a peer did what no correct one does, by what it was; an empty address stands for all strangers."""
    return {} if isinstance(engine, Raft) else engine.faults_by_kind


def quorum_sizes(engine: Raft | Bft, configuration: Configuration) -> QuorumSizes:
    """The fewest and the most members that can decide together."""
    if isinstance(engine, Bft):
        quorum = quorum_of(len(configuration.new))
        return QuorumSizes(quorum, quorum)
    return sizes_by_power([VotingPower(voter.power) for voter in configuration.new])
