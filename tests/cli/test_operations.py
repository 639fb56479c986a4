"""Operating a community: real processes, the commands of the operations guide in their order."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.cli.runs import said
from tests.node.founded import PARAMETERS, RAFT
from tests.ports import LOOPBACK, free_ports
from wattquorum import __version__
from wattquorum.api.client import Client
from wattquorum.cli.app import DISK, app
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Voting
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, found
from wattquorum.node.node_folder import read_key
from wattquorum.node.wal_files import survey

PATIENCE_S = 60.0


def until(holds: Callable[[], object]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found_ := holds()):
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)
    return found_


def command(*words: str | Path) -> str:
    """What a command prints; it must succeed."""
    told = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.stdout


def refused(*words: str | Path) -> Refused:
    """What a command is refused for."""
    with pytest.raises(Refused) as caught:
        CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return caught.value


def line(text: str, begins: str) -> str:
    """What stands behind a word at the beginning of a line."""
    found_ = re.search(rf"^{begins} +(.+)$", text, re.MULTILINE)
    assert found_, text
    return found_[1]


def quicken(node: Path) -> None:
    """Lets an idle chain have a block five times a second, so that what takes blocks takes no long time."""
    config = node / "node.toml"
    config.write_text("tick_ms = 200\n" + config.read_text(encoding="utf-8"), encoding="utf-8")


class Running:
    """A community's processes."""

    def __init__(self, folder: Path) -> None:
        first = free_ports(8)
        self.folder = folder
        self.founded = found(
            folder, "village", 3, {"voting": int(Voting.WEIGHTED), **PARAMETERS}, LOOPBACK, first, RAFT
        )
        self.spare = first + 6
        self.nodes = list(self.founded.nodes)
        self.apis = [f"http://{host}:{port}" for host, port in self.founded.apis]
        self.processes: dict[Path, subprocess.Popen[bytes]] = {}
        self.key = folder / COMMUNITY / OPERATOR_KEY
        self.deposits = 0
        for node in self.nodes:
            quicken(node)

    def start(self, *folders: Path) -> None:
        for folder in folders:
            words = [sys.executable, "-m", "wattquorum", "node", "run", "--config", str(folder / "node.toml")]
            with (folder / "node.log").open("ab") as log:
                self.processes[folder] = subprocess.Popen(words, stdout=log, stderr=log)

    def end(self, *folders: Path, how: signal.Signals = signal.SIGTERM) -> None:
        for folder in folders:
            self.processes[folder].send_signal(how)
        for folder in folders:
            self.processes.pop(folder).wait(30)

    def status(self, api: str) -> dict[str, Any]:
        try:
            found_: dict[str, Any] = httpx.get(f"{api}/v1/status", timeout=2).json()
        except httpx.HTTPError:
            return {}
        return found_

    def leader(self) -> dict[str, Any]:
        """A status, once all of the first three that answer agree on who leads; it may be another node."""

        def agreed() -> dict[str, Any] | None:
            told = [each for api in self.apis if (each := self.status(api))]
            leaders = {each["leader"] for each in told}
            return told[0] if len(leaders) == 1 and "" not in leaders else None

        found_: dict[str, Any] = until(agreed)
        return found_

    def reaches(self, api: str, height: int) -> None:
        until(lambda: self.status(api).get("height", 0) >= height)

    def deposit(self) -> None:
        """The operator's next deposit for itself, acknowledged."""
        key = read_key(self.key)
        chain_id = chain_id_of((self.folder / COMMUNITY / "genesis.json").read_bytes())
        me = address_of(chain_id, key.public)
        with Client(self.apis, patience_s=PATIENCE_S) as client:
            nonce = client.account(me).nonce
            expiry = time.time_ns() // 1_000_000 + 3_600_000
            data = sign(key, Body(chain_id, me, nonce, 1_000_000, expiry, Deposit(me, 1, f"d-{nonce}")))
            assert client.submit(data).outcome == "done"
            self.deposits += 1

    def balance(self) -> int:
        key = read_key(self.key)
        chain_id = chain_id_of((self.folder / COMMUNITY / "genesis.json").read_bytes())
        with Client(self.apis, patience_s=PATIENCE_S) as client:
            return int(client.account(address_of(chain_id, key.public)).balance)

    def options(self) -> list[str]:
        return [word for api in self.apis for word in ("--node", api)]

    def events(self, folder: Path) -> list[dict[str, Any]]:
        text = (folder / "node.log").read_text(encoding="utf-8")
        return [json.loads(each) for each in text.splitlines()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    community = Running(tmp_path_factory.mktemp("operations") / "community")
    community.start(*community.nodes)
    try:
        community.leader()
        yield community
    finally:
        for process in community.processes.values():
            process.kill()
            process.wait()


def test_leadership_is_handed_on_and_told(running: Running) -> None:
    before = running.leader()
    voters = sorted(voter["replica"] for voter in before["voters"])
    to = next(each for each in voters if each != before["leader"])
    told = command("leader", "transfer", running.folder, "--to", to[:8])
    assert line(told, "led").startswith(before["leader"])
    assert line(told, "leads").startswith(to)
    assert re.fullmatch(r"\d+ ms", line(told, "took"))
    assert refused("leader", "transfer", running.folder, "--to", "ff" * 20).code == "input_unexpected"
    assert refused("leader", "transfer", running.folder, "--to", "zz").code == "validator_unknown"
    assert refused("leader", "transfer", running.folder / COMMUNITY).code == "file_unreadable"
    follower = next(node for node in running.nodes if (running.status(api_of(running, node)))["replica"] != to)
    assert refused("leader", "transfer", follower).code == "not_ordering"
    other = next(each for each in voters if each not in (to, before["leader"]))
    paused = next(node for node in running.nodes if running.status(api_of(running, node))["replica"] == other)
    running.processes[paused].send_signal(signal.SIGSTOP)
    try:
        told = command("leader", "transfer", running.folder, "--to", before["leader"])
        asked = refused("backup", paused, "--to", running.folder / "none")
    finally:
        running.processes[paused].send_signal(signal.SIGCONT)
    assert line(told, "leads").startswith(before["leader"])
    assert (asked.code, asked.field) == ("undecided", "folder")


def api_of(running: Running, node: Path) -> str:
    return running.apis[running.nodes.index(node)]


def restart_all(running: Running) -> None:
    """One node after the other, the one that leads last, while clients write."""
    leader = running.leader()["leader"]
    for node in sorted(running.nodes, key=lambda node: running.status(api_of(running, node))["replica"] == leader):
        running.end(node)
        running.deposit()
        running.start(node)
        running.reaches(api_of(running, node), running.leader()["height"])
    assert running.balance() == running.deposits


def test_a_fourth_node_joins_a_running_community_votes_and_leaves_again(running: Running, tmp_path: Path) -> None:
    options, key = running.options(), running.key
    told = command("members", "list", *options)
    assert told.count("voter") == 3
    assert told.count("nobody's yet") == 3
    village, node = running.folder / COMMUNITY, tmp_path / "hydro"
    places = (f"{LOOPBACK}:{running.spare}", f"{LOOPBACK}:{running.spare + 1}")
    command("keys", tmp_path / "hydro.key")
    public = read_key(tmp_path / "hydro.key").public.hex()
    command("invite", village, "--member", "hydro", "--out", tmp_path / "invitation")
    told = command("join", tmp_path / "invitation", "--folder", node, "--listen", places[0], "--api", places[1])
    replica_key = line(told, "ledger key")
    told = command("community", "admit", village, node / "request.json", "--out", tmp_path / "admission")
    address = line(told, "address")
    command("join", "--certificate", tmp_path / "admission", "--folder", node)
    shutil.copy(village / "peers.json", node / "peers.json")
    for each in running.nodes:
        shutil.copy(village / "peers.json", each / "peers.json")
    with (node / "node.toml").open("a", encoding="utf-8") as config:
        config.write("[raft]\n" + "".join(f"{name} = {value}\n" for name, value in RAFT.items()))

    quicken(node)

    add: list[str | Path] = ["members", "add", "hydro", "--key", key, *options]
    assert refused(*add).code == "column_missing"
    assert refused(*add, "--replica-key", replica_key).code == "account_unknown"
    assert refused(*add, "--member-key", "00").code == "encoding_unreadable"
    assert refused("members", "add", "hydro", "--key", tmp_path / "none", "--member-key", public, *options).code == (
        "key_missing"
    )
    stranger: list[str | Path] = [
        "members",
        "add",
        "hydro",
        "--key",
        tmp_path / "hydro.key",
        "--member-key",
        public,
        *options,
    ]
    assert refused(*stranger).code == "account_unknown"
    told = command(*add, "--member-key", public, "--replica-key", replica_key, "--dry-run")
    assert "would open an account" in told
    assert "hydro" not in command("members", "list", *options)

    command("backup", running.nodes[0], "--to", tmp_path / "backup")
    assert line(command("restore", tmp_path / "backup", "--to", node), "replica") == address
    told = command(*add, "--member-key", public, "--replica-key", replica_key, "--owner", "Hydro-Ltd")
    assert line(told, "replica") == address
    assert re.search(r"in force since block \d+", told)
    assert refused(*add, "--replica-key", replica_key).code == "validator_exists"
    ready: list[str | Path] = [
        "members",
        "ready",
        "hydro",
        "--key",
        tmp_path / "hydro.key",
        "--of",
        f"http://{places[1]}",
        *options,
    ]
    assert refused(*ready).code == "undecided"  # its node does not run yet
    running.start(node)
    api = f"http://{places[1]}"
    until(lambda: running.status(api).get("height", 0) >= running.leader()["height"] - 5)
    wrong: list[str | Path] = [
        "members",
        "ready",
        "hydro",
        "--key",
        tmp_path / "hydro.key",
        "--of",
        running.apis[0],
        *options,
    ]
    assert refused(*wrong).code == "validator_unknown"
    assert refused(*ready[:4], str(key), *ready[5:]).field == "key"
    told = command(*ready)
    assert int(line(told, "power").replace(",", "")) > 0
    assert refused(*ready).code == "validator_unknown"
    told = command("members", "list", *options)
    assert re.search(rf"{address[:8]}.*hydro +Hydro-Ltd +voter", told)

    restart_all(running)  # without one of the old ones the new one is needed, and votes
    before = running.leader()
    assert address in [voter["replica"] for voter in before["voters"]]

    told = command("members", "remove", "hydro", "--key", key, "--dry-run", *options)
    assert "3 voters would be left" in told
    told = command("members", "remove", "hydro", "--key", key, *options)
    assert re.search(r"in force since block \d+", told)
    assert refused("members", "remove", "hydro", "--key", key, *options).code == "validator_unknown"
    assert address not in [voter["replica"] for voter in running.leader()["voters"]]
    assert refused(*add, "--replica-key", replica_key).code == "validator_exists"
    running.deposit()
    running.end(node)


def test_a_founding_replica_is_given_to_its_member_and_goes_on_voting(running: Running, tmp_path: Path) -> None:
    command("keys", tmp_path / "mill.key")
    public = read_key(tmp_path / "mill.key").public.hex()
    replica_key = read_key(running.nodes[0] / "ledger.key").public.hex()
    add = ["members", "add", "mill", "--key", str(running.key), *running.options()]
    told = command(*add, "--member-key", public, "--replica-key", replica_key)
    assert "It learns" not in told
    assert re.search(r"mill +mill +voter", command("members", "list", *running.options()))
    assert json.loads(command("members", "list", "--json", *running.options()))["approvals_needed"] == 1


def test_a_backup_of_a_running_node_brings_the_community_back_after_a_disaster(
    running: Running, tmp_path: Path
) -> None:
    for _ in range(3):
        running.deposit()
    acknowledged = running.deposits
    told = command("backup", running.nodes[0], "--to", tmp_path / "backup")
    assert "of a node that runs; audited" in told
    block = line(told, "block")
    assert refused("backup", running.nodes[0], "--to", tmp_path / "backup").code == "folder_exists"
    assert refused("restore", tmp_path / "backup", "--to", running.nodes[0]).code == "folder_exists"
    assert refused("restore", tmp_path / "backup", "--to", tmp_path / "x", "--attempt", "2").code == "out_of_range"
    running.deposit()  # is lost
    running.end(*running.nodes, how=signal.SIGKILL)
    terms = set()
    for node in running.nodes:
        shutil.rmtree(node / "chain")
        shutil.rmtree(node / "wal")
        told = command("restore", tmp_path / "backup", "--to", node, "--disaster")
        assert line(told, "block") == block
        terms.add(line(told, "term"))
    assert len(terms) == 1
    running.start(*running.nodes)
    running.leader()
    assert running.balance() == acknowledged
    running.deposit()
    assert running.balance() == acknowledged + 1
    for api in running.apis:  # one that is still starting knows nothing of an orderly end
        running.reaches(api, 1)
    running.end(*running.nodes)
    for node in running.nodes:
        told_ = [each["event"] for each in running.events(node)]
        assert {"started", "stopped", "peer_connected", "voters_changed", "snapshot_taken"} <= set(told_)
        assert "leads" in told_ or "follows" in told_
        assert told_[-1] == "stopped"
        assert running.events(node)[-1]["version"] == __version__
    told = command("backup", running.nodes[1], "--to", tmp_path / "later")
    assert "of a node that is stopped; audited" in told
    for node in running.nodes:
        assert "sound" in command("audit", node / "chain")
    for inside in (tmp_path / "later", tmp_path / "later" / "node"):
        assert refused("restore", tmp_path / "later", "--to", inside).field == "to"
    told = command("restore", tmp_path / "later", "--to", tmp_path / "new")
    assert "(new)" in told
    assert "not admitted yet" in told


def test_a_node_ends_with_a_status_that_says_whether_to_start_it_again(running: Running, tmp_path: Path) -> None:
    """It runs last: it takes a stopped node's folder."""
    for each in running.processes.values():
        each.kill()
        each.wait()
    running.processes.clear()
    node = tmp_path / "node"
    shutil.copytree(running.nodes[0], node)
    run = ("node", "run", "--log", "text", "--config", str(node / "node.toml"))
    config = (node / "node.toml").read_text(encoding="utf-8")
    with socket.create_server((LOOPBACK, 0)) as taken:
        text = re.sub(r'^listen = ".+"$', f'listen = "{LOOPBACK}:{taken.getsockname()[1]}"', config, flags=re.MULTILINE)
        (node / "node.toml").write_text(text, encoding="utf-8")
        words = [sys.executable, "-m", "wattquorum", *run]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == DISK, done.stderr
    assert "address_in_use: listen is where something else listens" in done.stderr
    (node / "node.toml").write_text(config, encoding="utf-8")
    log = node / "wal" / survey(node / "wal").segments[-1].name
    data = bytearray(log.read_bytes())
    data[20] ^= 1  # in the chain's id
    log.write_bytes(bytes(data))
    assert "wal_foreign" in said(*run, folder=tmp_path, check=1)
    shutil.rmtree(node / "wal")
    assert "log_missing" in said(*run, folder=tmp_path, check=1)
    (node / "node.toml").write_text("listen = 5\n", encoding="utf-8")
    assert "config_invalid" in said(*run, folder=tmp_path, check=2)
