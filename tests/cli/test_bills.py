"""`wattquorum bill`: sums that add up, lines of which nothing is cut, and days named by their local dates."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.cli.runs import printed, refused, said
from wattquorum.foundation.quantities import Money, format_money
from wattquorum.records.bills import Bill, bill_of, words_of
from wattquorum.records.database import opened, rows_of
from wattquorum.records.tables import accounts

LONG = "the-cooperative-of-the-upper-valley-and-of-all-villages-on-the-other-side-of-the-river"
START = "2016-06-18T22:00:00Z"
ROW = re.compile(r"^([a-z -]+?) {3,}(-?[\d,]+\.\d+) CNY$", re.MULTILINE)


@pytest.fixture(scope="module")
def long_named(traded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The traded day's records, with a member's name as long as nobody would fold it to one line."""
    folder = tmp_path_factory.mktemp("long")
    shutil.copy(traded / "out/week/market.sqlite", folder)
    with sqlite3.connect(folder / "market.sqlite") as database:
        database.execute("UPDATE accounts SET name = ? WHERE name = 'grid'", [LONG])
    database.close()
    return folder


def bill_in(records: Path, name: str) -> Bill:
    with opened(records) as engine:
        ((address,),) = rows_of(engine, select(accounts.c.account).where(accounts.c.name == name))
        return bill_of(engine, address)


def amounts(bill: Bill) -> list[str]:
    return [format_money(Money(line.amount_millionths), "CNY") for line in bill.lines]


def in_a_terminal(*words: str | Path, columns: int, folder: Path) -> str:
    """What the command prints into a terminal so wide."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "wattquorum", *map(str, words)]
    environment |= {"TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(command, cwd=folder, stdout=side, stdin=side, stderr=side, env=environment) as running:
        os.close(side)
        heard = b""
        while True:
            try:
                part = os.read(main, 65_536)
            except OSError:  # how Linux tells that the other side was closed
                break
            if not part:
                break
            heard += part
    os.close(main)
    assert running.returncode == 0, heard
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", heard.decode()).replace("\r\n", "\n")


def test_a_bill_adds_up(traded: Path) -> None:
    parts = {
        name: round(float(amount.replace(",", "")) * 1_000_000)
        for name, amount in ROW.findall(printed("bill", "village-2", folder=traded))
    }
    assert parts.pop("sum") == sum(parts.values())
    assert len(parts) >= 4
    assert refused("bill", "nobody", folder=traded) == "account_unknown"


def test_a_pipe_gets_every_line_whole(long_named: Path) -> None:
    bill = bill_in(long_named / "market.sqlite", "village-2")
    command = [sys.executable, "-m", "wattquorum", "bill", "village-2", "--lines", "--records", "market.sqlite"]
    for columns in ({}, {"COLUMNS": "40"}):
        environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | columns
        told = subprocess.run(command, cwd=long_named, env=environment, capture_output=True, text=True, check=True)
        _, heading, _, *rows = told.stdout.splitlines()
        assert heading.split() == ["block", "day", "what", "for", "with", "contract", "amount"]
        rows = rows[: len(bill.lines)]
        assert [row[heading.index("contract") + 8 :].strip() for row in rows] == amounts(bill)
        for row, line in zip(rows, bill.lines, strict=True):
            assert f"   {line.counterparty_name} " in row
            assert f" {words_of(line.kind)}   " in row
            assert f" {line.contract[:8]} " in row
        assert LONG in told.stdout
        assert "\u2026" not in told.stdout


@pytest.mark.parametrize("columns", [80, 50])
def test_a_terminal_folds_long_names_and_cuts_nothing(long_named: Path, columns: int) -> None:
    words = ("bill", "village-2", "--lines", "--records", "market.sqlite")
    told = in_a_terminal(*words, columns=columns, folder=long_named)
    _, heading, _, *rows = told.splitlines()
    bill = bill_in(long_named / "market.sqlite", "village-2")
    found = [row[heading.index("contract") + 8 :].strip() for row in rows]
    assert [amount for amount in found if amount][:-1] == amounts(bill)
    assert "\u2026" not in told
    if columns == 80:
        assert max(map(len, told.splitlines())) <= 80
    name = slice(heading.index("with"), heading.index("contract"))
    folded = "".join(row[name].strip() for row in rows)
    assert folded.count(LONG) == sum(line.counterparty_name == LONG for line in bill.lines) > 1


def test_lines_and_options_name_a_day_by_its_local_date(traded: Path) -> None:
    """The day begins at ten in the evening of the eighteenth, UTC."""
    told = printed("bill", "village-2", "--lines", "--day", "2016-06-19", folder=traded)
    assert told.startswith("Bill of village-2, day 2016-06-19\n")
    assert told == printed("bill", "village-2", "--lines", "--day", START, folder=traded)
    rows = told.splitlines()[3:-2]
    assert len(rows) > 3
    assert {row.split()[1] for row in rows} == {"2016-06-19"}
    everything = printed("bill", "village-2", "--lines", folder=traded)
    assert "deposit" in everything
    assert "deposit" not in told
    assert "2016-06-18" not in everything


def test_a_day_that_the_records_do_not_have_is_refused_with_those_they_have(traded: Path) -> None:
    for other in ("2016-06-17T22:00:00Z", "2016-06-18"):
        told = said("bill", "village-2", "--day", other, folder=traded, check=2)
        assert "day_unknown" in told
        assert told.endswith("Choose a day of these records: 2016-06-19.")
    for other in ("Sunday", "2016-06-31", ""):
        assert refused("bill", "village-2", "--day", other, folder=traded) == "time_unreadable"
    assert refused("bill", "village-2", "--day", "2016-06-19T00:00", folder=traded) == "time_naive"


def test_two_days_of_one_date_are_told_apart_by_when_they_begin(traded: Path, tmp_path: Path) -> None:
    records = Path(shutil.copy(traded / "out/week/market.sqlite", tmp_path))
    with sqlite3.connect(records) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(days)")]
        shifted = ", ".join(f"{name} + 3600000" if name in ("day_start_ms", "end_ms") else name for name in names)
        database.execute(f"INSERT INTO days SELECT {shifted} FROM days")
    database.close()
    told = said("bill", "village-2", "--day", "2016-06-19", "--records", str(records), folder=tmp_path, check=2)
    assert "time_ambiguous" in told
    assert told.endswith("Name it by when it begins: 2016-06-18T22:00:00Z, 2016-06-18T23:00:00Z.")


@pytest.mark.parametrize(
    ("zone", "date"),
    [(None, "2016-06-19"), ("Pacific/Kiritimati", "2016-06-20")],
)
def test_dates_are_those_of_the_records_zone_and_utc_without_one(
    traded: Path, tmp_path: Path, zone: str | None, date: str
) -> None:
    records = Path(shutil.copy(traded / "out/week/market.sqlite", tmp_path))
    with sqlite3.connect(records) as database:
        database.execute("DELETE FROM run_info WHERE name = 'time_zone'")
        if zone is not None:
            database.execute("INSERT INTO run_info VALUES ('time_zone', ?)", [zone])
    database.close()
    told = printed("bill", "village-2", "--day", date, "--records", records, folder=tmp_path)
    assert told.startswith(f"Bill of village-2, day {date}\n")
