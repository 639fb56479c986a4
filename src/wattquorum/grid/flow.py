"""Power flow: what a day's energies do to the wires, interval by interval (A-3, A-4, L-9).

AC power flow by power-grid-model's Newton-Raphson method, one batch for all intervals of a day. Units take part with
whole watt-hours, so that generation and consumption are exact; losses are what the branches keep; and the supply of
the upper grid is what closes A-3 to the Wh, compared with what the solver itself says that the sources give.

What is told is rounded coarsely on purpose: losses to 10 Wh, voltages and loadings to 100 parts per million. The same
arithmetic in another order (all rows of the shipped grid shuffled) changes voltages by 2e-13, loadings by 1.5e-12 and
losses by 3e-6 Wh, and so much may machines differ; they tell the same numbers unless a value lies that close to the
middle between two steps. Where several places tie as they are told, the first one in the file is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from power_grid_model import ComponentType, DatasetType, PowerGridModel, initialize_array
from power_grid_model.errors import PowerGridError  # type: ignore[attr-defined]  # exported, but not to mypy

from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.grid.network import Network

FREQUENCY_HZ: Final = 50.0
STEP_PPM: Final = 100  # of voltages and loadings as they are told
STEP_LOSSES_WH: Final = 10
BALANCE_TOLERANCE: Final = 1e-6  # of the energy that flows: between the losses' sum and what the sources say
SCENARIOS_AT_ONCE: Final = 4_096  # bounds the memory of one batch

# What the solver is asked for; nothing else is copied out of it.
RATED: Final = (ComponentType.line, ComponentType.transformer)
TOLD: Final = {
    ComponentType.node: ("u_pu",),
    ComponentType.source: ("p",),
    ComponentType.line: ("loading", "p_from", "p_to"),
    ComponentType.transformer: ("loading", "p_from", "p_to"),
}

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Exchange(NamedTuple):
    """What units inject or withdraw, each in its own direction [scenarios, units in the order of the network].

    `active` in Wh per interval, zero or more; `reactive` in varh per interval, drawn by loads, given by generators.
    """

    active: Int64s
    reactive: Floats


class Solution(NamedTuple):
    """What the solver says of each scenario. Rows of scenarios without a solution hold NaN."""

    found: Mask  # [scenarios]
    voltage: Floats  # [scenarios, nodes], per unit
    loading: Floats  # [scenarios, branches], 1 is the rating
    losses_w: Floats  # [scenarios]
    supply_w: Floats  # [scenarios], from the upper grid; below zero when the grid gives back


class Extreme(NamedTuple):
    """Where and when a value is the lowest or highest of a day: a place among nodes or branches, and an interval."""

    value_ppm: int
    place: int
    interval: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A day's power flow. Energies [Wh per interval]; generation + supply = consumption + losses in each (A-3, L-9)."""

    generation: Int64s
    consumption: Int64s
    losses: Int64s
    supply: Int64s  # from the upper grid; below zero when the grid gives back
    voltage_ppm: Int64s  # [intervals, nodes]
    loading_ppm: Int64s  # [intervals, branches]

    @property
    def lowest_voltage(self) -> Extreme:
        """The lowest voltage of the day."""
        return _extreme(self.voltage_ppm, int(self.voltage_ppm.argmin()))

    @property
    def highest_voltage(self) -> Extreme:
        """The highest voltage of the day."""
        return _extreme(self.voltage_ppm, int(self.voltage_ppm.argmax()))

    @property
    def highest_loading(self) -> Extreme:
        """The most loaded line or transformer of the day."""
        return _extreme(self.loading_ppm, int(self.loading_ppm.argmax()))


def _extreme(values: Int64s, flat: int) -> Extreme:
    interval, place = divmod(flat, values.shape[1])
    return Extreme(int(values[interval, place]), place, interval)


