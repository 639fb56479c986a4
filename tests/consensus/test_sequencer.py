"""The engine of one: its order is final, but nothing is committed that a restart would not give back."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.configuration import Configuration, Voter, alone
from wattquorum.consensus.engine import Committed, Durable, Engine, Wanted
from wattquorum.consensus.sequencer import Sequencer
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

ME, OTHER = b"m" * 20, b"o" * 20
NOW = Millis(1_000)
DIGEST = bytes(32)


def engine(gather_ms: int = 0) -> Sequencer:
    return Sequencer(alone(ME), gather_ms=gather_ms)


def code_of(caught: pytest.ExceptionInfo[Refused]) -> str:
    return caught.value.code


def test_it_keeps_the_contract() -> None:
    kept: Engine = engine()  # mypy compares every signature
    assert kept.configuration == alone(ME)


def test_a_payload_is_recorded_first_and_committed_when_the_record_is_durable() -> None:
    one = engine()
    one.propose((b"x", b"y"), NOW)
    output = one.drain()
    assert output.records == (Durable(1, b"x"), Durable(2, b"y"))
    assert output.committed == ()
    one.persisted(1, NOW)
    assert one.drain().committed == (Committed(1, 0, b"x", ()),)
    one.persisted(2, NOW)
    assert one.drain().committed == (Committed(2, 0, b"y", ()),)


def test_nothing_is_handed_out_twice() -> None:
    one = engine()
    one.propose((b"x",), NOW)
    one.drain()
    one.persisted(1, NOW)
    one.drain()
    one.persisted(1, NOW)
    output = one.drain()
    assert (output.records, output.committed) == ((), ())


def test_a_record_that_was_never_handed_out_cannot_be_durable() -> None:
    one = engine()
    one.propose((b"x",), NOW)
    with pytest.raises(Refused) as caught:
        one.persisted(2, NOW)
    assert code_of(caught) == "input_unexpected"
    assert one.drain().committed == ()


def test_a_restart_commits_every_durable_record_above_what_was_applied() -> None:
    again = Sequencer(alone(ME), applied=3, records=[Durable(4, b"x"), Durable(5, b"y")])
    assert again.drain().committed == (Committed(4, 0, b"x", ()), Committed(5, 0, b"y", ()))
    again.propose((b"z",), NOW)
    assert again.drain().records == (Durable(6, b"z"),)


def test_a_restart_with_a_missing_record_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Sequencer(alone(ME), applied=3, records=[Durable(5, b"y")])
    assert code_of(caught) == "input_unexpected"


def test_a_read_waits_until_what_was_ordered_before_it_is_applied() -> None:
    one = engine()
    one.read(7, NOW)
    assert one.drain().reads == (7,)
    one.propose((b"x",), NOW)
    one.read(8, NOW)
    one.propose((b"y",), NOW)
    assert one.drain().reads == ()
    one.persisted(1, NOW)
    assert one.drain().reads == ()
    one.applied(1, DIGEST, NOW)
    assert one.drain().reads == (8,)


def test_what_is_not_committed_cannot_have_been_applied() -> None:
    one = engine()
    one.propose((b"x",), NOW)
    with pytest.raises(Refused) as caught:
        one.applied(1, DIGEST, NOW)
    assert code_of(caught) == "input_unexpected"


def test_a_payload_is_asked_for_once_the_oldest_has_gathered_company() -> None:
    one = engine(gather_ms=50)
    one.demand(NOW, NOW)
    output = one.drain()
    assert (output.wanted, output.deadline) == (None, NOW + 50)
    one.tick(Millis(NOW + 49))
    assert one.drain().wanted is None
    one.tick(Millis(NOW + 50))
    output = one.drain()
    assert (output.wanted, output.deadline) == (Wanted(1, 0), None)
    one.tick(Millis(NOW + 51))
    assert one.drain().wanted is None, "it asks once"


def test_while_a_record_waits_for_the_disk_nothing_more_is_asked_for() -> None:
    one = engine()
    one.propose((b"x",), NOW)
    one.demand(NOW, NOW)
    assert one.drain().wanted is None
    one.persisted(1, NOW)
    assert one.drain().wanted == Wanted(2, 0)


def test_a_demand_that_is_withdrawn_is_forgotten() -> None:
    one = engine(gather_ms=50)
    one.demand(NOW, NOW)
    one.demand(None, NOW)
    one.tick(Millis(NOW + 100))
    output = one.drain()
    assert (output.wanted, output.deadline) == (None, None)


def test_what_needs_other_replicas_is_refused_by_name() -> None:
    one = engine()
    one.transfer(ME, NOW)
    both = Configuration(1, None, (Voter(ME, 1), Voter(OTHER, 1)), (), 0, b"")
    for ask in (
        lambda: one.receive(OTHER, b"frame", NOW),
        lambda: one.transfer(OTHER, NOW),
        lambda: one.reconfigure(both, NOW),
        lambda: one.reconfigure(changed(alone(OTHER), version=1), NOW),
        lambda: one.reconfigure(changed(alone(ME), version=1, learners=(OTHER,)), NOW),
        lambda: one.reconfigure(changed(alone(ME), version=1, old=(Voter(ME, 1),)), NOW),
        lambda: Sequencer(both),
    ):
        with pytest.raises(Refused) as caught:
            ask()
        assert code_of(caught) == "orders_alone"


def test_nobody_asked_it_for_a_judgement() -> None:
    with pytest.raises(Refused) as caught:
        engine().judged(DIGEST, True, NOW)
    assert code_of(caught) == "input_unexpected"


def test_a_later_version_with_the_same_voter_takes_effect_and_an_older_does_not() -> None:
    one = engine()
    later = changed(alone(ME), version=2, new=(Voter(ME, 5),), basis_index=9, basis_digest=DIGEST)
    one.reconfigure(later, NOW)
    assert one.configuration == later
    with pytest.raises(Refused) as caught:
        one.reconfigure(changed(later, version=2), NOW)
    assert code_of(caught) == "configuration_invalid"
    assert one.configuration == later


STEPS = st.lists(st.tuples(st.sampled_from(["propose", "persisted", "demand", "tick"]), st.integers(0, 4)), max_size=40)


def run(steps: list[tuple[str, int]]) -> tuple[list[bytes], list[Durable], list[Committed], list[int]]:
    """Plays steps; returns everything that was drained, and how much was durable at each commit."""
    one = engine(gather_ms=2)
    trace, records, committed, durable = [], list[Durable](), list[Committed](), 0
    waited: list[int] = []
    for number, (step, amount) in enumerate(steps):
        now = Millis(NOW + number)
        if step == "propose":
            one.propose([b"%d.%d" % (number, part) for part in range(amount)], now)
        elif step == "persisted":
            durable = min(durable + amount, len(records))
            one.persisted(durable, now)
        elif step == "demand":
            one.demand(cast("Millis", now - amount) if amount else None, now)
        else:
            one.tick(now)
        output = one.drain()
        trace.append(encode(output))
        records += output.records
        committed += output.committed
        waited += [durable] * len(output.committed)
    return trace, records, committed, waited


@given(STEPS)
def test_commits_follow_the_order_of_proposals_and_never_run_ahead_of_the_disk(steps: list[tuple[str, int]]) -> None:
    trace, records, committed, durable = run(steps)
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    assert [(each.index, each.payload) for each in committed] == [
        (record.position, record.data) for record in records[: len(committed)]
    ]
    assert all(each.index <= limit for each, limit in zip(committed, durable, strict=True))
    assert run(steps)[0] == trace, "the same inputs give the same outputs"
