"""The week on live nodes: the same market to the unit as in a simulated world, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import inspect, text

from tests.cli.runs import TERMINAL, refused, wattquorum
from tests.lab.runs import plan
from wattquorum.api.client import Client
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cluster import Replicas
from wattquorum.lab.live import HOST, PORTS, LiveCluster, free_places
from wattquorum.lab.places import CHAIN, NODES, clear
from wattquorum.lab.report.consensus import consensus
from wattquorum.lab.report.week import Week as Read
from wattquorum.lab.run import RunOptions, Written, run_week
from wattquorum.lab.week import Week
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.parameters import Voting
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.config import parsed, written
from wattquorum.node.founding import found
from wattquorum.node.processes import end_left_over
from wattquorum.records import measured_tables as m
from wattquorum.records.database import opened

COUNT = 5
DAYS = 1
# What the agreement leaves its traces in: who answered first, and what follows from it; whose block it was.
OF_CONSENSUS = {
    "blocks": {"block_hash", "previous", "proposer", "state_digest", "state_root"},
    "chain": {"block_hash", "state_digest"},
    "participation": {"replies", "rounds", "before_points_millionths", "after_points_millionths", "decayed"},
    "vectors": {"power"},
    "weights": {"participation_points_millionths", "weight_points_millionths"},
}
OF_THE_RUN = {"rounds", "run_info"} | {table.name for table in m.MEASURED}


def connected(nodes: Sequence[str]) -> Client:
    return Client(nodes, patience_s=5)


def api_of(node: Path) -> str:
    return "http://" + written(parsed((node / "node.toml").read_text(encoding="utf-8")).api)


def process_of(node: Path) -> int:
    return int((node / "process").read_text(encoding="ascii"))


class Killing:
    """Kills a follower, and some steps later the leader, while a week is played."""

    def __init__(self, nodes: Path, follower_at: int, leader_at: int) -> None:
        self.nodes, self.follower_at, self.leader_at = nodes, follower_at, leader_at
        self.killed: list[int] = []

    def __call__(self, doing: str, done: int, _total: int) -> None:
        if doing == "trading" and done in (self.follower_at, self.leader_at):
            folders = sorted(self.nodes.glob("node-*"))
            for number, folder in enumerate(folders):
                if number in self.killed:
                    continue
                status = httpx.get(f"{api_of(folder)}/v1/status", timeout=20).json()
                if (status["replica"] == status["leader"]) == (done == self.leader_at):
                    os.kill(process_of(folder), signal.SIGKILL)
                    self.killed.append(number)
                    return


class Ran(NamedTuple):
    written: Written
    killed: list[int]


def silent(_doing: str, _done: int, _total: int) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A day on five nodes, of which a follower and then the leader are killed in the middle."""
    out = tmp_path_factory.mktemp("live") / "week"
    killing = Killing(out / NODES, 12, 20)
    options = RunOptions(out, days=DAYS, replicas=Replicas(COUNT, Protocol.RAFT), connect=connected)
    return Ran(run_week(options, verify_each, killing), killing.killed)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Written:
    out = tmp_path_factory.mktemp("simulated") / "week"
    return run_week(RunOptions(out, days=DAYS, replicas=Replicas(COUNT, Protocol.RAFT)), verify_each, silent)


def tables(place: Path) -> dict[str, list[tuple[object, ...]]]:
    """All tables, but for what the agreement alone leaves in them."""
    found = {}
    with opened(place) as engine, engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            if table not in OF_THE_RUN:
                columns = [each["name"] for each in inspect(engine).get_columns(table)]
                kept = ", ".join(name for name in columns if name not in OF_CONSENSUS.get(table, ()))
                rows = connection.execute(text(f"SELECT {kept} FROM {table} ORDER BY {kept}"))
                found[table] = [tuple(row) for row in rows]
    return found


def test_killing_a_follower_and_then_the_leader_changes_no_number_of_the_market(
    played: Ran, simulated: Written
) -> None:
    assert len(played.killed) == played.written.ended == 2
    live, other = tables(played.written.records), tables(simulated.records)
    assert sorted(live) == sorted(other)
    for table, rows in live.items():
        assert rows == other[table], table
    assert played.written.height == simulated.height
    assert played.written.chain_id == simulated.chain_id
    for table in ("transfers", "settlements", "fines", "bundles", "transactions", "credit", "intervals"):
        assert live[table]


def test_the_chain_is_sound_and_is_what_the_nodes_that_ran_have(played: Ran) -> None:
    out = played.written.chain.parent
    for chain in (out / CHAIN, *(out / NODES / f"node-{n}" / "chain" for n in range(COUNT) if n not in played.killed)):
        with ChainFolder(chain) as folder:
            audited = audit_folder(folder, verify_each)
            assert (audited.height, audited.digest.hex()) == (played.written.height, played.written.digest)
            assert audited.vouched == audited.height


def test_the_report_tells_who_led_what_was_waited_and_who_was_lost(played: Ran) -> None:
    with opened(played.written.records) as engine:
        found = consensus(Read(engine))
    lead, body = found.lead, found.body
    assert f"{COUNT} nodes, a process each on one machine, agreed on {played.written.height} blocks by raft" in lead
    assert "2 of the nodes had ended before the week did" in lead
    assert "Leadership changed" in lead
    assert "Terms and leaders" in body
    assert "What weights can do at best" in body
    assert [answer[0] for answer in found.data["answers"]] == list(range(1, played.written.height + 1))
    assert len({answer[1] for answer in found.data["answers"]}) > 1
    assert found.data["changes"]


