"""The report is one file, made from the records alone, and says only what they say."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.ledger.flow_reports import GRID
from tests.ledger.world import World
from tests.records.market import MEMBERS, STATEMENT, eventful, record
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.report import write_report
from wattquorum.lab.report.details import details
from wattquorum.lab.report.grid import (
    BEYOND_EVERYWHERE,
    BEYOND_METERED,
    BEYOND_NONE,
    BEYOND_PLANNED,
    beyond_limits,
    grid,
)
from wattquorum.lab.report.strategies import groups, sums_of_members
from wattquorum.lab.report.week import Week
from wattquorum.lab.tables import print_tables
from wattquorum.ledger.accounts import Side
from wattquorum.records.annotations import GridBranch, GridInfo, GridNode, MemberInfo, annotate
from wattquorum.records.database import opened

NOTES = {
    "title": "Two days & a <market>",
    "time_zone": "Europe/Berlin",
    "data": "Readings are made up for a test.",
    "forecast": "There are no forecasts.",
    "tariff": "Tariffs are round numbers.",
    "seed": "none",
    "grid_voltage_low_ppm": "965000",
    "grid_voltage_high_ppm": "1055000",
    "grid_loading_ppm": "400000",
}
GRID_INFO = GridInfo(
    GRID.hex(),
    [
        GridNode("node 1", "f1", 11_400_000, 53_640_000),
        GridNode("node 4", "f1", 11_410_000, 53_650_000),
        GridNode("node 9", "f2", 11_390_000, 53_630_000),
    ],
    [GridBranch("line 6", "line", 0, 1), GridBranch("line 7", "line", 0, 2), GridBranch("T1", "transformer", 0, 0)],
    {"mill-sell": 1, "dam-sell": 1, "bakery-buy": 2, "a meter of nobody": 0},
)


def annotated(place: Path) -> Path:
    world = eventful()
    technologies = {"mill": "hydro", "farm": "pv", "dam": "hydro", "yard": "biomass"}
    infos = [
        MemberInfo(
            world.address(name).hex(),
            technologies.get(name, "village"),
            "cautious" if name in ("mill", "bakery") else "bold",
            "",
        )
        for name in MEMBERS
    ]
    annotate(record(world, place), NOTES, infos, GRID_INFO)
    return place


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotated(tmp_path_factory.mktemp("report") / "market.sqlite")


@pytest.fixture(scope="module")
def page(records: Path) -> str:
    path = records.parent / "report.html"
    write_report(records, path)
    return path.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element with its attributes, and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._hidden = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(data)

    def of(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.found if name == tag)


def embedded(page: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]+" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return found[1]


def test_the_page_loads_nothing(page: str) -> None:
    elements = Elements(page)
    for _, attributes in elements.found:
        assert not {"src", "srcset", "action", "formaction", "data", "poster", "background"} & set(attributes)
    assert {link["href"] for link in elements.of("a")} <= {
        f"#{attributes['id']}" for attributes in elements.of("section")
    }
    assert "link" not in {tag for tag, _ in elements.found}
    (policy,) = (meta["content"] for meta in elements.of("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_page_is_small_enough_to_send(page: str) -> None:
    assert len(page.encode()) < 8_000_000


def test_the_page_can_be_read_without_seeing_it(page: str) -> None:
    elements = Elements(page)
    assert next(elements.of("html"))["lang"] == "en"
    for attributes in elements.of("div"):
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    captions = sum(tag == "caption" for tag, _ in elements.found)
    assert captions == sum(tag == "table" for tag, _ in elements.found) > 10
    assert all(heading.get("scope") == "col" for heading in elements.of("th"))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_members_write_stays_text(page: str) -> None:
    elements = Elements(page)
    assert STATEMENT in "".join(elements.texts)
    assert STATEMENT not in page
    assert "<title>Two days &amp; a &lt;market&gt;" in page


def test_the_notes_say_what_is_measured_and_what_modelled(page: str) -> None:
    text = "".join(Elements(page).texts)
    for name in ("data", "forecast", "tariff"):
        assert NOTES[name] in text
    assert "demo chain" in text


def test_the_chain_is_named(page: str) -> None:
    text = "".join(Elements(page).texts)
    ledger = eventful().ledger
    assert ledger.chain_id.hex() in text
    assert ledger.digest.hex() in text
    assert f"{ledger.height} with" in text


def test_equal_records_give_equal_pages(records: Path, page: str, tmp_path: Path) -> None:
    again = annotated(tmp_path / "again.sqlite")
    write_report(again, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_every_transfer_is_on_the_page(page: str) -> None:
    data: dict[str, Any] = json.loads(embedded(page, "report-data"))
    rows = data["bills"]["transfers"]["rows"]
    balances = dict.fromkeys(range(len(data["week"]["names"])), 0)
    for _, payer, payee, amount, *_ in rows:
        balances[payer] -= amount
        balances[payee] += amount
    names = data["week"]["names"]
    for name in MEMBERS:
        account = eventful().account(name)
        assert balances[names.index(name)] == account.balance + account.locked


def test_details_hold_every_interval_and_reading(records: Path, page: str) -> None:
    packed = embedded(page, "report-details")
    found = json.loads(gzip.decompress(base64.b64decode(packed)))
    with opened(records) as engine:
        week = Week(engine)
        assert details(week) == packed
    mill = week.meter_number["mill-sell"]
    assert found["readings"][f"0:{mill}:2"][0] == [900, 900, 900, 1_000, 800, 900, 900, 901]
    assert found["readings"][f"0:{week.meter_number['farm-sell']}:1"][1] == [0, 1, 0, 0, 0, 0, 0, 0]
    traded = [sum(columns[4]) for key, columns in found["intervals"].items() if key.endswith(":1")]
    assert sum(traded) > 0


def test_a_page_that_would_grow_too_large_leaves_details_out(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(records) as engine:
        week = Week(engine)
        size = len(details(week))
        monkeypatch.setattr("wattquorum.lab.report.details.DETAILS_CHARACTERS_MAX", size - 1)
        assert details(week) == ""


def test_energy_flows_close(page: str) -> None:
    data = json.loads(embedded(page, "report-data"))
    traded = {0: 0, 1: 0}
    for _, _, side, metered, matched, on_contracts, beyond in data["energy"]["flows"]:
        assert metered == matched + on_contracts + beyond
        traded[side] += matched
    assert traded[0] == traded[1] > 0


def test_the_grid_shows_flows_in_force_and_what_was_curtailed_with_the_reason(page: str) -> None:
    drawn = json.loads(embedded(page, "report-data"))["grid"]
    assert [(flow["day"], flow["kind"], flow["losses"], flow["where"]) for flow in drawn["flows"]] == [
        (0, 0, 402, "line 7"),
        (0, 1, 400, "line 7"),
    ]
    assert drawn["flows"][0]["branches"] == [100_000, 500_000, 0]
    assert drawn["limits"] == [965_000, 1_055_000, 400_000]
    assert [node[2:4] for node in drawn["nodes"]] == [["node 1", "f1"], ["node 4", "f1"], ["node 9", "f2"]]
    assert [len(node[4]) for node in drawn["nodes"]] == [0, 2, 1]
    text = " ".join(Elements(page).texts)
    assert "transformer T2 near its limit" in text
    assert "0.9900" in text


def test_limits_that_stay_broken_are_counted_with_the_worst_by_kind_of_flow(page: str) -> None:
    text = " ".join(Elements(page).texts)
    worst = "loading 40.00 % 4 of 8 50.00 % Mon 13 Jun 00:15, line 7"
    assert f"planned {worst}" in " ".join(text.split())
    assert f"metered {worst}" in " ".join(text.split())
    assert BEYOND_PLANNED in text
    assert BEYOND_METERED in text
    assert BEYOND_EVERYWHERE not in text


@pytest.mark.parametrize(
    ("low", "high", "rows", "says"),
    [
        # Values are told in steps of 100: 1,049,960 is told as 1,050,000, and what keeps it may be told as that too.
        ("965000", "1049960", 0, BEYOND_NONE),
        ("965000", "1049940", 2, BEYOND_PLANNED),
        ("990000", "1055000", 0, BEYOND_NONE),
        ("990100", "1055000", 2, BEYOND_PLANNED),
        ("1030000", "1055000", 2, BEYOND_EVERYWHERE),
    ],
)
def test_a_limit_is_compared_as_it_is_told(tmp_path: Path, low: str, high: str, rows: int, says: str) -> None:
    place = record(eventful(), tmp_path / "market.sqlite")
    limits = {"grid_voltage_low_ppm": low, "grid_voltage_high_ppm": high, "grid_loading_ppm": "1000000"}
    annotate(place, {**NOTES, **limits}, [], GRID_INFO)
    with opened(place) as engine:
        found = beyond_limits(Week(engine))
    assert found is not None
    assert len(found.rows) == rows
    assert found.says[0] == says


def test_without_a_map_or_without_a_flow_the_grid_section_says_so(tmp_path: Path) -> None:
    place = record(eventful(), tmp_path / "market.sqlite")  # no annotations: as rebuilt from a chain
    with opened(place) as engine:
        section = grid(Week(engine))
    assert section.data["nodes"] == section.data["limits"] == []
    assert len(section.data["flows"]) == 2
    with opened(record(World(), tmp_path / "empty.sqlite")) as engine:
        section = grid(Week(engine))
    assert "No power flow of any day was reported." in section.body
    assert ">none<" in section.body
    assert section.data == {}


def test_groups_add_up_to_their_members(records: Path) -> None:
    with opened(records) as engine:
        week = Week(engine)
        found, of_members = groups(week), sums_of_members(week)
    assert sum(group.members for group in found) == len(MEMBERS)
    for place in range(8):
        assert sum(group.sums[place] for group in found) == sum(sums[place] for sums in of_members.values())
    assert {(group.technology, group.strategy) for group in found} == {
        ("hydro", "cautious"),
        ("hydro", "bold"),
        ("pv", "bold"),
        ("biomass", "bold"),
        ("village", "cautious"),
        ("village", "bold"),
    }


def test_generators_come_first_and_names_are_in_counting_order(tmp_path: Path) -> None:
    world = World()
    for name in ("mill-10", "mill-2", "bakery", "mill-1"):
        world.member(name, Side.BUY if name == "bakery" else Side.SELL, money=0)
    with opened(record(world, tmp_path / "market.sqlite")) as engine:
        assert [member.name for member in Week(engine).members] == ["mill-1", "mill-2", "mill-10", "bakery"]


def test_a_chain_without_days_has_a_report_too(tmp_path: Path) -> None:
    place = record(World(), tmp_path / "market.sqlite")
    write_report(place, tmp_path / "report.html")
    text = "".join(Elements((tmp_path / "report.html").read_text(encoding="utf-8")).texts)
    assert "no delivery day yet" in text
    assert "These records carry no annotations" in text


def test_an_unsettled_day_has_a_report_too(tmp_path: Path) -> None:
    world = World()
    world.member("mill", Side.SELL)
    world.member("bakery", Side.BUY)
    world.publish()
    world.contract("mill", "bakery", [10, 20, 30, 40])
    write_report(record(world, tmp_path / "market.sqlite"), tmp_path / "report.html")
    assert "nothing was metered" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_more_technologies_than_colours_share_them(tmp_path: Path) -> None:
    world = World()
    for i in range(12):
        world.member(f"m{i}", Side.SELL, money=0)
    place = record(world, tmp_path / "market.sqlite")
    annotate(place, {}, [MemberInfo(world.address(f"m{i}").hex(), f"kind-{i}", "", "") for i in range(12)])
    with opened(place) as engine:
        slots = Week(engine).colours()
    assert len(slots) == 12
    assert set(slots.values()) == set(range(1, 9))


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    place = record(World(), tmp_path / "market.sqlite")
    annotate(place, {"time_zone": "Europe/Atlantis"}, [])
    with pytest.raises(Refused) as refused:
        write_report(place, tmp_path / "report.html")
    assert refused.value.field == "time_zone"


def test_no_records_no_report(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        write_report(tmp_path / "missing.sqlite", tmp_path / "report.html")
    assert refused.value.code == "file_unreadable"


def test_a_report_that_cannot_be_written_is_refused(records: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        write_report(records, tmp_path)
    assert refused.value.code == "file_unreadable"


def test_a_disk_without_room_is_called_by_its_name(records: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(Refused) as refused:
        write_report(records, full)
    assert refused.value.code == "disk_full"


def test_the_terminal_gets_tables_that_fit(records: Path) -> None:
    console = Console(width=80, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as captured:
        print_tables(records, console)
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert "Two days & a <market>, money in CNY" in lines[0]
    assert any(line.startswith("mill ") for line in lines)
    closing = [line for line in lines if line.startswith(("paid or owed", "all ", "settled ", "the cashier"))]
    assert len(closing) == 16
    assert all(line.rstrip().endswith("yes") for line in closing)


def test_the_terminal_says_when_there_is_nothing(tmp_path: Path) -> None:
    console = Console(width=80)
    with console.capture() as captured:
        print_tables(record(World(), tmp_path / "market.sqlite"), console)
    assert "none" in captured.get()
