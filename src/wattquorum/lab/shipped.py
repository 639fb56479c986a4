"""The data that WattQuorum ships: a fortnight of 30 real meters, their members and their grid.

It stands apart because it alone knows where the files lie. They are a derivative database of SimBench under the Open
Database License 1.0 (`NOTICE.txt` beside them), made by `scripts/extract_simbench.py`: 6 to 19 June 2016, German
local time, in quarters of an hour. The profiles are SimBench's, few for many units: seven of the ten villages are
equal, the three low-voltage feeders are equal, and so are two of the wind parks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from wattquorum.foundation.intervals import QUARTER_HOUR, parse_moment
from wattquorum.grid.curtailment import Limits
from wattquorum.grid.network import Network
from wattquorum.lab.grid_files import read_grid
from wattquorum.lab.grid_operator import Grid
from wattquorum.lab.grid_profiles import GridProfiles, read_profiles
from wattquorum.lab.members import Member, energy_limits, read_members
from wattquorum.records.meter_files import read_meter_file
from wattquorum.records.meter_table import MeterTable

WEEK: Final = "week.parquet"
MEMBERS: Final = "members.toml"
GRID: Final = "grid.json"
GRID_PROFILES: Final = "grid_profiles.parquet"
NOTICE: Final = "NOTICE.txt"
HISTORY_START: Final = parse_moment("2016-06-06T00:00:00+02:00")
TRADED_START: Final = parse_moment("2016-06-13T00:00:00+02:00")
END: Final = parse_moment("2016-06-20T00:00:00+02:00")


@contextmanager
def shipped_file(name: str) -> Iterator[Path]:
    """The path of a shipped file, for as long as the context lasts."""
    with resources.as_file(resources.files("wattquorum.lab").joinpath("data", name)) as path:
        yield path


def shipped_members() -> tuple[Member, ...]:
    """The 30 members: 15 generators and 15 consumers of the SimBench grid, each with its one meter."""
    with shipped_file(MEMBERS) as path:
        return read_members(path)


def shipped_week() -> MeterTable:
    """The readings of the 30 meters over the fortnight, checked like anybody's file."""
    limits = energy_limits(shipped_members(), QUARTER_HOUR)
    with shipped_file(WEEK) as path:
        return read_meter_file(path, meters=limits, limits_wh=limits)


def shipped_network() -> Network:
    """The whole medium-voltage grid, checked like anybody's file."""
    with shipped_file(GRID) as path:
        return read_grid(path)


def shipped_profiles() -> GridProfiles:
    """The profiles of the units that are no members', over the fortnight."""
    with shipped_file(GRID_PROFILES) as path:
        return read_profiles(path)


def shipped_grid(limits: Limits) -> Grid:
    """The network, what its units do that are no members', and what its operator plans with."""
    return Grid(shipped_network(), shipped_profiles(), limits)
