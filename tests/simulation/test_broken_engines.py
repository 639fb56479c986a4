"""Engines that break one rule of the protocol are caught by the invariant that names it, in worlds of chaos."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.quorum import committed_index
from wattquorum.consensus.raft import leadership
from wattquorum.foundation.codec import changed
from wattquorum.simulation.chaos import Rules, outcome_of

SEEDS = range(30)  # in some of them a joint entry comes to the disks of its new half first


def by_the_new_half(configuration: Configuration, stored: Mapping[bytes, int], floor: int = 0) -> int:
    """A commit index that forgets the powers which are being left."""
    return committed_index(changed(configuration, old=None), stored, floor)


def test_a_change_that_ends_when_its_new_half_alone_has_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "committed_index", by_the_new_half)
    told = (breach.found for seed in SEEDS if (breach := outcome_of(seed, Rules()).breach) and breach.invariant == "I5")
    assert next(told).endswith("which one half of it lacks")
