"""Metrics: a node's counters and gauges in the text form that Prometheus reads."""

from __future__ import annotations

import time
from collections.abc import Iterator

from wattquorum.api.connections import Connections
from wattquorum.api.uploads import Uploads
from wattquorum.node import engines
from wattquorum.node.node import Node

Sample = tuple[str, str, str, dict[str, str], float]  # name, kind, help, labels, value


def _samples(node: Node) -> Iterator[Sample]:
    engine, runtime, transport = node.engine, node.runtime, node.transport
    yield "term", "gauge", "Term or view of the consensus", {}, engine.term
    yield "leader", "gauge", "1 while this node leads", {}, engine.leader == node.address
    yield "height", "gauge", "Blocks that this node has executed", {}, node.ledger.height
    yield "archived_height", "gauge", "Blocks in the chain folder", {}, node.archive.height
    yield "commit_index", "gauge", "Last index known to be committed", {}, engines.decided(engine)
    yield (
        "oversized_snapshot_bytes",
        "gauge",
        "Of the one it needs and may not take; 0: none",
        {},
        engines.oversized(engine, node.replica),
    )
    for (faulty, fault), count in sorted(engines.faults(engine).items()):
        what = {"peer": faulty.hex() or "strangers", "fault": fault.value}
        yield "faults_total", "counter", "What a peer did that no correct one does, by what it was", what, count
    for member, count in sorted(node.lies.counted.items()):
        yield (
            "lies_proven_total",
            "counter",
            "Heights of which a member lied provably",
            {"replica": member.hex()},
            count,
        )
    unreadable = node.replica.unreadable + node.unreadable
    yield "unreadable_total", "counter", "Messages of peers that could not be read or used", {}, unreadable
    yield "waiting_transactions", "gauge", "Transactions in the pool that no block has", {}, node.replica.waiting
    yield "halted", "gauge", "1 when this node takes part no more", {}, node.halted is not None
    yield "disk_full", "gauge", "1 while the disk has no room", {}, runtime.full or node.archive.full
    yield "unsynced_records", "gauge", "Records that are not durable yet", {}, runtime.unsynced
    yield "turns_total", "counter", "Turns of the event loop with work", {}, runtime.turns
    yield "syncs_total", "counter", "Syncs of the write-ahead log", {}, runtime.syncs
    yield "sync_seconds_total", "counter", "Time that these took", {}, runtime.sync_ns / 1e9
    yield "uptime_seconds", "gauge", "Since the start of the process", {}, time.monotonic() - node.started_s
    yield "clock_apart_seconds", "gauge", "By how much the wall clock is ahead", {}, node.clock.apart_ms / 1e3
    counters = transport.counters
    yield "received_messages_total", "counter", "Messages from peers", {}, counters.received_messages
    yield "received_bytes_total", "counter", "Bytes in them", {}, counters.received_bytes
    for reason, count in sorted(counters.turned_away.items()):
        yield "turned_away_total", "counter", "Connections of others that ended, by reason", {"reason": reason}, count
    for reason, count in sorted(counters.broken.items()):
        yield "broken_total", "counter", "Own connections that ended or failed, by reason", {"reason": reason}, count
    for peer in transport.peers():
        labels = {"peer": peer.address.hex()}
        yield "peer_connected", "gauge", "1 while connected", labels, peer.connected_ms is not None
        if peer.round_trips_ms:
            yield "peer_round_trip_seconds", "gauge", "Of the last probe", labels, peer.round_trips_ms[-1] / 1e3
        yield "peer_backlog_bytes", "gauge", "Bytes that wait to be sent", labels, peer.backlog_bytes
        yield "peer_dropped_messages_total", "counter", "Messages that were not sent", labels, peer.dropped_messages
        yield "peer_sent_bytes_total", "counter", "Bytes sent", labels, peer.sent_bytes


def _of_clients(connections: Connections, uploads: Uploads) -> Iterator[Sample]:
    yield "client_connections", "gauge", "Connections of clients", {}, len(connections)
    yield "client_connections_max", "gauge", "How many there may be", {}, connections.bounds.connections_max
    yield "upload_bytes", "gauge", "Of large requests of clients that are under way", {}, uploads.bytes
    for reason, count in sorted(connections.turned_away.items()):
        labels = {"reason": reason}
        yield "clients_turned_away_total", "counter", "Connections and uploads of clients ended", labels, count


def exposition(node: Node, connections: Connections, uploads: Uploads) -> str:
    """All of them, each with its help."""
    lines: list[str] = []
    told: dict[str, None] = {}
    samples = [*_samples(node), *_of_clients(connections, uploads)]
    for name, kind, what, labels, value in sorted(samples, key=lambda sample: sample[0]):
        full = f"wattquorum_{name}"
        if full not in told:
            told[full] = None
            lines += [f"# HELP {full} {what}.", f"# TYPE {full} {kind}"]
        inside = ",".join(f'{key}="{each}"' for key, each in labels.items())
        lines.append(f"{full}{{{inside}}} {float(value):g}" if inside else f"{full} {float(value):g}")
    return "\n".join(lines) + "\n"
