"""`wattquorum up`: a community of processes on this machine, and what becomes of them when it is ended or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.runs import TERMINAL
from tests.node.founded import free_ports
from wattquorum.api.client import Client
from wattquorum.node.processes import LOG, PROCESS

PATIENCE_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)


class Up:
    """`up` of three nodes in a folder, as a process."""

    def __init__(self, folder: Path, first_port: int, *more: str) -> None:
        self.folder = folder
        words = ["up", "--replicas", "3", "--engine", "raft", "--folder", str(folder), "--port", str(first_port), *more]
        self.apis = [f"http://127.0.0.1:{first_port + 3 + number}" for number in range(3)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wattquorum", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **TERMINAL},
        )

    def leads(self) -> bool:
        """Whether all three answer and one of them leads."""
        with Client(self.apis[:1], patience_s=PATIENCE_S) as client:
            status = client.status()
            return bool(status.leader) and all(peer.connected for peer in status.peers)

    def nodes(self) -> list[int]:
        """The ids of the processes that it started."""
        return [int((self.folder / f"node-{number}" / PROCESS).read_text()) for number in range(3)]


def runs(process: int) -> bool:
    try:
        return b"wattquorum" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_ending_it_ends_every_node_in_order(tmp_path: Path, ended_by: signal.Signals) -> None:
    up = Up(tmp_path / "village", free_ports(6))
    try:
        until(up.leads)
        nodes = up.nodes()
        up.process.send_signal(ended_by)
        told = up.process.communicate(timeout=PATIENCE_S)[0]
        assert up.process.returncode == 0, told
        assert "founded a community of 3 nodes" in told
        assert not any(map(runs, nodes))
        for number in range(3):
            assert '"stopped"' in (tmp_path / "village" / f"node-{number}" / LOG).read_text(encoding="utf-8")
    finally:
        up.process.kill()
        up.process.communicate()


def test_what_a_killed_one_left_running_is_ended_and_the_same_community_goes_on(tmp_path: Path) -> None:
    port = free_ports(6)
    up = Up(tmp_path / "village", port)
    until(up.leads)
    nodes = up.nodes()
    up.process.kill()
    up.process.communicate()
    assert all(map(runs, nodes))
    again = Up(tmp_path / "village", port, "--seconds", "4")
    told = again.process.communicate(timeout=PATIENCE_S)[0]
    assert again.process.returncode == 0, told
    assert "ended 3 nodes that an earlier start had left running" in told
    assert not any(map(runs, nodes))
    assert not any((tmp_path / "village" / f"node-{number}" / PROCESS).exists() for number in range(3))
