"""Curtailment: the least that must be cut from a day's contracts so that the grid can carry them (A-4, L-8).

Contracts stand in the order in which they were made. Where their set breaks a limit, the last contract is cut first, as
far as it must be; an earlier one is touched only when cutting all later ones does not suffice; and what was cut and
turns out to help nothing (a contract on another feeder) is given back, earlier contracts first. In the end no contract
could keep one step more in any interval without a limit being broken, and the limit that it would break is its reason.
The order was stated, the rest chosen: each interval stands for itself, amounts are found by bisection to `step_wh`.

Where others alone break a limit, no cut cures it, and no contract may make it worse: there the bound is what it is
without any contract, for that node, branch or unit and interval, and all other limits hold as they do everywhere. What
others break is told in `beyond`.

What is kept is a whole number of steps. A step of 100 Wh moves the voltage that a member of the shipped grid moves most
by 2e-8 to 9e-6, so that the last digits of a solver (2e-13, see `wattquorum.grid.flow`) hardly ever decide where the
bisection ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR
from wattquorum.foundation.vectors import Int64s
from wattquorum.grid.flow import Exchange, Floats, Mask, Solver

STEP_WH: Final = 100


class Limits(NamedTuple):
    """What a grid operator plans with.

    The default voltage band is SimBench's planning band for medium-voltage nodes (`vmMin` 0.965, `vmMax` 1.055 of its
    table of nodes); it lies inside the +-10 % of EN 50160 for supply terminals, and leaves the rest to low voltage. It
    holds at every node. The default loading is the rating of each line and transformer (`loadingMax` 100 % there).
    """

    voltage_low: float = 0.965  # per unit
    voltage_high: float = 1.055
    loading: float = 1.0  # of the rating


PLANNING: Final = Limits()


class Capability(NamedTuple):
    """What a member's unit can carry (A-4): its connection limit, for active as for apparent power, and power factor.

    P <= limit, and |Q| <= sqrt(limit^2 - P^2) with Q = P tan(arccos(power factor)): the registered factor fixes Q
    (L-10), drawn by loads and given by generators. That a limit in W holds for VA too is chosen.
    """

    limit_w: int
    power_factor_ppm: int

    @property
    def tangent(self) -> float:
        """Q / P."""
        factor = self.power_factor_ppm / MILLION
        return float(np.sqrt(1 - factor * factor) / factor)


class Placed(NamedTuple):
    """A contract at its place: the units of its two sides in the network, and what it promises [Wh per interval]."""

    seller: int
    buyer: int
    energy: Int64s


class Kind(IntEnum):
    """What can be broken."""

    VOLTAGE_LOW = 0
    VOLTAGE_HIGH = 1
    LOADING = 2
    UNIT_POWER = 3
    UNIT_REACTIVE = 4
    NO_SOLUTION = 5


class Breach(NamedTuple):
    """A limit that is broken: which, where (a place among nodes, branches or units), the value and the bound."""

    kind: Kind
    place: int
    value: float
    bound: float
    interval: int


def is_broken(breach: Breach) -> bool:
    """Whether the value lies beyond the bound."""
    if breach.kind is Kind.NO_SOLUTION:
        return True
    return breach.value < breach.bound if breach.kind is Kind.VOLTAGE_LOW else breach.value > breach.bound


class Reason(NamedTuple):
    """Why a contract was cut: the limit it would break in the interval of its deepest cut, and how many were cut.

    `breach.value` is the value with nothing curtailed; where that kept the limit, the value with one step more.
    """

    breach: Breach
    intervals: int
    text: str


@dataclass(frozen=True, slots=True)
class Curtailment:
    """What is left of each contract [contracts, intervals] [Wh], why by contract, and what no curtailment cures."""

    kept: Int64s
    reasons: dict[int, Reason]
    beyond: tuple[Breach, ...]

    @property
    def cut(self) -> bool:
        """Whether anything was curtailed."""
        return bool(self.reasons)


class ContractDay:
    """A day's contracts on the grid: the other units' exchange, the contracts, and what units and wires can carry."""

    __slots__ = (
        "_alone",
        "_buyers",
        "_capable",
        "_limit_w",
        "_sellers",
        "_tangent",
        "energy",
        "length_ms",
        "limits",
        "others",
        "solver",
    )

    def __init__(
        self,
        solver: Solver,
        others: Exchange,
        contracts: Sequence[Placed],
        capabilities: dict[int, Capability],
        length_ms: int,
        limits: Limits = PLANNING,
    ) -> None:
        """`others` is what all units exchange beside the contracts [intervals, units]; `capabilities` by unit."""
        self.solver = solver
        self.others = others
        self.length_ms = length_ms
        self.limits = limits
        intervals = len(others.active)
        self.energy = np.array([each.energy for each in contracts], dtype=np.int64).reshape(len(contracts), intervals)
        self._sellers = np.array([each.seller for each in contracts], dtype=np.int64)
        self._buyers = np.array([each.buyer for each in contracts], dtype=np.int64)
        units = len(solver.network.units)
        self._limit_w, self._tangent = np.zeros(units), np.zeros(units)
        for place, capability in capabilities.items():
            self._limit_w[place], self._tangent[place] = capability.limit_w, capability.tangent
        self._capable = np.array(sorted(capabilities), dtype=np.int64)
        self._alone: _Breaches | None = None

    @property
    def alone(self) -> _Breaches:
        """What every interval breaks without any contract."""
        if self._alone is None:
            intervals = np.arange(self.energy.shape[1])
            self._alone = self._measured(intervals, np.zeros_like(self.energy.T))
        return self._alone

    def exchange(self, intervals: Int64s, kept: Int64s) -> Exchange:
        """Everything that units exchange when contracts keep so much [scenarios, contracts] in these intervals."""
        units = len(self.solver.network.units)
        promised = np.zeros((len(intervals), units))  # a sum of whole Wh below 2^53 is exact
        for row, each in enumerate(kept):
            promised[row] = np.bincount(self._sellers, each, units) + np.bincount(self._buyers, each, units)
        active = self.others.active[intervals] + promised.astype(np.int64)
        return Exchange(active, self.others.reactive[intervals] + promised * self._tangent)

    def breaches(self, intervals: Int64s, kept: Int64s) -> _Breaches:
        """How far each limit is broken in each scenario, beyond what others alone break of it."""
        found = self._measured(intervals, kept)
        return found if found.feasible.all() else found.beyond(self.alone)

    def _measured(self, intervals: Int64s, kept: Int64s) -> _Breaches:
        """How far each limit is broken in each scenario."""
        exchange = self.exchange(intervals, kept)
        solution = self.solver.solve(exchange, self.length_ms)
        limits, per_hour = self.limits, MS_PER_HOUR / self.length_ms
        ends = self._capable
        power: Floats = exchange.active[:, ends].astype(np.float64) * per_hour
        reactive: Floats = exchange.reactive[:, ends] * per_hour
        limit: Floats = np.maximum(self._limit_w[ends], 1)
        room = np.sqrt(np.maximum(limit * limit - power * power, 0))
        values: dict[Kind, tuple[Floats, Floats]] = {
            Kind.VOLTAGE_LOW: (solution.voltage, np.full(solution.voltage.shape[1], limits.voltage_low)),
            Kind.VOLTAGE_HIGH: (solution.voltage, np.full(solution.voltage.shape[1], limits.voltage_high)),
            Kind.LOADING: (solution.loading, np.full(solution.loading.shape[1], limits.loading)),
            Kind.UNIT_POWER: (power, limit),
        }
        excess = {kind: (value / bound - 1) for kind, (value, bound) in values.items()}
        excess[Kind.VOLTAGE_LOW] = -excess[Kind.VOLTAGE_LOW]
        # A unit whose active power alone is too much is told for that.
        values[Kind.UNIT_REACTIVE] = (np.abs(reactive), room)
        excess[Kind.UNIT_REACTIVE] = np.where(power <= limit, (np.abs(reactive) - room) / limit, -1.0)
        excess[Kind.UNIT_REACTIVE] -= ROUNDING
        return _Breaches(intervals, solution.found, values, excess, ends)


ROUNDING: Final = 1e-9  # of a bound: at full load P^2 + Q^2 is limit^2 but for the last digits, and so is a solver


class _Breaches:
    """The limits of some scenarios, broken or not."""

    __slots__ = ("_ends", "_excess", "_found", "_intervals", "_values")

    def __init__(
        self,
        intervals: Int64s,
        found: Mask,
        values: dict[Kind, tuple[Floats, Floats]],
        excess: dict[Kind, Floats],
        ends: Int64s,
    ) -> None:
        self._intervals, self._found, self._values, self._excess, self._ends = intervals, found, values, excess, ends

    def beyond(self, alone: _Breaches) -> _Breaches:
        """The same, but for what others break alone [intervals]."""
        excess = {
            kind: np.where(
                alone._excess[kind][self._intervals] > 0,
                each - alone._excess[kind][self._intervals] - ROUNDING,
                each,
            )
            for kind, each in self._excess.items()
        }
        return _Breaches(self._intervals, self._found, self._values, excess, self._ends)

    @property
    def feasible(self) -> Mask:
        """Whether a scenario keeps every limit."""
        ok = self._found.copy()
        for excess in self._excess.values():
            if excess.shape[1]:
                ok &= ~(excess.max(axis=1) > 0)
        return ok

    def worst(self, row: int) -> Breach:
        """The limit that a scenario breaks by most, as a share of its bound; the first one where several tie."""
        interval = int(self._intervals[row])
        if not self._found[row]:
            return Breach(Kind.NO_SOLUTION, 0, 0.0, 0.0, interval)
        kind = max(
            (each for each in self._excess if self._excess[each].shape[1]),
            key=lambda each: self._excess[each][row].max(),
        )
        return self.at(kind, int(self._excess[kind][row].argmax()), row)

    def at(self, kind: Kind, column: int, row: int) -> Breach:
        """One limit in one scenario, broken or not."""
        interval = int(self._intervals[row])
        if kind is Kind.NO_SOLUTION:
            return Breach(kind, 0, 0.0, 0.0, interval)
        value, bound = self._values[kind]
        limit = bound[row, column] if bound.ndim == 2 else bound[column]
        place = int(self._ends[column]) if kind in (Kind.UNIT_POWER, Kind.UNIT_REACTIVE) else column
        return Breach(kind, place, float(value[row, column]), float(limit), interval)

    def column(self, breach: Breach) -> int:
        """The column of a breach's place."""
        if breach.kind in (Kind.UNIT_POWER, Kind.UNIT_REACTIVE):
            return int(np.searchsorted(self._ends, breach.place))
        return breach.place


