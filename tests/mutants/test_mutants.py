"""Mutants are in step with the sources, and a handful of them is noticed by what is said to notice it.

All are tried by `make mutants`, which takes too long for every day.
"""

from __future__ import annotations

import importlib
import signal
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from wattquorum.simulation.raft_world import RaftWorld

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "wattquorum"
BY_SCENARIO = ("no_rollback", "older_term_committed", "own_vote_counted_early")
BY_SEED = ("leader_counts_unwritten", "persisted_ignored")


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("mutants")


def test_what_a_mutant_replaces_stands_in_the_sources_exactly_once(mutants: ModuleType) -> None:
    assert {mutant.id: mutants.places(mutant) for mutant in mutants.read() if mutants.places(mutant) != 1} == {}


@pytest.mark.parametrize("of", ["bft", "committees", "states"])
def test_what_other_mutants_replace_stands_there_exactly_once_too(of: str) -> None:
    """Those of `tests.consensus.bft.mutate`, `tests.ledger.mutate` and `tests.replica.mutate`."""
    every = tomllib.loads((ROOT / "tests" / "mutants" / f"{of}.toml").read_text(encoding="utf-8"))["mutant"]
    found = {each["id"]: (SOURCES / each["file"]).read_text(encoding="utf-8").count(each["replace"]) for each in every}
    assert len(found) == len(every)
    assert {name: count for name, count in found.items() if count != 1} == {}


def test_mutants_have_names_of_their_own_and_say_what_notices_them(mutants: ModuleType) -> None:
    every = mutants.read()
    scenarios = [path.stem for path in mutants.SCENARIOS.glob("*.txt")]
    assert len({mutant.id for mutant in every}) == len(every)
    for mutant in every:
        known = mutant.caught_by in (mutants.BY_SEEDS, mutants.EXPLAINED, *scenarios)
        assert known or (ROOT / mutant.test).is_file(), mutant.id
        assert bool(mutant.seeds and mutant.breaks) == (mutant.caught_by == mutants.BY_SEEDS), mutant.id


@pytest.mark.parametrize("name", BY_SCENARIO)
def test_a_scenario_notices(mutants: ModuleType, name: str) -> None:
    (mutant,) = (each for each in mutants.read() if each.id == name)
    assert mutants.attempt(mutant, [mutant.caught_by], []).scenarios == (mutant.caught_by,)


@pytest.mark.parametrize("name", BY_SEED)
def test_a_world_notices(mutants: ModuleType, name: str) -> None:
    (mutant,) = (each for each in mutants.read() if each.id == name)
    assert mutants.attempt(mutant, [], [mutant.seeds - 1]).breaks == mutant.breaks


def test_a_mutant_that_nothing_notices_is_wrong_unless_it_is_explained(mutants: ModuleType) -> None:
    explained = next(each for each in mutants.read() if each.why)
    silent = mutants.Found((), 300, "", "", 1.0)
    noticed = mutants.Found(("figure_8",), 3, "I3", "", 1.0)
    assert mutants.wrong(explained, silent) == ""
    assert mutants.wrong(explained, noticed) == "explained, and caught by figure_8"
    unexplained = explained._replace(caught_by="figure_8", why="")
    assert mutants.wrong(unexplained, silent) == "caught by nothing, and not explained"
    assert mutants.wrong(unexplained, noticed) == ""
    elsewhere = noticed._replace(scenarios=("figure_7", "one_member"))
    assert mutants.wrong(unexplained, elsewhere) == "not caught by figure_8, but by figure_7 and 1 more"


def test_a_mutant_that_does_not_exist_cannot_be_tried(mutants: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        mutants.main(["--only", "no_floor", "mistyped"])
    assert ended.value.code == 2
    assert "there is no mutant mistyped" in capsys.readouterr().err


def test_an_error_in_a_world_notices_a_mutant_by_its_name(mutants: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_world: RaftWorld, _client: int) -> None:
        raise KeyError

    monkeypatch.setattr(RaftWorld, "_submit", fails)
    assert mutants._broken(0) == "KeyError"

    def waits(_world: RaftWorld, _client: int) -> None:
        time.sleep(5)

    monkeypatch.setattr(RaftWorld, "_submit", waits)
    monkeypatch.setattr(mutants, "PATIENCE_S", 1)
    before = signal.signal(signal.SIGALRM, mutants._too_long)
    try:
        assert mutants._broken(0) == "no end"
    finally:
        signal.signal(signal.SIGALRM, before)
