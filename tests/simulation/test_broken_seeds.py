"""Seeds that once broke an invariant without any mutant, and what was wrong then."""

from __future__ import annotations

import pytest

from wattquorum.simulation.chaos import Rules, outcome_of


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "seed",
    [
        190,  # I3: a disk took a segment whose origin was torn for one, and let go of what came before it
        324,  # I5: a checker took the entry at which a snapshot stands for the joint one below it
        66,  # I7: a leader that was being removed ordered a block under the configuration in which it has no vote
    ],
)
def test_a_seed_that_once_broke_holds(seed: int) -> None:
    assert outcome_of(seed, Rules()).breach is None
