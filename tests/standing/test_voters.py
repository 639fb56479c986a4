"""An account is not a vote: each legal owner has one, however it splits itself (L-12, L-17)."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import Energy, Points
from wattquorum.standing.voters import Member, OneSide, voters

POINT = 1_000_000


def member(address: int, owner: str, weight: int = 0) -> Member:
    side = OneSide(Points(weight * POINT), Energy(address), Points(50 * POINT))
    return Member(address.to_bytes(20, "big"), owner, side, None)


def test_an_owners_account_of_most_weight_carries_its_vote_with_what_all_of_them_traded() -> None:
    poor, rich, other = member(1, "mill", 10), member(2, "mill", 30), member(3, "farm", 20)
    mill, farm = voters([poor, rich, other])
    assert (mill.address, mill.weight, mill.traded) == (rich.address, 30 * POINT, 3)
    assert farm == other


def test_among_accounts_of_equal_weight_the_smallest_address_carries_the_vote() -> None:
    assert [voter.address for voter in voters([member(7, "mill"), member(4, "mill"), member(5, "mill")])] == [
        member(4, "mill").address
    ]


def test_who_sells_with_one_account_and_buys_with_another_is_averaged_like_one_account_with_both() -> None:
    generator = OneSide(Points(40 * POINT), Energy(300), Points(50 * POINT))
    consumer = OneSide(Points(20 * POINT), Energy(100), Points(44 * POINT))
    one = Member(b"a", "mill", generator, consumer)
    (two,) = voters([Member(b"a", "mill", generator, None), Member(b"b", "mill", None, consumer)])
    assert two == one
    assert voters([one]) == [one]


def test_without_members_there_are_no_voters() -> None:
    assert voters([]) == []


def test_a_prosumers_sides_are_averaged_added_and_halved() -> None:
    # (40 * 300 + 20 * 100) / 400 = 35 points; 300 + 100 Wh; (50 + 44) / 2 points.
    generator = OneSide(Points(40 * POINT), Energy(300), Points(50 * POINT))
    consumer = OneSide(Points(20 * POINT), Energy(100), Points(44 * POINT))
    found = Member(b"a", "mill", generator, consumer)
    assert (found.weight, found.traded, found.trust) == (35 * POINT, 400, 47 * POINT)
    for only in (Member(b"a", "mill", None, consumer), Member(b"a", "mill", consumer, None)):
        assert (only.weight, only.traded, only.trust) == consumer


accounts = st.lists(
    st.builds(member, st.integers(0, 99), st.sampled_from("abc"), st.integers(0, 100)), unique_by=lambda each: each[0]
)


@given(accounts)
def test_every_owner_has_one_vote_and_no_account_of_it_has_more_weight(members: list[Member]) -> None:
    found = voters(members)
    assert sorted(each.owner for each in found) == sorted({each.owner for each in members})
    assert {each.address for each in found} <= {each.address for each in members}
    best = {each.owner: each.weight for each in found}
    assert all(each.weight <= best[each.owner] for each in members)


@given(accounts, st.randoms(use_true_random=False))
def test_voters_are_the_same_in_whatever_order_accounts_are_listed(members: list[Member], shuffler: Random) -> None:
    again = list(members)
    shuffler.shuffle(again)
    assert voters(again) == voters(members)
