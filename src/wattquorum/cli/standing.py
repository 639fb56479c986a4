"""`wattquorum standing`: weights and voting powers, and the facts behind each number, from the chain alone.

Weights, N and T are the ledger's state as it is now; where they come from is told by the blocks that were executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.chains import ChainArgument, ChainOption, chosen, read_chain, said_of
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import (
    MILLION,
    Carbon,
    Energy,
    Points,
    Ppm,
    VotingPower,
    format_carbon,
    format_energy,
    format_points,
    format_share,
)
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.entities import Chain, DayStatus, MemberDay, MemberSide
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import CreditDecayed, DayClosed, DayPublished, EpochCounted, Fact, MemberJudged
from wattquorum.ledger.genesis import version_key
from wattquorum.ledger.holdings import CarbonAccount, Holding
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.state import DAY_KEY_BYTES, side_key
from wattquorum.ledger.state import Table as State
from wattquorum.ledger.validators import seats_of
from wattquorum.ledger.weighing import Weighed, members, weights
from wattquorum.market.penalties import defaults
from wattquorum.standing.credit import kept_of
from wattquorum.standing.groups import GROUPS_DEFAULT, GROUPS_MIN, TAU, divided
from wattquorum.standing.power import FLOOR, project, quorum_sizes, ranked, tolerance_default, tolerance_max
from wattquorum.standing.voters import Member, voters
from wattquorum.standing.weight import Scale, volume_scale

app = typer.Typer(help="Weights and voting powers of members, from the chain alone.", no_args_is_help=True)
ToleranceOption = Annotated[
    int | None, typer.Option(help="How many voters may be lost. Default: a third of all but one.", min=0)
]
ONE_VOTE = "One vote for each legal owner, carried by its account of most weight (L-17)."


class Judgement(NamedTuple):
    """How a day changed the credit of a member's side."""

    day: int
    promised: int
    delivered: int
    defaulted: bool
    before: int
    after: int
    corrected: int | None  # after a correction: the credit of then, with it

    @classmethod
    def told(cls, fact: MemberJudged) -> Self:
        """As a block told it."""
        corrected = fact.credit_now if fact.corrected else None
        before, after = fact.credit_before, fact.credit_after
        return cls(fact.day, fact.promised, fact.delivered, fact.defaulted, before, after, corrected)

    @classmethod
    def kept(cls, day: int, own: MemberDay) -> Self:
        """As the state keeps it of a day that is not sealed."""
        defaulted = bool(own.defaulted)
        return cls(day, own.promised, own.delivered, defaulted, own.credit_before, own.credit_after, None)


MemberKey = tuple[bytes, Side]


class History:
    """A chain's ledger as it is now, and what its blocks told of how standing came to be."""

    ledger: Ledger  # since `begin`

    def __init__(self) -> None:
        self.judged: dict[int, dict[MemberKey, Judgement]] = {}
        self.credit: dict[MemberKey, list[Judgement | CreditDecayed]] = {}
        self.epochs: dict[bytes, list[tuple[int, EpochCounted]]] = {}  # by member, with the epoch's last block
        self.versions: dict[int, int] = {}  # of the parameters, by day
        self.closed: int | None = None  # the day that was closed last, if that is known
        self.untold: tuple[range, ...] = ()  # blocks that were not executed

    def begin(self, ledger: Ledger) -> None:
        """Takes over what the state has where blocks begin to tell: days that are not sealed."""
        self.ledger = ledger
        days = {each.window.start_ms: each for _, each in ledger.state.items(State.DAY)}
        self.versions |= {start: day.parameters_version for start, day in days.items()}
        self.closed = max((start for start, day in days.items() if day.status is DayStatus.CLOSED), default=None)
        for key, own in ledger.state.items(State.MEMBER_DAY):
            day, member = int.from_bytes(key[:DAY_KEY_BYTES], "big"), (key[DAY_KEY_BYTES:-1], Side(key[-1]))
            if member not in self.judged.get(day, {}):
                self._judge(member, Judgement.kept(day, own))

    def see(self, height: int, facts: Sequence[Fact]) -> None:
        """Takes over the facts of one transaction, or of a block beside them."""
        for fact in facts:
            match fact:
                case DayPublished():
                    self.versions[fact.day] = fact.parameters_version
                case MemberJudged():
                    self._judge((fact.member, fact.side), Judgement.told(fact))
                case CreditDecayed():
                    self.credit.setdefault((fact.member, fact.side), []).append(fact)
                case EpochCounted():
                    self.epochs.setdefault(fact.member, []).append((height, fact))
                case DayClosed():
                    self.closed = fact.day
                case _:
                    pass

    def _judge(self, member: MemberKey, judgement: Judgement) -> None:
        self.judged.setdefault(judgement.day, {})[member] = judgement
        self.credit.setdefault(member, []).append(judgement)

    @property
    def days_closed(self) -> int:
        """How many days were closed on the chain."""
        chain: Chain = self.ledger.state.get(State.CHAIN, b"")
        return chain.days_closed

    def account(self, address: bytes) -> Account:
        """An account that exists."""
        found: Account = self.ledger.state.get(State.ACCOUNT, address)
        return found

    def parameters(self, day: int) -> Parameters:
        """The parameters of a day that was told."""
        found: Parameters = self.ledger.state.get(State.PARAMETERS, version_key(self.versions[day]))
        return found


