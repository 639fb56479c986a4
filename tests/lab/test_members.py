import copy
from pathlib import Path

import pytest

from wattquorum.foundation.intervals import QUARTER_HOUR
from wattquorum.lab.members import Member, MemberMeter, RecurringRule, energy_limits, read_members
from wattquorum.records.file_faults import FileFaults

PROSUMER = """
[[member]]
name = "farm"
owner = "farm.coop"
strategy = "history"
options = { days = 6, floor = 0.5, weekdays = ["mon", "tue"], cautious = true }

[[member.meters]]
meter_id = "farm-out"
direction = "injection"
feeder = "feeder-1"
limit = "2.5 MW"
technology = "wind"

[[member.meters]]
meter_id = "farm-in"
direction = "withdrawal"
feeder = "feeder-1"
limit = "160 kW"
technology = "farm"
power_factor = 0.930012

[member.recurring]
share_of_forecast = 0.8
price_min = "0.42 CNY/kWh"
price_max = "650 CNY/MWh"
partners = ["mill"]
"""
MILL = """
[[member]]
name = "mill"
[[member.meters]]
meter_id = "mill"
direction = "withdrawal"
feeder = "feeder-2"
limit = "1 MW"
technology = "mv-customer"
power_factor = 1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "members.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(FileFaults) as raised:
        read_members(path)
    assert {fault.row for fault in raised.value.faults} == {None}
    return [(fault.code, fault.field) for fault in raised.value.faults]


def invalid(folder: Path, old: str, new: str) -> list[str]:
    text = PROSUMER + MILL
    assert old in text
    found = faults(written(folder, text.replace(old, new, 1)))
    assert {code for code, _ in found} == {"member_invalid"}
    return [field for _, field in found]


def test_a_members_file_is_read_whole(tmp_path: Path) -> None:
    farm, mill = read_members(written(tmp_path, PROSUMER + MILL))
    assert farm == Member(
        name="farm",
        owner="farm.coop",
        meters=(
            MemberMeter("farm-out", "injection", "feeder-1", 2_500_000, "wind", 1_000_000),  # type: ignore[arg-type]
            MemberMeter("farm-in", "withdrawal", "feeder-1", 160_000, "farm", 930_012),  # type: ignore[arg-type]
        ),
        strategy="history",
        options=(("days", 6), ("floor", 0.5), ("weekdays", ("mon", "tue")), ("cautious", True)),
        recurring=RecurringRule(800_000, 420_000, 650_000, ("mill",)),  # type: ignore[arg-type]
    )
    assert (mill.owner, mill.strategy, mill.options, mill.recurring) == ("mill", "quantile", (), None)
    assert farm.meter("withdrawal") == farm.meters[1]
    assert mill.meter("injection") is None


def test_a_recurring_rule_without_limits_or_partners_takes_any_price_from_anybody(tmp_path: Path) -> None:
    (mill,) = read_members(written(tmp_path, MILL + "[member.recurring]\nshare_of_forecast = 1\n"))
    assert mill.recurring == RecurringRule(1_000_000, None, None, ())  # type: ignore[arg-type]


def test_a_connection_carries_its_limit_for_the_length_of_an_interval(tmp_path: Path) -> None:
    members = read_members(written(tmp_path, PROSUMER + MILL))
    assert energy_limits(members, QUARTER_HOUR) == {"farm-out": 625_000, "farm-in": 40_000, "mill": 250_000}


def test_members_are_frozen_and_can_be_copied(tmp_path: Path) -> None:
    members = read_members(written(tmp_path, PROSUMER + MILL))
    assert len({*members}) == 2
    assert copy.deepcopy(members) == members


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ('name = "farm"', 'nam = "farm"', ["member[1].nam", "member[1].name"]),
        ('name = "farm"', 'name = "Farm & Sons"', ["member[1].name"]),
        ('name = "farm"', f'name = "{"x" * 65}"', ["member[1].name"]),
        ('name = "farm"', "name = 7", ["member[1].name"]),
        ('name = "mill"', 'name = "farm"', ["member[2].name", "member[1].recurring.partners[1]"]),
        ('owner = "farm.coop"', 'owner = ""', ["member[1].owner"]),
        ('owner = "farm.coop"', 'owner = "mill"', ["member[1].recurring.partners[1]"]),
        ('strategy = "history"', "strategy = 1", ["member[1].strategy"]),
        ("days = 6", "days = { a = 1 }", ["member[1].options.days"]),
        ('weekdays = ["mon", "tue"]', "weekdays = [2016-06-13]", ["member[1].options.weekdays"]),
        ("options = {", "option = {", ["member[1].option"]),
        ('meter_id = "mill"', 'meter_id = "farm-in"', ["member[2].meters[1].meter_id"]),
        ('direction = "injection"', 'direction = "out"', ["member[1].meters[1].direction"]),
        ('direction = "injection"', 'direction = "withdrawal"', ["member[1].meters"]),
        ('feeder = "feeder-1"', 'feeder = "one two"', ["member[1].meters[1].feeder"]),
        ('limit = "2.5 MW"', "limit = 2.5", ["member[1].meters[1].limit"]),
        ('limit = "2.5 MW"', 'limit = "2.5 MWh"', ["member[1].meters[1].limit"]),
        ('limit = "2.5 MW"', 'limit = "0 MW"', ["member[1].meters[1].limit"]),
        ('limit = "2.5 MW"', 'limit = "5 GW"', ["member[1].meters[1].limit"]),
        ('limit = "2.5 MW"', "", ["member[1].meters[1].limit"]),
        ('technology = "wind"', "", ["member[1].meters[1].technology"]),
        ("power_factor = 0.930012", "power_factor = 0.9300125", ["member[1].meters[2].power_factor"]),
        ("power_factor = 0.930012", "power_factor = 1.1", ["member[1].meters[2].power_factor"]),
        ("power_factor = 0.930012", "power_factor = nan", ["member[1].meters[2].power_factor"]),
        ("power_factor = 0.930012", "power_factor = true", ["member[1].meters[2].power_factor"]),
        ("share_of_forecast = 0.8", "share_of_forecast = 0", ["member[1].recurring.share_of_forecast"]),
        ("share_of_forecast = 0.8", "", ["member[1].recurring.share_of_forecast"]),
        ('"0.42 CNY/kWh"', '"0.42 EUR/kWh"', ["member[1].recurring.price_min"]),
        ('"0.42 CNY/kWh"', '"0.66 CNY/kWh"', ["member[1].recurring.price_min"]),
        ('"650 CNY/MWh"', "0.65", ["member[1].recurring.price_max"]),
        ('partners = ["mill"]', 'partners = "mill"', ["member[1].recurring.partners"]),
        ('partners = ["mill"]', 'partners = ["mill", "moon"]', ["member[1].recurring.partners[2]"]),
        ("[member.recurring]\nshare_of_forecast = 0.8", "[member.recurrent]\nshare_of_forecast = 0.8", None),
    ],
)
def test_each_fault_is_told_with_the_path_of_its_field(
    tmp_path: Path, old: str, new: str, fields: list[str] | None
) -> None:
    assert invalid(tmp_path, old, new) == (fields or ["member[1].recurrent"])


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = (PROSUMER + MILL).replace("2.5 MW", "much").replace('"injection"', '"up"').replace('"1 MW"', '"-1 MW"')
    assert faults(written(tmp_path, text)) == [
        ("member_invalid", "member[1].meters[1].direction"),
        ("member_invalid", "member[1].meters[1].limit"),
        ("member_invalid", "member[2].meters[1].limit"),
    ]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "member"),
        ("member = 3", "member"),
        ("member = [1]", "member"),
        ('[[members]]\nname = "a"', "members"),
        ('[[member]]\nname = "a"', "member[1].meters"),
        ('[[member]]\nname = "a"\nmeters = []', "member[1].meters"),
        (MILL + "options = 3", "member[1].meters[1].options"),
        (MILL.replace('name = "mill"', 'name = "mill"\noptions = 3\nrecurring = 4'), "member[1].options"),
        (MILL.replace('name = "mill"', 'name = "mill"\nrecurring = 4'), "member[1].recurring"),
    ],
)
def test_the_shape_of_the_file_is_checked(tmp_path: Path, text: str, field: str) -> None:
    assert ("member_invalid", field) in faults(written(tmp_path, text))


@pytest.mark.parametrize("content", [b"[[member]", b"name = 'Z\xe4hler'", b"a = 1\na = 2"])
def test_what_is_not_toml_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "members.toml"
    path.write_bytes(content)
    assert faults(path) == [("file_unreadable", "file")]
    assert faults(tmp_path / "none.toml") == [("file_unreadable", "file")]
