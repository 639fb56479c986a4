"""Comparison: what weights can do at best, plain and weighted Raft on the same links under the same load.

Five replicas; two of them stand next to each other, the other three far away. With equal votes every write has to go
far; with powers of 4, 4, 1, 1 and 1 the two decide alone, and any one of the five may still be lost. Powers come to be
so as they would on a live ledger, by standing: carbon is the one component that counts here, and when its period is
closed, in the middle of the load, two members have surplus and three have none. Everything is chosen to show one thing;
the trading week shows how much of it standing brings about by itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import MILLION, Power, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cluster import Machines
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, chain_id_of, encode_genesis
from wattquorum.ledger.protocols import Protocol
from wattquorum.ledger.transactions import (
    AddValidator,
    Body,
    CloseCarbonPeriod,
    Deposit,
    GrantQuota,
    MeterPoint,
    Payload,
    Propose,
    Register,
    ReportEmissions,
    sign,
    transaction_hash,
)
from wattquorum.simulation.demo_keys import DemoSecrets
from wattquorum.simulation.founding import CREATED
from wattquorum.simulation.host import Host
from wattquorum.simulation.network import Network, Weather

NEAR: Final = 2  # replicas next to each other, who become heavy
FAR: Final = 3
NEAR_MS: Final = 1  # round trip
FAR_MS: Final = 50
OFFICE: Final = "office"  # who is governor, registrar, cashier and carbon registry at once
ONLY_CARBON: Final = {
    **{f"b_{name}": 0 for name in ("credit", "participation", "certificates")},
    "b_volume": 970_000,  # nobody trades
    "b_carbon": 30_000,  # 100 points weigh 3: with the floor of one, 4 against 1
}
QUOTA: Final = 1_000
GAP_MS: Final = 20  # between two writes
WRITES: Final = 240  # in a trial beside a week
PATIENCE_MS: Final = 10_000


class Trial(NamedTuple):
    """One engine under load: what each write took, and how it ended."""

    writes_ms: tuple[int | None, ...]  # until the leader had executed it, in the order of sending; None: not in time
    terms: int  # elections
    powers: tuple[int, ...]  # at the end, of the near replicas first

    @property
    def took_ms(self) -> tuple[int, ...]:
        """Of those that were executed."""
        return tuple(each for each in self.writes_ms if each is not None)

    @property
    def sent(self) -> int:
        """How many writes there were."""
        return len(self.writes_ms)

    @property
    def failed(self) -> int:
        """Writes that were in no block in time; one that is refused ends the trial."""
        return self.sent - len(self.took_ms)

    @property
    def settled_p50_ms(self) -> int:
        """The median of the last third of the writes, long after powers have changed."""
        last = sorted(self.took_ms[-(len(self.took_ms) // 3) :])
        return last[len(last) // 2]


def tried(engine: Protocol, seed: int, writes: int) -> Trial:
    """Sends so many writes to the leader, one every `GAP_MS`; after a third of them the carbon period is closed."""
    return _Load(engine, seed).run(writes)


def trial_rows(seed: int) -> dict[str, list[dict[str, int | str | None]]]:
    """Both engines' trials as rows of `records.measured_tables`, by table."""
    trials = {engine: tried(engine, seed, WRITES) for engine in (Protocol.WEIGHTED_RAFT, Protocol.RAFT)}
    return {
        "trials_measured": [
            {"engine": engine, "replica": replica, "power": power}
            for engine, trial in trials.items()
            for replica, power in enumerate(trial.powers)
        ],
        "writes_measured": [
            {"engine": engine, "write": number, "took_world_ms": took}
            for engine, trial in trials.items()
            for number, took in enumerate(trial.writes_ms)
        ],
    }


