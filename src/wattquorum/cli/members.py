"""`wattquorum members`: who is a member, who runs a replica, and how both change while the community runs.

Everything here is a signed transaction like any other: registrars open accounts, governors give and take seats, and a
member says itself that its replica is ready to vote. What is decided and what is in force are two things, since voting
powers change by a step of consensus of their own; every command here waits for the second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.api.client import Client
    from wattquorum.foundation.identities import SigningKey
    from wattquorum.ledger.transactions import Payload

EXPIRES_BLOCKS: Final = 1_000
EXPIRES_MS: Final = 3_600_000
AGAIN_S: Final = 0.2
SHORT: Final = 8
BEHIND_MAX: Final = 100  # blocks that a replica may be behind and count as caught up: each later one it is sent
HELP: Final = """
Who is a member, who runs a replica, and how both change while the community runs.

A new node, from nothing to its vote: [bold]wattquorum invite[/], [bold]join[/] and [bold]community admit[/] let it
connect (see [bold]wattquorum community --help[/]; send peers.json to all nodes). [bold]members add[/] opens the
member's account and makes its replica a learner. Start the node; when it has caught up, the member says so with
[bold]members ready[/], and it votes. [bold]members remove[/] takes the seat away; revoke its TLS identity afterwards.
"""

commands = typer.Typer(
    help=HELP.strip(),
    short_help="List members and their replicas, give and take seats.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False, soft_wrap=True)

NodeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--node", help="A node's interface; give several. Default: those of out/community.", show_default=False
    ),
]
KeyOption = Annotated[Path, typer.Option("--key", help="The secret key of who signs, as `wattquorum keys` writes it.")]
SenderOption = Annotated[
    str, typer.Option("--sender", help="The signing account's address, where its key was changed since it was opened.")
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be signed, and change nothing.")]
WaitOption = Annotated[float, typer.Option("--wait", help="For how many seconds to wait until it is in force.", min=0)]


READ_S: Final = 5.0  # how long a node is tried that is only to tell something


def interfaces(nodes: Sequence[str] | None) -> list[str]:
    """Where these nodes are asked, or those of out/community."""
    from wattquorum.cli.nodes import known_of_default
    from wattquorum.cli.statuses import interface_of

    apis = [interface_of(each) for each in nodes] if nodes else [each.api for each in known_of_default()]
    if not apis:
        raise Refused("file_unreadable", "node", "none", "Name a node's interface: --node http://127.0.0.1:7103.")
    return apis


@contextmanager
def asking(nodes: Sequence[str] | None, patience_s: float = 30.0) -> Iterator[Client]:
    """A client of these nodes, or of those of out/community."""
    from wattquorum import Client

    with Client(interfaces(nodes), patience_s=patience_s) as client:
        yield client


class Signer:
    """An account that signs here, and the community that it signs for."""

    def __init__(self, client: Client, key: Path, sender: str) -> None:
        from wattquorum.foundation.identities import address_of
        from wattquorum.node.node_folder import read_key

        self._client = client
        self._key: SigningKey = read_key(key)
        self.chain_id = bytes.fromhex(client.status().chain)
        self.address = hexadecimal(sender, 20, "sender") if sender else address_of(self.chain_id, self._key.public)
        self.account = next((each for each in listed(client)["members"] if each["address"] == self.address.hex()), None)
        if self.account is None:
            remedy = "It is no account of this community. Where its key was changed, name it with --sender."
            raise Refused("account_unknown", "key", f"{key}, address {self.address.hex()}", remedy)
        if self.account["key"] != self._key.public.hex():
            raise Refused("signature_forged", "key", key, "This account has another key now.")

    def need(self, role: str, what: str) -> None:
        """Refused("role_missing") unless the account has a role."""
        assert self.account is not None
        if role not in self.account["roles"]:
            remedy = f"{what} needs the role {role}; this account has {', '.join(self.account['roles']) or 'none'}."
            raise Refused("role_missing", "key", self.account["name"], remedy)

    def submit(self, payload: Payload) -> tuple[int, bytes]:
        """Signs, hands in and waits: the height that decided it and its hash. Refused for what the ledger refuses."""
        from wattquorum.ledger.transactions import Body, sign, transaction_hash

        nonce = self._client.account(self.address).nonce
        expiry = self._client.status().height + EXPIRES_BLOCKS
        expires_ms = time.time_ns() // 1_000_000 + EXPIRES_MS
        data = sign(self._key, Body(self.chain_id, self.address, nonce, expiry, expires_ms, payload))
        told = self._client.submit(data)
        if told.outcome != "done":
            raise Refused(told.code, told.field, told.value)
        return told.height, transaction_hash(data)


def hexadecimal(text: str, size: int, field: str) -> bytes:
    """Bytes from hexadecimal digits; Refused("encoding_unreadable") with how many there should be."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != size:
        raise Refused("encoding_unreadable", field, text, f"Give {2 * size} hexadecimal digits.")
    return found


