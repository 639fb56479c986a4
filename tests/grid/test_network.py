"""Bad grid files: each fault has a code, the place, the value and a remedy, and all of them are told together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.grid.grids import Model, encoded, line, network, unit
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.network import FILE_BYTES_MAX, GridFaults, network_of, read_network
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
    ("grid_island", "node", "there", lambda data: data["line"].clear()),
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
        "7",
        lambda data: (add("node", {"id": 7, "u_rated": 1e4})(data), link(2, 7)(data)),
    ),
    ("grid_island", "node", "there", lambda data: (data["line"].clear(), link(1, 2, status=0)(data))),
    ("grid_invalid", "sym_gen[1].id", "5", put("sym_gen", "id", 5)),
    ("grid_invalid", "sym_load[2].meter_id", "load", add("sym_load", unit(9, 2, meter_id="load"))),
    ("grid_invalid", "sym_load[1].meter_id", "7", put("sym_load", "meter_id", 7)),
    ("grid_invalid", "sym_load[1].p_profile", "h0", put("sym_load", "p_profile", "h0")),
    ("grid_invalid", "node[1].latitude", "north", put("node", "latitude", "north")),
    ("grid_invalid", "data", "battery", add("battery", {})),
    ("grid_invalid", "node", "none", lambda data: data.pop("node")),
    ("grid_invalid", "source", "none", lambda data: data["source"].clear()),
    ("grid_invalid", "line", "str", lambda data: data.__setitem__("line", "none")),
]


@pytest.mark.parametrize(
    ("code", "field", "value", "change"), CASES, ids=lambda each: each if type(each) is str else ""
)
def test_a_grid_that_cannot_be_right_is_refused(code: str, field: str, value: str, change: Change) -> None:
    assert faults_of(encoded(change)) == [(code, field, value)]


def test_what_no_bounds_can_tell_is_told_by_power_grid_model() -> None:
    def odd_clock(data: Model) -> None:  # wye to delta turns by an odd number
        data["node"].append({"id": 8, "u_rated": 110e3})
        ends = {"id": 9, "from_node": 8, "to_node": 1, "from_status": 1, "to_status": 1}
        kind = {"u1": 110e3, "u2": 20e3, "sn": 25e6, "uk": 0.12, "pk": 1e5, "i0": 0.001, "p0": 1e4}
        taps = {"tap_side": 0, "tap_min": -9, "tap_max": 9, "tap_size": 1e3}
        data["transformer"] = [{**ends, **kind, **taps, "winding_from": 1, "winding_to": 2, "clock": 4}]

    ((code, field, _),) = faults_of(encoded(odd_clock))
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
