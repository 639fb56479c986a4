"""Annotations: what the chain does not know, written beside what it does.

Whoever makes the records says here where the data come from, what is measured and what modelled, and by what each
member decides. Reports read it from the records, like everything else; replaying the chain gives the rest again, and
this again when it is annotated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, insert

from wattquorum.records.database import opened, written
from wattquorum.records.tables import members_info, run_info


class MemberInfo(NamedTuple):
    """One member: its address in hexadecimal, and what it says of itself."""

    member: str
    technology: str
    strategy: str
    forecast: str


def annotate(place: str | Path, run: Mapping[str, str], members: Sequence[MemberInfo]) -> None:
    """Replaces the annotations of records; Refused("file_unreadable") when there are no records.

    Names of `run` that the report knows: title, time_zone (such as Europe/Berlin), data, forecast, tariff (a sentence
    each, shown under "What is measured and what is modelled"), seed, command. Others are listed as they are.
    """
    with opened(place) as engine, written(engine) as connection:
        connection.execute(delete(run_info))
        connection.execute(delete(members_info))
        if run:
            connection.execute(insert(run_info), [{"name": name, "value": run[name]} for name in sorted(run)])
        if members:
            connection.execute(insert(members_info), [each._asdict() for each in sorted(members)])
