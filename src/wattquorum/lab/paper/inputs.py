"""Inputs: everything that the paper's simulation starts from, the stated beside what had to be chosen (section 5).

The paper states who trades (15 generators, 15 consumers), three tariffs, who defaults, and that credit, volume and
certificates begin at zero. Volumes, prices, who is renewable, carbon accounts, how often others default, coefficients
and links it does not state. `PAPER` is a set that shows the paper's results; a set that was chosen to show a result
proves little, so `drawn` draws sets from ranges that favour nobody but the two defaulters, who are stated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, NamedTuple

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import (
    ENERGY_PER_INTERVAL_MAX,
    MILLION,
    POINTS_MAX,
    Energy,
    Points,
    Ppm,
    Price,
    apportion,
)
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.weight import Coefficients, check_coefficients

TONNE: Final = MILLION  # [g]
MICROS: Final = 1_000  # of a millisecond
ROUND_TRIP_MAX_US: Final = 1 << 30
PAIRS_MAX: Final = 100_000
ROUNDS_MAX: Final = 1_000_000
CARBON_MAX: Final = 1_000 * TONNE


class Span(NamedTuple):
    """From where to where something is drawn, both included."""

    low: int
    high: int


class Sale(NamedTuple):
    """Who sells certificates to whom; nobody is in two of them."""

    seller: int
    buyer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A scenario. Nodes are numbered from 1: generators 1 to `pairs`, and the consumer `pairs` above is the partner."""

    pairs: int
    rounds: int  # trading days; after each the nodes agree once
    # trade
    volume_wh: Span  # a pair's usual day, drawn once
    variation_ppm: Ppm  # by how much a day may differ from it
    larger: tuple[tuple[int, Energy], ...]  # generators whose pairs have a usual day of their own
    default_ppm: Ppm  # of a node's days
    reliable: tuple[int, ...]  # who defaults on so many days instead
    reliable_ppm: Ppm
    defaulters: tuple[int, ...]  # stated; and who defaults often
    defaulter_ppm: Ppm
    depth_ppm: Span  # what is missing of the promise when a node defaults
    feed_in: Price  # stated, like the next two
    grid_price: Price
    over_grid_fee: Price
    # green
    renewable: tuple[int, ...]  # generators that earn certificates
    sales: tuple[Sale, ...]  # who sells and who buys is stated
    sold_ppm: Ppm  # of what the seller holds
    sold_every: int  # rounds
    carbon_g: Span  # settlement of the last closed period
    clean: tuple[int, ...]  # whose settlement comes from another range
    clean_carbon_g: Span
    line_fault_ppm: Span  # a generator's odds, drawn once
    # standing
    generator: Coefficients
    consumer: Coefficients
    factor: Ppm  # lambda of A-11
    rho: Points
    eta: Ppm
    decay_every: int  # rounds: l of A-16
    initial_credit: Points  # stated
    first_credit: Points  # in tables 1 and 2: at 0 a default would cost no credit
    minimum_credit_loss: Points
    mu: int  # millionths per kWh and point of credit lost
    # links and elections
    round_trip_us: Span  # of a link, drawn once
    jitter_us: int  # at most so much more, each time
    timeout_us: int  # t_min of A-6
    step_us: int  # what each rank waits longer

    def __post_init__(self) -> None:
        """Refused("out_of_range") for what cannot be played."""
        for name, low, high in RANGES:
            value = getattr(self, name)
            for each in value if isinstance(value, Span) else (value,):
                if not low <= each <= high:
                    raise Refused("out_of_range", name, each, f"Choose from {low} to {high}.")
            if isinstance(value, Span) and value.low > value.high:
                raise Refused("out_of_range", name, value.low, f"It lies above {value.high}, where the range ends.")
        for name, last in _NAMED:
            for node in self._nodes_of(name):
                if not 1 <= node <= self.pairs * (2 if last else 1):
                    raise Refused("out_of_range", name, node, f"There are {self.nodes} nodes, half of them generators.")
        for name, _ in _NAMED:
            if len(set(self._nodes_of(name))) < len(self._nodes_of(name)):
                raise Refused("out_of_range", name, getattr(self, name), "Name every node once.")
        for _, volume in self.larger:
            if not 1 <= volume <= ENERGY_PER_INTERVAL_MAX:
                raise Refused("out_of_range", "larger", volume, f"Choose from 1 to {ENERGY_PER_INTERVAL_MAX} Wh.")
        if self.feed_in + 1_000 > self.grid_price - self.over_grid_fee - 1_000:
            raise Refused("out_of_range", "feed_in", self.feed_in, "Leave a band of prices between the tariffs.")
        check_coefficients(self.generator)
        check_coefficients(self.consumer)
        if self.consumer.line:
            raise Refused("out_of_range", "consumer.line", self.consumer.line, "A consumer's lines do not count: 0.")

    @property
    def nodes(self) -> int:
        """How many there are."""
        return 2 * self.pairs

    def _nodes_of(self, name: str) -> tuple[int, ...]:
        if name == "larger":
            return tuple(node for node, _ in self.larger)
        if name == "sales":
            return tuple(node for sale in self.sales for node in sale)
        nodes: tuple[int, ...] = getattr(self, name)
        return nodes


