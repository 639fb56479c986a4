"""Document B's evaluation: counts are what formulas say, rules decide who is an agent, one run writes all."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.loops import apart
from wattquorum.api.client import AsyncClient
from wattquorum.cli.app import app
from wattquorum.consensus.bft.committee import quorum_of, tolerated
from wattquorum.foundation.quantities import POINTS_MAX, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cgpbft import conduct, division, messages, outages, pace
from wattquorum.lab.cgpbft.live import BATCH, CASHIERS, PATIENCE_S, Lived, Plan, lived, middle_and_p95, turns
from wattquorum.lab.cgpbft.outages import Ending, Fault
from wattquorum.lab.cgpbft.run import CSVS, PICTURES, read_costs, read_live
from wattquorum.simulation.assembly import Costs
from wattquorum.standing.groups import TAU

MS = 1_000_000
SEEDS = 8
PRICED = Costs(10_000, 10_000, 1_000, 1_000, 40_000, 20_000, 60_000, 100_000, 200_000)


# Pace


def test_one_seed_and_the_same_costs_are_one_course() -> None:
    one, other = (pace.paced(3, 7, 7, pace.World.FAR, 10, PRICED, 3) for _ in range(2))
    assert one == other
    assert one != pace.paced(4, 7, 7, pace.World.FAR, 10, PRICED, 3)


# Messages


@pytest.mark.parametrize("members", [4, 5, 7, 10])
def test_what_everybodys_agreement_takes_is_what_the_formula_says(members: int) -> None:
    assert messages.counted(1, members, members, 1, 2).per_block == messages.formula(members, members)


@pytest.mark.parametrize("members", [7, 16, 25])
def test_what_agents_and_their_groups_take_is_what_the_formula_says(members: int) -> None:
    agents = messages.groups_of(members)
    assert messages.counted(1, members, agents, 1, 2).per_block == messages.formula(members, agents)


@given(st.integers(4, 2_000))
def test_groups_are_as_many_as_their_members_and_never_fewer_than_four(members: int) -> None:
    groups = messages.groups_of(members)
    assert groups >= 4
    assert groups == 4 or groups**2 <= members < (groups + 1) ** 2


@pytest.mark.parametrize(("members", "times"), messages.TARGETS.items())
def test_groups_send_so_many_times_fewer_messages(members: int, times: int) -> None:
    agents = messages.groups_of(members)
    assert messages.formula(members, members) >= times * messages.counted(1, members, agents, 1, 1).per_block


def test_a_block_that_does_not_arrive_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "END_NS", MS)
    with pytest.raises(Refused, match="Only 0 of 4"):
        messages.counted(1, 4, 4, 1, 1)


# Conduct


def ends(stakes: str, fails: int, seeds: int = SEEDS) -> list[float]:
    manners = conduct.Manners(fails=Ppm(fails))
    courses = [conduct.course(seed, conduct.STAKES[stakes], manners) for seed in range(seeds)]
    return [sum(epoch.faulty_agents for epoch in each[-10:]) / 100 for each in courses]


@pytest.mark.unmeasured
def test_with_dearer_misconduct_fewer_faulty_members_are_agents_in_the_end() -> None:
    """Where they fail seldom enough to be trusted; over seeds, the mean difference is above two standard errors."""
    pairs = zip(ends("symmetric", 100_000), ends("asymmetric", 100_000), strict=True)
    gains = [without - with_ for without, with_ in pairs]
    mean = sum(gains) / SEEDS
    error = (sum((gain - mean) ** 2 for gain in gains) / (SEEDS - 1) / SEEDS) ** 0.5
    assert mean > 2 * error


def test_agents_that_always_fail_are_rare_in_the_end_with_any_stakes() -> None:
    for stakes in conduct.STAKES:
        assert max(ends(stakes, 1_000_000, 3)) < 0.1  # of 30 % of all members


@given(st.integers(0, 2**32), st.sampled_from(sorted(conduct.STAKES)), st.integers(0, 1_000_000))
@settings(max_examples=8, deadline=None)
def test_a_course_has_an_agent_of_every_group_and_trust_in_its_bounds(seed: int, stakes: str, faulty: int) -> None:
    setting, manners = conduct.Setting(20, 4, 5), conduct.Manners(faulty=Ppm(faulty))
    epochs = conduct.course(seed, conduct.STAKES[stakes], manners, setting)
    assert len(epochs) == 5
    for epoch in epochs:
        assert epoch.agents == 4
        assert 0 <= epoch.faulty_agents <= 4
        assert 0 <= epoch.trust_faulty <= POINTS_MAX
        assert 0 <= epoch.trust_others <= POINTS_MAX
    assert epochs == conduct.course(seed, conduct.STAKES[stakes], manners, setting)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_band_holds_its_mean(values: list[float]) -> None:
    band = conduct.band(values)
    assert band.low - 1e-9 <= band.mean <= band.high + 1e-9
    assert 0 <= band.low <= band.high <= 1


# Outages


@pytest.mark.parametrize("agents", [4, 16])
def test_a_primarys_crash_costs_one_timeout_and_no_height_after_it_another(agents: int) -> None:
    found = outages.recovered(1, 16, agents, 500)
    assert 300 <= found.agreed_ms <= 500 + outages.EVERY_MS + 300
    assert found.agreed_ms <= found.everywhere_ms
    assert found.timeouts_later == 0


@pytest.mark.parametrize("trial", outages.trials(6), ids=lambda trial: "-".join(str(each) for each in trial))
def test_bad_agents_end_agreement_where_counting_says_so(trial: tuple[int, int, Fault]) -> None:
    assert outages.tried(1, *trial).ending is outages.expected(*trial)


@given(st.integers(4, 60), st.data())
def test_up_to_f_bad_agents_change_nothing_and_fewer_than_two_quorums_share_fork_nothing(
    agents: int, data: st.DataObject
) -> None:
    bad = data.draw(st.integers(0, agents - 2))
    for fault in Fault:
        ending = outages.expected(agents, bad, fault)
        if bad <= tolerated(agents):
            assert ending is Ending.ON
        if bad < 2 * quorum_of(agents) - agents or fault is Fault.SILENT:
            assert ending is not Ending.FORKS


# Groups


@given(st.integers(0, 100), st.integers(4, 120), st.sampled_from(sorted(division.WAYS)), st.data())
@settings(max_examples=30, deadline=None)
def test_every_way_puts_everybody_into_one_group_of_even_size(
    seed: int, nodes: int, way: str, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, nodes))
    groups = division.WAYS[way](division.community(seed, nodes), count)
    assert sorted(member for group in groups for member in group) == list(range(nodes))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


@given(st.integers(0, 1_000), st.integers(4, 60), st.sampled_from(sorted(division.WAYS)))
@settings(max_examples=30, deadline=None)
def test_no_way_is_more_even_than_it_can_be(seed: int, nodes: int, way: str) -> None:
    even = division.divided(way, seed, nodes)
    assert even.traded_ppm >= even.bound_ppm


def test_groups_by_the_rules_are_within_both_tolerances_where_simple_ways_are_not() -> None:
    for seed in range(3):
        rules, snake, random = (division.divided(way, seed, 1_000) for way in ("B-3", "snake", "random"))
        assert max(rules.traded_ppm, rules.trust_ppm) <= TAU
        assert snake.trust_ppm > TAU
        assert random.traded_ppm > snake.traded_ppm


# Live

LIVED = [
    Lived("2 processors", 250_000, 0, "pbft", 16, 16, 10, 60_000, 90_000, 70_000, 95_000, 4_900, 1_000, 2_000_000),
    Lived("2 processors", 350_000, 0, "cgpbft", 16, 4, 20, 30_000, 40_000, 35_000, 45_000, 800, 1_500, 2_000_000),
]


def test_protocols_take_turns_in_being_the_first() -> None:
    order = [f"{engine}" for _, _, engine in turns(Plan((4, 7), 2))]
    assert order == 2 * ["pbft", "cgpbft", "cgpbft", "pbft"]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_half_are_within_the_median_and_95_of_100_within_the_other(values: list[int]) -> None:
    for share, bound in zip((50, 95), middle_and_p95(values), strict=True):
        assert bound in values
        assert 100 * sum(value <= bound for value in values) >= share * len(values)
        assert 100 * sum(value < bound for value in values) < share * len(values)


def left_running(folder: Path) -> list[str]:
    """Processes whose command names something in a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_text(encoding="utf-8", errors="replace"))
    return [line for line in lines if str(folder) in line]


