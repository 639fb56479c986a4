"""`GET /v1/testimony`: what a node can prove of who agrees: of others, and of its own replica (B-5, B-6).

It is that node's word and no other's, and everything in it proves itself: a member's program takes it, signs it, and
the ledger checks it again.
"""

from __future__ import annotations

import base64

from litestar import get
from litestar.datastructures import State as AppState

from wattquorum.api.shapes import LieShape, OwnCommitShape, WitnessShape
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import encode
from wattquorum.ledger.attendance import left_out
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.node.node import Node


def testimony_shape(node: Node) -> WitnessShape:
    """All that a node can prove."""
    state, engine, me = node.ledger.state, node.engine, node.address
    lies = [
        LieShape(
            each.member.hex(),
            each.epoch,
            each.height,
            each.view,
            Phase(each.phase).name.lower(),
            base64.b64encode(encode(each)).decode(),
        )
        for each in node.lies.pending(state)
    ]
    commits = []
    if isinstance(engine, Bft):
        for height in left_out(state, me):
            found = engine.own_commit(height)
            if found is not None:
                commits.append(OwnCommitShape(height, found[0], found[1].hex()))
    validator: Validator | None = state.get(Table.VALIDATOR, me)
    member = validator.member.hex() if validator is not None else ""
    return WitnessShape(node.ledger.height, me.hex(), member, lies, commits)


@get("/v1/testimony", summary="What this node can prove of who agrees", tags=["node"])
async def testimony(state: AppState) -> WitnessShape:
    """Lies of members, and heights at which its own replica agreed though their certificates leave it out."""
    return testimony_shape(state.node)
