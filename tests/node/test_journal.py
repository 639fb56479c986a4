"""What an operator hears of a node, from nodes to which it happens."""

from __future__ import annotations

import asyncio
import io
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.node.founded import Hamlet
from tests.node.live import Village, run, until
from wattquorum.api.metrics import _samples
from wattquorum.cli.logs import Form, writer
from wattquorum.consensus.bft.desk import Fault
from wattquorum.foundation.identities import address_of
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.transactions import AddValidator, Propose, Register
from wattquorum.node import engines
from wattquorum.node.journal import EVENTS, Journal
from wattquorum.node.node import REPLICA, Node
from wattquorum.replica.replica import engine_frame

KEY = bytes([7]) * 32


class Told:
    """A journal of a node, and what it has told."""

    def __init__(self, node: Node) -> None:
        self.stream = io.StringIO()
        self.journal = Journal(node, writer(Form.JSON, self.stream))

    def events(self, name: str) -> list[dict[str, Any]]:
        self.journal.look()
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        assert all(line["event"] in EVENTS and line["at"] > 0 for line in lines)
        return [line for line in lines if line["event"] == name]


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may grow or be written to behind its first byte meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_leadership_voters_snapshots_and_peers_are_told(tmp_path: Path) -> None:
    hamlet = Hamlet(tmp_path / "community")

    async def story() -> None:
        await hamlet.start()
        told = {node.address: Told(node) for node, _ in hamlet.nodes.values()}
        leader = await hamlet.leader()
        own = told[leader.address]
        assert own.events("leads")[-1]["term"] == leader.engine.term
        others = [each for address, each in told.items() if address != leader.address]
        for each in others:
            assert each.events("follows")[-1]["leader"] == leader.address.hex()
        await until(lambda: len(own.events("peer_connected")) >= 2)
        await leader.submit(hamlet.signed(Register(KEY, "hydro", "hydro", ())))
        member = address_of(hamlet.chain_id, KEY)
        await leader.submit(hamlet.signed(Propose(AddValidator(member, bytes([8]) * 32))))
        await until(lambda: own.events("voters_changed") and own.events("voters_changed")[-1]["learners"])
        assert len(own.events("voters_changed")[-1]["voters"]) == 3
        await until(lambda: own.events("snapshot_taken"))
        folder = next(folder for folder, (node, _) in hamlet.nodes.items() if node is leader)
        await hamlet.stop([folder])
        second = await hamlet.leader()
        await until(lambda: told[second.address].events("leads"))
        await until(lambda: lost(told[second.address], leader.address))
        await hamlet.stop()

    run(story())


def lost(told: Told, peer: bytes) -> list[dict[str, Any]]:
    return [each for each in told.events("peer_lost") if each["peer"] == peer.hex() and each["reason"]]


def test_a_full_disk_and_strangers_are_told_and_what_repeats_is_summed_up(tmp_path: Path) -> None:
    hamlet = Hamlet(tmp_path / "community", 1)

    async def story() -> None:
        await hamlet.start()
        node = await hamlet.leader()
        told = Told(node)
        with no_room():
            writing = asyncio.create_task(hamlet.deposit(node))
            await until(lambda: told.events("disk_full"))
            assert not writing.done()
        assert await writing
        await until(lambda: told.events("disk_recovered"))
        for _ in range(3):
            with socket.create_connection((node.config.listen[0], node.transport.port)) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: sum(node.transport.counters.turned_away.values()) >= 3)
        assert told.events("turned_away") == []
        told.journal.repeat()
        assert sum(each["count"] for each in told.events("turned_away")) >= 3
        told.journal.repeat()
        assert sum(each["count"] for each in told.events("turned_away")) == sum(
            node.transport.counters.turned_away.values()
        )
        node.runtime.syncs, node.runtime.sync_ns = node.runtime.syncs + 2, node.runtime.sync_ns + 900_000_000
        told.journal.look()
        told.journal.repeat()
        assert told.events("slow_syncs")[-1]["mean_ms"] >= 100
        await hamlet.stop()

    run(story())


def counted(node: Node, fault: tuple[bytes, Fault], count: int) -> bool:
    return engines.faults(node.engine).get(fault) == count


def test_a_peer_at_fault_is_named_and_counted_and_told_again_when_the_count_has_doubled(tmp_path: Path) -> None:
    village = Village(tmp_path, 4, {"consensus": int(Consensus.PBFT)})

    async def story() -> None:
        async with village.running(0, 1) as nodes:
            node, liar = nodes[0], nodes[1]
            told = Told(node)
            await until(lambda: node.address in liar._connected())
            for count in range(1, 12):
                liar.transport.send(node.address, REPLICA + engine_frame(b"no message"))
                liar.transport.flush()
                await until(partial(counted, node, (liar.address, Fault.UNREADABLE), count))
                told.journal.look()
            said = told.events("peer_at_fault")
            assert [each["count"] for each in said] == [1, 2, 4, 8]
            assert {(each["peer"], each["fault"]) for each in said} == {(liar.address.hex(), "unreadable")}
            labels = {"peer": liar.address.hex(), "fault": "unreadable"}
            assert [each[3:] for each in _samples(node) if each[0] == "faults_total"] == [(labels, 11)]

    run(story())


def test_lines_for_people_are_one_line_whatever_they_say() -> None:
    stream = io.StringIO()
    say = writer(Form.TEXT, stream)
    say("halted", value='a "quoted"\nline', code="diverged", voters={"ab": 1}, empty="")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith('halted value="a \\"quoted\\"\\nline" code=diverged voters="{\\"ab\\":1}" empty=""')
