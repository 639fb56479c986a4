"""A trading floor for tests: the shipped members, or any others, negotiating delivery days on a real ledger.

Rounds run every quarter of an hour before the gate; in each, every member looks, decides, signs, and one block takes
it all. Nothing is a stand-in: keys sign, the ledger executes, the forecast service alone is given the actuals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.ledger.world import HOUR, QUARTER, START, World, key_of
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome as Done
from wattquorum.ledger.facts import ContractMade, OfferMade
from wattquorum.ledger.transactions import Accept, Counter, MeterPoint, Register, WithdrawOffer
from wattquorum.traders.forecast import Actuals, ForecastService, Kind, Metered
from wattquorum.traders.situation import Board, Outcome, Rounds, Situation, directory_of, look, past_days
from wattquorum.traders.strategy import Step, Strategy
from wattquorum.traders.streams import stream

DAY = 24 * HOUR
ROUNDS = 12


@dataclass
class Trader:
    """One member of the floor: its meter and what decides for it."""

    name: str
    side: Side
    technology: str
    limit_w: int
    strategy: Strategy
    readings: dict[int, Int64s] = field(default_factory=dict)  # by day's start
    money: int = 100_000 * MILLION


class Floor:
    """Members, a ledger, and the rounds of a day."""

    def __init__(
        self,
        traders: Sequence[Trader],
        actuals: Actuals,
        *,
        seed: int = 1,
        kind: Kind = Kind.WEATHER,
        intervals: int = 96,
        parameters: dict[str, int] | None = None,
    ) -> None:
        self.traders = list(traders)
        self.world = World(parameters=parameters, intervals=intervals)
        for trader in self.traders:
            point = MeterPoint(trader.name, trader.side, "f1", trader.limit_w, trader.technology, MILLION)
            self.world.done("operator", Register(key_of(trader.name).public, trader.name, trader.name, (point,)))
            if trader.money:
                self.world.deposit(trader.name, trader.money)
        meters = {trader.name: Metered(trader.technology, trader.limit_w) for trader in self.traders}
        self.service = ForecastService(kind, meters, actuals, seed)
        self.streams = {trader.name: stream(seed, "trader", trader.name) for trader in self.traders}
        self.outcomes: dict[str, list[Outcome]] = {}
        self.seen: list[Situation] = []
        self.steps: list[tuple[str, Step, str]] = []  # who, what, refusal's code

    def window(self, day: int) -> Window:
        return Window(day, day + self.world.intervals * QUARTER, QUARTER)

    def trade(self, day: int = START, rounds: int = ROUNDS, watch: Callable[[Situation], None] | None = None) -> None:
        """Publishes a day and negotiates it until its gate."""
        gate = day - 12 * HOUR
        self.world.now = max(self.world.now, gate - (rounds + 4) * QUARTER)
        self.world.publish(day)
        self.outcomes = {trader.name: [] for trader in self.traders}
        for index in range(rounds):
            self.round(day, gate - (rounds - index) * QUARTER, Rounds(index, rounds - 1 - index, QUARTER), watch)

    def round(self, day: int, now: int, rounds: Rounds, watch: Callable[[Situation], None] | None) -> None:
        state = self.world.ledger.state
        board, directory = Board(state, day, now), directory_of(state)
        signed: list[bytes] = []
        whose: list[tuple[str, Step]] = []
        for trader in self.traders:
            situation = self.situation(trader, board, directory, day, now, rounds)
            if watch:
                watch(situation)
            steps = trader.strategy.decide(situation, self.streams[trader.name])
            signed += [self.world.signed(trader.name, step, ahead=number) for number, step in enumerate(steps)]
            whose += [(trader.name, step) for step in steps]
        receipts = self.world.block(signed, at=now).block.receipts
        for (name, step), receipt in zip(whose, receipts, strict=True):
            assert receipt.outcome is not Done.INADMISSIBLE
            about = step.offer if isinstance(step, Accept | Counter | WithdrawOffer) else b""
            self.outcomes[name].append(Outcome(about, receipt.code))
            self.steps.append((name, step, receipt.code))

    def situation(
        self, trader: Trader, board: Board, directory: Mapping[bytes, object], day: int, now: int, rounds: Rounds
    ) -> Situation:
        history = past_days(trader.readings, self.window(day), now)
        return look(
            self.world.ledger.state,
            board,
            directory,  # type: ignore[arg-type]
            self.world.address(trader.name),
            trader.side,
            day=day,
            now_ms=now,
            rounds=rounds,
            history=history,
            forecast=self.service.day_ahead(trader.name, self.window(day), history),
            outcomes=tuple(self.outcomes[trader.name]),
        )

    def contracts(self) -> list[ContractMade]:
        return [fact for fact in self.world.facts(ContractMade) if isinstance(fact, ContractMade)]

    def offers(self) -> list[OfferMade]:
        return [fact for fact in self.world.facts(OfferMade) if isinstance(fact, OfferMade)]


def bump(peak_wh: int, intervals: int = 96) -> Int64s:
    """A day's profile with one hump at noon and nothing at night [Wh per interval]."""
    angle = np.linspace(-np.pi / 2, 3 * np.pi / 2, intervals, endpoint=False)
    hump: Int64s = np.rint(np.maximum(np.sin(angle), 0.0) * peak_wh).astype(np.int64)
    return hump
