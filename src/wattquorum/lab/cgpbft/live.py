"""Live: communities of real nodes on this machine, everybody agreeing or agents for their groups, timed in turns.

Nodes are as `wattquorum up` has them: founded with random keys, a process each, with disk, TLS and interface. First
deposits are handed in one after another, each when every node has the one before: how long it takes until the receipt
is here, and until every node has told of its block. Then cashiers hand in batches at once, for some seconds: how many
deposits a second, counted until every node has executed the last. Messages are what nodes counted while deposits came
one by one, polls for tips included.

One community runs at a time, and both protocols take turns, so that whatever else the machine does meets both alike;
how busy others kept it is measured just before, while no node runs. All nodes and whoever hands in share its
processors: it is the work of all machines that is timed here, not that of one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, Self

import httpx

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR, Power, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cgpbft.costs import machine
from wattquorum.lab.live import HOST, free_row
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.protocols import Protocol as Engine
from wattquorum.ledger.transactions import Body, Deposit, GrantRole, MeterPoint, Payload, Propose, Register, sign
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, Founded, found, nodes_of
from wattquorum.node.node_folder import read_key
from wattquorum.node.processes import PROCESS, end_left_over, owned, processes

GROUPS: Final = 4
CASHIERS: Final = 4  # who hand in batches at once
BATCH: Final = 256
BATCHES_A_SECOND: Final = 4  # that each cashier signs beforehand: about what four nodes decide
EXPIRY_BLOCKS: Final = 100_000
PATIENCE_S: Final = 180.0  # for all that one community does, its nodes' start included
LOOK_S: Final = 0.01
BUSY_S: Final = 1.0  # for how long it is watched what others do
RECEIVED, HEIGHT = "wattquorum_received_messages_total ", "wattquorum_height "  # among a node's metrics


class Plan(NamedTuple):
    """What is tried: communities of so many members, in pairs of both protocols."""

    members: tuple[int, ...] = (4, 7, 10, 16)
    pairs: int = 3
    deposits: int = 60  # one after another
    seconds: float = 4.0  # at most: for these, and for batches


PLAN: Final = Plan()


class Lived(NamedTuple):
    """What one community came to."""

    machine: str
    busy_ppm: int  # how busy others kept all of its processors just before
    pair: int
    engine: str
    members: int
    agents: int
    deposits: int  # one after another, each in a block of its own
    receipt_us: int  # their median
    receipt_p95_us: int
    everywhere_us: int
    everywhere_p95_us: int
    messages: int  # that nodes received meanwhile
    decided: int  # of batches
    took_us: int  # from the first batch until every node had all

    @property
    def throughput(self) -> float:
        """Transactions a second."""
        return self.decided * 1e6 / self.took_us

    @property
    def per_block(self) -> float:
        """Messages of a block."""
        return self.messages / self.deposits


class Told(Protocol):
    """What became of a transaction."""

    @property
    def height(self) -> int:
        """The block that has it."""

    @property
    def outcome(self) -> str | int:
        """Whether its rules let it happen."""


class Client(Protocol):
    """What is needed of a client: `wattquorum.AsyncClient` has it."""

    async def submit(self, transaction: bytes, /) -> Any:
        """Hands in one, and tells what became of it when it is decided (`Told`)."""

    async def submit_all(self, items: Sequence[tuple[bytes, bytes | None]], /) -> Sequence[Any]:
        """The same of many."""

    def blocks(self, first: int, /) -> AsyncIterator[tuple[int, bytes]]:
        """Every block from this height on, when the node that is asked has executed it."""

    async def close(self) -> None:
        """Ends its connections."""


Connect = Callable[[Sequence[str]], Client]
Progress = Callable[[str, int, int], None]


def lived(home: Path, plan: Plan, connect: Connect, progress: Progress) -> list[Lived]:
    """Tries all of it. Nodes' folders are made in `home` and removed; what an earlier run left there is ended first.

    However this is left, no node goes on. Its folder is kept where something failed: nodes' logs tell what.
    Refused("folder_exists") for anything else in `home`.
    """
    asked = list(turns(plan))
    with owned(home):
        left_over = [path for path in home.iterdir() if path.name != PROCESS]
        for path in left_over:
            if not re.fullmatch(rf"({Engine.PBFT}|{Engine.CGPBFT})-\d+", path.name):
                raise Refused("folder_exists", "live", path, "Communities are made and removed here; move it away.")
        for path in left_over:
            end_left_over(nodes_of(path))
            shutil.rmtree(path)
        outcomes = []
        for done, (members, pair, engine) in enumerate(asked):
            progress("live nodes", done, len(asked))
            outcomes.append(_community(home / f"{engine}-{members}", engine, members, pair, plan, connect))
    with suppress(FileNotFoundError):
        home.rmdir()
    return outcomes


def turns(plan: Plan) -> Iterator[tuple[int, int, Engine]]:
    """Members, pair and engine of each community in order: who is first alternates."""
    for members in plan.members:
        for pair in range(plan.pairs):
            for engine in (Engine.PBFT, Engine.CGPBFT)[:: -1 if pair % 2 else 1]:
                yield members, pair, engine


def check_pairs(found: Sequence[Lived]) -> None:
    """Raises ValueError unless each pair is one of both protocols."""
    pairs = defaultdict(list)
    for each in found:
        pairs[each.members, each.pair].append(each.engine)
    wrong = [pair for pair, engines in pairs.items() if sorted(engines) != [Engine.CGPBFT, Engine.PBFT]]
    if wrong or not found:
        raise ValueError(f"no pair of both protocols: {wrong}")


def _community(folder: Path, engine: Engine, members: int, pair: int, plan: Plan, connect: Connect) -> Lived:
    groups = GROUPS if engine is Engine.CGPBFT else None
    founded = found(folder, "live", members, engine.parameters(groups), HOST, free_row(2 * members))
    busy = busy_ppm(BUSY_S)
    try:
        with processes(founded.nodes):
            took = asyncio.run(_timed(founded, plan, connect))
    except TimeoutError:
        raise Refused("undecided", "live", folder, "Nodes took too long; read their node.log there.") from None
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return Lived(machine(), busy, pair, engine.value, members, groups or members, *took)


async def _timed(founded: Founded, plan: Plan, connect: Connect) -> tuple[int, ...]:
    """Everything that is told of a community, from `deposits` on."""
    async with asyncio.timeout(PATIENCE_S), Crowd([f"http://{host}:{port}" for host, port in founded.apis]) as crowd:
        chain_id = chain_id_of((founded.nodes[0] / GENESIS).read_bytes())
        operator = Cashier(chain_id, read_key(founded.folder / COMMUNITY / OPERATOR_KEY))
        clients = [connect(crowd.apis) for _ in range(CASHIERS)]
        watching = [connect([api]) for api in crowd.apis]
        try:
            cashiers = [Cashier(chain_id, SigningKey(os.urandom(32))) for _ in range(CASHIERS)]
            height = await _appoint(clients[0], operator, cashiers)
            one_by_one = await _one_by_one(clients[0], operator, plan, crowd, watching, height)
            return (*one_by_one, *await _at_once(clients, cashiers, plan, crowd))
        finally:
            for client in (*clients, *watching):
                await client.close()


async def _appoint(client: Client, operator: Cashier, cashiers: Sequence[Cashier]) -> int:
    """Registers members and makes them cashiers; the height of the last block that this took."""
    for number, cashier in enumerate(cashiers):
        meter = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
        name = f"cashier-{number}"
        await client.submit(operator.signed(Register(cashier.key.public, name, name, (meter,))))
        told = _done(await client.submit(operator.signed(Propose(GrantRole(cashier.address, Role.CASHIER)))))
    return told.height


async def _one_by_one(
    client: Client, cashier: Cashier, plan: Plan, crowd: Crowd, watching: Sequence[Client], height: int
) -> tuple[int, ...]:
    """Deposits, one after another: how many, how long until the receipt and until all have the block, messages."""
    watch = Watch(watching, height)
    following = [asyncio.create_task(watch.follow(each)) for each in watching]
    try:
        await watch.everywhere(height)  # as soon as all nodes run and are watched
        received, until = await crowd.received(), time.perf_counter() + plan.seconds
        receipts: list[int] = []
        everywhere: list[int] = []
        while len(receipts) < plan.deposits and (len(receipts) < 2 or time.perf_counter() < until):
            transaction = cashier.signed(Deposit(cashier.address, 1, f"single-{len(receipts)}"))
            began = time.perf_counter_ns()
            told = _done(await client.submit(transaction))
            receipts.append((time.perf_counter_ns() - began) // 1_000)
            everywhere.append((await watch.everywhere(told.height) - began) // 1_000)
        messages = await crowd.received() - received
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    return len(receipts), *middle_and_p95(receipts), *middle_and_p95(everywhere), messages


async def _at_once(clients: Sequence[Client], cashiers: Sequence[Cashier], plan: Plan, crowd: Crowd) -> tuple[int, int]:
    """Batches by all cashiers: how many deposits were decided, and how long it took until every node had all."""
    count = max(int(plan.seconds * BATCHES_A_SECOND), 1)
    signed = [
        [[(each.signed(Deposit(each.address, 1, f"{c}-{b}-{i}")), None) for i in range(BATCH)] for b in range(count)]
        for c, each in enumerate(cashiers)
    ]
    began = time.perf_counter_ns()
    until = began + int(plan.seconds * 1e9)

    async def hand_in(client: Client, batches: Sequence[Sequence[tuple[bytes, None]]]) -> list[int]:
        heights: list[int] = []
        for batch in batches:
            heights += [_done(outcome).height for outcome in await client.submit_all(batch)]
            if time.perf_counter_ns() > until:
                break
        return heights

    handed_in = await asyncio.gather(*map(hand_in, clients, signed))
    await crowd.reached(max(max(heights) for heights in handed_in))
    return sum(map(len, handed_in)), (time.perf_counter_ns() - began) // 1_000


def _done(told: Any) -> Told:
    """An outcome that is as it should be."""
    if told.outcome not in (Outcome.DONE, Outcome.DONE.name.lower()):
        raise Refused(told.code or "undecided", told.field, told.value)
    outcome: Told = told
    return outcome


def middle_and_p95(values: Sequence[int]) -> tuple[int, int]:
    """The median, the lower one of two, and what 95 of 100 are within."""
    ranked = sorted(values)
    return ranked[(len(ranked) - 1) // 2], ranked[-(-95 * len(ranked) // 100) - 1]


class Cashier:
    """Who may credit money, and signs for it."""

    def __init__(self, chain_id: bytes, key: SigningKey) -> None:
        self.key, self._chain_id = key, chain_id
        self.address = address_of(chain_id, key.public)
        self._nonce = 0
        self._expires_ms = time.time_ns() // 1_000_000 + MS_PER_HOUR

    def signed(self, payload: Payload) -> bytes:
        """Its next transaction."""
        body = Body(self._chain_id, self.address, self._nonce, EXPIRY_BLOCKS, self._expires_ms, payload)
        self._nonce += 1
        return sign(self.key, body)


class Watch:
    """When each block was at how many nodes, from a height on."""

    def __init__(self, nodes: Sequence[Client], first: int) -> None:
        self._nodes, self._first = len(nodes), first
        self._came: dict[int, list[int]] = defaultdict(list)
        self._news = asyncio.Event()

    async def follow(self, node: Client) -> None:
        """Notes every block of a node."""
        async for height, _ in node.blocks(self._first):
            self._came[height].append(time.perf_counter_ns())
            self._news.set()

    async def everywhere(self, height: int) -> int:
        """Waits until every node has a block; the time of the last [ns]."""
        while len(self._came[height]) < self._nodes:
            self._news.clear()
            await self._news.wait()
        return max(self._came[height])


class Crowd:
    """All nodes, by their metrics."""

    def __init__(self, apis: Sequence[str]) -> None:
        self.apis = tuple(apis)
        self._http = httpx.AsyncClient()

    async def received(self) -> int:
        """Messages that all have received from each other since they began."""
        return sum([await self._metric(api, RECEIVED) for api in self.apis])

    async def reached(self, height: int) -> None:
        """Waits until every node has executed so many blocks."""
        for api in self.apis:
            while await self._metric(api, HEIGHT) < height:
                await asyncio.sleep(LOOK_S)

    async def _metric(self, api: str, name: str) -> int:
        lines = (await self._http.get(f"{api}/metrics")).text.splitlines()
        return int(float(next(line for line in lines if line.startswith(name)).removeprefix(name)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_fault: object) -> None:
        await self._http.aclose()


def busy_ppm(seconds: float) -> int:
    """How busy all processors of this machine are for so long, whoever keeps them so."""
    before = _ticks()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_ticks(), before, strict=True))
    return MILLION - MILLION * idle // max(total, 1)


def _ticks() -> tuple[int, int]:
    """How long processors were idle, and in all, since the system began."""
    ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
