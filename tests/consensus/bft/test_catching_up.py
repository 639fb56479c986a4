"""How who is behind, and who only follows, gets blocks: one engine, and everybody else played."""

from __future__ import annotations

from dataclasses import replace

from tests.consensus.bft.bench import SETTINGS, Bench, digest_of
from tests.consensus.bft.world import (
    address,
)
from wattquorum.consensus.bft.messages import (
    AskBlocks,
    Blocks,
    Poll,
    Tip,
)
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis


def test_later_blocks_are_fetched_with_their_certificates() -> None:
    source, bench = Bench(), Bench(me=3)
    blocks = []
    for at in range(4):
        source.now += 1
        blocks.append(source.decide(at))
    proof = source.engine.block(4)
    assert proof is not None
    bench.hear(0, Tip(proof.commit_certificate))
    bench.pass_ms(100)
    bench.hear(0, Blocks(tuple(blocks), changed(proof.commit_certificate, height=5)))
    assert len(bench.committed) == 3  # each but the last is certified by the next
    assert bench.engine.faults == {address(0): 1}
    bench.hear(2, Tip(proof.commit_certificate))
    bench.pass_ms(100)
    bench.hear(2, Blocks((blocks[3],), proof.commit_certificate))
    assert bench.committed == [block.payload for block in blocks]


def test_blocks_prove_themselves_whoever_gives_them_and_however_late() -> None:
    source, bench = Bench(), Bench(me=3)
    blocks = []
    for at in range(3):
        source.now += 1
        blocks.append(source.decide(at))
    first, last = source.engine.block(1), source.engine.block(3)
    assert first is not None
    assert last is not None
    bench.hear(2, Blocks((blocks[0],), first.commit_certificate))  # nobody asked
    assert bench.committed == [blocks[0].payload]
    bench.hear(0, Tip(last.commit_certificate))
    bench.hear(1, Tip(last.commit_certificate))
    bench.pass_ms(100)
    bench.pass_ms(150)  # the one that was asked first is too late, and another is asked
    bench.hear(0, Blocks(tuple(blocks[1:]), last.commit_certificate))
    assert bench.committed == [block.payload for block in blocks]
    assert not bench.engine.faults


def test_a_block_is_told_to_those_who_follow_once_and_not_to_who_has_it() -> None:
    bench = Bench()
    bench.engine.serve([address(8), address(9), address(2)], Millis(bench.now))  # one of them agrees itself
    bench.hear(9, Poll(7))
    block = bench.block()
    bench.propose_as(0, 0, block)
    bench.hear(3, Tip(bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    told = [(to, message.blocks) for to, message, _ in bench.said if isinstance(message, Blocks)]
    assert told == [(8, (block,))]


def test_who_follows_takes_what_it_is_told_and_asks_for_what_got_lost() -> None:
    source, bench = Bench(), Bench(me=9)
    blocks, proofs = [], []
    for at in range(4):
        source.now += 1
        blocks.append(source.decide(at))
        chained = source.engine.block(at + 1)
        assert chained is not None
        proofs.append(chained.commit_certificate)
    bench.hear(2, Blocks((blocks[0],), proofs[0]))
    assert bench.committed == [blocks[0].payload]
    bench.hear(2, Blocks((blocks[3],), proofs[3]))  # two were lost on the way
    assert bench.committed == [blocks[0].payload]
    assert not bench.engine.faults
    bench.pass_ms(100)
    assert bench.kept(AskBlocks) == [AskBlocks(1)]
    bench.hear(2, Blocks(tuple(blocks[1:]), proofs[3]))
    assert bench.committed == [block.payload for block in blocks]


def test_blocks_that_are_told_in_a_row_wait_for_a_driver_that_is_slow() -> None:
    source, bench = Bench(), Bench(me=9)
    bench.applies = False
    blocks = []
    for at in range(3):
        source.now += 1
        blocks.append(source.decide(at))
        chained = source.engine.block(at + 1)
        assert chained is not None
        bench.hear(2, Blocks((blocks[at],), chained.commit_certificate))
    assert bench.committed == [blocks[0].payload]
    bench.applies = True
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.drain()
    assert bench.committed == [block.payload for block in blocks]


def test_who_follows_asks_f_plus_one_for_their_tips() -> None:
    bench = Bench(me=9, settings=replace(SETTINGS, poll_ms=100))
    seen: dict[frozenset[int], None] = {}
    for _ in range(12):
        bench.said.clear()
        bench.pass_ms(200)
        polled = [to for to, message, _ in bench.said if isinstance(message, Poll)]
        assert len(polled) == len(set(polled)) == 2
        seen[frozenset(polled)] = None
    assert len(seen) > 2


def test_a_told_certificate_counts_when_it_holds() -> None:
    bench = Bench()
    block = bench.block()
    bench.propose_as(0, 0, block)
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    forged = changed(proof, seals=(changed(proof.seals[0], signature=bytes(64)), *proof.seals[1:]))
    bench.hear(3, Tip(forged))
    assert not bench.committed
    bench.hear(3, Tip(proof))
    assert bench.committed == [block.payload]


def test_fetched_blocks_count_when_their_certificates_hold() -> None:
    bench = Bench()
    block = bench.block()
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    forged = changed(proof, seals=(changed(proof.seals[0], signature=bytes(64)), *proof.seals[1:]))
    for told in (forged, proof):
        bench.hear(3, Tip(proof))
        bench.pass_ms(100)
        assert not bench.committed
        bench.hear(3, Blocks((block,), told))
    assert bench.committed == [block.payload]
