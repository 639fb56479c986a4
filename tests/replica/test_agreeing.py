"""A replica among others of whom one may lie: what it supports, what it demands, and what it can prove afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.committee_world import CommitteeWorld
from tests.ledger.world import key_of
from wattquorum.consensus.bft.blocks import Block, Chained, genesis_digest
from wattquorum.consensus.bft.certificates import Seal
from wattquorum.consensus.bft.desk import Fault
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import PrePrepare, Vote, from_frame, to_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Agreed, agreed_digest, decode_agreed, entry_digest, sealed_in
from wattquorum.ledger.blocks import Ordered, decode_block, decode_ordered, header_hash, order
from wattquorum.ledger.execution import BLOCK_TRANSACTIONS_MAX, Ledger, Prepared
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.transactions import Stand
from wattquorum.replica.agreeing import AgreeingReplica, Outliner, archived
from wattquorum.replica.pool import Limits
from wattquorum.replica.replica import Kind, engine_frame, read_frame
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.host import Host
from wattquorum.simulation.liars import Conspiracy
from wattquorum.simulation.network import Weather

QUIET = BftNature(
    hosts=4,
    weather=Weather(),
    settings=Settings(timeout_ms=400, resend_ms=100, fetch_ms=50, poll_ms=300, skew_ms=1_000, blocks_kept=1_000),
    parameters={"consensus": int(Consensus.PBFT), "epoch_ms": 2_000, "drift_ms": 1_000},
    safety_ms=5_000,
)


def lived(milliseconds: int = 4_000, nature: BftNature = QUIET) -> BftWorld:
    world = BftWorld(1, nature)
    world.begin()
    world.happen_until(milliseconds)
    assert world.checkers.height > 5
    return world


def engine_of(host: Host[Bft]) -> Bft:
    assert host.engine is not None
    return host.engine


@pytest.fixture(scope="module")
def world() -> BftWorld:
    return lived()


def test_what_is_on_a_disk_proves_what_the_committee_agreed_on(world: BftWorld) -> None:
    """The blocks that are served from the chain's folder are those that were certified, to the byte."""
    host = world.hosts[0]
    engine, folder = engine_of(host), world.plan.folders[host.address]
    chain = world.checkers.chain
    for height in range(1, engine.height):
        chained = engine.block(height)
        assert chained is not None
        stored = archived(genesis_digest(chain), height, folder.blocks.get, folder.rows.get)
        assert stored is not None
        assert stored.block == chained.block
        assert stored.commit_certificate.digest == chained.commit_certificate.digest
        header = decode_block(folder.blocks[height]).header
        entry = decode_agreed(chained.block.payload).entry
        assert agreed_digest(chain, header, entry_digest(entry)) == chained.commit_certificate.digest
    assert archived(genesis_digest(chain), engine.height, folder.blocks.get, folder.rows.get) is None


def test_a_disk_that_was_altered_proves_nothing(world: BftWorld) -> None:
    host = world.hosts[0]
    folder = world.plan.folders[host.address]
    blocks = dict(folder.blocks)
    block = decode_block(blocks[3])
    blocks[3] = encode(changed(block, transactions=(*block.transactions, b"more")))
    genesis = genesis_digest(world.checkers.chain)

    def altered() -> Chained | None:
        return archived(genesis, 3, blocks.get, folder.rows.get)

    with pytest.raises(Exception, match=r"receipts|shorter|argument"):  # its receipts are too few already
        altered()
    blocks[3] = encode(changed(block, header=changed(block.header, time_ms=block.header.time_ms + 1)))
    assert altered() is None


# What is supported


def next_block(world: BftWorld, primary: Host[Bft]) -> Block:
    """A good block that the primary could propose now."""
    engine, replica = engine_of(primary), primary.replica
    assert replica is not None
    ledger = replica.ledger
    tip = engine.block(engine.height)
    assert tip is not None
    evidence = replica._evidence()
    entry = order(
        primary.key,
        ledger.chain_id,
        world.local(primary),
        ledger.applied,
        (),
        (),
        ledger.round_of(engine.configuration, engine.term),
        evidence,
    )
    header = header_hash(ledger.try_out(entry, verify_each).block.header)
    return Block(
        engine.height + 1, tip.commit_certificate.digest, tip.commit_certificate, encode(Agreed(entry, header))
    )


