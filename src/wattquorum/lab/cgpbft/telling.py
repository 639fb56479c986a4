"""Telling: what came out, as parts of a page: words, tables and pictures, which HTML and Markdown render alike.

Every number in a sentence is computed from the outcomes; what is judged is judged by the targets that stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final, NamedTuple

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.cgpbft import conduct, division, messages, outages, pace
from wattquorum.lab.cgpbft.trials import FAILS, RECOVERING, SHOWN_FAILS, Found
from wattquorum.lab.drawing import (
    Panel,
    Picture,
    even_scale,
    log_scale,
    named_scale,
    values_scale,
)
from wattquorum.simulation.assembly import POLLS, TRANSACTION_BYTES

PBFT, AMONG = "PBFT", "CGPBFT"
COLOURS: Final = {PBFT: "c3", AMONG: "c1"}
NS_PER_MS: Final = 1e6
LAST: Final = 10  # epochs whose mean is the end of a course
RECONSTRUCTED: Final = {"asymmetric": (0.22, 0.01), "symmetric": (0.24, 0.03)}
FORMS: Final = {"asymmetric": ("c1", "misconduct costs more (B-5)"), "symmetric": ("c3", "it costs as much as conduct brings")}


class Sheet(NamedTuple):
    """A table; `sides` says l or r for each column."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sides: str


class Part(NamedTuple):
    """A section of the page."""

    name: str
    short: str
    title: str
    lead: str
    items: tuple[str | Sheet | Picture, ...]


class Target(NamedTuple):
    """Something that was aimed at."""

    what: str
    target: str
    measured: str
    met: bool


def parts_of(found: Found) -> tuple[Part, ...]:
    """The page."""
    parts = (_targets(found), _messages(found), _pace(found), _conduct(found), _outages(found), _division(found))
    return tuple(part for part in parts if part is not None)


# Targets ------------------------------------------------------------------------------------------------------------


def targets_of(found: Found) -> list[Target]:
    """What was aimed at and tried here, whether it was met or not."""
    told = []
    for members, times in messages.TARGETS.items():
        both = _both(found, members)
        if both is not None:
            ratio = both[0].per_block / both[1].per_block
            what = f"messages of a block, {members} members in {both[1].agents} groups: of PBFT's"
            told.append(Target(what, f"at most 1/{times}", f"1/{ratio:.1f}", ratio >= times))
    ratio = _ratio(found, pace.TARGET_MEMBERS, pace.World.NEAR, 1)
    if ratio is not None:
        what = f"throughput, a transaction a block, {pace.TARGET_MEMBERS} members, near each other: of PBFT's"
        told.append(Target(what, f"at least {pace.TARGET:g} x", f"{ratio:.1f} x", ratio >= pace.TARGET))
    wrong = sum(trial.ending is not outages.expected(*trial[:3]) for trial in found.trials)
    told.append(Target("trials with bad agents that end otherwise than counted", "0", str(wrong), not wrong))
    largest = max(each.nodes for each in found.evens)
    own = [each for each in found.evens if each.way == "B-3" and each.nodes == largest]
    worst = max(max(each.traded_ppm, each.trust_ppm) for each in own)
    what = f"groups of {largest:,} nodes in {own[0].groups}: sums of N and of T differ"
    told.append(Target(what, "at most 2 % of the mean", f"{worst / 10_000:.2f} %", worst <= 20_000))
    slowest = max(each.took_ns for each in own) / 1e9
    told.append(Target("the same groups: processor time", "below 1 s", f"{slowest:.2f} s", slowest < 1))
    return told


def _targets(found: Found) -> Part:
    rows = [(each.what, each.target, each.measured, "met" if each.met else "missed") for each in targets_of(found)]
    lead = (
        "In CGPBFT members are divided into groups, each group elects an agent by credit, and only the agents agree "
        "(document B). Here it stands beside plain PBFT, in which everybody does. Both are the same engine; worlds are "
        "simulated, with seeds that decide everything, and signatures are keyed hashes in place of Ed25519, counted "
        "and charged as the real ones."
    )
    sheet = Sheet("Targets", ("what", "target", "found", ""), tuple(rows), "lrrl")
    return Part("targets", "Targets", "What was aimed at", lead, (sheet,))


# Messages -----------------------------------------------------------------------------------------------------------


