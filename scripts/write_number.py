"""Writes docs/number.md: one line of a bill, followed to the meter, with the numbers of a finished run.

    python scripts/write_number.py [--check] [RUN]

It stands apart from the page because every number on it must be a run's own: queries and commands are run, and what
the text says of their results is asserted before it is written. RUN is the folder of `wattquorum week` (out/week).
`--check` writes nothing and ends with 1 if the page differs. The line is the first one, in the order of days and
sellers, that shows everything: a shortage shared by two contracts, a default, a fine.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import MILLION, WH_PER_KWH
from wattquorum.foundation.vectors import energy_list
from wattquorum.ledger.readings import decode_rows, root_of_rows

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "number.md"
MU: Final = 5_000  # the default of the parameter, as the demo has it
COLUMNS: Final = 100

CHOSEN: Final = """
SELECT s.name AS seller, b.name AS buyer, d.date, i.interval, d.day_start_ms, d.interval_ms
FROM intervals i
JOIN settlements e ON e.contract = i.contract AND e.revision = i.revision AND e.superseded_height IS NULL
JOIN contracts c ON c.contract = i.contract
JOIN days d ON d.day_start_ms = c.day_start_ms
JOIN accounts s ON s.account = c.seller
JOIN accounts b ON b.account = c.buyer
JOIN credit k ON k.day_start_ms = d.day_start_ms AND k.member = c.seller AND k.side = 'sell' AND k.event = 'day'
WHERE i.revision = 1 AND k.defaulted = 1 AND k.superseded_height IS NULL
  AND 0 < i.generated_wh AND i.generated_wh < i.promised_wh AND i.matched_wh = i.generated_wh
  AND k.credit_before_points_millionths - k.credit_after_points_millionths > 1000000
  AND (SELECT count(*) FROM reading_sets r WHERE r.day_start_ms = d.day_start_ms AND r.member = c.seller) = 1
  AND (SELECT count(*) FROM credit o WHERE o.day_start_ms = d.day_start_ms AND o.member = c.seller
       AND o.event = 'day') = 1
  AND (SELECT count(*) FROM contracts o
       WHERE o.day_start_ms = d.day_start_ms AND o.seller = c.seller AND o.buyer = c.buyer) = 1
  AND (SELECT count(*) FROM intervals o JOIN contracts t ON t.contract = o.contract
       WHERE t.seller = c.seller AND t.day_start_ms = c.day_start_ms AND o.interval = i.interval) = 2
  AND (SELECT sum(f.amount_millionths) FROM fines f WHERE f.day_start_ms = d.day_start_ms AND f.payer = c.seller)
      = 5000 * k.promised_wh * (k.credit_before_points_millionths - k.credit_after_points_millionths) / 1000000000
ORDER BY d.day_start_ms, s.name, b.name, i.interval
LIMIT 1
"""
OF_CONTRACT: Final = """JOIN contracts c ON c.contract = {table}.contract
JOIN days d ON d.day_start_ms = c.day_start_ms
JOIN accounts s ON s.account = c.seller
JOIN accounts b ON b.account = c.buyer
WHERE d.date = '{date}' AND s.name = '{seller}'"""
QUERIES: Final = {
    "transfer": """SELECT t.height, t.sequence, t.place, t.kind, t.amount_millionths
FROM transfers t
JOIN days d ON d.day_start_ms = t.day_start_ms
JOIN accounts s ON s.account = t.payee
JOIN accounts b ON b.account = t.payer
WHERE d.date = '{date}' AND s.name = '{seller}' AND b.name = '{buyer}' AND t.kind = 'energy';""",
    "settlement": """SELECT e.revision, e.promised_wh, e.generated_wh, e.consumed_wh, e.matched_wh, e.energy_millionths
FROM settlements e
"""
    + OF_CONTRACT.replace("{table}", "e")
    + " AND b.name = '{buyer}';",
    "intervals": """SELECT count(*) AS intervals, sum(i.matched_wh) AS matched_wh,
       sum(i.energy_millionths) AS energy_millionths
