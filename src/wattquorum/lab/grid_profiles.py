"""Grid profiles: what the units of a grid that are no members' inject and withdraw, interval by interval.

A profile is per unit of a rating (`p_specified`, `q_specified`); here it becomes whole watt-hours by the same rounding
as the members' readings were made: to the nearest Wh, halves up, and what lies just below zero is zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from wattquorum.foundation.intervals import MS_PER_MINUTE, Window, format_moment
from wattquorum.foundation.quantities import MS_PER_HOUR
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.flow import Exchange, Floats, exchange_of, whole
from wattquorum.grid.network import Network

START: Final = "interval_start"
TIMES_RATING_MAX: Final = 10  # a profile beyond it is no share of a rating, but in W or percent
NO_PROFILES_REMEDY: Final = "Name a file of profiles with --grid-profiles, or let its units run at their ratings."


@dataclass(frozen=True, slots=True)
class GridProfiles:
    """Profiles by name, per unit, one value for each interval from `start_ms` on."""

    start_ms: int
    length_ms: int
    values: Mapping[str, Floats]

    def over(self, name: str, window: Window) -> Floats:
        """A profile over a window [intervals]; Refused("grid_profile_missing") where it has no values."""
        first, rest = divmod(window.start_ms - self.start_ms, self.length_ms)
        found = self.values.get(name)
        if found is None:
            raise Refused("grid_profile_missing", "profile", name, "" if self.values else NO_PROFILES_REMEDY)
        if rest or first < 0 or first + window.intervals > found.size or window.length_ms != self.length_ms:
            raise Refused("grid_profile_missing", name, format_moment(window.start_ms), self._covers)
        return found[first : first + window.intervals]

    @property
    def _covers(self) -> str:
        count = next(iter(self.values.values())).size
        start, end = (format_moment(self.start_ms + i * self.length_ms) for i in (0, count))
        minutes = self.length_ms // MS_PER_MINUTE
        return f"The profiles cover {start} to {end} in intervals of {minutes} minutes; readings need the same."


def read_profiles(path: Path) -> GridProfiles:
    """The profiles of a Parquet file: `interval_start` (UTC), equally spaced, and a column for each profile.

    Raises Refused("file_unreadable", "intervals_missing", "column_type", "grid_value_absurd").
    """
    try:
        frame = pl.read_parquet(path)
        starts = frame[START].dt.epoch("ms").to_numpy()
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise Refused("file_unreadable", "profiles", path, f"It is no table of profiles: {fault}.") from None
    lengths = np.unique(np.diff(starts))
    if lengths.size != 1 or lengths[0] <= 0:
        raise Refused("intervals_missing", START, f"{lengths.size} lengths", "Give one row for each interval.")
    values: dict[str, Floats] = {}
    for name in frame.columns:
        if name != START:
            column = frame[name]
            if not column.dtype.is_float() or column.null_count() or not column.is_finite().all():
                raise Refused("column_type", name, str(column.dtype), "Give a finite number in each row.")
            values[name] = column.to_numpy().astype(np.float64)
            highest = float(np.abs(values[name]).max())
            if highest > TIMES_RATING_MAX:
                remedy = f"A profile is in units of the rating: 1 is p_specified, {TIMES_RATING_MAX} is the most."
                raise Refused("grid_value_absurd", name, f"{highest:g}", remedy)
    return GridProfiles(int(starts[0]), int(lengths[0]), values)


def others_exchange(network: Network, profiles: GridProfiles, window: Window) -> Exchange:
    """What every unit exchanges that runs at a profile; zero for members' units [intervals, units].

    A unit that is no member's and names no profile runs at its ratings. Raises Refused("grid_profile_missing").
    """
    hours = window.length_ms / MS_PER_HOUR
    rows = []
    for place, unit in enumerate(network.units):
        if unit.meter:
            continue
        active, reactive = (
            profiles.over(name, window) if name else np.ones(window.intervals)
            for name in (unit.p_profile, unit.q_profile or unit.p_profile)
        )
        wh = np.maximum(whole(active * unit.p_rated_w * hours), 0)
        rows.append((place, wh, reactive * unit.q_rated_var * hours))
    return exchange_of(len(network.units), window.intervals, rows)