RANGES: Final = (
    ("pairs", 1, PAIRS_MAX),
    ("rounds", 1, ROUNDS_MAX),
    ("volume_wh", 1, ENERGY_PER_INTERVAL_MAX),
    ("variation_ppm", 0, MILLION - 1),
    ("default_ppm", 0, MILLION),
    ("reliable_ppm", 0, MILLION),
    ("defaulter_ppm", 0, MILLION),
    ("depth_ppm", 1, MILLION),
    ("feed_in", 0, MILLION * 1_000),
    ("grid_price", 0, MILLION * 1_000),
    ("over_grid_fee", 0, MILLION * 1_000),
    ("sold_ppm", 0, MILLION),
    ("sold_every", 1, ROUNDS_MAX),
    ("carbon_g", -CARBON_MAX, CARBON_MAX),
    ("clean_carbon_g", -CARBON_MAX, CARBON_MAX),
    ("line_fault_ppm", 0, MILLION),
    ("factor", 0, 10 * MILLION),
    ("rho", 0, POINTS_MAX),
    ("eta", 1, MILLION),  # a million: nothing decays
    ("decay_every", 1, ROUNDS_MAX),
    ("initial_credit", 0, POINTS_MAX),
    ("first_credit", 0, POINTS_MAX),
    ("minimum_credit_loss", 0, POINTS_MAX),
    ("mu", 0, MILLION * MILLION),
    ("round_trip_us", 0, ROUND_TRIP_MAX_US),
    ("jitter_us", 0, ROUND_TRIP_MAX_US),
    ("timeout_us", 1, ROUND_TRIP_MAX_US),
    ("step_us", 1, ROUND_TRIP_MAX_US),
)
_NAMED: Final = (  # fields that name nodes; whether consumers may be among them
    ("larger", False),
    ("reliable", True),
    ("defaulters", True),
    ("renewable", False),
    ("sales", True),
    ("clean", True),
)
PAPER: Final = Inputs(
    pairs=15,
    rounds=200,
    # trade
    volume_wh=Span(100_000, 200_000),
    variation_ppm=Ppm(100_000),
    larger=((1, Energy(212_000)), (2, Energy(176_000)), (5, Energy(184_000))),
    default_ppm=Ppm(30_000),
    reliable=(1, 2, 5),
    reliable_ppm=Ppm(10_000),
    defaulters=(17, 29),
    defaulter_ppm=Ppm(600_000),
    depth_ppm=Span(100_000, 400_000),
    feed_in=Price(400_000),
    grid_price=Price(750_000),
    over_grid_fee=Price(40_000),
    # green
    renewable=(1, 2, 3, 5, 7, 9),
    sales=(Sale(1, 16), Sale(3, 25)),
    sold_ppm=Ppm(400_000),
    sold_every=15,
    carbon_g=Span(-100 * TONNE, 60 * TONNE),
    clean=(1, 2, 5),
    clean_carbon_g=Span(80 * TONNE, 100 * TONNE),
    line_fault_ppm=Span(0, 60_000),
    # standing
    generator=Coefficients(Ppm(300_000), Ppm(150_000), Ppm(150_000), Ppm(150_000), Ppm(150_000), Ppm(100_000)),
    consumer=Coefficients(Ppm(350_000), Ppm(150_000), Ppm(200_000), Ppm(150_000), Ppm(150_000), Ppm(0)),
    factor=Ppm(MILLION),
    rho=Points(MILLION),
    eta=Ppm(900_000),
    decay_every=10,
    initial_credit=Points(0),
    first_credit=Points(50 * MILLION),
    minimum_credit_loss=Points(MILLION),
    mu=5_000,
    # links and elections
    round_trip_us=Span(10_000, 50_000),
    jitter_us=0,
    timeout_us=150_000,
    step_us=5_000,
)
LEADERS: Final = (1, 2, 5)  # of scenarios 1, 2 and 3