FROM intervals i
"""
    + OF_CONTRACT.replace("{table}", "i")
    + " AND b.name = '{buyer}';",
    "interval": """SELECT b.name AS buyer, i.promised_wh, i.generated_wh, i.consumed_wh, i.matched_wh,
       i.price_millionths_per_kwh AS price, i.energy_millionths AS energy
FROM intervals i
"""
    + OF_CONTRACT.replace("{table}", "i")
    + "\n  AND i.interval = {interval};",
    "reading": """SELECT r.meter, r.version, v.energy_wh, v.quality, r.height, r.place, r.position
FROM reading_sets r
JOIN readings v ON v.day_start_ms = r.day_start_ms AND v.meter = r.meter AND v.version = r.version
JOIN days d ON d.day_start_ms = r.day_start_ms
JOIN accounts s ON s.account = r.member
WHERE d.date = '{date}' AND s.name = '{seller}' AND v.interval = {interval};""",
    "commitment": """SELECT x.type, x.height, x.outcome, x.transaction_hash
FROM transactions x
JOIN reading_sets r ON r.height = x.height AND r.place = x.place
JOIN days d ON d.day_start_ms = r.day_start_ms
JOIN accounts s ON s.account = r.member
WHERE d.date = '{date}' AND s.name = '{seller}';""",
    "balance": """SELECT deposited_millionths, traded_millionths, balance_millionths
FROM balances
WHERE name = '{seller}';""",
    "judged": """SELECT k.promised_wh, k.delivered_wh, k.defaulted, k.credit_before_points_millionths AS credit_before,
       k.credit_after_points_millionths AS credit_after
FROM credit k
JOIN days d ON d.day_start_ms = k.day_start_ms
JOIN accounts s ON s.account = k.member
WHERE d.date = '{date}' AND s.name = '{seller}' AND k.event = 'day';""",
    "fines": """SELECT b.name AS buyer, p.shortfall_wh, p.compensation_millionths, p.fine_millionths
