"""Consensus: how replicas agreed on every block, with whose votes, and how long it took in their simulated world.

Everything is from `records.measured_tables`; where nothing was measured, one sequencer ordered, or nobody told. Powers
and quorums follow from the chain; times do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from wattquorum.foundation.quantities import VotingPower
from wattquorum.lab.report.live import live
from wattquorum.lab.report.markup import Section, behind, chart, paragraph, table
from wattquorum.lab.report.week import Week
from wattquorum.records import measured_tables as m
from wattquorum.records import tables as t
from wattquorum.records.database import AnyRow
from wattquorum.standing.power import QuorumSizes, quorum_sizes


class Version(NamedTuple):
    """A version of voting powers: the block that it was computed from, and each replica's power, by number."""

    height: int
    powers: list[int]

    @property
    def sizes(self) -> QuorumSizes:
        """The fewest and the most replicas that a quorum needs."""
        return quorum_sizes([VotingPower(power) for power in self.powers])


class Found(NamedTuple):
    """What was measured, with replicas by their number."""

    replicas: list[AnyRow]
    number_of: dict[str, int]
    names: list[str]  # of those who run them
    elections: list[AnyRow]
    rounds: list[AnyRow]
    versions: list[Version]
    completed: list[int]  # quorums that each replica completed as a follower
    proposed: list[int]  # blocks that each proposed


def consensus(week: Week) -> Section:
    """Elections, time per round, quorums, and voting power over time."""
    title = "How the replicas agreed"
    if not week.count(m.replicas_measured):
        return Section("consensus", "Consensus", "Who ordered the blocks", "", paragraph(_alone(week)), {})
    if week.count(m.nodes_measured):
        return live(week, _trial(week))
    found = _found(week)
    rows = max(220, 110 + 19 * len(found.replicas))
    body = (
        chart("consensus-time", "Consensus time of every block, by leader", height=380)
        + "<h3>Replicas in each quorum</h3>"
        + chart("consensus-size", "How many replicas completed the quorum for each block", height=230)
        + table("Elections and leaders", ELECTION_HEADINGS, _elections(found), sides="rlrrrrr")
        + "<h3>Voting power over time</h3>"
        + (
            paragraph(f"All {len(found.replicas)} replicas had the same power from the first block to the last.")
            if all(len(set(version.powers)) == 1 for version in found.versions)
            else chart("consensus-power", "Voting power of every replica in every version of powers", height=rows)
        )
        + "<h3>Who completed quorums</h3>"
        + chart("consensus-replies", "Quorums that each replica completed, and blocks that it proposed", height=rows)
        + _trial(week)
        + behind("The tables behind it", _by_version(found) + _by_replica(found))
    )
    return Section("consensus", "Consensus", title, _lead(week, found), body, _data(week, found))


def _alone(week: Week) -> str:
    """One line where no consensus was measured."""
    proposers = {row.proposer for row in week.rows(select(t.blocks.c.proposer))}
    blocks = f"{week.chain.height:,} blocks"
    if len(proposers) == 1 and week.run:
        return f"One sequencer ordered all {blocks}: nobody voted, and there was nothing to agree on."
    ordered = f"{blocks} by {len(proposers)} {'proposer' if len(proposers) == 1 else 'proposers'}"
    return f"{ordered}: how long replicas may have taken to agree is no fact of the chain, and was not recorded here."


def _found(week: Week) -> Found:
    replicas = week.rows(select(m.replicas_measured).order_by(m.replicas_measured.c.number))
    number_of = {row.replica: row.number for row in replicas}
    powers = m.powers_measured
    versions: dict[int, Version] = {}
    for row in week.rows(select(powers).order_by(powers.c.version)):
        version = versions.setdefault(row.version, Version(row.height, [0] * len(replicas)))
        version.powers[number_of[row.replica]] = row.power
    rounds = week.rows(select(m.rounds_measured).order_by(m.rounds_measured.c.height))
    answered = Counter(number_of[row.replica] for row in week.rows(select(m.quorums_measured.c.replica)))
    led = Counter(number_of[row.leader] for row in rounds)
    return Found(
        replicas,
        number_of,
        [week.name_of[row.member] for row in replicas],
        week.rows(select(m.elections_measured).order_by(m.elections_measured.c.term)),
        rounds,
        [version for _, version in sorted(versions.items())],
        [answered[row.number] for row in replicas],
        [led[row.number] for row in replicas],
    )


def _lead(week: Week, found: Found) -> str:
    engine = week.run.get("consensus_engine", "")
    times = sorted(row.consensus_world_ms for row in found.rounds)
    majority = sum(row.majority_world_ms for row in found.rounds)
    trips = week.run.get("consensus_round_trip_ms", "")
    links = f" Links take {trips} ms there and back, each pair its own." if trips else ""
    said = (
        f"{len(found.replicas)} replicas agreed on {len(found.rounds):,} blocks"
        f"{f' by {engine}' if engine else ''}, in a simulated world in which nothing fails and links and disks alone "
        f"take time.{links} From proposal to commit at the leader it took {_mean(sum(times), len(times))} ms in the "
        f"mean, from {times[0]} to {times[-1]} ms. "
    )
    if engine == "raft":
        return said + "All votes are equal here: a block is committed when more than half of the replicas have it."
    return said + (
        "Votes weigh what members' standing is worth, moved by joint entries at each epoch's end. More than half of "
        f"all replicas, which is what equal votes need, had the blocks after {_mean(majority, len(times))} ms in the "
        "mean under the same leaders; the rest of what separates this run from one with equal votes is who leads."
    )


