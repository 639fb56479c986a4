"""Sweeps: files are checked whole, cells are what they are whoever plays them, and what was ended is gone on with."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import delayed
from typer.testing import CliRunner

from wattquorum.cli.app import app
from wattquorum.foundation.refusals import Refused
from wattquorum.lab import washing
from wattquorum.lab.paper.inputs import PAPER
from wattquorum.lab.sweeps import paper, running, store
from wattquorum.lab.sweeps.experiments import COMMON, Experiment, Parameter, Value
from wattquorum.lab.sweeps.plan import Plan, plan_of, read_plan
from wattquorum.lab.sweeps.registry import EXPERIMENTS
from wattquorum.lab.sweeps.results import Results, band, quantile
from wattquorum.lab.sweeps.run import run
from wattquorum.lab.sweeps.running import Backend, Where, bundles_of, on, results
from wattquorum.lab.sweeps.store import JOURNAL, Journal
from wattquorum.lab.sweeps.telling import page, scale_of
from wattquorum.records.file_faults import FileFaults

TEXT = """
experiment = "agents"
seeds = 3
[parameters]
members = 8
groups = 2
epochs = 2
fails = [0.2, 0.5]
beta = { from = 1.0, to = 5.0, step = 2 }
"""
SAME = """
title = "The same, written otherwise"
seeds = [0, 1, 2]
experiment = "agents"
parameters = { beta = [1, 3, 5.0], fails = [0.2, 0.5], epochs = 2, groups = 2, members = 8, alpha = 1 }
plot = { x = "fails", measures = ["last"] }
"""
FILES = ("results.parquet", "results.csv", "summary.csv", "last.svg", "report.html")


def plan_from(text: str) -> Plan:
    return plan_of(text, EXPERIMENTS, "sweep.toml")


def quiet(_doing: str, _done: int, _total: int) -> None:
    """Says nothing."""


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


# Files


def test_a_file_says_all_combinations_in_the_order_of_the_experiments_parameters_seeds_last() -> None:
    plan = plan_from(TEXT)
    assert plan.varied == ["fails", "beta"]
    assert plan.size == 18
    cells = list(plan.cells())
    assert [cell.number for cell in cells] == list(range(18))
    names = [name for name, _ in plan.axes]
    found = [(cell.values[names.index("fails")], cell.values[names.index("beta")], cell.seed) for cell in cells]
    assert found == [(fails, beta, seed) for fails in (0.2, 0.5) for beta in (1.0, 3.0, 5.0) for seed in range(3)]


def test_a_plan_is_what_it_says_and_not_how_it_is_written() -> None:
    one, other = plan_from(TEXT), plan_from(SAME)
    assert one.digest == other.digest
    assert list(one.cells()) == list(other.cells())
    assert (one.drawn.x, one.drawn.by) == ("fails", "beta")
    assert other.drawn.measures == ("last",)
    assert plan_from(TEXT.replace("seeds = 3", "seeds = 4")).digest != one.digest


def test_ranges_are_of_tenths_and_not_of_what_binary_fractions_add_up_to() -> None:
    text = 'experiment = "agents"\n[parameters]\n'
    plan = plan_from(
        f"{text}fails = {{ from = 0.1, to = 0.7, step = 0.1 }}\nidle = {{ from = 0, to = 0.3, steps = 4 }}"
    )
    assert dict(plan.axes)["fails"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert dict(plan.axes)["idle"] == (0.0, 0.1, 0.2, 0.3)
    assert dict(plan_from(f"{text}groups = {{ from = 2, to = 10, step = 4 }}").axes)["groups"] == (2, 6, 10)


HEAD = 'experiment = "agents"\n'
WRONG = [
    ("", "experiment_unknown", "experiment"),
    ('experiment = "alchemy"', "experiment_unknown", "experiment"),
    ("experiment = [", "file_unreadable", "file"),
    (HEAD + "sedes = 3", "sweep_invalid", "sedes"),
    (HEAD + "seeds = 0", "sweep_invalid", "seeds"),
    (HEAD + "seeds = []", "sweep_invalid", "seeds"),
    (HEAD + "seeds = [1, 1]", "sweep_invalid", "seeds"),
    (HEAD + "seeds = [-1]", "parameter_out_of_range", "seeds"),
    (HEAD + "seeds = 1.5", "parameter_out_of_range", "seeds"),
    (HEAD + "seeds = { from = 0, to = 99999999999 }", "sweep_invalid", "seeds.step"),
    (HEAD + 'draws = "lucky"', "sweep_invalid", "draws"),
    (HEAD + "title = 3", "sweep_invalid", "title"),
    (HEAD + "parameters = 3", "sweep_invalid", "parameters"),
    (HEAD + "[parameters]\nluck = 3", "parameter_unknown", "parameters.luck"),
    (HEAD + "[parameters]\nfails = []", "sweep_invalid", "parameters.fails"),
    (HEAD + "[parameters]\nfails = [0.1, 1.5]", "parameter_out_of_range", "parameters.fails"),
    (HEAD + "[parameters]\nfails = nan", "parameter_out_of_range", "parameters.fails"),
    (HEAD + "[parameters]\nfails = true", "parameter_out_of_range", "parameters.fails"),
    (HEAD + '[parameters]\nfails = "much"', "parameter_out_of_range", "parameters.fails"),
    (HEAD + "[parameters]\nfails = [[0.1]]", "parameter_out_of_range", "parameters.fails"),
    (HEAD + "[parameters]\nmembers = 8.0", "parameter_out_of_range", "parameters.members"),
    (HEAD + "[parameters]\nmembers = [8, 8]", "sweep_invalid", "parameters.members"),
    (HEAD + "[parameters]\nmembers = { from = 8, to = 10, steps = 4 }", "sweep_invalid", "parameters.members"),
    (HEAD + "[parameters]\nmembers = { from = 10, to = 8 }", "sweep_invalid", "parameters.members.to"),
    (HEAD + "[parameters]\nmembers = { from = 8, to = 11, step = 2 }", "sweep_invalid", "parameters.members.step"),
    (HEAD + "[parameters]\nmembers = { from = 8, to = 10, step = 0 }", "sweep_invalid", "parameters.members.step"),
    (HEAD + "[parameters]\nmembers = { from = 8, to = 9, steps = 1 }", "sweep_invalid", "parameters.members.steps"),
    (
        HEAD + "[parameters]\nmembers = { from = 8, to = 9, steps = 2, step = 1 }",
        "sweep_invalid",
        "parameters.members.steps",
    ),
    (HEAD + "[parameters]\nmembers = { from = 8 }", "sweep_invalid", "parameters.members.to"),
    (HEAD + "[parameters]\nmembers = { from = inf, to = 9 }", "sweep_invalid", "parameters.members.from"),
    (HEAD + "[parameters]\nmembers = 8\ngroups = [2, 5]", "parameter_out_of_range", "parameters.groups"),
    (HEAD + "seeds = 100_000\n[parameters]\nfails = { from = 0, to = 1, steps = 11 }", "sweep_invalid", "parameters"),
    (HEAD + "[plot]\nx = 'fails'", "sweep_invalid", "plot.x"),
    (HEAD + "[plot]\nmeasures = ['luck']", "sweep_invalid", "plot.measures"),
    (HEAD + "[parameters]\nfails = [0.1, 0.2]\n[plot]\nx = 'fails'\nby = 'fails'", "sweep_invalid", "plot.by"),
    ('experiment = "groups"\n[parameters]\nway = { from = 1, to = 2 }', "sweep_invalid", "parameters.way"),
    ('experiment = "groups"\n[parameters]\nway = "by hand"', "parameter_out_of_range", "parameters.way"),
]


@pytest.mark.parametrize(("text", "code", "field"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_what_is_wrong_in_a_file_is_told_with_code_field_value_and_remedy(text: str, code: str, field: str) -> None:
    with pytest.raises(FileFaults) as told:
        plan_from(text)
    (fault,) = told.value.faults
    assert (fault.code, fault.field) == (code, field)
    assert fault.remedy


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(FileFaults) as told:
        plan_from("seeds = 0\ntitle = 1\nmore = 1")
    assert [fault.field for fault in told.value.faults] == ["more", "seeds", "title", "experiment"]


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name, data in (("missing.toml", None), ("latin.toml", b"\xe9"), ("large.toml", b"#" * 1_000_001)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(FileFaults, match="file_unreadable"):
            read_plan(tmp_path / name, EXPERIMENTS)


# Cells


@given(st.integers(0, 2**63 - 1), st.floats(0, 1), st.integers(4, 1_000))
def test_a_cells_luck_is_drawn_from_what_it_is_alone(seed: int, fails: float, members: int) -> None:
    experiment = EXPERIMENTS["agents"]
    alone = Plan(experiment, {"fails": [fails], "members": [members]}, [seed])
    among = Plan(experiment, {"fails": [fails, 2.0], "members": [members, 7_000]}, [seed, 5 if seed != 5 else 6])
    (cell,) = alone.cells()
    first, *others = among.cells()
    assert alone.luck(cell) == among.luck(first)
    assert len({among.luck(each) for each in (first, *others)}) == 8


def test_with_common_draws_cells_of_one_seed_have_the_same_luck() -> None:
    plan = Plan(EXPERIMENTS["agents"], {"fails": [0.1, 0.2]}, [3, 4], COMMON)
    one, two, three, four = (plan.luck(cell) for cell in plan.cells())
    assert (one, two) == (three, four)
    assert one != two
    other = Plan(EXPERIMENTS["groups"], {}, [3, 4], COMMON)
    assert [other.luck(cell) for cell in other.cells()] == [one, two]


@given(st.lists(st.integers(4, 1_000), min_size=1, max_size=30, unique=True), st.integers(1, 40), st.integers(1, 64))
@settings(max_examples=30, deadline=None)
def test_bundles_have_every_cell_once_in_order_and_last_long_enough(
    members: list[int], seeds: int, workers: int
) -> None:
    plan = Plan(EXPERIMENTS["agents"], {"members": members}, range(seeds))
    cells = list(plan.cells())
    bundles = bundles_of(plan, cells, workers)
    assert [each[0] for bundle in bundles for each in bundle.cells] == list(range(plan.size))
    assert all(bundle.lasts_ms >= running.BUNDLE_MS_MIN for bundle in bundles[:-1])


SMALL: dict[str, dict[str, list[Value]]] = {
    "agents": {"members": [8], "groups": [2], "epochs": [2]},
    "messages": {"members": [5], "blocks": [1]},
    "recovery": {"members": [4], "timeout": [250]},
    "groups": {"members": [100]},
    "bad-agents": {"agents": [4], "bad": [1]},
    "joint-step": {"after": [3]},
    "week": {"days": [1]},
}


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda each: each.name)
def test_an_experiment_measures_what_it_says_and_its_defaults_are_admitted(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(washing, "DAYS", 1)
    plan = Plan(experiment, SMALL.get(experiment.name, {"rounds": [4]}), [1])
    (cell,) = plan.cells()
    assert len(experiment.row(cell.values, plan.luck(cell))) == len(experiment.measures)
    assert all(each.taken(each.default) == each.default for each in experiment.parameters)
    assert experiment.misfit({each.name: each.default for each in experiment.parameters}) is None
    names = [*(each.name for each in experiment.parameters), *(each.name for each in experiment.measures), "seed"]
    assert len(set(names)) == len(names)


def test_the_papers_experiment_takes_every_input_and_is_the_papers_by_default() -> None:
    values = {each.name: each.default for each in paper.PARAMETERS}
    assert paper.inputs_of(values) == PAPER
    for each in paper.PARAMETERS:
        changed = {**values, each.name: each.choices[1] if each.choices else one_off(each)}
        if each.name.startswith(paper.SIDES):  # coefficients add up to one
            side, _, part = each.name.partition("_")
            rest = f"{side}_{'volume' if part != 'volume' else 'credit'}"
            changed[rest] = int(values[rest]) - 1
        inputs = paper.inputs_of(changed)
        (moved,) = [field.name for field in fields(PAPER) if getattr(inputs, field.name) != getattr(PAPER, field.name)]
        assert each.name.startswith(moved)


def one_off(parameter: Parameter) -> int:
    """The next number that is admitted."""
    value = int(parameter.default)
    return value + 1 if value < parameter.high else value - 1


# Runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in this process that nothing ended."""
    out = tmp_path_factory.mktemp("sweeps") / "whole"
    written = run(plan_from(TEXT), out, Where(jobs=1), quiet)
    assert written.stood == 0
    return out


