"""`wattquorum community`, `invite` and `join`: who may connect to whom, from the founding to a revocation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattquorum.cli.files import writing
from wattquorum.cli.nodes import ENGINES
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.disk import sync_folder, write_all

if TYPE_CHECKING:
    from wattquorum.ledger.genesis import Founder

DAY_MS = 86_400_000
EVERYWHERE = "0.0.0.0"  # nodes listen for each other on every interface: TLS turns strangers away
DEFAULT_PORT = 7400

STEPS = """
Found a community, admit its nodes, and revoke them. The steps, in their order:

1. The operator, on a machine that runs no node: [bold]wattquorum community init village --name village[/] makes the
community's authority. Tell every member the fingerprint that it prints, by another way than by file.

2. The operator, for each member: [bold]wattquorum invite village --member hydro --days 14 --out hydro.invitation[/]
writes a file that works once. Hand it over so that nobody else reads it.

3. The member, on the machine of its node: [bold]wattquorum join hydro.invitation --folder node --listen
node.example:7400 --fingerprint ...[/] makes the node's keys, which never leave it, and node/request.json, which is no
secret. Send that back.

4. The operator, once, with the requests of all who begin: [bold]wattquorum community genesis village hydro.json
mill.json farm.json --operator PUBLIC-KEY[/] writes village/genesis.json, what the chain starts from. Addresses follow
from it. PUBLIC-KEY is what [bold]wattquorum keys operator.key[/] prints; offices can be given to several people.

5. The operator: [bold]wattquorum community admit village request.json --out hydro.admission[/] checks the request and
certifies the node's address for a year. Send the file back; it is no secret. Once all are admitted, send
village/peers.json to every node too: it says where they listen.

6. The member: [bold]wattquorum join --certificate hydro.admission --folder node[/] checks and installs it. Put
peers.json into the folder, look through node/node.toml, and start: [bold]wattquorum node run --config
node/node.toml[/].

To renew before the year is over: steps 2, 3, 5 and 6 again, into the same folder; the ledger key stays.

To shut a node out: [bold]wattquorum community revoke village ADDRESS[/], then copy village/revoked.pem into the folder
of every node; running ones take it up within seconds. Who votes is decided on the ledger and not here: remove the
validator there as well.

