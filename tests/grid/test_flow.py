"""Power flow: a line worked by hand, balances that close to the watt-hour, and a refusal where there is no solution."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.grid.grids import QUARTER, flat, network, shipped, whole_exchange
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.flow import Exchange, Solver, exchange_of, power_flow, told_ppm, whole

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
    # 52,956 W, of which a quarter of an hour keeps 13,239 Wh; 2.23607 MVA / (sqrt(3) * 19.4337 kV) = 66.43 A of 100 A.
    flow = power_flow(SOLVER, drawn(500_000, 250_000.0), QUARTER)
    assert (flow.consumption[0], flow.generation[0]) == (500_000, 0)
    assert (flow.losses[0], flow.supply[0]) == (13_239, 513_239)
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


def test_last_digits_do_not_change_what_is_told() -> None:
    """Units that exchange 1e-9 of their reactive power more: farther apart than solvers of two machines are."""
    grid = shipped()
    exchange = whole_exchange(grid)
    near = Exchange(exchange.active, exchange.reactive * (1 + 1e-9))
    told, again = (power_flow(grid.solver, each, QUARTER) for each in (exchange, near))
    assert (told.losses == again.losses).all()
    assert (told.voltage_ppm == again.voltage_ppm).all()
    assert (told.loading_ppm == again.loading_ppm).all()


def test_rounding_is_to_the_nearest_step() -> None:
    assert told_ppm(np.array([1.05224, 1.05226, 0.0, 0.99995])).tolist() == [1_052_200, 1_052_300, 0, 1_000_000]
    assert whole(np.array([0.5, 1.4999, -0.4])).tolist() == [1, 1, 0]


def test_large_batches_are_cut_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = exchange_of(2, 7, [(LOAD, np.arange(7) * 1_000, np.zeros(7))])
    at_once = SOLVER.solve(exchange, QUARTER)
    monkeypatch.setattr("wattquorum.grid.flow.SCENARIOS_AT_ONCE", 3)
    cut = SOLVER.solve(exchange, QUARTER)
    assert all(np.allclose(one, other, rtol=1e-12) for one, other in zip(at_once, cut, strict=True))
