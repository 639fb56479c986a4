"""Runs of the torture, judged again and counted: how many acknowledged writes were lost in how many kills.

    python -m benchmarks.peers --tortured FOLDER [...]

The folders are those that `make torture ARGS='--folder FOLDER ...'` kept. What is counted is in their histories, and
whether a write was lost is for the judge to say, from the chains.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.results import Tortured
from torture.history import HISTORY, seen
from torture.judge import judge

PLACE: Final = ("--folder", "folder")


def counted(folder: Path, revision: str) -> Tortured:
    """What a kept run comes to. ValueError where something else is wrong with it than lost writes."""
    wrong, _ = judge(folder)
    lost = [each for each in wrong if each.startswith("lost: ")]
    if wrong and not lost:
        raise ValueError(f"{folder} is broken: {wrong[0]}")
    told = seen(folder)
    kills = [note for note in told.notes if note["what"] == "kill"]
    asked = next(note for note in told.notes if note["what"] == "run")
    return Tortured(
        time.strftime("%Y-%m-%d", time.localtime((folder / HISTORY).stat().st_mtime)),
        revision,
        f"make torture ARGS='{_words(asked)}'",
        asked["drops"] == "True",
        len(kills),
        sum(note["why"] == "kill-leader" for note in kills),
        sum(1 for write in told.writes if write.height),
        len(lost),
    )


def _words(asked: dict[str, Any]) -> str:
    """The options that such a run is asked for with."""
    limit = f"--seconds {float(asked['seconds']):g}" if asked["kills"] == "None" else f"--kills {asked['kills']}"
    flags = [f"--{name}" for name in ("drops", "warm", "namespaces") if asked[name] == "True"]
    return " ".join([limit, *flags, f"--seed {asked['seed']}"])
