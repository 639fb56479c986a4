"""The network: a grid file, read and checked (A-3, A-4).

A grid file is power-grid-model's input (JSON, version 1.0, SI units) with columns of our own beside its own: names,
coordinates, the meter of a member's unit, the profiles of all others. It stands apart from the power flow because a
person mends a file by what is said here: everything that is wrong with it is found in one reading and told together,
each fault with a code, the place, the value and the remedy. What neither bounds nor a row's neighbours can tell (clock
numbers that a winding cannot have, impedances that no transformer has) power-grid-model's own validation tells.

A number in the wrong unit is the slip that a power flow hides best, so the bounds are chosen to catch one of a thousand
or a million where they can, and no value that exists [all chosen]:

- u_rated, u1, u2: 100 V to 1.2 MV. The lowest voltage that supplies anybody is 100 V, the highest that equipment is
  built for 1.2 MV; what is below 100 kV is told when it is written in kV. The nodes of a line have one voltage, and a
  winding has half to twice its node's (taps, and machines of 10.5 kV at 10 kV, move it by a tenth).
- i_n: 10 A to 10 kA. The thinnest wire of a service connection carries more than 10 A, the largest busbar less than
  10 kA; because one is a thousand times the other, no kA and no mA passes.
- r1: sqrt(3) i_n r1 <= U. Beyond it a line loses more than it carries at its rating. x1: sqrt(3) i_n x1 <= 5 U. The
  longest lines for alternating current, of 1,000 km, need 3 to 4. The shipped lines have at most 0.1 of either.
- c1: at most 100 uF. Cables have less than 1 uF/km, and none for alternating current is 100 km long.
- sn: 1 kVA to 10 GVA. p_specified: 100 W, less than one solar module, to 4 GW, the most that a meter may carry; what is
  below 100 kW is told when it is written in kW, and below 100 MW when it is in MW.

Nodes that a closed link joins are one to the solver: a link is a switch, and as the very small impedance that
power-grid-model takes it for it would cost the last three digits of every result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from power_grid_model import CalculationType, DatasetType, initialize_array
from power_grid_model.validation import validate_input_data

from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import POWER_MAX
from wattquorum.foundation.refusals import Refused

FILE_BYTES_MAX: Final = 100_000_000
COMPONENTS_MAX: Final = 100_000  # of one kind
NAME_CHARACTERS_MAX: Final = 64
FAULTS_SHOWN_MAX: Final = 20
NODES_NAMED_MAX: Final = 5  # of those that one fault is about

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a grid file: its unit and what it may hold, ends included; `needed` unless it has a default."""

    name: str
    unit: str
    low: float
    high: float
    whole: bool = False
    needed: bool = True


def _whole(name: str, low: int, high: int, *, needed: bool = True) -> Column:
    return Column(name, "", low, high, True, needed)


TINY: Final = 1e-12
_ID: Final = _whole("id", 0, 2**31 - 1)
_BRANCH: Final = (
    _ID,
    _whole("from_node", 0, 2**31 - 1),
    _whole("to_node", 0, 2**31 - 1),
    _whole("from_status", 0, 1),
    _whole("to_status", 0, 1),
)
_UNIT: Final = (
    _ID,
    _whole("node", 0, 2**31 - 1),
    _whole("status", 0, 1),
    _whole("type", 0, 0),  # constant power: of any other kind nobody knows the energy before the voltage
    Column("p_specified", "W", 100, POWER_MAX),
    Column("q_specified", "var", -POWER_MAX, POWER_MAX),
)

_VOLTS: Final = (100, 1.2e6)

