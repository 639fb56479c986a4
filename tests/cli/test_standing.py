"""`wattquorum standing`: what it prints follows from the chain and adds up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.runs import printed, said
from tests.ledger.voting_world import VotingWorld
from wattquorum.cli.standing import History, _participation
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.weighing import weights


def test_the_list_ranks_all_owners_and_their_powers_add_up(traded: Path) -> None:
    told = printed("standing", "list", folder=traded)
    rows = re.findall(r"(\d+) │ (\S+) +│ +1 │ \2 +│ +([\d.]+) │ +([\d.]+) %", told)
    assert [int(row[0]) for row in rows] == list(range(1, 31))
    assert abs(sum(float(row[3]) for row in rows) - 100) < 0.01
    weights = [float(row[2]) for row in rows]
    assert weights == sorted(weights, reverse=True)
    assert "any 9 of 30 voters may be lost" in told.replace("\n", " ")


def test_a_members_weight_is_explained_to_the_last_digit(traded: Path) -> None:
    told = printed("standing", "explain", "hydro-11", folder=traded)
    found = re.search(r"^weight ([\d.]+) \(A-7\) = (.*)$", told, re.MULTILINE)
    assert found is not None
    terms = re.findall(r"([\d.]+) % of ([\d.]+)", found[2])
    assert len(terms) == 6
    assert abs(sum(float(share) / 100 * float(points) for share, points in terms) - float(found[1])) < 0.00001
    for part in ("credit", "volume", "participation 0.0", "certificates 0.0", "carbon 50.0", "line 100.0"):
        assert f"\n{part}" in told
    assert "Voting power of hydro-11 among 30 legal owners, carried by its account hydro-11 (L-17)" in told


def test_participation_is_explained_by_the_replies_of_every_epoch() -> None:
    world = VotingWorld(participation_epochs=2)
    history = History()
    history.begin(world.ledger)
    seen = len(world.executed)
    for followers in ((1, 2), (2, 3)):
        world.round(*followers)
    first = world.end_epoch().block.header.height
    second = world.end_epoch().block.header.height
    world.round(1, 3)
    world.member("light", Side.BUY, money=0)
    for executed in world.executed[seen:]:
        for facts in (*executed.facts, executed.told):
            history.see(executed.block.header.height, facts)
    every = {each.member: each for each in weights(world.ledger.state, world.ledger.parameters)}
    assert _participation(history, every[world.address("m1")]) == [
        f"to block {first}: helped in 1 of 2 rounds, 0.0 -> 0.5",
        f"to block {second}: helped in 0 of 0 rounds, 0.5 -> 0.45, decay (A-16) included",
        f"since then: helped in 1 of 1 rounds; replica {world.r(1).hex()}, voter",
    ]
    assert every[world.address("m1")].components.participation == 450_000
    assert _participation(history, every[world.address("light")]) == ["it runs no replica, so it replies to nobody"]


def test_groups_hold_every_member_once_and_say_how_even_they_are(traded: Path) -> None:
    told = printed("standing", "groups", "--count", "6", folder=traded)
    members = re.findall(r"(?:wind|hydro|pv|lv-pv|biomass|village|customer)-\d+", told)
    assert len(members) == len(set(members)) == 30
    assert re.search(r"Sums differ by at most [\d.]+ % of their mean in N and [\d.]+ % in T", told.replace("\n", " "))


def test_groups_that_miss_the_rule_say_so(traded: Path) -> None:
    told = " ".join(printed("standing", "groups", "--count", "30", folder=traded).split())
    assert "B-3 asks for 2.0 % at most, which is missed in N and T" in told
    differ = re.search(r"at most ([\d.]+) % of their mean in N and ([\d.]+) % in T", told)
    assert differ is not None
    assert min(float(each) for each in differ.groups()) > 2
    even = " ".join(printed("standing", "groups", "--count", "4", folder=traded).split())
    differ = re.search(r"at most ([\d.]+) % of their mean in N and ([\d.]+) % in T", even)
    assert differ is not None
    missed = [name for name, each in zip("NT", differ.groups(), strict=True) if float(each) > 2]
    assert ("which is missed" in even) is bool(missed)


def test_at_the_highest_tolerance_powers_come_close_to_equal(traded: Path) -> None:
    told = printed("standing", "list", "--tolerance", "14", folder=traded)
    powers = [float(each) for each in re.findall(r"([\d.]+) %", told)]
    assert max(powers) < 1.5 * min(powers)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("explain", "nobody"), "account_unknown: member is not an account"),
        (("list", "--tolerance", "15"), "out_of_range: tolerance lies outside its range (found: 15)"),
        (("list", "--chain", "nowhere"), "nowhere"),
        (("groups", "--count", "31"), "out_of_range: count lies outside its range (found: 31). Form 30 or fewer: each"),
        (("groups", "--count", "3"), "out_of_range: count lies outside its range (found: 3). Form 4 or more: fewer"),
    ],
)
def test_what_cannot_be_shown_is_refused(traded: Path, words: tuple[str, ...], wrong: str) -> None:
    assert wrong in said("standing", *words, folder=traded, check=2)
