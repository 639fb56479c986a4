"""`wattquorum leader`: who leads, handed on at an operator's wish."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from wattquorum.cli.nodes import DEFAULT_FOLDER
from wattquorum.foundation.refusals import Refused

STATUS_S: Final = 3.0  # for which a node is waited that does not say how it stands

commands = typer.Typer(help="Hand leadership on, as before maintenance of the node that leads.", no_args_is_help=True)
Folder = Annotated[
    Path,
    typer.Argument(
        help="The folder of the node that leads, or the one that has all nodes' folders. Default: out/community.",
        show_default=False,
    ),
]


@commands.callback()
def _only() -> None:
    """Hand leadership on, as before maintenance of the node that leads."""


@commands.command("transfer")
def transfer(
    folder: Folder = DEFAULT_FOLDER,
    to: Annotated[
        str, typer.Option(help="The voter that should lead: its address, or how it begins. Default: the heaviest.")
    ] = "",
) -> None:
    """Hand leadership to another voter, and say who leads then and how long it took.

    It is asked of the node that leads, over the control socket in its folder, so on its machine and as its user.
    Nothing that was acknowledged is lost, and clients notice a pause of about one round trip. The community may later
    move leadership by itself, to the heaviest member. A node that is ended by SIGTERM hands leadership on by itself.
    """
    from wattquorum.node.control import ask

    leading, status = _leader(folder)
    request = {"do": "transfer", "to": _address(leading, to) if to else None}
    began = time.monotonic()
    told = ask(leading, request)
    taken_ms = 1_000 * (time.monotonic() - began)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"led      {status['replica']} until term {status['term']:,}")
    console.print(f"leads    {told['leader']} in term {told['term']:,}")
    console.print(f"took     {taken_ms:.0f} ms")


def _leader(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the node that leads, among those that run here."""
    from wattquorum.node.config import CONFIG
    from wattquorum.node.control import ask

    nodes = [folder] if (folder / CONFIG).exists() else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if not nodes:
        raise Refused("file_unreadable", "folder", folder, f"Name a node's folder, which has its {CONFIG}.")
    found: dict[Path, dict[str, Any]] = {}
    silent: dict[Path, Refused] = {}
    for node in nodes:
        try:
            found[node] = ask(node, {"do": "status"}, STATUS_S)
        except Refused as refused:
            silent[node] = refused
    leading = [node for node, status in found.items() if status["role"] == "leader"]
    if leading:  # one that was cut off may not know yet that it leads no more
        node = max(leading, key=lambda each: found[each]["term"])
        return node, found[node]
    if not found:
        wrong = [each for each in silent.values() if each.code != "node_stopped"]
        if wrong or len(nodes) == 1:
            raise next(iter(wrong or silent.values()))
        raise Refused("node_stopped", "folder", folder, "None of its nodes runs here.")
    leader = next((status["leader"] for status in found.values() if status["leader"]), "")
    remedy = f"Ask on the machine of {leader}." if leader else "Nobody leads now: wait for the election."
    raise Refused("not_ordering", "folder", folder, remedy)


def _address(node: Path, begins: str) -> str:
    """A peer's address from how it begins; given whole, it is left to the node to judge."""
    from wattquorum.node.config import CONFIG, load

    known = [address.hex() for address in load(node / CONFIG)[0].peers]
    named = [address for address in known if address.startswith(begins.lower())]
    if len(named) != 1 and len(begins) != 40:
        raise Refused("validator_unknown", "to", begins, f"It begins {len(named)} of the addresses in peers.json.")
    return named[0] if len(named) == 1 else begins.lower()
