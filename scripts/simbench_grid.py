"""The grid of the SimBench extract: its nodes, its feeders, and power-grid-model input made from them.

It stands apart from the extract's profiles because it is pure: tables of texts in, a dictionary out. SimBench puts an
auxiliary node and a switch between a busbar and each line; here the auxiliary node is folded into its busbar and the
switch becomes the status of the line's end, which is what power-grid-model asks for. Feeders are what remains
connected when the substation's busbars are taken out; a line with an open end connects nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

Row = Mapping[str, str]
Tables = Mapping[str, Sequence[Row]]

SUBSTATION = "substation"
SYSTEM_FREQUENCY_HZ = 50
CLOCK_DEGREES = 30
WYE_N, DELTA = 1, 2
TAP_ON_FROM_SIDE = 0
SHORT_CIRCUIT_VA = 1e15  # SimBench holds the voltage above the substation fixed: no impedance that could be seen


@dataclass(frozen=True)
class Topology:
    """Which node each name stands for, where each line end is switched, and which feeder each node is on."""

    node_of: Mapping[str, str]
    closed: Mapping[str, bool]
    feeder_of: Mapping[str, str]


def trace(tables: Tables) -> Topology:
    """Folds auxiliary nodes into their busbars and finds the feeders.

    A feeder is named after the one SimBench feeder that its closed lines carry in their `subnet`; a component whose
    lines disagree, or a node that no feeder and no substation reaches, is an error.
    """
    auxiliary = {row["id"] for row in tables["Node"] if row["type"] == "auxiliary"}
    node_of = {row["id"]: row["id"] for row in tables["Node"]}
    closed: dict[str, bool] = {}
    for switch in tables["Switch"]:
        ends = (switch["nodeA"], switch["nodeB"])
        hidden = [end for end in ends if end in auxiliary]
        if len(hidden) > 1 or any(end in closed for end in hidden):
            raise ValueError(f"{switch['id']}: two auxiliary nodes, or a second switch on one")
        for end in hidden:
            node_of[end] = ends[1] if end == ends[0] else ends[0]
            closed[end] = switch["cond"] == "1"
    if stray := auxiliary - closed.keys():
        raise ValueError(f"auxiliary nodes without a switch: {sorted(stray)}")

    busbars = {node_of[row["nodeLV"]] for row in tables["Transformer"]}
    high = {row["id"] for row in tables["Node"] if row["vmR"] == "110"}
    lines = [
        (node_of[row["nodeA"]], node_of[row["nodeB"]], row["subnet"])
        for row in tables["Line"]
        if closed.get(row["nodeA"], True) and closed.get(row["nodeB"], True)
    ]
    outside = busbars | high
    feeder_of = dict.fromkeys(outside, SUBSTATION)
    for component in components({node_of[name] for name in node_of} - outside, [line[:2] for line in lines]):
        names = {subnet for start, end, subnet in lines if start in component or end in component}
        carried = {name.rsplit("_", 1)[1] for name in names if name.rsplit("_", 1)[1].startswith("Feeder")}
        if len(carried) != 1:
            raise ValueError(f"a connected part of the grid carries the feeders {sorted(names)}")
        feeder_of.update(dict.fromkeys(component, "feeder-" + carried.pop().removeprefix("Feeder")))
    return Topology(node_of, closed, feeder_of)


def components(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[set[str]]:
    """The connected parts of a graph; edges that leave `nodes` connect nothing."""
    near: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        if start in near and end in near:
            near[start].append(end)
            near[end].append(start)
    parts: list[set[str]] = []
    seen: set[str] = set()
    for first in sorted(near):
        if first in seen:
            continue
        part, todo = {first}, [first]
        while todo:
            for neighbour in near[todo.pop()]:
                if neighbour not in part:
                    part.add(neighbour)
                    todo.append(neighbour)
        seen |= part
        parts.append(part)
    return parts


def scaled(text: str, *factors: str | int) -> float:
    """A decimal text times decimal factors, exactly, as the nearest float."""
    product = Decimal(text)
    for factor in factors:
        product *= Decimal(factor)
    return float(product)


def grid_model(tables: Tables, topology: Topology, meter_of: Mapping[str, str]) -> dict[str, object]:
    """power-grid-model input (version 1.0, type input) of the whole grid; SI units, rated powers.

    Attributes that power-grid-model does not know (`simbench_id`, `feeder`, `longitude`, `latitude`, `line_type`,
    `length_km`, `p_profile`, `q_profile`, `meter_id`) stand beside those that it does; it passes over them. `meter_of`
    maps the SimBench ids of members' units to their meters; every other unit names its profiles instead.
    """
    numbers: dict[str, int] = {}

    def numbered(name: str) -> int:
        return numbers.setdefault(name, len(numbers) + 1)

    place = {row["id"]: row for row in tables["Coordinates"]}
    line_type = {row["id"]: row for row in tables["LineType"]}
    transformer_type = {row["id"]: row for row in tables["TransformerType"]}

    def node(name: str) -> int:
        return numbers[topology.node_of[name]]

    def status(name: str) -> int:
        return int(topology.closed.get(name, True))

    nodes = [
        {
            "id": numbered(row["id"]),
            "u_rated": scaled(row["vmR"], 1000),
            "simbench_id": row["id"],
            "feeder": topology.feeder_of[row["id"]],
            "longitude": float(place[row["coordID"]]["x"]),
            "latitude": float(place[row["coordID"]]["y"]),
        }
        for row in tables["Node"]
        if topology.node_of[row["id"]] == row["id"]
    ]
    lines = []
    for row in tables["Line"]:
        kind = line_type[row["type"]]
        lines.append(
            {
                "id": numbered(row["id"]),
                "from_node": node(row["nodeA"]),
                "to_node": node(row["nodeB"]),
                "from_status": status(row["nodeA"]),
                "to_status": status(row["nodeB"]),
                "r1": scaled(kind["r"], row["length"]),
                "x1": scaled(kind["x"], row["length"]),
                "c1": scaled(kind["b"], row["length"], "1e-6") / (2 * math.pi * SYSTEM_FREQUENCY_HZ),
                "tan1": 0.0,
                "i_n": float(kind["iMax"]),
                "simbench_id": row["id"],
                "line_type": row["type"],
                "length_km": float(row["length"]),
            }
        )
    # A switch between two busbars stays a component of its own; all others have become line and transformer ends.
    links = [
        {
            "id": numbered(row["id"]),
            "from_node": node(row["nodeA"]),
            "to_node": node(row["nodeB"]),
            "from_status": int(row["cond"]),
            "to_status": int(row["cond"]),
            "simbench_id": row["id"],
        }
        for row in tables["Switch"]
        if topology.node_of[row["nodeA"]] != topology.node_of[row["nodeB"]]
    ]
    transformers = []
    for row in tables["Transformer"]:
        kind = transformer_type[row["type"]]
        if not row["type"].endswith("YNd5") or Decimal(kind["va0"]) != 5 * CLOCK_DEGREES or kind["tapside"] != "HV":
            raise ValueError(f"{row['id']}: only YNd5 with taps on the high side is known here")
        transformers.append(
            {
                "id": numbered(row["id"]),
                "from_node": node(row["nodeHV"]),
                "to_node": node(row["nodeLV"]),
                "from_status": status(row["nodeHV"]),
                "to_status": status(row["nodeLV"]),
                "u1": scaled(kind["vmHV"], 1000),
                "u2": scaled(kind["vmLV"], 1000),
                "sn": scaled(kind["sR"], 1_000_000),
                "uk": scaled(kind["vmImp"], "0.01"),
                "pk": scaled(kind["pCu"], 1000),
                "i0": scaled(kind["iNoLoad"], "0.01"),
                "p0": scaled(kind["pFe"], 1000),
                "winding_from": WYE_N,
                "winding_to": DELTA,
                "clock": 5,
                "tap_side": TAP_ON_FROM_SIDE,
                "tap_pos": int(row["tappos"]),
                "tap_min": int(kind["tapMin"]),
                "tap_max": int(kind["tapMax"]),
                "tap_nom": int(kind["tapNeutr"]),
                "tap_size": scaled(kind["dVm"], "0.01", kind["vmHV"], 1000),
                "simbench_id": row["id"],
            }
        )
    setpoint = {row["id"]: row["vmSetp"] for row in tables["Node"]}
    sources = [
        {
            "id": numbered(row["id"]),
            "node": node(row["node"]),
            "status": 1,
            "u_ref": float(setpoint[row["node"]]),
            "sk": SHORT_CIRCUIT_VA,
            "simbench_id": row["id"],
        }
        for row in tables["ExternalNet"]
    ]

    def unit(row: Row, p: str, q: str, profiles: dict[str, str]) -> dict[str, object]:
        meter = meter_of.get(row["id"])
        return {
            "id": numbered(row["id"]),
            "node": node(row["node"]),
            "status": 1,
            "type": 0,
            "p_specified": scaled(row[p], 1_000_000),
            "q_specified": scaled(row[q], 1_000_000),
            "simbench_id": row["id"],
            **({"meter_id": meter} if meter else profiles),
        }

    loads = [
        unit(
            row,
            "pLoad",
            "qLoad",
            {"p_profile": f"load_p_{row['profile']}", "q_profile": f"load_q_{row['profile']}"},
        )
        for row in tables["Load"]
    ]
    generators = [unit(row, "pRES", "qRES", {"p_profile": f"generation_{row['profile']}"}) for row in tables["RES"]]
    return {
        "version": "1.0",
        "type": "input",
        "is_batch": False,
        "attributes": {},
        "data": {
            "node": nodes,
            "line": lines,
            "link": links,
            "transformer": transformers,
            "source": sources,
            "sym_load": loads,
            "sym_gen": generators,
        },
    }
