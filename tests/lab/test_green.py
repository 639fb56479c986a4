"""Certificates and carbon of a traded day, against the readings and positions that the records hold."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from wattquorum.green.certificates import SOURCES, WHOLE
from wattquorum.lab.green import BENCHMARK_G_PER_KWH, INTENSITY_G_PER_KWH, OBLIGED
from wattquorum.lab.shipped import shipped_week


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
    """Umweltbundesamt, 30 May 2017: the German mix of 2015 (preliminary) and of 2016 (estimate) [g of CO2 per kWh]."""
    assert (BENCHMARK_G_PER_KWH, INTENSITY_G_PER_KWH) == (534, 527)


def test_emissions_are_what_the_grid_gave_and_quotas_last_weeks_use(day: sqlite3.Connection) -> None:
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
        before = int(table.energy(str(meter), "withdrawal", start - 7 * 86_400_000, start).sum())
        assert quota == before * BENCHMARK_G_PER_KWH // 1_000
        ((residual,),) = asked(
            day,
            "SELECT SUM(residual_wh) FROM positions WHERE member = ? AND revision = 1",
            account,
        )
        assert isinstance(residual, int)
        assert emitted == residual * INTENSITY_G_PER_KWH // 1_000
    settled = asked(day, "SELECT settled_g FROM carbon_settlements")
    assert len(settled) == 5


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
