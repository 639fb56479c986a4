"""Beyond the paper: each experiment against what can be counted by hand or said beforehand, and the page as a whole."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from wattquorum.cli.app import app
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.refusals import Refused
from wattquorum.lab import washing
from wattquorum.lab.beyond import majorities
from wattquorum.lab.beyond import run as running
from wattquorum.lab.beyond.cabinet import dealt, series
from wattquorum.lab.beyond.concentration import ANYBODY, HEAVIEST, STEADY, Leading, gini, top
from wattquorum.lab.beyond.majorities import _searched, _tried, apart
from wattquorum.lab.beyond.run import Options, part_of, run
from wattquorum.lab.beyond.scenario import inputs_of
from wattquorum.lab.beyond.studies import STUDIES, plan_named
from wattquorum.lab.beyond.tolerance import bearable
from wattquorum.lab.paper.inputs import PAPER
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.parts import Sheet
from wattquorum.lab.sweeps.plan import Plan
from wattquorum.lab.sweeps.registry import EXPERIMENTS
from wattquorum.lab.sweeps.results import Results
from wattquorum.lab.sweeps.running import Where

VOTES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8)


def found(name: str, seed: int = 1, **given_: Any) -> dict[str, Any]:
    """What an experiment measures, with its defaults but for what is given."""
    experiment = EXPERIMENTS[name]
    plan = Plan(experiment, {key: (value,) for key, value in given_.items()}, [seed])
    (cell,) = plan.cells()
    assert experiment.misfit(dict(zip((each for each, _ in plan.axes), cell.values, strict=True))) is None
    return dict(zip((each.name for each in experiment.measures), experiment.row(cell.values, seed), strict=True))


# The scenario


def test_with_its_defaults_the_scenario_is_the_papers_to_the_unit() -> None:
    assert inputs_of({}) == PAPER


@given(st.integers(2, 60), st.sampled_from(["paper", "even"]), st.floats(0, 5))
def test_every_scenario_can_be_played(pairs: int, cast: str, participation: float) -> None:
    inputs = inputs_of({"pairs": pairs, "cast": cast, "participation": participation})
    assert sum(inputs.generator) == sum(inputs.consumer) == 1_000_000
    assert inputs.nodes == 2 * pairs


# Majorities


def by_hand(one: list[int], other: list[int]) -> bool:
    places = range(len(one))
    return any(
        2 * sum(one[place] for place in chosen) > sum(one)
        and 2 * (sum(other) - sum(other[place] for place in chosen)) > sum(other)
        for count in range(len(one) + 1)
        for chosen in combinations(places, count)
    )


@given(VOTES)
def test_parts_are_found_exactly_where_counting_every_subset_finds_some(votes: list[tuple[int, int]]) -> None:
    one, other = ([pair[side] for pair in votes] for side in (0, 1))
    for places in (apart(one, other), _searched(one, other)):
        assert (places is not None) == by_hand(one, other)
        if places is not None:
            assert 2 * sum(one[place] for place in places) > sum(one)
            assert 2 * (sum(other) - sum(other[place] for place in places)) > sum(other)


def test_the_search_finds_what_the_quick_try_misses() -> None:
    one, other = [5, 4, 4], [5, 4, 4]
    assert apart(one, other) is None
    missed = ([6, 4, 2, 2], [7, 2, 2, 2])
    assert _tried(*missed) is None or apart(*missed) is not None


def test_the_quick_try_goes_on_where_exactly_half_is_held() -> None:
    """Half is no majority: one more is needed, and is there."""
    assert majorities._tried([1, 1, 1, 1], [0, 0, 0, 9]) == [0, 1, 2]


def test_no_two_parts_decide_while_one_counts_jointly_and_the_literal_rule_has_some() -> None:
    literal = found("majorities", rounds=30)
    assert literal["apart_rounds"] > 0
    assert literal["apart_joint"] == 0
    calm = found("majorities", rounds=30, tolerance=9, hysteresis=0.05)
    assert calm["changes"] < literal["changes"]
    assert found("majorities", rounds=5, hysteresis=1.0)["changes"] == 0


def test_on_real_engines_a_change_takes_two_entries_and_no_payload_waits_longer_than_both_votes_ask() -> None:
    for tolerance in (-1, 9):
        told = found("joint-step", after=20, tolerance=tolerance)
        assert told["entries"] == 2
        assert told["during"] == max(told["before"], told["after_ms"])
        assert told["whole"] == pytest.approx(told["during"] + told["after_ms"])


# Tolerance


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_so_many_can_be_lost_whichever_they_are_and_not_one_more(votes: list[int]) -> None:
    borne = bearable(votes)

    def survives(lost: int) -> bool:
        return all(2 * (sum(votes) - sum(gone)) > sum(votes) for gone in combinations(votes, lost))

    if sum(votes):
        assert 0 <= borne <= len(votes)
        assert borne == 0 or survives(borne)
        assert borne == len(votes) or not survives(borne + 1)


def test_projected_powers_keep_their_promise_and_save_less_the_more_it_asks() -> None:
    kept = [found("tolerance", tolerance=lost, rounds=60) for lost in (0, 9, 14)]
    assert [each["borne_least"] >= lost for each, lost in zip(kept, (0, 9, 14), strict=True)] == [True] * 3
    assert kept[0]["saving"] > kept[2]["saving"]
    assert kept[0]["heaviest"] > kept[2]["heaviest"]


# Saving


def test_where_all_links_are_alike_there_is_nothing_to_save() -> None:
    assert found("saving", spread=0.0, rounds=20)["saving"] == 0


def test_links_that_differ_more_save_more() -> None:
    """Over 8 seeds the mean difference is above two standard errors."""
    gains = [
        found("saving", seed, spread=25.0, rounds=60)["saving"] - found("saving", seed, spread=5.0, rounds=60)["saving"]
        for seed in range(8)
    ]
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / 8**0.5


# Concentration


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.integers(1, 9))
def test_gini_is_that_of_all_pairs_and_knows_no_scale(counts: list[int], times: int) -> None:
    total, number = sum(counts), len(counts)
    pairs = sum(abs(one - other) for one in counts for other in counts)
    expected = pairs / (2 * number * total) if total else 0.0
    assert gini(counts) == pytest.approx(expected)
    assert gini([each * times for each in counts]) == pytest.approx(expected)
    assert 0 <= top(counts, 3) <= 1


def test_steady_leadership_changes_hands_late_and_only_by_a_margin() -> None:
    steady, heaviest = Leading(STEADY, Chance(1)), Leading(HEAVIEST, Chance(1))
    courses = [[5, 4, 3], [5, 6, 3], [5, 6, 3], [5, 6, 3], [1, 9, 2], [1, 9, 2], [5, 6, 3]]
    assert [heaviest.next(powers) for powers in courses] == [0, 1, 1, 1, 1, 1, 1]
    assert [steady.next(powers) for powers in courses] == [0, 0, 0, 0, 1, 1, 1]
    close = Leading(STEADY, Chance(1))
    assert [close.next(powers) for powers in [[50, 49], *[[50, 51]] * 9]] == [0] * 10


def test_anybody_leads_about_equally_often_and_the_heaviest_do_not() -> None:
    even, heavy = (found("concentration", rule=rule, rounds=300) for rule in (ANYBODY, HEAVIEST))
    assert even["leaders"] == 30
    assert even["gini"] < 0.3 < heavy["gini"]


# Cabinet


@given(st.integers(3, 60), st.data())
@settings(max_examples=40, deadline=None)
def test_of_a_series_any_t_are_a_minority_and_the_first_of_all_but_t_decide(members: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(1, (members - 1) // 2))
    votes = series(members, lost)
    assert list(votes) == sorted(votes, reverse=True)
    assert 2 * sum(votes[:lost]) < sum(votes) < 2 * sum(votes[: lost + 1])


@pytest.mark.parametrize("lost", [1, 3, 9, 14])
def test_a_round_by_latency_ends_with_the_t_th_reply(lost: int) -> None:
    times = np.array([[0, *range(10, 39)]], dtype=np.int64)
    votes = np.array([dealt(range(30), series(30, lost))], dtype=np.int64)
    decided = Order(times, np.array([0])).decide(votes)
    assert decided.replies[0] == lost
    assert decided.weighted_us[0] == 9 + lost


def test_latency_is_faster_than_standing_at_the_same_promise() -> None:
    told = found("cabinet", rounds=40)
    assert told["cabinet"] > told["projected"]
    assert told["cabinet_ms"] < told["projected_ms"] <= told["plain_ms"]


# Attacks


def test_who_is_never_late_pays_nothing_and_who_is_loses_weight_and_money() -> None:
    assert {value for name, value in found("late", days=0.0, rounds=40).items()} == {0}
    told = found("late", days=0.5, rounds=40)
    assert told["weight"] < 0
    assert told["cost"] > 0
    assert told["late"] == pytest.approx(0.5, abs=0.3)


def test_certificates_that_are_bought_move_votes_from_seller_to_buyer() -> None:
    assert found("buying", share=0.0, rounds=60)["power"] == 0
    told = found("buying", share=0.8, rounds=60)
    assert told["power"] > 0 > told["seller"]
    assert told["paid"] == told["bought"] * 30
    assert told["price_of_power"] > 0


# The page


def small(name: str, seeds: int | None = None) -> Plan:
    """A sweep of few rounds and one seed."""
    plan = plan_named(name, seeds)
    axes = dict(plan.axes)
    short = {"rounds": (6,)} if "rounds" in axes else {}
    return Plan(plan.experiment, {**axes, **short}, [0], plan.draws, plan.title, plan.drawn)


def test_every_study_is_told_on_a_page_with_its_pictures_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(washing, "DAYS", 1)
    monkeypatch.setattr(running, "plan_named", small)
    (tmp_path / "docs").mkdir()
    studies = tuple(study for study in STUDIES if study.name != "week")
    options = Options(tmp_path / "out", Where(jobs=1), docs=tmp_path / "docs", studies=studies)
    written = run(options, lambda *_: None)
    page = written.page.read_text(encoding="utf-8")
    assert page == (tmp_path / "docs" / "beyond.md").read_text(encoding="utf-8")
    for study in studies:
        assert f"## {study.title}" in page
        for name in study.shows:
            assert (tmp_path / "out" / name / "results.csv").exists()
    pictures = sorted((tmp_path / "out").glob("*.svg"))
    assert len(pictures) == 11
    for picture in pictures:
        ET.parse(picture)
        assert f"]({picture.name})" in page
    report = written.report.read_text(encoding="utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'" in report
    assert "<script" not in report


def week_results() -> Results:
    plan = plan_named("week")
    return Results(plan, {cell.number: [0.05, 0.04, 0.2, 1.0, 3, 0.1, 0.15, 1.5] for cell in plan.cells()})


def test_the_week_is_told_from_its_cells() -> None:
    part = part_of(STUDIES[-1], {"week": week_results()})
    assert "save 5.0 %, projected to 9 that may be lost 4.0 %, where votes by latency save 20.0 %" in str(part.items[0])


def saved(name: str, **by: float) -> Results:
    """A sweep's results, of which `saving` is what is given for values of its parameters, and 0 elsewhere."""
    plan = plan_named(name, 2)
    names = [each for each, _ in plan.axes]
    rows: dict[int, list[float | int | None]] = {}
    for cell in plan.cells():
        own = dict(zip(names, cell.values, strict=True))
        value = by.get(f"{own['rho']:g}/{own['every']}", 0.0)
        rows[cell.number] = [value if each.name == "saving" else 0 for each in plan.experiment.measures]
    return Results(plan, rows)


