"""Costs: what a message, a byte, a signature and a transaction take of a processor, measured here and now.

They are this machine's and no other's, so every run measures them anew and says what it found; with the file of an
earlier run the same numbers come out again. Messages are measured twice: between two ends of the real transport, over
TLS and loopback, each alone; and among 16 real engines that agree over 240 such connections, with everything that they
do about it. The first is charged to both ends alike, the rest to the engine that hears it. A transaction is a deposit
of a demo chain, its signature checked and executed by the ledger. What a sync takes is the disk's business, not the
processor's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from wattquorum.foundation.identities import Signed, SigningKey, address_of, is_signed, signed_bytes, verify_each
from wattquorum.ledger.blocks import order
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.community import Authority, Contexts, make_authority, make_contexts, make_request
from wattquorum.node.transport import Bounds, Transport
from wattquorum.simulation.assembly import Assembly, Costs, Links, Load
from wattquorum.simulation.assembly import address_of as address_of_machine
from wattquorum.simulation.founding import CREATED, Founding

ROUNDS: Final = 5  # of each measurement, of which the least counts: what others do meanwhile only adds
TRIPS: Final = 300  # there and back, in a round
SMALL, LARGE = 200, 65_536  # bytes of a message
SIGNATURES: Final = 200
TRANSACTIONS: Final = 200
SYNCS: Final = 15
SYNC_BYTES: Final = 4_096
AGREEING, AGREED = 16, 8  # engines, and blocks
CHAIN: Final = bytes(16)
ENDS: Final = (bytes([1]) * 20, bytes([2]) * 20)
NOWHERE: Final = ("127.0.0.1", 1)
OPEN: Final = Bounds(receive_bytes_per_s=1 << 40, receive_messages_per_s=1 << 40)
PATIENCE_S: Final = 30.0


def told(costs: Costs) -> tuple[tuple[str, str], ...]:
    """What each kind of work takes, for people."""
    return (
        ("a message, sent and received", f"{(costs.send_ns + costs.receive_ns) / 1e3:.1f} us"),
        ("a byte of it", f"{(costs.byte_sent_ps + costs.byte_received_ps) / 1e3:.2f} ns"),
        ("the engine and its loop, for a message heard", f"{costs.engine_ns / 1e3:.1f} us"),
        ("making a signature", f"{costs.sign_ns / 1e3:.1f} us"),
        ("checking a signature", f"{costs.check_ns / 1e3:.1f} us"),
        ("checking and executing a transaction", f"{costs.transaction_ns / 1e3:.1f} us"),
        ("a sync of the disk, the quicker ones", f"{costs.sync_ns / 1e3:,.0f} us"),
    )


def machine() -> str:
    """What it is measured on."""
    return f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def measured(folder: Path) -> Costs:
    """What this machine takes. `folder` is on the disk whose syncs count."""
    small, large, agreeing = asyncio.run(_messages())
    per_byte_ps = max((large - small) * 1_000 // (LARGE - SMALL), 0)
    alone = max(small - per_byte_ps * SMALL // 1_000, 1)
    return Costs(
        send_ns=alone // 2,
        receive_ns=alone - alone // 2,
        byte_sent_ps=per_byte_ps // 2,
        byte_received_ps=per_byte_ps - per_byte_ps // 2,
        engine_ns=max(agreeing - alone, 1),
        sign_ns=_signing(),
        check_ns=_checking(),
        transaction_ns=_transacting(),
        sync_ns=_syncing(folder),
    )


def _least(work: Callable[[], int]) -> int:
    return min(work() for _ in range(ROUNDS))


def _taken(work: Callable[[], object]) -> int:
    """Time of this thread's processor [ns]."""
    begun = time.thread_time_ns()
    work()
    return time.thread_time_ns() - begun


# Signatures and transactions ----------------------------------------------------------------------------------------


