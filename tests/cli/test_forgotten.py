"""After rows of readings were forgotten, what the state has is shown, and it is said what nobody tells any more."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.runs import printed, said
from tests.ledger.world import HOUR, START, World
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import BundleMade
from wattquorum.ledger.transactions import (
    CommitReadings,
    IssueCertificates,
    Received,
    RetireCertificates,
    RollUp,
    SealDay,
    TransferCertificates,
)
from wattquorum.node.chain_files import rows_name
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode

KWH = 1_000
LATER = START + 96 * HOUR
GAP = r"blocks \d+ to \d+ tell nothing any more: rows of readings that executing them needs were deleted"


def market() -> World:
    """Two days among four owners, one of which has two accounts; the first day is certified, sealed and long past."""
    world = World(parameters={"retention_days": 1})
    world.member("mill", Side.SELL, owner="Miller")
    world.member("small-mill", Side.SELL, owner="MILLER")
    for name in ("bakery", "forge"):
        world.member(name, Side.BUY)
    world.member("yard", Side.SELL, Side.BUY)
    _trade(world, START, yard=60)
    world.done("operator", IssueCertificates(START, ("mill-sell",), 4))
    (granular,) = _made(world)
    world.done("mill", RollUp((granular,)))
    whole = _made(world)[-1]
    world.done("mill", RetireCertificates(whole, 1, "Corn bakery", "bread"))
    world.done("mill", TransferCertificates(_made(world)[-1], 1, world.address("forge")))
    world.done("operator", SealDay(START), at=START + 49 * HOUR)
    _trade(world, LATER, yard=80)
    return world


def _trade(world: World, day: int, yard: int) -> None:
    world.publish(day)
    made = [
        world.contract("mill", "bakery", [700 * KWH] * 4, day=day),
        world.contract("small-mill", "forge", [10 * KWH] * 4, day=day),
        world.contract("yard", "forge", [90 * KWH] * 4, day=day),
    ]
    world.approve(*made, day=day)
    sold = {"mill-sell": [700 * KWH] * 4, "small-mill-sell": [10 * KWH] * 4, "yard-sell": [yard * KWH] * 4}
    used = {"bakery-buy": [700 * KWH] * 4, "forge-buy": [100 * KWH] * 4, "yard-buy": [0] * 4}
    world.read({**sold, **used}, day=day)
    world.close(day=day)


def _made(world: World) -> list[bytes]:
    return [fact.bundle for fact in world.facts(BundleMade) if isinstance(fact, BundleMade)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the chain of which nothing was forgotten, and the keys of its people; only read it."""
    return stored(market(), tmp_path_factory.mktemp("forgotten") / "whole")


def stored(world: World, folder: Path) -> Path:
    """The world's chain as a node writes it."""
    path = folder / "out" / "week" / "chain"
    path.parent.mkdir(parents=True)
    with LoneNode.create(path, world.genesis_bytes, world.proposer, verify_each) as node:
        for executed in world.executed:
            now, rows = Millis(executed.block.header.time_ms), iter(executed.rows)
            for data in executed.block.transactions:
                commits = isinstance(Received(data).body.payload, CommitReadings)
                assert node.accept(data, next(rows) if commits else None, now) is None
            node.cut(now)
            node.write(now)
        assert node.folder.tip_hash == world.ledger.tip_hash
        node.close()
    for name in ("mill", "proposer"):
        (folder / f"{name}.key").write_text(sha256(name.encode()).hexdigest(), encoding="ascii")  # as `key_of` does
    return folder


@pytest.fixture(scope="module")
def forgotten(whole: Path) -> Path:
    """A copy of which the first day's rows were forgotten; only read it."""
    return forget(whole, whole.parent / "forgotten")