# What each kind of component has; the module's docstring says why these bounds.
COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "node": (_ID, Column("u_rated", "V", *_VOLTS)),
    "line": (
        *_BRANCH,
        Column("r1", "ohm", 0, 1e5),
        Column("x1", "ohm", TINY, 1e5),
        Column("c1", "F", 0, 1e-4),
        Column("tan1", "", 0, 1),
        Column("i_n", "A", 10, 1e4),
    ),
    "link": _BRANCH,
    "transformer": (
        *_BRANCH,
        Column("u1", "V", *_VOLTS),
        Column("u2", "V", *_VOLTS),
        Column("sn", "VA", 1e3, 1e10),
        Column("uk", "", TINY, 0.999),
        Column("pk", "W", 0, 1e9),
        Column("i0", "", 0, 0.999),
        Column("p0", "W", 0, 1e9),
        _whole("winding_from", 0, 4),
        _whole("winding_to", 0, 4),
        _whole("clock", -12, 12),
        _whole("tap_side", 0, 1),
        _whole("tap_pos", -128, 127, needed=False),
        _whole("tap_min", -128, 127),
        _whole("tap_max", -128, 127),
        _whole("tap_nom", -128, 127, needed=False),
        Column("tap_size", "V", 0, 1e6),
    ),
    "source": (_ID, _whole("node", 0, 2**31 - 1), _whole("status", 0, 1), Column("u_ref", "per unit", 0.5, 1.5),
               Column("sk", "VA", 1, 1e18, needed=False)),
    "sym_load": _UNIT,
    "sym_gen": _UNIT,
}  # fmt: skip
BRANCHES: Final = ("line", "link", "transformer")
ENDS: Final = ("from_node", "to_node")
AT_A_NODE: Final = ("source", "sym_load", "sym_gen")
UNITS: Final = ("sym_load", "sym_gen")
RATINGS: Final = ("u_rated", "i_n", "u1", "u2", "sn", "p_specified")  # what is above zero
PREFIXES: Final = {"k": 1e3, "M": 1e6, "m": 1e-3, "u": 1e-6}  # with which people write the units below
PREFIXED: Final = ("V", "A", "VA", "W", "F", "ohm")
WINDINGS: Final = (("from_node", "u1"), ("to_node", "u2"))
WINDING_RATIO_MAX: Final = 2  # between the rated voltages of a winding and its node
DROPS_MAX: Final = {"r1": 1, "x1": 5}  # of a line at rated current, in times its rated voltage


class Node(NamedTuple):
    """A place of the grid. Coordinates in degrees, or none."""

    id: int
    name: str
    u_rated_v: float
    feeder: str
    longitude: float | None
    latitude: float | None


class Branch(NamedTuple):
    """A line or transformer: what has a rating and can be overloaded. Ends are places in `Network.nodes`."""

    id: int
    name: str
    kind: str  # line or transformer
    start: int
    end: int


class Unit(NamedTuple):
    """A load or generator in service, at a place in `Network.nodes`; `meter` is empty unless it is a member's."""

    id: int
    name: str
    generates: bool
    node: int
    p_rated_w: float
    q_rated_var: float
    meter: str
    p_profile: str
    q_profile: str


@dataclass(frozen=True, slots=True)
class Network:
    """A checked grid: lines before transformers, loads before generators, each in the order of the file."""

    nodes: tuple[Node, ...]
    branches: tuple[Branch, ...]
    units: tuple[Unit, ...]
    data: Mapping[str, np.ndarray]  # power-grid-model's input, by component, without links
    solved: np.ndarray  # for each node its place among the nodes of `data`
    digest: bytes  # H("grid", the file's bytes)

    def unit_of(self, meter: str, *, generates: bool) -> int:
        """The place among `units` of a member's meter; Refused("grid_meter_unknown") where the grid has none."""
        for place, unit in enumerate(self.units):
            if unit.meter == meter and unit.generates == generates:
                return place
        kind = "generator" if generates else "load"
        raise Refused("grid_meter_unknown", "meter", meter, f"Give a {kind} of the grid this meter_id.")


class GridFaults(Exception):
    """A grid that cannot be used, and everything that is wrong with it; each fault is a `Refused`."""

    def __init__(self, path: str, faults: Sequence[Refused]) -> None:
        self.path = path
        self.faults = tuple(faults)
        super().__init__(self.path, self.faults)

    def __str__(self) -> str:
        lines = [f"{self.path}: faults: {len(self.faults):,}"]
        lines += [f"  {fault}" for fault in self.faults[:FAULTS_SHOWN_MAX]]
        if len(self.faults) > FAULTS_SHOWN_MAX:
            lines.append(f"  and {len(self.faults) - FAULTS_SHOWN_MAX:,} more")
        return "\n".join(lines)