class _Load:
    """The five replicas, the office that writes, and when each write was sent and done."""

    def __init__(self, engine: Protocol, seed: int) -> None:
        secrets = DemoSecrets(seed, demo=True)
        self.key = secrets.key(OFFICE)
        self.members = [secrets.key(f"member-{number}") for number in range(NEAR + FAR)]
        replicas = [secrets.key(f"replica-{number}") for number in range(NEAR + FAR)]
        roles = ("GOVERNOR", "REGISTRAR", "CASHIER", "REGISTRY")
        parameters = {**engine.parameters(), "epoch_ms": 1_000, "probation_days": 0, **ONLY_CARBON}
        founders = (Founder(OFFICE, OFFICE, self.key.public.hex(), roles),)
        proposers = tuple(key.public.hex() for key in replicas)
        genesis = encode_genesis(
            Genesis(FORMAT, "comparison", "CNY", True, CREATED, 1, founders, proposers, parameters)
        )
        self.chain_id = chain_id_of(genesis)
        # In the order of their addresses: among equals the first one is elected, and it is a near one.
        self.replicas = sorted(replicas, key=lambda key: address_of(self.chain_id, key.public))
        chance = Chance(seed).stream("comparison")
        network = Network(len(replicas), Weather(delay_ms=(0, 0), jitter_ms=0, ordered=True), chance.stream("links"))
        for one in range(len(replicas)):
            for other in range(len(replicas)):
                trip = NEAR_MS if max(one, other) < NEAR else FAR_MS
                network.set_delay(one, other, trip // 2 if one < other else trip - trip // 2)
        self.machines = Machines(genesis, self.replicas, network, Settings(), chance)
        self.machines.first = self._done
        self.nonce = 0
        self.sent: dict[bytes, int] = {}  # when each write was
        self.done: dict[bytes, int] = {}

    def run(self, writes: int) -> Trial:
        leader = self.machines.rest()
        self._found(leader)
        for number in range(writes):
            if number == writes // 3:
                self._send(leader, CloseCarbonPeriod(1))
            data = self._send(leader, Deposit(self.address(self.key), 1, f"write-{number}"))
            self.sent[transaction_hash(data)] = self.machines.now
            self.machines.happen_until(self.machines.now + GAP_MS)
        end = self.machines.now + PATIENCE_MS
        while any(write not in self.done for write in self.sent) and self.machines.now < end:
            self.machines.happen_until(self.machines.now + GAP_MS)
        took = [self.done[write] - at if write in self.done else None for write, at in self.sent.items()]
        assert leader.engine is not None
        powers = {voter.replica: voter.power for voter in leader.engine.configuration.new}
        return Trial(
            tuple(took),
            len(self.machines.elections),
            tuple(powers[host.address] for host in self.machines.hosts),
        )

    def address(self, key: SigningKey) -> bytes:
        return address_of(self.chain_id, key.public)

    def _found(self, leader: Host[Raft]) -> None:
        """Registers the members, gives each its replica and its carbon, of which the near ones will have surplus."""
        for number, (member, replica) in enumerate(zip(self.members, self.replicas, strict=True)):
            name, own = f"member-{number}", self.address(member)
            point = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
            self._send(leader, Register(member.public, name, name, (point,)))
            self._send(leader, Propose(AddValidator(own, replica.public)))
            self._send(leader, GrantQuota(own, QUOTA))
            self._send(leader, ReportEmissions(own, 1, 0 if number < NEAR else QUOTA))
        self.machines.rest()

    def _send(self, leader: Host[Raft], payload: Payload) -> bytes:
        expires = CREATED + self.machines.now + 1_000_000
        data = sign(self.key, Body(self.chain_id, self.address(self.key), self.nonce, 100_000, expires, payload))
        self.nonce += 1
        refused = self.machines.submit(leader, data)
        if refused is not None:
            raise refused
        return data

    def _done(self, _host: Host[Raft], executed: Executed) -> None:
        for receipt in executed.block.receipts:
            if receipt.outcome is not Outcome.DONE:
                raise Refused(receipt.code, receipt.field, receipt.value)
            self.done[receipt.transaction] = self.machines.now