class Solver:
    """power-grid-model on one network; keeps its model, so that batch after batch costs the flow alone."""

    __slots__ = ("_ids", "_model", "_told", "loads", "network")

    def __init__(self, network: Network) -> None:
        self.network = network
        self.loads = sum(not unit.generates for unit in network.units)
        ids = np.array([unit.id for unit in network.units], dtype=np.int32)
        self._ids = {ComponentType.sym_load: ids[: self.loads], ComponentType.sym_gen: ids[self.loads :]}
        self._model = PowerGridModel(dict(network.data), system_frequency=FREQUENCY_HZ)
        self._told = {kind: list(names) for kind, names in TOLD.items() if kind.value in network.data}

    def solve(self, exchange: Exchange, length_ms: int) -> Solution:
        """Every scenario of an exchange over intervals of `length_ms`, in batches of bounded size."""
        cuts = range(SCENARIOS_AT_ONCE, len(exchange.active), SCENARIOS_AT_ONCE)
        batches = zip(np.split(exchange.active, cuts), np.split(exchange.reactive, cuts), strict=True)
        parts = [self._solve(Exchange(*batch), length_ms) for batch in batches]
        return parts[0] if len(parts) == 1 else Solution(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _solve(self, exchange: Exchange, length_ms: int) -> Solution:
        count, hours = len(exchange.active), length_ms / MS_PER_HOUR
        update = {}
        places = {ComponentType.sym_load: slice(None, self.loads), ComponentType.sym_gen: slice(self.loads, None)}
        for kind, units in places.items():
            if self._ids[kind].size:
                rows = initialize_array(DatasetType.update, kind, (count, self._ids[kind].size))
                rows["id"] = self._ids[kind]
                rows["p_specified"] = exchange.active[:, units] / hours
                rows["q_specified"] = exchange.reactive[:, units] / hours
                update[kind] = rows
        found = np.ones(count, dtype=np.bool_)
        try:
            # Scenarios are independent of each other; that one has no solution must not hide the others'.
            told = self._model.calculate_power_flow(
                update_data=update, output_component_types=dict(self._told), continue_on_batch_error=True
            )
        except PowerGridError as fault:
            raise Refused("grid_diverged", "grid", str(fault).splitlines()[0]) from None
        failed = self._model.batch_error
        if failed is not None:
            rows_failed = np.asarray(failed.failed_scenarios, dtype=np.int64)
            found[rows_failed] = False
            for kind, names in self._told.items():  # the solver leaves there what the memory held before
                for name in names:
                    told[kind][name][rows_failed] = np.nan
        losses = [(told[each]["p_from"] + told[each]["p_to"]).sum(axis=1) for each in RATED if each in self._told]
        loading = [told[each]["loading"] for each in RATED if each in self._told]
        voltage = told[ComponentType.node]["u_pu"][:, self.network.solved]
        found &= np.isfinite(voltage).all(axis=1)
        return Solution(
            found,
            voltage,
            np.concatenate(loading, axis=1) if loading else np.zeros((count, 0)),
            np.sum(losses, axis=0) if losses else np.zeros(count),
            told[ComponentType.source]["p"].sum(axis=1),
        )


def power_flow(solver: Solver, exchange: Exchange, length_ms: int) -> Flow:
    """The flow of a day whose units exchange so much; one scenario for each interval of `length_ms`.

    Raises Refused("grid_diverged") naming the first interval in which the power flow has no solution, or in which the
    losses of the branches do not fit what the sources give (A-3).
    """
    solution = solver.solve(exchange, length_ms)
    if not solution.found.all():
        interval = int(solution.found.argmin())
        raise Refused("grid_diverged", "interval", interval)
    hours = length_ms / MS_PER_HOUR
    generation = exchange.active[:, solver.loads :].sum(axis=1)
    consumption = exchange.active[:, : solver.loads].sum(axis=1)
    losses = whole(solution.losses_w * hours / STEP_LOSSES_WH) * STEP_LOSSES_WH
    supply = consumption + losses - generation
    gap = np.abs(supply - solution.supply_w * hours) - BALANCE_TOLERANCE * (consumption + generation)
    if gap.size and gap.max() > STEP_LOSSES_WH:
        interval = int(gap.argmax())
        remedy = f"Losses miss the sources by {gap[interval]:.0f} Wh in interval {interval}."
        raise Refused("grid_diverged", "balance", interval, remedy)
    return Flow(generation, consumption, losses, supply, told_ppm(solution.voltage), told_ppm(solution.loading))


def whole(values: Floats) -> Int64s:
    """The nearest integers, halves up."""
    return np.floor(values + 0.5).astype(np.int64)


def told_ppm(values: Floats) -> Int64s:
    """Per unit as parts per million in steps of `STEP_PPM`."""
    return whole(values * (MILLION // STEP_PPM)) * STEP_PPM


def exchange_of(units: int, intervals: int, rows: Sequence[tuple[int, Int64s, Floats]]) -> Exchange:
    """An exchange in which these units do something: (place, active [Wh], reactive [varh]); equal places add up."""
    active = np.zeros((intervals, units), dtype=np.int64)
    reactive = np.zeros((intervals, units))
    for place, wh, varh in rows:
        active[:, place] += wh
        reactive[:, place] += varh
    return Exchange(active, reactive)
