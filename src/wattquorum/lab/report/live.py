"""Live: how real nodes agreed on every block, who led, and what a client waited for.

Who led when, and powers, are facts of the chain. What a client waited for is measured (`records.measured_tables`) on
one machine which all nodes share with the player, so it says what a user of that machine sees and is no benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from wattquorum.foundation.quantities import VotingPower
from wattquorum.lab.report.markup import Section, behind, chart, table
from wattquorum.lab.report.week import Week
from wattquorum.records import measured_tables as m
from wattquorum.records import tables as t
from wattquorum.records import voting_tables as v
from wattquorum.records.database import AnyRow
from wattquorum.standing.power import quorum_sizes

PERCENTILES = (50, 90, 99, 100)


class Made(NamedTuple):
    """A block: who proposed it, by number, in which term, its transactions and bytes, and what was waited [us]."""

    height: int
    leader: int
    term: int
    transactions: int
    size_bytes: int
    took_us: int


class Reign(NamedTuple):
    """The blocks of a term."""

    term: int
    leader: int
    blocks: list[Made]


class Found(NamedTuple):
    """What there is to tell, with nodes by their number."""

    names: list[str]  # of those who run them
    nodes: list[AnyRow]
    blocks: list[Made]
    reigns: list[Reign]
    versions: list[tuple[int, list[int]]]  # from which block on, and the power of each
    completed: list[int]


def live(week: Week, trial: str) -> Section:
    """Leaders, what a client waited, blocks and bytes, voting power; then what was tried beside the run."""
    found = _found(week)
    body = (
        chart("live-time", "What a client waited for every block, by leader", height=380)
        + table("What a client waited for a block", WAITED_HEADINGS, _waited(found), sides="lrrrrrr")
        + table("Terms and leaders", REIGN_HEADINGS, _reigns(found), sides="rlrrrrr")
        + trial
        + behind("The tables behind it", _versions(found) + _nodes(found))
    )
    return Section("consensus", "Consensus", "How the nodes agreed", _lead(week, found), body, _data(week, found))


def _found(week: Week) -> Found:
    replicas = week.rows(select(m.replicas_measured).order_by(m.replicas_measured.c.number))
    number_of = {row.replica: row.number for row in replicas}
    sizes = {row.height: (row.transactions, row.size_bytes) for row in week.rows(select(t.blocks))}
    blocks = [
        Made(row.height, number_of[row.leader], row.term, *sizes[row.height], row.took_us)
        for row in week.rows(select(m.answers_measured).order_by(m.answers_measured.c.height))
    ]
    reigns: list[Reign] = []
    for block in blocks:
        if not reigns or reigns[-1].term != block.term:
            reigns.append(Reign(block.term, block.leader, []))
        reigns[-1].blocks.append(block)
    versions: dict[int, tuple[int, list[int]]] = {}
    for row in week.rows(select(v.vectors).order_by(v.vectors.c.version)):
        versions.setdefault(row.version, (row.height, [0] * len(replicas)))[1][number_of[row.replica]] = row.power
    followers = [row.followers for row in week.rows(select(v.rounds.c.followers))]
    ended = {row.replica: row for row in week.rows(select(m.nodes_measured))}
    return Found(
        [week.name_of[row.member] for row in replicas],
        [ended[row.replica] for row in replicas],
        blocks,
        reigns,
        [version for _, version in sorted(versions.items())],
        [sum(row.replica in each for each in followers) for row in replicas],
    )


def _lead(week: Week, found: Found) -> str:
    engine = week.run.get("consensus_engine", "")
    took = sorted(block.took_us for block in found.blocks[1:]) or [found.blocks[0].took_us]
    gone = sum(not node.running for node in found.nodes)
    transactions = sum(block.transactions for block in found.blocks)
    size = sum(block.size_bytes for block in found.blocks)
    changes = len(found.reigns) - 1
    return (
        f"{len(found.nodes)} nodes, a process each on one machine, agreed on {len(found.blocks):,} blocks by {engine}: "
        f"{transactions:,} transactions of {size:,} bytes. {_led(changes)} The client that played waited "
        f"{_ms(_rank(took, 50))} ms for a block in the median, from the signed transactions to the decided and "
        "executed block, over TLS between nodes and with a sync of the disk at each of them; for the first one "
        f"{_ms(found.blocks[0].took_us)} ms, while nodes started and elected their first leader. "
        + (
            f"{gone} of the nodes had ended before the week did; the others have the same state, compared at the end."
            if gone
            else "At the end all nodes had the same state, and the player, which executed every block again, too."
        )
    )


def _led(changes: int) -> str:
    if not changes:
        return "One of them led from the first block to the last."
    return "Leadership changed once." if changes == 1 else f"Leadership changed {changes:,} times."


WAITED_HEADINGS = ("blocks", "count", *(f"{each} % [ms]" for each in PERCENTILES[:-1]), "slowest [ms]", "bytes")


def _waited(found: Found) -> list[list[str | int]]:
    """Percentiles over all blocks but the first, and over those of a leader's."""
    kinds = [("all but the first", found.blocks[1:])]
    for number, name in enumerate(found.names):
        own = [block for block in found.blocks[1:] if block.leader == number]
        if own:
            kinds.append((f"led by {name}", own))
    rows: list[list[str | int]] = []
    for name, blocks in kinds:
        took = sorted(block.took_us for block in blocks)
        if took:
            size = sum(block.size_bytes for block in blocks)
            rows.append([name, len(took), *(_ms(_rank(took, each)) for each in PERCENTILES), f"{size:,}"])
    return rows


