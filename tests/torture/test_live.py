"""A minute of torture of real processes: killed, stopped, cut off, full, while seats and powers change and clients
write and read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.unmeasured
def test_a_minute_of_torture(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "default::ResourceWarning", "-m", "torture.run", "--seconds", "45"]
    command += ["--folder", str(tmp_path / "community")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    logs = "".join(log.read_text(encoding="utf-8")[-2_000:] for log in sorted(tmp_path.glob("*/logs/node-*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    found = re.search(r"held: (\d+) writes acknowledged and found, (\d+) reads, (\d+) kills", done.stdout)
    assert found is not None
    assert all(int(number) > 0 for number in found.groups()), done.stdout
    assert "Traceback" not in logs
    assert "ResourceWarning" not in done.stderr
