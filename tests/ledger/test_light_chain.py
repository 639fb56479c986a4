"""Headers alone prove a ledger's chain to who knows its genesis, also when its agents change."""

from __future__ import annotations

import pytest

from tests.ledger.committee_world import CGPBFT, PBFT, CommitteeWorld
from wattquorum.consensus.bft.light import Checkpoint, Named, Step, follow, genesis
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import agreed_step, entry_digest
from wattquorum.ledger.blocks import Header

HOUR_MS = Millis(3_600_000)


def start(world: CommitteeWorld) -> Checkpoint:
    """What who has the genesis begins with."""
    committee = world.committee(0)
    return genesis(
        world.ledger.chain_id, Millis(world.ledger.genesis.created_ms), Named(committee.epoch, tuple(committee.keys))
    )


def steps(world: CommitteeWorld, headers: list[Header]) -> list[Step]:
    entries = [entry_digest(entry) for entry in world.entries]
    return [agreed_step(world.ledger.chain_id, header, entry) for header, entry in zip(headers, entries, strict=True)]


def test_agents_that_change_are_followed_by_headers_alone() -> None:
    world = CommitteeWorld(7, consensus=CGPBFT)
    for _ in range(3):
        world.end_epoch()
    world.block()
    headers = [executed.block.header for executed in world.executed]
    assert sum(bool(header.committee) for header in headers) >= 3
    trusted, chain_id = start(world), world.ledger.chain_id
    now = Millis(world.now)
    given = steps(world, headers)
    tip = follow(chain_id, trusted, given, world.certificate(), verify_each, now, Millis(now - trusted.time_ms))
    assert (tip.height, tip.digest, tip.time_ms) == (world.ledger.height, world.tip_digest(), world.now)
    assert (tip.committee.epoch, tip.committee.keys) == (world.version, world.committee().keys)
    for at in (0, len(headers) // 2, len(headers) - 1):
        altered = [*headers]
        altered[at] = changed(headers[at], state_digest=bytes(32))
        with pytest.raises(Refused) as refused:
            follow(chain_id, trusted, steps(world, altered), world.certificate(), verify_each, now, HOUR_MS)
        assert refused.value.code in {"evidence_wrong", "chain_altered"}


def test_whoever_names_a_committee_that_its_header_does_not_is_found_out() -> None:
    world = CommitteeWorld(4, consensus=PBFT, members=0)
    world.block()
    world.block()
    headers = [executed.block.header for executed in world.executed]
    one = agreed_step(world.ledger.chain_id, changed(headers[0], committee=b""), entry_digest(world.entries[0]))
    assert one.named is None
    forged = CommitteeWorld(7, consensus=CGPBFT)
    committee = forged.end_epoch().block.header.committee
    altered = [changed(headers[0], committee=committee), headers[1]]
    with pytest.raises(Refused) as refused:
        follow(
            world.ledger.chain_id,
            start(world),
            steps(world, altered),
            world.certificate(),
            verify_each,
            Millis(world.now),
            HOUR_MS,
        )
    assert (refused.value.code, refused.value.field) == ("chain_altered", "head.previous")