def listed(client: Client) -> dict[str, Any]:
    """Members, replicas and proposals, with whatever was decided before."""
    return asdict(client.members())


def _member(found: Mapping[str, Any], named: str) -> dict[str, Any] | None:
    """The account with a name or an address."""
    return next((each for each in found["members"] if named.lower() in (each["name"].lower(), each["address"])), None)


def _replica(found: Mapping[str, Any], named: str) -> dict[str, Any]:
    """The replica with this address, or how one begins, or that of the member with this name."""
    account = _member(found, named)
    seats = [each for each in found["replicas"] if each["seat"] != "removed"]
    if account is not None:
        own = [each for each in seats if each["member"] == account["address"]]
    else:
        own = [each for each in seats if len(named) >= SHORT and each["replica"].startswith(named.lower())]
    if len(own) != 1:
        remedy = "Name a member that runs a replica, or a replica's address: see `wattquorum members list`."
        raise Refused("validator_unknown", "replica", named, remedy)
    return dict(own[0])


@commands.command("list")
def show(
    nodes: NodeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """List members and replicas: standing, power, state, and what governors are deciding on."""
    import json

    from wattquorum.foundation.quantities import Points, format_points

    with asking(nodes, READ_S) as client:
        found, status = listed(client), client.status()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    names = {each["address"]: each for each in found["members"]}
    total = sum(each["power"] for each in found["replicas"]) or 1
    table = Table("replica", "member", "owner", "seat", "power", "share", "standing", "account", box=None)
    for each in sorted(found["replicas"], key=lambda each: (-each["power"], each["replica"])):
        member = names.get(each["member"], {})
        weight = member.get("weight")
        table.add_row(
            each["replica"][:SHORT] + (" leads" if each["replica"] == status.leader else ""),
            member.get("name", "nobody's yet"),
            member.get("owner", ""),
            each["seat"],
            f"{each['power']:,}",
            f"{100 * each['power'] / total:.1f} %",
            "none" if weight is None else format_points(Points(weight)),
            member.get("status", ""),
        )
    console.print(table)
    others = Table("account", "name", "owner", "status", "roles", "standing", box=None)
    for each in found["members"]:
        weight = each["weight"]
        standing = "none" if weight is None else format_points(Points(weight))
        roles = ", ".join(role.lower() for role in each["roles"]) or "none"
        others.add_row(each["address"][:SHORT], each["name"], each["owner"], each["status"], roles, standing)
    console.print(others)
    for each in found["proposals"]:
        approved = f"{len(each['approvals'])} of {found['approvals_needed']}"
        console.print(f"proposal {each['proposal']}: {each['action']}, approved by {approved}")
    old, new = found["in_force"]
    state = f"version {new} is in force" if old == new else f"from version {old} to {new}, which is under way"
    console.print(f"height {found['height']:,}, epoch {found['epoch']:,}; {state}; the newest is {found['newest']}")


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The member's name on the ledger.")],
    key: KeyOption,
    member_key: Annotated[
        str, typer.Option(help="The member's public key, where it has no account yet: a registrar opens one.")
    ] = "",
    owner: Annotated[str, typer.Option(help="Whose account it is by law. Default: its name.", show_default=False)] = "",
    replica_key: Annotated[
        str, typer.Option(help="The public ledger key of its node, as `wattquorum join` prints it: it gets a seat.")
    ] = "",
    nodes: NodeOption = None,
    sender: SenderOption = "",
    dry_run: DryOption = False,
    wait: WaitOption = 60.0,
) -> None:
    """Admit a member, give its replica a seat, or both.

    A replica begins as a learner: it is sent everything and decides nothing. Once its node has caught up, the member
    says so with `wattquorum members ready`, and it votes. A founding replica that is nobody's yet is given to the
    member and goes on voting. A legal owner runs one replica.

    Where several governors must agree, the others use `wattquorum members approve` with the proposal's id.
    """
    from wattquorum.foundation.identities import address_of
    from wattquorum.ledger.transactions import AddValidator, Propose, Register

    if not member_key and not replica_key:
        raise Refused(
            "column_missing", "add", "nothing to do", "Give --member-key for an account, --replica-key for a seat."
        )
    new = hexadecimal(member_key, 32, "member-key") if member_key else b""
    seat = hexadecimal(replica_key, 32, "replica-key") if replica_key else b""
    with asking(nodes) as client:
        signer, found = Signer(client, key, sender), listed(client)
        account = _member(found, name)
        if account is None and not new:
            remedy = "Give --member-key, the public key that its `wattquorum keys` printed, to open an account."
            raise Refused("account_unknown", "name", name, remedy)
        if account is not None and new and account["address"] != address_of(signer.chain_id, new).hex():
            raise Refused("account_exists", "name", name, "Another key has an account of this name.")
        if account is None:
            signer.need("REGISTRAR", "Opening an account")
        if seat:
            signer.need("GOVERNOR", "Giving a seat")
            _check_seat(found, account, address_of(signer.chain_id, seat).hex())
        if dry_run:
            if account is None:
                console.print(f"would open an account for {name}, {address_of(signer.chain_id, new).hex()}")
            if seat:
                console.print(f"would propose a seat for replica {address_of(signer.chain_id, seat).hex()}")
                _print_governors(found)
            return
        if account is None:
            height, _ = signer.submit(Register(new, name, owner or name, ()))
            console.print(f"member   {name}  {address_of(signer.chain_id, new).hex()}")
            console.print(f"account  open since block {height:,}")
            account = _member(listed(client), name)
        if not seat:
            if new and not replica_key:
                console.print("It runs no replica; give it a seat with --replica-key.")
            return
        assert account is not None
        height, hash_ = signer.submit(Propose(AddValidator(hexadecimal(account["address"], 20, "member"), seat)))
        replica = address_of(signer.chain_id, seat).hex()
        console.print(f"replica  {replica}")
        _follow(client, height, hash_, wait, lambda found: _seat(found, replica) in ("learner", "voter"))
        if _seat(listed(client), replica) == "learner":
            console.print("It learns and does not vote. When its node has caught up: `wattquorum members ready`.")


