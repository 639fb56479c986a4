"""The HTTP interface of a node: JSON for people and programs, one binary path for gateways that submit thousands.

Refusals are answers: code, field, value and remedy, with a status that says who can do something about it. A
transaction that was handed in is answered when its block is decided; whoever hears nothing hands the same one in
again, anywhere. Reads are linearizable unless `stale=true` asks for what this node has at hand. Every answer names the
replica that gives it and the one that leads, so that clients find the shortest way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from litestar import Litestar, Response, get
from litestar.datastructures import State as AppState
from litestar.datastructures.headers import MutableScopeHeaders
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Message, Scope

from wattquorum import __version__
from wattquorum.api import chain, reading
from wattquorum.api.connections import Connections
from wattquorum.api.elections import booth, elections
from wattquorum.api.handing_in import batch, submit
from wattquorum.api.members import members
from wattquorum.api.metrics import exposition
from wattquorum.api.refusing import Asked, failed, refusal, unreadable
from wattquorum.api.shapes import PeerShape, StatusShape, VoterShape
from wattquorum.api.sharing import Streams, Turns
from wattquorum.api.steps import step
from wattquorum.api.terms import LEADER_HEADER, REPLICA_HEADER, TIME_HEADER
from wattquorum.api.testimony import testimony
from wattquorum.api.uploads import Uploads
from wattquorum.foundation.refusals import Refused
from wattquorum.node import engines
from wattquorum.node.node import Node


@dataclass(frozen=True, slots=True)
class HealthShape:
    """How it is, in a word, or why not."""

    status: str


def status_shape(node: Node) -> StatusShape:
    """A node's state as it is told."""
    engine, ledger = node.engine, node.ledger
    effective = engine.configuration
    fewest, most = engines.quorum_sizes(engine, effective)
    return StatusShape(
        node.address.hex(),
        node.chain_id.hex(),
        engines.role(engine, node.address),
        engine.term,
        engine.leader.hex(),
        ledger.height,
        ledger.digest.hex(),
        node.archive.height,
        engines.decided(engine),
        str(node.halted or ""),
        node.runtime.full or node.archive.full,
        node.clock.apart_ms,
        node.replica.waiting,
        effective.version,
        effective.old is not None,
        [VoterShape(voter.replica.hex(), voter.power) for voter in effective.new],
        [replica.hex() for replica in effective.learners],
        fewest,
        most,
        [
            PeerShape(
                peer.address.hex(),
                f"{peer.host}:{peer.port}",
                peer.connected_ms is not None,
                peer.heard_ms is not None,
                round(peer.round_trips_ms[-1], 3) if peer.round_trips_ms else None,
                peer.backlog_bytes,
                peer.dropped_messages,
                peer.last_error,
            )
            for peer in node.transport.peers()
        ],
        dict(sorted(node.transport.counters.turned_away.items())),
    )


@get("/v1/status", summary="How it stands with this node", tags=["node"])
async def status(state: AppState) -> StatusShape:
    """Who leads, who votes with how much power, who is connected, and what waits."""
    return status_shape(state.node)


@get("/metrics", media_type="text/plain; version=0.0.4", summary="Metrics for Prometheus", tags=["node"])
async def metrics(state: AppState) -> str:
    """Counters and gauges of this node."""
    return exposition(state.node, state.connections, state.uploads)


@get("/health/live", summary="Whether the process answers", tags=["node"])
async def live() -> HealthShape:
    """Always, while it does."""
    return HealthShape("live")


NOT_READY: Final = {503: ResponseSpec(HealthShape, generate_examples=False, description="It is not; why.")}


@get("/health/ready", summary="Whether this node can take transactions", responses=NOT_READY, tags=["node"])
async def ready(state: AppState) -> Response[HealthShape]:
    """Ready while it takes part, knows who leads, and has room on its disk."""
    node: Node = state.node
    why = str(node.halted) if node.halted else ""
    if not why and not node.engine.leader:
        why = "no leader is known"
    if not why and (node.runtime.full or node.archive.full):
        why = "its disk is full"
    return Response(HealthShape(why or "ready"), status_code=503 if why else 200)


async def named(message: Message, scope: Scope) -> None:
    """Puts on every answer who gives it, who leads, and how far the chain's time is."""
    if message["type"] == "http.response.start":
        node: Node = scope["litestar_app"].state.node
        headers = MutableScopeHeaders.from_message(message)
        headers[REPLICA_HEADER] = node.address.hex()
        headers[LEADER_HEADER] = node.engine.leader.hex()
        headers[TIME_HEADER] = str(node.ledger.tip.time_ms if node.ledger.tip else 0)


def application(node: Node, connections: Connections | None = None) -> Litestar:
    """The interface of a node, and the connections over which it is reached, if it counts them."""
    if connections is None:
        connections = Connections()
    uploads = Uploads(connections.turned_away)
    told = [*chain.HANDLERS, *reading.HANDLERS, members, elections, booth, testimony]
    handlers = [submit, batch, step, *told, status, metrics, live, ready]
    shared = {"streams": Streams(), "turns": Turns()}
    openapi = OpenAPIConfig(title="WattQuorum node", version=__version__, render_plugins=[JsonRenderPlugin()])
    return Litestar(
        handlers,
        state=AppState({**shared, "node": node, "under_way": 0, "connections": connections, "uploads": uploads}),
        middleware=[uploads.around],
        openapi_config=openapi,
        request_class=Asked,
        before_send=[named],
        exception_handlers={Refused: refusal, HTTPException: unreadable, Exception: failed},
    )