REIGN_HEADINGS = ("term", "leader", "from block", "to block", "waited for its first [ms]", "median [ms]", "power [%]")


def _reigns(found: Found) -> list[list[str | int]]:
    rows: list[list[str | int]] = []
    for reign in found.reigns:
        first, last = reign.blocks[0], reign.blocks[-1]
        powers = [powers for height, powers in found.versions if height < first.height][-1]
        took = sorted(block.took_us for block in reign.blocks)
        rows.append(
            [
                reign.term,
                found.names[reign.leader],
                first.height,
                last.height,
                _ms(first.took_us),
                _ms(_rank(took, 50)),
                _percent(powers[reign.leader], sum(powers)),
            ]
        )
    return rows


def _versions(found: Found) -> str:
    rows: list[list[str | int]] = []
    for number, (height, powers) in enumerate(found.versions):
        sizes = quorum_sizes([VotingPower(power) for power in powers])
        shares = [_percent(power, sum(powers)) for power in powers]
        rows.append([number, height, *shares, f"{sizes.fewest} to {sizes.most}"])
    headings = ["version", "from block", *(f"{name} [%]" for name in found.names), "a quorum may have"]
    return table("Voting power by version", headings, rows, sides="r" * len(headings))


def _nodes(found: Found) -> str:
    rows = [
        [
            name,
            sum(block.leader == number for block in found.blocks),
            found.completed[number],
            "yes" if node.running else "no",
            node.height if node.height is not None else "",
            node.replica,
        ]
        for number, (name, node) in enumerate(zip(found.names, found.nodes, strict=True))
    ]
    headings = ["run by", "blocks proposed", "quorums completed", "ran to the end", "blocks then", "replica"]
    return table("Nodes", headings, rows, sides="lrrlrl")


def _rank(ascending: Sequence[int], percent: int) -> int:
    return ascending[(len(ascending) * percent - 1) // 100]


def _ms(took_us: int) -> str:
    return f"{took_us // 1_000:,}.{took_us // 100 % 10}"


def _percent(part: int, whole: int) -> str:
    return f"{part * 10_000 // whole / 100:.2f}"


def _data(week: Week, found: Found) -> dict[str, Any]:
    """Blocks as [block, leader, us, transactions, bytes, day's label], and where another came to lead."""
    times = week.block_times()
    return {
        "names": found.names,
        "answers": [
            [
                block.height,
                block.leader,
                block.took_us,
                block.transactions,
                block.size_bytes,
                week.moment(times[block.height]),
            ]
            for block in found.blocks
        ],
        "changes": [reign.blocks[0].height for reign in found.reigns[1:]],
    }