def _check_seat(found: Mapping[str, Any], account: Mapping[str, Any] | None, replica: str) -> None:
    """Refuses, before anything is signed, what the ledger would refuse."""
    before = next((each for each in found["replicas"] if each["replica"] == replica), None)
    if before is not None and (before["member"] or before["seat"] == "removed"):
        remedy = "This replica has or had a seat: join with a ledger key of its own."
        raise Refused("validator_exists", "replica-key", replica, remedy)
    owner = account["owner"].lower() if account is not None else None
    names = {each["address"]: each["owner"].lower() for each in found["members"]}
    for each in found["replicas"]:
        if owner is not None and each["seat"] != "removed" and names.get(each["member"]) == owner:
            remedy = f"{each['replica'][:SHORT]} is its {each['seat']}: remove that one first (L-17)."
            raise Refused("validator_exists", "member", account["name"] if account else "", remedy)


def _seat(found: Mapping[str, Any], replica: str) -> str:
    return next((str(each["seat"]) for each in found["replicas"] if each["replica"] == replica), "")


def _print_governors(found: Mapping[str, Any]) -> None:
    governors = sum("GOVERNOR" in each["roles"] for each in found["members"])
    console.print(f"{found['approvals_needed']} of {governors} governors have to agree")


@commands.command("ready")
def ready(
    replica: Annotated[str, typer.Argument(help="The replica: its member's name, or its address.")],
    key: Annotated[
        Path, typer.Option("--key", help="The member's own secret key: it signs that its replica is ready.")
    ],
    of: Annotated[
        str, typer.Option("--of", help="The interface of the replica's own node, to see how far it has come.")
    ],
    nodes: NodeOption = None,
    sender: SenderOption = "",
    dry_run: DryOption = False,
    wait: WaitOption = 60.0,
) -> None:
    """Say that a learner has caught up, so that it votes from the next version of voting powers on.

    The node is asked how far it has come before anything is signed: a voter that lacks most of the chain makes the
    community weaker and not stronger.
    """
    from wattquorum import Client
    from wattquorum.cli.statuses import interface_of
    from wattquorum.ledger.transactions import ReadyValidator

    with asking(nodes) as client, Client([interface_of(of, "of")], patience_s=5.0) as own:
        signer, found = Signer(client, key, sender), listed(client)
        seat = _replica(found, replica)
        if seat["seat"] != "learner":
            raise Refused("validator_unknown", "replica", seat["replica"], f"It is a {seat['seat']} already.")
        if seat["member"] != signer.address.hex():
            raise Refused("validator_unknown", "key", key, "Sign with the key of the member that runs this replica.")
        status = own.status()
        if status.replica != seat["replica"]:
            remedy = f"Another replica answers there, {status.replica}: give the interface of {seat['replica']}."
            raise Refused("validator_unknown", "of", of, remedy)
        behind = found["height"] - status.height
        if status.halted:
            raise Refused("node_halted", "of", status.halted)
        if behind > BEHIND_MAX:
            remedy = f"Wait until it is at most {BEHIND_MAX} blocks behind, then say so again."
            far = f"{behind:,}: it is at block {status.height:,} of {found['height']:,}"
            raise Refused("out_of_range", "blocks behind", far, remedy)
        if dry_run:
            console.print(f"would say that {seat['replica']} is ready; it is at block {status.height:,}")
            return
        height, _ = signer.submit(ReadyValidator(bytes.fromhex(seat["replica"])))
        console.print(f"replica  {seat['replica']}")
        _in_force(client, height, wait, lambda found: _seat(found, seat["replica"]) == "voter")
        power = next(each["power"] for each in listed(client)["replicas"] if each["replica"] == seat["replica"])
        console.print(f"power    {power:,}")


