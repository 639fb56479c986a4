"""`GET /v1/testimony`: what a node can prove of who agrees: of others, and of its own replica (B-5, B-6).

It is that node's word and no other's, and everything in it proves itself: a member's program takes it, signs it, and
the ledger checks it again.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from litestar import get
from litestar.datastructures import State as AppState

from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import encode
from wattquorum.ledger.attendance import left_out
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.node.node import Node


@dataclass(frozen=True, slots=True)
class LieShape:
    """Two statements of a member that exclude each other, and what they were about.

    `committee` is the version of voting powers of which it was a member; `evidence` is the encoded Equivocation, in
    base64, as an Accuse has it.
    """

    replica: str
    committee: int
    height: int
    view: int
    phase: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OwnCommitShape:
    """A height at which the replica agreed and whose certificate leaves it out, with its signature, as an Attest has
    it."""

    height: int
    view: int
    signature: str


@dataclass(frozen=True, slots=True)
class WitnessShape:
    """After the block at `height`: what the ledger does not know yet, and can still be told.

    `replica` is the node's, `member` who runs it; empty while it is nobody's.
    """

    height: int
    replica: str
    member: str
    lies: list[LieShape]
    left_out: list[OwnCommitShape]


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
