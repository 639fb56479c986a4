"""A few replicas with Raft engines in memory: a loop passes messages on and says at once that records are durable."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence

from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.transactions import Body, Payload, sign, transaction_hash
from wattquorum.replica.replica import Replica, founding_configuration
from wattquorum.simulation.founding import Founding

STEP_MS = 10
ROUNDS_MAX = 10_000  # of messages that follow from each other
HOUR = 3_600_000
BY_PARTICIPATION = {
    **{f"a_{name}": 0 for name in ("credit", "volume", "certificates", "carbon", "line")},
    **{f"b_{name}": 0 for name in ("credit", "volume", "certificates", "carbon")},
    "a_participation": 1_000_000,
    "b_participation": 1_000_000,
    "epoch_ms": 1_000,
    "hysteresis": 0,
    "probation_days": 0,
}


class Site:
    """Where one replica runs: its engine, what is durable there, and what it told."""

    def __init__(self, number: int, key: SigningKey, cluster: Cluster) -> None:
        self.number, self.key, self.cluster = number, key, cluster
        self.address = address_of(cluster.chain_id, key.public)
        self.records: list[Durable] = []
        self.finished: list[Executed] = []
        self.dropped: list[tuple[bytes, str]] = []
        self.up = False
        self.ahead_ms = 0  # of its clock
        self.start()

    def start(self, stored: Ledger | None = None, applied: int = 0) -> None:
        """As after a crash: with its durable records, and a ledger if it stored one, which is at index `applied`."""
        ledger = stored or Ledger(self.cluster.founding.genesis)
        settings = self.cluster.settings
        self.engine = Raft(
            self.address, founding_configuration(ledger), self.records, self.number, self.now, applied, settings
        )
        self.replica = Replica(self.engine, ledger, self.key, verify_each, tick_ms=self.cluster.tick_ms)
        self.up = True

    @property
    def now(self) -> Millis:
        """What its clock shows."""
        return Millis(self.cluster.now + self.ahead_ms)

    @property
    def ledger(self) -> Ledger:
        return self.replica.ledger

    def outcomes(self) -> dict[bytes, list[int]]:
        """What receipts it told of every transaction."""
        found: dict[bytes, list[int]] = {}
        for executed in self.finished:
            for receipt in executed.block.receipts:
                found.setdefault(receipt.transaction, []).append(int(receipt.outcome))
        return found

    def work(self) -> bool:
        """Does what there is to do; whether there was anything."""
        work = self.replica.drain(self.now)
        self.records += work.records
        self.finished += work.finished
        self.dropped += [(each.transaction, each.reason.code) for each in work.dropped]
        if work.records:
            self.replica.persisted(self.records[-1].position, self.now)
        self.cluster.frames.extend((self, message.to, message.data) for message in work.messages)
        return bool(work.records or work.messages or work.finished)


class Cluster:
    """Sites by number, one time for all and clocks by it, and links that tests cut."""

    def __init__(
        self,
        hosts: int = 3,
        parameters: dict[str, int] | None = None,
        settings: Settings | None = None,
        *,
        tick_ms: int = 0,
    ) -> None:
        self.tick_ms = tick_ms
        self.founding = Founding(1, hosts, 3, parameters or {})
        self.now = Millis(self.founding.created_ms + 1)
        self.settings = settings or Settings(election_ms=300, slot_ms=50, heartbeat_ms=50)
        self.chain_id = Ledger(self.founding.genesis).chain_id
        self.frames: deque[tuple[Site, bytes, bytes]] = deque()
        self.loses: Callable[[Site, Site, bytes], bool] = lambda _from, _to, _frame: False
        self.nonces: dict[bytes, int] = {}
        self.sites: list[Site] = []
        for number, key in enumerate(self.founding.host_keys):
            self.sites.append(Site(number, key, self))

    def settle(self) -> None:
        """Passes messages on until none is under way."""
        for rounds in itertools.count():
            if not (self.frames or sum(site.work() for site in self.sites if site.up)):
                return
            assert rounds < ROUNDS_MAX, "an exchange without an end"
            for _ in range(len(self.frames)):
                sender, to, frame = self.frames.popleft()
                for site in self.sites:
                    if site.address == to and site.up and sender.up and not self.loses(sender, site, frame):
                        site.replica.receive(sender.address, frame, site.now)

    def run(self, ms: int) -> None:
        """Lets time pass."""
        for _ in range(ms // STEP_MS):
            self.now = Millis(self.now + STEP_MS)
            for site in self.sites:
                if site.up:
                    site.replica.turn(site.now)
            self.settle()

    def until(self, holds: Callable[[], bool], ms: int = 20_000) -> None:
        """Lets time pass until something holds, which it must."""
        for _ in range(ms // STEP_MS):
            if holds():
                return
            self.run(STEP_MS)
        raise AssertionError("it did not come to hold")

    def leader(self) -> Site:
        """Who leads, waiting for somebody to; one in the highest term."""

        def leading() -> list[Site]:
            return [site for site in self.sites if site.up and site.engine.leader == site.address]

        self.until(lambda: bool(leading()))
        return max(leading(), key=lambda site: site.engine.term)

    def followers(self) -> list[Site]:
        leader = self.leader()
        return [site for site in self.sites if site is not leader and site.up]

    def sign(self, key: SigningKey, payload: Payload, lives_ms: int = 24 * HOUR) -> bytes:
        """A client's next transaction."""
        sender = address_of(self.chain_id, key.public)
        nonce = self.nonces.get(sender, 0)
        self.nonces[sender] = nonce + 1
        return sign(key, Body(self.chain_id, sender, nonce, 100_000, self.now + lives_ms, payload))

    def give(self, site: Site, *transactions: bytes) -> None:
        """A client gives a site transactions; they must be taken."""
        for data in transactions:
            refused = site.replica.accept(data, None, site.now)
            assert refused is None, refused
        site.replica.turn(site.now)

    def done(self, site: Site, transactions: Sequence[bytes]) -> bool:
        """Whether a site told that all of these were done, each once."""
        outcomes = site.outcomes()
        return all(outcomes.get(transaction_hash(data)) == [0] for data in transactions)

    def appoint(self, site: Site) -> None:
        """Every host is given to a member."""
        appointments = [payload for each in self.founding.appointments() for payload in each]
        data = [self.sign(self.founding.governor_key, payload) for payload in appointments]
        self.give(site, *data)
        self.until(lambda: self.done(site, data))

    def same(self) -> bool:
        """Whether all that run have the same chain."""
        return len({site.ledger.tip_hash for site in self.sites if site.up}) == 1
