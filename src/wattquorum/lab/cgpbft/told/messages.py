"""Messages, told: what a block takes, counted and by formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from wattquorum.lab.cgpbft import messages
from wattquorum.lab.cgpbft.told.pieces import AMONG, COLOURS, PBFT
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.drawing import Panel, Picture, log_scale, values_scale
from wattquorum.lab.parts import Part, Sheet
from wattquorum.simulation.assembly import POLLS, TRANSACTION_BYTES

MESSAGES: Final = "Messages of a block"
DRAWN: Final[dict[str, Callable[[messages.Counted], float]]] = {
    MESSAGES: lambda each: each.per_block,
    "Bytes of a block": lambda each: each.bytes_per_block,
}


def counts_of(found: Found, members: int) -> tuple[messages.Counted, messages.Counted] | None:
    """PBFT's and CGPBFT's counts; the same where all members are agents."""
    own = {each.agents: each for each in found.counts if each.members == members}
    groups = messages.groups_of(members)
    return (own[members], own[groups]) if members in own and groups in own else None


def messages_part(found: Found) -> Part:
    """Counts, formulas and kinds."""
    pairs = [pair for members in messages.SIZES if (pair := counts_of(found, members)) is not None]
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
        f"transaction of {TRANSACTION_BYTES} bytes. Links take 5 to 25 ms one way, and nothing fails. An agent brings "
        "a block with its certificate to each member of its group. Polls for tips are left out: in all of these worlds "
        f"together there were {polls}."
    )
    return Part("messages", "Messages", "What a block takes", lead, (_messages_picture(pairs), counted, kinds))


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
    for title, of in DRAWN.items():
        values = [of(each) for pair in pairs for each in pair]
        panel = Panel(title, x, log_scale(values), "members", width=430)
        for side, name in enumerate((PBFT, AMONG)):
            points = [(float(pair[0].members), float(of(pair[side]))) for pair in pairs]
            if title == MESSAGES:
                exact = [
                    (float(n), float(messages.formula(n, n if not side else messages.groups_of(n)))) for n in sizes
                ]
                panel.line(exact, COLOURS[name], f"{name} by formula")
            else:
                panel.line(points, COLOURS[name])
            tips = [f"{name}, {n:g} members: {value:,.0f}" for n, value in points]
            panel.dots(points, COLOURS[name], f"{name} counted", tips=tips)
        panels.append(panel)
    return Picture("messages", "Messages and bytes of a block by members, PBFT and CGPBFT", tuple(panels))