def _signing() -> int:
    key, message = SigningKey(bytes(32)), bytes(120)
    return _least(lambda: _taken(lambda: [key.sign("lab", message) for _ in range(SIGNATURES)]) // SIGNATURES)


def _checking() -> int:
    key, message = SigningKey(bytes(32)), bytes(120)
    check = Signed(key.public, signed_bytes("lab", message), key.sign("lab", message))
    return _least(lambda: _taken(lambda: [is_signed(check) for _ in range(SIGNATURES)]) // SIGNATURES)


def _transacting() -> int:
    founding = Founding(1, 1, 1, {})
    host, client = founding.host_keys[0], founding.client_keys[0]
    chain_id = chain_id_of(founding.genesis)
    address = address_of(chain_id, client.public)

    def work() -> int:
        ledger = Ledger(founding.genesis)
        transactions = tuple(
            sign(client, Body(chain_id, address, nonce, 1_000, CREATED + 1_000_000, Deposit(address, 1, f"{nonce}")))
            for nonce in range(TRANSACTIONS)
        )
        entry = order(host, chain_id, CREATED + 1, ledger.applied, transactions)
        done: list[int] = []
        taken = _taken(lambda: done.append(len(ledger.execute(entry, verify_each).block.receipts)))
        assert done == [TRANSACTIONS]
        return taken // TRANSACTIONS

    return _least(work)


# The disk -----------------------------------------------------------------------------------------------------------


def _syncing(folder: Path) -> int:
    """What a write of a few records takes until it is durable, in the quicker of cases; others use the disk, too."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(SYNC_BYTES * (SYNCS + 1)))
        file.flush()
        os.fdatasync(file.fileno())
        took = []
        for place in range(SYNCS):
            begun = time.perf_counter_ns()
            os.pwrite(file.fileno(), bytes([place + 1]) * SYNC_BYTES, place * SYNC_BYTES)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter_ns() - begun)
    return max(sorted(took)[SYNCS // 4], 1)


# The transport and the engine ---------------------------------------------------------------------------------------


async def _messages() -> tuple[int, int, int]:
    """What a small and a large message take between two ends, and one among engines [ns of the processor]."""
    pair = _Pair()
    with tempfile.TemporaryDirectory() as name:
        async with _mesh(Path(name), ENDS, (pair.again, pair.back)) as pair.ends:
            small = [await pair.trips(TRIPS, SMALL) for _ in range(ROUNDS)]
            large = [await pair.trips(TRIPS // 10, LARGE) for _ in range(ROUNDS)]
    return min(small), min(large), await _agreeing()


Hear = Callable[[bytes, Sequence[bytes]], None]


@asynccontextmanager
async def _mesh(folder: Path, ends: Sequence[bytes], hear: Sequence[Hear]) -> AsyncIterator[list[Transport]]:
    """Transports that are all connected to each other, on one event loop."""
    contexts = _contexts(folder, ends)
    made: list[Transport] = []
    try:
        for me, own, on_messages in zip(ends, contexts, hear, strict=True):
            others = {other: NOWHERE for other in ends if other != me}
            made.append(Transport(me, CHAIN, own, ("127.0.0.1", 0), others, on_messages, OPEN))
            await made[-1].start()
        places = {end: ("127.0.0.1", each.port) for end, each in zip(ends, made, strict=True)}
        for me, each in zip(ends, made, strict=True):
            each.update_peers({other: place for other, place in places.items() if other != me})
        async with _within():
            while any(peer.connected_ms is None for each in made for peer in each.peers()):
                await asyncio.sleep(0.01)
        yield made
    finally:
        for each in made:
            await each.close()


@asynccontextmanager
async def _within() -> AsyncIterator[None]:
    """TimeoutError where connections, which may lose what is sent, do not do their part in time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except TimeoutError:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), "127.0.0.1") from None


def _contexts(folder: Path, ends: Sequence[bytes]) -> list[Contexts]:
    now = time.time_ns() // 1_000_000
    key, pem = make_authority("lab", now)
    authority = Authority(key, pem)
    (folder / "authority.pem").write_bytes(pem)
    (folder / "revoked.pem").write_bytes(authority.revocations((), 0, now))
    made = []
    for end in ends:
        secret, request = make_request("lab")
        own = folder / f"{end.hex()}.pem"
        own.write_bytes(authority.issue(request, CHAIN, end, now) + secret)
        made.append(make_contexts(folder / "authority.pem", folder / "revoked.pem", own))
    return made


class _Pair:
    """Two ends that send a message there and back."""

    def __init__(self) -> None:
        self.ends: list[Transport] = []
        self.left = 0
        self.message = b""
        self.done = asyncio.Event()

    async def trips(self, count: int, size: int) -> int:
        """So many messages there and back: what one takes [ns]."""
        self.left, self.message = count, bytes(size)
        self.done.clear()
        begun = time.thread_time_ns()
        self.ends[0].send(ENDS[1], self.message)
        async with _within():
            await self.done.wait()
        return (time.thread_time_ns() - begun) // (2 * count)

    def back(self, _: bytes, messages: Sequence[bytes]) -> None:
        """At the second end."""
        for message in messages:
            self.ends[1].send(ENDS[0], message)

    def again(self, _: bytes, messages: Sequence[bytes]) -> None:
        """At the first end."""
        self.left -= len(messages)
        if self.left:
            self.ends[0].send(ENDS[1], self.message)
        else:
            self.done.set()


async def _agreeing() -> int:
    """What a message among engines takes that agree over real connections [ns]."""
    committee = _Committee()
    hear = [committee.hearing(number) for number in range(AGREEING)]
    with tempfile.TemporaryDirectory() as name:
        ends = [address_of_machine(number) for number in range(AGREEING)]
        async with _mesh(Path(name), ends, hear) as committee.ends:
            return min([await committee.agree(seed) for seed in range(ROUNDS)])


class _Committee:
    """Engines on one event loop; all that they say goes over connections."""

    def __init__(self) -> None:
        self.ends: list[Transport] = []
        self.assembly: Assembly | None = None
        self.said = self.heard = 0
        self.done = asyncio.Event()

    async def agree(self, seed: int) -> int:
        """Some blocks, to the last vote: what a message takes [ns]."""
        self.said = self.heard = 0
        self.done.clear()
        begun = time.thread_time_ns()
        self.assembly = Assembly(seed, AGREEING, AGREEING, Load(1), links=Links(0, 0), blocks=AGREED, wire=self.say)
        async with _within():
            await self.done.wait()
        return (time.thread_time_ns() - begun) // self.said

    def say(self, number: int, to: bytes, frame: bytes) -> None:
        """From an engine."""
        self.said += 1
        self.ends[number].send(to, frame)

    def hearing(self, number: int) -> Hear:
        """To an engine."""

        def hear(sender: bytes, messages: Sequence[bytes]) -> None:
            assembly = self.assembly
            assert assembly is not None
            self.heard += len(messages)
            for message in messages:
                assembly.arrives(assembly.machines[number], sender, message, 0)
            if assembly.reached[AGREED] == AGREEING and self.heard == self.said:
                self.done.set()

        return hear
