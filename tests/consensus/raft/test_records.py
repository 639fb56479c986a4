"""What a replica finds again after a restart, and that it refuses to go on where something is missing."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, ask, of, payload, records_of, records_with
from wattquorum.consensus.engine import Durable, Restore
from wattquorum.consensus.raft.entries import configuration_entry
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.messages import Append
from wattquorum.consensus.raft.outbox import Outbox
from wattquorum.consensus.raft.records import Appended, Ballot, Base, kept
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

FOUNDING = of(1, 1, 1)
JOINT = changed(of(1, 1, 5, version=1), old=FOUNDING.new)


def story() -> Bench:
    """A follower through terms, votes, conflicts, a joint configuration and a snapshot."""
    bench = Bench(FOUNDING, settings=Settings(trailing_max=1))
    bench.follow(B, 1, payload(1, b"1"), payload(1, b"2"))
    bench.follow(B, 1, payload(1, b"3"), payload(1, b"4"), committed=2)
    bench.hear(C, Append(2, 1, 2, 1, 2, (payload(2, b"5"), configuration_entry(2, JOINT))))
    bench.now += 10_000
    bench.hear(B, ask(3, 9, 9))
    bench.apply()
    bench.engine.snapshot(2, b"state", Millis(bench.now))
    bench.settle()
    bench.know(of(1, 1, 5, version=1))
    bench.follow(B, 3, payload(3, b"6"))
    bench.follow(B, 3, payload(3, b"7"), committed=5)
    return bench


def test_a_restart_from_any_prefix_gives_what_was_durable_then() -> None:
    told = story().records
    assert len(told) == 9
    expected = [
        (0, b"", []),
        (1, b"", []),
        (1, b"", [1, 1]),
        (1, b"", [1, 1, 1, 1]),
        (2, b"", [1, 1, 1, 1]),
        (2, b"", [1, 1, 2, 2]),
        (3, B, [1, 1, 2, 2]),
        (3, B, [2, 2]),
        (3, B, [2, 2, 3]),
        (3, B, [2, 2, 3, 3]),
    ]
    found = []
    for length in range(len(told) + 1):
        ballot, log, _, position = kept(told[:length], FOUNDING)
        assert position == length
        found.append((ballot.term, ballot.vote, [entry.term for entry in log.entries(log.first)]))
        assert (log.configuration == JOINT) == (log.last >= 4 and log.last_term > 1)
    assert [each for at, each in enumerate(found) if each not in found[:at]] == expected


def test_a_base_is_an_origin_before_which_nothing_is_needed() -> None:
    told = story().records
    (origin,) = [at for at, record in enumerate(told) if record.origin]
    whole, short = kept(told, FOUNDING), kept(told[origin:], FOUNDING)
    assert whole.ballot == short.ballot
    assert whole.base == short.base
    assert whole.position == short.position
    assert whole.log.entries(3) == short.log.entries(3)
    assert whole.log.configurations == short.log.configurations
    assert short.log.configurations == ((2, FOUNDING), (4, JOINT))


def test_a_restart_hands_out_the_state_and_then_nothing_that_is_in_it() -> None:
    told = story().records
    again = Bench(FOUNDING, told)
    assert again.restores == [Restore(2, b"state")]
    assert (again.engine.commit, again.committed) == (2, [])
    knowing = Bench(FOUNDING, told, applied=2)
    assert knowing.restores == []
    further = Bench(FOUNDING, told, applied=3)
    assert (further.restores, further.engine.commit) == ([], 3)
    further.know(of(1, 1, 5, version=1))
    further.follow(B, 3, committed=5)
    assert further.payloads == [b"6"]


@pytest.mark.parametrize("lost", range(1, 8))
def test_a_record_that_is_missing_stops_the_replica(lost: int) -> None:
    told = story().records
    with pytest.raises(Refused) as caught:
        kept([record for record in told if record.position != lost + 1], FOUNDING)
    assert caught.value.code == "input_unexpected"


def test_records_begin_with_the_first_or_with_an_origin() -> None:
    """A replica whose first ballot is lost might vote again in a term in which it has voted."""
    told = story().records
    with pytest.raises(Refused) as caught:
        kept(told[1:], FOUNDING)
    assert caught.value.code == "input_unexpected"


def test_entries_that_leave_a_gap_stop_the_replica() -> None:
    for first in (0, 3, 9):
        with pytest.raises(Refused) as caught:
            kept(records_of(Appended(1, (payload(1),)), Appended(first, (payload(1),))), FOUNDING)
        assert caught.value.code == "input_unexpected"


def test_entries_below_a_base_stop_the_replica() -> None:
    base = Base(Ballot(1, b""), 5, 1, FOUNDING, b"", ())
    with pytest.raises(Refused):
        kept(records_of(base, Appended(5, (payload(1),))), FOUNDING)
    assert kept(records_of(base, Appended(6, (payload(1),))), FOUNDING).log.last == 6


def test_a_record_that_cannot_be_read_stops_the_replica() -> None:
    for data in (b"", b"\xc1", encode(Ballot(1, b"")) + b"\x00"):
        with pytest.raises(Refused) as caught:
            kept([Durable(1, data)], FOUNDING)
        assert caught.value.code.startswith("encoding_")


def test_a_driver_that_applied_more_than_is_durable_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Bench(FOUNDING, records_with([1, 1]), applied=3)
    assert caught.value.code == "input_unexpected"
    Bench(FOUNDING, records_with([1, 1]), applied=2)


# The outbox


def test_the_outbox_keeps_the_last_ballot_and_the_lowest_change_of_the_log() -> None:
    outbox, log = Outbox(7), Log(0, 0, FOUNDING)
    log.append([payload(1), payload(1), payload(2)])
    for ballot in (Ballot(1, B), Ballot(2, b"")):
        outbox.keep_ballot(ballot)
    for first in (3, 2, 3):
        outbox.keep_entries(first)
    records, messages = outbox.drain(log)
    assert records == (
        Durable(8, encode(Ballot(2, b""))),
        Durable(9, encode(Appended(2, (payload(1), payload(2))))),
    )
    assert (messages, outbox.position) == ((), 9)
    assert outbox.drain(log) == ((), ())


def test_promises_wait_for_all_that_is_to_be_kept_and_requests_for_nothing() -> None:
    outbox, log = Outbox(7), Log(0, 0, FOUNDING)
    outbox.promise(A, ask(1))
    assert [message.after for message in outbox.drain(log)[1]] == [7]  # what was kept before may not be durable yet
    outbox.promise(A, ask(1))
    outbox.request(B, ask(1))
    outbox.keep_ballot(Ballot(1, B))
    outbox.keep_base(Base(Ballot(1, B), 0, 0, FOUNDING, b"", ()))
    outbox.keep_ballot(Ballot(2, B))
    log.append([payload(1)])
    outbox.keep_entries(1)
    records, messages = outbox.drain(log)
    assert [(record.position, record.origin) for record in records] == [(8, True), (9, False), (10, False)]
    assert [(message.to, message.after) for message in messages] == [(A, 10), (B, 0)]


def test_a_base_holds_all_that_was_to_be_kept_before_it() -> None:
    outbox = Outbox(0)
    outbox.keep_ballot(Ballot(1, B))
    outbox.keep_entries(1)
    outbox.keep_base(Base(Ballot(1, B), 3, 1, FOUNDING, b"", ()))
    records, _ = outbox.drain(Log(3, 1, FOUNDING))
    assert [record.origin for record in records] == [True]
