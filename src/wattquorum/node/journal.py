"""The journal: what an operator should hear of a node, as events with their circumstances.

Nothing on the way of a transaction speaks to it. It looks at the node ten times a second, compares with what it saw
last, and tells the difference: so it costs the same however much is done, and of what changes several times in between
the last is told, with numbers (terms, versions, counts) that show the rest. What repeats, as strangers that are turned
away or slow syncs, is summed up and told once in a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from wattquorum.consensus.bft.desk import FAULTS, Fault
from wattquorum.consensus.bft.statements import Phase
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.configuration import Configuration
from wattquorum.ledger.execution import Executed
from wattquorum.node import engines
from wattquorum.node.node import Node

LOOK_S: Final = 0.1
REPEAT_S: Final = 10.0  # how often what repeats is told
SLOW_NS: Final = 100_000_000  # a sync of the log that takes longer is slow
APART_MS: Final = 1_000  # clocks that are further apart are told

Say = Callable[..., None]

EVENTS: Final[Mapping[str, str]] = {
    "started": "the node listens and takes part; with its version",
    "stopped": "it ended in order; with its version",
    "not_ended": "it was asked to end, and this step of that was not over in time; where its tasks stand was written",
    "halted": "it takes part no more, and why: a refusal's code, field, value and remedy",
    "torn_tail_cut": "what an interrupted write had left at the end of the log was cut",
    "renewed": "it took up a new TLS identity, list of revocations or places of peers from its folder",
    "not_renewed": "what was put into its folder is not sound, and why",
    "campaigns": "it heard of no leader in time and asks for votes",
    "leads": "it leads since this term",
    "follows": "another one leads since this term",
    "leaderless": "it knows of nobody who leads",
    "voters_changed": "another version of voting powers is effective; `joint` while the change is under way",
    "snapshot_taken": "the state at an epoch's end was kept, and the log before it is let go",
    "state_taken_over": "it was far behind and took another replica's state over",
    "state_not_taken": "a peer gave no state to take over in time, or a false one: then it lied",
    "blocks_missing": "it has to fetch blocks that it did not see",
    "blocks_refused": "a peer gave blocks that are not what is missing, or not the chain's, and why",
    "blocks_complete": "its chain folder has no gap any more",
    "disk_full": "the disk has no room: nothing new is taken from clients or confirmed to other nodes here",
    "disk_recovered": "there is room again",
    "slow_syncs": "the disk took more than a tenth of a second to make records durable",
    "peer_connected": "a connection to another node is there",
    "peer_lost": "it is gone, and why",
    "refused_by_peers": "other nodes turn this one away, which they are, and why the last one did",
    "turned_away": "connections of others that were refused or ended, by reason",
    "clients_turned_away": "connections or uploads of clients that were refused or ended, by reason",
    "messages_dropped": "what was to be said to a peer was dropped, since it was away or slow",
    "peer_at_fault": "a peer did what no correct one does: which, what, and how often; told at 1, 2, 4 and so on",
    "lie_proven": "a member signed two statements that exclude each other: who, and of which height and view",
    "clock_apart": "the wall clock is more than a second off the clock that blocks are given",
    "clock_together": "it is not any more",
}


class Journal:
    """What was seen of a node last. `keep` it in the node's loop, or `look` by hand."""

    __slots__ = (
        "_apart",
        "_dropped",
        "_faults",
        "_full",
        "_ledger",
        "_missing",
        "_node",
        "_ordering",
        "_peers",
        "_refused",
        "_repeated_s",
        "_role",
        "_say",
        "_slow",
        "_syncs",
        "_turned",
        "_voters",
    )

    def __init__(self, node: Node, say: Say) -> None:
        self._node, self._say = node, say
        self._ordering: tuple[int, bytes] = (0, b"")
        self._role = ""
        self._voters: Configuration | None = None
        self._ledger = node.ledger
        self._missing = self._full = self._apart = False
        self._syncs = (node.runtime.syncs, node.runtime.sync_ns)
        self._slow = (0, 0)  # slow ones that were not told yet, and the time that they took
        self._peers: dict[bytes, int | None] = {}
        self._turned: Counter[str] = Counter()
        self._refused = 0
        self._faults: dict[tuple[bytes, Fault], int] = {}  # as they were told
        self._dropped = 0
        self._repeated_s = time.monotonic()
        node.watch(self._executed)
        node.lies.watch(self._lied)

    async def keep(self) -> None:
        """Looks, again and again, until it is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def _executed(self, executed: Executed) -> None:
        header = executed.block.header
        if header.state_root:
            self._say("snapshot_taken", height=header.height, epoch=header.epoch)

    def _lied(self, lie: Equivocation) -> None:
        phase = Phase(lie.phase).name.lower()
        where = {"height": lie.height, "view": lie.view, "phase": phase, "committee": lie.epoch}
        self._say("lie_proven", replica=lie.member.hex(), **where)

    def look(self) -> None:
        """Tells what has changed."""
        self._look_at_leadership()
        self._look_at_voters()
        self._look_at_state()
        self._look_at_disk()
        self._look_at_peers()
        if time.monotonic() - self._repeated_s >= REPEAT_S:
            self.repeat()

    def _look_at_leadership(self) -> None:
        engine = self._node.engine
        role, ordering = engines.role(engine, self._node.address), (engine.term, engine.leader)
        if role != self._role and role in ("prospect", "candidate") and self._role not in ("prospect", "candidate"):
            self._say("campaigns", term=engine.term)
        if ordering != self._ordering:
            if engine.leader == self._node.address:
                self._say("leads", term=engine.term)
            elif engine.leader:
                self._say("follows", leader=engine.leader.hex(), term=engine.term)
            elif self._ordering[1]:
                self._say("leaderless", term=engine.term, last=self._ordering[1].hex())
        self._role, self._ordering = role, ordering

    def _look_at_voters(self) -> None:
        configuration = self._node.engine.configuration
        if configuration == self._voters:
            return
        if self._voters is not None:
            self._say(
                "voters_changed",
                version=configuration.version,
                joint=configuration.old is not None,
                voters={voter.replica.hex(): voter.power for voter in configuration.new},
                learners=[replica.hex() for replica in configuration.learners],
            )
        self._voters = configuration

    def _look_at_state(self) -> None:
        node = self._node
        if node.ledger is not self._ledger:
            self._say("state_taken_over", height=node.ledger.height, before=self._ledger.height)
            self._ledger = node.ledger
        for failed in engines.failures(node.replica):
            self._say(
                "state_not_taken",
                peer=failed.peer.hex(),
                height=failed.height,
                lied=failed.lied,
                reason=failed.reason,
            )
        refused, node.refused_blocks = node.refused_blocks, []
        for peer, reason in refused:
            self._say("blocks_refused", peer=peer.hex(), reason=str(reason))
        missing = node.archive.missing
        if missing is not None and not self._missing:
            self._say("blocks_missing", first=missing.first, last=missing.last)
        elif missing is None and self._missing:
            self._say("blocks_complete", height=node.archive.height)
        self._missing = missing is not None
        apart = abs(node.clock.apart_ms) > APART_MS
        if apart != self._apart:
            self._say("clock_apart" if apart else "clock_together", milliseconds=node.clock.apart_ms)
            self._apart = apart

    def _look_at_disk(self) -> None:
        node, runtime = self._node, self._node.runtime
        full = runtime.full or node.archive.full
        if full and not self._full:
            self._say("disk_full", log=runtime.full, chain=node.archive.full, unsynced=runtime.unsynced)
        elif self._full and not full:
            self._say("disk_recovered", height=node.ledger.height)
        self._full = full
        syncs, taken = runtime.syncs - self._syncs[0], runtime.sync_ns - self._syncs[1]
        self._syncs = (runtime.syncs, runtime.sync_ns)
        if syncs and taken > SLOW_NS * syncs:
            self._slow = (self._slow[0] + syncs, self._slow[1] + taken)

    def _look_at_peers(self) -> None:
        found: dict[bytes, int | None] = {}
        for peer in self._node.transport.peers():
            found[peer.address] = peer.connected_ms
            before = self._peers.get(peer.address)
            if peer.connected_ms == before:
                continue
            place = f"{peer.host}:{peer.port}"
            if before is not None:
                self._say("peer_lost", peer=peer.address.hex(), place=place, reason=peer.last_error)
            if peer.connected_ms is not None:
                self._say("peer_connected", peer=peer.address.hex(), place=place)
        for address in self._peers:
            if address not in found and self._peers[address] is not None:
                self._say("peer_lost", peer=address.hex(), place="", reason="it is no peer any more")
        self._peers = found
        for (faulty, fault), count in engines.faults(self._node.engine).items():
            if count >= 2 * self._faults.get((faulty, fault), 0):
                self._faults[faulty, fault] = count
                name = faulty.hex() or "strangers"
                self._say("peer_at_fault", peer=name, fault=fault.value, meaning=FAULTS[fault], count=count)

    def repeat(self) -> None:
        """Tells what was summed up since it did so last."""
        self._repeated_s = time.monotonic()
        counters = self._node.transport.counters
        for reason, total in sorted(counters.turned_away.items()):
            if total > self._turned[reason]:
                self._say("turned_away", reason=reason, count=total - self._turned[reason], total=total)
        self._turned = Counter(counters.turned_away)
        if counters.broken["refused"] > self._refused:
            refusing = [each for each in self._node.transport.peers() if each.refuses]
            if refusing:
                last = max(refusing, key=lambda each: each.last_error_ms or 0)
                self._say("refused_by_peers", peers=[each.address.hex() for each in refusing], reason=last.last_error)
            self._refused = counters.broken["refused"]
        if counters.dropped_messages > self._dropped:
            dropped = counters.dropped_messages
            self._say("messages_dropped", count=dropped - self._dropped, total=dropped)
            self._dropped = dropped
        if self._slow[0]:
            self._say("slow_syncs", count=self._slow[0], mean_ms=self._slow[1] // self._slow[0] // 1_000_000)
            self._slow = (0, 0)
