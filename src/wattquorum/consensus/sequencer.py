"""The sequencer: the engine of one replica that orders alone.

It is what a demo, a laboratory run or a single operator's ledger needs, behind the same contract as the engines that
agree among many: a payload gets its place when it is proposed, is committed when its record is durable, and nobody
can displace it. What needs others (their frames, a transfer, another voter) is refused by name. It stands apart from
them because its one rule is short enough to be seen through: nothing is committed that a restart would not give back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from wattquorum.consensus.configuration import Configuration, check
from wattquorum.consensus.engine import Committed, Durable, Output, Wanted
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused


class Sequencer:
    """An `Engine` with one voter. A payload's record has its index as position and the payload as data."""

    __slots__ = (
        "_applied",
        "_asked",
        "_committed",
        "_configuration",
        "_decided",
        "_demanded_ms",
        "_gather_ms",
        "_last",
        "_reads",
        "_recorded",
        "_records",
        "_wanted",
    )

    def __init__(
        self,
        configuration: Configuration,
        applied: int = 0,
        records: Iterable[Durable] = (),
        gather_ms: int = 0,
    ) -> None:
        """Starts or restarts.

        `applied` is the last index whose effect the driver still has, `records` are the durable ones above it, in
        order: all of them are committed, since nobody else was ever asked. A demanded payload is asked for once its
        oldest part has waited `gather_ms`, so that others can join it. Raises Refused("orders_alone") for a
        configuration with anybody else in it and Refused("input_unexpected") for records with a gap.
        """
        _check_alone(configuration)
        self._configuration = configuration
        self._gather_ms = gather_ms
        self._applied = self._committed = self._last = applied
        self._recorded: deque[bytes] = deque()  # payloads above `_committed`
        self._records: list[Durable] = []
        self._decided: list[Committed] = []
        self._reads: deque[tuple[int, int]] = deque()  # (index to be applied first, read)
        self._demanded_ms: Millis | None = None
        self._asked = False
        self._wanted: Wanted | None = None
        for record in records:
            if record.position != self._last + 1:
                raise Refused("input_unexpected", "position", record.position, f"Give record {self._last + 1} next.")
            self._last += 1
            self._recorded.append(record.data)
        self._commit(self._last)

    @property
    def configuration(self) -> Configuration:
        """The effective configuration."""
        return self._configuration

    @property
    def term(self) -> int:
        """0: it never changes."""
        return 0

    @property
    def leader(self) -> bytes:
        """Itself."""
        return self._configuration.new[0].replica

    @property
    def quorum_ms(self) -> int | None:
        """Nobody else's clock counts."""
        return None

    @property
    def takes(self) -> bool:
        """Always."""
        return True

    def receive(self, sender: bytes, _frame: bytes, _now: Millis, /) -> None:
        """Refused("orders_alone"): there is no other replica, so whoever sent this is a stranger."""
        raise Refused("orders_alone", "sender", sender)

    def propose(self, payloads: Sequence[bytes], now: Millis, /) -> None:
        """Gives the payloads the next places; they are committed once their records are durable."""
        for payload in payloads:
            self._last += 1
            self._recorded.append(payload)
            self._records.append(Durable(self._last, payload))
        if payloads:
            self._demanded_ms, self._wanted, self._asked = None, None, False
        self._consider(now)

    def persisted(self, position: int, now: Millis, /) -> None:
        """Commits up to this position; Refused("input_unexpected") beyond the last record."""
        if position > self._last:
            raise Refused("input_unexpected", "position", position, f"The last record is {self._last}.")
        self._commit(position)
        self._consider(now)

    def applied(self, index: int, _digest: bytes, _now: Millis, /) -> None:
        """Lets reads answer; Refused("input_unexpected") for what is not committed. Nobody has another digest."""
        if index > self._committed:
            raise Refused("input_unexpected", "index", index, f"The last committed index is {self._committed}.")
        self._applied = max(self._applied, index)

    def judged(self, digest: bytes, _verdict: bool, _now: Millis, /) -> None:
        """Refused("input_unexpected"): a sequencer has nobody else's proposals to be judged."""
        raise Refused("input_unexpected", "digest", digest)

    def demand(self, oldest_ms: Millis | None, now: Millis, /) -> None:
        """Since when the oldest payload has waited; one is asked for once it has waited `gather_ms`."""
        self._demanded_ms = oldest_ms
        if oldest_ms is None:
            self._wanted, self._asked = None, False
        self._consider(now)

    def read(self, read: int, _now: Millis, /) -> None:
        """The read may answer once everything proposed before it is committed and applied."""
        self._reads.append((self._last, read))

    def transfer(self, to: bytes, _now: Millis, /) -> None:
        """Refused("orders_alone") for anybody but this replica, which leads already."""
        if to != self._configuration.new[0].replica:
            raise Refused("orders_alone", "to", to)

    def reconfigure(self, configuration: Configuration, _now: Millis, /) -> None:
        """Takes a later version with the same lone voter; Refused for anybody else or an older version.

        It needs no record: the driver derives it from what was applied, and gives it again after a restart.
        """
        _check_alone(configuration)
        current = self._configuration
        if configuration.new[0].replica != current.new[0].replica:
            raise Refused("orders_alone", "configuration.new", configuration.new[0].replica)
        if configuration.version <= current.version:
            raise Refused("configuration_invalid", "configuration.version", configuration.version, "Use a later one.")
        self._configuration = configuration

    def snapshot(self, index: int, _state: bytes, _now: Millis, /) -> None:
        """Refused("input_unexpected") for what is not applied. There is nothing to let go of: it keeps no entries."""
        if index > self._applied:
            raise Refused("input_unexpected", "index", index, f"Applied up to {self._applied}.")

    def tick(self, now: Millis, /) -> None:
        """Asks for a payload if it is time."""
        self._consider(now)

    def drain(self) -> Output:
        """Hands out records, commits, a wanted payload and reads."""
        reads = []
        while self._reads and self._reads[0][0] <= self._applied:
            reads.append(self._reads.popleft()[1])
        deadline = self._due() if self._demanded_ms is not None and not self._asked and not self._recorded else None
        output = Output(tuple(self._records), (), None, tuple(self._decided), (), self._wanted, tuple(reads), deadline)
        self._records, self._decided, self._wanted = [], [], None
        return output

    def _commit(self, position: int) -> None:
        while self._committed < position:
            self._committed += 1
            self._decided.append(Committed(self._committed, 0, self._recorded.popleft(), ()))

    def _due(self) -> int:
        return (self._demanded_ms or 0) + self._gather_ms

    def _consider(self, now: Millis) -> None:
        """Asks for a payload when one is due and nothing waits for the disk: what comes meanwhile shares its write."""
        if self._demanded_ms is not None and not self._asked and not self._recorded and now >= self._due():
            self._asked = True
            self._wanted = Wanted(self._last + 1, 0)


def _check_alone(configuration: Configuration) -> None:
    check(configuration)
    if configuration.old is not None or len(configuration.new) != 1 or configuration.learners:
        raise Refused("orders_alone", "configuration", f"version {configuration.version}")
