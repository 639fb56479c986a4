"""Tables are described, annotated and exported as they are declared."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import BigInteger, String

from tests.records.market import eventful, record
from wattquorum.foundation.refusals import Refused
from wattquorum.records.annotations import GridBranch, GridInfo, GridNode, MemberInfo, annotate
from wattquorum.records.columns import unit_of
from wattquorum.records.database import opened, sorted_rows
from wattquorum.records.description import described
from wattquorum.records.parquet import all_tables, export_parquet
from wattquorum.records.tables import grid_branches, grid_meters, grid_nodes, members_info, run_info

DOCS = Path(__file__).parents[2] / "docs" / "records.md"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(eventful(), tmp_path_factory.mktemp("tables") / "market.sqlite")


def test_the_page_has_every_table_column_and_unit() -> None:
    assert DOCS.read_text(encoding="utf-8").endswith(described()), "run scripts/describe_records.py"


@pytest.mark.parametrize("table", all_tables(), ids=lambda table: table.name)
def test_columns_say_what_they_are_and_hold_integers_or_words(table) -> None:  # type: ignore[no-untyped-def]
    assert table.comment
    for column in table.columns:
        assert column.comment
        assert isinstance(column.type, BigInteger | String)
        if isinstance(column.type, String):
            assert unit_of(column.name) == ""


def test_a_unit_is_told_by_the_end_of_the_name() -> None:
    assert unit_of("price_millionths_per_kwh") == "millionths of the currency per kWh"
    assert unit_of("credit_now_points_millionths") == "millionths of a point"
    assert unit_of("limit_w") == "W"
    assert unit_of("energy_wh") == "Wh"
    assert unit_of("round") == ""


def test_parquet_holds_the_same_rows(records: Path, tmp_path: Path) -> None:
    written = export_parquet(records, tmp_path / "parquet")
    assert [path.stem for path in written] == [table.name for table in all_tables()]
    with opened(records) as engine:
        for table, path in zip(all_tables(), written, strict=True):
            assert pl.read_parquet(path).rows() == [tuple(row) for row in sorted_rows(engine, table)]


def test_equal_chains_give_equal_files(records: Path, tmp_path: Path) -> None:
    again = record(eventful(), tmp_path / "again.sqlite")
    one, other = export_parquet(records, tmp_path / "one"), export_parquet(again, tmp_path / "other")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_a_folder_that_cannot_be_made_is_refused(records: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(Refused) as refused:
        export_parquet(records, tmp_path / "taken")
    assert refused.value.code == "file_unreadable"


def test_annotations_replace_those_before(tmp_path: Path) -> None:
    place = record(eventful(), tmp_path / "market.sqlite")
    old = GridInfo("aa", [GridNode("n", "f", 1, 2)] * 2, [GridBranch("b", "line", 0, 1)], {"meter": 1})
    new = GridInfo("bb", [GridNode("m", "f", None, None)], [], {})
    annotate(place, {"title": "old", "seed": "1"}, [MemberInfo("aa", "wind", "naive", "history")], old)
    with opened(place) as engine:
        assert [tuple(row) for row in sorted_rows(engine, grid_nodes)] == [
            ("aa", 0, "n", "f", 1, 2),
            ("aa", 1, "n", "f", 1, 2),
        ]
        assert [tuple(row) for row in sorted_rows(engine, grid_branches)] == [("aa", 0, "b", "line", 0, 1)]
        assert [tuple(row) for row in sorted_rows(engine, grid_meters)] == [("aa", "meter", 1)]
    annotate(place, {"title": "new"}, [MemberInfo("bb", "pv", "quantile", "weather")], new)
    with opened(place) as engine:
        assert [tuple(row) for row in sorted_rows(engine, grid_nodes)] == [("bb", 0, "m", "f", None, None)]
        assert sorted_rows(engine, grid_branches) == sorted_rows(engine, grid_meters) == []
        assert [tuple(row) for row in sorted_rows(engine, run_info)] == [("title", "new")]
        assert [tuple(row) for row in sorted_rows(engine, members_info)] == [("bb", "pv", "quantile", "weather")]


def test_annotations_need_records(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        annotate(tmp_path / "missing.sqlite", {}, [])
    assert refused.value.code == "file_unreadable"