class Votes(NamedTuple):
    """Who carries a vote, by address, and with what power."""

    voters: list[Member]
    powers: list[VotingPower]
    tolerance: int

    def ranked(self) -> list[int]:
        """The places of voters by rank."""
        return ranked(self.powers, [each.address for each in self.voters])


def _history(chain: Path) -> History:
    history = History()
    history.untold = read_chain(chain, history.begin, history.see)
    if not history.days_closed:
        raise Refused("out_of_range", "chain", chain, "No day was closed on it yet; weights come with the first.")
    return history


def _voters(history: History) -> list[Member]:
    return voters(members(history.ledger.state, history.ledger.parameters))


def _votes(history: History, tolerance: int | None) -> Votes:
    own = _voters(history)
    chosen = tolerance_default(len(own)) if tolerance is None else tolerance
    powers = project([each.weight for each in own], [each.address for each in own], chosen)
    return Votes(own, powers, chosen)


@app.command("list")
def list_members(named: ChainArgument = None, chain: ChainOption = None, tolerance: ToleranceOption = None) -> None:
    """Every legal owner's vote: the account that carries it, its weight, and what it is worth in a vote of all."""
    history = _history(chosen(named, chain))
    votes = _votes(history, tolerance)
    accounts: dict[str, int] = {}
    for member in members(history.ledger.state, history.ledger.parameters):
        accounts[member.owner] = accounts.get(member.owner, 0) + 1
    table = Table(title="Voting power by rank", title_justify="left")
    for heading in ("rank", "owner", "accounts", "vote carried by", "weight", "power"):
        table.add_column(heading, justify="left" if heading in ("owner", "vote carried by") else "right")
    for rank, place in enumerate(votes.ranked(), start=1):
        share = format_share(Ppm(votes.powers[place] * MILLION // sum(votes.powers)))
        voter = votes.voters[place]
        account, count = history.account(voter.address), str(accounts[voter.owner])
        table.add_row(str(rank), account.owner, count, account.name, format_points(voter.weight), share)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{ONE_VOTE}\n{_quorums(votes)}")


def _quorums(votes: Votes) -> str:
    sizes = quorum_sizes(votes.powers)
    return (
        f"Tolerance {votes.tolerance} of at most {tolerance_max(len(votes.powers))}: any {votes.tolerance} of "
        f"{len(votes.powers)} voters may be lost. The fewest that can decide are {sizes.fewest}; any {sizes.most} can."
    )


@app.command("explain")
def explain(
    member: Annotated[str, typer.Argument(help="A member's name or address.")],
    named: ChainArgument = None,
    chain: ChainOption = None,
    tolerance: ToleranceOption = None,
) -> None:
    """One member's weight and voting power, component by component, with the facts and the steps behind each."""
    history = _history(chosen(named, chain))
    every = weights(history.ledger.state, history.ledger.parameters)
    own = [each for each in every if member in (history.account(each.member).name, each.member.hex())]
    if not own:
        raise Refused("account_unknown", "member", member, "Name a member of this chain that has a meter.")
    console = Console(highlight=False, soft_wrap=True)
    for weighed in own:
        for line in _side(history, weighed):
            console.print(line, markup=False)
    for line in _power(history, _votes(history, tolerance), own[0].member):
        console.print(line, markup=False)


def _side(history: History, weighed: Weighed) -> list[str]:
    parameters = history.ledger.parameters
    own: MemberSide = history.ledger.state.get(State.SIDE, side_key(weighed.member, weighed.side))
    components = weighed.components
    word = "generator" if weighed.side is Side.SELL else "consumer"
    if history.closed is None:
        after = f"days closed so far: {history.days_closed}"
    else:
        after = f"after the day that began {format_moment(history.closed)}"
    lines = [f"As {word}, {after}", ""]
    lines += [f"credit {format_points(components.credit)} (A-9, A-10), day by day:"]
    lines += [f"  {each}" for each in _credit(history, weighed)]
    lines += [f"volume {format_points(components.volume)} (A-11, L-18):", f"  {_volume(history, weighed)}"]
    participation = format_points(components.participation)
    lines += [f"participation {participation} (A-12, A-16, L-16), epoch by epoch:"]
    lines += [f"  {each}" for each in _participation(history, weighed)]
    held = format_points(components.certificates)
    lines += [f"certificates {held} (A-13, L-20): {_certificates(history, weighed)}"]
    lines += [f"carbon {format_points(components.carbon)} (A-14, L-19): {_carbon(history, weighed)}"]
    coefficients, rule = parameters.consumer_coefficients, "A-8"
    if weighed.side is Side.SELL:
        coefficients, rule = parameters.generator_coefficients, "A-7"
        faults = f"{own.failed} of {own.transmissions} intervals with a promise lay under a recorded line fault."
        lines += [f"line {format_points(components.line)} (A-15): {faults}"]
    terms = [
        f"{format_share(share)} of {format_points(value)}"
        for value, share in zip(components, coefficients, strict=True)
        if share
    ]
    lines += [f"weight {format_points(weighed.weight)} ({rule}) = {' + '.join(terms)}"]
    trust, traded = format_points(Points(own.trust)), format_energy(Energy(own.traded))
    return [*lines, f"beside it, for groups and elections: trust T {trust}, traded N {traded} (B-2)", ""]


def _participation(history: History, weighed: Weighed) -> list[str]:
    """What every epoch's replies made of it."""
    seats = [(key, each) for key, each in history.ledger.state.items(State.VALIDATOR) if each.member == weighed.member]
    running = [(key, each) for key, each in seats if each.seat is not Seat.REMOVED]
    if not running:
        return ["it runs no replica, so it replies to nobody"]
    ((replica, validator),) = running
    lines = [f"epochs may be missing: {said_of(history.untold)}"] if history.untold else []
    for height, each in history.epochs.get(weighed.member, []):
        if each.replica == replica:
            decay = ", decay (A-16) included" if each.decayed else ""
            change = f"{format_points(Points(each.before))} -> {format_points(Points(each.after))}{decay}"
            lines.append(f"to block {height}: helped in {each.replies} of {each.rounds} rounds, {change}")
    open_ = f"since then: helped in {validator.replies} of {seats_of(history.ledger.state).rounds} rounds"
    return [*lines, f"{open_}; replica {replica.hex()}, {validator.seat.name.lower()}"]


def _certificates(history: History, weighed: Weighed) -> str:
    """What an account held between the last two closings, by the time that it was held."""
    holdings: dict[bytes, Holding] = dict(history.ledger.state.items(State.HOLDING))
    own = holdings.get(weighed.member)
    if own is None or not own.counted:
        return "it held no whole certificate since the day before was closed."
    every = [each.counted for each in holdings.values()]
    share = history.ledger.parameters.certificate_scale == Scale.SHARE
    of, base = ("all", sum(every)) if share else ("the most of any", max(every))
    return f"100 * {own.counted} / {base} certificate-milliseconds, its own and {of}; it holds {own.held} now."


def _carbon(history: History, weighed: Weighed) -> str:
    """How the last closed period was settled."""
    state = history.ledger.state
    settled: dict[bytes, CarbonAccount] = {key: each for key, each in state.items(State.CARBON) if each.closed_ms}
    own = settled.get(weighed.member)
    if own is None:
        return "not obliged in a closed period, which counts as a neutral 50."
    period = state.get(State.REGISTRY, b"").carbon_period - 1
    if not own.settled_reported:
        return f"no verified report by the close of period {period}, which counts as 0."
    counted = [_counted(each) for each in settled.values() if each.settled_reported]
    low, high = min(counted), max(counted)
    if low == high:
        return f"period {period}: all that reported settled at the same, {format_carbon(Carbon(low))}: 100 for all."
    return (
        f"period {period}: 100 * ({_counted(own)} - {low}) / ({high} - {low}) g, settlements up to the quota: "
        "its own, the least and the most of all that reported."
    )


def _counted(account: CarbonAccount) -> int:
    """A settlement as far as it counts: up to the quota."""
    return min(account.settled, account.settled_quota)


def _credit(history: History, weighed: Weighed) -> list[str]:
    """Each judgement and decay, with what it was computed from."""
    lines = [f"days may be missing: {said_of(history.untold)}"] if history.untold else []
    for each in history.credit.get((weighed.member, weighed.side), []):
        moment = format_moment(each.day)
        if isinstance(each, CreditDecayed):
            lines.append(f"{moment}: decay (A-16), then {format_points(Points(each.credit_after))}")
            continue
        wholes = _wholes(history, each.day, weighed.side, {weighed.member: each})
        whole = wholes.get(history.account(weighed.member).legal_owner, NOTHING_PROMISED)
        kept = f"delivered {format_energy(whole.delivered)} of {format_energy(whole.promised)}{whole.accounts_said}"
        change = f"{format_points(Points(each.before))} -> {format_points(Points(each.after))}"
        if each.corrected is not None:
            change += f" (judged again after a correction, which made it {format_points(Points(each.corrected))})"
        if not each.promised:
            lines.append(f"{moment}: nothing promised in tested intervals, {change}")
        elif whole.defaulted:
            lines.append(f"{moment}: {kept}, a default; C * delivered / promised: {change}")
        else:
            lines.append(f"{moment}: {kept}, kept; {_share(history, each.day, whole, wholes)}: {change}")
    return lines or ["no day judged"]


class Whole(NamedTuple):
    """What a legal owner promised and delivered on one side of a day, with all of its accounts (L-5)."""

    promised: Energy
    delivered: Energy
    defaulted: bool
    accounts: int

    @property
    def accounts_said(self) -> str:
        """A remark where there are several."""
        return f" (its owner's {self.accounts} accounts together)" if self.accounts > 1 else ""


NOTHING_PROMISED = Whole(Energy(0), Energy(0), defaulted=False, accounts=0)


def _wholes(
    history: History, day: int, side: Side, instead: Mapping[bytes, Judgement] | None = None
) -> dict[str, Whole]:
    """The owners of a side on a day that is told, as judged last, or `instead` for some accounts."""
    judgements: dict[str, list[Judgement]] = {}
    for (address, its), last in history.judged[day].items():
        own = (instead or {}).get(address, last)
        if its is side and own.promised:
            judgements.setdefault(history.account(address).legal_owner, []).append(own)
    tolerance = Ppm(history.parameters(day).tolerance)
    found = {}
    for owner, accounts in judgements.items():
        promised = Energy(sum(each.promised for each in accounts))
        delivered = Energy(sum(each.delivered for each in accounts))
        broke = defaults(promised, Energy(promised - delivered), tolerance)
        found[owner] = Whole(promised, delivered, broke, len(accounts))
    return found


def _share(history: History, day: int, own: Whole, wholes: Mapping[str, Whole]) -> str:
    """The share of what is missing to 100 by which a kept day raises credit (L-5)."""
    parameters = history.parameters(day)
    kept = kept_of(each.delivered for each in wholes.values() if not each.defaulted)
    most = format_share(Ppm(parameters.max_share))
    mean = f"{kept.squares} / {kept.total}"
    return f"C + (100 - C) * min({own.delivered} / ({parameters.reference_side} * {mean}), {most})"


def _volume(history: History, weighed: Weighed) -> str:
    if history.closed is None:
        return f"the last closed day's promises are missing: {said_of(history.untold)}"
    judged = history.judged.get(history.closed, {})
    own = judged.get((weighed.member, weighed.side))
    if own is None or not own.promised:
        return "nothing was promised on the last closed day"
    wholes = _wholes(history, history.closed, weighed.side)
    kept = [each.delivered for each in wholes.values() if not each.defaulted]
    scale, whole = volume_scale(kept), wholes[history.account(weighed.member).legal_owner]
    factor = format_share(Ppm(history.parameters(history.closed).volume_factor))
    return (
        f"{factor} of 100 * (delivered {whole.delivered} - low {scale.low}) / (high {scale.high} - low {scale.low}), "
        f"low and high being the sizes of owner below which 5 and 95 % of the {sum(kept)} Wh lie that were kept [Wh]"
    )


def _power(history: History, votes: Votes, address: bytes) -> list[str]:
    account = history.account(address)
    place = next(i for i, each in enumerate(votes.voters) if each.owner == account.legal_owner)
    voter = votes.voters[place]
    raised = [each.weight + FLOOR for each in votes.voters]
    top = sum(sorted(raised, reverse=True)[: votes.tolerance])
    count, whole = len(raised), sum(raised)
    blended = 4 * count * top > (2 * count - 1) * whole
    rank = votes.ranked().index(place) + 1
    says = "blended toward equality until they do not" if blended else "which is less than half, so powers follow u"
    carrier = history.account(voter.address).name
    none = [f"{account.name} carries no vote: {carrier} carries its owner's."] if voter.address != address else []
    return [
        *none,
        f"Voting power of {account.owner} among {count} legal owners, carried by its account {carrier} (L-17)",
        f"  u = weight + 1 = {format_points(Points(raised[place]))}; all u together {format_points(Points(whole))}",
        f"  the {votes.tolerance} largest u together {format_points(Points(top))}, {says}",
        f"  power {votes.powers[place]} of {sum(votes.powers)}, rank {rank}",
        f"  {_quorums(votes)}",
    ]


@app.command("groups")
def groups(
    named: ChainArgument = None,
    chain: ChainOption = None,
    count: Annotated[
        int | None,
        typer.Option(
            help=f"How many groups: {GROUPS_MIN} at least, at most one for each voter. "
            f"Default: {GROUPS_DEFAULT}, or one for each voter where there are fewer."
        ),
    ] = None,
) -> None:
    """Divide all voters into groups of equal traded energy N and equal trust T, as a committee's election would."""
    history = _history(chosen(named, chain))
    own = _voters(history)
    if count is not None and count < GROUPS_MIN:
        remedy = f"Form {GROUPS_MIN} or more: fewer cannot agree when the agent of one of them is bad."
        raise Refused("out_of_range", "count", count, remedy)
    if count is not None and count > max(len(own), GROUPS_MIN):
        remedy = f"Form {len(own)} or fewer: each group needs a voter, and there are {len(own)}."
        raise Refused("out_of_range", "count", count, remedy)
    division = divided(own, history.ledger.chain_id, 0, count or GROUPS_DEFAULT)
    table = Table(title="Groups", title_justify="left")
    for heading in ("group", "voters", "N", "T"):
        table.add_column(heading, justify="left" if heading == "voters" else "right")
    for number, group in enumerate(division.groups, 1):
        names = ", ".join(history.account(each.address).name for each in group.members)
        table.add_row(str(number), names, format_energy(group.traded), format_points(group.trust))
    console = Console(highlight=False)
    console.print(table)
    traded, trust = format_share(division.traded_differ), format_share(division.trust_differ)
    console.print(f"{ONE_VOTE}\nSums differ by at most {traded} of their mean in N and {trust} in T (B-3).")
    pairs = (("N", division.traded_differ), ("T", division.trust_differ))
    if missed := [name for name, differ in pairs if differ > TAU]:
        console.print(
            f"B-3 asks for {format_share(TAU)} at most, which is missed in {' and '.join(missed)}: no exchange of two "
            "voters was found that comes closer. Another count may be more even."
        )


@app.command("wash")
def wash(tolerance: ToleranceOption = None) -> None:
    """What wash trading, Sybil accounts and absurd promises would gain: a small market trades with and without them."""
    from wattquorum.lab.washing import BOUND, gains

    table = Table(title="Share of all voting power, honest and with the attempt", title_justify="left")
    for heading in ("attempt", "honest", "tried", "gain", "others gain at most"):
        table.add_column(heading, justify="left" if heading == "attempt" else "right")
    for gain in gains(tolerance):
        signed = f"{'-' if gain.change < 0 else '+'}{format_share(Ppm(abs(gain.change)))}"
        others = f"+{format_share(Ppm(max(gain.others, 0)))}"
        table.add_row(gain.name, format_share(gain.honest), format_share(gain.tried), signed, others)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"No attempt may gain anybody, accomplices included, more than {format_share(BOUND)} of an honest share. What "
        "others gain is what the attempt costs those who make it.\n"
        "Powers are those of a committee with one vote for each legal owner (L-17), as in `standing list`."
    )
