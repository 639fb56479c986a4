"""Commands on a chain folder: audit, export, forget, prove, verify, records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wattquorum.cli.files import database, writing
from wattquorum.foundation.intervals import MS_PER_DAY, format_moment, parse_moment
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.places import RECORDS
from wattquorum.ledger.blocks import Block, Header, Outcome, decode_block
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import Fact
from wattquorum.ledger.inclusion import check_inclusion, prove_inclusion
from wattquorum.ledger.transactions import RetireCertificates
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.export import export as export_lines
from wattquorum.node.forgetting import forget_rows
from wattquorum.node.lone import ledger_of
from wattquorum.node.verification import processes

WITHOUT_ROWS = "Rows of readings were deleted, so that not all blocks can be executed; use records made before."
PREFIX_DIGITS_MIN: Final = 8
CHAIN_DEFAULT: Final = Path("out/week/chain")
ChainArgument = Annotated[
    Path | None,
    typer.Argument(metavar="CHAIN", help=f"A chain folder. Default: {CHAIN_DEFAULT}.", show_default=False),
]
ChainOption = Annotated[Path | None, typer.Option(help="The same as CHAIN.", show_default=False)]


def chosen(named: Path | None, chain: Path | None) -> Path:
    """The chain folder that a command was given, as its argument or as --chain; Refused where they are two."""
    if named is not None and chain is not None and named != chain:
        raise Refused("file_unreadable", "chain", f"{named} and {chain}", "Name one chain, as CHAIN or as --chain.")
    return named or chain or CHAIN_DEFAULT


def audit(
    named: ChainArgument = None,
    chain: ChainOption = None,
    expect: Annotated[
        str | None, typer.Option(help="The state digest or block hash that the chain must end with (hexadecimal).")
    ] = None,
) -> None:
    """Recompute a chain and name the first thing that is wrong.

    Every signature, root, receipt and digest is recomputed, every transaction executed again, and money and energy
    are added up independently. Exit status 1 and the first fault, or 0. A chain is called sound only if all of it was
    executed again; if rows were forgotten after their retention, it is called intact.
    """
    at = chosen(named, chain)
    with progress_bar("blocks") as step, processes() as verify, ChainFolder(at) as folder:
        audited = audit_folder(folder, verify, lambda _: step(folder.height))
        chain_id = folder.chain_id.hex()
    if expect is not None and expect.lower() not in (audited.digest.hex(), audited.tip_hash.hex()):
        remedy = f"Neither this digest nor the hash of the last block is {expect}: compare with another copy."
        raise Refused("end_unexpected", "digest", audited.digest, remedy)
    console = Console(highlight=False, soft_wrap=True)
    if audited.forgotten:
        remedy = "Restore the rows from another copy; until then nobody can replay the chain from its beginning."
        raise Refused("rows_missing", f"block {audited.forgotten}", "deleted before their retention had passed", remedy)
    replayed = audited.replayed_from == 1
    word = "[green]sound[/]" if replayed else "[yellow]intact[/]"
    console.print(word, end="")
    console.print(f": {audited.height} blocks, {audited.transactions} transactions, {at}", markup=False)
    console.print(f"chain  {chain_id}  (compare it with the chain that you know)")
    if not replayed:
        console.print(
            f"Blocks 1 to {audited.replayed_from - 1} were checked for integrity and not executed: rows of readings "
            "were deleted after their retention, and the replay began at a snapshot that a proposer's signature covers."
        )
    if audited.vouched < audited.height:
        console.print(
            f"Nothing that was signed names what follows block {audited.vouched}: that the chain ends here is not "
            "proved. Compare the digest with another copy, or give it with --expect."
        )
    console.print(f"digest {audited.digest.hex()}\nblock  {audited.tip_hash.hex()}")


def export(
    named: ChainArgument = None,
    chain: ChainOption = None,
    out: Annotated[Path | None, typer.Option(help="The file to write. Default: standard output.")] = None,
) -> None:
    """Write the whole chain as JSON lines, for people and other programs."""
    with ChainFolder(chosen(named, chain)) as folder:
        if out is None:
            export_lines(folder, sys.stdout.buffer)
            return
        with writing(out), out.open("wb") as file:
            lines = export_lines(folder, file)
    typer.echo(f"{lines} lines  {out}")


def forget(
    named: ChainArgument = None,
    chain: ChainOption = None,
    before: Annotated[
        str | None, typer.Option(help="Delete rows committed before this time, such as 2016-06-15T00:00:00Z.")
    ] = None,
) -> None:
    """Delete rows of readings whose retention has passed; no root on the chain breaks.

    Without --before, the ledger's retention period counts back from the last block. Rows that the newest snapshot
    still needs stay. Afterwards an audit begins its replay at a snapshot, and says so.
    """
    with processes() as verify, ChainFolder(chosen(named, chain), writing=True) as folder:
        ledger = ledger_of(folder, verify)
        days = ledger.parameters.retention_days
        limit = max(0, (folder.tip.time_ms if folder.tip else 0) - days * MS_PER_DAY)
        if before is not None:
            wanted = int(parse_moment(before, "before"))
            if wanted > limit:
                remedy = f"Rows are kept for {days} days: choose {format_moment(limit)} or earlier."
                raise Refused("retention_open", "before", before, remedy)
            limit = wanted
        deleted = forget_rows(folder, limit)
    typer.echo(f"{len(deleted)} sets of rows from before {format_moment(max(limit, 0))} were deleted")


def prove(
    transaction: Annotated[
        str, typer.Argument(help="The transaction's hash, in hexadecimal (or how it begins, 8 digits or more).")
    ],
    named: ChainArgument = None,
    chain: ChainOption = None,
    out: Annotated[Path, typer.Option(help="The proof file to write.")] = Path("proof.json"),
) -> None:
    """Prove that a transaction and its receipt stand in a chain; anybody can verify the file with nothing else.

    Where the same transaction stands there more than once, the one that was done is proved, or else the one that used
    its nonce.
    """
    wanted = transaction.strip().lower()
    if len(wanted) < PREFIX_DIGITS_MIN or not set(wanted) <= set("0123456789abcdef"):
        remedy = f"Give its hash, or at least the first {PREFIX_DIGITS_MIN} hexadecimal digits of it."
        raise Refused("out_of_range", "transaction", transaction, remedy)
    with ChainFolder(chosen(named, chain)) as folder:
        blocks = (decode_block(data) for _, data in folder.read())
        found, headers = _found(blocks, wanted, transaction)
        end = folder.ended.height if folder.ended is not None else len(headers)
        if end < found.block.header.height:
            raise Refused("chain_unclosed", "tip.json", f"block {end}")
        later = headers[found.block.header.height : end]
        proof = prove_inclusion(folder.genesis_bytes, found.block, later, folder.signed_tip(), found.place)
    with writing(out):
        out.write_bytes(proof)
    typer.echo(f"proof    {out}  (block {found.block.header.height}, {len(proof)} bytes)")


class Found(NamedTuple):
    """Where a transaction stands: its block, and its place there."""

    block: Block
    place: int

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return self.block.receipts[self.place].outcome


def _found(blocks: Iterable[Block], wanted: str, given: str) -> tuple[Found, list[Header]]:
    """The one transaction whose hash begins so, and the headers of all blocks, that of block 1 first.

    Raises Refused("transaction_unknown"), or Refused("transaction_ambiguous") when several begin so.
    """
    best: dict[bytes, Found] = {}
    headers = []
    for block in blocks:
        headers.append(block.header)
        for place, receipt in enumerate(block.receipts):
            if receipt.transaction.hex().startswith(wanted):
                before = best.get(receipt.transaction)
                if before is None or receipt.outcome < before.outcome:
                    best[receipt.transaction] = Found(block, place)
    if not best:
        raise Refused("transaction_unknown", "transaction", given)
    if len(best) > 1:
        raise Refused("transaction_ambiguous", "transaction", f"{given}, as {len(best)} hashes begin")
    return next(iter(best.values())), headers


def verify(proof: Annotated[Path, typer.Argument(help="A proof file.")]) -> None:
    """Check a proof file: nothing else is needed but the chain's id, to compare.

    A proof is as good as the word of the one founder of the chain who vouches for it, whom this names: whoever has the
    secret key of a founder can make one of what no block has. Where that is not enough, audit a chain, or compare with
    what other nodes tell.
    """
    try:
        data = proof.read_bytes()
    except OSError as fault:
        raise Refused("file_unreadable", "proof", f"{proof}: {fault.strerror}") from None
    included = check_inclusion(data)
    body = included.received.body
    outcome = included.receipt.outcome.name.lower()
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[green]proved[/]: {type(body.payload).__name__} {included.received.hash.hex()}")
    console.print(f"sender   {body.sender.hex()}, nonce {body.nonce}")
    console.print(f"outcome  {outcome} {included.receipt.code}".rstrip())
    if included.receipt.field and not included.receipt.code:
        console.print(f"{included.receipt.field:<8} {included.receipt.value}", markup=False)
    if isinstance(body.payload, RetireCertificates):
        console.print(f"for      {body.payload.beneficiary or 'its own consumption'}", markup=False)
        console.print(f"purpose  {body.payload.purpose or 'not stated'}", markup=False)
    console.print(f"block    {included.height} at {format_moment(included.time_ms)}")
    console.print(f"chain    {included.chain_id.hex()}  (compare this with the chain that you know)")
    console.print(f"end      block {included.end_height}, {included.end_hash.hex()}")
    how = "signed that end" if included.voucher.closed else "named that block in a later proposal"
    console.print(f"word of  founder {included.voucher.address.hex()} alone, who {how}")
    console.print(f"its key  {included.voucher.key.hex()}")


def records(
    named: ChainArgument = None,
    chain: ChainOption = None,
    out: Annotated[
        str, typer.Option(help="A SQLite file or a database URL; existing records go on.")
    ] = f"out/week/{RECORDS}",
) -> None:
    """Build the records (tables of everything) from a chain, or bring them up to date."""
    from wattquorum.records.projection import Projection

    with (
        database(out),
        progress_bar("blocks") as step,
        Projection(out) as projection,
        processes() as check,
        ChainFolder(chosen(named, chain)) as folder,
    ):
        ledger = Ledger(folder.genesis_bytes)
        projection.begin(ledger.genesis, ledger.founding_facts)

        def apply(executed: Executed) -> None:
            projection.apply(executed.block, executed.facts, executed.told)
            step(folder.height)

        audited = audit_folder(folder, check, apply)
        if projection.height < audited.height:
            raise Refused("records_gap", "blocks", f"{projection.height} of {audited.height}", WITHOUT_ROWS)
    typer.echo(f"records  {out}  ({audited.height} blocks)")


def read_chain(
    chain: Path, begin: Callable[[Ledger], None], see: Callable[[int, Sequence[Fact]], None]
) -> tuple[range, ...]:
    """Audits a chain for a reader; returns the blocks that could not be executed, whose facts nobody tells any more.

    `begin` gets the ledger that executes from then on, and has its state at the end: at the genesis, and again at each
    snapshot where the replay goes on after deleted rows. `see` gets a block's height and a transaction's facts, and
    last those that no transaction told.
    """
    seen, untold = 0, list[range]()

    with progress_bar("blocks") as step, processes() as verify, ChainFolder(chain) as folder:

        def start(ledger: Ledger) -> None:
            nonlocal seen
            if ledger.height > seen:
                untold.append(range(seen + 1, ledger.height + 1))
                seen = ledger.height
            begin(ledger)

        def apply(executed: Executed) -> None:
            nonlocal seen
            seen = executed.block.header.height
            for facts in (*executed.facts, executed.told):
                see(seen, facts)
            step(folder.height)

        audit_folder(folder, verify, apply, start)
    return tuple(untold)


def said_of(untold: Sequence[range]) -> str:
    """What to say where something is missing because blocks could not be executed."""
    blocks = " and ".join(f"{each[0]} to {each[-1]}" for each in untold)
    return f"blocks {blocks} tell nothing any more: rows of readings that executing them needs were deleted"


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream; each step names the total."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def step(total: int) -> None:
            progress.update(task, advance=1, total=total)

        yield step
