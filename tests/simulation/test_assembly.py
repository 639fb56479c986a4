"""Engines on machines whose work takes time: every cost is paid where it arises, and nothing else takes any."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wattquorum.foundation.identities import Signed, signed_bytes
from wattquorum.simulation.assembly import FREE, Assembly, Costs, Links, Load
from wattquorum.simulation.keyed_hash import KeyedHash, key_of, secret_of

STILL = Links(1_000, 1_000)  # 1 ms, everywhere
MS = 1_000_000
PRICED = Costs(10_000, 10_000, 1_000, 1_000, 40_000, 20_000, 60_000, 100_000, 200_000)


def assembled(costs: Costs, members: int = 4, transactions: int = 1, blocks: int = 1) -> Assembly:
    assembly = Assembly(1, members, members, Load(transactions), links=STILL, costs=costs, blocks=blocks)
    assert assembly.run(1_000 * MS, lambda: assembly.reached[blocks] == members)
    return assembly


def test_without_costs_a_block_takes_three_delays() -> None:
    assembly = assembled(FREE)
    assert {machine.executed[1] for machine in assembly.machines} == {3 * MS}


def test_a_transaction_is_paid_for_by_its_primary_and_by_the_others_after_another() -> None:
    assembly = assembled(FREE._replace(transaction_ns=1_000), transactions=500)
    assert assembly.machines[0].executed[1] == 3 * MS + 2 * 500 * 1_000


def test_a_message_is_paid_for_at_both_ends_in_turn() -> None:
    """The pre-prepare to the third of three others leaves after two others, and is read for as long as it was sent."""
    assembly = assembled(FREE._replace(send_ns=10_000, receive_ns=10_000))
    primary = assembly.machines[0]
    assert 3 * MS + 60_000 <= primary.executed[1] <= 3 * MS + 400_000


def test_three_syncs_stand_between_a_proposal_and_its_block() -> None:
    """Of the pre-prepare, of what is accepted, of what is prepared; and one more before it is executed."""
    assembly = assembled(FREE._replace(sync_ns=100_000))
    assert assembly.machines[0].executed[1] == 3 * MS + 4 * 100_000


@given(st.sampled_from(Costs._fields), st.integers(1, 1_000_000))
@settings(max_examples=20, deadline=None)
def test_no_cost_makes_anything_faster(field: str, more: int) -> None:
    dearer = PRICED._replace(**{field: getattr(PRICED, field) + more})
    once, again = assembled(PRICED), assembled(dearer)
    assert max(m.executed[1] for m in again.machines) >= max(m.executed[1] for m in once.machines)


def test_a_link_is_as_long_whoever_else_talks() -> None:
    """The first pre-prepare of any committee of one seed takes the same ways."""
    links = Links(1_000, 9_000)
    few, many = (Assembly(5, 7, agents, Load(1), links=links, blocks=1) for agents in (4, 7))
    for assembly in (few, many):
        assembly.run(1_000 * MS)
    shared = few._drawn.keys() & many._drawn.keys()
    assert len(shared) >= 12
    assert all(few._drawn[link] == many._drawn[link] for link in shared)
    assert len({few._drawn[link] for link in shared}) > 6


def test_members_behind_agents_have_every_block_by_one_message() -> None:
    assembly = Assembly(1, 7, 4, Load(10), links=STILL, blocks=3)
    assembly.run(1_000 * MS)
    assert {height: assembly.reached[height] for height in (1, 2, 3)} == {1: 7, 2: 7, 3: 7}
    assert assembly.tally.messages["blocks"] == 9
    assert len({tuple(sorted(machine.digests.items())) for machine in assembly.machines}) == 1


def test_transactions_that_arrive_are_in_blocks_once_and_in_order() -> None:
    assembly = Assembly(1, 4, 4, Load(100, every_ms=5), links=STILL)
    assembly.run(200 * MS)
    assert {machine.included for machine in assembly.machines} <= {37, 38, 39, 40, 41}


def test_a_keyed_hash_is_accepted_of_its_holder_alone() -> None:
    mine, other = secret_of(b"mine"), secret_of(b"other")
    seals = KeyedHash([mine, other])
    signature = seals.signer(mine)("bft", b"message")
    message = signed_bytes("bft", b"message")
    checks = [
        Signed(key_of(mine), message, signature),
        Signed(key_of(other), message, signature),
        Signed(key_of(mine), signed_bytes("other", b"message"), signature),
    ]
    assert seals.verify(checks) == [True, False, False]