Back up the community's folder as a secret: without authority.key nobody can be admitted or revoked. Back up ledger.key
of every node; governors can replace a lost one.
"""


app = typer.Typer(
    help=STEPS.strip(), short_help="Found a community, admit its nodes, and revoke them.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(help="The community's folder.")]


def now_ms() -> int:
    """The wall clock [ms]."""
    return time.time_ns() // 1_000_000


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must be new or empty.")],
    name: Annotated[str, typer.Option(help="The community's name: 1 to 64 of A-Z a-z 0-9 . _ : and -.")],
) -> None:
    """Make the community's authority: its key, its certificate, and a list that revokes nothing.

    Whoever has authority.key can let anybody connect, though not sign for anybody on the ledger. Keep the folder on a
    machine that runs no node, and a copy of it elsewhere. Next: `wattquorum invite`.
    """
    from wattquorum.node.community_folder import found

    with writing(folder):
        fingerprint = found(folder, name, now_ms())
    typer.echo(f"community    {folder}")
    typer.echo(f"fingerprint  {fingerprint}")


def invite(
    folder: Folder,
    member: Annotated[str, typer.Option(help="Whom to invite: a name of 1 to 64 of A-Z a-z 0-9 . _ : and -.")],
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist.")],
    days: Annotated[int, typer.Option(help="For how many days it can be used.", min=1, max=365)] = 14,
) -> None:
    """Write an invitation for one node of a member, to be used once.

    It holds a secret: who reads it first can join in the member's name, until the operator admits somebody. The order
    of all steps: `wattquorum community --help`. Next, by the member: `wattquorum join`.
    """
    from wattquorum.node.community_folder import opened

    with opened(folder, now_ms()) as community:
        with _given(out, 0o600) as give:
            give(community.invite(member, days, now_ms(), os.urandom(32)))
        typer.echo(f"invitation   {out}")
        typer.echo(f"until        {_moment(now_ms() + days * DAY_MS)}")
        typer.echo(f"fingerprint  {community.fingerprint}")


def join(
    folder: Annotated[Path, typer.Option(help="The node's folder; it is made when it is not there.")],
    invitation: Annotated[Path | None, typer.Argument(help="The invitation, to ask for admission.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="What the community answered, to be installed.")] = None,
    listen: Annotated[str, typer.Option(help="Where others reach this node, as host:port.")] = "",
    api: Annotated[str, typer.Option(help="Where clients reach it, for node.toml.")] = "127.0.0.1:8400",
    fingerprint: Annotated[
        str, typer.Option(help="The authority's fingerprint, or how it begins, as you were told it by another way.")
    ] = "",
) -> None:
    """Join a community: first with an invitation, then with what the community answers.

    With an invitation it makes the node's keys in the folder, for you alone to read, a node.toml to begin with, and a
    request that proves to hold the keys: send request.json to the community. With --certificate it checks and installs
    the answer. A newer invitation takes the place of one whose request was not answered. Joining again with a new
    invitation renews the TLS identity and keeps the ledger key. The order of all steps: `wattquorum community --help`.
    """
    from wattquorum.api.interface import is_loopback
    from wattquorum.node import node_folder
    from wattquorum.node.config import CONFIG, composed
    from wattquorum.node.config import place as place_in
    from wattquorum.node.disk import read_file, write_files
    from wattquorum.node.invitations import place_of, read_invitation

    if (invitation is None) == (certificate is None):
        found = "neither" if invitation is None else "both"
        raise Refused("column_ambiguous", "join", found, "Give an invitation, or --certificate with its answer.")
    if invitation is not None:
        data = read_file(invitation, str(invitation))
        with writing(folder):
            port = place_of(listen, "listen")[1] if listen else DEFAULT_PORT
            served = place_in(api, "api")
            if not is_loopback(served[0]):
                remedy = "Give 127.0.0.1:PORT now; docs/interface.md says how node.toml then admits other machines."
                raise Refused("config_invalid", "api", f"{api}, in plain text", remedy)
            text = composed((EVERYWHERE, port), served, {}, {})
            request = node_folder.ask(folder, data, listen, now_ms(), os.urandom, fingerprint)
            if not (folder / CONFIG).exists():
                write_files(folder, {CONFIG: text.encode()})
        typer.echo(f"request      {folder / node_folder.REQUEST}")
        typer.echo(f"ledger key   {request.ledger_key}")
        typer.echo(f"community    {read_invitation(data, now_ms()).community}")
        typer.echo(f"fingerprint  {request.authority}")
        if not fingerprint:
            typer.echo("Ask the community by another way whether this is its fingerprint, then send the request.")
    elif certificate is not None:
        with writing(folder):
            identity = node_folder.install(folder, read_file(certificate, str(certificate)), now_ms(), fingerprint)
        typer.echo(f"address      {identity.address.hex()}")
        typer.echo(f"chain        {identity.chain_id.hex()}")
        typer.echo(f"until        {_moment(identity.ends_ms)}")


@app.command("genesis")
def genesis(
    folder: Folder,
    requests: Annotated[list[Path], typer.Argument(help="The request.json of every node that begins, in their order.")],
    operator: Annotated[
        str, typer.Option(help="A public key that holds every office, as `wattquorum keys` prints it.")
    ] = "",
    founder: Annotated[
        list[str] | None,
        typer.Option(help="NAME:PUBLIC-KEY:OFFICE,OFFICE: who holds which offices; give it for each of them."),
    ] = None,
    approvals: Annotated[int, typer.Option(min=1, help="How many governors must agree to a proposal.")] = 1,
    currency: Annotated[str, typer.Option(help="In which money accounts are kept.")] = "EUR",
    engine: Annotated[Protocol, typer.Option(help=ENGINES)] = Protocol.WEIGHTED_RAFT,
    groups: Annotated[
        int | None, typer.Option(min=4, max=1_000, help="With cgpbft: into how many groups members are divided.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: a parameter of docs/limits.md that differs from its default.")
    ] = None,
) -> None:
    """Write what the chain starts from: its first replicas, who holds which office, its parameters.

    It is written once, before anybody is admitted; what it says can later be changed by governors on the ledger alone.
    Offices: GOVERNOR, REGISTRAR, GRID_OPERATOR, METER_OPERATOR, ISSUER, REGISTRY, CASHIER, AUDITOR.
    """
    from wattquorum.ledger.genesis import chain_id_of
    from wattquorum.node.community_folder import GENESIS, Rules, opened
    from wattquorum.node.disk import read_file
    from wattquorum.node.founding import OPERATOR, of_every_office

    founders = [_founder(each) for each in founder or ()]
    if operator:
        founders.append(of_every_office(OPERATOR, operator))
    parameters = {**engine.parameters(groups), **dict(map(_parameter, parameter or ()))}
    data = [read_file(request, str(request)) for request in requests]
    with opened(folder, now_ms()) as community:
        written = community.begin(data, founders, Rules(currency, approvals, parameters), now_ms())
    typer.echo(f"genesis      {folder / GENESIS}")
    typer.echo(f"chain        {chain_id_of(written).hex()}")
    typer.echo(f"replicas     {len(data)}")


def _founder(text: str) -> Founder:
    from wattquorum.ledger.genesis import Founder

    name, _, rest = text.partition(":")
    key, _, offices = rest.partition(":")
    if not name or not key or not offices:
        raise Refused("out_of_range", "founder", text, "Write it as NAME:PUBLIC-KEY:OFFICE,OFFICE.")
    return Founder(name, name, key, tuple(offices.upper().split(",")))


def _parameter(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value.replace("_", ""))
    except ValueError:
        raise Refused("out_of_range", "parameter", text, "Write it as NAME=VALUE with a whole number.") from None


@app.command("admit")
def admit(
    folder: Folder,
    request: Annotated[Path, typer.Argument(help="The member's request.json.")],
    out: Annotated[Path, typer.Option(help="The file to write for the member; it must not exist.")],
    days: Annotated[int, typer.Option(help="For how many days the TLS identity holds.", min=1, max=3_650)] = 365,
) -> None:
    """Check a request and certify its node's address; its invitation is used up.

    `wattquorum community genesis` must have been before, since addresses follow from it. Next, by the member:
    `wattquorum join --certificate`. Where an answer was lost, the same request gets the same certificate again.
    """
    from wattquorum.node.community_folder import opened
    from wattquorum.node.disk import read_file

    data = read_file(request, str(request))
    with opened(folder, now_ms()) as community, _given(out, 0o644) as give:
        certified, admission = community.admit(data, now_ms(), days)
        give(admission)
    typer.echo(f"admission    {out}")
    typer.echo(f"member       {certified.member}")
    typer.echo(f"address      {certified.address}")
    typer.echo(f"until        {_moment(certified.ends_ms)}")


@app.command("revoke")
def revoke(
    folder: Folder,
    address: Annotated[str, typer.Argument(help="The node's address, 40 hexadecimal digits.")],
) -> None:
    """Revoke every TLS identity of an address and sign the list anew.

    Nodes turn it away once they have the new revoked.pem in their folders. Its seat on the ledger is another matter:
    remove the validator there.
    """
    from wattquorum.node.community_folder import REVOKED, opened

    with opened(folder, now_ms()) as community:
        count = community.revoke(address.lower(), now_ms())
    typer.echo(f"revoked      {count} of {address.lower()}")
    typer.echo(f"list         {folder / REVOKED}")


@app.command("list")
def show(folder: Folder) -> None:
    """List invitations and TLS identities, and what became of them."""
    from rich.console import Console
    from rich.table import Table

    from wattquorum.node.community_folder import opened

    now = now_ms()
    with opened(folder, now) as community:
        register = community.register
        typer.echo(f"community    {register.community}")
        typer.echo(f"fingerprint  {community.fingerprint}")
        typer.echo(f"genesis      {'there' if community.genesis else 'not yet'}")
    invitations, identities = Table(title="Invitations"), Table(title="TLS identities")
    for heading in ("member", "until", "state"):
        invitations.add_column(heading)
    for each in register.invitations:
        state = "used" if each.used_ms else "expired" if now >= each.expires_ms else "open"
        invitations.add_row(each.member, _moment(each.expires_ms), state)
    for heading in ("member", "address", "listens", "until", "state"):
        identities.add_column(heading, overflow="fold")
    for certified in register.identities:
        state = "revoked" if certified.revoked_ms else "in force" if certified.in_force(now) else "expired"
        until = _moment(certified.ends_ms)
        identities.add_row(certified.member, certified.address, certified.listen or "-", until, state)
    console = Console(highlight=False)
    for table in (invitations, identities):
        console.print(table)


def _moment(ms: int) -> str:
    from wattquorum.foundation.intervals import format_moment
    from wattquorum.foundation.quantities import Millis

    return format_moment(Millis(ms))


@contextmanager
def _given(out: Path, mode: int) -> Iterator[Callable[[bytes], None]]:
    """A new file that is there before anything is used up for it, and the way to fill it; gone again if it stays empty.

    Refused: file_exists, file_unreadable, disk_full.
    """
    with writing(out):
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise Refused("file_exists", "out", out) from None

    def give(data: bytes) -> None:
        with writing(out):
            write_all(descriptor, data)
            sync_folder(out.absolute().parent)

    try:
        yield give
    except BaseException:
        with suppress(OSError):
            out.unlink()
        raise
    finally:
        os.close(descriptor)
