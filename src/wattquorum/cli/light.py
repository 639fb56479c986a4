"""`wattquorum light`: follow a chain by headers alone, without believing the node that tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from wattquorum.cli.members import NodeOption, asking, hexadecimal, interfaces
from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.ledger.agreed import Sealed
    from wattquorum.ledger.light import LightClient

MAX_AGE_DAYS: Final = 30
TRIES: Final = 20
AGAIN_S: Final = 0.2
PATIENCE_S: Final = 5.0  # with each node

commands = typer.Typer(
    help="Follow a chain by headers alone, on which a committee agrees, and believe no node.",
    short_help="Verify headers from the genesis across committees.",
    no_args_is_help=True,
)
console = Console(highlight=False, soft_wrap=True)


@commands.callback()
def _only() -> None:
    """Follow a chain by headers alone, and believe no node."""


@commands.command("verify")
def verify(
    genesis: Annotated[Path, typer.Argument(help="The community's genesis.json, from somebody whom you trust.")],
    nodes: NodeOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Go on from what this file has; how far the chain is proven is written there.", show_default=False
        ),
    ] = None,
    max_age_days: Annotated[
        int, typer.Option(min=1, help="How old a checkpoint may be that is gone on from.")
    ] = MAX_AGE_DAYS,
    trust: Annotated[
        list[str] | None,
        typer.Option(help="The digest of a governors' act by which the chain was restarted.", show_default=False),
    ] = None,
) -> None:
    """Prove every block of a chain by its committees' certificates, from the genesis or a checkpoint on.

    Each header carries a quorum's signatures on the block before it; a committee's last block names the next one. So a
    node can hold back the newest blocks and nothing else. Name several: each is asked for what the others did not give,
    and who gives something wrong is named. A checkpoint that is older than
    former committees keep their keys safe for proves nothing, and is refused. So is a block from which governors let
    the chain go on with another committee (`wattquorum restart`), unless that very act is trusted by its digest.

    Exit status 0: proven as far as it says, whoever else told something wrong. 1: a header or certificate is wrong, and
    no node gave right ones up to its last. 2: wrong usage.
    """
    from wattquorum.foundation.identities import verify_each
    from wattquorum.ledger.light import LightClient, read_checkpoint, written_checkpoint
    from wattquorum.node.disk import read_file, write_files

    trusted = [hexadecimal(each, 32, "trust") for each in trust or ()]
    client = LightClient(read_file(genesis, str(genesis)), verify_each, trusted)
    if checkpoint is not None and checkpoint.exists():
        young = read_checkpoint(read_file(checkpoint, str(checkpoint)))
        client.begin_at(young, time.time_ns() // 1_000_000, max_age_days)
    began = client.checkpoint.height
    answers = [(where, _followed(client, where, began)) for where in interfaces(nodes)]
    faults = [(where, answer) for where, answer in answers if isinstance(answer, Refused)]
    if len(faults) == len(answers):
        raise faults[0][1]
    found = client.checkpoint
    if checkpoint is not None:
        write_files(checkpoint.parent, {checkpoint.name: written_checkpoint(found)})
    console.print(f"proven     block {found.height:,} of chain {found.chain}", soft_wrap=True)
    console.print(f"header     {found.header}")
    console.print(f"state      {found.state}")
    console.print(f"committee  version {found.version}, {len(found.keys)} members; {client.committees} were followed")
    for where, answer in answers if len(answers) > 1 else ():
        console.print(f"node       {where} {answer if isinstance(answer, Refused) else f'told of block {answer:,}'}")


def _followed(client: LightClient, where: str, began: int) -> int | Refused:
    """Goes on as far as a node tells, and says how far that is; or what is wrong with what it told."""
    from wattquorum.ledger.blocks import decode_header

    client.retract()  # what another told and nobody proved
    try:
        with asking([where], PATIENCE_S) as node:
            status = node.status()
            if status.chain != client.chain_id.hex():
                return Refused("chain_wrong", "node", status.chain, "It has another chain than the genesis.")
            with _progress(status.height - began) as done:
                while client.next <= status.height:
                    headers = node.headers(client.next)
                    if not headers:
                        break
                    for data in headers:
                        client.take(decode_header(data))
                    done(client.checkpoint.height - began)
            for _ in range(TRIES):  # the chain goes on meanwhile
                told = node.tip()
                if told.height == client.next - 1 > client.checkpoint.height:
                    client.prove(_sealed(told.sealed))
                else:
                    for data in node.headers(client.next):
                        client.take(decode_header(data))
                if client.checkpoint.height >= told.height:
                    break
                time.sleep(AGAIN_S)
            if client.checkpoint.height < told.height:
                return Refused(
                    "header_gap", "height", told.height, f"It proves block {client.checkpoint.height}, no more."
                )
            return told.height
    except Refused as refused:
        return refused


def _sealed(text: str) -> Sealed:
    import base64

    from wattquorum.ledger.agreed import sealed_in

    try:
        found = sealed_in(base64.b64decode(text, validate=True))
    except ValueError:
        raise Refused("encoding_unreadable", "tip", text[:80], "Ask another node.") from None
    if found is None:
        raise Refused("evidence_wrong", "tip", "nothing")
    return found


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    errors = Console(stderr=True)
    if not errors.is_terminal or total <= 0:
        yield lambda _done: None
        return
    with Progress(TextColumn("headers"), BarColumn(), MofNCompleteColumn(), console=errors, transient=True) as progress:
        task = progress.add_task("headers", total=total)
        yield lambda done: progress.update(task, completed=done)
