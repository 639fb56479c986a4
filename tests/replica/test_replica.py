"""One machine of engine, ledger and pool: what was decided is executed, in its order, and told once it is certain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.world import World, key_of
from wattquorum.consensus.configuration import alone
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.sequencer import Sequencer
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION, Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import decode_ordered, order
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.transactions import WithdrawMoney
from wattquorum.replica.replica import Replica, Work

ME = b"m" * 20


class Disk:
    """A world whose chain a replica goes on from, and what of its records is durable."""

    def __init__(self, gather_ms: int = 0) -> None:
        self.world = World()
        self.world.member("a", Side.BUY)
        self.gather_ms = gather_ms
        self.records: list[Durable] = []
        self.start()

    def start(self) -> None:
        """A replica as after a restart: the world's chain, and the durable records on top of it."""
        self.ledger = Ledger(self.world.genesis_bytes)
        for entry in self.world.entries:
            self.ledger.execute(entry, verify_each)
        engine = Sequencer(alone(ME), self.ledger.height, self.records, self.gather_ms)
        self.replica = Replica(engine, self.ledger, self.world.proposer, verify_each)
        self.now = Millis(self.world.now + 10)

    def send(self, ahead: int = 0) -> bytes:
        data = self.world.signed("a", WithdrawMoney(ahead + 1), ahead=ahead)
        refused = self.replica.accept(data, None, self.now)
        assert refused is None, refused
        return data

    def drain(self) -> Work:
        return self.replica.drain(self.now)

    def sync(self, work: Work) -> Work:
        """Makes the records durable and says so."""
        self.records += work.records
        self.replica.persisted(self.records[-1].position, self.now)
        return self.drain()


def transactions(executed: Executed) -> tuple[bytes, ...]:
    return executed.block.transactions


def test_an_entry_is_executed_when_its_record_is_durable_and_not_before() -> None:
    disk = Disk()
    data, height = disk.send(), disk.ledger.height
    entry = disk.replica.cut(disk.now)
    work = disk.drain()
    assert work.records == (Durable(height + 1, entry),)
    assert (work.finished, disk.ledger.height) == ((), height)
    work = disk.sync(work)
    assert [transactions(executed) for executed in work.finished] == [(data,)]
    assert disk.ledger.height == height + 1


def test_an_entry_that_is_executed_ahead_is_told_only_when_it_is_committed() -> None:
    disk = Disk()
    data = disk.send()
    disk.replica.cut(disk.now)
    work = disk.drain()
    executed = disk.replica.execute_ahead(work.records[0])
    assert transactions(executed) == (data,)
    assert disk.drain().finished == ()
    assert disk.sync(work).finished == (executed,)
    assert disk.ledger.tip == executed.block.header


def test_a_commit_that_is_not_what_was_executed_ahead_stops_the_replica() -> None:
    disk = Disk()
    disk.replica.cut(disk.now)
    work = disk.drain()
    other = order(disk.world.proposer, disk.ledger.chain_id, disk.now + 5, disk.ledger.applied, ())
    disk.replica.execute_ahead(Durable(work.records[0].position, other))
    with pytest.raises(Refused) as caught:
        disk.sync(work)
    assert caught.value.code == "diverged"


def test_a_restart_executes_every_durable_entry_that_was_not_executed() -> None:
    disk = Disk()
    for ahead in range(3):
        disk.send(ahead)
        disk.replica.cut(disk.now)
    works = disk.drain()
    disk.records += works.records[:2]  # the third was not on the disk when the power went
    disk.start()
    finished = disk.drain().finished
    assert [len(transactions(executed)) for executed in finished] == [1, 1]
    disk.send(2)
    disk.replica.cut(disk.now)
    assert disk.drain().records[0].position == disk.records[-1].position + 1


def test_several_entries_are_one_batch_for_the_disk() -> None:
    disk = Disk()
    for ahead in range(3):
        disk.send(ahead)
        disk.replica.cut(disk.now)
    work = disk.drain()
    assert len(work.records) == 3
    assert len(disk.sync(work).finished) == 3


def test_a_block_is_made_of_what_waits_once_it_has_gathered_company() -> None:
    disk = Disk(gather_ms=50)
    first = disk.send()
    disk.replica.turn(disk.now)
    work = disk.drain()
    assert (work.records, work.deadline) == ((), disk.now + 50)
    disk.now = Millis(disk.now + 20)
    second = disk.send(1)
    disk.replica.turn(disk.now)
    assert disk.drain().records == ()
    disk.now = Millis(disk.now + 30)
    disk.replica.turn(disk.now)
    work = disk.drain()
    assert decode_ordered(work.records[0].data).transactions == (first, second)
    assert work.deadline is None


