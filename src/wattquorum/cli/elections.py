"""`wattquorum elections`: who agrees for whom, what a member says while agents are elected, and what it can prove.

A node signs no transactions. What it can prove of itself and of others it tells (`/v1/testimony`); a member signs it,
by hand or by the program that `keep` is.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.members import (
    READ_S,
    KeyOption,
    NodeOption,
    SenderOption,
    Signer,
    asking,
    hexadecimal,
    interfaces,
)
from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.api.client import Client
    from wattquorum.api.shapes import BoothShape, WitnessShape
    from wattquorum.ledger.transactions import Accuse, OwnCommit, Payload, Stand, Vote

SHORT: Final = 8
LOOK_S: Final = 1.0
OWN_S: Final = 3.0  # for how long a single node is asked what it can prove
CGPBFT: Final = "cgpbft"
LATER: Final = ("undecided", "pool_full", "pending_too_many", "disk_full", "node_halted", "node_stopped", "nonce_wrong")

commands = typer.Typer(
    help="Who agrees for whom on a chain of cgpbft; voting for agents and standing for election there, attesting and "
    "accusing.",
    short_help="Agents and groups; vote, stand, attest, accuse, or let a program do it all.",
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

    with asking(nodes, READ_S) as client:
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


# What nodes can prove -----------------------------------------------------------------------------------------------


@commands.command("testimony")
def proven(
    nodes: NodeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON, as `accuse --file` takes it.")] = False,
) -> None:
    """Show what nodes can prove and the ledger does not know: lies of agents, and heights that certificates leave out.

    Each node tells what it saw itself, so ask your own.
    """
    with _each(nodes) as clients:
        found = _testimonies(clients)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    lies = Table("seen by", "liar", "height", "view", "phase", box=None)
    for one in found:
        for lie in one.lies:
            lies.add_row(one.replica[:SHORT], lie.replica[:SHORT], f"{lie.height:,}", f"{lie.view:,}", lie.phase)
    if lies.row_count:
        console.print(lies)
    for one in found:
        heights = ", ".join(f"{each.height:,}" for each in one.left_out) or "none"
        console.print(f"{one.replica[:SHORT]} signed for heights whose certificates leave it out: {heights}")
    console.print(f"{lies.row_count} lies that the ledger does not know")


@commands.command("accuse")
def accuse(
    key: KeyOption,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="What `testimony --json` wrote. Default: what the nodes can prove now."),
    ] = None,
    nodes: NodeOption = None,
    sender: SenderOption = "",
) -> None:
    """Tell the ledger of agents that were proven to lie: they and those who voted for them lose trust.

    Anybody may. Of several lies that are told together each one counts or is refused for itself.
    """
    from wattquorum.cli.app import REFUSED

    with asking(nodes) as client:
        signer = Signer(client, key, sender)
        _check(client.elections().protocol)
        if file is None:
            with _each(nodes) as clients:
                found = _testimonies(clients)
        else:
            found = _witnesses(file)
        accusations = list(_accusations(found).values())
        refused = [each for each in accusations if not _submitted(signer, each, _say)]
    if not accusations:
        console.print("nothing is proven that the ledger does not know")
    if refused:
        raise typer.Exit(REFUSED)


@commands.command("attest")
def attest(key: KeyOption, nodes: NodeOption = None, sender: SenderOption = "") -> None:
    """Show the ledger that the own replica signed for heights whose certificates leave it out, of the last 64.

    The replica's own node has to be asked, for nobody else keeps what it signed: name its interface with --node.
    """
    from wattquorum.cli.app import REFUSED
    from wattquorum.traders.testifying import attestation

    with asking(nodes) as client, _each(nodes) as clients:
        signer = Signer(client, key, sender)
        _check(client.elections().protocol)
        own = _own(_testimonies(clients), signer.address)
        if own is None:
            remedy = "Name the interface of this member's own node with --node."
            raise Refused("attest_outsider", "node", "none runs this member's replica", remedy)
        said = attestation(own.height, _commits(own), age=0)
        if said is None:
            console.print("no certificate that can be attested now leaves it out")
        elif not _submitted(signer, said, _say):
            raise typer.Exit(REFUSED)


# The member's program -----------------------------------------------------------------------------------------------


@commands.command("keep")
def keep(
    key: KeyOption,
    nodes: NodeOption = None,
    sender: SenderOption = "",
    seconds: Annotated[float | None, typer.Option(help="End by itself after so long.", show_default=False)] = None,
) -> None:
    """Stand, vote, attest and accuse, until Ctrl-C. It votes for the most trusted of the group who stands.

    A member who wants to vote otherwise votes itself before; each has one vote in an epoch. What the named nodes can
    prove is told: name your own, which alone can show what its replica signed.
    """
    until = None if seconds is None else time.monotonic() + seconds
    with asking(nodes) as client, _each(nodes) as clients:
        signer = Signer(client, key, sender)
        _check(client.elections().protocol)
        program = Program(client, signer, clients, _say)
        console.print("stands, votes, attests and accuses; Ctrl-C ends it")
        try:
            while until is None or time.monotonic() < until:
                program.look()
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            pass


class Program:
    """What a member's program does at each look: it says what is due. What is refused is told, and no reason to end."""

    def __init__(self, client: Client, signer: Signer, nodes: Sequence[Client], tell: Callable[[str], None]) -> None:
        """`client` is of the community, `nodes` are of one node each, which are asked what they can prove."""
        self._client, self._signer, self._nodes, self._tell = client, signer, nodes, tell
        self._accused: dict[tuple[int, str], None] = {}  # told, or refused for good; by committee and replica
        self._attested = 0  # the last height
        self._wrong = ""  # why the last look could not be finished

    def look(self) -> None:
        """Says what there is to say now."""
        try:
            said = ballot_of(self._client.booth(self._signer.address), self._signer.address)
            if said is not None:
                _submitted(self._signer, said, self._tell)
            found = _testimonies(self._nodes)
            self._accuse(found)
            self._attest(found)
            self._wrong = ""
        except Refused as refused:
            if str(refused) != self._wrong:  # what lasts is told once
                self._tell(f"not done: {refused}")
            self._wrong = str(refused)

    def _accuse(self, found: Sequence[WitnessShape]) -> None:
        accusations = _accusations(found)
        for key, accusation in accusations.items():
            if key not in self._accused and _submitted(self._signer, accusation, self._tell) is not None:
                self._accused[key] = None
        self._accused = {key: None for key in self._accused if key in accusations}

    def _attest(self, found: Sequence[WitnessShape]) -> None:
        from wattquorum.traders.testifying import attestation

        own = _own(found, self._signer.address)
        if own is None:
            return
        said = attestation(own.height, [each for each in _commits(own) if each.height > self._attested])
        if said is not None and _submitted(self._signer, said, self._tell):
            self._attested = said.commits[-1].height


