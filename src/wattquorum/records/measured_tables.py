"""What was measured of consensus while a week ran: no fact of the chain, so that no replay can give it again.

Whoever ran the replicas writes it here when they have stopped. Times are those of the simulated world in which they
ran, from its beginning on; where nodes ran live, those of the machine that played. Who completed a quorum, and powers,
follow from the chain as well; they are here beside what was measured, by replica.
"""

from __future__ import annotations

from typing import Final

from wattquorum.records.columns import table, whole, word

replicas_measured: Final = table(
    "replicas_measured",
    "The replicas of a run, in a simulated world or as live nodes; none when one sequencer ordered alone.",
    word("replica", "address", key=True),
    whole("number", "its place among the replicas, from 0"),
    word("member", "who runs it: address of the account whose standing carries its vote"),
)

elections_measured: Final = table(
    "elections_measured",
    "Who came to lead, in a simulated world.",
    whole("term", "the term that was won", key=True),
    word("leader", "replica that leads in it"),
    whole("won_world_ms", "when it was elected"),
    whole("height", "blocks that were committed by then"),
)

rounds_measured: Final = table(
    "rounds_measured",
    "Consensus on every block as measured in a simulated world, whose links and disks alone take time.",
    whole("height", "block", key=True),
    whole("term", "term in which it was proposed"),
    word("leader", "replica that proposed it"),
    whole("proposed_world_ms", "when it was proposed"),
    whole("consensus_world_ms", "from the proposal until the leader knew that it is committed"),
    whole("majority_world_ms", "until more than half of all replicas had stored it, whatever their votes weigh"),
    whole("quorum", "replicas in the quorum, with the leader; empty where no later block tells", maybe=True),
)

quorums_measured: Final = table(
    "quorums_measured",
    "Followers that completed the quorum for a block, as the leader told in a later block (A-12).",
    whole("height", "block", key=True),
    whole("place", "place in the order of their answers, from 0", key=True),
    word("replica", "replica that answered"),
)

powers_measured: Final = table(
    "powers_measured",
    "Voting power of every replica in every version that the ledger computed and the replicas installed.",
    whole("version", "version of voting powers; 0 is the genesis's", key=True),
    word("replica", "replica", key=True),
    whole("height", "block from which it was computed; 0: the genesis"),
    whole("power", "its power; powers of a version have a sum of their own"),
)

trials_measured: Final = table(
    "trials_measured",
    "Five replicas beside the run, two near each other and three far away: once with equal votes, once weighted.",
    word("engine", "raft or weighted-raft", key=True),
    whole("replica", "its number, those near each other first", key=True),
    whole("power", "its power at the end"),
)

writes_measured: Final = table(
    "writes_measured",
    "Writes to the replicas of a trial, sent evenly; after a third of them powers change.",
    word("engine", "raft or weighted-raft", key=True),
    whole("write", "its number, from 0", key=True),
    whole("took_world_ms", "until the leader had executed it; empty: it failed", maybe=True),
)

nodes_measured: Final = table(
    "nodes_measured",
    "How it stood with each node of a live cluster at the end; none where replicas ran in a simulated world.",
    word("replica", "replica that the node runs", key=True),
    whole("running", "1 if the process still ran, 0 if it had ended before"),
    whole("height", "blocks that it had, with the state that all have; empty where nobody answered", maybe=True),
)

answers_measured: Final = table(
    "answers_measured",
    "What a live cluster's client waited for every block, by the clock of the machine that played.",
    whole("height", "block", key=True),
    whole("term", "term in which it was proposed"),
    word("leader", "replica that proposed it"),
    whole("took_us", "from when its transactions were sent until the block was there, decided and executed"),
)

MEASURED: Final = (
    replicas_measured,
    elections_measured,
    rounds_measured,
    quorums_measured,
    powers_measured,
    trials_measured,
    writes_measured,
    nodes_measured,
    answers_measured,
)
