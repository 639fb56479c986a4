"""Random streams: named, independent, the same on every run."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.traders.streams import stream

names = st.lists(st.text(max_size=8), min_size=1, max_size=4)


@given(st.integers(0, 2**70), names)
def test_the_same_names_give_the_same_numbers(seed: int, parts: list[str]) -> None:
    assert (
        stream(seed, *parts).integers(2**63, size=4).tolist() == stream(seed, *parts).integers(2**63, size=4).tolist()
    )


@given(st.integers(0, 2**70), names, st.integers(0, 2**70), names)
def test_other_names_or_another_seed_give_other_numbers(
    seed: int, one: list[str], other_seed: int, two: list[str]
) -> None:
    first, second = stream(seed, *one).integers(2**63, size=4), stream(other_seed, *two).integers(2**63, size=4)
    assert ((seed, one) == (other_seed, two)) == (first.tolist() == second.tolist())


def test_names_do_not_run_into_each_other() -> None:
    assert stream(1, "ab", "c").random() != stream(1, "a", "bc").random()


def test_drawing_more_from_one_stream_changes_no_other() -> None:
    quiet, busy = stream(7, "trader", "quiet"), stream(7, "trader", "busy")
    busy.random(1_000)
    assert quiet.random(5).tolist() == stream(7, "trader", "quiet").random(5).tolist()


def test_numbers_do_not_depend_on_pythons_hash_seed() -> None:
    program = "from wattquorum.traders.streams import stream; print(stream(3, 'trader', 'wind-1').random(3).tolist())"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert told == {f"{stream(3, 'trader', 'wind-1').random(3).tolist()}\n"}
