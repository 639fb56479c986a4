"""Twins: replicas that run twice with one key, while the network parts anew in every round.

After Bano and others (Twins: BFT Systems Made Robust, 2021): what a lying replica can do, two of one name do between
them. They propose two blocks in a view, vote for two, and neither knows what the other has promised; a network that
parts differently in every round keeps their words apart or brings them together. Every case says who is twinned, by the
place in the order of primaries and so in which rounds it leads; in which way each of the two lies, if it does; and in
each round who hears whom, and of which votes one process alone hears any, so that it prepares or decides what the
others leave behind. Cases are counted, not drawn: their numbers go through all pairs of ways in turn, and through all
places and rounds without coming to one of them twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from math import gcd, prod
from typing import Final, NamedTuple

from wattquorum.consensus.bft.messages import Vote, from_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Consensus
from wattquorum.replica.replica import Kind, read_frame
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.founding import Founding
from wattquorum.simulation.liars import LIES, Lie
from wattquorum.simulation.network import Weather
from wattquorum.simulation.world import name

ROUNDS: Final = 4
ROUND_MS: Final = 600  # a view that fails and one that follows
MEMBERS, MEMBERS_OF_TWO = 4, 7  # with one of them twinned, and with two
OF_TWO: Final = 7  # every so many cases; it shares no divisor with the number of pairs
MIXED: Final = 49  # so many pairs further on is the next; nor does it
PARTS_MAX: Final = 3
PHASES: Final = (0, int(Phase.PREPARE), int(Phase.COMMIT))
SETTINGS: Final = Settings(
    timeout_ms=200, timeout_max_ms=1_600, resend_ms=80, fetch_ms=30, poll_ms=250, skew_ms=1_000, censor_ms=1_500
)

Ways = tuple[Lie, ...]  # none: as everybody does
HONEST: Final[Ways] = ()
PAIRS: Final[tuple[tuple[Ways, Ways], ...]] = tuple(
    combinations_with_replacement((HONEST, *((lie,) for lie in LIES)), 2)
)


class Round(NamedTuple):
    """How the network is for a while."""

    parts: tuple[int, ...]  # for each process the part in which it is
    phase: int  # votes of this phase reach one process alone; 0: all reach everybody
    favoured: int  # that process


class Case(NamedTuple):
    """What happens in a world of twins. Processes are the members by their place, then the second of each twin."""

    members: int
    twins: tuple[int, ...]  # their places in the order
    ways: tuple[tuple[Ways, Ways], ...]  # of each, how its two lie
    rounds: tuple[Round, ...]


def partitions(processes: int) -> Iterator[tuple[int, ...]]:
    """All ways to part so many into at most `PARTS_MAX`, each once: what comes first in a part opens it."""

    def rest(begun: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(begun) == processes:
            yield begun
            return
        for part in range(min(max(begun) + 2, PARTS_MAX)):
            yield from rest((*begun, part))

    return rest((0,))


_PARTED: Final = {members: tuple(partitions(members + members // 3)) for members in (MEMBERS, MEMBERS_OF_TWO)}


def case_of(number: int) -> Case:
    """A case by its number, the same at all times."""
    of_two = number % OF_TWO == OF_TWO - 1
    members = MEMBERS_OF_TWO if of_two else MEMBERS
    count, parted = members // 3, _PARTED[members]
    places = [members - each for each in range(count)]
    turn = number // OF_TWO if of_two else number
    radices = [*places, *[len(parted), len(PHASES), members + count] * ROUNDS]
    digits = _spread(turn + turn // len(PAIRS), radices)  # no pair always at one place
    left = list(range(members))
    twins = tuple(left.pop(digits[each]) for each in range(count))
    ways = tuple(PAIRS[(number + each * (number // len(PAIRS) + 1)) * MIXED % len(PAIRS)] for each in range(count))
    rounds = [digits[at : at + 3] for at in range(count, len(digits), 3)]
    told = tuple(Round(parted[parts], PHASES[phase], favoured) for parts, phase, favoured in rounds)
    return Case(members, twins, ways, told)


def _spread(number: int, radices: Sequence[int]) -> list[int]:
    """The digits of a number that is far from those of its neighbours; none comes twice before all have come."""
    total = prod(radices)
    step = total * 618 // 1_000
    while gcd(step, total) > 1:
        step += 1
    left, digits = number * step % total, []
    for radix in radices:
        left, digit = divmod(left, radix)
        digits.append(digit)
    return digits


class TwinsWorld(BftWorld):
    """One case's world; afterwards the network is whole, the twins go on, and everybody must be served."""

    def __init__(self, number: int) -> None:
        self.case = case = case_of(number)
        self._processes: list[int] = []  # the hosts of the case's processes
        self._round: Round | None = None
        super().__init__(
            number,
            BftNature(
                hosts=case.members,
                weather=Weather((1, 5), 1),
                settings=SETTINGS,
                liars=len(case.twins),
                twins=len(case.twins),
                parameters={"consensus": int(Consensus.PBFT), "epoch_ms": 10_000, "drift_ms": SETTINGS.skew_ms},
                clients=3,
                safety_ms=ROUNDS * ROUND_MS,
            ),
        )
        for _, both in self._twinned():
            self._lies.update({host: way for host, way in both if way})

    def _twinned(self) -> Iterator[tuple[int, tuple[tuple[int, Ways], ...]]]:
        """The place of each twin, its two hosts, and how these lie."""
        for place, ways in zip(self.case.twins, self.case.ways, strict=True):
            both = self._by_address[self.hosts[self._processes[place]].address]
            yield place, tuple(zip(both, ways, strict=True))

    def _host_keys(self, founding: Founding) -> Sequence[SigningKey]:
        """Those who are named twice come last again; the order of primaries is that of addresses."""
        keys, chain_id = founding.host_keys, chain_id_of(founding.genesis)
        order = sorted(range(len(keys)), key=lambda number: address_of(chain_id, keys[number].public))
        twinned = [order[place] for place in self.case.twins]
        again = range(len(keys), len(keys) + len(twinned))
        self._bad = [*twinned, *again]
        self._processes = [*order, *again]
        return [*keys, *(keys[number] for number in twinned)]

    def begin(self) -> None:
        """Starts everything, and the first round."""
        for place, both in self._twinned():
            told = " and ".join(f"{name(host)} ({way[0].__name__ if way else 'honest'})" for host, way in both)
            self._tell(f"at place {place} of the order {told} are one")
        for number in range(ROUNDS):
            self.put(number * ROUND_MS, "round", -1, number)
        super().begin()

    def _on_round(self, _: None, number: int) -> None:
        self.network.heal()
        self._round = round_ = self.case.rounds[number]
        parts = dict(zip(self._processes, round_.parts, strict=True))
        for sender, part in parts.items():
            for receiver, other in parts.items():
                if part != other:
                    self.network.cut(sender, receiver)
        together = [[name(host) for host in parts if parts[host] == part] for part in range(max(parts.values()) + 1)]
        self._tell(f"those hear each other: {'; '.join(' '.join(each) for each in together)}")
        if round_.phase:
            alone = name(self._processes[round_.favoured])
            self._tell(f"and {Phase(round_.phase).name} comes to {alone} alone")

    def _carry(self, sender: int, receiver: int, frame: bytes) -> None:
        round_ = self._round
        if round_ is None or receiver == self._processes[round_.favoured] or _phase(frame) != round_.phase:
            super()._carry(sender, receiver, frame)

    def _freeze(self) -> None:
        self._round = None
        super()._freeze()


def _phase(frame: bytes) -> int:
    """That of a vote; -1 for anything else."""
    try:
        kind, data = read_frame(frame)
        message = from_frame(data) if kind is Kind.ENGINE else None
    except Refused:
        return -1
    return message.phase if isinstance(message, Vote) else -1