@pytest.mark.unmeasured
def test_real_nodes_of_both_protocols_decide_and_are_timed_and_none_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "live"
    connect = partial(AsyncClient, patience_s=PATIENCE_S)
    found = apart(lambda: lived(home, Plan((4,), 1, 3, 0.2), connect, lambda *_: None))
    assert [(each.engine, each.members, each.agents) for each in found] == [("pbft", 4, 4), ("cgpbft", 4, 4)]
    for each in found:
        assert 2 <= each.deposits <= 3
        assert each.messages >= (each.deposits - 1) * messages.formula(4, 4)
        assert each.decided == CASHIERS * BATCH
        assert 0 < each.receipt_us <= each.receipt_p95_us
        assert 0 < each.everywhere_us <= each.everywhere_p95_us
        assert each.took_us > 0
        assert 0 <= each.busy_ppm <= 1_000_000
    assert not home.exists()
    assert left_running(tmp_path) == []


@pytest.mark.unmeasured
@pytest.mark.parametrize("fault", [KeyboardInterrupt(), Refused("undecided", "live", "")], ids=["ended", "failed"])
def test_nodes_end_with_whoever_started_them(tmp_path: Path, fault: BaseException) -> None:
    running: list[str] = []

    def connect(_: object) -> AsyncClient:
        running.extend(left_running(tmp_path))
        raise fault

    with pytest.raises(type(fault)):
        apart(lambda: lived(tmp_path / "live", Plan((4,), 1), connect, lambda *_: None))
    assert len(running) == 4
    assert left_running(tmp_path) == []
    assert (tmp_path / "live" / "pbft-4").exists() == isinstance(fault, Refused)