def test_a_run_writes_every_cell_a_summary_pictures_and_a_report_that_asks_no_network(whole: Path) -> None:
    frame = pl.read_parquet(whole / "results.parquet")
    assert frame.height == 18
    assert frame.columns[:3] == ["members", "groups", "epochs"]
    assert pl.read_csv(whole / "results.csv").equals(frame)
    summary = pl.read_csv(whole / "summary.csv")
    assert summary.height == 6
    medians = frame.group_by("fails", "beta", maintain_order=True).agg(pl.col("last").median())["last"]
    assert summary["last_median"].to_list() == pytest.approx(medians.to_list())
    for measure in EXPERIMENTS["agents"].measures:
        ET.parse(whole / f"{measure.name}.svg")
    report = (whole / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in report
    assert "<script" not in report


def test_a_run_that_was_ended_goes_on_with_what_is_missing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BUNDLE_MS_MIN", 0.0)
    told: list[int] = []

    def ends(_doing: str, done: int, _total: int) -> None:
        told.append(done)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan_from(TEXT), tmp_path / "out", Where(jobs=1), ends)
    journal = tmp_path / "out" / JOURNAL
    kept = journal.read_bytes()
    journal.write_bytes(kept + b"[17, 0.5, 0.")  # as if power had failed
    written = run(plan_from(SAME), tmp_path / "out", Where(jobs=1), quiet)
    assert 0 < written.stood < 18
    assert journal.read_bytes().startswith(kept)
    again = run(plan_from(TEXT), tmp_path / "out", Where(jobs=1), quiet)
    assert again.stood == 18
    assert bytes_of(tmp_path / "out") == bytes_of(whole)


