"""Bad grid files: each fault has a code, the place, the value and a remedy, and all of them are told together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.grid.grids import Model, encoded, line, network, unit
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.network import COLUMNS, DROPS_MAX, FILE_BYTES_MAX, GridFaults, network_of, read_network
from wattquorum.lab.shipped import GRID, shipped_file, shipped_network

Change = Callable[[Model], object]


def faults_of(data: bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(GridFaults) as raised:
        network_of(data)
    assert all(fault.remedy for fault in raised.value.faults)
    return [(fault.code, fault.field, fault.value) for fault in raised.value.faults]


def add(kind: str, row: Model) -> Change:
    return lambda data: data.setdefault(kind, []).append(row)


def put(kind: str, key: str, value: object) -> Change:
    return lambda data: data[kind][0].__setitem__(key, value)


def without(kind: str, key: str) -> Change:
    return lambda data: data[kind][0].pop(key)


def link(start: int, end: int, *, status: int = 1) -> Change:
    ends = {"from_node": start, "to_node": end, "from_status": 1, "to_status": status}
    return add("link", {"id": 30, **ends})


CASES: list[tuple[str, str, str, Change]] = [
    ("grid_island", "node", "away", add("node", {"id": 9, "u_rated": 20e3, "name": "away"})),
    ("grid_island", "node", "there", put("line", "to_status", 0)),
    ("grid_island", "node", "here, there", put("source", "status", 0)),
    ("grid_reference_unknown", "sym_load[1].node", "77", put("sym_load", "node", 77)),
    ("grid_reference_unknown", "line[1].to_node", "77", put("line", "to_node", 77)),
    ("grid_reference_unknown", "source[1].node", "77", put("source", "node", 77)),
    ("grid_value_absurd", "sym_gen[1].p_specified", "0", put("sym_gen", "p_specified", 0)),
    ("grid_value_absurd", "sym_load[1].p_specified", "-5.0", put("sym_load", "p_specified", -5.0)),
    ("grid_value_absurd", "sym_gen[1].p_specified", "1e+30", put("sym_gen", "p_specified", 1e30)),
    ("grid_value_absurd", "line[1].i_n", "0", put("line", "i_n", 0)),
    ("grid_value_absurd", "line[1].i_n", "-1", put("line", "i_n", -1)),
    ("grid_value_absurd", "line[1].x1", "0", put("line", "x1", 0)),
    ("grid_value_absurd", "node[1].u_rated", "0", put("node", "u_rated", 0)),
    ("grid_value_absurd", "source[1].u_ref", "20000", put("source", "u_ref", 20_000)),
    ("grid_value_absurd", "sym_load[1].type", "1", put("sym_load", "type", 1)),
    ("grid_value_absurd", "line[1].r1", "nan", put("line", "r1", float("nan"))),
    ("grid_invalid", "line[1].r1", "nothing", without("line", "r1")),
    ("grid_invalid", "line[1].r1", "thick", put("line", "r1", "thick")),
    ("grid_invalid", "line[1].from_status", "True", put("line", "from_status", True)),
    ("grid_invalid", "sym_load[1].node", "2.0", put("sym_load", "node", 2.0)),
    ("grid_invalid", "line[1].to_node", "1", put("line", "to_node", 1)),
    (
        "grid_invalid",
        "link[1].to_node",
        "7 of 10,000 V",
        lambda data: (add("node", {"id": 7, "u_rated": 1e4})(data), link(2, 7)(data)),
    ),
    ("grid_island", "node", "there", lambda data: (put("line", "to_status", 0)(data), link(1, 2, status=0)(data))),
    ("grid_invalid", "sym_gen[1].id", "5", put("sym_gen", "id", 5)),
    ("grid_invalid", "sym_load[2].meter_id", "load", add("sym_load", unit(9, 2, meter_id="load"))),
    ("grid_invalid", "sym_load[1].meter_id", "7", put("sym_load", "meter_id", 7)),
    ("grid_invalid", "sym_load[1].p_profile", "h0", put("sym_load", "p_profile", "h0")),
    ("grid_invalid", "node[1].latitude", "north", put("node", "latitude", "north")),
    ("grid_invalid", "data", "battery", add("battery", {})),
    ("grid_invalid", "node", "none", lambda data: data.pop("node")),
    ("grid_invalid", "source", "none", lambda data: data["source"].clear()),
    ("grid_invalid", "line", "none", lambda data: data["line"].clear()),
    ("grid_invalid", "line", "str", lambda data: data.__setitem__("line", "none")),
]


@pytest.mark.parametrize(
    ("code", "field", "value", "change"), CASES, ids=lambda each: each if type(each) is str else ""
)
def test_a_grid_that_cannot_be_right_is_refused(code: str, field: str, value: str, change: Change) -> None:
    assert faults_of(encoded(change)) == [(code, field, value)]


def transformer(**fields: object) -> Model:
    """From 110 kV at node 8 to the 20 kV of node 1."""
    ends = {"id": 9, "from_node": 8, "to_node": 1, "from_status": 1, "to_status": 1}
    kind = {"u1": 110e3, "u2": 20e3, "sn": 25e6, "uk": 0.12, "pk": 1e5, "i0": 0.001, "p0": 1e4}
    taps = {"tap_side": 0, "tap_min": -9, "tap_max": 9, "tap_size": 1e3}
    return {**ends, **kind, **taps, "winding_from": 1, "winding_to": 2, "clock": 5, **fields}


def fed_from_above(**fields: object) -> Change:
    """Node 8 of 110 kV and a transformer from it."""

    def change(data: Model) -> None:
        data["node"].append({"id": 8, "u_rated": 110e3})
        data["transformer"] = [transformer(**fields)]

    return change


# What a person writes who thinks in another unit, and what the remedy says of it.
SLIPS: list[tuple[str, str, str, Change]] = [
    ("node[1].u_rated", "20", "Give 100 to 1,200,000 V: 20 kV are 20,000 V.", put("node", "u_rated", 20)),
    ("line[1].i_n", "0.1", "Give 10 to 10,000 A: 0.1 kA are 100 A.", put("line", "i_n", 0.1)),
    ("line[1].i_n", "100000.0", "Give 10 to 10,000 A: 100,000 mA are 100 A.", put("line", "i_n", 1e5)),
    ("line[1].c1", "0.057", "Give 0 to 0.0001 F: 0.057 mF are 5.7e-05 F, 0.057 uF are 5.7e-08 F.",
     put("line", "c1", 0.057)),
    ("line[1].r1", "4000.0", ("At 100 A (i_n) it would drop 692,820 V, and 20,000 V is the most at 20,000 V. Give the "
     "ohm of the whole line: 4,000 mohm are 4 ohm."), put("line", "r1", 4e3)),
    ("line[1].x1", "3000.0", ("At 100 A (i_n) it would drop 519,615 V, and 100,000 V is the most at 20,000 V. Give the "
     "ohm of the whole line: 3,000 mohm are 3 ohm."), put("line", "x1", 3e3)),
    ("sym_load[1].p_specified", "1.0", "Give 100 to 4,000,000,000 W: 1 kW are 1,000 W, 1 MW are 1,000,000 W.",
     put("sym_load", "p_specified", 1.0)),
    ("sym_gen[1].p_specified", "80", "Give 100 to 4,000,000,000 W: 80 kW are 80,000 W, 80 MW are 80,000,000 W.",
     put("sym_gen", "p_specified", 80)),
    ("transformer[1].sn", "25", "Give 1,000 to 10,000,000,000 VA: 25 kVA are 25,000 VA, 25 MVA are 25,000,000 VA.",
     fed_from_above(sn=25)),
    ("transformer[1].u2", "20", "Give 100 to 1,200,000 V: 20 kV are 20,000 V.", fed_from_above(u2=20)),
    ("transformer[1].u1", "110", ("from_node 8 has 110,000 V, and a winding has half to twice as many V as its node: "
     "correct one of them, or exchange the ends."), fed_from_above(u1=110)),
    ("source[1].u_ref", "20000", "Give 0.5 to 1.5 per unit.", put("source", "u_ref", 20_000)),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "remedy", "change"), SLIPS, ids=[field for field, *_ in SLIPS])
def test_a_number_in_the_wrong_unit_is_refused_with_the_right_one(
    field: str, value: str, remedy: str, change: Change
) -> None:
    with pytest.raises(GridFaults) as raised:
        network(change)
    (fault,) = raised.value.faults
    assert (fault.code, fault.field, fault.value, fault.remedy) == ("grid_value_absurd", field, value, remedy)


def test_a_line_joins_nodes_of_one_voltage() -> None:
    with pytest.raises(GridFaults) as raised:
        network(lambda data: data["node"][1].update(u_rated=400))
    (fault,) = raised.value.faults
    assert (fault.code, fault.field, fault.value) == ("grid_invalid", "line[1].to_node", "2 of 400 V")
    assert fault.remedy.startswith("A line joins nodes of one rated voltage, and from_node 1 has 20,000 V: ")


def test_a_transformer_whose_ends_were_exchanged_is_told_at_both() -> None:
    found = faults_of(encoded(fed_from_above(u1=20e3, u2=110e3)))
    assert [field for _, field, _ in found] == ["transformer[1].u1", "transformer[1].u2"]


def test_a_load_and_a_generator_have_meters_of_their_own() -> None:
    with pytest.raises(GridFaults) as raised:
        network(put("sym_gen", "meter_id", "load"))
    (fault,) = raised.value.faults
    assert (fault.code, fault.field, fault.value) == ("grid_invalid", "sym_gen[1].meter_id", "load")
    assert fault.remedy.startswith("sym_load[1] has this meter already")


def test_what_only_follows_from_another_fault_is_left_out() -> None:
    """A node in kV makes its lines neither unequal nor too long, and a line in kA has no drop."""

    def in_kilos(data: Model) -> None:
        data["node"][1]["u_rated"] = 20
        data["line"][0].update(i_n=0.1, r1=4e3)
        data["sym_load"][0].update(p_specified=1.0, node=77, name="x" * 65)
        data["sym_gen"][0]["meter_id"] = "load"

    assert [(field, value) for _, field, value in faults_of(encoded(in_kilos))] == [
        ("node[2].u_rated", "20"),
        ("line[1].i_n", "0.1"),
        ("sym_load[1].p_specified", "1.0"),
        ("sym_load[1].name", "x" * 65),
        ("sym_gen[1].meter_id", "load"),
    ]


def test_values_places_and_what_power_grid_model_says_are_told_together() -> None:
    def worn(data: Model) -> None:
        data["line"][0]["i_n"] = 0.1
        data["sym_gen"][0]["node"] = 77

    assert [field for _, field, _ in faults_of(encoded(worn))] == ["line[1].i_n", "sym_gen[1].node"]

    def cut_off(data: Model) -> None:
        fed_from_above(clock=4)(data)
        data["line"][0]["to_status"] = 0

    assert [code for code, *_ in faults_of(encoded(cut_off))] == ["grid_island", "grid_invalid"]


THOUSANDFOLD = [
    (kind, column.name, column.low * factor, column.high / factor)
    for kind, name, factor in (
        ("node", "u_rated", 1_000),
        ("line", "i_n", 1_000),
        ("sym_load", "p_specified", 1_000_000),
        ("sym_gen", "p_specified", 1_000_000),
    )
    for column in COLUMNS[kind]
    if column.name == name
]


@given(st.data())
def test_what_is_written_in_thousands_or_millions_is_refused_below_the_bound_that_is_told(data: st.DataObject) -> None:
    """u_rated below 100 kV in kV, every i_n in kA, p_specified below 100 MW in MW."""
    kind, name, high, _ = data.draw(st.sampled_from(THOUSANDFOLD))
    value = data.draw(st.floats(1, high, exclude_max=True))
    factor = high / next(column.low for column in COLUMNS[kind] if column.name == name)
    found = faults_of(encoded(put(kind, name, value / factor)))
    assert [(code, field) for code, field, _ in found] == [("grid_value_absurd", f"{kind}[1].{name}")]


@given(
    u=st.floats(100, 1.2e6),
    i=st.floats(10, 1e4),
    r_share=st.floats(0, 0.999) | st.floats(1.001, 1e3),
    x_share=st.floats(1e-3, 4.999) | st.floats(5.001, 1e3),
)
def test_a_line_is_refused_exactly_when_it_drops_too_much_at_its_rating(
    u: float, i: float, r_share: float, x_share: float
) -> None:
    ohm = u / (sqrt(3) * i)
    assume(max(r_share, x_share) * ohm <= 1e5)

    def changed(data: Model) -> None:
        for node in data["node"]:
            node["u_rated"] = u
        data["line"][0].update(i_n=i, r1=r_share * ohm, x1=x_share * ohm)

    wrong = [name for name, share, most in (("r1", r_share, 1), ("x1", x_share, 5)) if share > most]
    if wrong:
        assert [field for _, field, _ in faults_of(encoded(changed))] == [f"line[1].{name}" for name in wrong]
    else:
        assert network(changed).nodes[0].u_rated_v == u


def test_the_shipped_grid_lies_well_inside_the_bounds() -> None:
    with shipped_file(GRID) as path:
        model = json.loads(path.read_text(encoding="utf-8"))["data"]
    rated = {row["id"]: row["u_rated"] for row in model["node"]}
    for row in model["line"]:
        for name, most in DROPS_MAX.items():
            assert sqrt(3) * row["i_n"] * row[name] < most * rated[row["from_node"]] / 5
    for kind, name in (("node", "u_rated"), ("line", "i_n"), ("sym_load", "p_specified"), ("sym_gen", "p_specified")):
        (column,) = (each for each in COLUMNS[kind] if each.name == name)
        assert all(5 * column.low < row[name] < column.high / 5 for row in model[kind])
    assert all(row["c1"] < 1e-4 / 5 for row in model["line"])


def test_what_no_bounds_can_tell_is_told_by_power_grid_model() -> None:
    # Wye to delta turns by an odd number.
    ((code, field, _),) = faults_of(encoded(fed_from_above(clock=4)))
    assert (code, field) == ("grid_invalid", "transformer")


def test_all_faults_of_a_file_are_told_together() -> None:
    def worn(data: Model) -> None:
        data["line"][0].update(i_n=-1, r1="thick")
        data["sym_load"][0].update(p_specified=0)

    assert [code for code, *_ in faults_of(encoded(worn))] == ["grid_invalid", "grid_value_absurd", "grid_value_absurd"]
    with pytest.raises(GridFaults, match=r"(?s)faults: 3.*i_n cannot be right.*A rating is above zero"):
        network_of(encoded(worn))


def test_many_faults_are_cut_short_for_people_and_kept_as_data() -> None:
    def torn(data: Model) -> None:
        data["sym_load"] = [unit(10 + i, 77) for i in range(30)]

    with pytest.raises(GridFaults) as raised:
        network_of(encoded(torn))
    assert len(raised.value.faults) == 30
    assert str(raised.value).endswith("and 10 more")


@pytest.mark.parametrize("text", ["", "{", "\udcff", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    ((code, field, _),) = faults_of(text.encode("utf-8", "surrogateescape"))
    assert (code, field) == ("file_unreadable", "grid")


def test_a_file_that_is_too_large_is_not_even_read() -> None:
    assert faults_of(bytes(FILE_BYTES_MAX + 1)) == [("file_unreadable", "grid", "100,000,001 bytes")]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GridFaults) as raised:
        read_network(tmp_path / "grid.json")
    assert [(fault.code, fault.field) for fault in raised.value.faults] == [("file_unreadable", "grid")]


@pytest.mark.parametrize("model", [[], {"version": "1.0", "type": "input", "is_batch": False, "data": []}])
def test_json_that_is_no_grid_is_refused(model: object) -> None:
    assert {code for code, *_ in faults_of(json.dumps(model).encode())} == {"grid_invalid"}


def test_input_of_another_kind_is_refused() -> None:
    model = json.loads(encoded())
    model.update(version="2.0", type="update", is_batch=True)
    assert [field for _, field, _ in faults_of(json.dumps(model).encode())] == ["version", "type", "is_batch"]


def test_a_network_names_its_parts_by_their_places() -> None:
    found = network()
    assert [node.name for node in found.nodes] == ["here", "there"]
    assert [(branch.name, branch.start, branch.end) for branch in found.branches] == [("line 3", 0, 1)]
    assert [(each.meter, each.generates, each.node) for each in found.units] == [("load", False, 1), ("sun", True, 1)]
    assert found.unit_of("sun", generates=True) == 1
    with pytest.raises(Refused, match="grid_meter_unknown"):
        found.unit_of("sun", generates=False)


def test_the_example_of_the_documentation_is_a_grid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^The smallest grid .*?```json\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert [unit.meter for unit in network_of(example.encode()).units] == ["town-in", "mill-out"]


def test_units_out_of_service_are_left_out() -> None:
    assert [each.meter for each in network(put("sym_load", "status", 0)).units] == ["sun"]


def test_a_second_line_keeps_an_island_connected() -> None:
    def ring(data: Model) -> None:
        data["line"][0]["to_status"] = 0
        data["line"].append(line(9, 1, 2))

    assert len(network(ring).branches) == 2


def test_the_shipped_grid_is_right_and_a_changed_byte_has_another_digest() -> None:
    with shipped_file(GRID) as path:
        data = path.read_bytes()
    found = shipped_network()
    assert (len(found.nodes), len(found.branches), len(found.units)) == (99, 103, 197)
    assert sum(bool(each.meter) for each in found.units) == 30
    assert network_of(data).digest == found.digest
    assert network_of(data.replace(b"11.4096", b"11.4097")).digest != found.digest
