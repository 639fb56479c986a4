"""Tortures a community of real nodes and judges what its clients saw.

    python -m torture.run [--seconds 60] [--nodes 5] [--seed N] [--folder DIR]

Processes are killed (SIGKILL), stopped for a while (SIGSTOP), and cut off from each other, one or several at a time and
all at once; voting powers change with every epoch meanwhile. Clients add to and read shared accounts through the nodes'
interfaces. At the end everything is healed and it is looked at whether: every history is linearizable, everything that
was acknowledged is there and nothing was done twice, all nodes have one chain, and each chain passes the audit. Exit
status 1 and what was wrong, or 0. Nothing outside this machine is talked to; every process is ended by its id.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from torture.linearizability import NEVER, Operation, is_linearizable
from wattquorum import Client
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.quantities import MILLION, Millis, Power, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Voting
from wattquorum.ledger.transactions import (
    AddValidator,
    Body,
    Deposit,
    GrantRole,
    MeterPoint,
    Payload,
    Propose,
    Register,
    sign,
)
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.config import CONFIG, composed, parsed
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, Founded, found
from wattquorum.node.node_folder import LEDGER_KEY, read_key
from wattquorum.node.transport import Place

HOST: Final = "127.0.0.1"
RAFT: Final = {"election_ms": 500, "heartbeat_ms": 100, "slot_ms": 60, "trailing_max": 50}
PARAMETERS: Final = {"epoch_ms": 3_000, "probation_days": 0, "hysteresis": 0, "rho": 30_000_000}
AMOUNT: Final = 5
DAY_MS: Final = 86_400_000
WRITERS: Final = 4
READERS: Final = 2
ACCOUNTS: Final = 3


class Links:
    """A relay for each way between two nodes, which can be cut."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._cut: set[tuple[int, int]] = set()
        self._open: dict[tuple[int, int], list[asyncio.StreamWriter]] = {}
        self.relays: dict[tuple[int, int], Place] = {}

    def start(self) -> None:
        """Opens all relays."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        count = len(self._places)
        for link in [(one, other) for one in range(count) for other in range(count) if one != other]:

            async def relay(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: tuple[int, int] = link
            ) -> None:
                if link in self._cut:
                    writer.close()
                    return
                try:
                    inner, out = await asyncio.open_connection(*self._places[link[1]])
                except OSError:
                    writer.close()
                    return
                self._open.setdefault(link, []).extend([writer, out])
                await asyncio.gather(self._pass(reader, out), self._pass(inner, writer))

            server = await asyncio.start_server(relay, HOST, 0)
            self.relays[link] = server.sockets[0].getsockname()[:2]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self, links: Sequence[tuple[int, int]]) -> None:
        """Nothing comes through these from now on."""
        self._loop.call_soon_threadsafe(self._do_cut, list(links))

    def _do_cut(self, links: list[tuple[int, int]]) -> None:
        self._cut |= set(links)
        for link in links:
            for writer in self._open.pop(link, []):
                writer.transport.abort()

    def heal(self) -> None:
        """Everything comes through again."""
        self._loop.call_soon_threadsafe(self._cut.clear)

    def stop(self) -> None:
        """Ends the relays with their loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Nodes:
    """The processes."""

    def __init__(self, founded: Founded) -> None:
        self.folders = founded.nodes
        self.apis = [f"http://{host}:{port}" for host, port in founded.apis]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * len(self.folders)
        self.kills = 0

    def start(self, number: int) -> None:
        """Starts a node that does not run."""
        if self.processes[number] is None:
            command = [sys.executable, "-m", "wattquorum", "node", "run", "--config"]
            with (self.folders[number] / "node.log").open("ab") as log:
                config = str(self.folders[number] / CONFIG)
                self.processes[number] = subprocess.Popen([*command, config], stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        """Ends it as a power failure would, but for what the system has in memory."""
        process, self.processes[number] = self.processes[number], None
        if process is not None:
            process.kill()
            process.wait()
            self.kills += 1

    def signal(self, number: int, what: signal.Signals) -> None:
        """Stops or continues it."""
        process = self.processes[number]
        if process is not None:
            process.send_signal(what)

    def stop(self) -> None:
        """Ends all of them in order."""
        for process in self.processes:
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            if process is not None:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes = [None] * len(self.folders)

    def ended(self) -> list[int]:
        """Those that ended by themselves, which none should."""
        return [n for n, process in enumerate(self.processes) if process is not None and process.poll() is not None]

    def digests(self) -> list[tuple[int, str]]:
        """Height and state of every node that answers."""
        found = []
        for api in self.apis:
            with suppress(httpx.HTTPError):
                status = httpx.get(f"{api}/v1/status", timeout=2).json()
                found.append((status["height"], status["state"]))
        return found


@dataclass
class Seen:
    """What clients saw, by account, and how much was acknowledged and how much may have been done."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    histories: dict[bytes, list[Operation]] = field(default_factory=dict)
    acknowledged: Counter[bytes] = field(default_factory=Counter)
    possible: Counter[bytes] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, account: bytes, operation: Operation) -> None:
        """Adds an operation to an account's history."""
        with self.lock:
            self.histories.setdefault(account, []).append(operation)


class Party:
    """Somebody who signs."""

    def __init__(self, chain_id: bytes, key: SigningKey) -> None:
        self.chain_id, self.key = chain_id, key
        self.address = address_of(chain_id, key.public)
        self.nonce = 0

    def sign(self, payload: Payload) -> bytes:
        """Its next transaction."""
        expiry = Millis(int(time.time() * 1_000) + DAY_MS)
        body = Body(self.chain_id, self.address, self.nonce, 100_000, expiry, payload)
        self.nonce += 1
        return sign(self.key, body)


def write(
    party: Party, accounts: Sequence[bytes], apis: list[str], seen: Seen, end: threading.Event, seed: int
) -> None:
    """A writer: adds to accounts until the end."""
    chance = random.Random(seed)
    with Client(chance.sample(apis, len(apis)), patience_s=90) as client:
        while not end.is_set():
            account = chance.choice(accounts)
            reference = f"{party.address.hex()[:8]}-{party.nonce}"
            data = party.sign(Deposit(account, AMOUNT, reference))
            seen.possible[account] += AMOUNT
            called = time.monotonic_ns()
            try:
                told = client.submit(data)
            except Refused as refused:
                seen.note(account, Operation(called, NEVER, AMOUNT))
                seen.wrong.append(f"a write was refused: {refused}")
                return
            if told.outcome != "done":
                seen.wrong.append(f"a write ended as {told.outcome}: {told.code} {told.field} {told.value}")
                return
            seen.note(account, Operation(called, time.monotonic_ns(), AMOUNT))
            seen.acknowledged[account] += AMOUNT


def read(accounts: Sequence[bytes], apis: list[str], seen: Seen, end: threading.Event, seed: int) -> None:
    """A reader: asks any node for accounts until the end."""
    chance = random.Random(seed)
    while not end.is_set():
        account = chance.choice(accounts)
        called = time.monotonic_ns()
        with Client([chance.choice(apis)], patience_s=3) as client, suppress(Refused):
            told = client.account(account).balance
            seen.note(account, Operation(called, time.monotonic_ns(), None, told))


def trouble(nodes: Nodes, links: Links, chance: random.Random, end: threading.Event, told: Counter[str]) -> None:
    """Lets things go wrong, one after the other, until the end."""
    count = len(nodes.folders)
    while not end.wait(chance.uniform(0.3, 1.5)):
        kind = chance.choice(["kill", "kill", "stop", "cut", "isolate", "blackout"])
        told[kind] += 1
        victims = chance.sample(range(count), chance.randint(1, 2))
        lasts = chance.uniform(0.3, 2.5)
        if kind == "kill":
            for victim in victims:
                nodes.kill(victim)
            end.wait(lasts)
            for victim in victims:
                nodes.start(victim)
        elif kind == "blackout":
            for number in range(count):
                nodes.kill(number)
            for number in range(count):
                nodes.start(number)
            end.wait(3)
        elif kind == "stop":
            for victim in victims:
                nodes.signal(victim, signal.SIGSTOP)
            end.wait(lasts)
            for victim in victims:
                nodes.signal(victim, signal.SIGCONT)
        else:
            inside = victims if kind == "isolate" else chance.sample(range(count), count // 2)
            one_way = chance.random() < 0.3
            out = [(one, other) for one in inside for other in range(count) if other not in inside]
            links.cut(out if one_way else [*out, *((other, one) for one, other in out)])
            end.wait(lasts)
            links.heal()


def prepare(founded: Founded, nodes: Nodes, folder: Path) -> tuple[list[Party], list[bytes], bytes]:
    """Registers writers, gives every replica to a member, and tells whose accounts are written to."""
    genesis = (folder / COMMUNITY / "genesis.json").read_bytes()
    chain_id = chain_id_of(genesis)
    operator = Party(chain_id, read_key(folder / COMMUNITY / OPERATOR_KEY))
    writers = [Party(chain_id, SigningKey(os.urandom(32))) for _ in range(WRITERS)]
    members = [Party(chain_id, SigningKey(os.urandom(32))) for _ in founded.nodes]
    payloads: list[Payload] = []
    for number, party in enumerate([*writers, *members]):
        name = f"party-{number}"
        meter = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
        payloads.append(Register(party.key.public, name, name, (meter,)))
    payloads += [Propose(GrantRole(writer.address, Role.CASHIER)) for writer in writers]
    for member, node in zip(members, founded.nodes, strict=True):
        payloads.append(Propose(AddValidator(member.address, read_key(node / LEDGER_KEY).public)))
    with Client(nodes.apis, patience_s=60) as client:
        for payload in payloads:
            told = client.submit(operator.sign(payload))
            if told.outcome != "done":
                raise SystemExit(f"{payload}: {told}")
    return writers, [party.address for party in writers[:ACCOUNTS]], chain_id


def judge(seen: Seen, nodes: Nodes, accounts: Sequence[bytes]) -> list[str]:
    """What is wrong once everything is healed."""
    wrong = list(seen.wrong)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = nodes.digests()
        if len(found) == len(nodes.apis) and len(set(found)) == 1:
            break
        time.sleep(0.05)
    else:
        wrong.append(f"the nodes do not agree: {nodes.digests()}")
    with Client(nodes.apis, patience_s=30) as client:
        for account in accounts:
            balance = client.account(account).balance
            if not seen.acknowledged[account] <= balance <= seen.possible[account]:
                wrong.append(
                    f"{account.hex()[:8]} has {balance}; {seen.acknowledged[account]} was acknowledged, "
                    f"{seen.possible[account]} asked for"
                )
            if not is_linearizable(seen.histories.get(account, [])):
                wrong.append(f"the history of {account.hex()[:8]} is not linearizable")
    wrong += [f"node {number} ended by itself; see its node.log" for number in nodes.ended()]
    return wrong


def torture(folder: Path, count: int, seconds: float, seed: int) -> int:
    """One run; the exit status."""
    chance = random.Random(seed)
    base = 20_000 + chance.randrange(20_000)
    founded = found(folder, "torture", count, Voting.WEIGHTED, HOST, base, RAFT, PARAMETERS)
    files = [parsed((node / CONFIG).read_text(encoding="utf-8")) for node in founded.nodes]
    by_address = {file.listen: number for number, file in enumerate(files)}
    links = Links([file.listen for file in files])
    links.start()
    for one, (node, file) in enumerate(zip(founded.nodes, files, strict=True)):
        peers = {
            address: place if by_address[place] == one else links.relays[one, by_address[place]]
            for address, place in file.peers.items()
        }
        (node / CONFIG).write_text(composed(file.listen, file.api, peers, RAFT), encoding="utf-8")
    nodes, seen, end, told = Nodes(founded), Seen(), threading.Event(), Counter[str]()
    try:
        for number in range(count):
            nodes.start(number)
        writers, accounts, _ = prepare(founded, nodes, folder)
        clients = [
            threading.Thread(target=write, args=(party, accounts, nodes.apis, seen, end, seed + number))
            for number, party in enumerate(writers)
        ]
        clients += [
            threading.Thread(target=read, args=(accounts, nodes.apis, seen, end, seed + 100 + number))
            for number in range(READERS)
        ]
        calm = threading.Event()
        faults = threading.Thread(target=trouble, args=(nodes, links, chance, calm, told))
        for thread in [*clients, faults]:
            thread.start()
        time.sleep(seconds)
        calm.set()
        faults.join()
        links.heal()
        for number in range(count):
            nodes.signal(number, signal.SIGCONT)
            nodes.start(number)
        end.set()
        for thread in clients:
            thread.join(120)
        wrong = judge(seen, nodes, accounts)
        versions = {}
        with suppress(httpx.HTTPError):
            versions = httpx.get(f"{nodes.apis[0]}/v1/status", timeout=2).json()
    finally:
        nodes.stop()
        links.stop()
    for node in founded.nodes:
        try:
            with ChainFolder(node / "chain") as chain:
                audit_folder(chain, verify_each, lambda _: None)
        except Exception as fault:  # noqa: BLE001 - whatever the audit raises is what is wrong
            wrong.append(f"{node.name}: {type(fault).__name__}: {fault}")
    operations = sum(map(len, seen.histories.values()))
    adds = sum(seen.acknowledged.values()) // AMOUNT
    troubles = ", ".join(f"{number} {kind}" for kind, number in sorted(told.items()))
    for each in wrong:
        print("wrong:", each)
    print(
        f"{'broken' if wrong else 'held'}: {adds} writes acknowledged and found, {operations - adds} reads, "
        f"{nodes.kills} kills, version {versions.get('version')} of powers, block {versions.get('height')}; {troubles}"
    )
    return 1 if wrong else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of trouble")
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="kept afterwards; by default a temporary one that is not")
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    if asked.folder is not None:
        return torture(asked.folder, asked.nodes, asked.seconds, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        return torture(Path(folder) / "community", asked.nodes, asked.seconds, asked.seed)


if __name__ == "__main__":
    sys.exit(main())
