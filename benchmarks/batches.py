"""The batch rules against numpy alone: settlement, allotment and collateral of many one-day contracts of 96 intervals.

The floor of settlement is the same arithmetic written out with numpy and nothing else: four products and divisions,
two losses, no check, no bound, no chunk and no negative price. Beside the bare rule stands what a contract costs on a
ledger, in times the same floor.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

import numpy as np

from benchmarks.measuring import Line, Section, beside, seconds
from benchmarks.town import Town
from wattquorum.foundation.quantities import MILLION, WH_PER_KWH, Points
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import ContractSettled
from wattquorum.ledger.transactions import CloseDay, ClosePage
from wattquorum.market.allotment import allot_rows
from wattquorum.market.collateral import collateral
from wattquorum.market.settlement import settle_rows
from wattquorum.market.terms import Policy, TermRows

CONTRACTS: Final = 100_000
INTERVALS: Final = 96
NODES: Final = 1_000
PROMISED_MAX: Final = 50_000  # [Wh] in one interval
COLLATERALS: Final = 2_000
TOWN_MEMBERS, TOWN_CONTRACTS, TOWN_FEEDERS = 1_000, 4_000, 10
TARGET: Final = 5  # settlement takes at most so many times as long as numpy alone


class Batch:
    """Contracts of which half of the intervals are delivered in full."""

    def __init__(self, contracts: int = CONTRACTS, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        shape = (contracts, INTERVALS)
        self.promised = random.integers(0, PROMISED_MAX, shape)
        self.generated, self.consumed = (
            np.where(random.random(shape) < 0.5, self.promised, self.promised * random.integers(0, 100, shape) // 100)
            for _ in range(2)
        )
        price = random.integers(410_000, 700_000, (contracts, 1))
        flat = np.ones(INTERVALS, dtype=np.int64)
        self.terms = TermRows(price, flat * 400_000, flat * 750_000, flat * 40_000)
        self.node_of = random.integers(0, NODES, contracts)
        wanted = np.zeros((NODES, INTERVALS), dtype=np.int64)
        np.add.at(wanted, self.node_of, self.promised)
        enough = random.random(wanted.shape) < 0.5
        self.metered = np.where(enough, wanted, wanted * random.integers(0, 100, wanted.shape) // 100)

    def settled_by_numpy(self) -> tuple[Int64s, ...]:
        """What `settle_rows` works out, for prices above zero, with numpy alone."""
        price, feed_in, grid_price, fee = self.terms
        both = np.minimum(self.promised, self.consumed)
        exchanged = np.minimum(both, self.generated)
        energy, over_grid_fee = price * exchanged // WH_PER_KWH, fee * exchanged // WH_PER_KWH
        purchase = grid_price * (self.consumed - exchanged) // WH_PER_KWH
        sale = feed_in * (self.generated - exchanged) // WH_PER_KWH
        paid = price * both // WH_PER_KWH + fee * both // WH_PER_KWH
        paid += grid_price * (self.consumed - both) // WH_PER_KWH
        by_seller = np.maximum(energy + over_grid_fee + purchase - paid, 0)
        both = np.minimum(self.promised, self.generated)
        earned = price * both // WH_PER_KWH + feed_in * (self.generated - both) // WH_PER_KWH
        by_buyer = np.maximum(earned - energy - sale, 0)
        return energy, over_grid_fee, purchase, sale, by_seller, by_buyer

    def incomes_by_numpy(self) -> tuple[Int64s, ...]:
        """The four transfers alone."""
        price, feed_in, grid_price, fee = self.terms
        exchanged = np.minimum(np.minimum(self.promised, self.consumed), self.generated)
        return (
            price * exchanged // WH_PER_KWH,
            fee * exchanged // WH_PER_KWH,
            grid_price * (self.consumed - exchanged) // WH_PER_KWH,
            feed_in * (self.generated - exchanged) // WH_PER_KWH,
        )


def measured() -> Section:
    """Settlement in multiples of numpy; allotment and collateral in what a contract costs."""
    batch = Batch()
    given = (batch.promised, batch.generated, batch.consumed, batch.terms)
    for ours, bare in zip(settle_rows(*given), batch.settled_by_numpy(), strict=True):
        if not np.array_equal(ours, bare):
            raise AssertionError("the floor does not settle what settle_rows settles")
    whole = beside(lambda: settle_rows(*given), batch.settled_by_numpy, rounds=3)
    transfers = beside(lambda: settle_rows(*given), batch.incomes_by_numpy, rounds=3)
    off = beside(lambda: settle_rows(*given, Policy.OFF), batch.incomes_by_numpy, rounds=3)
    allotted = beside(
        lambda: allot_rows(batch.metered, batch.promised, batch.node_of), batch.incomes_by_numpy, rounds=3
    )
    on_ledger, contracts = settled_on_a_ledger()
    floor = per_contract(whole.floor)
    return Section(
        f"{CONTRACTS:,} one-day contracts of {INTERVALS} intervals, in times what bare numpy takes",
        [
            Line("settlement with compensation by true loss", whole.times, "x", f"target: at most {TARGET}"),
            Line("   against its four transfers alone", transfers.times, "x", f"target: at most {TARGET}"),
            Line("settlement without compensation", off.times, "x", "against its four transfers"),
            Line("settlement", per_contract(whole.ours), "us/contract"),
            Line(
                "a contract on the ledger, pages and day",
                on_ledger / floor,
                "x",
                f"{on_ledger:.0f} us a contract, bare numpy {floor:.0f} us; {contracts:,} contracts, signatures known",
            ),
            Line(f"allotment to {NODES:,} nodes", allotted.times, "x", "against the four transfers, for a measure"),
            Line("allotment", per_contract(allotted.ours), "us/contract"),
            Line("collateral, one contract at a time", _collateral(batch), "us/contract"),
        ],
    )


def settled_on_a_ledger(
    members: int = TOWN_MEMBERS, contracts: int = TOWN_CONTRACTS, feeders: int = TOWN_FEEDERS
) -> tuple[float, int]:
    """What closing pages and day of a town costs for each contract [us], and how many contracts were settled.

    All of it: reading the state, allotment, settlement, judging, transfers, facts, receipts and roots.
    """
    town = Town(members, contracts, feeders)
    ledger, taken, settled = Ledger(town.genesis), 0.0, 0
    for step in town.steps():
        begun = perf_counter()
        executed = ledger.execute(step.entry, lambda checks: [True] * len(checks))
        if step.kind in (ClosePage, CloseDay):
            taken += perf_counter() - begun
            settled += sum(isinstance(fact, ContractSettled) for facts in executed.facts for fact in facts)
    return taken / settled * MILLION, settled


def per_contract(taken: float) -> float:
    return taken / CONTRACTS * MILLION


def _collateral(batch: Batch) -> float:
    price, *tariff = batch.terms
    points = Points(10 * MILLION)

    def all_of_them() -> None:
        for i in range(COLLATERALS):
            collateral(batch.promised[i], TermRows(price[i], *tariff), 5_000, points, points, Policy.TRUE_LOSS)

    return best(all_of_them) / COLLATERALS * MILLION


def best(work: Callable[[], object], rounds: int = 3) -> float:
    return min(seconds(work) for _ in range(rounds))