def test_folders_of_others_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / "live" / "village").mkdir(parents=True)
    with pytest.raises(Refused, match="folder_exists"):
        lived(tmp_path / "live", Plan((4,), 1), AsyncClient, lambda *_: None)
    assert (tmp_path / "live" / "village").exists()


def live_csv(folder: Path, rows: Sequence[Sequence[object]] = LIVED) -> Path:
    path = folder / "lived.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([Lived._fields, *rows])
    return path


def test_what_came_of_live_nodes_can_be_read_again(tmp_path: Path) -> None:
    assert read_live(live_csv(tmp_path)) == LIVED


@pytest.mark.parametrize(
    "rows",
    [
        [],
        LIVED[:1],
        [*LIVED, LIVED[0]],
        [LIVED[0], LIVED[1]._replace(took_us=0)],
        [LIVED[0], LIVED[1]._replace(messages=-1)],
        [LIVED[0], LIVED[1]._replace(engine="raft")],
        [LIVED[0], LIVED[1][:-1]],
        [LIVED[0], (*LIVED[1][:-1], "long")],
        [[*LIVED[0]], Lived._fields],
    ],
)
def test_other_files_tell_nothing_of_live_nodes(tmp_path: Path, rows: Sequence[Sequence[object]]) -> None:
    with pytest.raises(Refused, match="file_unreadable"):
        read_live(live_csv(tmp_path, rows))