def read_network(path: Path) -> Network:
    """The network of a grid file.

    Raises GridFaults: `file_unreadable` (not there, too large, not JSON), `grid_invalid` (not power-grid-model input,
    unknown or missing components and columns, ids or meters that repeat, a line or link between voltages),
    `grid_value_absurd` (a rating of zero or below, a value outside the bounds of `COLUMNS`, an impedance or a winding
    that its nodes' voltage does not admit), `grid_reference_unknown` (a node that is not there), `grid_island` (nodes
    that no source reaches).
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        said = Refused("file_unreadable", "grid", path, f"The system says: {fault.strerror}.")
        raise GridFaults(str(path), [said]) from None
    return network_of(data, str(path))


def network_of(data: bytes, path: str = "grid.json") -> Network:
    """The network of a grid file's bytes; as `read_network`."""
    if len(data) > FILE_BYTES_MAX:
        remedy = f"A grid file has at most {FILE_BYTES_MAX:,} bytes."
        raise GridFaults(path, [Refused("file_unreadable", "grid", f"{len(data):,} bytes", remedy)])
    try:
        model = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise GridFaults(path, [Refused("file_unreadable", "grid", str(fault), "Write it as JSON in UTF-8.")]) from None
    faults = list(_frame_faults(model))
    if faults:
        raise GridFaults(path, faults)
    rows: dict[str, list[Row]] = {kind: model["data"].get(kind, []) for kind in COLUMNS}
    faults = _faults(rows)
    if faults:
        raise GridFaults(path, faults)
    joined = _joined(rows)
    solved = _solved(rows, joined)
    arrays = {kind: _array(kind, solved[kind]) for kind in COLUMNS if solved[kind]}
    faults = [*_island_faults(rows), *_model_faults(arrays)]
    if faults:
        raise GridFaults(path, faults)
    place = {row["id"]: i for i, row in enumerate(solved["node"])}
    stands = np.array([place[joined[row["id"]]] for row in rows["node"]], dtype=np.int64)
    return _network(rows, arrays, stands, tagged_hash("grid", data))


def _joined(rows: Mapping[str, Sequence[Row]]) -> dict[int, int]:
    """For each node the first one that closed links join it with; itself without links."""
    near: dict[int, list[int]] = {row["id"]: [] for row in rows["node"]}
    for row in rows["link"]:
        if row["from_status"] and row["to_status"]:
            near[row["from_node"]].append(row["to_node"])
            near[row["to_node"]].append(row["from_node"])
    first: dict[int, int] = {}
    for id_ in near:
        if id_ not in first:
            first.update(dict.fromkeys(sorted(_reached([id_], near)), id_))
    return first


def _solved(rows: Mapping[str, Sequence[Row]], joined: Mapping[int, int]) -> dict[str, list[Row]]:
    """The rows for the solver: joined nodes are one, and what stands at any of them stands there."""
    solved: dict[str, list[Row]] = {"node": [row for row in rows["node"] if joined[row["id"]] == row["id"]], "link": []}
    for kind, ends in (
        *((kind, ENDS) for kind in BRANCHES if kind != "link"),
        *((kind, ("node",)) for kind in AT_A_NODE),
    ):
        solved[kind] = [{**row, **{end: joined[row[end]] for end in ends}} for row in rows[kind]]
    return solved


def _model_faults(arrays: Mapping[str, np.ndarray]) -> Iterator[Refused]:
    """What power-grid-model's own validation finds."""
    remedy = "See power-grid-model's description of this component."
    for each in validate_input_data(dict(arrays), calculation_type=CalculationType.power_flow, symmetric=True) or ():
        yield Refused("grid_invalid", _component(each), str(each), remedy)


