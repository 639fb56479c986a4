"""Pace, told: throughput and latency, and what work takes."""

from __future__ import annotations

from typing import Final

from wattquorum.lab.cgpbft import messages, pace
from wattquorum.lab.cgpbft.costs import told
from wattquorum.lab.cgpbft.told.pieces import AMONG, COLOURS, NS_PER_MS, PBFT
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.drawing import Panel, Picture, log_scale, values_scale
from wattquorum.lab.parts import Part, Sheet


def _pair(found: Found, members: int, world: pace.World, transactions: int) -> tuple[pace.Pace, pace.Pace] | None:
    own = {
        each.agents: each
        for each in found.paces
        if (each.members, each.world, each.transactions) == (members, world, transactions)
    }
    groups = messages.groups_of(members)
    return (own[members], own[groups]) if members in own and groups in own else None


def step_ratio(found: Found, step: pace.Step) -> float:
    """CGPBFT's throughput in times PBFT's where only some things take time."""
    all_, among = _stepped(found, step)
    return all_.block_ns / among.block_ns


def _stepped(found: Found, step: pace.Step) -> tuple[pace.Stepped, pace.Stepped]:
    own = {each.agents: each for each in found.steps if each.step is step}
    return own[max(own)], own[min(own)]


def _step_row(found: Found, step: pace.Step) -> tuple[str, ...]:
    both = _stepped(found, step)
    times = (f"{each.block_ns / 1e3:,.0f}" for each in both)
    return (step.value, *times, f"{step_ratio(found, step):.2f}")


def _ratio(found: Found, members: int, world: pace.World, transactions: int) -> float | None:
    pair = _pair(found, members, world, transactions)
    return None if pair is None else pair[1].throughput / pair[0].throughput


WORLDS: Final = {pace.World.NONE: "work alone", pace.World.NEAR: "near links", pace.World.FAR: "far links"}


def pace_part(found: Found) -> Part:
    """What work takes, and what comes of it."""
    rows = []
    for world in pace.World:
        for transactions in pace.TRANSACTIONS:
            for members in pace.MEMBERS:
                pair = _pair(found, members, world, transactions)
                if pair is not None:
                    rows.append(_pace_row(*pair))
    headings = (
        *("links", "transactions", "members", "groups", "PBFT [1/s]", "CGPBFT [1/s]", "times"),
        *("PBFT certifies [ms]", "everywhere [ms]", "CGPBFT certifies [ms]", "everywhere [ms]"),
    )
    lead = (
        "Every machine has one processor and one disk, and pays what this machine was measured to take just before. "
        "Full blocks always wait, and one is agreed on at a time: throughput is of transactions that every member has "
        "executed, latency is the first block's, from its proposal until its primary has it certified and until every "
        "member has executed it. Near links take 0.05 to 0.15 ms one way, far ones 5 to 25 ms; with none, disks take "
        "no time either. Every member checks and executes every transaction, so that with large blocks both do the "
        "same work and the ratio tends to 1; members behind an agent do so when the block is certified, so that they "
        "have large ones later. Where links are far, delays decide and not messages. What messages cost was measured "
        "among 16 engines and is charged for all sizes."
    )
    return Part(
        "pace",
        "Pace",
        "Latency and throughput",
        lead,
        (
            Sheet(
                f"What work takes ({found.machine or 'of an earlier run'})", ("work", "takes"), told(found.costs), "lr"
            ),
            Sheet(
                f"A block of one after another, {pace.TARGET_MEMBERS} members: what takes time",
                ("", "PBFT [us]", "CGPBFT [us]", "times"),
                tuple(_step_row(found, step) for step in pace.Step),
                "lrrr",
            ),
            _pace_picture(found),
            Sheet("Throughput and latency", headings, tuple(rows), "l" + "r" * (len(headings) - 1)),
        ),
    )


def _pace_row(all_: pace.Pace, among: pace.Pace) -> tuple[str, ...]:
    return (
        all_.world.value,
        f"{all_.transactions:,}",
        f"{all_.members}",
        f"{among.agents}",
        _rate(all_.throughput),
        _rate(among.throughput),
        f"{among.throughput / all_.throughput:.2f}",
        *(f"{value / NS_PER_MS:,.1f}" for value in (all_.certified_ns, all_.everywhere_ns)),
        *(f"{value / NS_PER_MS:,.1f}" for value in (among.certified_ns, among.everywhere_ns)),
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _pace_picture(found: Found) -> Picture:
    sizes = sorted({each.members for each in found.paces})
    x = values_scale(sizes, 3.4, max(sizes) * 1.15, lambda n: f"{n:g}")
    ratios = [
        (world, transactions, [(float(n), ratio) for n in sizes if (ratio := _ratio(found, n, world, transactions))])
        for world in (pace.World.NONE, pace.World.NEAR)
        for transactions in pace.TRANSACTIONS
    ]
    values = [max(ratio, 1.0) for *_, points in ratios for _, ratio in points]
    y = log_scale([*values, 11.0])._replace(low=0.7)
    speed = Panel("Throughput, times PBFT's, by transactions a block", x, y, "members", width=430)
    speed.rule(pace.TARGET, f"target at {pace.TARGET_MEMBERS}", leftmost=True)
    for place, (world, transactions, points) in enumerate(ratios):
        colour = f"c{(1, 4, 6)[place % len(pace.TRANSACTIONS)]}"
        alone = world is pace.World.NONE
        speed.line(points, colour, f"{transactions:,}" if alone else "", dashed=not alone)
        tips = [
            f"{n:g} members, {transactions:,} transactions, {WORLDS[world]}: {ratio:.2f} times" for n, ratio in points
        ]
        speed.dots(points, colour, tips=tips, hollow=not alone)
    speed.named("dash", "plain", f"with {WORLDS[pace.World.NEAR]} and syncs")
    waits = [each for each in found.paces if each.transactions == 1]
    wait = Panel(
        "Until every member has a block of one [ms]",
        x,
        log_scale([each.everywhere_ns / NS_PER_MS for each in waits]),
        "members",
        width=430,
    )
    for world in (pace.World.NONE, pace.World.FAR):
        for side, name in enumerate((PBFT, AMONG)):
            pairs = [(n, _pair(found, n, world, 1)) for n in sizes]
            points = [(float(n), pair[side].everywhere_ns / NS_PER_MS) for n, pair in pairs if pair is not None]
            far = world is pace.World.FAR
            wait.line(points, COLOURS[name], f"{name}, {WORLDS[world]}", dashed=far)
            tips = [f"{name}, {n:g} members, {world}: {value:,.1f} ms" for n, value in points]
            wait.dots(points, COLOURS[name], tips=tips, hollow=far)
    return Picture("pace", "Throughput of CGPBFT in times that of PBFT, and latency, by members", (speed, wait))
