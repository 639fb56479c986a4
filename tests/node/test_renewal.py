"""What an operator puts into a node's folder while it runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.node.communities import now_ms, until
from tests.node.live import run
from tests.ports import free_ports
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.parameters import Voting
from wattquorum.node import community_folder, node_folder
from wattquorum.node.config import CONFIG, load
from wattquorum.node.disk import read_file, write_files
from wattquorum.node.founding import COMMUNITY, Founded, found
from wattquorum.node.journal import Journal
from wattquorum.node.node import Node
from wattquorum.node.renewal import Renewal


@pytest.fixture
def founded(tmp_path: Path) -> Founded:
    return found(tmp_path / "village", "village", 3, {"voting": int(Voting.EQUAL)}, "127.0.0.1", free_ports(6))


def renewal_of(node: Node) -> Renewal:
    return Renewal(node.config.folder, node.config.places, node.transport)


def test_a_revoked_node_is_shut_out_and_a_new_place_is_found(founded: Founded) -> None:
    async def story() -> None:
        nodes = [Node(load(folder / CONFIG)[0], verify_each) for folder in founded.nodes]
        try:
            for node in nodes:
                await node.start()
            await until(lambda: all(len(node._connected()) == 2 for node in nodes), 20)
            renewals = [renewal_of(node) for node in nodes]
            assert [renewal.renew() for renewal in renewals] == [False] * 3
            home = founded.folder / COMMUNITY
            with community_folder.opened(home, now_ms()) as community:
                community.revoke(nodes[2].address.hex(), now_ms())
            listed = {name: read_file(home / name, name) for name in (community_folder.REVOKED, community_folder.PEERS)}
            for folder in founded.nodes[:2]:
                write_files(folder, listed)
            assert [renewal.renew() for renewal in renewals] == [True, True, False]
            for node, other in ((nodes[0], nodes[1]), (nodes[1], nodes[0])):
                assert [peer.address for peer in node.transport.peers()] == [other.address]
            await until(lambda: not nodes[2]._connected())
            await until(lambda: nodes[0].transport.counters.turned_away["revoked"] > 0)
            told: list[dict[str, Any]] = []
            journal = Journal(nodes[2], lambda event, **fields: told.append({"event": event, **fields}))
            await until(lambda: all(peer.refuses for peer in nodes[2].transport.peers()))
            journal.repeat()
            (refused,) = [each for each in told if each["event"] == "refused_by_peers"]
            assert set(refused["peers"]) == {node.address.hex() for node in nodes[:2]}
            assert "revoked" in refused["reason"]
            await until(lambda: nodes[0].engine.leader in (nodes[0].address, nodes[1].address))
            assert [renewal.renew() for renewal in renewals[:2]] == [False] * 2
        finally:
            await asyncio.gather(*(node.stop() for node in nodes))

    run(story())


def test_what_is_not_sound_changes_nothing(founded: Founded) -> None:
    async def story() -> None:
        node = Node(load(founded.nodes[0] / CONFIG)[0], verify_each)
        await node.start()
        try:
            renewal, before = renewal_of(node), node.transport.peers()
            folder = founded.nodes[0]
            whole = read_file(folder / node_folder.PEERS, node_folder.PEERS)
            for name, data, code in (
                (node_folder.PEERS, b"{}", "encoding_unreadable"),
                (node_folder.REVOKED, b"nothing", "encoding_unreadable"),
            ):
                kept = read_file(folder / name, name)
                write_files(folder, {name: data})
                with pytest.raises(Refused) as refused:
                    renewal.renew()
                assert refused.value.code == code
                assert renewal.renew() is False  # told once
                write_files(folder, {name: kept})
                assert renewal.renew() is True
            os.unlink(folder / node_folder.PEERS)
            with pytest.raises(Refused):
                renewal.renew()
            write_files(folder, {node_folder.PEERS: whole})
            assert [peer.address for peer in node.transport.peers()] == [peer.address for peer in before]
        finally:
            await node.stop()

    run(story())