def curtail(day: ContractDay, step_wh: int = STEP_WH) -> Curtailment:
    """The day's contracts, curtailed to what the grid can carry; nothing is cut when the whole set can be.

    For every contract and interval that was cut, keeping `step_wh` more (or all, if less is missing) breaks a limit.
    A contract keeps all of its energy or a whole number of steps.
    """
    kept = day.energy.copy()
    intervals = np.arange(kept.shape[1])
    uncut = day.breaches(intervals, kept.T)
    broken = intervals[~uncut.feasible]
    cutting = [_Cutting(day, int(t)) for t in broken]
    unsolved = _cut_last_first(day, cutting)
    left = [each for each in cutting if each.interval not in unsolved]
    _give_back(day, left, step_wh)
    for each in left:
        kept[:, each.interval] = each.kept
    reasons = _reasons(day, kept, uncut, step_wh)
    alone = day.alone
    beyond = tuple(alone.worst(int(t)) for t in intervals[~alone.feasible])
    return Curtailment(kept, reasons, beyond)


class _Cutting:
    """One interval under way: what each contract keeps, those with energy there from the last, and how many are cut.

    While contracts get back, `turn` counts whose turn it is among those that were cut, the earliest first, and `idle`
    how many in a row could keep no more.
    """

    __slots__ = ("cut", "idle", "interval", "kept", "order", "turn")

    def __init__(self, day: ContractDay, interval: int) -> None:
        self.interval = interval
        self.kept = day.energy[:, interval].copy()
        self.order = np.flatnonzero(self.kept)[::-1]
        self.cut = 0
        self.turn = 0
        self.idle = 0

    @property
    def contract(self) -> int:
        """The contract whose turn it is."""
        return int(self.order[self.cut - 1 - self.turn])

    def pass_on(self, *, raised: bool) -> None:
        """Gives the turn to the next; a contract that was raised, as far as it goes, is the first that is idle."""
        self.idle = 1 if raised else self.idle + 1
        self.turn = (self.turn + 1) % self.cut


