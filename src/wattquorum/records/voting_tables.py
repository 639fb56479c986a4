"""The tables of who votes: validators, versions of their powers, and what they earned by taking part (A-12, L-17)."""

from __future__ import annotations

from typing import Final

from wattquorum.records.columns import superseded, table, whole, word

validators: Final = table(
    "validators",
    "Replicas and who runs them, with every change (L-17).",
    whole("height", "block; 0 for the genesis", key=True),
    whole("sequence", "place among the block's facts", key=True),
    word("replica", "address of the replica"),
    word("public_key", "its key"),
    word("member", "whose standing carries its vote; empty while it is nobody's"),
    word("seat", "learner, voter or removed"),
    superseded(),
)

vectors: Final = table(
    "vectors",
    "Versions of who votes with how much power. Which one is in force the rounds tell.",
    whole("version", "0 is the genesis's", key=True),
    word("replica", "address of the replica", key=True),
    whole("power", "its power in votes; 0 for a learner, which has none"),
    whole("learner", "1 for a learner"),
    whole("height", "block that made this version; 0 for the genesis"),
)

rounds: Final = table(
    "rounds",
    "Rounds of which evidence counted: who completed the quorum for a block (A-12).",
    whole("height", "the block that was decided", key=True),
    whole("term", "the leader's term"),
    whole("old_version", "version of who voted, or the one being left while a change was joint"),
    whole("new_version", "version of who voted"),
    word("proposer", "address of the leader's replica, which earns nothing"),
    word("followers", "addresses of the others, in the order of their answers"),
    whole("told_height", "the block that brought the evidence"),
)

participation: Final = table(
    "participation",
    "What epochs made of participation; a row where rounds were counted or it changed (A-12, A-16, L-16).",
    whole("height", "the epoch's last block", key=True),
    word("replica", "address of the replica", key=True),
    word("member", "who runs it; empty while it is nobody's"),
    whole("replies", "valid replies in the epoch"),
    whole("rounds", "rounds of the epoch of which evidence counted"),
    whole("before_points_millionths", "participation before"),
    whole("after_points_millionths", "participation after, decay included"),
    whole("decayed", "1 if the epoch ended with a decay"),
)
