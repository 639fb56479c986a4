"""Grid files as a run uses them: read with all their faults, and checked against the members that are to trade on them.

A grid alone can be right and still not be the grid of these members: a meter stands nowhere in it, a unit has a meter
that nobody reads, a profile is not there for the days that are traded. All of that is told before anything is traded,
together, as faults of the grid file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.network import GridFaults, Network, read_network
from wattquorum.lab.grid_operator import DIRECTIONS, Grid
from wattquorum.lab.members import Member
from wattquorum.records.file_faults import FileFault, FileFaults, file_fault
from wattquorum.records.meter_table import MeterTable


def read_grid(path: Path) -> Network:
    """The network of a grid file; raises FileFaults with everything that `grid.network.read_network` finds."""
    try:
        return read_network(path)
    except GridFaults as found:
        faults = [file_fault(each.code, each.field, each.value, each.remedy) for each in found.faults]
        raise FileFaults(path, faults) from None


def check_grid(path: Path, grid: Grid, members: Sequence[Member], table: MeterTable, window: Window) -> None:
    """Whether these members can trade over a window on the grid of a file.

    Raises FileFaults: `grid_meter_unknown` (a member's meter that stands nowhere in the grid, or at a unit of the other
    direction), `meter_unknown` (a unit's meter that is no member's and has no readings), `grid_profile_missing` (a
    profile that is not there, or not for the whole window).
    """
    faults = [*_meter_faults(grid.network, members, table), *_profile_faults(grid, window)]
    if faults:
        raise FileFaults(path, faults)


def _meter_faults(network: Network, members: Sequence[Member], table: MeterTable) -> Iterator[FileFault]:
    members_own = {meter.meter_id for member in members for meter in member.meters}
    for member in members:
        for meter in member.meters:
            try:
                network.unit_of(meter.meter_id, generates=meter.direction == DIRECTIONS[True])
            except Refused as refused:
                remedy = f"{refused.remedy[:-1]}, or leave {member.name} out of the members."
                yield file_fault(refused.code, "meter_id", refused.value, remedy)
    read = set(table.registers)
    for unit in network.units:
        if unit.meter and unit.meter not in members_own and (unit.meter, DIRECTIONS[unit.generates]) not in read:
            remedy = "No member has it, and there are no readings of it: give its unit a p_profile instead, or nothing."
            yield file_fault("meter_unknown", f"meter_id of {unit.name}", unit.meter, remedy)


def _profile_faults(grid: Grid, window: Window) -> Iterator[FileFault]:
    names = dict.fromkeys(
        name for unit in grid.network.units if not unit.meter for name in (unit.p_profile, unit.q_profile) if name
    )
    for name in names:
        try:
            grid.profiles.over(name, window)
        except Refused as refused:
            yield file_fault(refused.code, refused.field, refused.value, refused.remedy)
