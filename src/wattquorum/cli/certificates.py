"""`wattquorum certificates`: who holds which bundles, what they are made of, and giving or retiring them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.chains import ChainArgument, ChainOption, chosen, read_chain, said_of
from wattquorum.cli.files import writing
from wattquorum.foundation.identities import ADDRESS_BYTES, SigningKey, address_of
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import Energy, Millis, format_energy
from wattquorum.foundation.refusals import Refused
from wattquorum.green.certificates import WHOLE
from wattquorum.ledger.accounts import Account
from wattquorum.ledger.blocks import Outcome, decode_block
from wattquorum.ledger.bundles import told
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import BundleEnded, BundleMade, BundleMoved, Fact
from wattquorum.ledger.holdings import BundleStatus
from wattquorum.ledger.inclusion import prove_inclusion
from wattquorum.ledger.state import Table as State
from wattquorum.ledger.transactions import (
    Body,
    Payload,
    Received,
    RetireCertificates,
    TransferCertificates,
    sign,
)
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode
from wattquorum.node.statement import described, statement
from wattquorum.node.verification import threads

app = typer.Typer(
    help="Green certificates: who holds them, their lineage, giving and retiring them.", no_args_is_help=True
)
BundleArgument = Annotated[str, typer.Argument(help="A bundle's id (or how it begins), as `list` shows it.")]
KeyOption = Annotated[Path | None, typer.Option(help="The owner's secret seed, as `wattquorum keys` wrote it.")]
ProposerOption = Annotated[Path | None, typer.Option(help="The secret seed of a proposer of this chain.")]
SeedOption = Annotated[int | None, typer.Option(help="Demo chains: the run's seed, from which all keys derive.")]
CountOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many, from the bundle's first on: certificates of a whole bundle, Wh of a granular one. "
        "Default: all of it.",
    ),
]
EXPIRY_BLOCKS: Final = 1_000
EXPIRY_MS: Final = 3_600_000
SHOWN_ID: Final = 8


class Known(NamedTuple):
    """A bundle and what became of it."""

    made: BundleMade
    height: int  # of the block that made it; 0 where no block tells
    owner: bytes
    stands: str
    said: str  # for whom and what for it was used up, or why it was withdrawn


ACTIVE: Final = "active"
WORDS: Final = {
    BundleStatus.ACTIVE: ACTIVE,
    BundleStatus.RETIRED: "retired",
    BundleStatus.WITHDRAWN: "withdrawn",
}


class Bundles:
    """Every bundle of a chain, in the order in which they were made, as far as blocks tell and the state has them."""

    ledger: Ledger  # since `begin`

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}
        self.moves: dict[bytes, list[tuple[int, BundleMoved]]] = {}
        self.untold: tuple[range, ...] = ()  # blocks that were not executed

    def begin(self, ledger: Ledger) -> None:
        """Takes over what the state has where blocks begin to tell."""
        self.ledger = ledger
        held = [(key[:ADDRESS_BYTES], key[ADDRESS_BYTES:], bundle) for key, bundle in ledger.state.items(State.BUNDLE)]
        there = {
            bundle_id: Known(told(ledger.state, owner, bundle_id, bundle), 0, owner, WORDS[bundle.status], "")
            for owner, bundle_id, bundle in held
        }
        for bundle_id, known in self.known.items():
            if known.stands == ACTIVE:
                now = there.get(bundle_id)
                ended = known._replace(stands="not active any more")
                self.known[bundle_id] = known._replace(owner=now.owner, stands=now.stands) if now else ended
        for bundle_id in sorted(there, key=lambda each: _by_start(there[each])):
            self.known.setdefault(bundle_id, there[bundle_id])

    def see(self, height: int, facts: Sequence[Fact]) -> None:
        """Takes over the facts of one transaction."""
        for fact in facts:
            match fact:
                case BundleMade():
                    self.known[fact.bundle] = Known(fact, height, fact.owner, ACTIVE, "")
                case BundleMoved():
                    self.known[fact.bundle] = self.known[fact.bundle]._replace(owner=fact.taker)
                    self.moves.setdefault(fact.bundle, []).append((height, fact))
                case BundleEnded():
                    stands = f"{fact.ending.name.lower().replace('_', ' ')} in block {height}"
                    said = ", ".join(filter(None, (fact.beneficiary, fact.said)))
                    self.known[fact.bundle] = self.known[fact.bundle]._replace(stands=stands, said=said)
                case _:
                    pass

    def name(self, address: bytes) -> str:
        """An account's name."""
        account: Account = self.ledger.state.get(State.ACCOUNT, address)
        return account.name

    def find(self, wanted: str) -> Known:
        """The bundle whose id begins so; Refused("certificate_unknown") unless there is exactly one."""
        found = [known for bundle, known in self.known.items() if wanted and bundle.hex().startswith(wanted.lower())]
        if len(found) != 1:
            remedy = "See `wattquorum certificates list`." if not found else f"It fits {len(found)}: give more digits."
            raise Refused("certificate_unknown", "bundle", wanted, remedy)
        return found[0]

    def active(self, wanted: str) -> Known:
        """As `find`, but it must not have ended."""
        found = self.find(wanted)
        if found.stands != ACTIVE:
            raise Refused("certificate_final", "bundle", found.stands, "See `wattquorum certificates list`.")
        return found

    def address(self, member: str) -> bytes:
        """An account by its name or address."""
        for address, account in self.ledger.state.items(State.ACCOUNT):
            if member in (account.name, address.hex()):
                return address
        raise Refused("account_unknown", "account", member, "Name an account of this chain.")


