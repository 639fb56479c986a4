"""Certificates and carbon: what was certified, who holds it, what it was made of, and who may emit how much."""

from __future__ import annotations

from sqlalchemy import select

from wattquorum.foundation.quantities import Carbon, Energy, format_carbon, format_energy
from wattquorum.green.certificates import WHOLE
from wattquorum.lab.report.markup import Section, behind, chart, chooser, panel, paragraph, table
from wattquorum.lab.report.week import Week
from wattquorum.records import green_tables as g
from wattquorum.records.database import AnyRow

TO_CHOOSE = ("retired", "active", "expired", "withdrawn", "split", "rolled_up")  # the most telling first
CARBON_SAYS = (
    "An illustration: obliged are the industrial customers. Their quota is what they use in as many days by the mean "
    "of the week before, at the German mix of 2015 (534 g of CO2 per kWh), and of that 41/70, which is the part that "
    "was free in 2016 in the European Union's scheme (Directive 2003/87/EC, article 10a(11)). Their emissions are what "
    "the grid supplied to them at the mix of 2016 (527 g, estimated; both mixes: Umweltbundesamt, 30 May 2017); what "
    "other members delivered counts nothing. Before the period is closed, those with allowances to spare move them to "
    "those that lack some, without a price."
)
STATUSES = ("active", "split", "rolled_up", "retired", "withdrawn", "expired")


def green(week: Week) -> Section:
    """Certificates in time with their lineage, and carbon accounts."""
    bundles = week.rows(select(g.bundles).order_by(g.bundles.c.made_height, g.bundles.c.made_place, g.bundles.c.bundle))
    moves = week.rows(select(g.bundle_moves).order_by(g.bundle_moves.c.height, g.bundle_moves.c.sequence))
    numbers = {row.bundle: number for number, row in enumerate(bundles)}
    whole = [(number, row) for number, row in enumerate(bundles) if row.unit_wh == WHOLE]
    whole.sort(key=lambda each: (TO_CHOOSE.index(each[1].status), each[0]))
    choices = [(number, _name(week, row)) for number, row in whole]
    body = (
        chart("green-certified", "Energy certified by source and day", height=300)
        + "<h3>Whole certificates held after each closed day</h3>"
        + chart("green-held", "Whole certificates of every holder after each closed day", height=360)
        + '<div class="choosers">'
        + chooser("green-bundle", "What is it made of", choices)
        + "</div>"
        + panel("green-lineage")
        + behind("What every device certified", _devices(week))
        + "<h3>Carbon allowances</h3>"
        + paragraph(
            CARBON_SAYS
            if week.rows(select(g.carbon_accounts.c.account).limit(1))
            else "Nobody is obliged on this chain."
        )
        + table("Accounts by period", CARBON_HEADINGS, _carbon(week), sides="trrrrrrr")
        + table("Allowances that changed hands", ("block", "from", "to", "allowances"), _moved(week), sides="rllr")
    )
    lead = (
        "Each metered Wh from wind, sun or biomass backs one certificate and no more; hydro earns none. Energy is "
        "certified by the hour in granular bundles of Wh, from measured readings alone, and rolled up to whole "
        "certificates of 1 MWh of one device; the rest is carried. What holders do with theirs is a rule of the demo."
    )
    data = {
        "certified": _certified(week),
        "held": _held(week),
        "bundles": [_bundle(week, row) for row in bundles],
        "lineage": [[numbers[row.bundle], numbers[row.parent]] for row in week.rows(select(g.lineage))],
        "moves": [[numbers[row.bundle], *_move(week, row)] for row in moves],
        "statuses": STATUSES,
    }
    return Section("green", "Certificates", "Certificates and carbon", lead, body, data)


def _name(week: Week, row: AnyRow) -> str:
    owner, status = week.name_of[row.owner], row.status.replace("_", " ")
    count = row.end - row.first
    which = f"{row.first + 1}" if count == 1 else f"{row.first + 1} to {row.end}"
    return f"{row.meter}, whole certificate{'' if count == 1 else 's'} {which} ({status}, {owner})"