def _testimonies(nodes: Sequence[Client]) -> list[WitnessShape]:
    """What those tell of these nodes that answer; Refused where none does."""
    found, silent = [], None
    for node in nodes:
        try:
            found.append(node.testimony())
        except Refused as refused:
            if refused.code not in LATER:
                raise
            silent = refused
    if silent is not None and not found:
        raise silent
    return found


def ballot_of(found: BoothShape, me: bytes) -> Stand | Vote | None:
    """What a member says in an election now; None: nothing, or nothing yet."""
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


def _submitted(signer: Signer, payload: Payload, tell: Callable[[str], None]) -> bool | None:
    """Hands in and tells what came of it: done, refused for good, or (None) not decided, so that it may be later."""
    try:
        height, _ = signer.submit(payload)
    except Refused as refused:
        tell(f"not done: {_told(payload)}: {refused}")
        return None if refused.code in LATER else False
    tell(f"block {height:,}: {_told(payload)}")
    return True


def _told(payload: Payload) -> str:
    from wattquorum.ledger.transactions import Accuse, Attest, Vote

    match payload:
        case Vote(candidate):
            return f"votes for {candidate.hex()[:SHORT]}"
        case Accuse(evidence):
            return f"accuses {evidence.member.hex()[:SHORT]} of a lie at height {evidence.height:,}"
        case Attest(commits):
            return f"attests {len(commits)} heights from {commits[0].height:,} to {commits[-1].height:,}"
    return "stands"


def _accusations(found: Sequence[WitnessShape]) -> dict[tuple[int, str], Accuse]:
    """One accusation of each member and committee, whoever saw it."""
    from wattquorum.consensus.bft.votes import decode_equivocation
    from wattquorum.ledger.transactions import Accuse

    accusations: dict[tuple[int, str], Accuse] = {}
    for each in found:
        for lie in each.lies:
            if (lie.committee, lie.replica) not in accusations:
                try:
                    data = base64.b64decode(lie.evidence, validate=True)
                except binascii.Error:
                    raise Refused("encoding_unreadable", "evidence", lie.evidence, "Give base64.") from None
                accusations[lie.committee, lie.replica] = Accuse(decode_equivocation(data))
    return accusations


def _own(found: Sequence[WitnessShape], me: bytes) -> WitnessShape | None:
    """What the node told that runs a member's replica."""
    return next((each for each in found if each.member == me.hex()), None)


def _commits(own: WitnessShape) -> list[OwnCommit]:
    from wattquorum.ledger.transactions import OwnCommit

    return [OwnCommit(each.height, each.view, hexadecimal(each.signature, 64, "signature")) for each in own.left_out]


def _witnesses(file: Path) -> list[WitnessShape]:
    from wattquorum.api.shapes import WitnessShape
    from wattquorum.foundation.codec import from_json
    from wattquorum.node.disk import read_file

    return from_json(read_file(file, "file"), list[WitnessShape], "file")


@contextmanager
def _each(nodes: Sequence[str] | None) -> Iterator[list[Client]]:
    """A client of each of these nodes, or of those of out/community, for what only that node knows."""
    from wattquorum import Client

    with ExitStack() as stack:
        yield [stack.enter_context(Client([each], patience_s=OWN_S)) for each in interfaces(nodes)]


def _say(line: str) -> None:
    console.print(line, markup=False)


def _check(protocol: str) -> None:
    if protocol != CGPBFT:
        raise Refused("consensus_other", "chain", protocol, "Agents are elected on chains of cgpbft alone.")