def _component(error: Any) -> str:
    """The component that an error of power-grid-model is about; several where it is about ids across them."""
    found = error.component if isinstance(error.component, list) else [error.component]
    return ", ".join(str(getattr(each, "value", each)) for each in found)


def _frame_faults(model: object) -> Iterator[Refused]:
    """What is wrong with the file as a whole."""
    if not isinstance(model, dict):
        yield Refused("grid_invalid", "grid", type(model).__name__, "Give power-grid-model input: an object with data.")
        return
    for key, wanted in (("version", "1.0"), ("type", "input"), ("is_batch", False)):
        if model.get(key) != wanted:
            yield Refused("grid_invalid", key, model.get(key, ""), f"Write {json.dumps(wanted)}.")
    data = model.get("data")
    if not isinstance(data, dict):
        yield Refused("grid_invalid", "data", type(data).__name__, "Give an object with a list for each component.")
        return
    for kind, rows in data.items():
        if kind not in COLUMNS:
            yield Refused("grid_invalid", "data", kind, f"Known here: {', '.join(COLUMNS)}.")
        elif not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            yield Refused("grid_invalid", kind, type(rows).__name__, "Give a list of objects.")
        elif len(rows) > COMPONENTS_MAX:
            yield Refused("grid_invalid", kind, f"{len(rows):,}", f"Give at most {COMPONENTS_MAX:,}.")
    for kind in ("node", "source"):
        if not data.get(kind):
            yield Refused("grid_invalid", kind, "none", "A grid has at least one node and one source.")
    if not data.get("line") and not data.get("transformer"):
        yield Refused("grid_invalid", "line", "none", "A grid has at least one line or transformer.")


def _faults(rows: Mapping[str, Sequence[Row]]) -> list[Refused]:
    """What is wrong with rows alone, then with rows and the nodes that they name.

    A row with a wrong value is not compared with its nodes, nor any row with a node whose own voltage is wrong: what
    only follows from another fault is left out.
    """
    ids: dict[int, str] = {}
    meters: dict[str, str] = {}
    faults: list[Refused] = []
    sound: list[tuple[str, str, Row]] = []
    nodes: dict[int, float | None] = {}
    for kind, columns in COLUMNS.items():
        for number, row in enumerate(rows[kind], 1):
            place = f"{kind}[{number}]"
            found = [fault for column in columns if (fault := _value_fault(row, column, place)) is not None]
            id_ = row.get("id")
            if isinstance(id_, int):
                if id_ in ids:
                    found.append(Refused("grid_invalid", f"{place}.id", id_, f"{ids[id_]} has this id already."))
                ids.setdefault(id_, place)
                if kind == "node":
                    nodes[id_] = None if found else row["u_rated"]
            if not found:
                sound.append((kind, place, row))
            faults += [*found, *_word_faults(row, kind, place, meters)]
    for kind, place, row in sound:
        faults += _place_faults(row, kind, place, nodes)
    return faults


def _value_fault(row: Row, column: Column, place: str) -> Refused | None:
    value, field = row.get(column.name), f"{place}.{column.name}"
    if value is None:
        return Refused("grid_invalid", field, "nothing", "Give this column.") if column.needed else None
    right = isinstance(value, int) if column.whole else isinstance(value, int | float)
    if not right or isinstance(value, bool):
        return Refused("grid_invalid", field, value, "Give a whole number." if column.whole else "Give a number.")
    if math.isfinite(value) and column.low <= value <= column.high:
        return None
    unit = f" {column.unit}" if column.unit else ""
    if column.name in RATINGS and value <= 0:
        remedy = f"A rating is above zero: at least {_number(column.low)}{unit}."
    else:
        meant = _units_meant(value, column)
        remedy = f"Give {_number(column.low)} to {_number(column.high)}{unit}{f': {meant}' if meant else ''}."
    return Refused("grid_value_absurd", field, value, remedy)


