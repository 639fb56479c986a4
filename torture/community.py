"""A community to torture: its founding, the places of its nodes, and new replicas for its seats.

Whatever this folder knows of a node's folder and of its configuration is here. A community has slots, each a folder
and two ports that stay; the replica in a slot may be replaced by a new one, since a replica that lost its seat never
gets it back. As many slots as there are seats are founded with replicas, the others are spare.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Voting
from wattquorum.node.community import Authority, Identity, new_key, now_utc
from wattquorum.node.config import (
    AUTHORITY,
    CERTIFICATE,
    CONFIG,
    GENESIS,
    LEDGER_KEY,
    REVOKED,
    TLS,
    TLS_KEY,
    composed,
    read_key,
)
from wattquorum.node.founding import AUTHORITY_KEY, COMMUNITY, OPERATOR_KEY, found, node_name
from wattquorum.node.transport import Place

RAFT: Final = {"election_ms": 500, "heartbeat_ms": 100, "slot_ms": 60, "trailing_max": 50}
PARAMETERS: Final = {"epoch_ms": 3_000, "probation_days": 0, "hysteresis": 0, "rho": 30_000_000}
SEED_BYTES: Final = 32


class Community:
    """Folders, keys and places. Nothing runs yet."""

    def __init__(self, folder: Path, seats: int, spares: int, first_port: int) -> None:
        """Founds it in a folder that is empty or absent."""
        self.folder, self.seats, self.slots = folder, seats, seats + spares
        host = "127.0.0.1"
        found(folder, "torture", seats, Voting.WEIGHTED, host, first_port, RAFT, PARAMETERS)
        community = folder / COMMUNITY
        self._genesis = (community / GENESIS).read_bytes()
        self.chain_id = chain_id_of(self._genesis)
        self.operator = read_key(community / OPERATOR_KEY)
        self._authority = Authority((community / AUTHORITY).read_bytes(), (community / AUTHORITY_KEY).read_bytes())
        self._revoked = (community / REVOKED).read_bytes()
        self.listens: list[Place] = [(host, first_port + slot) for slot in range(self.slots)]
        self.apis: list[Place] = [(host, first_port + self.slots + slot) for slot in range(self.slots)]
        self.routes: list[list[Place]] = [list(self.listens) for _ in range(self.slots)]  # from a slot to a slot
        self.replaced = [0] * self.slots
        for slot in range(seats, self.slots):
            self._new_replica(slot)

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
        return read_key(self.node(slot) / LEDGER_KEY)

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
        shutil.copytree(self.node(slot), kept, ignore=shutil.ignore_patterns("*.wal"))
        for path in self.node(slot).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.replaced[slot] += 1
        self._new_replica(slot)
        self.write_configs()

    def _new_replica(self, slot: int) -> None:
        node, seed = self.node(slot), os.urandom(SEED_BYTES)
        (node / TLS).mkdir(parents=True)
        key, request = new_key()
        identity = Identity(self.chain_id, address_of(self.chain_id, SigningKey(seed).public))
        for path, data in (
            (node / LEDGER_KEY, seed.hex().encode() + b"\n"),
            (node / GENESIS, self._genesis),
            (node / TLS / TLS_KEY, key),
            (node / TLS / CERTIFICATE, self._authority.certify(request, identity, now_utc())),
            (node / TLS / AUTHORITY, self._authority.pem),
            (node / TLS / REVOKED, self._revoked),
        ):
            path.write_bytes(data)
            path.chmod(0o600)

    def write_configs(self) -> None:
        """Tells every node where it listens, and where it finds the others; who runs hears of it at its next start."""
        addresses = [self.address(slot) for slot in range(self.slots)]
        for slot in range(self.slots):
            peers = dict(zip(addresses, self.routes[slot], strict=True)) | {addresses[slot]: self.listens[slot]}
            text = composed(self.listens[slot], self.apis[slot], peers, RAFT)
            unfinished = self.config(slot).with_suffix(".new")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(self.config(slot))
