"""Grids for tests: two nodes and one line that can be worked by hand, and the shipped one with its real profiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from wattquorum.foundation.intervals import Window
from wattquorum.foundation.vectors import Int64s
from wattquorum.grid.curtailment import Capability, ContractDay, Limits, Placed
from wattquorum.grid.flow import Exchange, Solver
from wattquorum.grid.network import Network, network_of
from wattquorum.lab.calendar import trading_day
from wattquorum.lab.grid_profiles import others_exchange
from wattquorum.lab.shipped import shipped_members, shipped_network, shipped_profiles, shipped_week

QUARTER = 900_000

Model = dict[str, Any]


def line(id_: int, start: int, end: int, **fields: float) -> Model:
    given = {"r1": 4.0, "x1": 3.0, "c1": 0.0, "tan1": 0.0, "i_n": 100.0, **fields}
    return {"id": id_, "from_node": start, "to_node": end, "from_status": 1, "to_status": 1, **given}


def unit(id_: int, node: int, p: float = 1e6, **fields: object) -> Model:
    return {"id": id_, "node": node, "status": 1, "type": 0, "p_specified": p, "q_specified": 0.0, **fields}


def two_nodes() -> Model:
    """A source of 20 kV, 4 + j3 ohm of line, a load and a generator behind it."""
    return {
        "version": "1.0",
        "type": "input",
        "is_batch": False,
        "attributes": {},
        "data": {
            "node": [{"id": 1, "u_rated": 20e3, "simbench_id": "here"}, {"id": 2, "u_rated": 20e3, "name": "there"}],
            "line": [line(3, 1, 2)],
            "source": [{"id": 4, "node": 1, "status": 1, "u_ref": 1.0, "sk": 1e15}],
            "sym_load": [unit(5, 2, meter_id="load")],
            "sym_gen": [unit(6, 2, meter_id="sun")],
        },
    }


def network(change: Callable[[Model], object] | None = None) -> Network:
    """The grid of two nodes after a change to its `data`."""
    return network_of(encoded(change))


def encoded(change: Callable[[Model], object] | None = None) -> bytes:
    model = two_nodes()
    if change is not None:
        change(model["data"])
    return json.dumps(model).encode()


class Shipped(NamedTuple):
    """The shipped grid on one day: what its other units do, and what each member's meter counts."""

    solver: Solver
    window: Window
    others: Exchange
    metered: dict[int, Int64s]  # by unit
    capabilities: dict[int, Capability]


@cache
def shipped(day: int = 15) -> Shipped:
    """A day of June 2016."""
    solver = Solver(shipped_network())
    window = trading_day(date(2016, 6, day), ZoneInfo("Europe/Berlin")).window
    table, metered, capabilities = shipped_week(), {}, {}
    for member in shipped_members():
        (meter,) = member.meters
        place = solver.network.unit_of(meter.meter_id, generates=meter.direction == "injection")
        metered[place] = table.energy(meter.meter_id, meter.direction, window.start_ms, window.end_ms)
        capabilities[place] = Capability(meter.limit, meter.power_factor)
    others = others_exchange(solver.network, shipped_profiles(), window)
    return Shipped(solver, window, others, metered, capabilities)


def whole_exchange(grid: Shipped) -> Exchange:
    """Everything that everybody did on the day."""
    active, reactive = grid.others.active.copy(), grid.others.reactive.copy()
    for place, energy in grid.metered.items():
        active[:, place] += energy
        reactive[:, place] += energy * grid.capabilities[place].tangent
    return Exchange(active, reactive)


def contracts(grid: Shipped, times: int) -> list[Placed]:
    """Every generator sells half of `times` its metered energy to each of two consumers; ids by turns."""
    loads = grid.solver.loads
    sellers = sorted(place for place in grid.metered if place >= loads)
    buyers = sorted(place for place in grid.metered if place < loads)
    return [
        Placed(seller, buyers[(i + 3 * j) % len(buyers)], grid.metered[seller] * times // 2)
        for i, seller in enumerate(sellers)
        for j in range(2)
    ]


def raised(grid: Shipped, *, contracts_times: int, others_percent: int = 100) -> ContractDay:
    """The day with the contracts and the other generators raised, and connections wide enough for it."""
    active = grid.others.active.copy()
    active[:, grid.solver.loads :] = active[:, grid.solver.loads :] * others_percent // 100
    wide = {place: Capability(4_000_000_000, each.power_factor_ppm) for place, each in grid.capabilities.items()}
    others = Exchange(active, grid.others.reactive)
    return ContractDay(grid.solver, others, contracts(grid, contracts_times), wide, grid.window.length_ms, Limits())


def flat(energy: int, intervals: int = 1) -> Int64s:
    return np.full(intervals, energy, dtype=np.int64)
