"""An account is not a vote: each legal owner has one, however it splits itself (L-12, L-17)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import Energy, Points
from wattquorum.standing.voters import Member, OneSide, member_of, voters

POINT = 1_000_000


def member(address: int, owner: str, weight: int = 0) -> Member:
    return Member(address.to_bytes(20, "big"), owner, Points(weight * POINT), Energy(address), Points(50 * POINT))


def test_an_owners_account_of_most_weight_carries_its_vote() -> None:
    poor, rich, other = member(1, "mill", 10), member(2, "mill", 30), member(3, "farm", 20)
    assert voters([poor, rich, other]) == [rich, other]


def test_among_accounts_of_equal_weight_the_smallest_address_carries_the_vote() -> None:
    assert voters([member(7, "mill"), member(4, "mill"), member(5, "mill")]) == [member(4, "mill")]


def test_without_members_there_are_no_voters() -> None:
    assert voters([]) == []


def test_a_prosumers_sides_are_averaged_added_and_halved() -> None:
    # (40 * 300 + 20 * 100) / 400 = 35 points; 300 + 100 Wh; (50 + 44) / 2 points.
    generator = OneSide(Points(40 * POINT), Energy(300), Points(50 * POINT))
    consumer = OneSide(Points(20 * POINT), Energy(100), Points(44 * POINT))
    found = member_of(b"a", "mill", generator, consumer)
    assert found == Member(b"a", "mill", Points(35 * POINT), Energy(400), Points(47 * POINT))
    assert member_of(b"a", "mill", None, consumer) == Member(b"a", "mill", *consumer)
    assert member_of(b"a", "mill", generator, None) == Member(b"a", "mill", *generator)


accounts = st.lists(
    st.builds(member, st.integers(0, 99), st.sampled_from("abc"), st.integers(0, 100)), unique_by=lambda each: each[0]
)


@given(accounts)
def test_every_owner_has_one_vote_and_no_account_of_it_has_more_weight(members: list[Member]) -> None:
    found = voters(members)
    assert sorted(each.owner for each in found) == sorted({each.owner for each in members})
    assert all(each in members for each in found)
    best = {each.owner: each.weight for each in found}
    assert all(each.weight <= best[each.owner] for each in members)


@given(accounts, st.randoms(use_true_random=False))
def test_voters_are_the_same_in_whatever_order_accounts_are_listed(members: list[Member], shuffler: object) -> None:
    again = list(members)
    shuffler.shuffle(again)  # type: ignore[attr-defined]
    assert voters(again) == voters(members)