def _trial(week: Week) -> str:
    """What weights can do at best, tried beside the run (see `lab.comparison`)."""
    writes = week.rows(select(m.writes_measured).order_by(m.writes_measured.c.engine, m.writes_measured.c.write))
    if not writes:
        return ""
    rows: list[list[str | int]] = []
    for engine in dict.fromkeys(row.engine for row in writes):
        took = [row.took_world_ms for row in writes if row.engine == engine]
        third = len(took) // 3
        before, after = _sorted(took[:third]), _sorted(took[-third:])
        powers = [
            row.power
            for row in week.rows(
                select(m.trials_measured)
                .where(m.trials_measured.c.engine == engine)
                .order_by(m.trials_measured.c.replica)
            )
        ]
        least = min(powers)
        rows.append(
            [
                engine,
                " ".join(str((2 * power + least) // (2 * least)) for power in powers),
                _rank(before, 50),
                _rank(after, 50),
                _rank(after, 99),
                max(_sorted(took), default=0),
                took.count(None),
            ]
        )
    sent = len(writes) // max(len(rows), 1)
    return (
        "<h3>What weights can do at best</h3>"
        + paragraph(
            "Beside the week five more replicas were tried, two of them 1 ms apart and three 50 ms away, of which any "
            f"one may be lost. Each engine was sent {sent} writes, 50 a second; after a third of them a carbon period "
            "is closed, and with weighted votes powers become 4, 4, 1, 1, 1 by that, so that the two near ones decide."
        )
        + table("Writes to five replicas while powers change", TRIAL_HEADINGS, rows, sides="llrrrrr")
    )


TRIAL_HEADINGS = (
    "engine",
    "powers at the end",
    "median before [ms]",
    "median at the end [ms]",
    "99th percentile at the end [ms]",
    "slowest of all [ms]",
    "failed",
)


def _sorted(took: Sequence[int | None]) -> list[int]:
    return sorted(each for each in took if each is not None)


def _rank(ascending: Sequence[int], percent: int) -> str | int:
    return ascending[(len(ascending) * percent - 1) // 100] if ascending else "none"


def _mean(total: int, count: int) -> str:
    """A mean of whole numbers, to the nearest tenth."""
    if not count:
        return "none"
    tenths = (20 * total // count + 1) // 2
    return f"{tenths // 10}.{tenths % 10}"


ELECTION_HEADINGS = (
    "term",
    "leader",
    "elected at [ms]",
    "after block",
    "blocks it proposed",
    "mean time [ms]",
    "power then [%]",
)


def _elections(found: Found) -> list[list[str | int]]:
    rows: list[list[str | int]] = []
    for each in found.elections:
        number = found.number_of[each.leader]
        own = [row.consensus_world_ms for row in found.rounds if row.term == each.term]
        powers = [version for version in found.versions if version.height <= each.height][-1].powers
        rows.append(
            [
                each.term,
                found.names[number],
                f"{each.won_world_ms:,}",
                each.height,
                len(own),
                _mean(sum(own), len(own)),
                _percent(powers[number], sum(powers)),
            ]
        )
    return rows


def _percent(part: int, whole: int) -> str:
    return f"{part * 10_000 // whole / 100:.2f}"


def _by_version(found: Found) -> str:
    rows: list[list[str | int]] = []
    ends = [version.height for version in found.versions[1:]]
    for number, version in enumerate(found.versions):
        end = ends[number] if number < len(ends) else found.rounds[-1].height
        own = [row for row in found.rounds if version.height < row.height <= end]
        times = [row.consensus_world_ms for row in own]
        quorums = [row.quorum for row in own if row.quorum is not None]
        total, sizes = sum(version.powers), version.sizes
        rows.append(
            [
                number,
                version.height,
                _percent(min(version.powers), total),
                _percent(max(version.powers), total),
                f"{sizes.fewest} to {sizes.most}",
                len(own),
                _mean(sum(times), len(times)),
                _mean(sum(row.majority_world_ms for row in own), len(own)),
                f"{min(quorums)} to {max(quorums)}" if quorums else "",
            ]
        )
    headings = [
        "version",
        "from block",
        "least power [%]",
        "most power [%]",
        "a quorum may have",
        "rounds",
        "mean time [ms]",
        "mean to a majority [ms]",
        "quorums had",
    ]
    return table("Versions of voting power, and the rounds until the next", headings, rows, sides="rrrrrrrrr")


def _by_replica(found: Found) -> str:
    last = found.versions[-1]
    rows = [
        [
            name,
            _percent(last.powers[number], sum(last.powers)),
            found.proposed[number],
            found.completed[number],
            row.replica,
        ]
        for number, (name, row) in enumerate(zip(found.names, found.replicas, strict=True))
    ]
    headings = ["run by", "power at the end [%]", "blocks proposed", "quorums completed", "address of the replica"]
    return table("Replicas", headings, rows, sides="lrrrl")


def _data(week: Week, found: Found) -> dict[str, Any]:
    """Rounds as [block, leader, ms, ms to a majority, replicas in the quorum or 0, day's label], and the rest."""
    times = week.block_times()
    return {
        "names": found.names,
        "rounds": [
            [
                row.height,
                found.number_of[row.leader],
                row.consensus_world_ms,
                row.majority_world_ms,
                row.quorum or 0,
                week.moment(times[row.height]),
            ]
            for row in found.rounds
        ],
        "elections": [[each.term, found.number_of[each.leader], each.height] for each in found.elections],
        "versions": [
            [version.height, week.moment(times[version.height]), *version.sizes, version.powers]
            for version in found.versions
        ],
        "completed": found.completed,
        "proposed": found.proposed,
    }
