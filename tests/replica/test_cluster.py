"""Replicas that follow a leader: wherever a transaction is given, it is ordered once and acknowledged there."""

from __future__ import annotations

import itertools

import pytest

from tests.replica.cluster import BY_PARTICIPATION, HOUR, Cluster, Site
from wattquorum.consensus.raft.entries import Kind as Entries
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome, ordered_of
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import RoundCounted, VectorMade
from wattquorum.ledger.transactions import Deposit, Propose, RemoveValidator, transaction_hash
from wattquorum.replica.pool import Pool
from wattquorum.replica.replica import Frame, Kind, read_frame


def deposits(cluster: Cluster, count: int = 1, client: int = 0, lives_ms: int = 24 * HOUR) -> list[bytes]:
    key = cluster.founding.client_keys[client]
    to = address_of(cluster.chain_id, key.public)
    first = cluster.nonces.get(to, 0)
    return [cluster.sign(key, Deposit(to, 5, f"ref-{client}-{first + number}"), lives_ms) for number in range(count)]


def balance(site: Site, client: int = 0) -> int:
    key = site.cluster.founding.client_keys[client]
    account = site.ledger.account(address_of(site.cluster.chain_id, key.public))
    assert account is not None
    return account.balance


def isolate(cluster: Cluster, *sites: Site) -> None:
    cluster.loses = lambda sender, to, _: (sender in sites) != (to in sites)


def heal(cluster: Cluster) -> None:
    cluster.loses = lambda _sender, _to, _frame: False


def tell_once(site: Site) -> bool:
    """Whether no transaction was done twice there."""
    return all(outcomes.count(0) == 1 for outcomes in site.outcomes().values())


def test_a_transaction_given_to_a_follower_is_ordered_by_the_leader_and_acknowledged_where_it_was_given() -> None:
    cluster = Cluster()
    follower = cluster.followers()[0]
    data = deposits(cluster, 3)
    cluster.give(follower, *data)
    cluster.until(lambda: cluster.done(follower, data))
    leader = cluster.leader()
    blocks = [each.block for each in follower.finished if each.block.transactions]
    assert {address_of(cluster.chain_id, block.header.proposer) for block in blocks} == {leader.address}
    assert balance(follower) == 15


def test_a_leader_sends_nothing_on_and_a_follower_sends_everything_once_in_a_second() -> None:
    cluster = Cluster()
    leader, follower = cluster.leader(), cluster.followers()[0]
    sent: list[bytes] = []

    def count(_: Site, __: Site, frame: bytes) -> bool:
        if read_frame(frame)[0] is Kind.TRANSACTIONS:
            sent.append(frame)
            return True
        return False

    cluster.loses = count
    cluster.give(follower, *deposits(cluster, 2))
    cluster.run(900)
    assert len(sent) == 1
    cluster.run(300)
    assert len(sent) == 2
    heal(cluster)
    cluster.until(lambda: balance(leader) == 10)


def test_what_was_sent_and_waits_is_not_looked_at_with_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.leader()
    follower = cluster.followers()[0]
    cluster.loses = lambda _sender, _to, frame: read_frame(frame)[0] is Kind.TRANSACTIONS
    cluster.give(follower, *deposits(cluster, 5))
    cluster.run(20)
    looks: list[str] = []
    for name in ("waiting", "get"):
        monkeypatch.setattr(Pool, name, lambda *_, name=name: looks.append(name))
    for _ in range(30):
        cluster.now = Millis(cluster.now + 10)
        follower.work()
    assert looks == []


def test_what_was_lost_on_its_way_is_sent_again_also_while_others_go_on_coming() -> None:
    cluster = Cluster()
    cluster.leader()
    follower = cluster.followers()[0]
    lost = deposits(cluster, 1)
    cluster.loses = lambda _sender, _to, frame: read_frame(frame)[0] is Kind.TRANSACTIONS
    cluster.give(follower, *lost)
    cluster.run(20)
    heal(cluster)
    others = []
    for _ in range(30):
        others += deposits(cluster, 1, client=1)
        cluster.give(follower, others[-1])
        cluster.run(100)
    assert cluster.done(follower, [*lost, *others])


