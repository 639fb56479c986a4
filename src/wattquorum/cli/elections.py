"""`wattquorum elections`: who agrees for whom, and what a member says while agents are elected."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.members import KeyOption, NodeOption, SenderOption, Signer, asking
from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.api.client import Client
    from wattquorum.api.elections import BoothShape
    from wattquorum.ledger.transactions import Stand, Vote

SHORT: Final = 8
LOOK_S: Final = 1.0
CGPBFT: Final = "cgpbft"

commands = typer.Typer(
    help="Who agrees for whom on a chain of cgpbft, and voting for agents and standing for election there.",
    short_help="Agents and groups; vote, stand, or let a program do both.",
    no_args_is_help=True,
)
console = Console(highlight=False, soft_wrap=True)


@commands.command("show")
def show(
    nodes: NodeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Show who agrees, in the order in which they propose, and how the groups of the running epoch vote."""
    from wattquorum.foundation.quantities import Points, format_points

    with asking(nodes) as client:
        found, people = client.elections(), {each.address: each.name for each in client.members().members}
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    agents = Table("", "replica", "member", "group", "votes", "", box=None)
    for place, each in enumerate(found.agents):
        office = {0: "primary", 1: "backup"}.get(place, "")
        votes = format_points(Points(each.votes)) if each.group else ""
        wrong = "proven to lie" if each.accused else ""
        name = people.get(each.member, "nobody's yet")
        agents.add_row(office, each.replica[:SHORT], name, str(each.group or ""), votes, wrong)
    console.print(agents)
    electors = Table("group", "member", "trust", "traded", "replica", "stands", "votes for", box=None)
    for one in sorted(found.electors, key=lambda one: (one.group, -one.trust, one.member)):
        trust, traded = format_points(Points(one.trust)), f"{one.traded / 1_000_000:,.3f} MWh"
        chosen = people.get(one.voted_for, one.voted_for[:SHORT])
        electors.add_row(
            str(one.group), one.name, trust, traded, one.replica[:SHORT], "yes" if one.stood else "", chosen
        )
    if found.electors:
        console.print(electors)
    state = f"it closes with block {found.closing:,}" if found.closing else "its end is not announced yet"
    console.print(f"{found.protocol}; height {found.height:,}, epoch {found.epoch:,}; {state}")


@commands.command("vote")
def vote(
    candidate: Annotated[str, typer.Argument(help="Name or address of a member of the own group who runs a replica.")],
    key: KeyOption,
    nodes: NodeOption = None,
    sender: SenderOption = "",
) -> None:
    """Vote for a member whose replica is to agree for the group; once in an epoch, weighed by trust."""
    from wattquorum.ledger.transactions import Vote

    with asking(nodes) as client:
        signer, found = Signer(client, key, sender), client.elections()
        _check(found.protocol)
        own = [each for each in found.electors if candidate.lower() in (each.name.lower(), each.member)]
        if not own:
            raise Refused("candidate_unseated", "candidate", candidate, "See `wattquorum elections show`.")
        height, _ = signer.submit(Vote(bytes.fromhex(own[0].member)))
    console.print(f"voted for {own[0].name} in block {height:,}")


@commands.command("stand")
def stand(key: KeyOption, nodes: NodeOption = None, sender: SenderOption = "") -> None:
    """Stand for election with the own replica, in the blocks in which an epoch closes."""
    from wattquorum.ledger.transactions import Stand

    with asking(nodes) as client:
        signer = Signer(client, key, sender)
        _check(client.elections().protocol)
        height, _ = signer.submit(Stand())
    console.print(f"stands since block {height:,}")


@commands.command("keep")
def keep(
    key: KeyOption,
    nodes: NodeOption = None,
    sender: SenderOption = "",
    seconds: Annotated[float | None, typer.Option(help="End by itself after so long.", show_default=False)] = None,
) -> None:
    """Stand and vote in every epoch, until Ctrl-C: for the most trusted of the group who stands.

    A member who wants to vote otherwise votes itself before; each has one vote in an epoch.
    """
    until = None if seconds is None else time.monotonic() + seconds
    with asking(nodes) as client:
        signer = Signer(client, key, sender)
        _check(client.elections().protocol)
        console.print("stands and votes in every epoch; Ctrl-C ends it")
        try:
            while until is None or time.monotonic() < until:
                _say(client, signer)
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            pass


def _say(client: Client, signer: Signer) -> None:
    """What is to be said now, if anything; what comes too late is told and no reason to end."""
    said = _due(client.booth(signer.address), signer.address)
    if said is None:
        return
    try:
        height, _ = signer.submit(said)
    except Refused as refused:
        console.print(f"not done: {refused}", markup=False)
        return
    console.print(f"block {height:,}: {_told(said)}")


def _due(found: BoothShape, me: bytes) -> Stand | Vote | None:
    from wattquorum.foundation.quantities import Energy, Points
    from wattquorum.traders.ballots import Booth, ballot
    from wattquorum.traders.voting import Choice, Paper

    choices = tuple(
        Choice(
            bytes.fromhex(each.member), Points(each.trust), Energy(each.traded), bytes.fromhex(each.tie), each.stands
        )
        for each in found.choices
    )
    paper = Paper(me, choices) if found.may_vote else None
    return ballot(Booth(found.height, found.closing, found.stand_blocks, found.may_stand, paper))


def _told(said: Any) -> str:
    candidate: bytes | None = getattr(said, "candidate", None)
    return "stands" if candidate is None else f"votes for {candidate.hex()[:SHORT]}"


def _check(protocol: str) -> None:
    if protocol != CGPBFT:
        raise Refused("consensus_other", "chain", protocol, "Agents are elected on chains of cgpbft alone.")
