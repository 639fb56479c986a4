"""Tortures a community of real nodes and judges what its clients saw.

    python -m torture.run [--seconds 60 | --kills 500] [--seed N] [--namespaces] [--drops] [...]

Processes are killed (SIGKILL), stopped for a while (SIGSTOP), cut off from each other, held up and slowed down, their
disks fill, their seats go to new replicas, and voting powers change with every epoch. The seed decides what goes wrong
when (`torture.schedule`). Clients add to and read shared accounts meanwhile. At the end everything is healed; all
nodes have to agree, and the history and the chains are judged (`torture.judge`). Exit status 1 and what was wrong, or
0. What a broken run leaves is kept, and it says where. Nothing outside this machine is talked to; every process is
ended by its id.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from torture import namespaces
from torture.clients import Clients, told
from torture.community import Community
from torture.disks import Disks
from torture.history import HISTORY, History
from torture.judge import judge
from torture.liar import BY_NAME
from torture.links import Network, Relays
from torture.members import Members
from torture.penalties import HEALED, LIARS, SLOTS
from torture.processes import Dropping, Processes
from torture.schedule import AGENTS, CLOCKS, FULL, KINDS, SEATS, schedule
from torture.trouble import Trouble
from wattquorum.ledger.protocols import Protocol

INSIDE: Final = "WATTQUORUM_TORTURE_INSIDE"
MOUNTABLE: Final = ("unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt")
AGREE_S: Final = 60.0
FINISH_S: Final = 150.0
LOOK_S: Final = 1.0
SAY_S: Final = 10.0
FIRST_PORT, LAST_PORT = 10_000, 30_000  # below those that the system gives out by itself
SHOWN: Final = 12
PROMPT_S: Final = 0.2
COMMITTEE_MIN: Final = 4


def free_ports(count: int, seed: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for attempt in range(1_000):
        first = FIRST_PORT + (seed * 37 + os.getpid() * 101 + attempt * count) % (LAST_PORT - FIRST_PORT - count)
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as each:
                    each.bind(("127.0.0.1", port))
            return first
    raise SystemExit("no free ports")


class Watch:
    """Looks at the nodes while a run is on: who leads, how far they are, what is decided; and shows it."""

    def __init__(self, community: Community, processes: Processes, clients: Clients, trouble: Trouble) -> None:
        self._community, self._processes = community, processes
        self._clients, self._trouble = clients, trouble
        self._statuses: dict[int, dict[str, Any]] = {}
        self.leaders: dict[tuple[int, str], None] = {}  # by term
        self.terms: list[int] = []
        self.version = self.height = 0

    def look(self) -> None:
        """Asks all of them."""
        self._statuses = dict(told(self._community, self._clients.seated, PROMPT_S))
        for status in self._statuses.values():
            self.terms.append(status["term"])
            self.terms = [min(self.terms), max(self.terms)]
            if status["leader"]:
                self.leaders[status["term"], status["leader"]] = None
            self.version, self.height = max(self.version, status["version"]), max(self.height, status["height"])

    def line(self, began: float) -> str:
        """What there is to say, in a line."""
        clients = self._clients
        return (
            f"{time.monotonic() - began:5.0f} s  {self._processes.kills} kills, {clients.writes} writes, "
            f"{clients.reads} reads, {len(self.leaders)} leaders, version {self.version} of powers, "
            f"block {self.height}; now {self._trouble.now}"
        )

    def table(self, began: float) -> Table:
        """What there is to see."""
        table = Table("node", "role", "term", "height", "waiting", "disk", title=self.line(began), box=None)
        for slot in range(self._community.slots):
            status = self._statuses.get(slot)
            if status is None:
                table.add_row(str(slot), "down" if self._processes.pid(slot) is None else "silent", "", "", "", "")
            else:
                full = "full" if status["disk_full"] else ""
                cells = (status["role"], status["term"], status["height"], status["waiting"], full)
                table.add_row(str(slot), *map(str, cells))
        return table


def watch(sight: Watch, processes: Processes, clients: Clients, end: threading.Event, broken: threading.Event) -> None:
    """Until the end; ends the trouble as soon as something is wrong."""
    console, began = Console(highlight=False, soft_wrap=True), time.monotonic()
    said = began

    def look() -> None:
        sight.look()
        if processes.wrong or clients.wrong:
            broken.set()

    if console.is_terminal:
        with Live(console=console, refresh_per_second=2) as live:
            while not end.wait(LOOK_S):
                look()
                live.update(sight.table(began))
        return
    while not end.wait(LOOK_S):
        look()
        if time.monotonic() - said >= SAY_S:
            said = time.monotonic()
            print(sight.line(began), flush=True)


def agree(community: Community, slots: Sequence[int]) -> list[str]:
    """Waits until these nodes have the same state, and then until their folders have all blocks up to it."""
    until = time.monotonic() + AGREE_S
    found: list[tuple[int, int, int, str]] = []
    agreed = 0
    while time.monotonic() < until:
        statuses = dict(told(community, slots, 2.0))
        shown = ("height", "archived", "state")
        found = [(slot, *(status[each] for each in shown)) for slot, status in sorted(statuses.items())]
        if len(found) == len(slots):
            if len({state for *_, state in found}) == 1:
                agreed = agreed or found[0][1]
            if agreed and all(archived >= agreed for _, _, archived, _ in found):
                return []
        time.sleep(0.05)
    if agreed:
        return [f"chain folders do not have all {agreed} blocks {AGREE_S:.0f} s after the healing: {found}"]
    return [f"the nodes do not agree {AGREE_S:.0f} s after the healing: {found}"]


def told_on(community: Community, slots: Sequence[int]) -> list[str]:
    """Waits until none of these nodes can prove a lie that the ledger does not know; which still can."""
    until, left = time.monotonic() + AGREE_S, list(slots)
    while left and time.monotonic() < until:
        for slot in list(left):
            with suppress(httpx.HTTPError, ValueError, KeyError):
                if not httpx.get(f"{community.url(slot)}/v1/testimony", timeout=2.0).json()["lies"]:
                    left.remove(slot)
        time.sleep(0.2)
    return [f"node-{slot} can prove a lie that nobody accused {AGREE_S:.0f} s after the healing" for slot in left]


def last_reads(community: Community, clients: Clients, slots: Sequence[int], history: History) -> list[str]:
    """Each of these nodes tells every account; the same of all of them."""
    wrong, balances = [], {}
    with httpx.Client(timeout=20) as http:
        for account in clients.accounts:
            wrong += [
                f"node-{slot} does not answer a read after the healing"
                for slot in slots
                if not clients.read_once(http, community.url(slot), account)
            ]
            with suppress(httpx.HTTPError, ValueError, KeyError):
                answer = http.get(f"{community.url(slots[0])}/v1/accounts/{account.hex()}")
                balances[account.hex()] = answer.json()["balance"]
    history.note("final", balances=balances, seated=list(slots))
    return wrong


def torture(folder: Path, asked: argparse.Namespace, *, mounted: bool) -> int:
    """One run; the exit status."""
    slots = asked.nodes + (1 if asked.seats else 0)
    first_port = free_ports(2 * slots, asked.seed)
    community = Community(folder, asked.nodes, slots - asked.nodes, first_port, asked.engine, asked.groups)
    network: Network
    if asked.namespaces:
        community.listens = [namespaces.listen(slot) for slot in range(slots)]
        community.apis = [namespaces.api(slot) for slot in range(slots)]
        network = namespaces.Namespaces(slots)
    else:
        network = Relays(community.listens)
    kinds = dict(KINDS)
    committee = asked.engine.by_committee
    for wanted, more in ((asked.full, FULL), (asked.clocks, CLOCKS), (asked.seats, SEATS), (committee, AGENTS)):
        kinds |= more if wanted else {}
    kinds = {kind: weight for kind, weight in kinds.items() if not asked.only or kind in asked.only}
    if not kinds:
        raise SystemExit(f"nothing can go wrong: --only {' '.join(asked.only)}")
    history = History(folder)
    history.note("run", **{name: str(value) for name, value in vars(asked).items()})
    disks = Disks([community.node(slot) for slot in range(slots)], range(0, slots, 2) if mounted else ())
    dropping = Dropping(community, asked.seed) if asked.drops else None
    in_office = community.founding_committee()
    liars = {slot: asked.seed * 100 + slot for slot in in_office[len(in_office) - asked.liars :]}
    history.note(LIARS, replicas=[community.address(slot).hex() for slot in liars])
    history.note(SLOTS, of=[(community.address(slot).hex(), slot) for slot in range(asked.nodes)])
    processes = Processes(
        community,
        network,
        disks,
        dropping,
        history,
        clocks=asked.clocks,
        warm=asked.warm,
        liars=liars,
        ways=asked.lies,
    )
    clients = Clients(community, processes, history, asked.seed)
    members = Members(community, clients.seeds if community.elects else (), history)
    trouble = Trouble(community, processes, network, disks, clients, history)
    sight = Watch(community, processes, clients, trouble)
    broken, end = threading.Event(), threading.Event()
    watching = threading.Thread(target=watch, args=(sight, processes, clients, end, broken))
    wrong: list[str] = []
    began = time.monotonic()

    def over() -> bool:
        if asked.kills is not None:
            return bool(processes.kills >= asked.kills)
        return bool(time.monotonic() - began >= asked.seconds)

    try:
        network.start()
        community.routes = [[network.route(one, other) for other in range(slots)] for one in range(slots)]
        community.write_configs()
        for slot in range(asked.nodes):
            processes.start(slot)
        clients.prepare()
        clients.start()
        members.start()
        watching.start()
        began = time.monotonic()
        trouble.run(schedule(asked.seed, asked.nodes, kinds), over, broken)
        if asked.drops:
            processes.fail_power()
        clients.end(FINISH_S)
        processes.look()
        honest = [slot for slot in clients.seated if slot not in liars]  # who lies may keep itself from anything
        history.note(HEALED)
        wrong += told_on(community, honest) if community.elects else []
        members.end()
        wrong += agree(community, honest)
        wrong += last_reads(community, clients, honest, history)
        processes.end(list(range(slots)))
    finally:
        end.set()
        if watching.is_alive():
            watching.join()
        processes.close()
        network.stop()
        history.close()
    wrong += trouble.wrong + clients.wrong + processes.wrong + members.wrong
    found, looked_at = judge(folder)
    wrong += found
    (folder / "wrong.txt").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    disks.stop(keep=bool(wrong) or asked.folder is not None)
    summary = [
        ("faults", ", ".join(f"{number} {kind}" for kind, number in sorted(trouble.counted.items()))),
        ("kill -9", str(processes.kills)),
        (
            "of them with un-synced pages dropped",
            f"{processes.drops}, which had {processes.unsynced} changes un-synced",
        ),
        ("seats given to new replicas", str(clients.seats_given)),
        ("torn tails cut", str(processes.events["torn_tail_cut"])),
        ("ended on a full disk, and started again", str(processes.events["ended_on_a_full_disk"])),
        ("ended as the clock was wrong, and started again", str(processes.events["ended_at_a_wrong_time"])),
        ("looked at", looked_at),
        ("leaders", f"{len(sight.leaders)}, in terms {min(sight.terms, default=0)} to {max(sight.terms, default=0)}"),
        ("versions of powers", str(sight.version)),
        ("from a healing to a decided write", back(trouble.back_s)),
        ("longest without a decided write", f"{clients.longest_gap_s:.1f} s"),
    ]
    report(wrong, summary, processes, clients, sight)
    return 1 if wrong else 0


def back(seconds: Sequence[float]) -> str:
    """How long a cluster took to come back to work."""
    if not seconds:
        return "there was no calm"
    return f"median {median(seconds):.1f} s, longest {max(seconds):.1f} s of {len(seconds)}"


def report(
    wrong: Sequence[str], summary: Sequence[tuple[str, str]], processes: Processes, clients: Clients, sight: Watch
) -> None:
    """Prints how a run went."""
    for each in wrong[:SHOWN]:
        print("wrong:", each)
    if len(wrong) > SHOWN:
        print(f"wrong: and {len(wrong) - SHOWN} more, in wrong.txt")
    table = Table(box=None, show_header=False)
    for row in summary:
        table.add_row(*row)
    Console(highlight=False, soft_wrap=True).print(table)
    print(
        f"{'broken' if wrong else 'held'}: {clients.writes} writes acknowledged and found, {clients.reads} reads, "
        f"{processes.kills} kills, version {sight.version} of powers, block {sight.height}"
    )


def unshared(asked: argparse.Namespace) -> bool:
    """Goes on in namespaces of its own where that is possible and wanted; whether small disks can be mounted here."""
    if INSIDE in os.environ:
        return bool(asked.full)
    root = os.geteuid() == 0
    if asked.namespaces and not root:
        raise SystemExit("--namespaces needs root")
    if root and (asked.namespaces or asked.full):
        possible = (
            shutil.which("unshare") and subprocess.run(MOUNTABLE, check=False, capture_output=True).returncode == 0
        )
        if possible:
            command = ["unshare", "--mount", "--propagation", "private", *(["--net"] if asked.namespaces else [])]
            os.execvpe(
                "unshare", [*command, sys.executable, "-m", "torture.run", *sys.argv[1:]], os.environ | {INSIDE: "1"}
            )
        if asked.namespaces:
            raise SystemExit("--namespaces needs to be able to unshare")
    if asked.full:
        print("SKIPPED: small disks that fill, which need root and mount; files are limited in size instead")
    return False


def parse() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of trouble")
    parser.add_argument("--kills", type=int, help="of processes, however long it takes, instead of --seconds")
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument(
        "--engine", type=Protocol, choices=list(Protocol), default=Protocol.WEIGHTED_RAFT, help="how the nodes agree"
    )
    parser.add_argument("--groups", type=int, help="that elect agents, with --engine cgpbft")
    parser.add_argument("--liars", type=int, default=0, help="of the first committee; a third of it may lie")
    parser.add_argument(
        "--lies", nargs="+", metavar="WAY", default=(), help="in which they lie, in place of the seed's"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides what goes wrong when")
    parser.add_argument("--folder", type=Path, help="kept afterwards; otherwise one that is kept if the run is broken")
    parser.add_argument("--namespaces", action="store_true", help="a network namespace for each node (root)")
    parser.add_argument(
        "--drops", action="store_true", help="kills lose what was not synced; no full disks or clocks then"
    )
    parser.add_argument("--no-clocks", dest="clocks", action="store_false", help="no wall clock jumps")
    parser.add_argument("--no-full", dest="full", action="store_false", help="no disk fills")
    parser.add_argument("--no-seats", dest="seats", action="store_false", help="no replica loses its seat")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="of faults")
    parser.add_argument("--warm", action="store_true", help="fork nodes from a loaded one: more kills in the same time")
    asked = parser.parse_args()
    if asked.engine.by_committee:
        asked.clocks = asked.seats = False  # clocks of committees are right, and seats change at an epoch's end
        if asked.nodes < COMMITTEE_MIN:
            parser.error(f"--engine {asked.engine} needs {COMMITTEE_MIN} nodes or more")
    if asked.liars and not asked.engine.by_committee:
        parser.error("--liars can be borne by --engine pbft and cgpbft alone")
    if asked.groups is not None and asked.engine is not Protocol.CGPBFT:
        parser.error("--groups elect agents in --engine cgpbft alone")
    if unknown := [way for way in asked.lies if way not in BY_NAME]:
        parser.error(f"--lies {' '.join(unknown)}: there are {' '.join(BY_NAME)}")
    if asked.warm and asked.namespaces:
        parser.error("--warm cannot be had with --namespaces, in which nodes have to be started")
    if asked.drops:
        asked.full = False  # what was not synced is kept beside a node's files, where it needs room itself
        asked.clocks = False  # each starts nodes in its own way
    return asked


def main() -> int:
    """The command."""
    asked = parse()
    mounted = unshared(asked)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {asked.seed}", flush=True)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    if asked.folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    kept = True
    try:
        status = torture(folder, asked, mounted=mounted)
        kept = bool(status) or asked.folder is not None
        return status
    finally:
        if kept:
            print(f"kept: {folder} ({HISTORY}, logs, folders); judge it again: python -m torture.judge {folder}")
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
