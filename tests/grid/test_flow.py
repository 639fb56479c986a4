"""Power flow: a line worked by hand, balances that close to the watt-hour, and a refusal where there is no solution."""

from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.grid.grids import QUARTER, Model, flat, network, shipped, whole_exchange
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.flow import Exchange, Solver, exchange_of, power_flow, told_ppm, whole
from wattquorum.grid.network import network_of
from wattquorum.lab.shipped import GRID, shipped_file

R, X, U = 4.0, 3.0, 20e3
LOAD, SUN = 0, 1
SOLVER = Solver(network())


def by_hand(p: float, q: float) -> tuple[float, float, float]:
    """Voltage there [p.u.], losses [W] and current [A] when the far end draws P + jQ.

    With U2 = |V2|^2, the line's equation U1^2 U2 = (U2 + P R + Q X)^2 + (P X - Q R)^2 is quadratic in U2.
    """
    b, c = 2 * (p * R + q * X) - U * U, (p * p + q * q) * (R * R + X * X)
    u2 = sqrt((-b + sqrt(b * b - 4 * c)) / 2)
    s = sqrt(p * p + q * q)
    return u2 / U, R * (s / u2) ** 2, s / u2 / sqrt(3)


def drawn(p_wh: int, q_varh: float = 0.0, made_wh: int = 0) -> Exchange:
    return exchange_of(2, 1, [(LOAD, flat(p_wh), np.full(1, q_varh)), (SUN, flat(made_wh), np.zeros(1))])


@pytest.mark.parametrize(("p", "q"), [(2e6, 1e6), (1e6, 0.0), (-3e6, 0.0), (4e6, -2e6)])
def test_a_line_is_as_it_was_worked_by_hand(p: float, q: float) -> None:
    load, made = (int(p / 4), 0) if p > 0 else (0, int(-p / 4))
    solution = SOLVER.solve(drawn(load, q / 4, made), QUARTER)
    voltage, losses, current = by_hand(p, q)
    assert solution.voltage[0, 1] == pytest.approx(voltage, rel=1e-7)
    assert solution.losses_w[0] == pytest.approx(losses, rel=1e-6)
    assert solution.loading[0, 0] == pytest.approx(current / 100, rel=1e-6)
    assert solution.supply_w[0] == pytest.approx(p + losses, rel=1e-6)


def test_two_megawatts_over_a_line_in_numbers() -> None:
    # U2^2 = (3.78e8 + sqrt(3.78e8^2 - 4 * 1.25e14)) / 2 = 3.77669e8: 19.4337 kV or 0.97168 p.u.; 5e12 * 4 / 3.77669e8 =
    # 52,956 W, of which a quarter of an hour keeps 13,239 Wh, told as 13,240; 2.23607 MVA / (sqrt(3) * 19.4337 kV) is
    # 66.43 A of 100 A.
    flow = power_flow(SOLVER, drawn(500_000, 250_000.0), QUARTER)
    assert (flow.consumption[0], flow.generation[0]) == (500_000, 0)
    assert (flow.losses[0], flow.supply[0]) == (13_240, 513_240)
    assert flow.lowest_voltage == (971_700, 1, 0)
    assert flow.highest_voltage == (1_000_000, 0, 0)
    assert flow.highest_loading == (664_300, 0, 0)


def test_what_is_made_where_it_is_used_flows_nowhere() -> None:
    flow = power_flow(SOLVER, drawn(300_000, 0.0, 300_000), QUARTER)
    assert (flow.losses[0], flow.supply[0], flow.highest_loading.value_ppm) == (0, 0, 0)


@given(
    st.lists(st.tuples(*[st.integers(0, 1_000_000)] * 2, st.integers(-300_000, 300_000)), min_size=1, max_size=8),
    st.sampled_from([QUARTER, 60_000, 3_600_000]),
)
def test_a_3_closes_to_the_watt_hour(rows: list[tuple[int, int, int]], length_ms: int) -> None:
    factor = length_ms / QUARTER  # the same powers in every length of an interval
    load, made, reactive = (np.array([row[i] * factor for row in rows]).astype(np.int64) for i in range(3))
    exchange = exchange_of(2, len(rows), [(LOAD, load, reactive.astype(float)), (SUN, made, np.zeros(len(rows)))])
    flow = power_flow(SOLVER, exchange, length_ms)
    assert (flow.generation + flow.supply == flow.consumption + flow.losses).all()
    assert (flow.losses >= 0).all()


def test_the_real_grid_closes_and_what_it_loses_is_about_two_parts_in_a_hundred() -> None:
    grid = shipped()
    flow = power_flow(grid.solver, whole_exchange(grid), QUARTER)
    assert (flow.generation + flow.supply == flow.consumption + flow.losses).all()
    assert 0.005 < flow.losses.sum() / flow.consumption.sum() < 0.03
    # An independent account of the losses: R I^2 of every line, from the loading alone; lines keep most of them.
    lines = grid.solver.network.data["line"]
    loading = grid.solver.solve(whole_exchange(grid), QUARTER).loading[:, : len(lines)]
    kept = (3 * lines["r1"] * (loading * lines["i_n"]) ** 2).sum() / 4
    assert 0.15 < kept / flow.losses.sum() < 1


