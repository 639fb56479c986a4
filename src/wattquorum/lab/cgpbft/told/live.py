"""Live, told: real nodes on one machine, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from wattquorum.lab.cgpbft import messages
from wattquorum.lab.cgpbft.live import Lived
from wattquorum.lab.cgpbft.told.pieces import AMONG, PBFT
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.parts import Part, Sheet
from wattquorum.ledger.protocols import Protocol

US_PER_MS = 1e3
Pair = tuple[Lived, Lived]  # of PBFT, and of CGPBFT


def live_part(found: Found) -> Part:
    """What real nodes took, or how to find out."""
    if not found.live:
        lead = (
            "No real nodes were started in this run. With --live it starts communities of up to 16 of them on this "
            "machine, which takes minutes; with --live-results it tells of those of an earlier run (tables/live.csv)."
        )
        return Part("live", "Live", "Live", lead, ())
    by_members = {members: pairs_of(found, members) for members in dict.fromkeys(each.members for each in found.live)}
    sheets = (_times_sheet, _waits_sheet, _loads_sheet)
    return Part("live", "Live", "Live", _lead(found.live), tuple(sheet(by_members) for sheet in sheets))


def pairs_of(found: Found, members: int) -> list[Pair]:
    """Both protocols' communities of a size, by turns."""
    own = {(each.pair, each.engine): each for each in found.live if each.members == members}
    return [(own[pair, Protocol.PBFT], own[pair, Protocol.CGPBFT]) for pair in sorted({pair for pair, _ in own})]


def _lead(live: Sequence[Lived]) -> str:
    pairs = len({each.pair for each in live})
    groups = max(each.agents for each in live if each.engine == Protocol.CGPBFT)
    busy = [each.busy_ppm / 10_000 for each in live]
    return (
        f"Real nodes as `wattquorum up` runs them, a process each with disk, TLS and interface, all on one machine "
        f"({', '.join(dict.fromkeys(each.machine for each in live))}): {AMONG} in {groups} groups, and {PBFT}, one "
        f"community at a time, by turns, {pairs} of each. All nodes and the clients share its processors, so what is "
        f"timed is the work of all members together, and it grows with them; and all members of both check and execute "
        f"every transaction. So there is no target here. In the second before a community was started, others kept the "
        f"processors {median(busy):.0f} % busy ({min(busy):.0f} to {max(busy):.0f} %). One client hands in a deposit "
        f"when every node has told of the block of the one before, at most "
        f"{max(each.deposits for each in live)} times, up to some seconds; then four hand in batches of 256 at once, "
        f"for some seconds, and it is timed until every node has executed the last. Messages are those that nodes "
        f"counted while deposits came one by one, polls for tips included, which the formula leaves out. Timeouts are "
        f"as shipped: where nodes that share processors need longer than a second for a block, the view changes, and "
        f"that is timed, too. Numbers are "
        f"medians over turns; ratios are formed within each pair. With 4 members both protocols do the same: what "
        f"their ratios differ from 1 is what others did meanwhile, and a measure of how far the rest can be trusted."
    )


RATIOS: dict[str, Callable[[Lived, Lived], float]] = {
    "receipt, sooner": lambda all_, among: all_.receipt_us / among.receipt_us,
    "everywhere, sooner": lambda all_, among: all_.everywhere_us / among.everywhere_us,
    "under load, more": lambda all_, among: among.throughput / all_.throughput,
    "messages, fewer": lambda all_, among: all_.per_block / among.per_block,
}


def _times_sheet(by_members: dict[int, list[Pair]]) -> Sheet:
    rows = []
    for members, pairs in by_members.items():
        ratios = [[ratio(*pair) for pair in pairs] for ratio in RATIOS.values()]
        rows.append((f"{members}", *(f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in ratios)))
    caption = f"{AMONG} live, in times {PBFT}: the middle pair (lowest to highest)"
    return Sheet(caption, ("members", *RATIOS), tuple(rows), "r" * (1 + len(RATIOS)))


def _waits_sheet(by_members: dict[int, list[Pair]]) -> Sheet:
    rows = []
    for members, pairs in by_members.items():
        waits = [
            median(time / US_PER_MS for time in times)
            for own in zip(*pairs, strict=True)
            for times in zip(*(_waits(each) for each in own), strict=True)
        ]
        rows.append((f"{members}", *(f"{wait:,.1f}" for wait in waits)))
    heads = (f"{name} {what}" for name in (PBFT, AMONG) for what in ("receipt", "95 %", "everywhere", "95 %"))
    return Sheet(
        "One deposit after another, live: median, and within what 95 % are [ms]",
        ("members", *heads),
        tuple(rows),
        "r" * 9,
    )


def _waits(each: Lived) -> tuple[int, ...]:
    return each.receipt_us, each.receipt_p95_us, each.everywhere_us, each.everywhere_p95_us


def _loads_sheet(by_members: dict[int, list[Pair]]) -> Sheet:
    rows = []
    for members, pairs in by_members.items():
        both = list(zip(*pairs, strict=True))
        loads = (f"{median(each.throughput for each in own):,.0f}" for own in both)
        counts = (
            count
            for own in both
            for count in (
                f"{median(each.per_block for each in own):,.1f}",
                f"{messages.formula(members, own[0].agents):,}",
            )
        )
        rows.append((f"{members}", *loads, *counts))
    counted = (f"{name} {what}" for name in (PBFT, AMONG) for what in ("messages", "by formula"))
    heads = ("members", f"{PBFT} [1/s]", f"{AMONG} [1/s]", *counted)
    return Sheet("Deposits a second under load, and messages of a block, live", heads, tuple(rows), "r" * len(heads))
