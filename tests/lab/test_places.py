"""Where a week's results go: a later run replaces what an earlier one wrote, and a name alone makes no file a run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.outcome import LIST
from wattquorum.lab.places import begin, clear, finish, rewritten


def week(out: Path) -> None:
    """What a run leaves, without its chain."""
    clear(out)
    begin(out)
    (out / "market.sqlite").write_bytes(b"tables")
    (out / "parquet").mkdir()
    (out / "parquet" / "accounts.parquet").write_bytes(b"accounts")
    (out / "report.html").write_text("a week", encoding="utf-8")
    finish(out)


def refused(out: Path) -> Path:
    """The file that a folder is refused for; all of them stay."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(Refused, match="folder_exists") as told:
        clear(out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    return Path(str(told.value.value))


@pytest.mark.parametrize("name", ["report.html", "market.sqlite", "parquet/mine.parquet", "nodes/notes.txt"])
def test_a_file_of_a_runs_name_in_a_folder_of_somebody_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    assert (tmp_path / name).is_relative_to(refused(tmp_path))


@pytest.mark.parametrize("name", ["report.html", "parquet/accounts.parquet", "parquet/mine.parquet"])
def test_a_report_or_table_that_is_not_as_the_run_wrote_it_is_kept(tmp_path: Path, name: str) -> None:
    week(tmp_path)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    assert refused(tmp_path) == tmp_path / name


def test_a_link_in_place_of_the_report_is_kept(tmp_path: Path) -> None:
    week(tmp_path)
    (tmp_path / "report.html").rename(tmp_path.parent / f"{tmp_path.name}.html")
    (tmp_path / "report.html").symlink_to(tmp_path.parent / f"{tmp_path.name}.html")
    assert refused(tmp_path) == tmp_path / "report.html"


def test_what_runs_wrote_is_replaced_also_after_queries_a_new_report_and_an_end_in_the_middle(tmp_path: Path) -> None:
    week(tmp_path)
    (tmp_path / "market.sqlite").write_bytes(b"tables with an index of somebody's")
    (tmp_path / "report.html").write_text("the week, told again", encoding="utf-8")
    rewritten(tmp_path / "report.html")
    week(tmp_path)
    begin(tmp_path)
    (tmp_path / "parquet" / "half.parquet").write_bytes(b"ha")
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LIST]


def test_a_list_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    week(tmp_path)
    (tmp_path / LIST).write_text("{", encoding="utf-8")
    assert refused(tmp_path).name in {"market.sqlite", "parquet", "report.html"}


def test_a_report_elsewhere_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("a page", encoding="utf-8")
    rewritten(tmp_path / "report.html")
    assert not (tmp_path / LIST).exists()