def _cut_last_first(day: ContractDay, cutting: Sequence[_Cutting]) -> list[int]:
    """Cuts whole contracts, the last first, as few as suffice; returns the intervals that have no flow even then.

    All counts are tried in turn, in batches that grow: nothing says that cutting more is always better.
    """
    pending, unsolved, size = list(cutting), list[int](), 1
    while pending:
        tried = [
            (each, each.cut + i) for each in pending for i in range(1, size + 1) if each.cut + i <= each.order.size
        ]
        rows = np.array([_without(each, count) for each, count in tried], dtype=np.int64)
        at = np.array([each.interval for each, _ in tried], dtype=np.int64)
        feasible = day.breaches(at, rows).feasible if tried else np.zeros(0, dtype=np.bool_)
        enough: dict[int, int] = {}
        for (each, count), ok in zip(tried, feasible.tolist(), strict=True):
            if ok:
                enough.setdefault(each.interval, count)
        still = []
        for each in pending:
            if each.interval in enough:
                each.cut = enough[each.interval]
                each.kept = _without(each, each.cut)
            elif each.cut + size >= each.order.size:
                unsolved.append(each.interval)
            else:
                each.cut += size
                still.append(each)
        pending, size = still, min(2 * size, 64)
    return unsolved


def _without(each: _Cutting, count: int) -> Int64s:
    kept = each.kept.copy()
    kept[each.order[:count]] = 0
    return kept


