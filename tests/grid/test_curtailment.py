"""Curtailment: an infeasible set is cut until it is feasible, the last contract first, and no step more than needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.grid.grids import QUARTER, Model, flat, line, network, raised, shipped, unit, whole_exchange
from wattquorum.foundation.vectors import Int64s
from wattquorum.grid.curtailment import (
    PLANNING,
    STEP_WH,
    Capability,
    ContractDay,
    Curtailment,
    Kind,
    Limits,
    Placed,
    curtail,
)
from wattquorum.grid.flow import Solver, exchange_of

WIDE = Capability(4_000_000_000, 1_000_000)


def tee(data: Model) -> None:
    """Two feeders from one source: a load and a generator at the end of each."""
    data["node"].append({"id": 7, "u_rated": 20e3, "name": "elsewhere"})
    data["line"].append(line(8, 1, 7))
    data["sym_load"].append(unit(9, 7, meter_id="load-2"))
    data["sym_gen"].append(unit(10, 7, meter_id="sun-2"))


SOLVER = Solver(network(tee))
LOAD, LOAD_2, SUN, SUN_2 = range(4)


def day(*contracts: Placed, limits: Limits = PLANNING, **capabilities: Capability) -> ContractDay:
    """Contracts alone in the grid; the connections are as wide as may be unless they are given."""
    intervals = contracts[0].energy.size
    known = {LOAD: WIDE, LOAD_2: WIDE, SUN: WIDE, SUN_2: WIDE}
    known.update({{"load": LOAD, "sun": SUN}[name]: each for name, each in capabilities.items()})
    return ContractDay(SOLVER, exchange_of(4, intervals, []), contracts, known, QUARTER, limits)


def feasible(made: ContractDay, kept: Int64s) -> list[bool]:
    found: list[bool] = made.breaches(np.arange(kept.shape[1]), kept.T).feasible.tolist()
    return found


def check(made: ContractDay, found: Curtailment, step_wh: int = STEP_WH) -> None:
    """Feasible, nothing raised, and no contract could keep a step more in any interval."""
    beyond = {breach.interval for breach in found.beyond}
    ok = feasible(made, found.kept)
    assert [t for t, each in enumerate(ok) if not each] == sorted(beyond)
    assert (found.kept >= 0).all()
    assert (found.kept <= made.energy).all()
    rows = np.argwhere(found.kept < made.energy)
    assert {int(contract) for contract, _ in rows} == set(found.reasons)
    if len(rows):
        more = found.kept.T[rows[:, 1]].copy()
        places = np.arange(len(rows)), rows[:, 0]
        more[places] = np.minimum(more[places] + step_wh, made.energy[rows[:, 0], rows[:, 1]])
        assert not made.breaches(rows[:, 1], more).feasible.any()


# On two nodes, by hand: with nothing else in the grid, 100 A at the far end of the line are sqrt(3) * U2 * 100 A.


def test_a_line_is_loaded_to_its_rating_and_not_beyond() -> None:
    # The line to `there` carries the load of 4 MW: U2^2 = (3.68e8 + sqrt(3.68e8^2 - 1.6e15)) / 2, U2 = 19.155 kV, and
    # 4 MW / (sqrt(3) * 19.155 kV) = 120.56 A.
    made = day(Placed(SUN_2, LOAD, flat(1_000_000)), limits=Limits(0.5, 1.5))
    found = curtail(made)
    check(made, found)
    p = int(found.kept[0, 0]) * 4
    u2 = 20e3 * made.solver.solve(made.exchange(np.array([0]), found.kept.T), QUARTER).voltage[0, 1]
    assert p <= np.sqrt(3) * u2 * 100 < p + 4 * STEP_WH * 1.01
    assert found.reasons[0].breach.kind is Kind.LOADING
    assert found.reasons[0].text.startswith("loading 120.56 %")
    assert found.reasons[0].text.endswith("% above 100.00 % of line line 3 in interval 0; intervals curtailed: 1")


def test_the_last_contract_is_cut_first() -> None:
    same = [Placed(SUN_2, LOAD, flat(300_000)) for _ in range(3)]
    made = day(*same, limits=Limits(0.9, 1.1))
    found = curtail(made)
    check(made, found)
    assert found.kept[:2, 0].tolist() == [300_000, 300_000]
    assert 0 < found.kept[2, 0] < 300_000


def test_an_earlier_one_is_touched_only_when_the_later_ones_do_not_suffice() -> None:
    same = [Placed(SUN_2, LOAD, flat(600_000)) for _ in range(3)]
    made = day(*same, limits=Limits(0.9, 1.1))
    found = curtail(made)
    check(made, found)
    assert found.kept[0, 0] == 600_000
    assert 0 < found.kept[1, 0] < 600_000
    assert found.kept[2, 0] == 0


def test_a_later_contract_that_helps_nothing_keeps_everything() -> None:
    # The last contract is made and used at one node and loads no line.
    made = day(Placed(SUN_2, LOAD, flat(1_000_000)), Placed(SUN_2, LOAD_2, flat(500_000)), limits=Limits(0.5, 1.5))
    found = curtail(made)
    check(made, found)
    assert found.kept[1, 0] == 500_000
    assert [*found.reasons] == [0]


def test_what_a_later_contract_got_back_makes_room_for_an_earlier_one() -> None:
    # The two flow against each other. Alone in the grid the first one could keep L, of which the voltage at `there`
    # rises to its bound; the second is cut with it, because both together leave 500,000 Wh > L. With L back for the
    # first the second has room for 2 L, with that the first for 3 L, and so on, until the second has all of it.
    first, second = Placed(SUN, LOAD_2, flat(1_200_000)), Placed(SUN_2, LOAD, flat(700_000))
    limits = Limits(0.5, 1.01, 9.0)
    alone = int(curtail(day(first, limits=limits)).kept[0, 0])
    assert 200_000 < alone < 300_000
    made = day(first, second, limits=limits)
    found = curtail(made)
    check(made, found)
    assert found.kept[1, 0] == 700_000
    assert found.kept[0, 0] == pytest.approx(700_000 + alone, rel=0.01)


def test_an_interval_that_is_done_is_left_alone_while_another_goes_on() -> None:
    first, second = np.array([1_200_000, 1_200_000, 300_000]), np.array([700_000, 0, 0])
    limits = Limits(0.5, 1.01, 9.0)
    made = day(Placed(SUN, LOAD_2, first), Placed(SUN_2, LOAD, second), limits=limits)
    together = curtail(made)
    check(made, together)
    for t in range(3):
        alone = day(Placed(SUN, LOAD_2, flat(int(first[t]))), Placed(SUN_2, LOAD, flat(int(second[t]))), limits=limits)
        assert curtail(alone).kept[:, 0].tolist() == together.kept[:, t].tolist()


def test_intervals_stand_for_themselves() -> None:
    energy = np.array([100_000, 1_000_000, 0, 1_000_000])
    made = day(Placed(SUN_2, LOAD, energy), limits=Limits(0.5, 1.5))
    found = curtail(made)
    check(made, found)
    assert found.kept[0, [0, 2]].tolist() == [100_000, 0]
    assert found.kept[0, 1] == found.kept[0, 3] < 1_000_000
    assert found.reasons[0].intervals == 2


def test_nothing_is_cut_when_the_set_can_be_carried() -> None:
    made = day(Placed(SUN_2, LOAD, flat(100_000, 3)))
    found = curtail(made)
    assert not found.cut
    assert (found.kept == made.energy).all()
    assert found.beyond == ()


@pytest.mark.parametrize(
    ("contract", "kind", "text"),
    [
        (Placed(SUN_2, LOAD, flat(900_000)), Kind.VOLTAGE_LOW, "below 0.9900 p.u. at there in interval 0"),
        (Placed(SUN, LOAD_2, flat(900_000)), Kind.VOLTAGE_HIGH, "above 1.0100 p.u. at there in interval 0"),
    ],
)
def test_both_ends_of_the_voltage_band_are_kept(contract: Placed, kind: Kind, text: str) -> None:
    made = day(contract, limits=Limits(0.1 if kind is Kind.VOLTAGE_HIGH else 0.99, 1.01, 9.0))
    found = curtail(made)
    check(made, found)
    assert found.reasons[0].breach.kind is kind
    assert text in found.reasons[0].text


def test_a_member_keeps_its_connection_limit() -> None:
    # 2 MW at the connection of 1 MW: 250,000 Wh of 500,000 in a quarter of an hour.
    made = day(Placed(SUN, LOAD, flat(300_000)), Placed(SUN, LOAD, flat(200_000)), sun=Capability(1_000_000, 1_000_000))
    found = curtail(made)
    assert found.kept[:, 0].tolist() == [250_000, 0]
    assert found.reasons[1].text.startswith("power 2000000 W above 1000000 W of sym_gen 6 in interval 0")
    check(made, found)


def test_reactive_power_has_to_fit_into_the_connection_too() -> None:
    # At a power factor of 0.8 a connection of 1 MVA carries 800 kW and 600 kvar.
    made = day(Placed(SUN, LOAD, flat(240_000)), load=Capability(1_000_000, 800_000))
    found = curtail(made)
    assert found.kept[0, 0] == 200_000
    assert found.reasons[0].breach.kind is Kind.UNIT_REACTIVE
    assert "reactive power 720000 var above 280000 var of sym_load 5" in found.reasons[0].text
    check(made, found)


def test_power_flow_without_a_solution_is_infeasible_as_well() -> None:
    made = day(Placed(SUN_2, LOAD, flat(900_000_000)), limits=Limits(0.1, 9.0, 1e6))
    found = curtail(made)
    check(made, found)
    assert found.reasons[0].text.startswith("power flow without a solution in interval 0")


def test_where_others_alone_break_a_limit_no_contract_makes_it_worse_and_it_is_told() -> None:
    others = exchange_of(4, 2, [(LOAD, np.array([0, 900_000]), np.zeros(2))])
    contracts = [Placed(SUN_2, LOAD, flat(10_000, 2)), Placed(SUN_2, LOAD_2, flat(10_000, 2))]
    made = ContractDay(SOLVER, others, contracts, {}, QUARTER)
    found = curtail(made)
    assert [(breach.kind, breach.interval) for breach in found.beyond] == [(Kind.LOADING, 1)]
    alone = found.beyond[0]
    assert alone.value > 1.05
    assert (found.kept[:, 0] == made.energy[:, 0]).all()
    assert found.kept[0, 1] < 100, "it draws over the line that is overloaded already"
    assert 0 in found.reasons
    after = SOLVER.solve(made.exchange(np.array([1]), found.kept.T[1:]), QUARTER)
    assert after.loading[0, alone.place] <= alone.value * (1 + 1e-8)


@pytest.mark.parametrize("step_wh", [1, 7, 1_000])
def test_what_is_kept_is_found_to_the_step(step_wh: int) -> None:
    made = day(Placed(SUN_2, LOAD, flat(1_000_003)), limits=Limits(0.5, 1.5))
    found = curtail(made, step_wh)
    assert found.kept[0, 0] % step_wh == 0
    check(made, found, step_wh)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SUN, SUN_2]),
            st.sampled_from([LOAD, LOAD_2]),
            st.lists(st.integers(0, 1_500_000), min_size=2, max_size=2),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_set_ends_feasible_and_least(rows: list[tuple[int, int, list[int]]]) -> None:
    made = day(*(Placed(seller, buyer, np.array(energy)) for seller, buyer, energy in rows))
    found = curtail(made)
    check(made, found)
    for t in range(2):
        kept, energy = found.kept[:, t], made.energy[:, t]
        cut = np.flatnonzero(kept < energy)
        if cut.size:  # with everything after the first one that was cut gone, that one would still have to be cut
            only = energy.copy()
            only[cut[0] + 1 :] = 0
            assert not made.breaches(np.array([t]), only[None]).feasible[0]


# The shipped grid, its real profiles raised until a limit breaks


def test_the_real_week_can_be_carried_as_it_was() -> None:
    grid = shipped()
    whole = ContractDay(grid.solver, whole_exchange(grid), [], grid.capabilities, QUARTER)
    assert all(feasible(whole, np.zeros((0, 96), dtype=np.int64)))


def test_real_profiles_raised_until_the_voltage_breaks_are_cut_to_the_least() -> None:
    made = raised(shipped(), contracts_times=20)
    assert not all(feasible(made, made.energy))
    found = curtail(made)
    assert found.beyond == ()
    check(made, found)
    kinds = {reason.breach.kind for reason in found.reasons.values()}
    assert Kind.VOLTAGE_HIGH in kinds
    assert all(len(reason.text) <= 256 for reason in found.reasons.values())
    assert 0 < found.kept.sum() < made.energy.sum()


def test_the_sun_of_others_raised_leaves_less_room_for_contracts() -> None:
    grid = shipped()
    alone, beside = (curtail(raised(grid, contracts_times=12, others_percent=each)) for each in (100, 140))
    assert beside.kept.sum() < alone.kept.sum()