def _both(found: Found, members: int) -> tuple[messages.Counted, messages.Counted] | None:
    """PBFT's and CGPBFT's counts; the same where all members are agents."""
    own = {each.agents: each for each in found.counts if each.members == members}
    groups = messages.groups_of(members)
    return (own[members], own[groups]) if members in own and groups in own else None


def _messages(found: Found) -> Part:
    pairs = [pair for members in messages.SIZES if (pair := _both(found, members)) is not None]
    rows = [_count_row(*pair) for pair in pairs]
    headings = (
        *("members", "groups", "PBFT", "by formula", "CGPBFT", "by formula", "times fewer"),
        *("PBFT [kB]", "CGPBFT [kB]", "times fewer"),
    )
    counted = Sheet("Messages and bytes of a committed block", headings, tuple(rows), "r" * len(headings))
    kinds = _kinds([each for pair in pairs for each in pair if pair[0].members in messages.TARGETS])
    polls = sum(each.messages.get(POLLS, 0) for each in found.counts)
    lead = (
        "Until every member has executed it, down to the last vote that nobody needs any more, with blocks of one "
        f"transaction of {TRANSACTION_BYTES} bytes. Links take 5 to 25 ms one way, and nothing fails. Polls for tips are "
        f"left out: in all of these worlds together there were {polls}."
    )
    return Part(
        "messages", "Messages", "What a block takes", lead, (_messages_picture(pairs), counted, kinds)
    )


def _count_row(all_: messages.Counted, among: messages.Counted) -> tuple[str, ...]:
    members = all_.members
    return (
        f"{members}",
        f"{among.agents}",
        f"{all_.per_block:,.0f}",
        f"{messages.formula(members, members):,}",
        f"{among.per_block:,.0f}",
        f"{messages.formula(members, among.agents):,}",
        f"{all_.per_block / among.per_block:.1f}",
        f"{all_.bytes_per_block / 1e3:,.1f}",
        f"{among.bytes_per_block / 1e3:,.1f}",
        f"{all_.bytes_per_block / among.bytes_per_block:.1f}",
    )


def _kinds(counts: Sequence[messages.Counted]) -> Sheet:
    names = list(dict.fromkeys(kind for each in counts for kind in each.messages if kind != POLLS))
    rows = [
        (
            PBFT if each.agents == each.members else AMONG,
            f"{each.members}",
            f"{each.agents}",
            *(f"{each.messages.get(kind, 0) / each.blocks:,.0f}" for kind in names),
        )
        for each in counts
    ]
    return Sheet("Messages of a block by kind", ("", "members", "agree", *names), tuple(rows), "lrr" + "r" * len(names))


def _messages_picture(pairs: Sequence[tuple[messages.Counted, messages.Counted]]) -> Picture:
    sizes = [pair[0].members for pair in pairs]
    x = values_scale([each for each in sizes if each not in (7, 25)], 3.4, max(sizes) * 1.15, lambda n: f"{n:g}")
    panels = []
    for title, of in (
        ("Messages of a block", lambda each: each.per_block),
        ("Bytes of a block", lambda each: each.bytes_per_block),
    ):
        values = [of(each) for pair in pairs for each in pair]
        panel = Panel(title, x, log_scale(values), "members", width=430)
        for side, name in enumerate((PBFT, AMONG)):
            points = [(float(pair[0].members), float(of(pair[side]))) for pair in pairs]
            if of(pairs[0][0]) == pairs[0][0].per_block:
                exact = [(float(n), float(messages.formula(n, n if not side else messages.groups_of(n)))) for n in sizes]
                panel.line(exact, COLOURS[name], f"{name} by formula")
            else:
                panel.line(points, COLOURS[name])
            tips = [f"{name}, {n:g} members: {value:,.0f}" for n, value in points]
            panel.dots(points, COLOURS[name], f"{name} counted", tips=tips)
        panels.append(panel)
    return Picture("messages", "Messages and bytes of a block by members, PBFT and CGPBFT", tuple(panels))


# Pace ---------------------------------------------------------------------------------------------------------------


def _pair(
    found: Found, members: int, world: pace.World, transactions: int
) -> tuple[pace.Pace, pace.Pace] | None:
    own = {
        each.agents: each
        for each in found.paces
        if (each.members, each.world, each.transactions) == (members, world, transactions)
    }
    groups = messages.groups_of(members)
    return (own[members], own[groups]) if members in own and groups in own else None


