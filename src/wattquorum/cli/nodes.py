"""`wattquorum up`, `wattquorum node run` and `wattquorum status`: a community of nodes."""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from wattquorum.cli.logs import Form, writer
from wattquorum.cli.statuses import SHORT, Known, ask, interface_of, known_of, table
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.ledger.protocols import Protocol

if TYPE_CHECKING:
    from wattquorum.node.processes import Processes

node_commands = typer.Typer(help="Run one node of a community.", no_args_is_help=True)
HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 7100
PORTS_END: Final = 30_000  # above are those that systems give to clients
DEFAULT_REPLICAS: Final = 3
REFRESH_S: Final = 1.0
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
    is. 2: its files or options are refused. 3: no room, the disk fails, or a port of its is
    taken; it may be started again.
    """
    from wattquorum.api.service import run
    from wattquorum.node.config import load
    from wattquorum.node.verification import threads

    loaded, api = load(config)
    with threads() as verify:
        run(loaded, api, verify, writer(log))


def up(
    replicas: Annotated[
        int | None, typer.Option(min=1, max=50, help="How many nodes. Default: 3.", show_default=False)
    ] = None,
    engine: Annotated[
        Protocol | None, typer.Option(help=f"{ENGINES} Default: weighted-raft.", show_default=False)
    ] = None,
    groups: Annotated[
        int | None, typer.Option(min=4, max=1_000, help="With cgpbft: into how many groups members are divided.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the community is, or will be.")] = DEFAULT_FOLDER,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_000,
            help=f"The first of the ports on {HOST}. Default: {FIRST_PORT}, or the first above it that are free.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="End by itself after so long.", show_default=False)] = None,
) -> None:
    """Start a whole community on this machine: one process for each node, until Ctrl-C.

    The first time its keys, certificates and genesis are made in the folder; later the same community goes on, with
    as many nodes as it has. The display shows who leads and how far each has come; clients use the addresses of the
    column `api`. The operator's key is in FOLDER/community/operator.key. A node that ends is named, and the others go
    on as long as they can be a quorum.
    """
    from wattquorum.node.founding import COMMUNITY, found, nodes_of, take_up
    from wattquorum.node.processes import end_left_over, owned, processes

    console = Console(highlight=False, soft_wrap=True)
    folder = folder.resolve()
    with owned(folder):
        take_up(folder)
        if (folder / COMMUNITY).exists():
            _check_founded(folder, replicas, engine, groups, port)
        else:
            count = DEFAULT_REPLICAS if replicas is None else replicas
            parameters = (engine or Protocol.WEIGHTED_RAFT).parameters(groups)
            found(folder, name_of(folder), count, parameters, HOST, _free_ports(2 * count, port))
            console.print(f"founded a community of {count} nodes in {folder}", markup=False)
        nodes = nodes_of(folder)
        for strange in sorted(set(folder.glob("node-*")) - set(nodes)):
            console.print(f"{strange.name} is not started: nodes are called node-0, node-1 and so on", markup=False)
        if not nodes:
            raise Refused("file_unreadable", "folder", folder, "It has no node-0; choose another folder.")
        if left := end_left_over(nodes):
            console.print(f"ended {left} nodes that an earlier start had left running")
        known = [known_of(node) for node in nodes]
        _check_ports(nodes)
        stop_at = None if seconds is None else time.monotonic() + seconds
        try:
            with processes(nodes) as started, Live(console=console, refresh_per_second=4) as live:
                noticed: set[int] = set()
                while stop_at is None or time.monotonic() < stop_at:
                    live.update(_look(started, known))
                    for number in sorted(set(started.ended()) - noticed):
                        console.print(_farewell(started, number), markup=False)
                        noticed.add(number)
                    time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            pass
    if not console.is_terminal:
        console.line()  # the display ends without one then
    console.print(f"stopped; the chains are in {folder}/node-*/chain", markup=False)


def _look(started: Processes, known: Sequence[Known]) -> Group:
    """What to show now; Refused("node_failed") when those that are left can be no quorum."""
    from wattquorum.node.processes import LOG

    found, ended = [ask(each) for each in known], started.ended()
    gone = [number for number in ended if found[number].status is None]  # others were started again by hand
    told = next((each.status for each in found if each.status is not None), None)
    fewest = len(known) // 2 + 1 if told is None else told.fewest_in_a_quorum
    if len(known) - len(gone) < fewest:
        log = started.nodes[min(gone)] / LOG
        raise Refused("node_failed", "node", log, "No quorum is left. Read its log, and start the community again.")
    return table(found, ["ended" if number in ended else "starting" for number in range(len(known))])


def _farewell(started: Processes, number: int) -> str:
    """What became of a node that has ended, and what to do."""
    from wattquorum.node.processes import LOG, NODE_FILE

    node, status = started.nodes[number], started.ended()[number]
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return (
        f"{node.name} {how}; its log is {node / LOG}\n"
        f"to start it again, in another terminal: wattquorum node run --config {node / NODE_FILE}"
    )


def name_of(folder: Path) -> str:
    """A community's name from that of its folder."""
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", folder.name).strip("-")[:64] or DEFAULT_FOLDER.name


