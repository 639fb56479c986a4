"""Every scenario that the documentation names is played under that name, and none of the list gets lost."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.test_docs import ROOT, names_in, section, tables

PAGE = "docs/scenarios.md"
SIMULATION = ROOT / "tests" / "simulation"


def listed(title: str) -> list[str]:
    (rows,) = tables(section(PAGE, title))
    return [name for row in rows for name in names_in(row["name"])]


def names_of_tests(file: Path) -> list[str]:
    """The names of a file's tests, without `test_`."""
    return re.findall(r"^def test_(\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_raft_scenario_is_a_script_or_a_test() -> None:
    names = listed("Weighted Raft")
    scripts = [path.stem for path in (SIMULATION / "scenarios").glob("*.txt")]
    played = [*scripts, *names_of_tests(SIMULATION / "test_chaos.py")]
    assert len(names) == len(dict.fromkeys(names)) == 24
    assert [name for name in names if name not in played] == []


def test_every_way_to_break_raft_is_among_the_mutants() -> None:
    (named,) = re.findall(r"^Five ways.*?(?=\n\n|\Z)", section(PAGE, "Weighted Raft"), re.MULTILINE | re.DOTALL)
    mutants = re.findall(r'^id = "(\w+)"$', (ROOT / "tests" / "mutants" / "raft.toml").read_text("utf-8"), re.MULTILINE)
    assert len(names_in(named)) == 5
    assert [name for name in names_in(named) if name not in mutants] == []


def test_every_scene_of_byzantine_agreement_is_a_test() -> None:
    names = listed("Byzantine agreement")
    assert len(names) == len(dict.fromkeys(names)) == 27
    assert [name for name in names if name not in names_of_tests(SIMULATION / "test_bft_scenarios.py")] == []