def _ratio(found: Found, members: int, world: pace.World, transactions: int) -> float | None:
    pair = _pair(found, members, world, transactions)
    return None if pair is None else pair[1].throughput / pair[0].throughput


def _pace(found: Found) -> Part:
    costs = found.costs
    priced = (
        ("a message, sent and received", f"{(costs.send_ns + costs.receive_ns) / 1e3:.1f} us"),
        ("a byte of it", f"{(costs.byte_sent_ps + costs.byte_received_ps) / 1e3:.2f} ns"),
        ("the engine, for a message heard", f"{costs.engine_ns / 1e3:.1f} us"),
        ("making a signature", f"{costs.sign_ns / 1e3:.1f} us"),
        ("checking a signature", f"{costs.check_ns / 1e3:.1f} us"),
        ("checking and executing a transaction", f"{costs.transaction_ns / 1e3:.1f} us"),
        ("a sync of the disk, the processor being free", f"{costs.sync_ns / 1e3:,.0f} us"),
    )
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
        "member has executed it. Near links take 0.05 to 0.15 ms one way, far ones 5 to 25 ms. Every member checks and "
        "executes every transaction, so that with large blocks both do the same work and the ratio tends to 1; and "
        "where links are far, delays decide and not messages. The engine's part is that of a committee of 16 for all "
        "sizes, which favours PBFT with more."
    )
    return Part(
        "pace",
        "Pace",
        "Latency and throughput",
        lead,
        (
            Sheet("What work takes, measured here", ("work", "takes"), priced, "lr"),
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
        for world in pace.World
        for transactions in pace.TRANSACTIONS
    ]
    values = [ratio for *_, points in ratios for _, ratio in points]
    speed = Panel("Throughput, times PBFT's", x, log_scale([*values, 0.9, 11]), "members", width=430)
    speed.rule(pace.TARGET, f"target for {pace.TARGET_MEMBERS} members, 1 transaction")
    for place, (world, transactions, points) in enumerate(ratios):
        colour = f"c{(1, 4, 6)[place % len(pace.TRANSACTIONS)]}"
        far = world is pace.World.FAR
        speed.line(points, colour, f"{transactions:,}, {world}", dashed=far)
        tips = [f"{n:g} members, {transactions:,} transactions, {world}: {ratio:.2f} times" for n, ratio in points]
        speed.dots(points, colour, tips=tips, hollow=far)
    waits = [each for each in found.paces if each.transactions == 1]
    wait = Panel(
        "Until every member has a block of one [ms]",
        x,
        log_scale([each.everywhere_ns / NS_PER_MS for each in waits]),
        "members",
        width=430,
    )
    for world in pace.World:
        for side, name in enumerate((PBFT, AMONG)):
            pairs = [(n, _pair(found, n, world, 1)) for n in sizes]
            points = [(float(n), pair[side].everywhere_ns / NS_PER_MS) for n, pair in pairs if pair is not None]
            far = world is pace.World.FAR
            wait.line(points, COLOURS[name], f"{name}, {world}", dashed=far)
            tips = [f"{name}, {n:g} members, {world}: {value:,.1f} ms" for n, value in points]
            wait.dots(points, COLOURS[name], tips=tips, hollow=far)
    return Picture("pace", "Throughput of CGPBFT in times that of PBFT, and latency, by members", (speed, wait))


# Conduct ------------------------------------------------------------------------------------------------------------


def _shares(found: Found, stakes: str, fails: int) -> list[list[float]]:
    """By seed: the share of faulty agents in every epoch."""
    own = sorted((each for each in found.courses if (each.stakes, each.fails) == (stakes, fails)), key=lambda c: c.seed)
    return [[epoch.faulty_agents / epoch.agents for epoch in each.epochs] for each in own]


def _end(shares: Sequence[float]) -> float:
    return sum(shares[-LAST:]) / LAST


def _conduct(found: Found) -> Part:
    setting, manners = conduct.Setting(), conduct.Manners()
    rows = [_conduct_row(found, stakes, fails) for fails in FAILS for stakes in conduct.STAKES]
    rows += [
        (f"reconstruction, {stakes}", "", f"{first:.2f}", f"{last:.2f}", "", "", "")
        for stakes, (first, last) in RECONSTRUCTED.items()
    ]
    headings = (
        *("stakes", "a faulty agent fails in", "faulty agents at first", f"mean of the last {LAST} epochs", "95 % of means"),
        *("more than f failed [epochs]", "a faulty primary [epochs]"),
    )
    lead = (
        f"{setting.members} members in {setting.groups} groups, {setting.epochs} epochs, {found.seeds} seeds; "
        f"{manners.faulty * 100 // MILLION} % of members are faulty. They vote for the most trusted of their kind in their "
        "group, everybody else for the most trusted of all, by the product's own rules of grouping, ballots and credit. "
        f"Of other agents {manners.slips / 10_000:g} % fail in an epoch, and {manners.idle / 10_000:g} % of members do not "
        "vote. Stakes of the ledger are +1 and -5 points for an agent, +0.5 and -2 for its voters (B-5); the symmetric ones, "
        "for comparison and refused by the ledger, are +1 and -1, +0.5 and -0.5. An independent reconstruction, whose manners "
        "are not known, stands beside; nothing here was fitted to it."
    )
    sheet = Sheet("Faulty agents", headings, tuple(rows), "lrrrrrr")
    return Part("conduct", "Conduct", "Who comes to be an agent", lead, (_conduct_picture(found), _judged(found), sheet))


def _judged(found: Found) -> str:
    """What the paired difference over seeds says."""
    said = []
    for fails in FAILS:
        pairs = zip(_shares(found, "symmetric", fails), _shares(found, "asymmetric", fails), strict=True)
        gains = [_end(without) - _end(with_) for without, with_ in pairs]
        mean = sum(gains) / len(gains)
        if len(gains) < 2:
            said.append(f"{mean:+.3f} at {fails // 10_000} %")
            continue
        spread = (sum((each - mean) ** 2 for each in gains) / (len(gains) - 1) / len(gains)) ** 0.5
        said.append(f"{mean:+.3f} ({mean - 1.96 * spread:+.3f} to {mean + 1.96 * spread:+.3f}) at {fails // 10_000} %")
    return (
        "By so much the share of faulty agents at the end is larger where misconduct costs no more than conduct brings, "
        f"seed by seed, with the 95 % interval of the mean: {'; '.join(said)} of epochs in which a faulty agent fails."
    )


def _conduct_row(found: Found, stakes: str, fails: int) -> tuple[str, ...]:
    shares = _shares(found, stakes, fails)
    ends = conduct.band([_end(each) for each in shares])
    epochs = [
        epoch
        for each in found.courses
        if (each.stakes, each.fails) == (stakes, fails)
        for epoch in each.epochs
    ]
    return (
        stakes,
        f"{fails // 10_000} %",
        f"{sum(each[0] for each in shares) / len(shares):.2f}",
        f"{ends.mean:.3f}",
        f"{ends.low:.3f} to {ends.high:.3f}",
        f"{100 * sum(epoch.beyond for epoch in epochs) / len(epochs):.2f} %",
        f"{100 * sum(epoch.faulty_primary for epoch in epochs) / len(epochs):.1f} %",
    )


def _conduct_picture(found: Found) -> Picture:
    epochs = len(found.courses[0].epochs)
    x = even_scale(0, epochs, 10)
    percent = f"{SHOWN_FAILS // 10_000} %"
    bands = {
        stakes: [conduct.band(values) for values in zip(*_shares(found, stakes, SHOWN_FAILS), strict=True)]
        for stakes in conduct.STAKES
    }
    most = max(each.high if found.seeds > 1 else each.mean for own in bands.values() for each in own)
    top = max(0.1 * (int(most * 10) + 1), 0.4)
    share = Panel(
        f"Share of faulty agents (fail in {percent} of epochs)", x, even_scale(0, top, 0.1, lambda v: f"{v:.1f}"), "epoch", 430
    )
    for stakes, own in bands.items():
        colour, name = FORMS[stakes]
        if found.seeds > 1:
            low, high = ([(float(at), getattr(each, end)) for at, each in enumerate(own)] for end in ("low", "high"))
            share.band(low, high, colour)
        share.line([(float(at), each.mean) for at, each in enumerate(own)], colour, name)
    trust = Panel("Mean trust [points]", x, even_scale(0, 100, 20), "epoch", 430)
    for stakes in conduct.STAKES:
        own_courses = [each for each in found.courses if (each.stakes, each.fails) == (stakes, SHOWN_FAILS)]
        for field, dashed, who in (("trust_others", False, "others"), ("trust_faulty", True, "faulty")):
            points = [
                (float(at), sum(getattr(each.epochs[at], field) for each in own_courses) / len(own_courses) / MILLION)
                for at in range(epochs)
            ]
            trust.line(points, FORMS[stakes][0], f"{who}, {stakes}", dashed=dashed)
    return Picture("conduct", "Share of faulty agents over epochs, and mean trust, with both stakes", (share, trust))


# Outages ------------------------------------------------------------------------------------------------------------


def _outages(found: Found) -> Part:
    rows = []
    for agents in RECOVERING:
        for timeout in outages.TIMEOUTS_MS:
            own = [each for each in found.recoveries if (each.agents, each.timeout_ms) == (agents, timeout)]
            rows.append(
                (
                    PBFT if agents == RECOVERING[0] else AMONG,
                    f"{timeout:,}",
                    *_middle_and_most([each.agreed_ms for each in own]),
                    *_middle_and_most([each.everywhere_ms for each in own]),
                    f"{sum(each.timeouts_later for each in own)}",
                )
            )
    headings = (
        *("", "timeout [ms]", "agreed again, median [ms]", "at most", "at every member, median [ms]", "at most"),
        "later blocks that took a timeout",
    )
    lead = (
        f"{RECOVERING[0]} members, all agreeing or {RECOVERING[1]} of them for their groups; a transaction every "
        f"{outages.EVERY_MS} ms; links of 5 to 25 ms. The primary ends for good at a moment that the seed draws ({found.seeds} "
        "seeds). Its backup takes over when the view's timer has run out, once and not at every height. Members "
        f"whose own agent is gone find the block by asking other agents, every {outages.POLL_MS} ms."
    )
    bad = (
        "Below: how many bad agents it takes. Silent ones say nothing; colluding ones, the primary among them, propose "
        "one block to half of the others and another one to the rest, and vote for both. With q = ceil((g+f+1)/2) and "
        "f = (g-1)//3, agreement stops when fewer than q are left, and forks where 2q-g or more collude, which is "
        "always more than f. In between it stops and forks nothing."
    )
    trial_headings = ("agents", "f", "quorum", "fault", "bad", "of all", "counted", "found")
    sheet = Sheet("Bad agents", trial_headings, tuple(map(_trial_row, found.trials)), "rrrlrrll")
    return Part(
        "outages",
        "Outages",
        "When agents fail",
        lead,
        (
            _outages_picture(found),
            Sheet("After a primary's crash", headings, tuple(rows), "l" + "r" * (len(headings) - 1)),
            bad,
            sheet,
        ),
    )


def _middle_and_most(values: Sequence[int]) -> tuple[str, str]:
    return f"{median(values):,.0f}", f"{max(values):,}"


def _trial_row(trial: outages.Trial) -> tuple[str, ...]:
    agents, bad = trial.agents, trial.bad
    return (
        f"{agents}",
        f"{outages.tolerated(agents)}",
        f"{outages.quorum_of(agents)}",
        trial.fault.value,
        f"{bad}",
        f"{100 * bad / agents:.0f} %",
        outages.expected(agents, bad, trial.fault).value,
        trial.ending.value,
    )


def _outages_picture(found: Found) -> Picture:
    timeouts = outages.TIMEOUTS_MS
    x = named_scale([f"{each:,}" for each in timeouts])
    values = [each.everywhere_ms for each in found.recoveries]
    top = -(-max(values) // 1_000) * 1_000
    after = Panel("From the crash on [ms]", x, even_scale(0, top, max(top // 5, 500)), "timeout [ms]", width=430)
    looks = (
        (RECOVERING[0], "agreed_ms", -0.24, False, f"{PBFT}, agreed again"),
        (RECOVERING[0], "everywhere_ms", -0.08, True, "at every member"),
        (RECOVERING[1], "agreed_ms", 0.08, False, f"{AMONG}, agreed again"),
        (RECOVERING[1], "everywhere_ms", 0.24, True, "at every member"),
    )
    for agents, field, shift, hollow, name in looks:
        own = [each for each in found.recoveries if each.agents == agents]
        points = [(timeouts.index(each.timeout_ms) + shift, float(getattr(each, field))) for each in own]
        colour = COLOURS[PBFT if agents == RECOVERING[0] else AMONG]
        after.dots(points, colour, name, radius=3, opacity=0.55, hollow=hollow)
    groups = sorted({each.agents for each in found.trials})
    most = max(each.bad for each in found.trials)
    panels = [after]
    y = even_scale(-0.5, most + 0.5, 1)
    y = y._replace(ticks=tuple((float(bad), str(bad)) for bad in range(most + 1)))
    endings = Panel("Bad agents, and what came of it", named_scale([str(each) for each in groups]), y, "agents", 430)
    endings.line([(at, float(outages.tolerated(g))) for at, g in enumerate(groups)], "plain", "f", dashed=True)
    kinds = (
        (outages.Ending.ON, "good", False),
        (outages.Ending.STOPS, "c2", False),
        (outages.Ending.FORKS, "bad", True),
    )
    for ending, colour, cross in kinds:
        for fault, shift in ((outages.Fault.SILENT, -0.15), (outages.Fault.COLLUDING, 0.15)):
            own_trials = [each for each in found.trials if (each.ending, each.fault) == (ending, fault)]
            points = [(groups.index(each.agents) + shift, float(each.bad)) for each in own_trials]
            tips = [f"{each.bad} of {each.agents} {each.fault}: {each.ending}" for each in own_trials]
            named = ending.value if fault is outages.Fault.COLLUDING else ""
            if cross:
                endings.crosses(points, colour, named, tips=tips)
            else:
                endings.dots(points, colour, named, tips=tips)
    panels.append(endings)
    label = "Time to agree again after a primary's crash, and what bad agents lead to (left silent, right colluding)"
    return Picture("outages", label, tuple(panels))


# Division -----------------------------------------------------------------------------------------------------------


WAY_COLOURS: Final = {"B-3": "c1", "snake": "c2", "random": "c3"}


def _division(found: Found) -> Part:
    rows = []
    for nodes in _nodes(found):
        for way in division.WAYS:
            own = [each for each in found.evens if (each.nodes, each.way) == (nodes, way)]
            rows.append(
                (
                    f"{nodes:,}",
                    f"{own[0].groups}",
                    way,
                    *(f"{max(getattr(each, field) for each in own) / 10_000:.3f}" for field in ("traded_ppm", "trust_ppm")),
                    f"{median(each.took_ns for each in own) / NS_PER_MS:,.1f}",
                )
            )
    headings = ("nodes", "groups", "way", "N differs by [%]", "T differs by [%]", "took [ms]")
    lead = (
        "By how much groups' sums differ at most, of their mean, in communities whose energy is skewed (a factor of 2.2 "
        "for a standard deviation) and whose trust is 50 points, give or take 15; the worst of "
        f"{min(found.seeds, 5)} seeds. The rule B-3 allows 2 % in each. Beside it the snake deal, by falling energy back "
        "and forth, and a deal at random. Time is the processor's, in one thread."
    )
    sheet = Sheet("Groups", headings, tuple(rows), "rrlrrr")
    return Part("division", "Groups", "How even groups are", lead, (_division_picture(found), sheet))


def _division_picture(found: Found) -> Picture:
    nodes_tried = _nodes(found)
    x = values_scale(nodes_tried, 80, max(nodes_tried) * 1.25)
    panels = []
    for title, field, scale, rule in (
        ("N differs by [%]", "traded_ppm", 10_000, 2.0),
        ("T differs by [%]", "trust_ppm", 10_000, 2.0),
        ("Processor time [ms]", "took_ns", NS_PER_MS, 0.0),
    ):
        every = [max(getattr(each, field) / scale, 0.001) for each in found.evens]
        panel = Panel(title, x, log_scale([*every, 2.5 if rule else 0.1]), "nodes", width=277)
        if rule:
            panel.rule(rule, "allowed")
        for way, colour in WAY_COLOURS.items():
            points = [
                (float(nodes), _worst((e for e in found.evens if (e.nodes, e.way) == (nodes, way)), field) / scale)
                for nodes in nodes_tried
            ]
            panel.line(points, colour, way)
            panel.dots(points, colour, tips=[f"{way}, {n:,.0f} nodes: {value:.3g}" for n, value in points], radius=3)
        panels.append(panel)
    return Picture("division", "How far groups differ in energy and trust, and how long it takes", tuple(panels))


def _nodes(found: Found) -> list[int]:
    return sorted({each.nodes for each in found.evens})


def _worst(evens: Iterable[division.Even], field: str) -> float:
    return max(float(getattr(each, field)) for each in evens)