def _units_meant(value: float, column: Column) -> str:
    """The same number in other units of which it could be, as far as they lie within the bounds."""
    unit = column.unit
    meant = {
        prefix: value * factor
        for prefix, factor in PREFIXES.items()
        if unit in PREFIXED and column.low <= value * factor <= column.high
    }
    return ", ".join(f"{_number(value)} {prefix}{unit} are {_number(each)} {unit}" for prefix, each in meant.items())


def _number(value: float) -> str:
    return f"{value:,.12g}"


WORDS: Final = ("simbench_id", "name", "feeder", "meter_id", "p_profile", "q_profile")


def _word_faults(row: Row, kind: str, place: str, meters: dict[str, str]) -> Iterator[Refused]:
    for key in WORDS:
        word = row.get(key, "")
        if not isinstance(word, str) or len(word) > NAME_CHARACTERS_MAX:
            remedy = f"Give a text of at most {NAME_CHARACTERS_MAX} characters."
            yield Refused("grid_invalid", f"{place}.{key}", word, remedy)
    for key in ("longitude", "latitude"):
        degrees = row.get(key, 0)
        if isinstance(degrees, bool) or not isinstance(degrees, int | float) or not -180 <= degrees <= 180:
            yield Refused("grid_invalid", f"{place}.{key}", degrees, "Give degrees, -180 to 180.")
    if kind not in UNITS or not isinstance(row.get("meter_id", ""), str):
        return
    meter = row.get("meter_id", "")
    if meter and row.get("p_profile"):
        remedy = "A unit is a member's (meter_id) or runs at a profile (p_profile)."
        yield Refused("grid_invalid", f"{place}.p_profile", row["p_profile"], remedy)
    if meter:
        if meter in meters:
            remedy = f"{meters[meter]} has this meter already: each direction of a prosumer has a meter_id of its own."
            yield Refused("grid_invalid", f"{place}.meter_id", meter, remedy)
        meters.setdefault(meter, place)


def _place_faults(row: Row, kind: str, place: str, nodes: Mapping[int, float | None]) -> Iterator[Refused]:
    """What does not fit the nodes that a row names; `nodes` holds their rated voltages [V], none for a wrong one."""
    named = ENDS if kind in BRANCHES else ("node",) if kind in AT_A_NODE else ()
    unknown = [key for key in named if row[key] not in nodes]
    yield from (Refused("grid_reference_unknown", f"{place}.{key}", row[key]) for key in unknown)
    if unknown or kind not in BRANCHES:
        return
    if row["from_node"] == row["to_node"]:
        remedy = "Let it lead from one node to another."
        yield Refused("grid_invalid", f"{place}.to_node", row["to_node"], remedy)
        return
    start, end = (nodes[row[key]] for key in ENDS)
    if kind == "transformer":
        yield from _winding_faults(row, place, nodes)
    elif start is not None and end is not None and start != end:
        remedy = (
            f"A {kind} joins nodes of one rated voltage, and from_node {row['from_node']} has {_number(start)} V: "
            f"correct u_rated [V] of one of them, or put a transformer between them."
        )
        yield Refused("grid_invalid", f"{place}.to_node", f"{row['to_node']} of {_number(end)} V", remedy)
    elif kind == "line" and start is not None and end is not None:
        yield from _drop_faults(row, place, start)


def _winding_faults(row: Row, place: str, nodes: Mapping[int, float | None]) -> Iterator[Refused]:
    for end, winding in WINDINGS:
        rated = nodes[row[end]]
        if rated is not None and not rated / WINDING_RATIO_MAX <= row[winding] <= rated * WINDING_RATIO_MAX:
            remedy = (
                f"{end} {row[end]} has {_number(rated)} V, and a winding has half to twice as many V as its node: "
                "correct one of them, or exchange the ends."
            )
            yield Refused("grid_value_absurd", f"{place}.{winding}", row[winding], remedy)