def test_processes_give_the_same_bytes(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BUNDLE_MS_MIN", 0.0)
    run(plan_from(TEXT), tmp_path / "out", Where(jobs=2), quiet)
    assert bytes_of(tmp_path / "out") == bytes_of(whole)


def test_a_dask_cluster_of_two_workers_gives_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BUNDLE_MS_MIN", 0.0)
    run(plan_from(TEXT), tmp_path / "out", Where(Backend.DASK, jobs=2), quiet)
    assert bytes_of(tmp_path / "out") == bytes_of(whole)


def test_a_dask_cluster_that_every_worker_left_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GONE_S", 0.5)
    monkeypatch.setattr(running, "LOOK_S", 0.1)
    told: list[Refused] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=running.LOOPBACK_ANY) as cluster:
        where = Where(Backend.DASK, address=cluster.scheduler_address)

        def plays() -> None:
            try:
                with on(where) as workers:
                    for _ in results([delayed(time.sleep)(lasts) for lasts in (0, 60, 60, 60)], where, workers):
                        cluster.scale(0)
            except Refused as refused:
                told.append(refused)

        playing = threading.Thread(target=plays, daemon=True)  # it would wait for ever, were the cluster not given up
        playing.start()
        playing.join(120)
        (refused,) = list(told)
    assert (refused.code, refused.value) == ("backend_failed", "dask: its workers are gone, or its scheduler")