def forget(whole: Path, folder: Path) -> Path:
    shutil.copytree(whole, folder)
    assert printed("forget", folder=folder).startswith("1 sets of rows")
    assert printed("audit", folder=folder).startswith("intact")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("certificates", "list"),
        ("certificates", "list", "--owner", "forge"),
        ("standing", "list"),
        ("standing", "groups", "--count", "4"),
    ],
    ids=" ".join,
)
def test_what_the_state_has_is_shown_as_it_was(whole: Path, forgotten: Path, words: tuple[str, ...]) -> None:
    told = printed(*words, folder=forgotten)
    lines = [sorted(each.splitlines()) for each in (printed(*words, folder=whole), told)]
    assert lines[0] == lines[1]
    assert not re.search(GAP, told)


def ids(folder: Path, *words: str) -> list[str]:
    """The ids of listed bundles."""
    return re.findall(r"^\W+([0-9a-f]{8}) ", printed("certificates", "list", *words, folder=folder), re.MULTILINE)


def test_retired_bundles_stay_in_the_list_and_what_had_ended_before_is_said_to_be_missing(
    whole: Path, forgotten: Path
) -> None:
    told = printed("certificates", "list", "--all", folder=forgotten)
    assert len(re.findall(r" retired ", told)) == 1
    assert re.search(rf"^Bundles that had ended before may be missing: {GAP}\.$", told, re.MULTILINE)
    assert set(ids(forgotten, "--all")) < set(ids(whole, "--all"))


def test_a_bundle_is_shown_and_that_its_lineage_is_not_told(whole: Path, forgotten: Path) -> None:
    (bundle,) = ids(whole, "--owner", "forge")
    before, told = (printed("certificates", "show", bundle, folder=each) for each in (whole, forgotten))
    assert told.partition("\nmade of")[0] == before.partition("\nmade of")[0]
    assert re.search(rf"^More may lie behind it: {GAP}\.$", told, re.MULTILINE)
    assert "may lie behind" not in before


def test_where_bundles_stand_that_were_told_before_the_deleted_rows_the_state_says(tmp_path: Path) -> None:
    world = market()
    granular, whole = (_made(world)[place] for place in (2, -1))
    world.done("mill", TransferCertificates(granular, 1_000, world.address("yard")))
    world.done("forge", RetireCertificates(whole, 1, "", ""))
    world.done("operator", SealDay(LATER), at=LATER + 49 * HOUR)
    world.deposit("yard", 1)
    for hours in (80, 110):
        world.block([], at=LATER + hours * HOUR)
    folder = stored(world, tmp_path / "chain")
    with ChainFolder(folder / "out" / "week" / "chain") as chain:
        commitments = chain.commitments()
        last = max(commitments, key=lambda root: commitments[root].height)
    (folder / "out" / "week" / "chain" / "rows" / rows_name(last)).unlink()
    told = printed("certificates", "list", "--all", folder=folder)
    stands = dict(re.findall(r"│ ([0-9a-f]{8}) │.*│ (\S.*?) +│$", told, re.MULTILINE))
    assert stands[granular.hex()[:8]] == "not active any more"
    assert stands[whole.hex()[:8]] == "retired"
    assert "rolled up in block" in told
    shown = printed("certificates", "show", whole.hex(), folder=folder)
    assert "mill to forge" in shown
    assert re.search(GAP, shown)


def test_the_statement_of_a_forgotten_retirement_can_be_proved(forgotten: Path, tmp_path: Path) -> None:
    listed = printed("certificates", "list", "--all", folder=forgotten)
    (bundle,) = re.findall(r"([0-9a-f]{8}) .* retired ", listed)
    printed("certificates", "statement", bundle, "--out", tmp_path / "again.html", folder=forgotten)
    told = printed("verify", tmp_path / "again.proof.json", folder=tmp_path)
    assert told.startswith("proved: RetireCertificates")
    assert "for      Corn bakery" in told