def _drop_faults(row: Row, place: str, rated: float) -> Iterator[Refused]:
    """Impedances of a line that cannot be its own at its rated current and voltage [V]."""
    for name, times in DROPS_MAX.items():
        drop = math.sqrt(3) * row["i_n"] * row[name]
        if drop > times * rated:
            remedy = (
                f"At {_number(row['i_n'])} A (i_n) it would drop {drop:,.0f} V, and {_number(times * rated)} V is the "
                f"most at {_number(rated)} V. Give the ohm of the whole line: {_number(row[name])} mohm are "
                f"{_number(row[name] / 1_000)} ohm."
            )
            yield Refused("grid_value_absurd", f"{place}.{name}", row[name], remedy)


def _island_faults(rows: Mapping[str, Sequence[Row]]) -> Iterator[Refused]:
    """Every connected part of the grid that no source in service reaches over closed branches; lone nodes together."""
    near: dict[int, list[int]] = {row["id"]: [] for row in rows["node"]}
    for kind in BRANCHES:
        for row in rows[kind]:
            if row["from_status"] and row["to_status"]:
                near[row["from_node"]].append(row["to_node"])
                near[row["to_node"]].append(row["from_node"])
    names = {row["id"]: _name(row, "node") for row in rows["node"]}
    reached = _reached([row["node"] for row in rows["source"] if row["status"]], near)
    lone = []
    for id_ in near:
        if id_ not in reached:
            island = _reached([id_], near)
            reached |= island
            if len(island) == 1:
                lone.append(names[id_])
                continue
            remedy = "Close a line to it, give it a source, or leave its nodes and units out."
            yield Refused("grid_island", "node", _listed([names[each] for each in near if each in island]), remedy)
    if len(lone) == 1:
        yield Refused("grid_island", "node", lone[0], "Close a line to it, or leave it and its units out.")
    elif lone:
        remedy = "No closed line, link or transformer leads to any of them: add those, or leave nodes and units out."
        yield Refused("grid_island", "node", f"{len(lone):,} that stand alone: {_listed(lone)}", remedy)


def _listed(names: Sequence[str]) -> str:
    """Names, the first ones where there are many."""
    more = len(names) - NODES_NAMED_MAX
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NODES_NAMED_MAX])} and {more:,} more"


def _reached(first: Iterable[int], near: Mapping[int, Sequence[int]]) -> set[int]:
    todo = list(first)
    seen = set(todo)
    while todo:
        for neighbour in near[todo.pop()]:
            if neighbour not in seen:
                seen.add(neighbour)
                todo.append(neighbour)
    return seen


def _name(row: Row, kind: str) -> str:
    return str(row.get("simbench_id") or row.get("name") or f"{kind} {row['id']}")


def _array(kind: str, rows: Sequence[Row]) -> np.ndarray:
    """power-grid-model's input array of one component; columns that are not given stay at its own defaults."""
    array = initialize_array(DatasetType.input, kind, len(rows))
    for column in COLUMNS[kind]:
        given = [i for i, row in enumerate(rows) if row.get(column.name) is not None]
        array[column.name][given] = [rows[i][column.name] for i in given]
    return array


def _network(
    rows: Mapping[str, Sequence[Row]], arrays: Mapping[str, np.ndarray], solved: np.ndarray, digest: bytes
) -> Network:
    nodes = tuple(
        Node(
            row["id"],
            _name(row, "node"),
            float(row["u_rated"]),
            row.get("feeder", ""),
            row.get("longitude"),
            row.get("latitude"),
        )
        for row in rows["node"]
    )
    place = {node.id: i for i, node in enumerate(nodes)}
    branches = tuple(
        Branch(row["id"], _name(row, kind), kind, place[row["from_node"]], place[row["to_node"]])
        for kind in ("line", "transformer")
        for row in rows[kind]
    )
    units = tuple(
        Unit(
            row["id"],
            _name(row, kind),
            kind == "sym_gen",
            place[row["node"]],
            float(row["p_specified"]),
            float(row["q_specified"]),
            row.get("meter_id", ""),
            row.get("p_profile", ""),
            row.get("q_profile", ""),
        )
        for kind in UNITS
        for row in rows[kind]
        if row["status"]
    )
    return Network(nodes, branches, units, arrays, solved, digest)
