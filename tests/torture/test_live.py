"""Torture of real processes: killed, stopped, cut off, full, lying, while seats, powers and agents change and clients
write and read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tortured(folder: Path, *options: str) -> str:
    """What a run prints that held; it is kept in a folder."""
    command = [sys.executable, "-W", "default::ResourceWarning", "-m", "torture.run", "--folder", str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    logs = "".join(log.read_text(encoding="utf-8")[-2_000:] for log in sorted(folder.glob("logs/node-*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    found = re.search(r"held: (\d+) writes acknowledged and found, (\d+) reads, (\d+) kills", done.stdout)
    assert found is not None
    assert all(int(number) > 0 for number in found.groups()), done.stdout
    assert "Traceback" not in logs
    assert "ResourceWarning" not in done.stderr
    return done.stdout


@pytest.mark.unmeasured
def test_half_a_minute_of_torture(tmp_path: Path) -> None:
    tortured(tmp_path / "community", "--seconds", "30")


@pytest.mark.unmeasured
def test_agents_are_killed_and_one_of_them_lies_and_pays_for_it(tmp_path: Path) -> None:
    """Six nodes in four groups: nothing that was acknowledged is lost, and the lie costs trust on the ledger."""
    options = ["--engine", "cgpbft", "--nodes", "6", "--groups", "4", "--liars", "1", "--lies", "contradicts"]
    options += ["--seconds", "10", "--seed", "3", "--warm", "--only", "kill-leader", "kill-agents", "pause", "isolate"]
    printed = tortured(tmp_path / "community", *options)
    liar = re.search(r"accused on the ledger +(node-\d) \d+\s", printed)
    assert liar is not None, printed
    assert re.search(rf"{liar[1]} +lied +\d+ +-\d+\.\d", printed), printed
    assert liar[1] in re.findall(r"proven to lie, as nodes tell +(node-\d) \d+\s", printed)