@pytest.mark.parametrize("data", [b"", b"members\n4\n", b"\xff\n"])
def test_files_without_its_columns_tell_nothing_of_live_nodes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "live.csv").write_bytes(data)
    for path in (tmp_path / "live.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(Refused, match="file_unreadable"):
            read_live(path)


# The command


def command(out: Path, *more: str) -> str:
    words = ["lab", "cgpbft", "--seeds", "2", "--largest", "16", "--jobs", "1", "--out", str(out), *more]
    told = CliRunner().invoke(app, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "cgpbft"
    told = command(folder)
    assert "throughput" in told
    assert str(folder / "report.html") in told
    return folder


@pytest.mark.unmeasured
def test_a_run_writes_a_report_a_page_with_its_pictures_and_every_table(out: Path) -> None:
    assert sorted(each.name for each in (out / "tables").iterdir()) == sorted(CSVS)
    for name in CSVS:
        rows = list(csv.DictReader((out / "tables" / name).read_text(encoding="utf-8").splitlines()))
        assert rows, name
        assert all(None not in row and None not in row.values() for row in rows), name
    page = (out / "cgpbft.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((.*?)\)", page) == [f"cgpbft-{name}.svg" for name in PICTURES]
    for name in PICTURES:
        ET.parse(out / f"cgpbft-{name}.svg")


def test_the_report_is_one_file_that_asks_no_network(out: Path) -> None:
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'" in report
    assert re.findall(r'(?:href|src)="(?!#)[^"]*"', report) == []
    assert "<script" not in report
    assert report.count("<svg") == len(PICTURES)


@pytest.mark.unmeasured
def test_with_the_costs_of_an_earlier_run_all_comes_out_the_same_but_the_time_that_grouping_took(
    out: Path, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    docs = ("--docs", str(tmp_path / "docs"), "--live-results", str(live_csv(tmp_path)))
    command(tmp_path / "again", "--costs", str(out / "tables" / "costs.csv"), *docs)
    written = sorted(each.name for each in (tmp_path / "docs").iterdir())
    assert written == sorted(["cgpbft.md", *(f"cgpbft-{name}.svg" for name in PICTURES)])
    for name in CSVS:
        if name != "groups_took.csv":
            assert (tmp_path / "again" / "tables" / name).read_bytes() == (out / "tables" / name).read_bytes(), name
    assert read_live(tmp_path / "again" / "tables" / "live.csv") == LIVED
    page = (tmp_path / "docs" / "cgpbft.md").read_text(encoding="utf-8")
    assert "| 16 | 2.00 (2.00 to 2.00) | 2.00 (2.00 to 2.00) | 1.50 (1.50 to 1.50) | 12.25 (12.25 to 12.25) |" in page
    assert "| 16 | 60.0 | 90.0 | 70.0 | 95.0 | 30.0 | 40.0 | 35.0 | 45.0 |" in page
    assert "| 16 | 500 | 750 | 490.0 | 480 | 40.0 | 36 |" in page
    assert "30 % busy (25 to 35 %)" in " ".join(page.split())


def test_without_live_nodes_the_page_says_how_to_time_them_and_the_documentation_is_left_alone(
    out: Path, tmp_path: Path
) -> None:
    assert "With --live it starts" in " ".join((out / "cgpbft.md").read_text(encoding="utf-8").split())
    for more in (("--docs", str(tmp_path)), ("--live", "--live-results", str(live_csv(tmp_path)))):
        with pytest.raises(Refused, match="out_of_range"):
            command(tmp_path / "out", *more)
    assert [each.name for each in tmp_path.iterdir()] == ["lived.csv"]


def test_what_work_takes_is_measured_and_can_be_read_again(out: Path) -> None:
    costs = read_costs(out / "tables" / "costs.csv")
    assert all(value > 0 for name, value in costs._asdict().items() if not name.startswith("byte"))
    assert costs.check_ns > costs.sign_ns // 4
    assert costs.transaction_ns > costs.check_ns // 2


@pytest.mark.parametrize("text", ["", "cost,value\nsend_ns,1\n", "cost,value\nsend_ns,much\n"])
def test_other_files_are_no_costs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match="file_unreadable"):
        read_costs(path)
    with pytest.raises(Refused, match="file_unreadable"):
        read_costs(tmp_path / "missing.csv")


def test_costs_below_zero_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text("cost,value\n" + "".join(f"{name},-1\n" for name in Costs._fields), encoding="utf-8")
    with pytest.raises(Refused, match="file_unreadable"):
        read_costs(path)


@pytest.mark.parametrize("strange", ["notes.txt", "tables/notes.txt"])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, strange: str) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / strange).write_text("mine", encoding="utf-8")
    with pytest.raises(Refused, match="folder_exists"):
        command(tmp_path)
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["notes.txt"]


def test_pages_go_into_a_folder_that_is_there(out: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="docs"):
        command(tmp_path / "out", "--docs", str(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


def test_no_processes_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--jobs"):
        command(tmp_path / "out", "--jobs", "0")
