"""The grid operator of a run: places promises and readings in the grid, lets the power flow, and says what it found.

It decides with what an operator knows the day before: members' contracted energy (promises), and the profiles of all
units that are no members'. After delivery it computes the same with members' readings. What it says is signed and
ordered by the run; a chain's bytes therefore depend on the power flow, but only on steps of 10 Wh and 100
parts per million (`wattquorum.grid.flow` says how far apart two machines may be).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.intervals import INTERVALS_MAX, Window, format_moment
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import EnergyVector, Int64s, pack_energy
from wattquorum.grid.curtailment import PLANNING, Capability, ContractDay, Curtailment, Limits, Placed, curtail
from wattquorum.grid.flow import Exchange, Flow, Solver, exchange_of, power_flow
from wattquorum.grid.network import Network
from wattquorum.lab.grid_profiles import GridProfiles, others_exchange
from wattquorum.lab.members import Member
from wattquorum.ledger.transactions import Extreme, FlowKind, ReportFlow
from wattquorum.records.annotations import GridBranch, GridInfo, GridNode
from wattquorum.records.meter_table import MeterTable

DIRECTIONS: Final = {False: "withdrawal", True: "injection"}
MICRODEGREES: Final = 1_000_000


class Grid(NamedTuple):
    """A network, what runs on it beside the members, and what its operator plans with."""

    network: Network
    profiles: GridProfiles
    limits: Limits = PLANNING


class Contracted(NamedTuple):
    """A contract as the operator sees it: its sides' meters, and what it promises [Wh per interval]."""

    seller: str
    buyer: str
    energy: Int64s


class Decision(NamedTuple):
    """What is left of the contracts and why, and the power flow of what is left."""

    curtailment: Curtailment
    flow: Flow


class GridOperator:
    """Power flow of a run's days on one grid."""

    __slots__ = ("_capabilities", "_limits", "_members", "_profiles", "_table", "_unit_of", "network", "solver")

    def __init__(self, grid: Grid, members: Sequence[Member], table: MeterTable) -> None:
        """`table` holds the readings of meters that stand in the grid and are none of the `members`'.

        Raises Refused("grid_meter_unknown") for a member's meter that the grid does not have.
        """
        self.network = grid.network
        self.solver = Solver(grid.network)
        self._profiles = grid.profiles
        self._table = table
        self._limits = grid.limits
        self._unit_of: dict[str, int] = {}
        self._capabilities: dict[int, Capability] = {}
        for meter in (meter for member in members for meter in member.meters):
            place = self.network.unit_of(meter.meter_id, generates=meter.direction == "injection")
            self._unit_of[meter.meter_id] = place
            self._capabilities[place] = Capability(meter.limit, meter.power_factor)

    def decide(self, contracts: Sequence[Contracted], window: Window) -> Decision:
        """Whether the grid can carry a day's contracts, the first made first, and what must be cut (A-4, L-8).

        Raises Refused("grid_diverged") when what is left has no power flow.
        """
        placed = [Placed(self._unit_of[c.seller], self._unit_of[c.buyer], c.energy) for c in contracts]
        day = ContractDay(self.solver, self._others(window), placed, self._capabilities, window.length_ms, self._limits)
        found = curtail(day)
        exchange = day.exchange(np.arange(window.intervals), found.kept.T)
        return Decision(found, self._flow(exchange, window))

    def metered(self, readings: Mapping[str, Int64s], window: Window) -> Flow:
        """The flow of a day on which members' meters counted so much; Refused("grid_diverged")."""
        others = self._others(window)
        rows = [(self._unit_of[meter], *self._drawn(self._unit_of[meter], readings[meter])) for meter in self._unit_of]
        members = exchange_of(len(self.network.units), window.intervals, rows)
        exchange = Exchange(others.active + members.active, others.reactive + members.reactive)
        return self._flow(exchange, window)

    def _flow(self, exchange: Exchange, window: Window) -> Flow:
        """The flow of a day; where an interval has none, the refusal names it and the unit that is most likely wrong.

        A rating in the wrong unit is what bounds catch last, so the largest one is the first to look at [chosen].
        """
        try:
            return power_flow(self.solver, exchange, window.length_ms)
        except Refused as refused:
            if (refused.code, refused.field) != ("grid_diverged", "interval"):
                raise
            start = window.start_ms + int(refused.value) * window.length_ms
            unit = max(self.network.units, key=lambda each: each.p_rated_w)
            kind = "sym_gen" if unit.generates else "sym_load"
            value = f"interval {refused.value} of its day, from {format_moment(start)}"
            remedy = (
                f"Look first at the largest unit, {unit.name} (id {unit.id}, {kind}, p_specified {unit.p_rated_w:,.0f} "
                "W), then at the lines' r1 and x1."
            )
            raise Refused("grid_diverged", "grid", value, remedy) from None

    def _drawn(self, place: int, energy: Int64s) -> tuple[Int64s, np.ndarray]:
        return energy, energy * self._capabilities[place].tangent

    def _others(self, window: Window) -> Exchange:
        """What all units exchange that are no members' of this run."""
        others = others_exchange(self.network, self._profiles, window)
        for place, unit in enumerate(self.network.units):
            if unit.meter and unit.meter not in self._unit_of:
                metered = self._table.energy(unit.meter, DIRECTIONS[unit.generates], window.start_ms, window.end_ms)
                others.active[:, place] = metered
                others.reactive[:, place] = metered * (unit.q_rated_var / unit.p_rated_w)
        return others

    def report(self, flow: Flow, day: int, kind: FlowKind, version: int) -> ReportFlow:
        """A flow as the operator signs it."""
        low, high, loaded = flow.lowest_voltage, flow.highest_voltage, flow.highest_loading
        nodes, branches = self.network.nodes, self.network.branches
        fits = len(branches) <= INTERVALS_MAX
        return ReportFlow(
            day,
            kind,
            version,
            self.network.digest,
            pack_energy(flow.generation),
            pack_energy(flow.consumption),
            pack_energy(flow.losses),
            pack_energy(np.maximum(flow.supply, 0)),
            pack_energy(np.maximum(-flow.supply, 0)),
            pack_energy(flow.voltage_ppm.min(axis=1)),
            pack_energy(flow.voltage_ppm.max(axis=1)),
            pack_energy(flow.loading_ppm.max(axis=1)),
            Extreme(low.interval, nodes[low.place].name),
            Extreme(high.interval, nodes[high.place].name),
            Extreme(loaded.interval, branches[loaded.place].name),
            pack_energy(flow.loading_ppm[loaded.interval]) if fits else EnergyVector(b""),
        )

    def described(self) -> GridInfo:
        """The grid as the records keep it, for maps."""
        network = self.network
        nodes = [
            GridNode(node.name, node.feeder, _microdegrees(node.longitude), _microdegrees(node.latitude))
            for node in network.nodes
        ]
        branches = [GridBranch(each.name, each.kind, each.start, each.end) for each in network.branches]
        meters = {meter: network.units[place].node for meter, place in self._unit_of.items()}
        return GridInfo(network.digest.hex(), nodes, branches, meters)


def _microdegrees(degrees: float | None) -> int | None:
    return None if degrees is None else int(np.floor(degrees * MICRODEGREES + 0.5))
