"""Makes the data that WattQuorum ships: two weeks of 30 meters and their grid, out of the SimBench database.

    python scripts/extract_simbench.py [--wheel PATH] [--out FOLDER] [--check]

Input is the pinned `simbench` wheel, checked by its SHA-256 and fetched with pip by its name when no path is given.
Output is `week.parquet`, `members.toml`, `grid.json`, `grid_profiles.parquet` and `NOTICE.txt`; `--check` makes them
in a temporary folder and compares them with those in the output folder. With the locked polars the bytes are the
same on every run.

What was chosen: the grid `1-MV-rural--1-sw` (subnet MV1.101); as generators its 12 own units and the three largest
aggregated low-voltage feeders, treated as photovoltaics; as consumers the five medium-voltage customers and ten
villages (aggregated low-voltage grids: the first of each profile, then the largest); 6-19 June 2016, local German
time. The equivalent load of the high-voltage grid, the storages and the profiles' reactive part of members are left
out. Energy is the profile [p.u.] x rated power [MW] x 0.25 h, computed exactly and rounded once to the nearest Wh,
halves up. Where three wind parks draw their own use in a calm (21 readings, 85 Wh in all), injection is zero: a
register never runs backward.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from simbench_grid import Row, Tables, Topology, grid_model, trace

VERSION = "1.6.3"
WHEEL_NAME = f"simbench-{VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "8b48bdab2445286a96649eb18bb09476d000a0e212fd57fdba83399df54af4de"
FOLDER = "simbench/networks/1-complete_data-mixed-all-1-sw/"
SUBNET = "MV1.101"
ZONE = ZoneInfo("Europe/Berlin")
QUARTER = timedelta(minutes=15)
START = datetime(2016, 6, 6, tzinfo=ZONE).astimezone(UTC)
TRADED_START = datetime(2016, 6, 13, tzinfo=ZONE).astimezone(UTC)
END = datetime(2016, 6, 20, tzinfo=ZONE).astimezone(UTC)
TRADED_KWH = {"injection": 200_363, "withdrawal": 176_214}
TRADED_INTERVALS = 672
MEMBERS_A_SIDE = 15
# Members whose profile another member shares trade by a naive strategy or a rule, so that the report can compare.
STRATEGIES = {
    "wind-8": 'strategy = "forecast"',
    "lv-pv-3": 'strategy = "forecast"',
    "lv-pv-4": 'strategy = "history"',
    "village-75": 'strategy = "forecast"',
    "village-77": 'strategy = "history"',
    "village-78": '[member.recurring]\nshare_of_forecast = 0.8\nprice_max = "0.60 CNY/kWh"',
}
UNITS = (102, 95)
WEEK_BYTES_MAX = 260_000
OWN_USE_WH_MAX = 10
TECHNOLOGIES = {
    "Wind_MV": "wind",
    "Biomass_MV": "biomass",
    "PV_MV": "pv",
    "Hydro_MV": "hydro",
    "lv_RES": "lv-feeder-pv",
}
NAMES = {"lv-feeder-pv": "lv-pv", "mv-customer": "customer"}

OUTPUT = Path(__file__).resolve().parent.parent / "src" / "wattquorum" / "lab" / "data"


@dataclass(frozen=True)
class Trader:
    """One member of the extract: its unit in SimBench and what becomes of it."""

    name: str
    meter_id: str
    direction: str
    technology: str
    feeder: str
    profile: str
    rated_mw: Decimal
    limit_w: int
    power_factor_ppm: int
    simbench_id: str


class Database:
    """SimBench's `;`-separated tables inside the wheel."""

    def __init__(self, wheel: Path) -> None:
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise SystemExit(f"{wheel} is not {WHEEL_NAME}: its SHA-256 is {found}, not {WHEEL_SHA256}.")
        self.archive = zipfile.ZipFile(wheel)

    def table(self, name: str) -> list[dict[str, str]]:
        """A whole table as texts."""
        with self.archive.open(f"{FOLDER}{name}.csv") as file:
            return list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""), delimiter=";"))

    def profiles(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        """Profile columns of the fortnight as texts, with `interval_start` (UTC)."""
        text = self.archive.read(f"{FOLDER}{name}.csv")
        whole = pl.read_csv(text, separator=";", columns=["time", *columns], infer_schema=False)
        moments = utc(whole["time"].to_list())
        first, count = moments.index(START), (END - START) // QUARTER
        part = whole.slice(first, count).drop("time")
        starts = pl.Series("interval_start", moments[first : first + count], dtype=pl.Datetime("ms", "UTC"))
        return part.select(columns).insert_column(0, starts)


def utc(local: Sequence[str]) -> list[datetime]:
    """German local times with daylight saving, in order, as UTC: without a gap over the whole year, or an error."""
    moments: list[datetime] = []
    for text in local:
        first = datetime.strptime(text, "%d.%m.%Y %H:%M").replace(tzinfo=ZONE)
        moment = first.astimezone(UTC)
        if moments and moment <= moments[-1]:  # the hour that exists twice: this is its second pass
            moment = first.replace(fold=1).astimezone(UTC)
        if moments and moment - moments[-1] != QUARTER:
            raise ValueError(f"{text} does not follow {moments[-1]} by a quarter of an hour")
        moments.append(moment)
    return moments


def grid_tables(database: Database) -> dict[str, list[dict[str, str]]]:
    """The tables of the medium-voltage grid alone, without the equivalent load of the grid above it."""
    tables = {
        name: database.table(name)
        for name in ("Coordinates", "LineType", "TransformerType", "Node", "Line", "Switch", "Transformer")
    }
    tables |= {name: database.table(name) for name in ("ExternalNet", "RES", "Load")}
    for name in ("Node", "Switch"):
        tables[name] = [row for row in tables[name] if SUBNET in row["subnet"].split("_")]
    for name in ("Line", "Transformer", "ExternalNet", "RES", "Load"):
        tables[name] = [row for row in tables[name] if row["subnet"].split("_")[0] == SUBNET]
    tables["Load"] = [row for row in tables["Load"] if row["id"].startswith(SUBNET)]
    if (len(tables["RES"]), len(tables["Load"])) != UNITS:
        raise ValueError(f"the grid has {len(tables['RES'])} generators and {len(tables['Load'])} loads, not {UNITS}")
    return tables


def chosen_units(tables: Tables) -> tuple[list[Row], list[Row]]:
    """The 15 generators and the 15 consumers; `sorted` keeps the database's order among equals."""
    own = [row for row in tables["RES"] if row["type"] != "lv_RES"]
    feeders = [row for row in tables["RES"] if row["type"] == "lv_RES"]
    largest = sorted(feeders, key=lambda row: -Decimal(row["pRES"]))
    generators = [*own, *largest[: MEMBERS_A_SIDE - len(own)]]

    customers = [row for row in tables["Load"] if not row["profile"].startswith("lv_")]
    villages = [row for row in tables["Load"] if row["profile"].startswith("lv_")]
    first_of_profile = {row["profile"]: row for row in reversed(villages)}
    ordered = [row for row in villages if first_of_profile[row["profile"]] is row]
    ordered += sorted(villages, key=lambda row: -Decimal(row["pLoad"]))
    distinct = {row["id"]: row for row in [*customers, *ordered]}
    return generators, list(distinct.values())[:MEMBERS_A_SIDE]


def power_factor_ppm(p: Decimal, q: Decimal) -> int:
    """p / sqrt(p^2 + q^2) in parts per million, toward zero."""
    whole_p, whole_q = int(p * 1_000_000), int(q * 1_000_000)
    return math.isqrt(whole_p * whole_p * 10**12 // (whole_p * whole_p + whole_q * whole_q))


def trader(row: Row, topology: Topology) -> Trader:
    """A unit as a member: named by its technology and its number in SimBench."""
    injects = "pRES" in row
    technology = TECHNOLOGIES[row["type"]] if injects else "mv-customer"
    if not injects and row["profile"].startswith("lv_"):
        technology = "village"
    p, q = ("pRES", "qRES") if injects else ("pLoad", "qLoad")
    return Trader(
        name=f"{NAMES.get(technology, technology)}-{row['id'].rsplit(' ', 1)[1]}",
        meter_id=row["id"].replace(" ", "-"),
        direction="injection" if injects else "withdrawal",
        technology=technology,
        feeder=topology.feeder_of[topology.node_of[row["node"]]],
        profile=row["profile"],
        rated_mw=Decimal(row[p]),
        limit_w=int(Decimal(row["sR"]) * 1_000_000),
        power_factor_ppm=power_factor_ppm(Decimal(row[p]), Decimal(row[q])),
        simbench_id=row["id"],
    )


def energy_wh(per_unit: str, rated_mw: Decimal) -> int:
    """p.u. x MW x 0.25 h, exactly, rounded to the nearest Wh, halves up."""
    return int((Decimal(per_unit) * rated_mw * 250_000).to_integral_value(ROUND_HALF_UP))


def week(database: Database, traders: Sequence[Trader]) -> pl.DataFrame:
    """The meter table: one row for each meter and quarter of an hour, in the form of a WattQuorum meter file."""
    injecting = [t for t in traders if t.direction == "injection"]
    withdrawing = [t for t in traders if t.direction == "withdrawal"]
    res = database.profiles("RESProfile", sorted({t.profile for t in injecting}))
    load = database.profiles("LoadProfile", sorted({t.profile + "_pload" for t in withdrawing}))
    if not res["interval_start"].equals(load["interval_start"]):
        raise ValueError("the two profile tables do not cover the same quarters of an hour")
    frames = []
    for t in sorted(traders, key=lambda t: t.meter_id):
        values = res[t.profile] if t.direction == "injection" else load[t.profile + "_pload"]
        energies = [energy_wh(value, t.rated_mw) for value in values.to_list()]
        if min(energies) < -OWN_USE_WH_MAX or max(energies) * 4 > t.limit_w:
            raise ValueError(f"{t.simbench_id}: {min(energies)}..{max(energies)} Wh do not fit {t.limit_w} W")
        energies = [max(0, energy) for energy in energies]
        table = "RESProfile" if t.direction == "injection" else "LoadProfile"
        frames.append(
            pl.DataFrame({"interval_start": res["interval_start"]}).select(
                pl.lit(t.meter_id).alias("meter_id"),
                "interval_start",
                (pl.col("interval_start") + QUARTER).alias("interval_end"),
                pl.lit(t.direction).alias("direction"),
                pl.Series("energy_wh", energies, dtype=pl.Int64),
                pl.lit("measured").alias("quality"),
                pl.lit(f"simbench {VERSION} {table} {t.profile}").alias("source"),
            )
        )
    return pl.concat(frames)


def check_sums(frame: pl.DataFrame) -> None:
    """Holds the traded week against the sums that are known for it."""
    traded = frame.filter(pl.col("interval_start") >= TRADED_START)
    if traded["interval_start"].n_unique() != TRADED_INTERVALS or frame.height != 2 * TRADED_INTERVALS * 30:
        raise ValueError("the extract does not have two weeks of 672 quarters of an hour for 30 meters")
    for direction, kwh in TRADED_KWH.items():
        wh = traded.filter(pl.col("direction") == direction)["energy_wh"].sum()
        if (wh + 500) // 1000 != kwh:
            raise ValueError(f"{direction}: {wh} Wh from 13 to 19 June are not {kwh} kWh")


def others_profiles(database: Database, tables: Tables, members: set[str]) -> pl.DataFrame:
    """The profiles [p.u.] of the grid's units that are not members, one column for each that grid.json names."""
    res = sorted({row["profile"] for row in tables["RES"] if row["id"] not in members})
    load = sorted({row["profile"] for row in tables["Load"] if row["id"] not in members})
    generation = database.profiles("RESProfile", res)
    demand = database.profiles("LoadProfile", [f"{name}_{part}load" for name in load for part in "pq"])
    number = pl.Float64
    return pl.concat(
        [
            generation.select("interval_start", *(pl.col(n).cast(number).alias(f"generation_{n}") for n in res)),
            demand.select(
                pl.col(f"{n}_{part}load").cast(number).alias(f"load_{part}_{n}") for n in load for part in "pq"
            ),
        ],
        how="horizontal",
    )


def power(watts: int) -> str:
    """Whole watts as people write them."""
    unit, scale = ("MW", 1_000_000) if watts >= 1_000_000 else ("kW", 1_000)
    return f"{(Decimal(watts) / scale).normalize():f} {unit}"


def members_toml(traders: Sequence[Trader]) -> str:
    """The 30 members in the form of a WattQuorum members file."""
    head = (
        "# The 30 members of the shipped fortnight, one unit of the SimBench grid 1-MV-rural--1-sw each.\n"
        "# limit = sR, power_factor = from qLoad / pLoad, feeder = from the grid's topology, ring points open.\n"
        "# Derived from the SimBench database, Open Database License 1.0: see NOTICE.txt.\n"
        "# Strategies are WattQuorum's: quantile by default; six members whose profile another member shares trade\n"
        "# by a naive strategy or by a recurring rule, so that the report can compare them.\n"
    )
    parts = [head]
    for t in traders:
        factor = (Decimal(t.power_factor_ppm) / 1_000_000).normalize()
        strategy = STRATEGIES.get(t.name, "")
        rule = f"\n{strategy}\n" if strategy.startswith("[") else ""
        chosen = f"{strategy}\n" if strategy and not rule else ""
        parts.append(
            f"\n# SimBench: {t.simbench_id}\n"
            f'[[member]]\nname = "{t.name}"\nowner = "{t.name}"\n{chosen}{rule}\n'
            f'[[member.meters]]\nmeter_id = "{t.meter_id}"\ndirection = "{t.direction}"\nfeeder = "{t.feeder}"\n'
            f'limit = "{power(t.limit_w)}"\ntechnology = "{t.technology}"\npower_factor = {factor:f}\n'
        )
    return "".join(parts)


def grid_json(model: Mapping[str, object]) -> str:
    """JSON with one component a line, so that a change can be read."""
    data = model["data"]
    assert isinstance(data, dict)
    head = json.dumps({key: value for key, value in model.items() if key != "data"})[:-1]
    kinds = []
    for kind, rows in data.items():
        lines = ",\n".join(json.dumps(row) for row in rows)
        kinds.append(f'"{kind}": [\n{lines}\n]')
    return head + ', "data": {\n' + ",\n".join(kinds) + "\n}}\n"


NOTICE = f"""\
The data in this folder are a derivative database of SimBench
=============================================================

week.parquet, members.toml, grid.json and grid_profiles.parquet contain information from the database SimBench
(https://www.simbench.net), taken from the Python package simbench {VERSION}
(https://github.com/e2nIEE/simbench), which is made available under the Open Database License (ODbL) 1.0:
https://opendatacommons.org/licenses/odbl/1.0/

Any rights in individual contents of the database are licensed under the Database Contents License:
https://opendatacommons.org/licenses/dbcl/1.0/

This derivative database is itself made available under the Open Database License 1.0, its contents under the
Database Contents License 1.0. Whoever passes it on, changed or not, keeps this notice with it and passes it on under
the same licence. WattQuorum's program code is not part of the database; it has a licence of its own.

Copyright of the original database: (c) 2019-2026 by University of Kassel, TU Dortmund, RWTH Aachen University and
Fraunhofer Institute for Energy Economics and Energy System Technology (IEE) Kassel and individual contributors.
Lead developer: Steffen Meinecke. Main contributors (grid data): Simon Drauz, Annika Klettke, Dzanan Sarajlic,
Julian Sprey, Christian Spalthoff, Chris Kittl. Coordination: Martin Braun, Lars-Peter Lauven, Tanja Kneiske,
Albert Moser, Christian Rehtanz. Further contributors: https://github.com/e2nIEE/simbench/graphs/contributors

What was changed
----------------
- Only the grid 1-MV-rural--1-sw (subnet {SUBNET}) was taken, and of its profiles only 6 to 19 June 2016, German local
  time, turned into UTC. Its storages and the equivalent load of the high-voltage grid (HV1_MV1.101_load) were left
  out.
- week.parquet: of 15 generators and 15 consumers, profile [per unit] x rated power [MW] x 0.25 h, rounded to the
  nearest Wh, halves up; 21 readings of wind parks just below zero (85 Wh in all) set to zero.
- members.toml: the same 30 units as members; connection limit = sR, power factor from qLoad and pLoad, feeder found
  from lines and switches with the substation's busbars taken out; the names of members are ours.
- grid.json: all 102 generators and 95 loads, lines, transformers and nodes in SI units as input of power-grid-model;
  auxiliary nodes folded into their busbars, switches turned into the status of line ends, line and transformer
  types multiplied out.
- grid_profiles.parquet: the profiles [per unit] of the units that are not among the 30.

The exact steps are those of scripts/extract_simbench.py, of which this folder is the output.
"""


def extract(wheel: Path, out: Path) -> None:
    """Makes every file of the extract in `out`."""
    database = Database(wheel)
    tables = grid_tables(database)
    topology = trace(tables)
    generators, consumers = chosen_units(tables)
    traders = [trader(row, topology) for row in [*generators, *consumers]]
    frame = week(database, traders)
    check_sums(frame)
    meter_of = {t.simbench_id: t.meter_id for t in traders}
    out.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(out / "week.parquet", compression="zstd", compression_level=19, statistics=False)
    others_profiles(database, tables, set(meter_of)).write_parquet(
        out / "grid_profiles.parquet", compression="zstd", compression_level=19, statistics=False
    )
    (out / "members.toml").write_text(members_toml(traders), encoding="utf-8")
    (out / "grid.json").write_text(grid_json(grid_model(tables, topology, meter_of)), encoding="utf-8")
    (out / "NOTICE.txt").write_text(NOTICE, encoding="utf-8")
    if (size := (out / "week.parquet").stat().st_size) > WEEK_BYTES_MAX:
        raise ValueError(f"week.parquet has {size} bytes, more than {WEEK_BYTES_MAX}")


def compare(made: Path, shipped: Path) -> None:
    """Ends with an error when a file in `shipped` holds something else than the same file in `made`."""
    for path in sorted(made.iterdir()):
        other = shipped / path.name
        same = other.exists() and (
            pl.read_parquet(path).equals(pl.read_parquet(other))
            if path.suffix == ".parquet"
            else path.read_bytes() == other.read_bytes()
        )
        if not same:
            raise SystemExit(f"{other} is not what the wheel gives.")
        print(f"{path.name}: as the wheel gives it, {other.stat().st_size} bytes")


def main() -> None:
    """Reads the arguments, fetches the wheel when none is given, and makes or checks the extract."""
    parser = argparse.ArgumentParser(description="Makes the shipped extract from the pinned simbench wheel.")
    parser.add_argument("--wheel", type=Path, help=f"{WHEEL_NAME}; fetched with pip when not given")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="compare with the files in --out, change nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = arguments.wheel
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch, f"simbench=={VERSION}"]
            subprocess.run(command, check=True)
            wheel = Path(scratch) / WHEEL_NAME
        if arguments.check:
            made = Path(scratch) / "made"
            extract(wheel, made)
            compare(made, arguments.out)
        else:
            extract(wheel, arguments.out)
            for path in sorted(arguments.out.iterdir()):
                print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