def _bundles(chain: Path) -> Bundles:
    bundles = Bundles()
    bundles.untold = read_chain(chain, bundles.begin, bundles.see)
    return bundles


@app.command("list")
def list_bundles(
    named: ChainArgument = None,
    chain: ChainOption = None,
    owner: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were split, rolled up or used up.")] = False,
) -> None:
    """Bundles of certificates with their owners."""
    bundles = _bundles(chosen(named, chain))
    wanted = bundles.address(owner) if owner is not None else None
    table = Table(title="Bundles of certificates", title_justify="left")
    for heading in ("bundle", "owner", "device", "source"):
        table.add_column(heading, no_wrap=heading == "bundle")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("produced")
    if all_:
        table.add_column("stands")
    energy = 0
    for bundle, known in bundles.known.items():
        active = known.stands == ACTIVE
        if not (active or all_) or wanted not in (None, known.owner):
            continue
        energy += _energy(known) if active else 0
        row = [
            bundle.hex()[:SHOWN_ID],
            bundles.name(known.owner),
            known.made.meter,
            known.made.source,
            _size(known),
            _produced(known),
        ]
        table.add_row(*row, *([known.stands] if all_ else []))
    console = _console()
    if table.row_count:
        console.print(table)
    console.print(f"{format_energy(Energy(energy))} are active.")
    if all_ and bundles.untold:
        console.print(f"Bundles that had ended before may be missing: {said_of(bundles.untold)}.", soft_wrap=True)