class Ranged(NamedTuple):
    """An input that `drawn` draws: what `PAPER` has, and from what it is drawn."""

    name: str
    chosen: str
    drawn: str


RANGED: Final = (
    Ranged(
        "usual volume of a pair [kWh a day]", "100-200; 1, 2, 5: 212, 176, 184", "lowest 20-150, highest 1-5 times that"
    ),
    Ranged("a day differs from it by at most", "10 %", "0-40 %"),
    Ranged("days on which a node defaults", "3 %; 1, 2, 5: 1 %; 17, 29: 60 %", "0-10 %; 17, 29: 30-100 %"),
    Ranged("what is missing then", "10-40 %", "from 2-20 % to 20-80 %"),
    Ranged("generators that earn certificates", "1, 2, 3, 5, 7, 9", "1 and 3, and 2 to 10 others"),
    Ranged("1 and 3 sell to 16 and 25", "40 % every 15 rounds", "10-80 % every 5 to 40 rounds"),
    Ranged("carbon settled [t]", "-100 to 60; 1, 2, 5: 80 to 100", "the same range for all nodes"),
    Ranged("odds of a line fault", "0-6 %", "0 to 1-15 %"),
    Ranged("coefficients a; b", "30 15 15 15 15 10; 35 15 20 15 15 %", "each 2-60, scaled to 100 %"),
    Ranged("lambda; rho; eta; l", "1; 1; 0.90; 10", "0.5-1; 0.2-3; 0.80-0.98; 5 to 20"),
    Ranged("round-trip times of links [ms]", "10-50", "from 1-20 to 1.2-10 times that"),
)


def drawn(seed: int, rounds: int = PAPER.rounds) -> Inputs:
    """Inputs drawn from the ranges above: nobody is larger, cleaner or more reliable by decree."""
    chance = Chance(seed).stream("inputs")

    def tenths(low: int, high: int) -> int:
        return chance.between(10 * low, 10 * high)

    volume_low = 1_000 * chance.between(20, 150)
    depth_low = chance.between(20_000, 200_000)
    others = [node for node in range(1, PAPER.pairs + 1) if node not in (1, 3)]
    chance.shuffle(others)
    link_low = chance.between(1_000, 20_000)
    return replace(
        PAPER,
        rounds=rounds,
        volume_wh=Span(volume_low, volume_low * tenths(1, 5) // 10),
        variation_ppm=Ppm(chance.between(0, 400_000)),
        larger=(),
        default_ppm=Ppm(chance.between(0, 100_000)),
        reliable=(),
        defaulter_ppm=Ppm(chance.between(300_000, MILLION)),
        depth_ppm=Span(depth_low, chance.between(200_000, 800_000)),
        renewable=tuple(sorted((1, 3, *others[: chance.between(2, 10)]))),
        sold_ppm=Ppm(chance.between(100_000, 800_000)),
        sold_every=chance.between(5, 40),
        clean=(),
        line_fault_ppm=Span(0, chance.between(10_000, 150_000)),
        generator=_coefficients(chance, 6),
        consumer=_coefficients(chance, 5),
        factor=Ppm(chance.between(500_000, MILLION)),
        rho=Points(chance.between(200_000, 3 * MILLION)),
        eta=Ppm(chance.between(800_000, 980_000)),
        decay_every=chance.between(5, 20),
        round_trip_us=Span(link_low, link_low * chance.between(120, 1_000) // 100),
    )


def _coefficients(chance: Chance, count: int) -> Coefficients:
    parts = [chance.between(20, 600) for _ in range(count)]
    shares = [Ppm(part) for part in apportion(MILLION, parts, [bytes([place]) for place in range(count)])]
    return Coefficients(*shares, *[Ppm(0)] * (6 - count))


def told(inputs: Inputs) -> dict[str, str]:
    """Every field as text, for a file."""
    return {field.name: str(getattr(inputs, field.name)) for field in fields(inputs)}