def test_a_leader_change_loses_no_acknowledged_transaction_and_executes_none_twice() -> None:
    cluster = Cluster(5)
    leader, given = cluster.leader(), list[bytes]()
    for client, site in enumerate((leader, *cluster.followers()[:2])):
        data = deposits(cluster, 4, client)
        cluster.give(site, *data)
        given += data
    cluster.settle()
    acknowledged = [data for data in given if any(cluster.done(site, [data]) for site in cluster.sites)]
    leader.up = False
    cluster.until(lambda: cluster.leader() is not leader)
    cluster.run(2_000)
    assert acknowledged
    assert all(cluster.done(site, acknowledged) for site in cluster.sites if site.up)
    leader.finished.clear()
    leader.start()
    cluster.run(2_000)
    assert cluster.same()
    assert cluster.done(leader, acknowledged)  # it executed its log again
    assert all(tell_once(site) for site in cluster.sites)


def test_what_a_deposed_leader_had_reserved_waits_again_and_is_done_once() -> None:
    cluster = Cluster()
    deposed = cluster.leader()
    isolate(cluster, deposed)
    data = deposits(cluster, 3)
    cluster.give(deposed, *data)
    cluster.run(100)
    assert deposed.finished == []  # it ordered them, and nobody heard of it
    cluster.run(3_000)
    heal(cluster)
    cluster.until(lambda: cluster.done(deposed, data))
    assert cluster.leader() is not deposed
    cluster.until(cluster.same)
    assert balance(deposed) == 15
    assert all(tell_once(site) for site in cluster.sites)


def test_what_expired_at_a_follower_does_not_wait_for_ever() -> None:
    cluster = Cluster()
    leader = cluster.leader()
    follower, other = cluster.followers()
    cluster.loses = lambda sender, _to, frame: sender is follower and read_frame(frame)[0] is Kind.TRANSACTIONS
    late = deposits(cluster, 2, lives_ms=500)
    cluster.give(follower, *late)
    cluster.run(1_500)
    assert follower.dropped == []  # no block says yet that it is so late
    data = deposits(cluster, 1, client=1)
    cluster.give(other, *data)
    cluster.run(1_500)
    assert cluster.done(other, data)
    assert dict(follower.dropped) == {transaction_hash(late[0]): "expired", transaction_hash(late[1]): "nonce_wrong"}
    heal(cluster)
    cluster.nonces.clear()
    again = deposits(cluster, 1)
    cluster.give(follower, *again)
    cluster.until(lambda: cluster.done(follower, again))
    assert cluster.leader() is leader


def test_voting_powers_follow_participation_and_come_into_force() -> None:
    cluster = Cluster(4, BY_PARTICIPATION)
    leader = cluster.leader()
    cluster.appoint(leader)
    for _ in range(60):
        data = deposits(cluster, 1)
        cluster.give(leader, *data)
        cluster.run(100)
    told = [fact for executed in leader.finished for fact in executed.told if isinstance(fact, RoundCounted)]
    assert told
    assert all(fact.proposer == leader.address for fact in told)
    versions = [executed.block.header.round.new for executed in leader.finished]
    assert versions == sorted(versions)
    assert versions[-1] > 0
    powers = {voter.replica: voter.power for voter in leader.engine.configuration.new}
    replied = {follower for fact in told for follower in fact.followers}
    assert min(powers[replica] for replica in replied) >= powers[leader.address]
    assert len(set(powers.values())) > 1
    cluster.until(cluster.same)


def test_a_leader_that_is_removed_orders_nothing_that_nobody_may_take() -> None:
    cluster = Cluster(4)
    leader = cluster.leader()
    cluster.appoint(leader)
    others = [site for site in cluster.sites if site is not leader]

    def left_out() -> bool:
        now = leader.engine.configuration
        return now.old is None and leader.address not in [voter.replica for voter in now.new]

    cluster.loses = lambda _sender, to, _frame: to is leader and left_out()  # so that the change takes its time
    cluster.give(leader, cluster.sign(cluster.founding.governor_key, Propose(RemoveValidator(leader.address))))
    cluster.until(left_out)
    assert leader.engine.leader == leader.address  # to the end of the change
    data = deposits(cluster, 3)
    cluster.give(leader, *data)
    cluster.run(100)
    heal(cluster)
    cluster.until(lambda: cluster.leader() is not leader)
    more = deposits(cluster, 1, client=1)
    cluster.give(others[0], *more)
    cluster.until(lambda: cluster.done(others[0], more))
    cluster.until(lambda: len({site.ledger.tip_hash for site in others}) == 1)