def test_certificates_are_given_and_retired_as_before(whole: Path, tmp_path: Path) -> None:
    folder = forget(whole, tmp_path / "chain")
    keys = ("--key", "mill.key", "--proposer-key", "proposer.key")
    (granular,) = ids(folder, "--owner", "mill")
    words = ("certificates", "transfer", granular, "yard", "--count", "1000", *keys)
    assert "1 kWh of granular certificates to yard" in printed(*words, folder=folder)
    (given,) = ids(folder, "--owner", "yard")
    told = printed("certificates", "show", given, folder=folder)
    assert re.search(r"split in block \d+\n\nchanged hands\n  block \d+: \w+, mill to yard\n", told)
    assert re.search(GAP, told), "of what it was split off"
    (left,) = ids(folder, "--owner", "mill")
    assert "retired" in printed("certificates", "retire", left, *keys, folder=folder)
    assert printed("verify", "retirement.proof.json", folder=folder).startswith("proved: RetireCertificates")
    assert printed("audit", folder=folder).startswith("intact")


def test_a_weight_is_explained_as_far_as_blocks_tell(whole: Path, forgotten: Path) -> None:
    for name in ("mill", "forge", "yard"):
        before, told = (printed("standing", "explain", name, folder=each) for each in (whole, forgotten))
        missing = [line for line in before.splitlines() if line not in told.splitlines()]
        added = [line for line in told.splitlines() if line not in before.splitlines()]
        assert missing
        assert all("2016-06-12T22:00:00Z: " in line or "no day judged" in line for line in missing), "the first day"
        assert added
        assert all(re.fullmatch(rf"  days may be missing: {GAP}", line) for line in added), "one line for each side"


def test_an_owner_has_one_vote_whose_carrier_is_named_however_its_name_is_written(whole: Path) -> None:
    told = printed("standing", "list", folder=whole)
    rows = re.findall(r"│ +(\d+) │ (\S+) +│ +(\d+) │ (\S+)", told)
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4]
    assert sorted(row[1:] for row in rows) == [
        ("Miller", "2", "mill"),
        ("bakery", "1", "bakery"),
        ("forge", "1", "forge"),
        ("yard", "1", "yard"),
    ]
    assert "any 1 of 4 voters may be lost" in told.replace("\n", " ")
    other = printed("standing", "explain", "small-mill", folder=whole)
    assert "small-mill carries no vote: mill carries its owner's." in other
    assert "Voting power of MILLER among 4 legal owners, carried by its account mill (L-17)" in other
    assert "small-mill" not in printed("standing", "groups", "--count", "4", folder=whole)


@pytest.mark.parametrize(
    "words",
    [("certificates", "list"), ("standing", "list"), ("standing", "groups")],
    ids=" ".join,
)
def test_a_chain_that_goes_on_from_its_last_block_shows_what_its_state_has(
    traded: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    without_rows(traded, tmp_path)
    lines = [sorted(printed(*words, folder=each).splitlines()) for each in (traded, tmp_path)]
    assert lines[0] == lines[1]


def test_where_no_day_is_told_any_more_a_weight_is_explained_by_the_state(traded: Path, tmp_path: Path) -> None:
    without_rows(traded, tmp_path)
    before, told = (printed("standing", "explain", "wind-8", folder=each) for each in (traded, tmp_path))
    assert told.startswith("As generator, days closed so far: 1\n")
    assert "days may be missing: blocks" in told
    assert "the last closed day's promises are missing: blocks" in told
    for heading in ("credit", "volume", "certificates", "carbon", "line", "weight", "beside it", "Voting power"):
        (first, *_), (again, *_) = (re.findall(rf"^{heading}.*$", each, re.MULTILINE) for each in (before, told))
        assert first == again


def without_rows(traded: Path, folder: Path) -> None:
    shutil.copytree(traded / "out" / "week" / "chain", folder / "out" / "week" / "chain")
    for path in (folder / "out" / "week" / "chain" / "rows").iterdir():
        path.unlink()


def test_without_a_closed_day_there_are_no_weights_to_show(tmp_path: Path) -> None:
    world = World()
    LoneNode.create(tmp_path / "chain", world.genesis_bytes, world.proposer, verify_each).close()
    told = said("standing", "list", "--chain", "chain", folder=tmp_path, check=2)
    assert told.startswith("refused: out_of_range: chain")
