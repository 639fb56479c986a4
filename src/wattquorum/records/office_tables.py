"""The tables of agents: groups, votes, offices, and what conduct did to trust (B-3 to B-7)."""

from __future__ import annotations

from typing import Final

from wattquorum.records.columns import table, whole, word

groups: Final = table(
    "election_groups",
    "Groups in which members vote for the agents of the next epoch (B-3).",
    whole("epoch", "the epoch in which they vote", key=True),
    whole("number", "from 1", key=True),
    whole("members", "how many carry a vote in it"),
    whole("traded_wh", "sum of their traded energy N when it was formed"),
    whole("trust_points_millionths", "sum of their trust T when it was formed"),
    whole("height", "block that formed it, the last of the epoch before"),
)

electors: Final = table(
    "electors",
    "Who carries a vote in which group: one account of each legal owner (L-17).",
    whole("epoch", "the epoch in which it votes", key=True),
    word("member", "address of the account", key=True),
    whole("group_number", "its group"),
)

votes: Final = table(
    "votes",
    "Votes for agents (B-4).",
    whole("epoch", "the epoch in which it was cast", key=True),
    word("voter", "who voted", key=True),
    whole("group_number", "the group of both"),
    word("candidate", "for whom"),
    whole("height", "block"),
)

stands: Final = table(
    "stands",
    "Members who stood for election (B-4).",
    whole("epoch", "the epoch at whose end the votes were counted", key=True),
    word("member", "who stood, by the account that carries its vote", key=True),
    whole("group_number", "its group"),
    word("replica", "address of the replica that it runs"),
    whole("height", "block"),
)

agents: Final = table(
    "agents",
    "Agents in the committee of each version, in their order (B-4, B-8).",
    whole("version", "of who agrees; 0 is the genesis's", key=True),
    whole("place", "in the order: 0 proposes first, 1 when that fails", key=True),
    whole("epoch", "in which the version began"),
    word("replica", "address of the replica"),
    whole("group_number", "the group for which it agrees; 0 for none"),
    whole("votes_points_millionths", "T of those who voted for it; 0 where it was not elected"),
    whole("height", "block that made the version; 0 for the genesis"),
)

attestations: Final = table(
    "attestations",
    "Heights for which a replica showed that it signed, though their certificates leave it out (B-5).",
    whole("height", "the height", key=True),
    word("replica", "address of the replica", key=True),
    whole("told_height", "block"),
)

accusations: Final = table(
    "accusations",
    "Replicas that were proven to have signed two statements that exclude each other (B-6).",
    whole("epoch", "of its office", key=True),
    word("replica", "address of the replica", key=True),
    whole("height", "for which it signed twice"),
    whole("view", "in which it did"),
    whole("phase", "1 pre-prepare, 2 prepare, 3 commit"),
    word("accuser", "who showed it"),
    whole("told_height", "block"),
)

failed_views: Final = table(
    "failed_views",
    "Views in which a primary got nothing certified (B-5).",
    whole("told_height", "block that carries the certificate of a later view", key=True),
    word("replica", "address of the primary's replica", key=True),
    whole("views", "how many such views"),
    whole("epoch", "of its office"),
    whole("version", "of who agreed"),
    whole("height", "what was certified in the later view"),
)

offices: Final = table(
    "offices",
    "How agents held their office, settled after each epoch (B-5).",
    whole("epoch", "the epoch", key=True),
    word("replica", "address of the replica", key=True),
    whole("heights", "while it was in the committee"),
    whole("attended", "those for which it is known to have signed"),
    whole("epoch_heights", "heights of the epoch"),
    whole("lied", "1 if that was proven"),
    whole("settled_height", "block that settled it"),
)

trust: Final = table(
    "trust",
    "What office, votes and idleness did to trust T, side by side of an account (B-5, B-7).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("epoch", "the epoch whose conduct it was"),
    word("member", "whose trust"),
    word("side", "sell or buy"),
    word("why", "behaved, absent, lied, failed_view or idle"),
    word("replica", "whose conduct; empty for idleness"),
    whole("backer", "1 where the owner voted for that replica's member"),
    whole("before_points_millionths", "trust before"),
    whole("after_points_millionths", "trust after"),
)
