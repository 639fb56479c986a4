"""Certificates and carbon of a traded day, against the readings and positions that the records hold."""

from __future__ import annotations

import json
import re
import sqlite3
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.runs import plan, run
from wattquorum.foundation.vectors import energies
from wattquorum.green.certificates import SOURCES, WHOLE
from wattquorum.lab.green import BENCHMARK_G_PER_KWH, FREE_PART, INTENSITY_G_PER_KWH, OBLIGED
from wattquorum.lab.shipped import shipped_week
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import (
    AllowancesMoved,
    CarbonChanged,
    CarbonSettled,
    EnergyCertified,
    Fact,
    MeterAdded,
    ReadingTaken,
)
from wattquorum.ledger.readings import Quality


@pytest.fixture
def day(traded: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{traded / 'out' / 'week' / 'market.sqlite'}?mode=ro", uri=True)


def asked(day: sqlite3.Connection, query: str, *values: object) -> list[tuple[object, ...]]:
    return day.execute(query, values).fetchall()


def test_every_measured_wh_of_an_eligible_device_is_certified_once(day: sqlite3.Connection) -> None:
    eligible = ", ".join(f"'{technology}'" for technology in SOURCES)
    measured = asked(
        day,
        "SELECT r.meter, SUM(r.energy_wh) FROM readings r JOIN meters m ON m.meter = r.meter WHERE m.side = 'sell' AND "
        f"m.technology IN ({eligible}) AND r.quality = 'measured' AND r.version = (SELECT MAX(version) FROM readings l "
        "WHERE l.meter = r.meter AND l.day_start_ms = r.day_start_ms) GROUP BY r.meter",
    )
    certified = asked(day, "SELECT meter, SUM(energy_wh) FROM certified GROUP BY meter")
    assert sorted((meter, wh) for meter, wh in measured if wh) == sorted((meter, wh) for meter, wh in certified if wh)
    assert not asked(day, "SELECT * FROM certified c JOIN meters m ON m.meter = c.meter WHERE m.technology = 'hydro'")


def test_whole_certificates_are_made_of_a_million_wh_each(day: sqlite3.Connection) -> None:
    whole = asked(day, 'SELECT bundle, "end" - first FROM bundles WHERE unit_wh = ?', WHOLE)
    rolled = 0
    for bundle, count in whole:
        ((parents,),) = asked(
            day,
            'SELECT SUM(("end" - first) * unit_wh) FROM bundles WHERE bundle IN '
            "(SELECT parent FROM lineage WHERE bundle = ?) AND unit_wh = 1",
            bundle,
        )
        if parents is not None:
            assert parents == count * WHOLE  # type: ignore[operator]
            rolled += 1
    assert rolled


def test_the_factors_are_those_of_their_source() -> None:
    """Umweltbundesamt, 30 May 2017: the German mix of 2015 (preliminary) and of 2016 (estimate) [g of CO2 per kWh].

    Directive 2003/87/EC, article 10a(11): 80 % free in 2013, each year less by the same, 30 % in 2020.
    """
    assert (BENCHMARK_G_PER_KWH, INTENSITY_G_PER_KWH) == (534, 527)
    each_year = Fraction(80 - 30, 2020 - 2013)
    assert Fraction(*FREE_PART) == (80 - (2016 - 2013) * each_year) / 100


def test_quotas_are_a_part_of_last_weeks_use_and_emissions_what_neighbours_did_not_deliver(
    day: sqlite3.Connection,
) -> None:
    table = shipped_week()
    obliged = asked(
        day,
        "SELECT c.account, c.quota_g, c.emitted_g, m.meter FROM carbon_accounts c "
        "JOIN meters m ON m.member = c.account WHERE m.technology = ? AND c.quota_g > 0 AND c.reported = 1 "
        "AND c.period = 1 AND c.superseded_height IS NULL",
        OBLIGED,
    )
    assert len(obliged) == 5
    ((start,),) = asked(day, "SELECT MIN(day_start_ms) FROM days")
    assert isinstance(start, int)
    for account, quota, emitted, meter in obliged:
        before = int(table.energy(str(meter), "withdrawal", start - 7 * 86_400_000, start).sum()) // 7
        assert quota == before * 534 * 41 // (1_000 * 70)
        ((metered,),) = asked(
            day, "SELECT metered_wh FROM positions WHERE member = ? AND side = 'buy' AND revision = 1", account
        )
        ((delivered,),) = asked(
            day,
            "SELECT SUM(s.matched_wh) FROM settlements s JOIN contracts c ON c.contract = s.contract "
            "WHERE c.buyer = ? AND s.revision = 1",
            account,
        )
        assert isinstance(metered, int)
        assert isinstance(delivered, int)
        assert delivered
        assert emitted == (metered - delivered) * 527 // 1_000
    settled = asked(day, "SELECT settled_g FROM carbon_settlements")
    assert len(settled) == 5


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> list[Fact]:
    """What the shipped week told, in order."""
    blocks = run(plan(7), tmp_path_factory.mktemp("week") / "chain")
    return [fact for executed in blocks for facts in executed.facts for fact in facts]


@pytest.mark.unmeasured
def test_in_the_shipped_week_allowances_move_from_the_long_to_the_short_and_none_is_lost(week: list[Fact]) -> None:
    last = {fact.member: fact for fact in week if isinstance(fact, CarbonChanged) and fact.period == 1}
    settled = {fact.member: fact.settled for fact in week if isinstance(fact, CarbonSettled)}
    moves = [fact for fact in week if isinstance(fact, AllowancesMoved)]
    alone = {member: own.quota - own.emitted for member, own in last.items()}
    short = {member for member, left in alone.items() if left < 0}
    assert len(last) == 5
    assert short
    assert {move.taker for move in moves} == short
    assert not {move.giver for move in moves} & short
    assert moves[0].giver == max(alone, key=alone.__getitem__)
    # There is enough for all: who was short is not any more, and who was long has kept the rest.
    assert all(settled[member] == 0 for member in short)
    assert min(settled.values()) == 0
    assert sum(settled.values()) == sum(alone.values())
    assert (
        sum(own.bought for own in last.values())
        == sum(own.sold for own in last.values())
        == -sum(alone[member] for member in short)
    )


def test_what_arrives_late_is_certified_the_same_evening_and_nothing_else_twice(week: list[Fact]) -> None:
    sources = {
        fact.point.meter
        for fact in week
        if isinstance(fact, MeterAdded) and fact.point.side is Side.SELL and fact.point.technology in SOURCES
    }
    measured: dict[tuple[str, int], list[int]] = {}  # of every version of a reading [Wh]
    certified: dict[tuple[str, int], list[int]] = {}
    for fact in week:
        if isinstance(fact, ReadingTaken) and fact.meter in sources:
            counted = zip(energies(fact.energy).tolist(), fact.quality, strict=True)
            wh = sum(energy for energy, quality in counted if quality == Quality.MEASURED)
            measured.setdefault((fact.meter, fact.day), []).append(wh)
        elif isinstance(fact, EnergyCertified):
            certified.setdefault((fact.meter, fact.day), []).append(int(energies(fact.energy).sum()))
    late = {place: versions for place, versions in measured.items() if len(versions) > 1}
    assert len(late) >= 2
    assert all(versions[0] < versions[-1] for versions in late.values())
    assert certified == {
        place: [versions[0], *(after - before for before, after in pairwise(versions))]
        for place, versions in measured.items()
    }


def test_the_report_has_every_bundle_and_account(traded: Path, day: sqlite3.Connection) -> None:
    page = (traded / "out" / "week" / "report.html").read_text(encoding="utf-8")
    found = re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)
    assert found
    green = json.loads(found[1])["green"]
    ((bundles,),) = asked(day, "SELECT COUNT(*) FROM bundles")
    ((parents,),) = asked(day, "SELECT COUNT(*) FROM lineage")
    assert (len(green["bundles"]), len(green["lineage"])) == (bundles, parents)
    for (name,) in asked(day, "SELECT name FROM accounts WHERE account IN (SELECT account FROM carbon_accounts)"):
        assert f'<td class="l">{name}</td>' in page