def test_what_is_said_of_remembering_is_bounded_by_where_it_saves_no_more() -> None:
    """Where a reply earns a lot, the table shows no more for a longer memory, and the sentence says so."""
    results = {name: saved(name) for name in ("links", "members", "coefficients")}
    results["decay"] = saved("decay", **{"3/5": 0.12, "3/50": 0.11})
    told = next(study for study in STUDIES if study.name == "saving").finds(results)
    assert "where a reply earns 3 points, a decay every 5 rounds leaves 12.0 % and one every 50 no more, 11.0 %" in told


def test_each_sweep_has_seeds_enough_to_speak_of_and_its_table_says_how_many() -> None:
    """A week of thirty replicas takes a quarter of a minute: there are twelve. Of wash trades nothing is drawn."""
    counts = {name: len(plan_named(name).seeds) for study in STUDIES for name in study.shows}
    assert {name: count for name, count in counts.items() if count < 20} == {"wash": 1, "week": 12}
    (sheet,) = (item for item in part_of(STUDIES[-1], {"week": week_results()}).items if isinstance(item, Sheet))
    assert sheet.caption == "The SimBench week: median (5 % to 95 %) over 12 seeds"


def test_sweeps_that_are_shipped_are_admitted_and_each_is_shown_once() -> None:
    shown = [name for study in STUDIES for name in study.shows]
    assert len(set(shown)) == len(shown)
    for study in STUDIES:
        for name, measures in study.shows.items():
            plan = plan_named(name)
            assert {each.name for each in plan.experiment.measures} >= set(measures)
            assert plan.size <= 1_000


def test_the_command_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    for words, told in (
        (("--jobs", "0", "--out", str(tmp_path / "out")), "--jobs"),
        (("--docs", str(tmp_path / "missing"), "--out", str(tmp_path / "out")), "docs"),
        (("--out", str(tmp_path)), "folder_exists"),
    ):
        (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(Refused, match=told):
            CliRunner().invoke(app, ["lab", "beyond", *words], catch_exceptions=False)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
