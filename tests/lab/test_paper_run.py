"""`wattquorum lab reproduce`: the same bytes whoever shares the work, and a report with every table and figure."""

from __future__ import annotations

import csv
import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from wattquorum.cli.app import app
from wattquorum.lab.paper import agreement, study
from wattquorum.lab.paper.claims import CLAIMS

SEEDS = 2
TIMED = "scale"  # files whose names begin so hold times of this machine
LETTERS_PX = 11  # a line of words in a figure, on any screen
COMMAND = ["lab", "reproduce", "--seeds", str(SEEDS), "--largest", "1000"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "out"
    result = CliRunner().invoke(app, [*COMMAND, "--out", str(folder), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    return folder


def results(folder: Path) -> dict[str, bytes]:
    inside = [*folder.glob("tables/*"), *folder.glob("figures/*")]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in inside if not path.name.startswith(TIMED)}


@pytest.mark.parametrize("module", ["", "distributed", "ray"])
def test_files_are_the_same_to_the_byte_whoever_shares_the_work(out: Path, tmp_path: Path, module: str) -> None:
    """Two processes of this machine, or a cluster of two workers, where it is installed."""
    backend = {"": "local", "distributed": "dask", "ray": "ray"}[module]
    if module:
        pytest.importorskip(module)
    command = [*COMMAND, "--out", str(tmp_path / "other"), "--backend", backend]
    result = CliRunner().invoke(app, [*command, "--jobs", "2"])
    assert result.exit_code == 0, result.output
    assert results(tmp_path / "other") == results(out)
    again = CliRunner().invoke(app, [*command, "--jobs", "0"])
    assert again.exit_code != 0


def test_every_table_and_figure_of_the_paper_is_there(out: Path) -> None:
    names = set(results(out))
    assert {f"tables/table-{number}.csv" for number in range(1, 8)} <= names
    assert {f"figures/figure-{number:02}.{kind}" for number in range(1, 11) for kind in ("csv", "svg")} <= names
    for number in range(1, 11):
        rows = list(csv.reader((out / f"figures/figure-{number:02}.csv").read_text().splitlines()))
        assert len(rows) == 201
        assert len(set(map(len, rows))) == 1
        ET.fromstring((out / f"figures/figure-{number:02}.svg").read_text())


def test_tables_and_figures_tell_the_same(out: Path) -> None:
    """Table 5 at 200 rounds is where figure 4 ends, and figure 1 adds up to it."""
    table = list(csv.DictReader((out / "tables/table-5.csv").read_text().splitlines()))
    last = next(row for row in table if (row["seed"], row["rounds"]) == ("0", "200"))
    for figure, unit in ((1, 1_000), (4, 1_000_000)):
        rows = list(csv.DictReader((out / f"figures/figure-{figure:02}.csv").read_text().splitlines()))
        for engine in ("plain", "weighted"):
            column = [float(row[f"{engine} Raft: first seed"]) for row in rows]
            total = sum(column) if figure == 1 else column[-1]
            assert round(total * unit) == int(last[f"{engine}_us"])


def test_the_report_has_every_claim_first_and_asks_no_network(out: Path) -> None:
    html = unescape((out / "report.html").read_text(encoding="utf-8")).replace("\N{NO-BREAK SPACE}", " ")
    assert html.index('id="claims"') < html.index('id="trade"')
    for claim in CLAIMS:
        assert claim.says in html
    for number in range(1, 8):
        assert f"Table {number}" in html
    for number in range(1, 11):
        assert f"Figure {number}." in html
    assert not re.findall(r'(?:src|href)="(?!#)', html)
    assert "default-src 'none'" in html


@pytest.mark.parametrize("width", [1280, 360])
def test_the_report_fits_its_reader(out: Path, page: Page, width: int) -> None:
    """No sentence is cut off, no table hides rows, and the verdict can be seen without scrolling aside."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((out / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for frame in page.locator(".scroll").all():
        assert frame.evaluate("element => element.scrollHeight <= element.clientHeight + 1")
    least = "all => all.map(each => each.getBoundingClientRect().height)"
    assert min(page.locator("svg.plot text").evaluate_all(least)) >= LETTERS_PX
    claims = page.locator("#claims .scroll")
    assert claims.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert page.locator("#claims .tone").count() == len(CLAIMS)


def test_an_output_folder_with_anything_else_in_it_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for place in (tmp_path, tmp_path / "mine.txt"):
        assert CliRunner().invoke(app, [*COMMAND, "--out", str(place)]).exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    odd = CliRunner().invoke(app, ["lab", "reproduce", "--largest", "1001", "--out", str(tmp_path / "o")])
    assert odd.exit_code != 0


def test_every_seed_is_asked_for_once() -> None:
    seeds = study.CHUNK * 2 + 1
    asked = study.tasks(seeds)
    for kind in ("chosen", "drawn"):
        assert [s for task in asked if task.kind == kind for s in task.arguments[0]] == list(range(seeds))
    assert {task.arguments[0] for task in asked if task.kind == "variants"} == set(study.VARIANTS)
    for what in (agreement.cases, agreement.plain_elected):
        assert [task.arguments for task in asked if task.what is what] == [(seed,) for seed in range(seeds)]