def test_an_idle_replica_orders_nothing_by_itself() -> None:
    disk = Disk()
    disk.replica.turn(disk.now)
    assert disk.drain() == Work((), (), (), (), (), None)


def test_block_times_rise_even_where_the_clock_does_not() -> None:
    disk = Disk()
    before = disk.ledger.tip.time_ms if disk.ledger.tip else 0
    entries = [decode_ordered(disk.replica.cut(Millis(now))) for now in (0, 0, before + 100, before + 50)]
    assert [entry.time_ms - before for entry in entries] == [1, 2, 100, 101]


def test_a_first_block_lies_above_the_genesis() -> None:
    world = World()
    replica = Replica(Sequencer(alone(ME)), world.ledger, world.proposer, verify_each)
    assert decode_ordered(replica.cut(Millis(0))).time_ms == world.ledger.genesis.created_ms + 1


def test_a_read_sees_what_was_ordered_before_it() -> None:
    disk = Disk()
    disk.replica.read(1, disk.now)
    assert disk.drain().reads == (1,)
    disk.send()
    disk.replica.cut(disk.now)
    disk.replica.read(2, disk.now)
    work = disk.drain()
    assert work.reads == ()
    nonce = nonce_of(disk)
    work = disk.sync(work)
    assert work.reads == (2,)
    assert nonce_of(disk) == nonce + 1


def test_what_is_not_admissible_is_refused_at_the_door_and_what_became_so_is_told() -> None:
    disk = Disk()
    refused = disk.replica.accept(b"noise", None, disk.now)
    assert refused is not None
    assert refused.code == "encoding_unreadable"
    short = disk.world.signed("a", WithdrawMoney(1), expiry_ms=disk.now)
    assert disk.replica.accept(short, None, disk.now) is None
    disk.now = Millis(disk.now + 1)
    disk.replica.cut(disk.now)
    work = disk.drain()
    assert decode_ordered(work.records[0].data).transactions == ()
    assert [dropped.reason.code for dropped in work.dropped] == ["expired"]


def test_an_entry_that_no_proposer_signed_stops_the_replica() -> None:
    disk = Disk()
    forged = order(key_of("somebody"), disk.ledger.chain_id, disk.now, disk.ledger.applied, ())
    disk.records.append(Durable(disk.ledger.height + 1, forged))
    disk.start()
    with pytest.raises(Refused) as caught:
        disk.drain()
    assert caught.value.code == "role_missing"


def test_money_is_what_the_transactions_say() -> None:
    # 10,000 deposited; withdrawals of 1, 2 and 3 millionths are set aside in one block.
    disk = Disk()
    for ahead in range(3):
        disk.send(ahead)
    disk.replica.cut(disk.now)
    disk.sync(disk.drain())
    account = disk.ledger.account(disk.world.address("a"))
    assert account is not None
    assert account.balance == 10_000 * MILLION - 6


@given(st.lists(st.sampled_from(["send", "cut", "turn", "write", "restart", "later"]), max_size=25))
def test_the_same_inputs_make_the_same_state_executed_ahead_or_not_and_across_restarts(steps: list[str]) -> None:
    # Only what a proposal says its proposer had executed may differ between the two.
    disks = Disk(gather_ms=3), Disk(gather_ms=3)
    for disk, ahead in zip(disks, (False, True), strict=True):
        play(disk, steps, ahead=ahead)
    ordered = [[decode_ordered(record.data) for record in disk.records] for disk in disks]
    first, second = ([(each.time_ms, each.transactions) for each in entries] for entries in ordered)
    assert first == second
    assert disks[0].ledger.digest == disks[1].ledger.digest


def play(disk: Disk, steps: list[str], *, ahead: bool) -> None:
    """Plays steps, and writes at the end. What is not written before a restart is lost."""
    waiting, sent = list[Durable](), 0
    for step in [*steps, "write"]:
        if step == "send":
            disk.send(sent)
            sent += 1
        elif step == "cut":
            disk.replica.cut(disk.now)
        elif step == "turn":
            disk.replica.turn(disk.now)
        elif step == "later":
            disk.now = Millis(disk.now + 2)
        records = disk.drain().records
        waiting += records
        for record in records if ahead else ():
            disk.replica.execute_ahead(record)
        if step == "write" and waiting:
            disk.records += waiting
            disk.replica.persisted(waiting[-1].position, disk.now)
            assert len(disk.drain().finished) == len(waiting)
            waiting = []
        elif step == "restart":
            now, height, waiting = disk.now, disk.ledger.height - (len(waiting) if ahead else 0), []
            disk.start()
            disk.drain()
            disk.now = now
            assert disk.ledger.height == height
            sent = nonce_of(disk)


def nonce_of(disk: Disk) -> int:
    account = disk.ledger.account(disk.world.address("a"))
    assert account is not None
    return account.nonce
