"""Worlds in which everything fails: the protocol holds, document A's literal rules do not, and every run repeats."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Final

import pytest

SEEDS: Final = "0:200"
REFUTED: Final = (55, 61, 245)  # seeds whose worlds lose what was committed under the literal rules


def chaos(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user runs it."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "COLUMNS": "200"}
    command = [sys.executable, "-m", "wattquorum", "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def trace_of(done: subprocess.CompletedProcess[str]) -> str:
    found = re.search(r"^trace ([0-9a-f]{64})$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout + done.stderr
    return found[1]


def test_nothing_breaks_in_two_hundred_worlds() -> None:
    done = chaos("--seeds", SEEDS)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert summary.startswith("200 seeds, 0 broken: ")
    changes = re.search(r"(\d+) changes of power", summary)
    assert changes is not None
    assert int(changes[1]) > 300, "powers have to change for anything to be shown"


def test_a_seed_decides_everything_whatever_the_hash_seed() -> None:
    traces = {trace_of(chaos("--seed", "7", hash_seed=hash_seed)) for hash_seed in ("0", "1", "random")}
    assert len(traces) == 1
    assert trace_of(chaos("--seed", "8")) not in traces


@pytest.mark.parametrize("seed", REFUTED)
def test_the_literal_rules_lose_what_was_committed_and_joint_entries_do_not(seed: int) -> None:
    broken = chaos("--literal", "--seed", str(seed))
    assert broken.returncode == 1
    assert f"seed {seed} breaks I3: " in broken.stdout
    assert f"wattquorum chaos --literal --seed {seed} --trace" in broken.stdout
    assert chaos("--seed", str(seed)).returncode == 0


def test_a_failure_tells_its_seed_its_invariant_and_the_last_events_and_is_replayed() -> None:
    told = chaos("--literal", "--seeds", "55:56").stdout
    assert "seed 55 breaks I3: the leader of term" in told
    events = [line.strip() for line in told.splitlines() if re.match(r"\s+\d+ ms", line)]
    assert len(events) >= 20
    replayed = chaos("--literal", "--seed", "55", "--trace").stdout
    assert all(event in replayed for event in events)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "5:5"), "--seeds"),
        (("--seeds", "all"), "--seeds"),
        (("--trace",), "--trace"),
        (("--nodes", "101"), "--nodes"),
        (("--engine", "paxos"), "--engine"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what_was_wrong(arguments: tuple[str, ...], said: str) -> None:
    done = chaos(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
