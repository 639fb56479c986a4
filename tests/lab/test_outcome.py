"""Outcomes: a run replaces what an earlier one wrote and nothing of anybody else's, alone, and whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from wattquorum.cli.app import app
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.drawing import Panel, Picture, even_scale
from wattquorum.lab.outcome import COMING, LIST, outcome
from wattquorum.lab.parts import Part, as_html

SWEEP = """
experiment = "agents"
seeds = 80
[parameters]
members = 60
epochs = 40
"""
PATIENCE_S = 60


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def texts(folder: Path) -> dict[str, str]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text(encoding="utf-8") for name, path in found.items() if name != LIST}


def nothing() -> None:
    """Nothing happens meanwhile."""


def interrupted() -> None:
    raise KeyboardInterrupt


def put(out: Path, files: dict[str, str], meanwhile: Callable[[], None] = nothing) -> None:
    with outcome(out) as coming:
        write(coming, files)
        meanwhile()


def test_what_an_earlier_run_wrote_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    put(out, {"report.html": "1", "tables/a.csv": "1", "figures/b.svg": "1"})
    put(out, {"report.html": "2", "tables/c.csv": "2"})
    assert texts(out) == {"report.html": "2", "tables/c.csv": "2"}
    assert sorted(each.name for each in out.iterdir()) == [LIST, "report.html", "tables"]


@pytest.mark.parametrize("name", ["report.html", "lab.md", "tables/table-1.csv", "tables/mydata.csv", COMING + "/a"])
@pytest.mark.parametrize("command", ["reproduce", "beyond", "cgpbft"])
def test_no_command_takes_a_file_for_its_own_by_its_name(tmp_path: Path, command: str, name: str) -> None:
    write(tmp_path, {name: "mine"})
    with pytest.raises(Refused, match="folder_exists"):
        CliRunner().invoke(app, ["lab", command, "--seeds", "1", "--out", str(tmp_path)], catch_exceptions=False)
    assert texts(tmp_path) == {name: "mine"}


@pytest.mark.parametrize("name", ["report.html", "tables/a.csv", "tables/mine.csv", "mine/a.csv"])
def test_what_is_somebodys_own_among_results_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    put(tmp_path, {"report.html": "1", "tables/a.csv": "1"})
    write(tmp_path, {name: "mine"})
    before = texts(tmp_path)
    with pytest.raises(Refused, match="folder_exists"):
        put(tmp_path, {"report.html": "2"})
    assert texts(tmp_path) == before


def test_what_comes_in_while_a_run_is_on_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="folder_exists"):
        put(tmp_path / "out", {"report.html": "1"}, lambda: write(tmp_path / "out", {"report.html": "mine"}))
    assert texts(tmp_path / "out") == {"report.html": "mine"}


def test_links_and_folders_of_others_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "out", {"a": "1"})
    (tmp_path / "own").write_text("1", encoding="utf-8")
    (tmp_path / "out" / "a").unlink()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "own")
    with pytest.raises(Refused, match="folder_exists"):
        put(tmp_path / "out", {"a": "2"})
    (tmp_path / "out" / "a").unlink()
    (tmp_path / "out" / "a").mkdir()
    with pytest.raises(Refused, match="folder_exists"):
        put(tmp_path / "out", {"a": "2"})
    assert (tmp_path / "own").read_text(encoding="utf-8") == "1"


def test_one_run_at_a_time_has_a_folder(tmp_path: Path) -> None:
    with outcome(tmp_path / "out") as coming:
        write(coming, {"a": "1"})
        with pytest.raises(Refused, match="folder_in_use"):
            put(tmp_path / "out", {"a": "2"})
    assert texts(tmp_path / "out") == {"a": "1"}


def test_a_run_that_fails_leaves_the_earlier_one_or_nothing(tmp_path: Path) -> None:
    put(tmp_path / "out", {"a": "1", "b": "1"})
    for out in (tmp_path / "out", tmp_path / "none"):
        with pytest.raises(KeyboardInterrupt):
            put(out, {"a": "2"}, interrupted)
    assert texts(tmp_path / "out") == {"a": "1", "b": "1"}
    assert not (tmp_path / "none").exists()


def test_a_run_that_was_killed_leaves_the_earlier_one_and_the_next_goes_through(tmp_path: Path) -> None:
    """Also where it was killed while its files were being moved."""
    put(tmp_path, {"a": "1", "b": "1"})
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    head = "import os, signal; from pathlib import Path; from wattquorum.lab.outcome import outcome\n"
    head += f"out = Path({str(tmp_path)!r})\n"
    body = "with outcome(out) as coming:\n (coming/'a').write_text('2'); (coming/'c').write_text('2')\n"
    moving = (
        "real=Path.replace\ndef replace(path, to):\n real(path, to)\n if to.name == 'a': "
        + kill
        + "\nPath.replace=replace\n"
    )
    for script, left in ((head + body + f" {kill}\n", "1"), (head + moving + body, "2")):
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
        assert (tmp_path / "a").read_text(encoding="utf-8") == left
        assert (tmp_path / "b").exists()
    put(tmp_path, {"d": "3"})
    assert texts(tmp_path) == {"d": "3"}


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_workers_of_a_sweep_that_was_killed_end_and_the_next_run_plays_what_is_missing(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(SWEEP, encoding="utf-8")
    command = ["lab", "sweep", str(file), "--out", str(out), "--jobs", "2"]
    code = "import sys; from wattquorum.cli.app import app; app(sys.argv[1:])"
    run = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL)
    journal = out / "cells.jsonl"
    until = time.monotonic() + PATIENCE_S
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    workers = children(run.pid)
    assert len(workers) >= 2
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    played = journal.read_bytes().count(b"\n") - 1
    assert played < 80
    until = time.monotonic() + PATIENCE_S
    while any(map(is_alive, workers)):
        assert time.monotonic() < until, "a worker goes on without anybody to work for"
        time.sleep(0.1)
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert f"80 cells of agents, {played:,} of them from before" in told.output


@pytest.mark.parametrize("command", ["reproduce", "beyond", "sweep"])
def test_help_names_what_is_to_be_installed(command: str) -> None:
    told = CliRunner().invoke(app, ["lab", command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "wattquorum[dask] or [ray]" in " ".join(told.replace("│", " ").split())


def test_help_begins_with_what_a_newcomer_should_run() -> None:
    told = CliRunner().invoke(app, ["lab", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "Begin with reproduce" in told
    places = [told.index(f"│ {name} ") for name in ("reproduce", "beyond", "experiments", "sweep", "cgpbft")]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [1280, 390])
def test_letters_of_a_row_of_panels_can_be_read_on_any_screen(page: Page, width: int) -> None:
    panels = tuple(Panel(f"Panel {place}", even_scale(0, 1, 1), even_scale(0, 1, 1), "x") for place in range(3))
    html = as_html("Wide", (), [Part("a", "A", "A", "", (Picture("wide", "three panels", panels),))], "")
    page.set_viewport_size({"width": width, "height": 900})
    page.set_content(html)
    heights = page.locator("svg.plot text").evaluate_all("all => all.map(each => each.getBoundingClientRect().height)")
    assert min(heights) >= 11
    assert page.evaluate("document.documentElement.scrollWidth") <= width
