"""Allotment: which of a node's contracts gets how much of what its meter counted.

Metered energy is shared among the node's contracts of the interval in proportion to what they promise, never more than
promised, largest remainder first, ties by contract id; what is left over is the node's one grid position (L-2). The
proportion is chosen: it favours no partner, and splitting a contract changes nothing but the last unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, Energy, apportion
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, highest, lowest

ENTRIES_PER_CHUNK: Final = 32_768  # the arrays of one chunk stay in a core's cache


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
        if energies.size and lowest(energies) < 0:
            raise Refused("energy_negative", field, lowest(energies))
        if energies.size and highest(energies) > ENERGY_PER_INTERVAL_MAX:
            raise Refused("out_of_range", field, highest(energies), "Give at most 1 GWh per interval.")
    if not promised.size:
        return promised.copy()

    allotted = promised.copy()
    by_node = np.argsort(node_of, kind="stable")
    counts = np.bincount(node_of, minlength=len(metered))
    first = np.cumsum(counts) - counts
    served = np.flatnonzero(counts)
    wanted = np.add.reduceat(promised[by_node], first[served], axis=0)
    short = served[(metered[served] < wanted).any(axis=1)]
    # Nodes with equally many contracts are shared out together, a few at a time: [nodes, contracts, intervals].
    for contracts in dict.fromkeys(counts[short].tolist()):
        nodes = short[counts[short] == contracts]
        rows = by_node[first[nodes][:, None] + np.arange(contracts)]
        together = max(1, ENTRIES_PER_CHUNK // max(1, contracts * promised.shape[1]))
        for i in range(0, len(nodes), together):
            chunk = rows[i : i + together]
            allotted[chunk] = _share_out(metered[nodes[i : i + together]], promised[chunk])
    return allotted


def _share_out(metered: Int64s, promises: Int64s) -> Int64s:
    """What nodes with equally many contracts allot [nodes, contracts, intervals] of what they `metered`."""
    contracts = promises.shape[1]
    if contracts == 1:
        return np.minimum(promises, metered[:, None])
    wanted = promises.sum(axis=1)
    short = metered < wanted
    # Where the meter counted enough, a share of 1/1 leaves the promise as it is and no remainder.
    available, whole = np.where(short, metered, 1), np.where(short, wanted, 1)
    parts, remainders = np.divmod(promises * available[:, None], whole[:, None])
    left = np.where(short, metered - parts.sum(axis=1), 0)
    # The `left` largest remainders get one unit more: those above the least of them, and of its equals the first.
    ranked = np.sort(np.concatenate((remainders, whole[:, None]), axis=1), axis=1)  # nothing left: least is `whole`
    nodes, intervals = np.arange(len(left))[:, None], np.arange(left.shape[1])
    least = ranked[nodes, contracts - left, intervals][:, None]
    above, equal = remainders > least, remainders == least
    parts += above
    parts += equal & (np.cumsum(equal, axis=1) <= (left - above.sum(axis=1))[:, None])
    return parts
