"""`wattquorum up`: a community of processes on this machine, and what becomes of them when it is ended or killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.runs import TERMINAL, refusal_of, refused, said
from tests.ports import free_ports
from wattquorum.api.client import Client
from wattquorum.cli.nodes import name_of
from wattquorum.foundation.refusals import Refused
from wattquorum.node.founding import FINISHED, UNFINISHED, found, nodes_of, take_up
from wattquorum.node.processes import LOG, PROCESS, end_left_over

PATIENCE_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)


class Up:
    """`up` of three nodes in a folder, as a process."""

    def __init__(self, folder: Path, first_port: int, *more: str, within: Path = Path()) -> None:
        self.folder = within / folder
        words = ["up", "--replicas", "3", "--engine", "raft", "--folder", str(folder), "--port", str(first_port), *more]
        self.apis = [f"http://127.0.0.1:{first_port + 3 + number}" for number in range(3)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wattquorum", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=within,
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
        assert told.splitlines()[-1].startswith("stopped; the chains are in ")
        assert not any(map(runs, nodes))
        for number in range(3):
            assert '"stopped"' in (tmp_path / "village" / f"node-{number}" / LOG).read_text(encoding="utf-8")
    finally:
        up.process.kill()
        up.process.communicate()


def test_a_folder_has_one_owner_and_what_a_killed_one_left_running_is_ended(tmp_path: Path) -> None:
    port = free_ports(6)
    up = Up(tmp_path / "village", port)
    try:
        until(up.leads)
        nodes = up.nodes()
        told = said("up", "--folder", "village", folder=tmp_path, check=2)  # the same folder, written another way
        assert refusal_of(told) == "chain_in_use"
        assert f"by process {up.process.pid})" in told
        assert up.process.poll() is None
        assert all(map(runs, nodes))
    finally:
        up.process.kill()
        up.process.communicate()
    assert all(map(runs, nodes))
    shutil.copytree(tmp_path / "village" / "node-0", tmp_path / "village" / "node-0-copy", ignore=no_sockets)
    before = (tmp_path / "village" / "node-1" / LOG).stat().st_size
    again = Up(Path("village"), port, "--seconds", f"{PATIENCE_S:g}", within=tmp_path)
    until(lambda: again.process.poll() is not None or '"started"' in new_text(again.folder / "node-1" / LOG, before))
    os.kill(again.nodes()[1], signal.SIGKILL)  # the others go on
    assert again.process.stdout
    lines = []
    for line in again.process.stdout:
        lines.append(line)
        if "to start it again" in line:
            break
    again.process.send_signal(signal.SIGINT)
    told = "".join(lines) + again.process.communicate(timeout=PATIENCE_S)[0]
    assert again.process.returncode == 0, told
    assert "ended 3 nodes that an earlier start had left running" in told
    assert "node-0-copy is not started" in told
    assert f"node-1 was ended by signal {signal.SIGKILL.value}" in told
    assert not any(map(runs, nodes))
    assert not any((folder / PROCESS).exists() for folder in (again.folder, *nodes_of(again.folder)))


def new_text(log: Path, before: int) -> str:
    return log.read_bytes()[before:].decode()


def no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def test_nodes_that_another_started_are_left_alone(tmp_path: Path) -> None:
    """A folder that was copied with the note of a process has no part in that."""
    for name in ("node-0", "copy"):
        (tmp_path / name).mkdir()
    config = tmp_path / "node-0" / "node.toml"
    with subprocess.Popen([sys.executable, "-c", "input()", "--config", config], stdin=subprocess.PIPE) as other:
        until(lambda: b"--config" in Path(f"/proc/{other.pid}/cmdline").read_bytes())
        (tmp_path / "copy" / PROCESS).write_text(f"{other.pid}\n")
        (tmp_path / "node-0" / PROCESS).write_text(f"{other.pid}\n")
        assert end_left_over([tmp_path / "copy"]) == 0
        assert other.poll() is None
        assert end_left_over([tmp_path / "copy" / ".." / "node-0"]) == 1
        assert other.wait(10) == -signal.SIGTERM


def founded(folder: Path, count: int = 1) -> None:
    found(folder, "village", count, {}, "127.0.0.1", 7100)


def test_a_founding_that_was_interrupted_leaves_nothing_in_part(tmp_path: Path) -> None:
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    founded(begun)
    (begun / UNFINISHED).mkdir()
    for name in ("community", "node-0"):  # as one that was killed while it made the folders
        (begun / name).rename(begun / UNFINISHED / name)
    (begun / UNFINISHED / "node-0" / "node.toml").unlink()
    founded(begun, 2)
    assert sorted(path.name for path in begun.iterdir()) == ["community", "node-0", "node-1"]
    founded(whole, 2)
    genesis = (whole / "community" / "genesis.json").read_bytes()
    (whole / FINISHED).mkdir()
    for name in ("community", "node-0"):  # as one that was killed while it moved them
        (whole / name).rename(whole / FINISHED / name)
    take_up(whole)
    assert sorted(path.name for path in whole.iterdir()) == ["community", "node-0", "node-1"]
    assert (whole / "community" / "genesis.json").read_bytes() == genesis
    with pytest.raises(Refused, match="folder_exists"):
        founded(whole)


def test_a_community_goes_on_as_it_was_founded_and_takes_no_place_of_anothers(tmp_path: Path) -> None:
    founded(tmp_path / "village", 2)
    for option, wanted, code in (
        ("--replicas", "3", "parameter_fixed"),
        ("--engine", "raft", "parameter_fixed"),
        ("--engine", "pbft", "parameter_fixed"),
        ("--groups", "5", "parameter_fixed"),
        ("--port", "7101", "out_of_range"),
    ):
        assert refused("up", "--folder", "village", option, wanted, folder=tmp_path) == code
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = said("up", "--folder", "town", "--port", str(port), folder=tmp_path, check=3)
        assert refusal_of(told) == "address_in_use"
        assert not (tmp_path / "town").exists()
        config = tmp_path / "village" / "node-1" / "node.toml"
        config.write_text(config.read_text().replace("127.0.0.1:7103", f"127.0.0.1:{port}"))
        told = said("up", "--folder", "village", folder=tmp_path, check=3)
        assert f"api is where something else listens (found: 127.0.0.1:{port}, of node-1)" in told
    assert not (tmp_path / "village" / PROCESS).exists()
    for folder in ("my village", "."):  # what is no name of a community makes one
        (tmp_path / "my village").mkdir(exist_ok=True)
        assert re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name_of(tmp_path / folder))
    assert name_of(tmp_path / "my village") == "my-village"
    assert name_of(Path("/")) == "community"
