"""What others can cost: work, memory and answers have bounds, whatever they send."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from tests.consensus.bft.bench import NOW, Bench, digest_of
from tests.consensus.bft.world import (
    CHAIN,
    address,
    everybody,
    key_of,
    outline,
    sign_as,
    verify,
)
from wattquorum.consensus.bft.blocks import Block
from wattquorum.consensus.bft.catching_up import PEERS_MAX
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskBlocks,
    AskRead,
    BftMessage,
    Blocks,
    GiveBlock,
    GiveRead,
    PrePrepare,
    Vote,
    to_frame,
)
from wattquorum.consensus.bft.statements import Phase
from wattquorum.consensus.bft.votes import CONFLICTS_MAX
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import Signed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused


def test_no_more_signatures_are_checked_than_complete_a_quorum() -> None:
    checked: list[int] = []

    def counting(checks: Sequence[Signed]) -> list[bool]:
        checked.append(len(checks))
        return verify(checks)

    bench = Bench(7, 1)
    means = Means(sign_as(1), counting, key_of, outline)
    bench.engine = Bft(address(1), CHAIN, everybody(7), means, [], 1, Millis(NOW))
    block = bench.decide()
    assert bench.committed == [block.payload]
    assert checked == [1, 3, 4]  # pre-prepare; with it and its own, three PREPAREs; beside its own, four COMMITs


def test_of_votes_that_wait_no_more_are_checked_than_complete_a_quorum() -> None:
    bench = Bench(7, 1)
    block = bench.block()
    for name in (2, 3, 4, 5, 6):
        bench.vote(name, Phase.PREPARE, 1, 0, digest_of(block))
    bench.propose_as(0, 0, block)
    prepared = bench.engine.round.prepared
    assert prepared is not None
    assert len(prepared.seals) == 5


def test_garbage_changes_nothing() -> None:
    bench = Bench()
    for frame in (b"", b"\x00", encode((1, 2, 3)), encode((2, 2, 1, 1 << 50, bytes(32), bytes(64), False))):
        bench.engine.receive(address(2), frame, Millis(bench.now))
    bench.drain()
    assert bench.engine.faults == {address(2): 4}
    assert not bench.records


def test_answers_that_were_not_asked_for_are_refused() -> None:
    bench = Bench()
    acts: list[Callable[[], None]] = [
        lambda: bench.engine.judged(bytes(32), True, Millis(NOW)),
        lambda: bench.engine.persisted(9, Millis(NOW)),
        lambda: bench.engine.applied(9, b"", Millis(NOW)),
        lambda: bench.engine.transfer(address(2), Millis(NOW)),
        lambda: bench.engine.snapshot(1, b"", Millis(NOW)),
    ]
    for act in acts:
        with pytest.raises(Refused, match="input_unexpected"):
            act()


def test_votes_of_the_next_height_are_kept_a_few_of_each() -> None:
    bench = Bench()
    for salt in range(50):
        bench.vote(2, Phase.PREPARE, 2, 0, bytes([salt]) * 32)
    assert len(bench.engine._agreement._ahead[address(2)]) == 6
    assert isinstance(bench.block(), Block)


def test_of_proposals_whose_time_has_not_come_one_of_each_height_is_kept_and_the_present_primarys() -> None:
    bench = Bench(members=7)
    bench.hear(2, bench.new_view(2, {name: bench.change(name, 2) for name in (0, 2, 3, 4, 5)}))
    bench = Bench(members=7, records=bench.records)
    assert (bench.engine.term, bench.engine.established) == (2, False)
    payload, block = bytes(100_000), bench.block()
    tracemalloc.start()
    for name in range(7):
        for turn in range(10):
            for height in (1, 2, 3):
                made = changed(block, height=height, payload=payload + bytes([turn]))
                bench.hear(name, PrePrepare(name + 7 * turn, made, bytes(64)))  # each leads that view
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * len(payload)  # two, and the last that the test made


def test_a_proposal_of_the_next_height_is_taken_up_when_its_time_comes() -> None:
    source, bench = Bench(), Bench(me=3)
    first = source.decide(1)
    source.now += 1
    second = source.decide(2)
    bench.propose_as(0, 0, second)
    assert not bench.judged
    bench.hear(2, Blocks((first,), bench.certificate(1, 0, digest_of(first), (0, 1, 2))))
    assert bench.votes(2) == [(2, 0, digest_of(second))]


def asked_in_one_turn(bench: Bench, *asked: tuple[int, BftMessage]) -> None:
    """Several peers' messages before the engine is drained."""
    for sender, message in asked:
        bench.engine.receive(address(sender), to_frame(message), Millis(bench.now))
    bench.drain()