def _console() -> Console:
    """Prints at full width where nobody looks at a terminal, so that nothing is cut in a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def _energy(known: Known) -> int:
    return (known.made.end - known.made.first) * known.made.unit


def _size(known: Known) -> str:
    count = known.made.end - known.made.first
    return f"{count} of 1 MWh" if known.made.unit == WHOLE else format_energy(Energy(count))


def _said(known: Known, count: int) -> str:
    """Some certificates of a bundle as people call them: by number where each is 1 MWh, else by their energy."""
    if known.made.unit != WHOLE:
        return f"{format_energy(Energy(count))} of granular certificates"
    return "1 certificate" if count == 1 else f"{count} certificates"


def _produced(known: Known) -> str:
    return f"{format_moment(known.made.start_ms)[:16]} to {format_moment(known.made.end_ms)[:16]}"


@app.command("show")
def show(bundle: BundleArgument, named: ChainArgument = None, chain: ChainOption = None) -> None:
    """One bundle, everything it was made of, and through whose hands it went."""
    bundles = _bundles(chosen(named, chain))
    found = bundles.find(bundle)
    console = Console(highlight=False, soft_wrap=True)
    made = found.made
    console.print(f"bundle    {made.bundle.hex()}")
    console.print(f"owner     {bundles.name(found.owner)}", markup=False)
    console.print(f"device    {made.meter} ({made.source})", markup=False)
    console.print(f"size      {_size(found)}, numbers {made.first + 1} to {made.end} of the device's")
    console.print(f"produced  {_produced(found)}, expires {format_moment(made.expires_ms)[:10]}")
    console.print(f"stands    {found.stands}")
    if found.said:
        console.print(f"says      {found.said}", markup=False)
    console.print("\nmade of")
    lineage = [(0, found), *_lineage(bundles, made)]
    for depth, known in lineage[1:]:
        text = f"{known.made.bundle.hex()[:SHOWN_ID]}  {_size(known)}  {_produced(known)}"
        block = f"block {known.height}, " if known.height else ""
        console.print(f"{'  ' * depth}{text}  {block}{known.stands}", markup=False)
    moves = [move for _, known in lineage for move in bundles.moves.get(known.made.bundle, [])]
    if moves:
        console.print("\nchanged hands")
    for height, moved in sorted(moves, key=_by_height):
        who = f"{bundles.name(moved.giver)} to {bundles.name(moved.taker)}"
        console.print(f"  block {height}: {moved.bundle.hex()[:SHOWN_ID]}, {who}", markup=False)
    if bundles.untold and min(known.height for _, known in lineage) <= bundles.untold[-1][-1]:
        console.print(f"\nMore may lie behind it: {said_of(bundles.untold)}.")


def _by_height(entry: tuple[int, BundleMoved]) -> int:
    return entry[0]


def _lineage(bundles: Bundles, made: BundleMade, depth: int = 1) -> Iterator[tuple[int, Known]]:
    """Everything that a bundle was made of, by time of production, with how far back it is."""
    parents = [bundles.known[parent] for parent in made.parents]
    for known in sorted(parents, key=_by_start):
        yield depth, known
        yield from _lineage(bundles, known.made, depth + 1)


def _by_start(known: Known) -> tuple[int, bytes]:
    return known.made.start_ms, known.made.bundle


class Keys(NamedTuple):
    """Who signs: the owner, and the proposer that orders."""

    owner: SigningKey
    proposer: SigningKey


@app.command("transfer")
def transfer(
    bundle: BundleArgument,
    to: Annotated[str, typer.Argument(help="The account that gets them: a name or an address.")],
    count: CountOption = None,
    named: ChainArgument = None,
    chain: ChainOption = None,
    key: KeyOption = None,
    proposer_key: ProposerOption = None,
    seed: SeedOption = None,
) -> None:
    """Give certificates of a bundle to another account, as a new block of a chain that one proposer orders.

    Sign with --key and --proposer-key, or on a demo chain with --seed.
    """
    at = chosen(named, chain)
    bundles = _bundles(at)
    found, taker = bundles.active(bundle), bundles.address(to)
    number = count or found.made.end - found.made.first
    payload = TransferCertificates(found.made.bundle, number, taker)
    with _writable(at, key, proposer_key, seed, bundles.name(found.owner)) as (node, owner):
        executed = _ordered(node, owner, payload)
    typer.echo(f"done     {_said(found, number)} to {bundles.name(taker)}, block {executed.block.header.height}")


@app.command("retire")
def retire(
    bundle: BundleArgument,
    count: CountOption = None,
    beneficiary: Annotated[
        str, typer.Option(help="For whom they are used up. Default: the owner's own consumption.")
    ] = "",
    purpose: Annotated[str, typer.Option(help="What for, such as `consumption of June 2016`.")] = "",
    out: Annotated[Path, typer.Option(help="The statement to write; its proof stands beside it.")] = Path(
        "retirement.html"
    ),
    named: ChainArgument = None,
    chain: ChainOption = None,
    key: KeyOption = None,
    proposer_key: ProposerOption = None,
    seed: SeedOption = None,
) -> None:
    """Use certificates up, for good, and write a statement to print with a proof that anybody can check.

    Sign with --key and --proposer-key, or on a demo chain with --seed.
    """
    at = chosen(named, chain)
    bundles = _bundles(at)
    found = bundles.active(bundle)
    number = count or found.made.end - found.made.first
    payload = RetireCertificates(found.made.bundle, number, beneficiary, purpose)
    owner_name = bundles.name(found.owner)
    _check_places(out)
    with _writable(at, key, proposer_key, seed, owner_name) as (node, owner):
        executed = _ordered(node, owner, payload)
    with ChainFolder(at) as folder:
        _state(folder, executed.block.receipts[0].transaction, owner_name, out)
    typer.echo(f"done     {_said(found, number)} retired, block {executed.block.header.height}")
    _told(out)


@app.command("statement")
def state(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="The statement to write; its proof stands beside it.")] = Path(
        "retirement.html"
    ),
    named: ChainArgument = None,
    chain: ChainOption = None,
) -> None:
    """Write the statement of certificates that were retired before, with its proof."""
    at = chosen(named, chain)
    bundles = _bundles(at)
    found = bundles.find(bundle)
    with ChainFolder(at) as folder:
        retirement = _retirement(folder, found.made)
        if retirement is None:
            raise Refused("certificate_unknown", "bundle", bundle, "Name a bundle that was retired; see `list --all`.")
        _state(folder, retirement, bundles.name(found.owner), out)
    _told(out)


def _retirement(folder: ChainFolder, made: BundleMade) -> bytes | None:
    """The transaction that retired a bundle or a part of it: receipts say what was retired, whatever else is gone."""
    numbers = {"meter": made.meter, "unit_wh": str(made.unit), "first": str(made.first), "end": str(made.end)}
    for _, data in folder.read():
        block = decode_block(data)
        for signed, receipt in zip(block.transactions, block.receipts, strict=True):
            if receipt.outcome is Outcome.DONE and receipt.field == "retired":
                payload = Received(signed).body.payload
                named = isinstance(payload, RetireCertificates) and payload.bundle == made.bundle
                if named or numbers.items() <= described(receipt.value).items():
                    return receipt.transaction
    return None


def _check_places(out: Path) -> None:
    """Refuses a statement that could not be written, before anything is used up; leaves what was there as it was."""
    for place in (out, _proof_of(out)):
        fresh = not place.exists()
        with writing(place), place.open("a"):
            pass
        if fresh:
            place.unlink()


def _told(out: Path) -> None:
    typer.echo(f"page     {out}  (print it)")
    typer.echo(f"proof    {_proof_of(out)}  (check it: wattquorum verify {_proof_of(out)})")


def _proof_of(out: Path) -> Path:
    return out.with_suffix(".proof.json")


def _state(folder: ChainFolder, transaction: bytes, owner: str, out: Path) -> None:
    """Writes the statement of a retirement and its proof."""
    later, block = [], None
    for _, data in folder.read():
        each = decode_block(data)
        if block is None and any(receipt.transaction == transaction for receipt in each.receipts):
            block = each
        elif block is not None:
            later.append(each.header)
    if block is None:
        raise Refused("transaction_unknown", "transaction", transaction)
    place = next(i for i, receipt in enumerate(block.receipts) if receipt.transaction == transaction)
    ended = folder.ended.height if folder.ended else 0
    kept = [header for header in later if header.height <= ended]
    proof = prove_inclusion(folder.genesis_bytes, block, kept, folder.signed_tip(), place)
    page = statement(proof, _proof_of(out).name, owner)
    with writing(out):
        out.write_text(page, encoding="utf-8")
        _proof_of(out).write_bytes(proof)


@contextmanager
def _writable(
    chain: Path, key: Path | None, proposer_key: Path | None, seed: int | None, owner: str
) -> Iterator[tuple[LoneNode, SigningKey]]:
    """A node on the chain, and the owner's key; closed and signed afterwards."""
    with threads() as verify, ChainFolder(chain, writing=True) as folder:
        if len(folder.genesis.proposers) > 1:
            remedy = "Its replicas order it together; this command orders alone, as it may on a chain of one proposer."
            raise Refused("orders_alone", "chain", chain, remedy)
        keys = _keys(folder, key, proposer_key, seed, owner)
        node = LoneNode(folder, keys.proposer, verify)
        try:
            yield node, keys.owner
        finally:
            node.close()