def test_nothing_runs_any_more_when_a_week_has_ended(played: Ran) -> None:
    nodes = sorted((played.written.chain.parent / NODES).glob("node-*"))
    assert len(nodes) == COUNT
    assert not any((node / "process").exists() for node in nodes)
    for node in nodes:
        with pytest.raises(ConnectionRefusedError), socket.create_connection(parsed_api(node), timeout=5):
            pass


def parsed_api(node: Path) -> tuple[str, int]:
    return parsed((node / "node.toml").read_text(encoding="utf-8")).api


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return b"node" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are looked for in /proc")
def test_a_player_that_is_killed_leaves_nodes_that_the_next_one_ends_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wattquorum", "week", "--live", "--replicas", "3", "--days", "1"]
    environment = {**os.environ, **TERMINAL}
    nodes = [tmp_path / "out" / "week" / NODES / f"node-{number}" for number in range(3)]

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def running(but: Sequence[int] = ()) -> bool:
        """Whether all nodes have their log, and their process is another than these."""
        try:
            return all(process_of(node) not in but and (node / "wal").exists() for node in nodes)
        except (OSError, ValueError):
            return False

    with started() as first:
        until(running)
        left = [process_of(node) for node in nodes]
        first.kill()
    assert all(alive(process) for process in left)
    with started() as second:
        until(lambda: running(left))
        assert not any(alive(process) for process in left)
        own = [process_of(node) for node in nodes]
        second.send_signal(signal.SIGINT)
        _, errors = second.communicate(timeout=60)
    assert second.returncode == 130
    assert "Traceback" not in errors
    assert not any(alive(process) for process in own)
    assert end_left_over(nodes) == 0


def test_a_process_that_runs_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "process").write_text(f"{os.getpid()}\n", encoding="ascii")
    assert end_left_over([tmp_path]) == 0


def test_a_port_where_somebody_listens_is_not_taken() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        places = free_places(10)
        assert len(set(places)) == 10
        assert all(port in PORTS for _, port in places)
        assert taken.getsockname() not in places


class Lying:
    """A client between the player and a node that alters what the node says, when it is told to."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.honest = Client(nodes, patience_s=3)
        self.lies = False

    def step(self, time_ms: int, items: Sequence[tuple[bytes, bytes | None]]) -> bytes:
        block = decode_block(self.honest.step(time_ms, items))
        return encode(changed(block, receipts=block.receipts[:-1]) if self.lies else block)

    def reached(self) -> tuple[int, str]:
        height, state = self.honest.reached()
        return height, "00" if self.lies else state

    def close(self) -> None:
        self.honest.close()


def test_a_player_believes_no_block_and_no_state_that_its_own_ledger_does_not_give(tmp_path: Path) -> None:
    wanted = replace(plan(1), replicas=Replicas(1, Protocol.RAFT))
    made: list[Lying] = []

    def connect(nodes: Sequence[str]) -> Lying:
        made.append(Lying(nodes))
        made[-1].lies = len(made) > 1
        return made[-1]

    seeds, assumed = wanted.replica_seeds(), Replicas(1, Protocol.RAFT)
    with LiveCluster(
        tmp_path / "chain", tmp_path / "nodes", wanted.genesis(), seeds, assumed, verify_each, connect
    ) as node:
        begun = node.ledger.genesis.created_ms
        node.cut(Millis(begun + 1))
        assert len(node.write(Millis(0)).finished) == 1
        with pytest.raises(Refused) as refused_:
            node.check()
        assert (refused_.value.code, refused_.value.field) == ("diverged", "node 0")
        made[0].lies = True
        week = Week(wanted, node, lambda _: None)
        with pytest.raises(Refused) as refused_:
            next(week.run())
        assert (refused_.value.code, refused_.value.field) == ("diverged", "block")
        node.processes.stop()
        made[0].lies = False
        with pytest.raises(Refused) as refused_:
            node.cut(Millis(begun + 9 * 3_600_000))
        assert refused_.value.code == "node_failed"


def test_a_node_of_a_live_chain_is_never_cleared_away(tmp_path: Path) -> None:
    founded = found(tmp_path / "out" / NODES, "ours", 1, {"voting": int(Voting.EQUAL)}, HOST, 7_900)
    with pytest.raises(Refused) as refused_:
        clear(tmp_path / "out")
    assert refused_.value.code == "folder_exists"
    assert founded.nodes[0].exists()


def test_live_nodes_have_no_simulated_world(tmp_path: Path) -> None:
    assert refused("week", "--live", "--world", "wan", folder=tmp_path) == "out_of_range"
    assert refused("week", "--engine", "raft", folder=tmp_path) == "out_of_range"


def test_weighted_nodes_are_played_from_the_command_line(tmp_path: Path) -> None:
    done = wattquorum("week", "--live", "--days", "1", "--replicas", "3", "--out", "lived", folder=tmp_path)
    assert "nodes    3, 3 with this digest" in done.stdout
    with opened(tmp_path / "lived" / "market.sqlite") as engine:
        assert "by weighted-raft" in consensus(Read(engine)).lead