def test_a_peer_is_given_one_answer_in_a_turn_however_often_it_asks() -> None:
    bench = Bench()
    block = bench.decide()
    ask = AskBlocks(0), AskBlock(1, digest_of(block)), AskRead(1, 1, 0)
    bench.said.clear()
    asked_in_one_turn(bench, *[(name, each) for name in (2, 3) for each in ask for _ in range(100)])
    for kind in (Blocks, GiveBlock, GiveRead):
        assert [to for to, message, _ in bench.said if isinstance(message, kind)] == [2, 3]
    asked_in_one_turn(bench, *[(2, each) for each in ask])
    for kind in (Blocks, GiveBlock, GiveRead):
        assert [to for to, message, _ in bench.said if isinstance(message, kind)] == [2, 3, 2]


def test_a_block_that_several_ask_for_is_encoded_once() -> None:
    bench = Bench()
    block = bench.decide()
    for name in (2, 3, 9):
        bench.engine.receive(address(name), to_frame(AskBlock(1, digest_of(block))), Millis(bench.now))
    frames = [each.data for each in bench.engine.drain().messages]
    assert len(frames) == 3
    assert len({id(frame) for frame in frames}) == 1


def test_no_more_peers_are_answered_in_a_turn_than_are_remembered() -> None:
    bench = Bench()
    block = bench.decide()
    for number in range(PEERS_MAX + 10):
        peer = number.to_bytes(20, "big")
        for message in (AskRead(1, 1, 0), AskBlock(1, digest_of(block))):
            bench.engine.receive(peer, to_frame(message), Millis(bench.now))
    assert len(bench.engine.drain().messages) == 2 * PEERS_MAX


def test_the_last_question_of_a_turn_is_answered_also_a_followers() -> None:
    bench = Bench()
    block = bench.decide()
    bench.said.clear()
    asked_in_one_turn(
        bench,
        (9, AskRead(1, 1, 0)),
        (9, AskRead(2, 1, 0)),
        (9, AskBlock(1, bytes(32))),
        (9, AskBlock(1, digest_of(block))),
    )
    (read,), (given,) = bench.kept(GiveRead), bench.kept(GiveBlock)
    assert read.round == 2
    assert given.block == block


def test_claims_of_no_more_peers_are_remembered_than_are_worth_it() -> None:
    bench = Bench()
    for number in range(PEERS_MAX + 10):
        bench.engine.receive(number.to_bytes(20, "big"), to_frame(Vote(3, 9, 0, bytes(32), bytes(64))), Millis(NOW))
    assert len(bench.engine.claims) == PEERS_MAX


def test_no_more_conflicts_of_a_member_are_looked_into_than_are_worth_it() -> None:
    checked: list[int] = []

    def counting(checks: Sequence[Signed]) -> list[bool]:
        checked.append(len(checks))
        return verify(checks)

    bench = Bench()
    means = Means(sign_as(1), counting, key_of, outline)
    bench.engine = Bft(address(1), CHAIN, everybody(4), means, [], 1, Millis(NOW))
    bench.vote(2, Phase.COMMIT, 1, 0, bytes(32))
    for salt in range(1, 51):
        bench.hear(2, Vote(3, 1, 0, bytes([salt]) * 32, bytes(64)))
    assert len(checked) == CONFLICTS_MAX
    assert bench.engine.accusations() == ()
