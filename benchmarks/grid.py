"""Power flow of a day on the shipped grid, and the curtailment of a day that it cannot carry.

The floor of the flow is power-grid-model alone on the same batch, its input filled in before and nothing done with its
output: what remains is filling the batch, checking the balance, and rounding.
"""

from __future__ import annotations

from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from power_grid_model import ComponentType, DatasetType, PowerGridModel, initialize_array

from benchmarks.measuring import Line, Section, beside, seconds
from wattquorum.foundation.intervals import QUARTER_HOUR
from wattquorum.foundation.quantities import MILLION
from wattquorum.grid.curtailment import PLANNING, Capability, ContractDay, Placed, curtail
from wattquorum.grid.flow import FREQUENCY_HZ, TOLD, Solver, exchange_of, power_flow
from wattquorum.lab.calendar import ZONE, trading_day
from wattquorum.lab.grid_profiles import others_exchange
from wattquorum.lab.shipped import shipped_members, shipped_network, shipped_profiles, shipped_week

DAY: Final = date(2016, 6, 15)
RAISED: Final = 20  # times what generators metered, so that the grid cannot carry it
WIDE: Final = Capability(4_000_000_000, MILLION)


def measured() -> Section:
    """Milliseconds of a day's flow, in times its floor, and of a day's curtailment."""
    network = shipped_network()
    window = trading_day(DAY, ZoneInfo(ZONE)).window
    solver = Solver(network)
    others = others_exchange(network, shipped_profiles(), window)
    table, metered = shipped_week(), dict[int, object]()
    rows = []
    for meter in (meter for member in shipped_members() for meter in member.meters):
        place = network.unit_of(meter.meter_id, generates=meter.direction == "injection")
        energy = table.energy(meter.meter_id, meter.direction, window.start_ms, window.end_ms)
        tangent = Capability(meter.limit, meter.power_factor).tangent
        rows.append((place, energy, energy.astype(np.float64) * tangent))
        metered[place] = energy
    members = exchange_of(len(network.units), window.intervals, rows)
    exchange = members._replace(active=members.active + others.active, reactive=members.reactive + others.reactive)

    model = PowerGridModel(dict(network.data), system_frequency=FREQUENCY_HZ)
    ids = [unit.id for unit in network.units]
    update = {}
    for kind, part in (
        (ComponentType.sym_load, slice(None, solver.loads)),
        (ComponentType.sym_gen, slice(solver.loads, None)),
    ):
        batch = initialize_array(DatasetType.update, kind, (window.intervals, len(ids[part])))
        batch["id"] = ids[part]
        batch["p_specified"], batch["q_specified"] = exchange.active[:, part] * 4.0, exchange.reactive[:, part] * 4.0
        update[kind] = batch

    def bare() -> object:
        told = {kind: list(names) for kind, names in TOLD.items()}
        return model.calculate_power_flow(update_data=update, output_component_types=dict(told))

    flowing = beside(lambda: power_flow(solver, exchange, QUARTER_HOUR), bare, rounds=15)
    sellers = [place for place in metered if network.units[place].generates]
    buyers = [place for place in metered if not network.units[place].generates]
    contracts = [
        Placed(seller, buyers[(i + 3 * j) % len(buyers)], members.active[:, seller] * RAISED // 2)
        for i, seller in enumerate(sellers)
        for j in range(2)
    ]
    day = ContractDay(solver, others, contracts, dict.fromkeys(metered, WIDE), QUARTER_HOUR, PLANNING)
    found = curtail(day)
    cutting = min(seconds(lambda: curtail(day)) for _ in range(3))
    intervals = int((found.kept < day.energy).any(axis=0).sum())
    size = f"{len(network.nodes)} nodes, {len(network.units)} units, {window.intervals} intervals"
    cut = f"{len(found.reasons)} of {len(contracts)} contracts cut in {intervals} intervals"
    return Section(
        "Power flow of a day on the shipped grid",
        [
            Line("a day's power flow", flowing.ours * 1_000, "ms", size),
            Line("   against power-grid-model alone", flowing.times, "x"),
            Line(f"curtailing {RAISED} times what was metered", cutting * 1_000, "ms", cut),
            Line("   in flows of a day", cutting / flowing.ours, "x"),
        ],
    )