@commands.command("remove")
def remove(
    replica: Annotated[str, typer.Argument(help="The replica: its member's name, or its address.")],
    key: KeyOption,
    nodes: NodeOption = None,
    sender: SenderOption = "",
    dry_run: DryOption = False,
    wait: WaitOption = 60.0,
) -> None:
    """Take a replica's seat away; its member stays a member.

    Afterwards its node is sent nothing any more and can be stopped; revoke its TLS identity with `wattquorum community
    revoke`, so that it can connect no more. Its ledger key can never have a seat again.
    """
    from wattquorum.ledger.transactions import Propose, RemoveValidator

    with asking(nodes) as client:
        signer, found = Signer(client, key, sender), listed(client)
        seat = _replica(found, replica)
        signer.need("GOVERNOR", "Taking a seat")
        voting = sum(each["seat"] == "voter" for each in found["replicas"])
        if seat["seat"] == "voter" and voting == 1:
            raise Refused("validators_too_few", "replica", seat["replica"])
        if dry_run:
            left = voting - (seat["seat"] == "voter")
            console.print(f"would propose to remove {seat['replica']}, a {seat['seat']}; {left} voters would be left")
            _print_governors(found)
            return
        height, hash_ = signer.submit(Propose(RemoveValidator(bytes.fromhex(seat["replica"]))))
        console.print(f"replica  {seat['replica']}")
        _follow(client, height, hash_, wait, lambda found: _seat(found, seat["replica"]) == "removed")


@commands.command("approve")
def approve(
    proposal: Annotated[str, typer.Argument(help="The proposal's id, as `members list` shows it.")],
    key: KeyOption,
    nodes: NodeOption = None,
    sender: SenderOption = "",
    dry_run: DryOption = False,
    wait: WaitOption = 60.0,
) -> None:
    """Approve what another governor proposed; the approval that completes the number puts it into force."""
    from wattquorum.ledger.transactions import Approve

    with asking(nodes) as client:
        signer, found = Signer(client, key, sender), listed(client)
        signer.need("GOVERNOR", "Approving")
        open_ = next((each for each in found["proposals"] if each["proposal"] == proposal.lower()), None)
        if open_ is None:
            raise Refused("proposal_unknown", "proposal", proposal, "It was decided or ran out, or never was.")
        if dry_run:
            console.print(f"would approve {open_['action']}, {len(open_['approvals'])} approved so far")
            _print_governors(found)
            return
        height, _ = signer.submit(Approve(hexadecimal(proposal, 16, "proposal")))
        _follow(client, height, bytes.fromhex(proposal), wait, lambda _: True)


def _follow(client: Client, height: int, hash_: bytes, wait: float, holds: Callable[[Mapping[str, Any]], bool]) -> None:
    """What became of a proposal: it waits for other governors, or it was decided and is in force after a while."""
    from wattquorum.ledger.transactions import identifier

    found = listed(client)
    proposal = identifier(hash_).hex()
    open_ = next((each for each in found["proposals"] if each["proposal"] == proposal), None)
    if open_ is not None:
        console.print(f"proposal {proposal}, in block {height:,}")
        missing = found["approvals_needed"] - len(open_["approvals"])
        console.print(f"{missing} more governors have to agree: `wattquorum members approve {proposal} --key ...`")
        return
    _in_force(client, height, wait, holds)


def _in_force(client: Client, height: int, wait: float, holds: Callable[[Mapping[str, Any]], bool]) -> None:
    """Waits until what a block decided is in force, and says since when."""
    console.print(f"decided  in block {height:,}")
    until, wanted = time.monotonic() + wait, listed(client)["newest"]
    while True:
        found = listed(client)
        if holds(found) and min(found["in_force"]) >= wanted:
            break
        if time.monotonic() > until:
            remedy = "It is decided and comes into force by itself: see `wattquorum members list` and `status`."
            raise Refused("undecided", "version", f"{wanted} is not in force after {wait:g} s", remedy)
        time.sleep(AGAIN_S)
    since = _since(client, height, found["height"], wanted)
    console.print(f"in force since block {since:,}, as version {wanted}, in epoch {found['epoch']:,}")


def _since(client: Client, first: int, last: int, version: int) -> int:
    """The first block that was ordered under a version and no older one."""
    from wattquorum.ledger.blocks import decode_block

    for height, data in client.blocks(first):
        round_ = decode_block(data).header.round
        if min(round_.old, round_.new) >= version or height >= last:
            return height
    return last
