"""`wattquorum up`, `wattquorum node run` and `wattquorum status`: a community of nodes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from wattquorum.cli.logs import Form, writer
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.protocols import Protocol

node_commands = typer.Typer(help="Run one node of a community.", no_args_is_help=True)
HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 7100
REFRESH_S: Final = 1.0
SHORT: Final = 8
DEFAULT_FOLDER: Final = Path("out/community")


ENGINES: Final = (
    "weighted-raft: standing carries votes; raft: all votes are equal; pbft: any third may lie; cgpbft: agents whom "
    "groups elect agree, of whom any third may lie."
)


@node_commands.callback()
def _only() -> None:
    """Run one node of a community."""


@node_commands.command("run")
def node_run(
    config: Annotated[Path, typer.Option(help="The node's node.toml; its keys, certificates and data are beside it.")],
    log: Annotated[Form, typer.Option(help="How events are written: json for programs, text for people.")] = Form.JSON,
) -> None:
    """Run one node until it is ended by SIGTERM or Ctrl-C.

    It writes a line for each event to its standard output; docs/operations.md lists them. When it is ended it hands
    leadership to another node and writes what it has; nothing that a client was told is lost, however it ends.

    Exit status 0: it was ended. 1: its log or chain is damaged, or it lost its log; it must not be started again as it
    is. 2: its files or options are refused. 3: no room, or the disk fails.
    """
    from wattquorum.api.service import run
    from wattquorum.node.config import load
    from wattquorum.node.verification import threads

    loaded, api = load(config)
    with threads() as verify:
        run(loaded, api, verify, writer(log))


def up(
    replicas: Annotated[int, typer.Option(min=1, max=50, help="How many nodes.")] = 3,
    engine: Annotated[Protocol, typer.Option(help=ENGINES)] = Protocol.WEIGHTED_RAFT,
    groups: Annotated[
        int | None, typer.Option(min=4, max=1_000, help="With cgpbft: into how many groups members are divided.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the community is, or will be.")] = DEFAULT_FOLDER,
    port: Annotated[int, typer.Option(min=1, max=65_000, help="The first of the ports on 127.0.0.1.")] = FIRST_PORT,
    seconds: Annotated[float | None, typer.Option(help="End by itself after so long.", show_default=False)] = None,
) -> None:
    """Start a whole community on this machine: one process for each node, until Ctrl-C.

    The first time its keys, certificates and genesis are made in the folder; later the same community goes on, with
    as many nodes as it has. The display shows who leads and how far each has come; clients use the addresses of the
    column `api`. The operator's key is in FOLDER/community/operator.key.
    """
    from wattquorum.node.founding import COMMUNITY, found
    from wattquorum.node.processes import LOG, end_left_over, processes

    console = Console(highlight=False, soft_wrap=True)
    if not (folder / COMMUNITY).exists():
        found(folder, folder.name, replicas, engine.parameters(groups), HOST, port)
        console.print(f"founded a community of {replicas} nodes in {folder}")
    nodes = sorted(folder.glob("node-*"), key=lambda path: int(path.name.removeprefix("node-")))
    if left := end_left_over(nodes):
        console.print(f"ended {left} nodes that an earlier start had left running")
    stop_at = None if seconds is None else time.monotonic() + seconds
    apis = [_api(node) for node in nodes]
    try:
        with processes(nodes) as started, Live(console=console, refresh_per_second=4) as live:
            while stop_at is None or time.monotonic() < stop_at:
                running = started.running()
                live.update(_table([_asked(api) for api in apis], apis, running))
                time.sleep(REFRESH_S)
                ended = [number for number in range(len(nodes)) if number not in started.running()]
                if ended:
                    remedy = "Read its log, and start the community again."
                    raise Refused("node_failed", "node", nodes[ended[0]] / LOG, remedy)
    except KeyboardInterrupt:
        pass
    console.print(f"stopped; the chains are in {folder}/node-*/chain")


def _api(node: Path) -> str:
    from wattquorum.node.config import parsed, written

    return "http://" + written(parsed((node / "node.toml").read_text(encoding="utf-8")).api)


def apis_of_default() -> list[str]:
    """The interfaces of the nodes of out/community."""
    return [_api(node) for node in sorted(DEFAULT_FOLDER.glob("node-*"))]


def _asked(api: str) -> dict[str, Any] | None:
    import httpx

    try:
        found: dict[str, Any] = httpx.get(f"{api}/v1/status", timeout=1.0).json()
    except (httpx.HTTPError, ValueError):
        return None
    return found


def status(
    nodes: Annotated[
        list[str] | None, typer.Argument(help="Interfaces of nodes. Default: those of out/community.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that the nodes tell, as JSON.")] = False,
) -> None:
    """Show how it stands with nodes: who leads, who votes with how much power, who is connected, what is wrong."""
    apis = nodes or apis_of_default()
    if not apis:
        raise Refused("file_unreadable", "nodes", "none", "Name a node's interface, such as http://127.0.0.1:7103.")
    found = [_asked(api) for api in apis]
    if as_json:
        sys.stdout.write(json.dumps(dict(zip(apis, found, strict=True)), indent=2) + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(found, apis))
    told = next((each for each in found if each), None)
    if told is None:
        raise Refused("node_stopped", "nodes", ", ".join(apis), "Start them with `wattquorum up` or `node run`.")
    powers = sum(voter["power"] for voter in told["voters"])
    table = Table("replica", "power", "share", box=None)
    for voter in sorted(told["voters"], key=lambda voter: -voter["power"]):
        table.add_row(voter["replica"][:SHORT], f"{voter['power']:,}", f"{100 * voter['power'] / powers:.1f} %")
    console.print(table)
    console.print(
        f"a quorum has {told['fewest_in_a_quorum']} to {told['most_in_a_quorum']} of {len(told['voters'])} members; "
        f"version {told['version']}{' (joint)' if told['joint'] else ''}"
    )


def _table(
    found: Sequence[dict[str, Any] | None],
    apis: Sequence[str],
    running: Sequence[int] = (),
) -> Group:
    """A line for each node, and below them what is wrong, where anything is."""
    table = Table(box=None)
    for heading in ("api", "replica", "role", "term", "height", "peers", "waiting"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    wrong = []
    for number, (each, api) in enumerate(zip(found, apis, strict=True)):
        if each is None:
            table.add_row(api, "", "starting" if number in running else "silent", "", "", "", "")
            continue
        if each["halted"] or each["disk_full"]:
            wrong.append(f" {api}: {each['halted'] or 'its disk is full'}")
        connected = sum(peer["connected"] for peer in each["peers"])
        table.add_row(
            api,
            each["replica"][:SHORT],
            each["role"],
            str(each["term"]),
            f"{each['height']:,}",
            f"{connected} of {len(each['peers'])}",
            f"{each['waiting']:,}",
        )
    return Group(table, *wrong)