def _bundle(week: Week, row: AnyRow) -> list[int | str]:
    """[id, owner, meter, unit, first, end, start, end of production, status, beneficiary, said, made, ended]."""
    return [
        row.bundle,
        week.number_of[row.owner],
        week.meter_number[row.meter],
        row.unit_wh,
        row.first,
        row.end,
        row.start_ms,
        row.end_ms,
        STATUSES.index(row.status),
        row.beneficiary,
        row.said,
        row.made_height,
        -1 if row.ended_height is None else row.ended_height,
    ]


def _move(week: Week, row: AnyRow) -> list[int]:
    """[block, giver, taker, paid]."""
    return [row.height, week.number_of[row.giver], week.number_of[row.taker], row.amount_millionths]


def _certified(week: Week) -> list[list[int | str]]:
    """[day, source, Wh] of every issue."""
    source = {row.meter: row.source for row in week.rows(select(g.bundles.c.meter, g.bundles.c.source).distinct())}
    return [
        [week.day_number[row.day_start_ms], source[row.meter], row.energy_wh]
        for row in week.rows(select(g.certified).order_by(g.certified.c.height, g.certified.c.sequence))
        if row.energy_wh
    ]


def _held(week: Week) -> list[list[int]]:
    """[day, account, whole certificates held at its close]."""
    rows = week.rows(select(g.holdings).order_by(g.holdings.c.height, g.holdings.c.sequence))
    return [[week.day_number[row.day_start_ms], week.number_of[row.account], row.held] for row in rows]


def _devices(week: Week) -> str:
    """Certified, withheld and carried energy of every device."""
    certified: dict[str, int] = {}
    withheld: dict[str, int] = {}
    for row in week.rows(select(g.certified)):
        certified[row.meter] = certified.get(row.meter, 0) + row.energy_wh
        withheld[row.meter] = withheld.get(row.meter, 0) + row.withheld_wh
    whole: dict[str, int] = {}
    for row in week.rows(select(g.bundles).where(g.bundles.c.unit_wh == WHOLE)):
        whole[row.meter] = max(whole.get(row.meter, 0), row.end)
    rows: list[list[str | int]] = [
        [
            meter,
            format_energy(Energy(certified[meter])),
            whole.get(meter, 0),
            format_energy(Energy(certified[meter] - whole.get(meter, 0) * WHOLE)),
            format_energy(Energy(withheld[meter])),
        ]
        for meter in sorted(certified)
    ]
    headings = ("device", "certified", "whole certificates", "still granular", "withheld after corrections")
    return table("Devices", headings, rows, sides="lrrrr")


CARBON_HEADINGS = ("member", "period", "carried", "quota", "bought", "sold", "emitted", "settled")


def _carbon(week: Week) -> list[list[str | int]]:
    settled = {(row.account, row.period): row for row in week.rows(select(g.carbon_settlements))}
    accounts = g.carbon_accounts.c
    rows: list[list[str | int]] = []
    for row in week.rows(select(g.carbon_accounts).where(accounts.superseded_height.is_(None))):
        amounts = (row.carried_g, row.quota_g, row.bought_g, row.sold_g, row.emitted_g)
        result = settled.get((row.account, row.period))
        if result is None and not any(amounts):
            continue  # a period that has only been opened
        texts = [format_carbon(Carbon(amount)) for amount in amounts]
        said = "open" if result is None else format_carbon(Carbon(result.settled_g))
        rows.append([week.name_of[row.account], row.period, *texts, said])
    return sorted(rows, key=lambda row: (row[1], row[0]))


def _moved(week: Week) -> list[list[str | int]]:
    moves = g.allowance_moves.c
    return [
        [row.height, week.name_of[row.giver], week.name_of[row.taker], format_carbon(Carbon(row.moved_g))]
        for row in week.rows(select(g.allowance_moves).order_by(moves.height, moves.sequence))
    ]