def test_ray_gives_the_same_bytes_where_it_is_installed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(running, "BUNDLE_MS_MIN", 0.0)
    run(plan_from(TEXT), tmp_path / "out", Where(Backend.RAY, jobs=2), quiet)
    assert bytes_of(tmp_path / "out") == bytes_of(whole)


def test_a_changed_file_and_another_code_are_told_and_change_nothing(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_of(whole)
    with pytest.raises(Refused, match="sweep_changed"):
        run(plan_from(TEXT.replace("seeds = 3", "seeds = 4")), whole, Where(jobs=1), quiet)
    monkeypatch.setattr(store, "code_digest", lambda: "another")
    with pytest.raises(Refused, match="another version"):
        run(plan_from(TEXT), whole, Where(jobs=1), quiet)
    assert bytes_of(whole) == before


@pytest.mark.parametrize(
    "line", [b"[99, 0.0, 0.0, 0.0, 0.0]", b"[3, 0.0]", b"[3, 0, 0, 0, 0]", b"[3, NaN, 0.0, 0.0, 0.0]", b"no"]
)
def test_a_journal_with_a_wrong_line_is_told_with_its_line(tmp_path: Path, line: bytes) -> None:
    plan = plan_from(TEXT)
    with Journal(tmp_path / JOURNAL, plan) as journal:
        journal.add([(0, [0.0, 0.0, 0.0, 0.0])])
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(Refused, match="line 3"):
        Journal(tmp_path / JOURNAL, plan)


@pytest.mark.parametrize("text", ["mine", "mine\n", json.dumps({"format": 2}) + "\n"])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match="file_unreadable"):
        run(plan_from(TEXT), tmp_path, Where(jobs=1), quiet)
    assert (tmp_path / JOURNAL).read_text(encoding="utf-8") == text


