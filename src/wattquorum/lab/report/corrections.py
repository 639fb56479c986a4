"""What did not go as planned: late, estimated and corrected readings, curtailments, line faults, debts, disputes."""

from __future__ import annotations

from sqlalchemy import select

from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.lab.report.markup import Section, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t
from wattquorum.records.database import AnyRow


def corrections(week: Week) -> Section:
    """Tables of everything out of the ordinary; each says `none` when there was none."""
    body = "".join((_readings(week), _revisions(week), _grid(week), _debts(week), _disputes(week)))
    lead = (
        "A correction posts the difference and leaves what it replaces on record. Estimated and substituted values "
        "never cause a default. After the final day only a dispute can be filed, and it is settled outside the ledger."
    )
    return Section("corrections", "Events", "Corrections and other events", lead, body, {})


def _label(week: Week, day: int) -> str:
    return week.days[week.day_number[day]].label


def _readings(week: Week) -> str:
    columns = t.reading_sets.c
    query = select(t.reading_sets).order_by(columns.day_start_ms, columns.meter, columns.version)
    rows = []
    before: dict[tuple[int, str], int] = {}
    for row in week.rows(query):
        last = before.get((row.day_start_ms, row.meter))
        before[row.day_start_ms, row.meter] = row.energy_wh
        if row.version == 1 and not row.late and not row.not_measured:
            continue
        what = [
            *(["late"] if row.late else []),
            *([f"{row.not_measured} intervals not measured"] if row.not_measured else []),
            *(["correction"] if last is not None else []),
        ]
        change = "" if last is None else format_energy(Energy(row.energy_wh - last))
        rows.append(
            [
                _label(week, row.day_start_ms),
                row.meter,
                week.name_of[row.member],
                row.version,
                ", ".join(what),
                format_energy(Energy(row.energy_wh)),
                change,
                row.height,
            ]
        )
    headings = ["day", "meter", "member", "version", "what", "energy", "change", "block"]
    return table("Readings that came late, were not measured or were corrected", headings, rows, sides="lllrtrrr")


MONEY = (
    ("energy", "energy_millionths"),
    ("grid purchase", "grid_purchase_millionths"),
    ("grid sale", "grid_sale_millionths"),
    ("compensation by seller", "seller_compensation_millionths"),
    ("compensation by buyer", "buyer_compensation_millionths"),
)


def _revisions(week: Week) -> str:
    columns = t.settlements.c
    query = select(t.settlements).order_by(columns.day_start_ms, columns.contract, columns.revision)
    rows: list[list[str | int]] = []
    before: dict[str, AnyRow] = {}
    again = 0
    for row in week.rows(query):
        last = before.get(row.contract)
        before[row.contract] = row
        if last is None:
            continue
        again += 1
        traded = row.matched_wh - last.matched_wh
        changes = [getattr(row, column) - getattr(last, column) for _, column in MONEY]
        if not traded and not any(changes):
            continue
        made = week.contracts[week.contract_number[row.contract]]
        rows.append(
            [
                _label(week, row.day_start_ms),
                week.name_of[made.seller],
                week.name_of[made.buyer],
                row.revision,
                format_energy(Energy(traded)),
                *map(week.amount, changes),
                row.height,
            ]
        )
    headings = ["day", "seller", "buyer", "revision", "traded", *(name for name, _ in MONEY), "block"]
    caption = f"{again} contracts were settled again; what changed on {len(rows)} of them, money in {week.currency}"
    return table(caption, headings, rows, sides="lllrrrrrrrr")


def _grid(week: Week) -> str:
    rows: list[list[str | int]] = []
    versions = t.contract_versions
    for row in week.rows(
        select(versions).where(versions.c.version > 1).order_by(versions.c.height, versions.c.contract)
    ):
        made = week.contracts[week.contract_number[row.contract]]
        who = f"{week.name_of[made.seller]} to {week.name_of[made.buyer]}"
        what = f"curtailed to {format_energy(Energy(row.energy_wh))}"
        rows.append([_label(week, row.day_start_ms), what, who, row.reason, row.height])
    for row in week.rows(select(t.faults).order_by(t.faults.c.height, t.faults.c.sequence)):
        stamps = week.days[week.day_number[row.day_start_ms]].stamps
        until = stamps[row.end][11:] if row.end < len(stamps) else "the day's end"
        what = f"line fault {stamps[row.first][11:]} to {until}"
        rows.append([_label(week, row.day_start_ms), what, row.meter, row.reason, row.height])
    for contract in week.contracts:
        if contract.ended_height is not None:
            who = f"{week.name_of[contract.seller]} to {week.name_of[contract.buyer]}"
            label = _label(week, contract.day_start_ms)
            rows.append([label, f"contract {contract.status}", who, "", contract.ended_height])
    return table(
        "Curtailments, line faults and contracts that ended early",
        ["day", "what", "who", "reason", "block"],
        rows,
        sides="llttr",
    )


def _debts(week: Week) -> str:
    rows = [
        [
            "" if row.day_start_ms is None else _label(week, row.day_start_ms),
            week.name_of[row.debtor],
            week.name_of[row.creditor],
            row.kind.replace("_", " "),
            week.amount(row.recorded_millionths),
            week.amount(row.open_millionths),
            row.recorded_height,
        ]
        for row in week.rows(select(t.debts).order_by(t.debts.c.recorded_height, t.debts.c.debt))
    ]
    headings = ["day", "debtor", "creditor", "for", "when recorded", "still open", "block"]
    return table(f"Debts in {week.currency}", headings, rows, sides="llllrrr")


def _disputes(week: Week) -> str:
    rows = [
        [_label(week, row.day_start_ms), week.name_of[row.member], row.contract[:8], row.statement, row.height]
        for row in week.rows(select(t.disputes).order_by(t.disputes.c.height, t.disputes.c.sequence))
    ]
    return table("Disputes", ["day", "member", "contract", "statement", "block"], rows, sides="llltr")