def with_payload(block: Block, entry: bytes, header: bytes) -> Block:
    return changed(block, payload=encode(Agreed(entry, header)))


def other_header(block: Block, _primary: Host[Bft]) -> Block:
    return with_payload(block, decode_agreed(block.payload).entry, bytes(32))


def more_rows(block: Block, _primary: Host[Bft]) -> Block:
    agreed = decode_agreed(block.payload)
    ordered = decode_ordered(agreed.entry)
    return with_payload(block, encode(changed(ordered, attachments=(b"rows",))), agreed.header)


def executed_with(
    block: Block, primary: Host[Bft], transactions: tuple[bytes, ...] | None = None, evidence: bytes | None = None
) -> Block:
    """The same block with something else in its entry, signed by the primary and with the header that follows."""
    replica = primary.replica
    assert replica is not None
    of = decode_ordered(decode_agreed(block.payload).entry)
    entry = order(
        primary.key,
        replica.ledger.chain_id,
        of.time_ms,
        of.applied,
        of.transactions if transactions is None else transactions,
        (),
        of.round,
        of.evidence if evidence is None else evidence,
    )
    try:
        header = header_hash(replica.ledger.try_out(entry, verify_each).block.header)
    except Refused:
        header = bytes(32)
    return with_payload(block, entry, header)


def junk_inside(block: Block, primary: Host[Bft]) -> Block:
    return executed_with(block, primary, transactions=(b"no transaction",))


def no_evidence(block: Block, primary: Host[Bft]) -> Block:
    return executed_with(block, primary, evidence=b"")


def signed_by_a_stranger(block: Block, primary: Host[Bft]) -> Block:
    replica = primary.replica
    assert replica is not None
    of = decode_ordered(decode_agreed(block.payload).entry)
    entry = order(key_of("stranger"), replica.ledger.chain_id, of.time_ms, of.applied, (), (), of.round, of.evidence)
    return with_payload(block, entry, bytes(32))


def no_payload(block: Block, _primary: Host[Bft]) -> Block:
    return changed(block, payload=b"nothing")


def too_many(block: Block, _primary: Host[Bft]) -> Block:
    agreed = decode_agreed(block.payload)
    ordered = decode_ordered(agreed.entry)
    return with_payload(
        block, encode(changed(ordered, transactions=(b"",) * (BLOCK_TRANSACTIONS_MAX + 1))), agreed.header
    )


def as_it_is(block: Block, _primary: Host[Bft]) -> Block:
    return block


@pytest.mark.parametrize(
    ("altered", "supported"),
    [
        (as_it_is, True),
        (other_header, False),
        (more_rows, False),
        (junk_inside, False),
        (no_evidence, False),
        (signed_by_a_stranger, False),
        (no_payload, False),
        (too_many, False),
    ],
)
def test_only_a_block_that_leads_where_it_says_is_supported(
    altered: Callable[[Block, Host[Bft]], Block], supported: bool
) -> None:
    """And judging it leaves nothing behind, whatever it was."""
    world = lived(3_000)
    primary = world.by_address[engine_of(world.hosts[0]).leader]
    assert supports(world, primary, altered(next_block(world, primary), primary)) is supported


def test_evidence_with_the_certificate_of_another_quorum_is_not_supported() -> None:
    """It is as good as the one that the block carries, but on such a block none could follow."""
    world = lived(3_000)
    engine = engine_of(world.hosts[0])
    primary = world.by_address[engine.leader]
    block = next_block(world, primary)
    tip = block.commit_certificate
    assert tip is not None
    committee = engine.committee_at(tip.height)
    absent = next(place for place in range(4) if place not in [seal.member for seal in tip.seals])
    vote = conspiracy(world).vote(
        world.by_address[committee.members[absent]], Phase.COMMIT, tip.height, tip.view, tip.digest
    )
    seals = sorted([*tip.seals[1:], Seal(absent, vote.signature)], key=lambda seal: seal.member)
    evidence = decode_ordered(decode_agreed(block.payload).entry).evidence
    sealed = sealed_in(evidence)
    assert sealed is not None
    other = encode(changed(sealed, certificate=changed(tip, seals=tuple(seals))))
    made = executed_with(block, primary, evidence=other)
    assert decode_agreed(made.payload).header != bytes(32), "the ledger finds no fault in it"
    assert not supports(world, primary, made)


