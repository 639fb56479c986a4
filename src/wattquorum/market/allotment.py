"""Allotment: which of a node's contracts gets how much of what its meter counted.

Metered energy is shared among the node's contracts of the interval in proportion to what they promise, never more than
promised, largest remainder first, ties by contract id; what is left over is the node's one grid position (L-2). The
proportion is chosen: it favours no partner, and splitting a contract changes nothing but the last unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, Energy, apportion
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s


def allot(metered: Energy, promises: Sequence[Energy], keys: Sequence[bytes]) -> list[Energy]:
    """One node's metered energy of one interval, shared among its contracts [Wh].

    `promises` are what the contracts promise in the interval [Wh], `keys` their ids. If the meter counted enough each
    contract gets what it promises. Raises Refused("energy_negative") for a reading below zero.
    """
    if metered < 0:
        raise Refused("energy_negative", "metered", metered)
    if metered >= sum(promises):
        return list(promises)
    return [Energy(part) for part in apportion(metered, promises, keys)]


def allot_rows(metered: Int64s, promised: Int64s, node_of: Int64s) -> Int64s:
    """`allot` for every node and interval at once: what each contract is allotted, [contracts, intervals] in Wh.

    `metered` is [nodes, intervals], `promised` [contracts, intervals], both in Wh; `node_of` is [contracts] and names
    the row of `metered` that serves the contract. Ties go to the upper row: sort rows by contract id before. Raises
    Refused("energy_negative") or Refused("out_of_range") for energies outside 0..1 GWh.
    """
    for field, energies in (("metered", metered), ("promised", promised)):
        if energies.size and int(energies.min()) < 0:
            raise Refused("energy_negative", field, int(energies.min()))
        if energies.size and int(energies.max()) > ENERGY_PER_INTERVAL_MAX:
            raise Refused("out_of_range", field, int(energies.max()), "Give at most 1 GWh per interval.")
    if not promised.size:
        return promised.copy()

    by_node = np.argsort(node_of, kind="stable")
    nodes, first_rows, serves = np.unique(node_of[by_node], return_index=True, return_inverse=True)
    promises = promised[by_node]
    wanted = np.add.reduceat(promises, first_rows, axis=0)
    available = metered[nodes]
    short = available < wanted
    if not short.any():
        return promised.copy()

    # Where the meter counted enough, a share of 1/1 leaves the promise as it is and no remainder.
    parts, remainders = np.divmod(promises * np.where(short, available, 1)[serves], np.where(short, wanted, 1)[serves])
    left = np.where(short, available, wanted) - np.add.reduceat(parts, first_rows, axis=0)
    _hand_out(parts, remainders, left, serves)
    allotted = np.empty_like(promised)
    allotted[by_node] = parts
    return allotted


def _hand_out(parts: Int64s, remainders: Int64s, left: Int64s, serves: Int64s) -> None:
    """Adds one unit to the largest remainders of each node and interval until nothing is `left` there.

    `serves` [contracts] is the row of `left` that each row of `parts` belongs to, in ascending order.
    """
    rows, intervals = np.nonzero((left > 0)[serves] & (remainders > 0))
    if not rows.size:
        return
    cells = serves[rows] * left.shape[1] + intervals
    # A stable sort by cell, then by falling remainder, leaves ties in the order of rows.
    order = np.lexsort((-remainders[rows, intervals], cells))
    cells = cells[order]
    starts = np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1])))
    rank = np.arange(len(cells)) - np.repeat(starts, np.diff(np.append(starts, len(cells))))
    lucky = order[rank < left.ravel()[cells]]
    parts[rows[lucky], intervals[lucky]] += 1
