"""`wattquorum standing`: weights and voting powers, and the facts behind each number, from the chain alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.chains import WITHOUT_ROWS, progress_bar
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
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import (
    AccountOpened,
    CarbonChanged,
    CarbonSettled,
    CreditDecayed,
    DayPublished,
    Fact,
    HoldingCounted,
    MemberJudged,
    ParametersChanged,
    SideWeighed,
)
from wattquorum.ledger.parameters import Parameters
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.verification import processes
from wattquorum.standing.election import tie
from wattquorum.standing.groups import GROUPS_MIN, Candidate, group_count, grouped, spread
from wattquorum.standing.power import FLOOR, project, quorum_sizes, ranked, tolerance_default, tolerance_max
from wattquorum.standing.weight import Scale, prosumer_weight, volume_scale

app = typer.Typer(help="Weights and voting powers of members, from the chain alone.", no_args_is_help=True)
ChainOption = Annotated[Path, typer.Option(help="A chain folder.")]
ToleranceOption = Annotated[
    int | None, typer.Option(help="How many members may be lost. Default: a third of all but one.", min=0)
]
TAU = Ppm(20_000)  # by how much groups may differ of their mean (B-3)
COMPONENTS = ("credit", "volume", "participation", "certificates", "carbon", "line")


class History:
    """What the blocks of a chain told about standing."""

    def __init__(self) -> None:
        self.chain_id = b""
        self.names: dict[bytes, str] = {}
        self.judged: dict[int, dict[tuple[bytes, Side], MemberJudged]] = {}
        self.credit: dict[tuple[bytes, Side], list[MemberJudged | CreditDecayed]] = {}
        self.weighed: dict[tuple[bytes, Side], SideWeighed] = {}
        self.parameters: dict[int, Parameters] = {}
        self.versions: dict[int, int] = {}
        self.held: dict[int, dict[bytes, HoldingCounted]] = {}
        self.carbon: dict[int, dict[bytes, CarbonSettled]] = {}
        self.quotas: dict[tuple[bytes, int], CarbonChanged] = {}
        self.settled_on: dict[int, int] = {}  # the last period that was closed when a day was

    @property
    def initial_trust(self) -> Points:
        """T of a member that was never judged, by the parameters in force last."""
        return Points(self.parameters[max(self.parameters)].initial_trust)

    def see(self, facts: Sequence[Fact]) -> None:
        """Takes over the facts of one transaction."""
        for fact in facts:
            match fact:
                case AccountOpened():
                    self.names[fact.address] = fact.name
                case ParametersChanged():
                    self.parameters[fact.version] = fact.parameters
                case DayPublished():
                    self.versions[fact.day] = fact.parameters_version
                case MemberJudged():
                    self.judged.setdefault(fact.day, {})[fact.member, fact.side] = fact
                    self.credit.setdefault((fact.member, fact.side), []).append(fact)
                case CreditDecayed():
                    self.credit.setdefault((fact.member, fact.side), []).append(fact)
                case HoldingCounted():
                    self.held.setdefault(fact.day, {})[fact.member] = fact
                case CarbonChanged():
                    self.quotas[fact.member, fact.period] = fact
                case CarbonSettled():
                    self.carbon.setdefault(fact.period, {})[fact.member] = fact
                case SideWeighed():
                    self.settled_on[fact.day] = max(self.carbon, default=0)
                    self.weighed[fact.member, fact.side] = fact
                case _:
                    pass


class Votes(NamedTuple):
    """Members with their weights and powers, in one order."""

    addresses: list[bytes]
    weights: list[Points]
    powers: list[VotingPower]
    tolerance: int


def _history(chain: Path) -> History:
    history = History()
    with progress_bar("blocks") as step, processes() as verify, ChainFolder(chain) as folder:
        history.see(Ledger(folder.genesis_bytes).founding_facts)
        history.chain_id = folder.chain_id

        def apply(executed: Executed) -> None:
            for facts in executed.facts:
                history.see(facts)
            step(folder.height)

        audited = audit_folder(folder, verify, apply)
    if audited.replayed_from > 1:
        raise Refused("records_gap", "blocks", f"1..{audited.replayed_from - 1}", WITHOUT_ROWS)
    if not history.weighed:
        raise Refused("out_of_range", "chain", chain, "No day was closed on it yet; weights come with the first.")
    return history


def _votes(history: History, tolerance: int | None) -> Votes:
    """Everybody's weight, both sides of a prosumer averaged by what they traded (L-12), and its power."""
    sides: dict[bytes, list[tuple[Side, Points, Energy]]] = {}
    for (address, side), weighed in sorted(history.weighed.items()):
        own = [each for each in history.credit.get((address, side), []) if isinstance(each, MemberJudged)]
        traded = Energy(own[-1].traded if own else 0)
        sides.setdefault(address, []).append((side, Points(weighed.weight), traded))
    addresses = list(sides)
    weights = []
    for own_sides in sides.values():
        if len(own_sides) == 1:
            weights.append(own_sides[0][1])
        else:
            (_, sold_weight, sold), (_, bought_weight, bought) = own_sides
            weights.append(prosumer_weight(sold_weight, sold, bought_weight, bought))
    chosen = tolerance_default(len(addresses)) if tolerance is None else tolerance
    return Votes(addresses, weights, project(weights, addresses, chosen), chosen)


