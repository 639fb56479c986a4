"""The tables of the grid: signed power flows, and what the chain does not know of a grid (A-3, L-9)."""

from __future__ import annotations

from typing import Final

from wattquorum.records.columns import superseded, table, whole, word

_KIND: Final = "planned (from promises, when the operator decided) or metered (from readings)"

flows: Final = table(
    "flows",
    "The grid operator's power flow of a day, as it signed it; what it supplies and losses balance (A-3, L-9).",
    whole("day_start_ms", "delivery day", key=True),
    word("kind", _KIND, key=True),
    whole("version", "1 first, higher when readings were corrected", key=True),
    word("grid", "digest of the grid file"),
    whole("generation_wh", "of all units of the grid, members or not"),
    whole("consumption_wh", "of all units of the grid, members or not"),
    whole("losses_wh", "kept by lines and transformers"),
    whole("supply_wh", "taken from the upper grid, over intervals in which more came than went"),
    whole("returned_wh", "given to the upper grid, over the other intervals"),
    whole("lowest_voltage_ppm", "lowest voltage, of the rated one"),
    whole("lowest_voltage_interval", "when"),
    word("lowest_voltage_node", "where"),
    whole("highest_voltage_ppm", "highest voltage, of the rated one"),
    whole("highest_voltage_interval", "when"),
    word("highest_voltage_node", "where"),
    whole("loading_ppm", "loading of the most loaded line or transformer, of its rating"),
    whole("loading_interval", "when"),
    word("loading_branch", "where"),
    whole("height", "block"),
    whole("place", "transaction in the block"),
    superseded(),
)

flow_intervals: Final = table(
    "flow_intervals",
    "The power flow of a day, interval by interval.",
    whole("day_start_ms", "delivery day", key=True),
    word("kind", "as in flows", key=True),
    whole("version", "as in flows", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("generation_wh", "of all units"),
    whole("consumption_wh", "of all units"),
    whole("losses_wh", "kept by lines and transformers"),
    whole("supply_wh", "taken from the upper grid"),
    whole("returned_wh", "given to the upper grid"),
    whole("lowest_voltage_ppm", "lowest voltage, of the rated one"),
    whole("highest_voltage_ppm", "highest voltage, of the rated one"),
    whole("loading_ppm", "loading of the most loaded line or transformer, of its rating"),
)

flow_branches: Final = table(
    "flow_branches",
    "Loading of every line and transformer in the interval in which the most loaded one of the day is.",
    whole("day_start_ms", "delivery day", key=True),
    word("kind", "as in flows", key=True),
    whole("version", "as in flows", key=True),
    whole("branch", "place in the grid file, lines before transformers, from 0", key=True),
    whole("loading_ppm", "of its rating"),
)

grid_nodes: Final = table(
    "grid_nodes",
    "What the chain does not know of a grid: its nodes, in the order of the grid file.",
    word("grid", "digest of the grid file, as in flows", key=True),
    whole("node", "place in the grid file, from 0", key=True),
    word("name", "what the grid operator calls it"),
    word("feeder", "feeder"),
    whole("longitude_microdegrees", "east of Greenwich", maybe=True),
    whole("latitude_microdegrees", "north of the equator", maybe=True),
)

grid_branches: Final = table(
    "grid_branches",
    "What the chain does not know of a grid: its lines and transformers, in the order of flow_branches.",
    word("grid", "digest of the grid file, as in flows", key=True),
    whole("branch", "place, from 0", key=True),
    word("name", "what the grid operator calls it"),
    word("kind", "line or transformer"),
    whole("start_node", "node at one end, as in grid_nodes"),
    whole("end_node", "node at the other end"),
)

grid_meters: Final = table(
    "grid_meters",
    "At which node of a grid each member's meter stands.",
    word("grid", "digest of the grid file, as in flows", key=True),
    word("meter", "meter point", key=True),
    whole("node", "as in grid_nodes"),
)
