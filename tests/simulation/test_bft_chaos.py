"""Worlds in which up to a third of a committee lie and everything else fails too: the honest agree, and go on."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.simulation.test_chaos import chaos, trace_of
from wattquorum.ledger.protocols import Protocol
from wattquorum.simulation.bft_world import BftWorld
from wattquorum.simulation.chaos import Rules, bft_nature_of, elected, harder, outcome_of

SEEDS: Final = "0:60"


def test_nothing_breaks_in_sixty_worlds_of_pbft() -> None:
    done = chaos("--engine", "pbft", "--seeds", SEEDS)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert summary.startswith("60 seeds, 0 broken: ")
    hurt = re.search(r"(\d+) blocks, (\d+) views that decided, .* (\d+) crashes", summary)
    assert hurt is not None
    assert int(hurt[1]) > 900
    assert int(hurt[2]) > 150, "primaries have to fall"
    assert int(hurt[3]) > 450, "hosts have to crash"


def test_a_seed_decides_everything_whatever_the_hash_seed() -> None:
    traces = {trace_of(chaos("--engine", "pbft", "--seed", "8", hash_seed=hash_seed)) for hash_seed in ("0", "1")}
    assert len(traces) == 1


def test_worlds_have_liars_twins_and_conspiracies() -> None:
    natures = [bft_nature_of(seed, 0) for seed in range(60)]
    liars = [nature.liars for nature in natures]
    assert 20 <= sum(map(bool, liars)) < 60
    assert max(liars) == 2
    assert any(nature.twins for nature in natures)
    assert any(nature.hostile and not nature.twins for nature in natures)
    worse = [harder(seed, nature) for seed, nature in enumerate(natures)]
    assert sum(nature.ambush_ppm > 0 for nature in worse) >= 20
    assert all(
        sum(has) >= 5
        for has in zip(*[(each.slow_disks > 0, each.wander_ms > 0, each.cunning) for each in worse], strict=True)
    )


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "seed",
    [
        53,  # I13: a round trip took longer than an answer was waited for, so that nobody ever caught up
        206,  # the same, where the one who was behind was needed for a quorum
    ],
)
def test_a_seed_that_once_broke_holds(seed: int) -> None:
    assert BftWorld(seed, bft_nature_of(seed, 0)).run().breach is None


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "seed",
    [
        42,  # I8: the certificate that a former committee had on its last block opened its view in the next one
        10,  # I8: so did a NEW-VIEW of a former committee, heard late
        359,  # I3: a read that began before its replica had prepared a height overlooked that others had decided it
    ],
)
def test_a_seed_with_elections_that_once_broke_holds(seed: int) -> None:
    assert BftWorld(seed, elected(seed, bft_nature_of(seed, 0))).run().breach is None


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("protocol", "seed"),
    [
        # I8: a member told of a block that its own COMMIT completed, and forgot that in a crash; a liar had helped it
        (Protocol.PBFT, 1477),
        # blame: a primary that proposed, crashed, and opened its view again was bound otherwise the second time
        (Protocol.PBFT, 250),
        (Protocol.CGPBFT, 135),  # the same, among agents
        (Protocol.CGPBFT, 137),  # the same, of view 6
        (Protocol.CGPBFT, 150),  # an error: a liar could not shorten a NEW-VIEW of nothing, which another liar had made
    ],
)
def test_a_hard_seed_that_once_broke_holds(protocol: Protocol, seed: int) -> None:
    assert outcome_of(seed, Rules(protocol=protocol)).breach is None


def test_nothing_breaks_in_forty_worlds_that_elect_agents() -> None:
    done = chaos("--engine", "cgpbft", "--seeds", "0:40")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert summary.startswith("40 seeds, 0 broken: ")
    changes = re.search(r"(\d+) changes of who decides", summary)
    assert changes is not None
    assert int(changes[1]) > 55, "committees have to follow each other"
    lied = re.search(r"(\d+) members who do not agree lied (\d+) times", summary)
    assert lied is not None
    assert int(lied[1]) > 80, "most of those who follow have to lie"
    assert int(lied[2]) > 40_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "pbft", "--nodes", "3"), "--nodes"),
        (("--engine", "pbft", "--literal"), "--literal"),
        (("--engine", "cgpbft", "--twins"), "--twins"),
        (("--engine", "pbft", "--twins", "--nodes", "5"), "--nodes"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what_was_wrong(arguments: tuple[str, ...], said: str) -> None:
    done = chaos(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
