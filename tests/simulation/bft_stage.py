"""A stage for scenes among replicas that agree: quiet until a scene does something, and everything is looked at."""

from __future__ import annotations

from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.settings import Settings
from wattquorum.foundation.identities import address_of
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.transactions import Body, Deposit, sign, transaction_hash
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.checkers import must
from wattquorum.simulation.host import Host
from wattquorum.simulation.network import Weather

QUICK = Settings(
    timeout_ms=400, timeout_max_ms=3_200, resend_ms=100, fetch_ms=50, poll_ms=300, skew_ms=1_000, censor_ms=1_500
)
DAY_MS = 86_400_000


class Stage:
    """Replicas of one chain and one client, who signs deposits."""

    def __init__(self, hosts: int = 4, settings: Settings = QUICK, tick_ms: int = 0, epoch_ms: int = DAY_MS) -> None:
        self.world = BftWorld(
            1,
            BftNature(
                hosts=hosts,
                weather=Weather(),
                settings=settings,
                parameters={"consensus": int(Consensus.PBFT), "drift_ms": settings.skew_ms, "epoch_ms": epoch_ms},
                clients=1,
                tick_ms=tick_ms,
            ),
        )
        self.key = self.world.founding.client_keys[0]
        self.world.clients.clear()
        self.world.begin()
        self.run(10)
        self.nonce = 0

    def run(self, milliseconds: int) -> None:
        """Lets time pass."""
        self.world.happen_until(self.world.now + milliseconds)

    @property
    def hosts(self) -> list[Host[Bft]]:
        return self.world.hosts

    @property
    def primary(self) -> Host[Bft]:
        """Who proposes, as most believe."""
        leaders = [host.engine.leader for host in self.hosts if host.engine is not None and host.engine.leader]
        return self.world.by_address[max(leaders, key=leaders.count)]

    @property
    def backups(self) -> list[Host[Bft]]:
        return [host for host in self.hosts if host is not self.primary]

    def height(self, host: Host[Bft]) -> int:
        assert host.replica is not None
        return host.replica.ledger.height

    def heights(self) -> list[int]:
        """Of all that run."""
        return [self.height(host) for host in self.hosts if host.runs]

    def deposit(self, *, expires_ms: int = DAY_MS) -> bytes:
        """A signed transaction, which nobody has yet."""
        chain = self.world.checkers.chain
        me = address_of(chain, self.key.public)
        payload = Deposit(me, 100 + self.nonce, f"paid-{self.nonce}")
        body = Body(chain, me, self.nonce, 1_000_000, self.world.created_ms + self.world.now + expires_ms, payload)
        self.nonce += 1
        return sign(self.key, body)

    def hand_in(self, host: Host[Bft], data: bytes) -> None:
        """Gives a transaction to a host."""
        assert host.replica is not None
        refused = host.replica.accept(data, None, self.world.local(host))
        must(refused is None or refused.code == "already_pending", "scene", f"{refused}")
        host.replica.turn(self.world.local(host))
        self.world._step(host)

    def stands_in(self, data: bytes) -> int | None:
        """The block that has a transaction."""
        return self.world.checkers.stands(transaction_hash(data))

    def crash(self, host: Host[Bft]) -> None:
        host.crash()

    def start(self, host: Host[Bft]) -> None:
        self.world.put(self.world.now, "start", host.number)

    def cut_off(self, host: Host[Bft]) -> None:
        """Nothing comes to a host and nothing leaves it."""
        for other in self.hosts:
            if other is not host:
                self.world.network.cut(host.number, other.number)
                self.world.network.cut(other.number, host.number)

    def heal(self) -> None:
        self.world.network.heal()
