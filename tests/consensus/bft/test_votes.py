"""Votes: what is counted as it comes is what stands in the slots, whatever comes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.consensus.bft.world import CHAIN, committee, seals_of, sign_as, verify
from wattquorum.consensus.bft.statements import Phase, Seals, phase_of
from wattquorum.consensus.bft.votes import VIEWS_KEPT, Slot, Votes

MEMBERS, HEIGHT = 4, 3
DIGESTS = (b"\x01" * 32, b"\x02" * 32)
COMMITTEE = committee(MEMBERS)

votes = st.tuples(
    st.integers(0, MEMBERS - 1), st.integers(0, VIEWS_KEPT + 2), st.booleans(), st.sampled_from(DIGESTS), st.booleans()
)


@given(st.lists(votes, max_size=60))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_the_slots_and_quorums_are_of_good_signatures(
    said: list[tuple[int, int, bool, bytes, bool]],
) -> None:
    found = Votes(HEIGHT, COMMITTEE, Seals(CHAIN, sign_as(0), verify))
    for place, view, commits, digest, good in said:
        slot: Slot = (view, Phase.COMMIT) if commits else (view, Phase.PREPARE)
        phase = slot[1]
        signed = phase_of(COMMITTEE, place, view, phase)
        signature = seals_of(place if good else place + 1).make(COMMITTEE, HEIGHT, view, signed, digest)
        found.add(place, slot, digest, signature)
        seals = found.quorum(slot, digest)
        if seals is not None:
            places = [seal.member for seal in seals]
            assert places == sorted(set(places))
            assert len(places) == COMMITTEE.quorum
            for seal in seals:
                signed = phase_of(COMMITTEE, seal.member, view, phase)
                genuine = seals_of(seal.member).make(COMMITTEE, HEIGHT, view, signed, digest)
                assert seal.signature == genuine
        standing = Counter((slot, digest) for slots in found._slots.values() for slot, (digest, _) in slots.items())
        assert found._support == standing
        assert all(len({view for view, _ in slots}) <= VIEWS_KEPT for slots in found._slots.values())