def _check_founded(
    folder: Path, replicas: int | None, engine: Protocol | None, groups: int | None, port: int | None
) -> None:
    """Refuses options that a community which is there already does not follow."""
    from wattquorum.ledger.genesis import decode_genesis
    from wattquorum.node.config import CONFIG, parsed
    from wattquorum.node.disk import read_file
    from wattquorum.node.founding import COMMUNITY, nodes_of
    from wattquorum.node.node_folder import GENESIS

    path = folder / COMMUNITY / GENESIS
    parameters = decode_genesis(read_file(path, str(path))).parameters
    nodes = nodes_of(folder)
    has = Protocol.of(parameters)
    remedy = f"Leave it out, or name another --folder: the community in {folder} goes on as it is."
    for option, wanted, there in (
        ("--replicas", replicas, len(nodes)),
        ("--engine", engine, has),
        ("--groups", groups, parameters.get("groups", DEFAULTS.groups) if has is Protocol.CGPBFT else None),
    ):
        if wanted is not None and wanted != there:
            raise Refused("parameter_fixed", option, f"{wanted}, where there is {there}", remedy)
    if port is not None and nodes:
        first = parsed(read_file(nodes[0] / CONFIG, CONFIG).decode("utf-8", "replace")).listen[1]
        if port != first:
            raise Refused("out_of_range", "--port", f"{port}, where node-0 listens at {first}", remedy)


def _free_ports(count: int, first: int | None) -> int:
    """The first of so many ports in a row where nobody listens; Refused("address_in_use") where `first` is none."""
    for begins in range(FIRST_PORT, PORTS_END, count) if first is None else (first,):
        taken = next((port for port in range(begins, begins + count) if not _is_free((HOST, port))), None)
        if taken is None:
            return begins
    raise Refused("address_in_use", "--port", f"{HOST}:{taken}", "Choose another --port, or end what listens there.")


def _check_ports(nodes: Sequence[Path]) -> None:
    """Refused("address_in_use") where something else listens at a place of these nodes, which all are ended."""
    from wattquorum.node.config import CONFIG, parsed, written

    for node in nodes:
        config = parsed((node / CONFIG).read_text(encoding="utf-8"))
        for field, place in (("listen", config.listen), ("api", config.api)):
            if not _is_free(place):
                remedy = "Another community may run there: end it first. Two at a time need ports of their own."
                raise Refused("address_in_use", field, f"{written(place)}, of {node.name}", remedy)


def _is_free(place: tuple[str, int]) -> bool:
    """Whether nobody listens at a place of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended a moment ago do not count
        try:
            probe.bind(place)
        except OSError as fault:
            return fault.errno != errno.EADDRINUSE  # whatever else is wrong, the node says
    return True


def known_of_default() -> list[Known]:
    """The nodes of out/community."""
    from wattquorum.node.founding import nodes_of

    return [known_of(node) for node in nodes_of(DEFAULT_FOLDER)]


def status(
    nodes: Annotated[
        list[str] | None, typer.Argument(help="Interfaces of nodes. Default: those of out/community.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that the nodes tell, as JSON.")] = False,
) -> None:
    """Show how it stands with nodes: who leads, who votes with how much power, who is connected, what is wrong."""
    known = [Known(interface_of(each, "nodes")) for each in nodes] if nodes else known_of_default()
    if not known:
        raise Refused("file_unreadable", "nodes", "none", "Name a node's interface, such as http://127.0.0.1:7103.")
    found = [ask(each) for each in known]
    if as_json:
        told_of = {each.api: None if each.status is None else asdict(each.status) for each in found}
        sys.stdout.write(json.dumps(told_of, indent=2) + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(table(found))
    told = next((each.status for each in found if each.status is not None), None)
    if told is None:
        apis = ", ".join(each.api for each in found)
        raise Refused("node_stopped", "nodes", apis, "Start them with `wattquorum up` or `node run`.")
    powers = sum(voter.power for voter in told.voters)
    lines = Table("replica", "power", "share", box=None)
    for voter in sorted(told.voters, key=lambda voter: -voter.power):
        lines.add_row(voter.replica[:SHORT], f"{voter.power:,}", f"{100 * voter.power / powers:.1f} %")
    console.print(lines)
    console.print(
        f"a quorum has {told.fewest_in_a_quorum} to {told.most_in_a_quorum} of {len(told.voters)} members; "
        f"version {told.version}{' (joint)' if told.joint else ''}"
    )