def test_a_flow_without_solution_is_refused_with_its_interval() -> None:
    exchange = exchange_of(2, 3, [(LOAD, np.array([1_000, 900_000_000, 900_000_000]), np.zeros(3))])
    with pytest.raises(Refused) as raised:
        power_flow(SOLVER, exchange, QUARTER)
    assert (raised.value.code, raised.value.field, raised.value.value) == ("grid_diverged", "interval", "1")


def test_scenarios_without_solution_do_not_hide_the_others() -> None:
    exchange = exchange_of(2, 3, [(LOAD, np.array([500_000, 900_000_000, 500_000]), np.full(3, 250_000.0))])
    solution = SOLVER.solve(exchange, QUARTER)
    assert solution.found.tolist() == [True, False, True]
    for told in (solution.voltage, solution.loading, solution.losses_w, solution.supply_w):
        assert np.isnan(told.reshape(3, -1)).all(axis=1).tolist() == [False, True, False]
    assert solution.voltage[2, 1] == pytest.approx(by_hand(2e6, 1e6)[0], rel=1e-7)


def test_losses_that_do_not_fit_the_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(exchange: Exchange, length_ms: int) -> object:
        found = SOLVER.solve(exchange, length_ms)
        return found._replace(losses_w=found.losses_w + 5_000)

    class Leaking(Solver):
        __slots__ = ()
        solve = staticmethod(leaking)  # type: ignore[assignment]

    with pytest.raises(Refused) as raised:
        power_flow(Leaking(network()), drawn(500_000), QUARTER)
    assert (raised.value.code, raised.value.field) == ("grid_diverged", "balance")


def test_the_same_grid_in_another_order_tells_the_same() -> None:
    """The arithmetic of a shuffled file is another, and so are its last digits: a stand-in for another machine."""
    with shipped_file(GRID) as path:
        model = json.loads(path.read_text(encoding="utf-8"))
    dice = np.random.default_rng(1)
    order = {kind: dice.permutation(len(rows)) for kind, rows in model["data"].items()}
    model["data"] = {kind: [rows[i] for i in order[kind].tolist()] for kind, rows in model["data"].items()}
    grid = shipped()
    shuffled = Solver(network_of(json.dumps(model).encode()))
    units = np.concatenate([order["sym_load"], order["sym_gen"] + grid.solver.loads])
    branches = np.concatenate([order["line"], order["transformer"] + len(order["line"])])
    exchange = whole_exchange(grid)
    moved = Exchange(exchange.active[:, units], exchange.reactive[:, units])
    raw, again = grid.solver.solve(exchange, QUARTER), shuffled.solve(moved, QUARTER)
    apart = np.abs(raw.voltage[:, order["node"]] - again.voltage).max()
    assert 0 < apart < 1e-12
    assert np.abs(raw.loading[:, branches] - again.loading).max() < 1e-11
    assert np.abs(raw.losses_w - again.losses_w).max() < 1e-4
    one, other = power_flow(grid.solver, exchange, QUARTER), power_flow(shuffled, moved, QUARTER)
    assert (one.losses == other.losses).all()
    assert (one.voltage_ppm[:, order["node"]] == other.voltage_ppm).all()
    assert (one.loading_ppm[:, branches] == other.loading_ppm).all()


def test_nodes_that_a_closed_link_joins_have_one_voltage() -> None:
    def linked(data: Model) -> None:
        data["node"].append({"id": 7, "u_rated": 20e3})
        data["link"] = [{"id": 8, "from_node": 2, "to_node": 7, "from_status": 1, "to_status": 1}]
        data["sym_load"][0]["node"] = 7

    found = Solver(network(linked)).solve(drawn(500_000, 250_000.0), QUARTER)
    assert found.voltage[0, 1] == found.voltage[0, 2] == pytest.approx(by_hand(2e6, 1e6)[0], rel=1e-7)


def test_rounding_is_to_the_nearest_step() -> None:
    assert told_ppm(np.array([1.05224, 1.05226, 0.0, 0.99995])).tolist() == [1_052_200, 1_052_300, 0, 1_000_000]
    assert whole(np.array([0.5, 1.4999, -0.4])).tolist() == [1, 1, 0]


def test_large_batches_are_cut_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = exchange_of(2, 7, [(LOAD, np.arange(7) * 1_000, np.zeros(7))])
    at_once = SOLVER.solve(exchange, QUARTER)
    monkeypatch.setattr("wattquorum.grid.flow.SCENARIOS_AT_ONCE", 3)
    cut = SOLVER.solve(exchange, QUARTER)
    assert all(np.allclose(one, other, rtol=1e-12) for one, other in zip(at_once, cut, strict=True))
