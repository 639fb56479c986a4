"""What a read waits for: one engine, and everybody else played."""

from __future__ import annotations

from tests.consensus.bft.bench import Bench, digest_of
from tests.consensus.bft.world import (
    configured,
)
from wattquorum.consensus.bft.messages import (
    AskRead,
    Blocks,
    GiveRead,
)
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis


def test_reads_wait_for_what_a_quorum_proves() -> None:
    bench = Bench()
    bench.engine.read(7, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    block = bench.block()
    prepared = bench.prepared(1, 0, digest_of(block), (0, 2, 3))
    bench.hear(2, GiveRead(asked.round, asked.life + 1, None, None))
    bench.hear(3, GiveRead(asked.round, asked.life, None, changed(prepared, height=9)))
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    assert not bench.answered
    bench.hear(0, GiveRead(asked.round, asked.life, None, prepared))
    assert not bench.answered
    bench.decide()
    assert bench.answered == [7]


def test_a_read_asks_the_committee_that_begins_meanwhile() -> None:
    """The one before need not know what its successor certified before the read was asked for."""
    bench = Bench()
    bench.applies = False
    block = bench.block()
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    bench.engine.read(7, Millis(bench.now))
    bench.engine.read(8, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    for name in (0, 2, 3):
        bench.hear(name, GiveRead(asked.round, asked.life, proof, None))
    bench.engine.read(9, Millis(bench.now))
    bench.drain()
    bench.hear(2, Blocks((block,), proof))
    bench.engine.reconfigure(configured((4, 5, 6, 7), 1, 1), Millis(bench.now))
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.said.clear()
    bench.drain()
    assert not bench.answered
    (asked,) = bench.kept(AskRead)
    assert {to for to, each, _ in bench.said if each == asked} == {4, 5, 6, 7}
    for name in (4, 0, 5, 6):
        assert not bench.answered
        bench.hear(name, GiveRead(asked.round, asked.life, None, None))
    assert bench.answered == [7, 8, 9]


def test_a_read_needs_a_quorum() -> None:
    bench = Bench()
    bench.engine.read(1, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    assert not bench.answered
    bench.hear(3, GiveRead(asked.round, asked.life, None, None))
    assert bench.answered == [1]
