"""A community to torture: its founding, the places of its nodes, and new replicas for its seats.

Whatever this folder knows of a node's folder and of its configuration is here. A community has slots, each a folder
and two ports that stay; the replica in a slot may be replaced by a new one, since a replica that lost its seat never
gets it back. As many slots as there are seats are founded with replicas, the others are spare.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final

from wattquorum.foundation.codec import to_named_json
from wattquorum.foundation.identities import KEY_BYTES, SigningKey, address_of
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.protocols import Protocol
from wattquorum.node import community_folder, node_folder
from wattquorum.node.config import CONFIG, composed, written
from wattquorum.node.disk import read_file
from wattquorum.node.founding import COMMUNITY, INVITED_DAYS, OPERATOR_KEY, found, node_name
from wattquorum.node.invitations import Peers
from wattquorum.node.node_folder import GENESIS, PEERS, read_key
from wattquorum.node.transport import Place

HOST: Final = "127.0.0.1"
RAFT: Final = {"election_ms": 500, "heartbeat_ms": 100, "slot_ms": 60, "trailing_max": 50}
BFT: Final = {"timeout_ms": 800, "timeout_max_ms": 6_400, "resend_ms": 200, "poll_ms": 400, "blocks_kept": 20}
PARAMETERS: Final = {"epoch_ms": 3_000, "probation_days": 0, "hysteresis": 0, "rho": 30_000_000}
CLOSING: Final = {"epoch_ms": 4_000, "stand_blocks": 24}  # where agents are elected: long enough to stand and vote


class Community:
    """Folders, keys and places. Nothing runs yet."""

    def __init__(
        self,
        folder: Path,
        seats: int,
        spares: int,
        first_port: int,
        engine: Protocol = Protocol.WEIGHTED_RAFT,
        groups: int | None = None,
    ) -> None:
        """Founds it in a folder that is empty or absent; `groups` elect agents, where there are any."""
        self.folder, self.seats, self.slots = folder, seats, seats + spares
        self.elects = engine is Protocol.CGPBFT
        parameters = {**engine.parameters(groups), **PARAMETERS, **(CLOSING if self.elects else {})}
        found(folder, "torture", seats, parameters, HOST, first_port, RAFT)
        self._home = folder / COMMUNITY
        (folder / "peers").mkdir()
        self.chain_id = chain_id_of(read_file(self._home / GENESIS, GENESIS))
        self.operator = read_key(self._home / OPERATOR_KEY)
        self.listens: list[Place] = [(HOST, first_port + slot) for slot in range(self.slots)]
        self.apis: list[Place] = [(HOST, first_port + self.slots + slot) for slot in range(self.slots)]
        self.routes: list[list[Place]] = [list(self.listens) for _ in range(self.slots)]  # from a slot to a slot
        self.replaced = [0] * self.slots
        for slot in range(seats, self.slots):
            self._new_replica(slot)

    def founding_committee(self) -> list[int]:
        """The slots that vote first, in the order of the genesis; where agents are elected these are drawn."""
        ledger = Ledger(read_file(self._home / GENESIS, GENESIS))
        slots = {self.address(slot): slot for slot in range(self.seats)}
        return [slots[voter.replica] for voter in ledger.configuration.new]

    def node(self, slot: int) -> Path:
        """The folder of a slot's replica."""
        return self.folder / node_name(slot)

    def config(self, slot: int) -> Path:
        """Its configuration."""
        return self.node(slot) / CONFIG

    def chain(self, slot: int) -> Path:
        """Its chain."""
        return self.node(slot) / "chain"

    def key(self, slot: int) -> SigningKey:
        """What its replica signs with."""
        return node_folder.ledger_key(self.node(slot))

    def address(self, slot: int) -> bytes:
        """Its replica."""
        return address_of(self.chain_id, self.key(slot).public)

    def url(self, slot: int) -> str:
        """Where its interface is."""
        host, port = self.apis[slot]
        return f"http://{host}:{port}"

    def replace(self, slot: int) -> None:
        """Puts a new replica in the place of one that does not run; what the old one had is kept beside."""
        kept = self.folder / f"{node_name(slot)}.was-{self.replaced[slot]}"
        shutil.copytree(self.node(slot), kept, ignore=shutil.ignore_patterns("*.wal", "*.sock"))
        for path in self.node(slot).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.replaced[slot] += 1
        self._new_replica(slot)
        self._configure(slot)
        self._write_peers()

    def _new_replica(self, slot: int) -> None:
        """Joins as a member does that was invited."""
        node, now_ms = self.node(slot), time.time_ns() // 1_000_000
        with community_folder.opened(self._home, now_ms) as community:
            invitation = community.invite(node.name, INVITED_DAYS, now_ms, os.urandom(KEY_BYTES))
            place = written(self.listens[slot])
            node_folder.ask(node, invitation, place, now_ms, os.urandom, community.fingerprint)
            request = read_file(node / node_folder.REQUEST, node_folder.REQUEST)
            node_folder.install(node, community.admit(request, now_ms)[1], now_ms, community.fingerprint)

    def write_configs(self) -> None:
        """Tells every node where it listens; what it knows of the others is in a file beside, whose disk has room."""
        for slot in range(self.slots):
            self._configure(slot)
        self._write_peers()

    def _configure(self, slot: int) -> None:
        text = composed(self.listens[slot], self.apis[slot], {}, RAFT, BFT)
        self.config(slot).write_text(text, encoding="utf-8")
        path = self.node(slot) / PEERS
        path.unlink()
        path.symlink_to(self._peers(slot).resolve())

    def _peers(self, slot: int) -> Path:
        return self.folder / "peers" / f"{node_name(slot)}.json"

    def _write_peers(self) -> None:
        """Tells every node where it finds the others; who runs takes that up by and by."""
        addresses = [self.address(slot) for slot in range(self.slots)]
        for slot in range(self.slots):
            routes = dict(zip(addresses, self.routes[slot], strict=True))
            peers = Peers({address.hex(): written(place) for address, place in routes.items()})
            unfinished = self._peers(slot).with_suffix(".new")
            unfinished.write_bytes(to_named_json(peers))
            unfinished.replace(self._peers(slot))
