"""For whom a member votes by itself: whom it trusts most of those who stand, and never itself without need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.committee_world import CommitteeWorld, in_office
from wattquorum.foundation.quantities import Energy, Points
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.transactions import Stand, Vote
from wattquorum.traders.voting import Choice, Paper, most_trusted, paper_of

choices = st.lists(
    st.builds(
        Choice,
        st.integers(0, 9).map(lambda n: bytes([n]) * 20),
        st.integers(0, 3).map(Points),
        st.integers(0, 3).map(Energy),
        st.binary(min_size=1, max_size=2),
        st.booleans(),
    ),
    max_size=8,
    unique_by=(lambda each: each.member, lambda each: each.tie),
)


@given(choices, st.integers(0, 9))
def test_the_choice_does_not_depend_on_the_order_and_nobody_better_is_passed_over(
    found: list[Choice], voter: int
) -> None:
    own = bytes([voter]) * 20
    chosen = most_trusted(Paper(own, tuple(found)))
    assert chosen == most_trusted(Paper(own, tuple(reversed(found))))
    others = [each for each in found if each.member != own]
    if not found:
        assert chosen is None
    elif not others:
        assert chosen == own
    else:
        best = next(each for each in others if each.member == chosen)
        for each in others:
            if each.stands >= best.stands and each.member != chosen:
                assert (each.trust, each.traded) <= (best.trust, best.traded)
        assert best.stands or not any(each.stands for each in others)


def test_a_ballot_paper_has_whom_the_ledger_lets_one_vote_for() -> None:
    world = CommitteeWorld(6)
    for number in range(4):
        world.member(f"l{number}", Side.BUY, money=0)
    world.end_epoch()
    world.announce()
    world.block([world.signed(f"m{number}", Stand()) for number in range(3)])
    for voter in list(world.electors()):
        paper = paper_of(world.ledger, voter)
        assert paper is not None
        for choice in paper.choices:
            name = world.name_of(choice.member)
            assert (choice.stands, choice.trust) == (name in ("m0", "m1", "m2"), world.trust(name))
    voter = next(address for address in world.electors() if world.name_of(address).startswith("l"))
    paper = paper_of(world.ledger, voter)
    assert paper is not None
    candidate = most_trusted(paper)
    if candidate is not None:
        world.done(world.name_of(voter), Vote(candidate))
        assert paper_of(world.ledger, voter) is None


def test_who_carries_no_vote_has_no_ballot_paper() -> None:
    world = in_office()
    assert paper_of(world.ledger, world.address("operator")) is None
