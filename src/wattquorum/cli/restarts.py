"""`wattquorum restart`: governors let a committee go on that has lost more members for good than it can bear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from wattquorum.cli.files import writing
from wattquorum.cli.members import KeyOption, SenderOption, hexadecimal
from wattquorum.foundation.refusals import Refused
from wattquorum.node.verification import processes

if TYPE_CHECKING:
    from wattquorum.ledger.restart import Act

HELP: Final = """
Where a committee agrees (pbft, cgpbft), and more than a third of it is gone for good, it never agrees again. Governors
may say that the chain goes on with others. Stop every node first, and see to it that those that are gone stay away.

[bold]restart plan[/] makes the act, from the folder of the survivor whose chain is longest, or from a backup; it names
the block from which the chain goes on, and with whom. As many governors as have to agree sign that one file, each with
[bold]restart sign[/]. Then [bold]restart put[/] puts it into the folder of every node that goes on, and all of them are
started.

The act stands in the next block for ever. A light client refuses to go on there, unless it is given the act's digest:
tell members by another way which one is right. What the chain decided after that block is lost.
"""

commands = typer.Typer(
    help=HELP.strip(),
    short_help="Let a committee go on that lost too many members for good.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False, soft_wrap=True)
ActArgument = Annotated[Path, typer.Argument(help="The act's file.")]


@commands.command("plan")
def plan(
    folder: Annotated[Path, typer.Argument(help="A stopped node's folder, or a backup.")],
    keep: Annotated[list[str], typer.Option(help="Who goes on: members, or addresses of replicas; give all.")],
    out: Annotated[Path, typer.Option(help="The act's file to write; it must not exist.")],
    attempt: Annotated[int, typer.Option(min=1, max=1_000, help="How often the chain goes on from this block.")] = 1,
) -> None:
    """Make an act by which the chain goes on from its last block with these replicas; nobody has signed it yet.

    Of a backup the last block but one is taken, since the chain proves every block but its last.
    """
    from wattquorum.node import restarting
    from wattquorum.node.backup import CHAIN, MANIFEST
    from wattquorum.node.chain_folder import ChainFolder
    from wattquorum.node.disk import write_files

    with writing(out), processes() as verify, ChainFolder(folder / CHAIN) as chain:
        if out.exists():
            raise Refused("file_exists", "out", out)
        height = chain.height - 1 if (folder / MANIFEST).exists() else chain.height
        act = restarting.plan(restarting.ledger_at(chain, height, verify), keep, attempt)
        write_files(out.parent, {out.name: restarting.written_act(act)})
    _show(act)


@commands.command("sign")
def sign(act: ActArgument, key: KeyOption, sender: SenderOption = "") -> None:
    """Approve an act with a governor's key. Read what it prints: those it names decide everything from then on."""
    from wattquorum.node import restarting
    from wattquorum.node.disk import read_file, write_files
    from wattquorum.node.node_folder import read_key

    governor = hexadecimal(sender, 20, "sender") if sender else b""
    with writing(act):
        signed = restarting.approve(restarting.read_act(read_file(act, str(act))), read_key(key), governor)
        write_files(act.parent, {act.name: restarting.written_act(signed)})
    _show(signed)


@commands.command("put")
def put(act: ActArgument, folder: Annotated[Path, typer.Option("--to", help="A stopped node's folder.")]) -> None:
    """Put an approved act into the folder of a node that goes on, or that joins later.

    Refused where its chain has gone on from the act's block, or has another one there.
    """
    from wattquorum.node import restarting
    from wattquorum.node.backup import CHAIN
    from wattquorum.node.chain_folder import ChainFolder
    from wattquorum.node.disk import read_file

    signed = restarting.read_act(read_file(act, str(act)))
    with writing(folder), processes() as verify, ChainFolder(folder / CHAIN) as chain:
        restarting.install(folder, signed, chain, verify)
    _show(signed)


def _show(act: Act) -> None:
    from wattquorum.ledger.agreed import restart_digest
    from wattquorum.ledger.restart import members_of

    restart = act.restart
    console.print(f"chain      {restart.chain.hex()}")
    console.print(f"from       block {restart.height:,}, {restart.block.hex()}")
    console.print(f"committee  version {restart.version}")
    for number, replica in enumerate(members_of(restart), 1):
        console.print(f"  {number}        {replica.hex()}")
    console.print(f"approved   by {', '.join(each.governor.hex() for each in act.approvals) or 'nobody'}")
    console.print(f"digest     {restart_digest(restart).hex()}")