FROM penalties p
JOIN days d ON d.day_start_ms = p.day_start_ms
JOIN accounts s ON s.account = p.payer
JOIN accounts b ON b.account = p.partner
WHERE d.date = '{date}' AND s.name = '{seller}';""",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, its records, and the line that is followed."""

    folder: Path
    place: Path  # where commands are run: a folder that has the run under its own name and nothing else
    records: sqlite3.Connection
    line: sqlite3.Row

    def sql(self, name: str) -> str:
        """A query of the page, for the chosen line."""
        return QUERIES[name].format(**dict(self.line))

    def rows(self, name: str) -> list[sqlite3.Row]:
        """What it gives."""
        return self.records.execute(self.sql(name)).fetchall()

    def shown(self, name: str) -> str:
        """Query and result as they stand on the page."""
        rows = self.rows(name)
        table = [list(rows[0].keys()), *([str(value) for value in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        right = [cell.isdigit() for cell in table[1]]
        lines = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in table
        ]
        return f"```sql\n{self.sql(name)}\n```\n\n```\n" + "\n".join(lines) + "\n```"

    def said(self, *words: str) -> str:
        """What a command prints, run where it finds out/week like the page's reader, and leaves nothing in the tree."""
        command = [sys.executable, "-m", "wattquorum", *words]
        environment = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
        done = subprocess.run(command, cwd=self.place, env=environment, capture_output=True, text=True, check=True)
        return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())


def opened(folder: Path, place: Path) -> Run:
    """A run's records, and its first line that shows everything; commands run in `place`, an empty folder."""
    require(folder.resolve().parts[-2:] == ("out", "week"), "RUN is the out/week of some folder, as on the page")
    records = sqlite3.connect(f"file:{folder / 'market.sqlite'}?mode=ro", uri=True)
    records.row_factory = sqlite3.Row
    line = records.execute(CHOSEN).fetchone()
    if line is None:
        sys.exit("write_number: no line of this run shows everything")
    (place / "out").symlink_to(folder.resolve().parent)
    return Run(folder.resolve(), place, records, line)


def require(claim: bool, what: str) -> None:
    """Ends the writing where the text would say something that the run does not show."""
    if not claim:
        sys.exit(f"write_number: not so in this run: {what}")


def prose(text: str) -> str:
    """Paragraphs, each filled to 120 characters; headings and tables as they are."""
    paragraphs = [" ".join(each.split()) for each in text.strip().split("\n\n")]
    filled = [each if each.startswith("#") else textwrap.fill(each, 120, break_on_hyphens=False) for each in paragraphs]
    return "\n\n".join(filled)


def coins(amount: int) -> str:
    """Millionths as a decimal number."""
    return f"{amount // MILLION}.{amount % MILLION:06d}"


def page(run: Run) -> str:
    """The whole page."""
    sections = (_line, _settlement, _interval, _reading, _proof, _balance, _penalty, _audit)
    return "\n\n".join(part for section in sections for part in section(run)) + "\n"


def _line(run: Run) -> list[str]:
    seller, buyer, start = run.line["seller"], run.line["buyer"], format_moment(run.line["day_start_ms"])
    (moved,), day = run.rows("transfer"), run.line["date"]
    return [
        prose(f"""
            # How a number came to be

            One line of one bill, followed from the money back to the meter, and proved. Run `make run
            ARGS=--in-process` first; the numbers here are those of version 0.1.0 with seed 1, ordered by one sequencer.
            A live week's are others, since another genesis gives its members other addresses. The command is in
            `.venv/bin`; the SQL is for `out/week/market.sqlite`, with any SQLite client (`apt install sqlite3`, then
            `sqlite3 -header -column out/week/market.sqlite`). Money is in millionths of a CNY, energy in Wh.
            `scripts/write_number.py` writes this page from a run.

            ## The line

            `wattquorum bill` prints what a member was paid (above zero) and paid (below) for a delivery day. A day is
            named by its local date, or by its start: {run.line["date"]} begins at {start}.
        """),
        f"```\n$ wattquorum bill {seller} --day {day}\n{run.said('bill', seller, '--day', day)}\n```",
        prose(f"""
            Every amount is a sum of transfers, and nothing else is on a bill ([L-1](rules.md#l-1)). We follow one of
            the transfers behind `energy`: what {buyer} paid to {seller}.
        """),
        run.shown("transfer"),
        prose(f"""
            {coins(moved["amount_millionths"])} CNY, moved by transaction {moved["place"]} of block {moved["height"]}: a
            `ClosePage`, in which the grid operator settled {seller}'s feeder.
        """),
    ]


def _settlement(run: Run) -> list[str]:
    seller, buyer = run.line["seller"], run.line["buyer"]
    (moved,), (settled,), (spread,) = run.rows("transfer"), run.rows("settlement"), run.rows("intervals")
    require(moved["amount_millionths"] == settled["energy_millionths"], "the transfer is the settlement's energy")
    require(spread["energy_millionths"] == settled["energy_millionths"], "the intervals add up to the settlement")
    return [
        prose("""
            ## The settlement

            The transfer is what the contract's settlement says ([A-17](rules.md#a-17)). There is one revision: no
            correction came later.
        """),
        run.shown("settlement"),
        prose(f"""
            The contract promised {settled["promised_wh"]:,} Wh over the day. {seller} was allotted
            {settled["generated_wh"]:,} Wh for it, {buyer} {settled["consumed_wh"]:,} Wh, and
            {settled["matched_wh"]:,} Wh were exchanged. These are sums over the intervals in which something was
            promised:
        """),
        run.shown("intervals"),
    ]


def _interval(run: Run) -> list[str]:
    seller, buyer, index = run.line["seller"], run.line["buyer"], run.line["interval"]
    begin = run.line["day_start_ms"] + index * run.line["interval_ms"]
    both, (reading,) = run.rows("interval"), run.rows("reading")
    own = next(row for row in both if row["buyer"] == buyer)
    (spread,) = run.rows("intervals")
    metered, promised = reading["energy_wh"], sum(row["promised_wh"] for row in both)
    require(metered < promised, "the meter counted less than was promised")
    require(own["energy"] == own["matched_wh"] * own["price"] // WH_PER_KWH, "energy is price times what was exchanged")
    parts = [(row, *divmod(metered * row["promised_wh"], promised)) for row in both]
    left = metered - sum(part for _, part, _ in parts)
    require(sum(row["generated_wh"] for row in both) == metered, "all that was metered is allotted")
    require(all(row["generated_wh"] - part in (0, left) for row, part, _ in parts), "one unit is left at most")
    table = [
        f"| {row['buyer']} | {row['promised_wh']:,} | {metered:,} * {row['promised_wh']:,} / {promised:,} = {part:,} "
        f"| {rest:,} | {row['generated_wh']:,} |"
        for row, part, rest in parts
    ]
    least = min(own["generated_wh"], own["consumed_wh"], own["promised_wh"])
    require(least == own["matched_wh"], "the least is exchanged")
    return [
        prose(f"""
            ## One interval

            Interval {index} lasts from {format_moment(begin)} to {format_moment(begin + run.line["interval_ms"])}.
            {seller} had two contracts in it:
        """),
        run.shown("interval"),
        prose(f"""
            **Allotment.** The meter counted {metered:,} Wh (see below), less than the {promised:,} Wh that both
            contracts promise together. So each gets its part in proportion, rounded down, and a unit that is left goes
            to the largest remainder ([allotment](rules.md#allotment)):
        """),
        "\n".join(["| contract with | promised | part | remainder | allotted |", "|---|---|---|---|---|", *table]),
        prose(f"""
            **Money.** {buyer} was allotted {own["consumed_wh"]:,} Wh, so m = min({own["generated_wh"]:,},
            {own["consumed_wh"]:,}, {own["promised_wh"]:,}) = {least:,} Wh ([L-2](rules.md#l-2)), and it pays {least:,}
            * {own["price"]:,} / 1,000 = {own["energy"]:,}, rounded down. The {spread["intervals"]} intervals, each
            rounded by itself, add up to {spread["energy_millionths"]:,}: the line.
        """),
    ]


def _reading(run: Run) -> list[str]:
    index, (reading,) = run.line["interval"], run.rows("reading")
    root = run.records.execute(
        "SELECT root FROM reading_sets WHERE height = ? AND place = ? AND position = ?",
        (reading["height"], reading["place"], reading["position"]),
    ).fetchone()["root"]
    rows = decode_rows((run.folder / "chain" / "rows" / f"{root}.rows").read_bytes())
    row = rows[reading["position"]]
    require(root_of_rows(rows).hex() == root, "the rows have the root that the chain holds")
    require((row.meter, energy_list(row.energy)[index]) == (reading["meter"], reading["energy_wh"]), "the row says so")
    return [
        prose("## The reading"),
        run.shown("reading"),
        prose(f"""
            The chain does not hold the reading. It holds the root of a Merkle tree over salted rows, one row for each
            meter and day ([L-23](rules.md#l-23)); this row stands at position {reading["position"]} under its root
            (column `root`). The rows stand beside the chain, in a file named by the root. Whoever has it can compute
            the root again:
        """),
        f"""```python
from pathlib import Path
from wattquorum.foundation.vectors import energy_list
from wattquorum.ledger.readings import decode_rows, root_of_rows

root = "{root}"
rows = decode_rows(Path(f"out/week/chain/rows/{{root}}.rows").read_bytes())
assert root_of_rows(rows).hex() == root
assert rows[{reading["position"]}].meter == "{reading["meter"]}"
assert energy_list(rows[{reading["position"]}].energy)[{index}] == {reading["energy_wh"]}
```""",
        prose("Another byte in any row, or in its salt, would give another root."),
    ]


def _proof(run: Run) -> list[str]:
    (committed,) = run.rows("commitment")
    start = committed["transaction_hash"][:12]
    written = run.said("prove", start, "--out", "proof.json")
    checked = run.said("verify", "proof.json")
    return [
        prose("""
            ## The proof

            The root stands in a transaction that the meter operator signed:
        """),
        run.shown("commitment"),
        prose("""
            Anyone can be given a proof that this transaction, and its receipt, stand in the chain:
        """),
        f"```\n$ wattquorum prove {start}\n{written}\n\n$ wattquorum verify proof.json\n{checked}\n```",
        prose("""
            Compare the chain's id and the end with those that you know: the end stands in `out/week/chain/tip.json`,
            and an audit prints it. What the file holds, and what it proves, is in [formats](formats.md#proof-files).
        """),
    ]


def _balance(run: Run) -> list[str]:
    (row,) = run.rows("balance")
    total = row["deposited_millionths"] + row["traded_millionths"]
    require(total == row["balance_millionths"], "deposits and trade are the balance")
    return [
        prose("""
            ## The balance

            All lines of all days add up to the member's balance, free money and collateral together:
        """),
        run.shown("balance"),
        prose("""
            The same sum over all accounts is zero. The report and `wattquorum week` list the other sums that must
            close ([records](records.md)).
        """),
    ]


def _penalty(run: Run) -> list[str]:
    seller, (judged,), fines = run.line["seller"], run.rows("judged"), run.rows("fines")
    lost = judged["credit_before"] - judged["credit_after"]
    kwh = f"{judged['promised_wh'] // WH_PER_KWH:,}.{judged['promised_wh'] % WH_PER_KWH:03d}"
    total = MU * lost * judged["promised_wh"] // (MILLION * WH_PER_KWH)
    kept = judged["credit_before"] * judged["delivered_wh"] // judged["promised_wh"]
    require(kept == judged["credit_after"], "credit is what A-10 leaves")
    require(total == sum(row["fine_millionths"] for row in fines), "the contracts' fines are the day's")
    return [
        prose(f"""
            ## What falling short cost

            On that day {seller} delivered less than it promised. Credit and fine were computed once, on the sums of the
            day ([L-5](rules.md#l-5)):
        """),
        run.shown("judged"),
        prose(f"""
            More than 5 % were missing: a default ([L-4](rules.md#l-4)). What is left of the credit is
            {judged["credit_before"]:,} * {judged["delivered_wh"]:,} / {judged["promised_wh"]:,} =
            {judged["credit_after"]:,} millionths of a point ([A-10](rules.md#a-10)), {coins(lost)} points less. The
            fine is mu * dC * P = 0.005 * {coins(lost)} * {kwh} kWh = {coins(total)} CNY ([A-18](rules.md#a-18)),
            divided by shortfall:
        """),
        run.shown("fines"),
        prose("""
            The compensation went to the partners, for their true loss ([L-3](rules.md#l-3)); the fine to all members
            that performed on that day, by their credit ([A-19](rules.md#a-19)).
        """),
    ]


def _audit(run: Run) -> list[str]:
    return [
        prose("""
            ## Everything at once

            An audit does this for every number of the chain, and more ([L-27](rules.md#l-27)):
        """),
        f"```\n$ wattquorum audit\n{run.said('audit')}\n```",
    ]


def main() -> None:
    """Writes the page, or says that it differs."""
    options = argparse.ArgumentParser(description="Write docs/number.md from a finished run.")
    options.add_argument("run", nargs="?", type=Path, default=Path("out/week"), metavar="RUN")
    options.add_argument("--check", action="store_true", help="write nothing; end with 1 if the page differs")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        written = page(opened(chosen.run, Path(place)))
    if not chosen.check:
        PAGE.write_text(written, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != written:
        sys.exit("docs/number.md is not what this run gives; write it again")


if __name__ == "__main__":
    main()