@app.command("list")
def list_members(chain: ChainOption = Path("out/week/chain"), tolerance: ToleranceOption = None) -> None:
    """Every member's weight and what it would be worth in a vote of all members."""
    history = _history(chain)
    votes = _votes(history, tolerance)
    table = Table(title="Voting power by rank", title_justify="left")
    for heading, justify in (("rank", "right"), ("member", "left"), ("weight", "right"), ("power", "right")):
        table.add_column(heading, justify="left" if justify == "left" else "right")
    for rank, place in enumerate(ranked(votes.powers, votes.addresses), start=1):
        share = format_share(Ppm(votes.powers[place] * MILLION // sum(votes.powers)))
        name = history.names[votes.addresses[place]]
        table.add_row(str(rank), name, format_points(votes.weights[place]), share)
    console = Console(highlight=False)
    console.print(table)
    console.print(_quorums(votes))


def _quorums(votes: Votes) -> str:
    sizes = quorum_sizes(votes.powers)
    return (
        f"Tolerance {votes.tolerance} of at most {tolerance_max(len(votes.powers))}: any {votes.tolerance} of "
        f"{len(votes.powers)} members may be lost. The fewest that can decide are {sizes.fewest}; any {sizes.most} can."
    )


@app.command("explain")
def explain(
    member: Annotated[str, typer.Argument(help="A member's name or address.")],
    chain: ChainOption = Path("out/week/chain"),
    tolerance: ToleranceOption = None,
) -> None:
    """One member's weight and voting power, component by component, with the facts and the steps behind each."""
    history = _history(chain)
    address = next((each for each, name in history.names.items() if member in (name, each.hex())), None)
    own = [weighed for (who, _), weighed in sorted(history.weighed.items()) if who == address]
    if address is None or not own:
        raise Refused("account_unknown", "member", member, "Name a member of this chain that has a meter.")
    console = Console(highlight=False, soft_wrap=True)
    for weighed in own:
        for line in _side(history, weighed):
            console.print(line, markup=False)
    for line in _power(history, _votes(history, tolerance), address):
        console.print(line, markup=False)


def _side(history: History, weighed: SideWeighed) -> list[str]:
    parameters = history.parameters[history.versions[weighed.day]]
    word = "generator" if weighed.side is Side.SELL else "consumer"
    lines = [f"As {word}, after the day that began {format_moment(weighed.day)}", ""]
    lines += [f"credit {_points(weighed.credit)} (A-9, A-10), day by day:"]
    lines += [f"  {each}" for each in _credit(history, weighed)]
    lines += [f"volume {_points(weighed.volume)} (A-11, L-18):", f"  {_volume(history, weighed, parameters)}"]
    lines += [
        f"participation {_points(weighed.participation)} (A-12): there is no quorum yet, so nobody replies to one."
    ]
    lines += [
        f"certificates {_points(weighed.certificates)} (A-13, L-20): {_certificates(history, weighed, parameters)}"
    ]
    lines += [f"carbon {_points(weighed.carbon)} (A-14, L-19): {_carbon(history, weighed)}"]
    coefficients = parameters.consumer_coefficients
    if weighed.side is Side.SELL:
        coefficients = parameters.generator_coefficients
        faults = (
            f"{weighed.failed} of {weighed.transmissions} intervals with a promise lay under a recorded line fault."
        )
        lines += [f"line {_points(weighed.line)} (A-15): {faults}"]
    values = [getattr(weighed, name) for name in COMPONENTS]
    terms = [
        f"{format_share(share)} of {_points(value)}" for value, share in zip(values, coefficients, strict=True) if share
    ]
    rule = "A-7" if weighed.side is Side.SELL else "A-8"
    lines += [f"weight {_points(weighed.weight)} ({rule}) = {' + '.join(terms)}"]
    judged = _last_judged(history, weighed.member, weighed.side)
    if judged is not None:
        traded = format_energy(Energy(judged.traded))
        lines += [f"beside it, for groups and elections: trust T {_points(judged.trust_now)}, traded N {traded} (B-2)"]
    return [*lines, ""]


def _last_judged(history: History, member: bytes, side: Side) -> MemberJudged | None:
    """The last judgement of a member's side, which tells T and N as they are now."""
    told = [each for each in history.credit.get((member, side), []) if isinstance(each, MemberJudged)]
    return told[-1] if told else None


def _certificates(history: History, weighed: SideWeighed, parameters: Parameters) -> str:
    """What an account held between the last two closings, by the time that it was held."""
    counted = history.held.get(weighed.day, {})
    own = counted.get(weighed.member)
    if own is None or not own.weighted:
        return "it held no whole certificate since the day before was closed."
    every = [each.weighted for each in counted.values()]
    of, base = ("all", sum(every)) if parameters.certificate_scale == Scale.SHARE else ("the most of any", max(every))
    return f"100 * {own.weighted} / {base} certificate-milliseconds, its own and {of}; it holds {own.held} now."


def _carbon(history: History, weighed: SideWeighed) -> str:
    """How the last closed period was settled."""
    period = history.settled_on[weighed.day]
    settled = history.carbon.get(period, {})
    own = settled.get(weighed.member)
    if own is None:
        return "not obliged in a closed period, which counts as a neutral 50."
    if not own.reported:
        return f"no verified report by the close of period {period}, which counts as 0."
    counted = [_counted(history, each) for each in settled.values() if each.reported]
    low, high = min(counted), max(counted)
    if low == high:
        return f"period {period}: all that reported settled at the same, {format_carbon(Carbon(low))}: 100 for all."
    return (
        f"period {period}: 100 * ({_counted(history, own)} - {low}) / ({high} - {low}) g, settlements up to the quota: "
        "its own, the least and the most of all that reported."
    )


def _counted(history: History, settled: CarbonSettled) -> int:
    """A settlement as far as it counts: up to the quota."""
    return min(settled.settled, history.quotas[settled.member, settled.period].quota)


def _points(value: int) -> str:
    return format_points(Points(value))


def _credit(history: History, weighed: SideWeighed) -> list[str]:
    """Each judgement and decay up to the weighing, with what it was computed from."""
    lines = []
    for each in history.credit.get((weighed.member, weighed.side), []):
        if each.day > weighed.day:
            continue
        moment = format_moment(each.day)
        if isinstance(each, CreditDecayed):
            lines.append(f"{moment}: decay (A-16), then {_points(each.credit_after)}")
            continue
        kept = f"delivered {format_energy(Energy(each.delivered))} of {format_energy(Energy(each.promised))}"
        change = f"{_points(each.credit_before)} -> {_points(each.credit_after)}"
        again = " (judged again after a correction)" if each.corrected else ""
        if not each.promised:
            lines.append(f"{moment}: nothing promised in tested intervals, {change}{again}")
        elif each.defaulted:
            lines.append(f"{moment}: {kept}, a default; C * delivered / promised: {change}{again}")
        else:
            lines.append(f"{moment}: {kept}, kept; {_share(history, each)}: {change}{again}")
    return lines or ["no day judged"]


def _share(history: History, each: MemberJudged) -> str:
    """The share of what is missing to 100 by which a kept day raises credit (L-5)."""
    parameters = history.parameters[history.versions[each.day]]
    side = [other for (_, its), other in history.judged[each.day].items() if its is each.side and other.promised]
    total = sum(other.promised for other in side)
    most = format_share(Ppm(parameters.max_share))
    return f"C + (100 - C) * min({each.promised} * {len(side)} / ({parameters.reference_side} * {total}), {most})"


def _volume(history: History, weighed: SideWeighed, parameters: Parameters) -> str:
    judged = history.judged.get(weighed.day, {})
    own = judged.get((weighed.member, weighed.side))
    if own is None or not own.promised:
        return "nothing was promised on the last closed day"
    promised = [Energy(each.promised) for (_, side), each in judged.items() if side is weighed.side and each.promised]
    scale = volume_scale(promised)
    factor = format_share(Ppm(parameters.volume_factor))
    return (
        f"{factor} of 100 * (delivered {own.delivered} - low {scale.low}) / (high {scale.high} - low {scale.low}) Wh, "
        f"low and high being the 5th and 95th percentile of {len(promised)} promises"
    )


def _power(history: History, votes: Votes, address: bytes) -> list[str]:
    place = votes.addresses.index(address)
    raised = [weight + FLOOR for weight in votes.weights]
    top = sum(sorted(raised, reverse=True)[: votes.tolerance])
    count, whole = len(raised), sum(raised)
    blended = 4 * count * top > (2 * count - 1) * whole
    rank = ranked(votes.powers, votes.addresses).index(place) + 1
    says = "blended toward equality until they do not" if blended else "which is less than half, so powers follow u"
    return [
        f"Voting power of {history.names[address]} among {count} members",
        f"  u = weight + 1 = {_points(raised[place])}; all u together {_points(whole)}",
        f"  the {votes.tolerance} largest u together {_points(top)}, {says}",
        f"  power {votes.powers[place]} of {sum(votes.powers)}, rank {rank}",
        f"  {_quorums(votes)}",
    ]


@app.command("groups")
def groups(
    chain: ChainOption = Path("out/week/chain"),
    count: Annotated[int, typer.Option(help="How many groups.", min=GROUPS_MIN)] = 5,
) -> None:
    """Divide all members into groups of equal traded energy N and equal trust T, as a committee's election would."""
    history = _history(chain)
    members = sorted({member for member, _ in history.weighed})
    candidates = []
    for member in members:
        own = [judged for side in Side if (judged := _last_judged(history, member, side)) is not None]
        traded = Energy(sum(each.traded for each in own))
        trust = Points(sum(each.trust_now for each in own) // len(own)) if own else history.initial_trust
        candidates.append(Candidate(traded, trust, tie(history.chain_id, 0, member)))
    found = grouped(candidates, group_count(count, len(members)), TAU, TAU)
    table = Table(title="Groups", title_justify="left")
    for heading, justify in (("group", "right"), ("members", "left"), ("N", "right"), ("T", "right")):
        table.add_column(heading, justify="left" if justify == "left" else "right")
    for number, places in enumerate(found, 1):
        names = ", ".join(history.names[members[place]] for place in places)
        traded = Energy(sum(candidates[place].traded for place in places))
        table.add_row(str(number), names, format_energy(traded), _points(sum(candidates[i].trust for i in places)))
    differ = spread(candidates, found)
    shares = [
        format_share(Ppm(most * len(found) * MILLION // max(total, 1)))
        for most, total in (
            (differ.traded, sum(each.traded for each in candidates)),
            (differ.trust, sum(each.trust for each in candidates)),
        )
    ]
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Sums differ by at most {shares[0]} of their mean in N and {shares[1]} in T (B-3).")


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
        f"No attempt may gain its owners more than {format_share(BOUND)} of their honest share. What anybody else "
        "gains from it is in the last column: who has accomplices that sacrifice their own standing can gain so.\n"
        "Powers are those of a committee with one vote for each legal owner (L-17); `standing list` counts accounts."
    )