def _keys(folder: ChainFolder, key: Path | None, proposer_key: Path | None, seed: int | None, owner: str) -> Keys:
    if seed is not None:
        from wattquorum.lab.offices import PROPOSER
        from wattquorum.simulation.demo_keys import DemoSecrets

        secrets = DemoSecrets(seed, demo=folder.genesis.demo)
        proposer = secrets.key(PROPOSER)
        if proposer.public.hex() not in folder.genesis.proposers:
            raise Refused("out_of_range", "seed", seed, "This chain was made with another seed.")
        return Keys(secrets.key(owner), proposer)
    if key is None or proposer_key is None:
        remedy = "Give --key and --proposer-key, or --seed on a demo chain."
        raise Refused("file_unreadable", "key", "none", remedy)
    return Keys(_key(key), _key(proposer_key))


def _key(path: Path) -> SigningKey:
    try:
        return SigningKey(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError) as fault:
        raise Refused(
            "file_unreadable", "key", f"{path}: {fault}", "Give a file that `wattquorum keys` wrote."
        ) from None


def _ordered(node: LoneNode, key: SigningKey, payload: Payload) -> Executed:
    """The transaction as the chain's next block; what the ledger would refuse is raised, and no block is written."""
    ledger = node.ledger
    address = address_of(ledger.chain_id, key.public)
    account: Account | None = ledger.state.get(State.ACCOUNT, address)
    if account is None or account.key != key.public:
        owner = next((each for each, held in ledger.state.items(State.ACCOUNT) if held.key == key.public), None)
        if owner is None:
            raise Refused("sender_unknown", "key", key.public, "Sign with the key of an account of this chain.")
        address, account = owner, ledger.state.get(State.ACCOUNT, owner)
        assert account is not None
    tip = ledger.tip.time_ms if ledger.tip else ledger.genesis.created_ms
    # A demo's clock is its market's calendar; a live chain's is everybody's.
    now = Millis(tip + 1 if ledger.genesis.demo else max(tip + 1, time.time_ns() // 1_000_000))
    body = Body(ledger.chain_id, address, account.nonce, ledger.height + EXPIRY_BLOCKS, now + EXPIRY_MS, payload)
    signed = sign(key, body)
    foreseen = ledger.foresee(signed, now)
    if foreseen.outcome is not Outcome.DONE:
        raise Refused(foreseen.code, foreseen.field, foreseen.value)
    refused = node.accept(signed, None, now)
    if refused is not None:
        raise refused
    node.cut(now)
    (executed,) = node.write(now).finished
    return executed