def test_two_runs_cannot_be_at_one_folder(tmp_path: Path) -> None:
    plan = plan_from(TEXT)
    with Journal(tmp_path / JOURNAL, plan), pytest.raises(Refused, match="folder_in_use"):
        Journal(tmp_path / JOURNAL, plan)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(Refused, match="folder_exists"):
        run(plan_from(TEXT), tmp_path, Where(jobs=1), quiet)
    with pytest.raises(Refused, match="not a folder"):
        run(plan_from(TEXT), tmp_path / "notes.txt", Where(jobs=1), quiet)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("backend", "module"), [(Backend.DASK, "distributed"), (Backend.RAY, "ray")])
def test_a_backend_that_is_not_installed_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Refused, match=rf"backend_missing.*pip install 'wattquorum\[{backend}\]'"):
        run(plan_from(TEXT), tmp_path / "out", Where(backend), quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_does_not_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE_S", 1)
    for address in ("tcp://127.0.0.1:9", "nowhere"):
        with pytest.raises(Refused, match="backend_failed"):
            run(plan_from(TEXT), tmp_path / "out", Where(Backend.DASK, address=address), quiet)
    with pytest.raises(Refused, match="--address"):
        run(plan_from(TEXT), tmp_path / "out", Where(address="tcp://127.0.0.1:9"), quiet)


def test_cells_of_a_worker_with_other_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "played", lambda number, *_: running.Played(number, "another", []))
    with pytest.raises(Refused, match="other code"):
        run(plan_from(TEXT), tmp_path / "out", Where(jobs=1), quiet)


# Telling


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_lies_among_its_values(values: list[float], share: float) -> None:
    found = quantile(sorted(values), share)
    assert min(values) <= found <= max(values)
    assert quantile(sorted(values), 0) == min(values)
    assert quantile(sorted(values), 1) == max(values)


def test_what_was_not_measured_is_left_out_of_bands() -> None:
    assert band([None, 1, None, 3]) == (1.1, 2.0, 2.9, 2)
    assert band([None]) == (None, None, None, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0, 0.1))
def test_every_value_has_a_place_on_its_scale(values: list[float], margin: float) -> None:
    scale = scale_of(values, margin=margin)
    assert scale.low <= min(values)
    assert max(values) <= scale.high
    assert 2 <= len(scale.ticks) <= 25


@pytest.mark.parametrize("parameters", ["", "members = 100", "members = [100, 200]", 'way = ["B-3", "snake"]'])
def test_a_page_is_drawn_along_numbers_words_or_nothing(parameters: str) -> None:
    plan = plan_from(f'experiment = "groups"\nseeds = 2\n[parameters]\n{parameters}')
    results = Results(plan, {cell.number: [cell.number / 10, 1.0, None] for cell in plan.cells()})
    assert page(results).count("<svg") == 2


# The command


def command(*words: str) -> str:
    told = CliRunner().invoke(app, ["lab", *words], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


def test_the_command_says_what_it_wrote_and_what_stood(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(TEXT, encoding="utf-8")
    told = command("sweep", str(tmp_path / "agents.toml"), "--out", str(whole), "--jobs", "1")
    assert "18 cells of agents, 18 of them from before" in told
    with pytest.raises(Refused, match="--jobs"):
        command("sweep", str(tmp_path / "agents.toml"), "--out", str(whole), "--jobs", "0")


def test_experiments_are_listed_with_what_they_take_and_measure() -> None:
    assert all(name in command("experiments") for name in EXPERIMENTS)
    experiment = EXPERIMENTS["agents"]
    told = command("experiments", experiment.name)
    assert all(f"{each.what}: {each.admits}" in told for each in experiment.parameters)
    assert all(each.what in told for each in experiment.measures)
    with pytest.raises(Refused, match="experiment_unknown"):
        command("experiments", "alchemy")


def test_the_documentation_lists_every_experiment_and_its_file_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", text, re.MULTILINE)
    assert listed == [(each.name, each.what) for each in EXPERIMENTS.values()]
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert plan_from(example).size == 3 * 9 * 5 * 20


def test_a_run_that_ends_in_the_middle_leaves_no_warning_of_its_tools(recwarn: pytest.WarningsRecorder) -> None:
    with on(Where(jobs=2)) as workers:
        for _ in results([delayed(abs)(place) for place in range(200)], Where(jobs=2), workers):
            break
    assert [str(each.message) for each in recwarn.list] == []
