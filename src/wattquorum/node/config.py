"""A node's configuration: `node.toml`, beside its keys and what it knows of its community (see `node_folder`).

listen = "0.0.0.0:7400"             # for other nodes
api = "127.0.0.1:8400"              # for clients; also api_tls and api_plain, see `api.interface`
tick_ms = 1000                      # how often an idle chain has a block; 0: never
[peers]                             # where this node reaches others, if elsewhere than peers.json says
"1f3a...": "10.0.0.1:7400"
[raft]                              # times and bounds of the engine, all optional; [bft] on a chain of pbft or cgpbft
election_ms = 1000

A demo's nodes may have `clock = "declared"`: whoever plays the demo says with each step what time it is.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from wattquorum.consensus.bft.settings import Settings as BftSettings
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.refusals import Refused
from wattquorum.node import node_folder
from wattquorum.node.disk import read_file
from wattquorum.node.engines import Times
from wattquorum.node.node import TICK_MS, NodeConfig
from wattquorum.node.processes import NODE_FILE
from wattquorum.node.restarting import acts_in
from wattquorum.node.transport import Place
from wattquorum.node.wal import SEGMENT_BYTES

CONFIG: Final = NODE_FILE
PORT_MAX: Final = 65_535
KEYS: Final = ("listen", "api", "api_tls", "api_plain", "peers", "raft", "bft", "tick_ms", "clock", "wal_segment_bytes")
STEADY, DECLARED = "steady", "declared"  # clocks
WAL_SEGMENT_BYTES_MIN: Final = 1 << 20


S = TypeVar("S", Settings, BftSettings)


class NodeFile(NamedTuple):
    """What a node.toml says."""

    listen: Place
    api: Place
    peers: dict[bytes, Place]
    times: Times
    tick_ms: int
    declared: bool
    segment_bytes: int


def place(text: object, field: str) -> Place:
    """A host and a port; Refused("config_invalid") for anything else."""
    host, _, port = str(text).rpartition(":")
    if not isinstance(text, str) or not host or not port.isdecimal() or not 0 <= int(port) <= PORT_MAX:
        raise Refused("config_invalid", field, text, 'Write it as "10.0.0.1:7100".')
    return host.strip("[]"), int(port)


def written(place_: Place) -> str:
    """A place as it is written in a configuration."""
    host, port = place_
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parsed(text: str) -> NodeFile:
    """The content of a node.toml; Refused("config_invalid") with the field."""
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise Refused("config_invalid", CONFIG, fault) from None
    for key in found:
        if key not in KEYS:
            raise Refused("config_invalid", key, "unknown", f"Use {', '.join(KEYS)}.")
    tick = found.get("tick_ms", TICK_MS)
    if not isinstance(tick, int) or tick < 0:
        raise Refused("config_invalid", "tick_ms", tick, "Give whole milliseconds, or 0 for no ticks.")
    clock = found.get("clock", STEADY)
    if clock not in (STEADY, DECLARED):
        raise Refused("config_invalid", "clock", clock, f'Write "{STEADY}", or "{DECLARED}" for a demo.')
    segment = found.get("wal_segment_bytes", SEGMENT_BYTES)
    if not isinstance(segment, int) or segment < WAL_SEGMENT_BYTES_MIN:
        raise Refused("config_invalid", "wal_segment_bytes", segment, f"Give {WAL_SEGMENT_BYTES_MIN} or more.")
    return NodeFile(
        place(found.get("listen"), "listen"),
        place(found.get("api"), "api"),
        _peers(found.get("peers", {})),
        Times(_settings("raft", found.get("raft", {}), Settings), _settings("bft", found.get("bft", {}), BftSettings)),
        tick,
        clock == DECLARED,
        segment,
    )


def _peers(found: object) -> dict[bytes, Place]:
    if not isinstance(found, dict):
        raise Refused("config_invalid", "peers", found, "Write a table of addresses and places.")
    peers = {}
    for address, where in found.items():
        try:
            key = bytes.fromhex(address)
        except ValueError:
            key = b""
        if len(key) != ADDRESS_BYTES:
            raise Refused("config_invalid", "peers", address, "Give addresses of 40 hexadecimal digits.")
        peers[key] = place(where, f"peers.{address}")
    return peers


def _settings(table: str, found: object, kind: type[S]) -> S:
    known = [each.name for each in fields(kind)]
    if not isinstance(found, dict):
        raise Refused("config_invalid", table, found, "Write a table.")
    for name, value in found.items():
        if name not in known or not isinstance(value, int):
            raise Refused("config_invalid", f"{table}.{name}", value, f"Whole numbers for {', '.join(known)}.")
    return kind(**found)


def composed(
    listen: Place,
    api: Place,
    peers: Mapping[bytes, Place],
    raft: Mapping[str, int],
    bft: Mapping[str, int] | None = None,
) -> str:
    """The text of a node.toml."""
    lines = [f'listen = "{written(listen)}"', f'api = "{written(api)}"']
    if peers:
        lines += ["", "[peers]"]
        lines += [f'"{address.hex()}" = "{written(where)}"' for address, where in sorted(peers.items())]
    for name, table in (("raft", raft), ("bft", bft or {})):
        if table:
            lines += ["", f"[{name}]", *(f"{key} = {value}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def load(path: Path) -> tuple[NodeConfig, Place]:
    """A node's configuration from its node.toml, and where its API listens.

    Refused("config_invalid"), or for what `node_folder.load` refuses.
    """
    folder = path.parent
    found = parsed(read_file(path, path.name).decode("utf-8", "replace"))
    files = node_folder.load(folder, time.time_ns() // 1_000_000)
    config = NodeConfig(
        folder,
        files.key,
        files.genesis,
        found.listen,
        {**files.peers, **found.peers},
        files.contexts,
        found.times,
        tick_ms=found.tick_ms,
        declared=found.declared,
        segment_bytes=found.segment_bytes,
        restarts=acts_in(folder),
        places=found.peers,
    )
    return config, found.api
