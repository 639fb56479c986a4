"""The operations guide: its commands can be given, its events and metrics are those of the code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from wattquorum.cli.app import app
from wattquorum.consensus.bft.desk import FAULTS, Fault
from wattquorum.node.journal import EVENTS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wattquorum"
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every command in a block of the guide, without its comment."""
    lines = re.findall(r"^ {4,}(?:\S+/bin/)?(wattquorum .+)$", GUIDE, re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_guide_can_be_given_like_this(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)  # raises for an option or argument that is not there, or is missing


def test_the_guide_lists_every_event_with_its_meaning() -> None:
    section = GUIDE.partition("## Events")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)) == dict(EVENTS)


def said(path: Path) -> Iterator[str]:
    """The names that are given to `say` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("say", "_say"):
            for each in ast.walk(node.args[0]) if node.args else ():
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value


def test_no_event_is_told_that_is_not_listed_and_each_that_is_listed_can_be_told() -> None:
    told = {name for room in ("api", "node") for path in (SOURCE / room).rglob("*.py") for name in said(path)}
    assert told == set(EVENTS)


def test_every_fault_of_a_peer_stands_in_the_table_of_faults() -> None:
    section = (ROOT / "docs" / "bft.md").read_text(encoding="utf-8").partition("## Faults")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    assert told == {fault.value: meaning for fault, meaning in FAULTS.items()}
    assert list(FAULTS) == list(Fault)


def test_every_metric_of_the_guide_is_told() -> None:
    metrics = (SOURCE / "api" / "metrics.py").read_text(encoding="utf-8")
    named = set(re.findall(r"wattquorum_(\w+)", GUIDE.partition("## Monitoring")[2].partition("## Events")[0]))
    assert len(named) > 8
    assert {name for name in named if f'"{name}"' not in metrics} == set()