def _give_back(day: ContractDay, cutting: Sequence[_Cutting], step_wh: int) -> None:
    """Gives contracts that were cut whole back what the grid carries, earlier ones first, until nothing more can be.

    What one contract got back can make room for an earlier one (a buyer's draw lowers a voltage that a seller raised):
    an interval is done when each of its contracts has had its turn since the last of them was raised.
    """
    while under_way := [each for each in cutting if each.idle < each.cut]:
        _raise_each(day, under_way, step_wh)


def _raise_each(day: ContractDay, under_way: Sequence[_Cutting], step_wh: int) -> None:
    """Raises the contract whose turn it is in each interval as far as it goes.

    Bisection in whole steps between what is kept now, which is feasible, and all of the promise.
    """
    at = np.array([each.interval for each in under_way], dtype=np.int64)
    contracts = np.array([each.contract for each in under_way], dtype=np.int64)
    promised = day.energy[contracts, at]
    kept = np.array([each.kept[contract] for each, contract in zip(under_way, contracts, strict=True)], dtype=np.int64)
    low, high = kept // step_wh, -(-promised // step_wh)

    def tried(places: Int64s, step: Int64s) -> Mask:
        if not places.size:
            return np.zeros(0, dtype=np.bool_)
        rows = np.array([under_way[place].kept for place in places], dtype=np.int64)
        rows[np.arange(len(places)), contracts[places]] = np.minimum(step * step_wh, promised[places])
        return day.breaches(at[places], rows).feasible

    # Most contracts that were cut in passing can have everything, and one that got its due can have no step more.
    short = np.flatnonzero(kept < promised)
    full = tried(short, high[short])
    low[short[full]] = high[short[full]]
    rest = short[~full]
    one = tried(rest, low[rest] + 1)
    high[rest[~one]] = low[rest[~one]] + 1
    low[rest[one]] += 1
    while (rest := short[low[short] + 1 < high[short]]).size:
        middle = (low[rest] + high[rest]) // 2
        ok = tried(rest, middle)
        low[rest[ok]], high[rest[~ok]] = middle[ok], middle[~ok]
    for each, contract, now in zip(under_way, contracts, np.minimum(low * step_wh, promised), strict=True):
        raised = bool(now > each.kept[contract])
        if raised:
            each.kept[contract] = now
        each.pass_on(raised=raised)


def _reasons(day: ContractDay, kept: Int64s, uncut: _Breaches, step_wh: int) -> dict[int, Reason]:
    """For every contract that was cut: the limit that one step more would break where it was cut most."""
    cut = day.energy - kept
    contracts = np.flatnonzero(cut.any(axis=1))
    if not contracts.size:
        return {}
    deepest = cut[contracts].argmax(axis=1)
    rows = kept.T[deepest].copy()
    at = np.arange(len(contracts))
    rows[at, contracts] = np.minimum(rows[at, contracts] + step_wh, day.energy[contracts, deepest])
    probed = day.breaches(deepest, rows)
    reasons = {}
    for row, (contract, interval) in enumerate(zip(contracts.tolist(), deepest.tolist(), strict=True)):
        breach = probed.worst(row)
        before = uncut.at(breach.kind, probed.column(breach), interval)
        told = before if is_broken(before) else breach
        count = int((cut[contract] > 0).sum())
        reasons[contract] = Reason(told, count, reason_text(day.solver, told, count))
    return reasons


def reason_text(solver: Solver, breach: Breach, intervals: int) -> str:
    """A reason as people read it, at most 256 characters: which limit, where, its value with nothing cut, when."""
    network = solver.network
    if breach.kind is Kind.NO_SOLUTION:
        says = "power flow without a solution"
    elif breach.kind in (Kind.VOLTAGE_LOW, Kind.VOLTAGE_HIGH):
        beyond = "below" if breach.kind is Kind.VOLTAGE_LOW else "above"
        says = f"voltage {breach.value:.4f} {beyond} {breach.bound:.4f} p.u. at {network.nodes[breach.place].name}"
    elif breach.kind is Kind.LOADING:
        branch = network.branches[breach.place]
        says = f"loading {breach.value * 100:.2f} % above {breach.bound * 100:.2f} % of {branch.kind} {branch.name}"
    elif breach.kind is Kind.UNIT_POWER:
        says = f"power {breach.value:.0f} W above {breach.bound:.0f} W of {network.units[breach.place].name}"
    else:
        says = (
            f"reactive power {breach.value:.0f} var above {breach.bound:.0f} var of {network.units[breach.place].name}"
        )
    return f"{says} in interval {breach.interval}; intervals curtailed: {intervals}"
