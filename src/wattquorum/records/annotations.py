"""Annotations: what the chain does not know, written beside what it does.

Whoever makes the records says here where the data come from, what is measured and what modelled, and by what each
member decides. Reports read it from the records, like everything else; replaying the chain gives the rest again, and
this again when it is annotated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Engine, delete, insert, select

from wattquorum.foundation.refusals import Refused
from wattquorum.records.database import opened, rows_of, written
from wattquorum.records.grid_tables import grid_branches, grid_meters, grid_nodes
from wattquorum.records.tables import days, members_info, run_info


class MemberInfo(NamedTuple):
    """One member: its address in hexadecimal, and what it says of itself."""

    member: str
    technology: str
    strategy: str
    forecast: str


class GridNode(NamedTuple):
    """A node of a grid; coordinates in millionths of a degree, or none."""

    name: str
    feeder: str
    longitude_microdegrees: int | None
    latitude_microdegrees: int | None


class GridBranch(NamedTuple):
    """A line or transformer between two nodes, by their places."""

    name: str
    kind: str
    start_node: int
    end_node: int


class GridInfo(NamedTuple):
    """A grid: the digest of its file in hexadecimal, its nodes and branches in order, and meters by their node."""

    grid: str
    nodes: Sequence[GridNode]
    branches: Sequence[GridBranch]
    meters: Mapping[str, int]


ANNOTATIONS: Final = (run_info, members_info, grid_nodes, grid_branches, grid_meters)


def annotate(
    place: str | Path, run: Mapping[str, str], members: Sequence[MemberInfo], grid: GridInfo | None = None
) -> None:
    """Replaces the annotations of records; Refused("file_unreadable") when there are no records.

    Names of `run` that the report knows: title, time_zone (such as Europe/Berlin), data, forecast, tariff (a sentence
    each, shown under "What is measured and what is modelled"), seed, command. Others are listed as they are.
    """
    with opened(place) as engine, written(engine) as connection:
        for each in ANNOTATIONS:
            connection.execute(delete(each))
        if run:
            connection.execute(insert(run_info), [{"name": name, "value": run[name]} for name in sorted(run)])
        if members:
            connection.execute(insert(members_info), [member._asdict() for member in sorted(members)])
        if grid is not None:
            key = {"grid": grid.grid}
            nodes = [{**key, "node": i, **node._asdict()} for i, node in enumerate(grid.nodes)]
            branches = [{**key, "branch": i, **branch._asdict()} for i, branch in enumerate(grid.branches)]
            meters = [{**key, "meter": meter, "node": grid.meters[meter]} for meter in sorted(grid.meters)]
            for table, rows in ((grid_nodes, nodes), (grid_branches, branches), (grid_meters, meters)):
                if rows:
                    connection.execute(insert(table), rows)


def time_zone(engine: Engine) -> ZoneInfo:
    """The zone in which people read these records: the annotation time_zone, or UTC where there is none."""
    found = rows_of(engine, select(run_info.c.value).where(run_info.c.name == "time_zone"))
    name = found[0].value if found else "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as fault:
        raise Refused("out_of_range", "time_zone", name, "Name a zone such as Europe/Berlin.") from fault


def day_dates(engine: Engine) -> dict[int, date]:
    """The local date of every delivery day by its start [ms UTC], in their order: that of the day's middle.

    The middle, because without a zone a day that begins at a midnight east of Greenwich begins on the date before.
    """
    zone = time_zone(engine)
    query = select(days.c.day_start_ms, days.c.end_ms).order_by(days.c.day_start_ms)
    return {start: _local_date((start + end) // 2, zone) for start, end in rows_of(engine, query)}


def _local_date(moment_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).astimezone(zone).date()