def test_a_replica_that_is_far_behind_goes_on_from_a_snapshot() -> None:
    settings = Settings(election_ms=300, slot_ms=50, heartbeat_ms=50, trailing_max=2)
    cluster = Cluster(3, BY_PARTICIPATION, settings)
    leader = cluster.leader()
    cluster.appoint(leader)
    behind = cluster.followers()[0]
    waits = deposits(cluster, 2, client=2)
    isolate(cluster, behind)
    cluster.run(50)
    cluster.give(behind, waits[0])
    cluster.give(leader, waits[0])  # the client asked twice
    cluster.give(behind, waits[1])
    for _ in range(40):
        cluster.give(leader, *deposits(cluster, 1))
        cluster.run(100)
    told = len(behind.finished)
    heal(cluster)
    cluster.until(cluster.same)
    assert behind.ledger.height > len(behind.finished) >= told  # blocks that it never saw
    assert behind.ledger.configuration == leader.ledger.configuration
    assert (transaction_hash(waits[0]), "outcome_unseen") in behind.dropped
    cluster.until(lambda: cluster.done(behind, [waits[1]]))  # what follows on it stayed
    more = deposits(cluster, 1)
    cluster.give(behind, *more)
    cluster.until(lambda: cluster.done(behind, more))
    behind.start()
    cluster.until(cluster.same)


def test_a_replica_that_starts_from_its_chain_knows_the_powers_that_are_not_in_force_yet() -> None:
    """Its chain ends with the block that made a version, and the entry that installs it is to be applied next."""
    cluster = Cluster(4, BY_PARTICIPATION)
    leader, site = cluster.leader(), cluster.followers()[0]
    cluster.appoint(leader)
    while not any(isinstance(fact, VectorMade) for executed in site.finished for fact in executed.told):
        cluster.give(leader, *deposits(cluster, 1))
        cluster.run(100)
    cluster.until(lambda: leader.engine.configuration.version > 0)
    cluster.run(200)
    height = next(
        executed.block.header.height
        for executed in site.finished
        if any(isinstance(fact, VectorMade) for fact in executed.told)
    )
    ledger = Ledger(cluster.founding.genesis)
    for executed in site.finished[:height]:
        ledger.execute_ordered(ordered_of(executed.block, ()), verify_each)
    log = site.engine.log
    payloads = [index for index in range(1, log.last + 1) if log.entry(index).kind is Entries.PAYLOAD]
    site.start(ledger, payloads[height - 1])
    data = deposits(cluster, 1)
    cluster.give(leader, *data)
    cluster.until(lambda: cluster.done(site, data))
    cluster.until(cluster.same)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"nonsense",
        encode(Frame(Kind.TRANSACTIONS, b"nonsense")),
        encode(Frame(Kind.ENGINE, b"nonsense")),
        encode([7, b""]),
        encode([0, b"", 0]),
    ],
)
def test_frames_that_cannot_be_read_are_dropped(frame: bytes) -> None:
    cluster = Cluster()
    leader, follower = cluster.leader(), cluster.followers()[0]
    term = leader.engine.term
    for site in (leader, follower):
        site.replica.receive(follower.address, frame, cluster.now)
    data = deposits(cluster, 1)
    cluster.give(follower, *data)
    cluster.until(lambda: cluster.done(follower, data))
    assert leader.engine.term == term
    assert all(executed.block.receipts[0].outcome is Outcome.DONE for executed in follower.finished)


def test_while_leadership_is_handed_over_nothing_is_ordered_and_nothing_is_reserved() -> None:
    cluster = Cluster()
    leader = cluster.leader()
    cluster.run(100)
    follower = cluster.followers()[0]
    cluster.loses = lambda _from, to, _frame: to is follower
    leader.engine.transfer(follower.address, cluster.now)
    (data,) = deposits(cluster)
    cluster.give(leader, data)
    with pytest.raises(Refused) as refused:
        leader.replica.cut(cluster.now)
    assert refused.value.code == "not_ordering"
    cluster.until(lambda: cluster.done(leader, [data]))  # once the transfer is given up
    assert leader.engine.leader == leader.address


def test_an_idle_chain_ticks_while_somebody_orders_and_only_then() -> None:
    cluster = Cluster(tick_ms=200)
    leader = cluster.leader()
    before = leader.ledger.height
    cluster.run(2_000)
    cluster.until(cluster.same)
    assert 7 <= leader.ledger.height - before <= 11
    times = [executed.block.header.time_ms for executed in leader.finished]
    assert all(later - earlier >= 200 for earlier, later in itertools.pairwise(times))
    for follower in cluster.followers():
        follower.up = False
    cluster.run(3_000)
    at_rest = leader.ledger.height
    cluster.run(3_000)
    assert leader.ledger.height == at_rest