def conspiracy(world: BftWorld) -> Conspiracy:
    outliner = Outliner(Limits())
    return Conspiracy(world.checkers.chain, Chance(1), verify_each, outliner, lambda _who, own, _kind: own)


def supports(world: BftWorld, primary: Host[Bft], block: Block) -> bool:
    """Whether a backup prepares what the primary proposes; its state stays as it was."""
    backup = next(host for host in world.hosts if host is not primary)
    assert backup.replica is not None
    world.network.heal()
    message: PrePrepare = conspiracy(world).pre_prepare(primary, engine_of(primary).term, block)
    ledger = backup.replica.ledger
    before = ledger.digest, ledger.state.root(), ledger.state.mark()
    backup.replica.receive(primary.address, engine_frame(to_frame(message)), world.local(backup))
    work = backup.replica.drain(world.local(backup))
    votes = [
        from_frame(data) for kind, data in (read_frame(each.data) for each in work.messages) if kind is Kind.ENGINE
    ]
    assert (ledger.digest, ledger.state.root(), ledger.state.mark()) == before
    return any(isinstance(vote, Vote) and vote.phase == 2 for vote in votes)


def test_of_more_transactions_than_a_block_may_have_none_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = lived(3_000)
    engine = engine_of(world.hosts[0])
    primary = world.by_address[engine.leader]
    backup = next(host for host in world.hosts if host is not primary)
    assert backup.replica is not None
    message: PrePrepare = conspiracy(world).pre_prepare(
        primary, engine.term, too_many(next_block(world, primary), primary)
    )
    prepared: list[int] = []
    prepare = Ledger.prepare

    def counted(ledger: Ledger, ordered: Ordered) -> Prepared:
        prepared.append(len(ordered.transactions))
        return prepare(ledger, ordered)

    monkeypatch.setattr(Ledger, "prepare", counted)
    backup.replica.receive(primary.address, engine_frame(to_frame(message)), world.local(backup))
    backup.replica.drain(world.local(backup))
    assert (primary.address, Fault.BAD_BLOCK) in engine_of(backup).faults_by_kind
    assert not prepared


def test_a_payloads_digest_alone_is_that_of_its_outline(world: BftWorld) -> None:
    engine, outliner = engine_of(world.hosts[0]), Outliner(Limits())
    chained = engine.block(engine.height)
    assert chained is not None
    outline = outliner(chained.block.payload)
    assert outline is not None
    assert outliner.digest(chained.block.payload) == outline.digest
    assert outliner.digest(b"nothing") is None


def test_nobody_is_deposed_by_what_is_about_to_expire() -> None:
    """A primary whose clock is a little ahead, or that gets it a little later, refuses it without lying."""
    settings = Settings(timeout_ms=400, skew_ms=1_000)
    for lasts_ms, view in ((999, 0), (60_000, 1)):
        world = CommitteeWorld(4, consensus=int(Consensus.PBFT), members=0)
        genesis = world.ledger.genesis_bytes
        key = world.replica_keys[world.order[1]]
        now = Millis(world.now)
        replica = AgreeingReplica(Ledger(genesis), key, verify_each, (), 1, now, settings)
        data = world.signed("operator", Stand(), nonce=0, expiry_height=50, expiry_ms=now + lasts_ms)
        assert replica.accept(data, None, now) is None
        for passed in (0, 1, 401):
            replica.turn(Millis(now + passed))
            replica.drain(Millis(now + passed))
        assert replica.agreement.term == view
