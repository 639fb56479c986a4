"""Costs: what a message, a byte, a signature and a transaction take of a processor, measured here and now.

They are this machine's and no other's, so every run measures them anew and says what it found; with the file of an
earlier run the same numbers come out again. A message is one of the real transport, over TLS and loopback, sent alone
as votes are; half of what it takes is charged to each end. The engine's part is what the real engines of a PBFT with 16
take for a message they hear, everything they do beside it included, signatures left out. A transaction is a deposit of
a demo chain, its signature checked and executed by the ledger. What a sync takes is the disk's business, not the
processor's.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from wattquorum.foundation.identities import Signed, SigningKey, address_of, is_signed, signed_bytes, verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import order
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.community import Authority, Contexts, make_authority, make_contexts, make_request
from wattquorum.node.transport import Bounds, Transport
from wattquorum.simulation.assembly import Assembly, Costs, Links, Load
from wattquorum.simulation.founding import CREATED, Founding

ROUNDS: Final = 5  # of each measurement, of which the middle one counts
TRIPS: Final = 300  # there and back, in a round
SMALL, LARGE = 200, 65_536  # bytes of a message
SIGNATURES: Final = 200
TRANSACTIONS: Final = 200
SYNCS: Final = 15
SYNC_BYTES: Final = 4_096
CHAIN: Final = bytes(16)
ENDS: Final = (bytes([1]) * 20, bytes([2]) * 20)
NOWHERE: Final = ("127.0.0.1", 1)
OPEN: Final = Bounds(receive_bytes_per_s=1 << 40, receive_messages_per_s=1 << 40)
CONNECTED_S: Final = 10.0


def told(costs: Costs) -> tuple[tuple[str, str], ...]:
    """What each kind of work takes, for people."""
    return (
        ("a message, sent and received", f"{(costs.send_ns + costs.receive_ns) / 1e3:.1f} us"),
        ("a byte of it", f"{(costs.byte_sent_ps + costs.byte_received_ps) / 1e3:.2f} ns"),
        ("the engine, for a message heard", f"{costs.engine_ns / 1e3:.1f} us"),
        ("making a signature", f"{costs.sign_ns / 1e3:.1f} us"),
        ("checking a signature", f"{costs.check_ns / 1e3:.1f} us"),
        ("checking and executing a transaction", f"{costs.transaction_ns / 1e3:.1f} us"),
        ("a sync of the disk, the processor being free", f"{costs.sync_ns / 1e3:,.0f} us"),
    )


def machine() -> str:
    """What it is measured on."""
    return f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def measured(folder: Path) -> Costs:
    """What this machine takes. `folder` is on the disk whose syncs count."""
    small, large = asyncio.run(_messages())
    per_byte_ps = max((large - small) * 1_000 // (LARGE - SMALL), 0)
    alone = max(small - per_byte_ps * SMALL // 1_000, 1)
    check = _checking()
    return Costs(
        send_ns=alone // 2,
        receive_ns=alone - alone // 2,
        byte_sent_ps=per_byte_ps // 2,
        byte_received_ps=per_byte_ps - per_byte_ps // 2,
        engine_ns=_engine(),
        sign_ns=_signing(),
        check_ns=check,
        transaction_ns=_transacting(),
        sync_ns=_syncing(folder),
    )


def _middle(work: Callable[[], int], rounds: int = ROUNDS) -> int:
    return int(median(work() for _ in range(rounds)))


def _taken(work: Callable[[], object]) -> int:
    """Time of this thread's processor [ns]."""
    begun = time.thread_time_ns()
    work()
    return time.thread_time_ns() - begun


# Signatures and transactions ----------------------------------------------------------------------------------------


def _signing() -> int:
    key, message = SigningKey(bytes(32)), bytes(120)
    return _middle(lambda: _taken(lambda: [key.sign("lab", message) for _ in range(SIGNATURES)]) // SIGNATURES)


def _checking() -> int:
    key, message = SigningKey(bytes(32)), bytes(120)
    check = Signed(key.public, signed_bytes("lab", message), key.sign("lab", message))
    return _middle(lambda: _taken(lambda: [is_signed(check) for _ in range(SIGNATURES)]) // SIGNATURES)


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

    return _middle(work)


# The engine ---------------------------------------------------------------------------------------------------------


def _engine() -> int:
    def work() -> int:
        assembly = Assembly(1, 16, 16, Load(1), links=Links(1_000, 2_000), blocks=3, watch=time.thread_time_ns)
        assembly.run(60 * 10**9)
        return max(assembly.engines_took_ns // assembly.heard, 1)

    return _middle(work, 3)


# The disk -----------------------------------------------------------------------------------------------------------


def _syncing(folder: Path) -> int:
    """What a write of a few records takes until it is durable; 1 at least, since no disk takes nothing."""
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
    return max(int(median(took)), 1)


# The transport ------------------------------------------------------------------------------------------------------


async def _messages() -> tuple[int, int]:
    """What a small and a large message take of the processor, both ends together [ns]."""
    with tempfile.TemporaryDirectory() as name:
        one, other = _contexts(Path(name))
        pair = _Pair(one, other)
        await pair.start()
        try:
            small = [await pair.trips(TRIPS, SMALL) for _ in range(ROUNDS)]
            large = [await pair.trips(TRIPS // 10, LARGE) for _ in range(ROUNDS)]
        finally:
            await pair.close()
    return int(median(small)), int(median(large))


def _contexts(folder: Path) -> tuple[Contexts, Contexts]:
    now = time.time_ns() // 1_000_000
    key, pem = make_authority("lab", now)
    authority = Authority(key, pem)
    (folder / "authority.pem").write_bytes(pem)
    (folder / "revoked.pem").write_bytes(authority.revocations((), 0, now))
    made = []
    for who in ENDS:
        secret, request = make_request("lab")
        own = folder / f"{who.hex()}.pem"
        own.write_bytes(authority.issue(request, CHAIN, who, now) + secret)
        made.append(make_contexts(folder / "authority.pem", folder / "revoked.pem", own))
    return made[0], made[1]


class _Pair:
    """Two transports on one event loop that send a message there and back."""

    def __init__(self, one: Contexts, other: Contexts) -> None:
        self.contexts = (one, other)
        self.left = 0
        self.message = b""
        self.done = asyncio.Event()

    async def start(self) -> None:
        """Refused("unreachable") when the two ends do not find each other."""
        here, there = ENDS
        listen = ("127.0.0.1", 0)
        self.there = Transport(there, CHAIN, self.contexts[1], listen, {here: NOWHERE}, self._return, OPEN)
        await self.there.start()
        place = ("127.0.0.1", self.there.port)
        self.here = Transport(here, CHAIN, self.contexts[0], listen, {there: place}, self._again, OPEN)
        await self.here.start()
        self.there.update_peers({here: ("127.0.0.1", self.here.port)})
        end = time.monotonic() + CONNECTED_S
        while any(each.peers()[0].connected_ms is None for each in (self.here, self.there)):
            if time.monotonic() > end:
                raise Refused("unreachable", "transport", "127.0.0.1", "Let this machine connect to itself.")
            await asyncio.sleep(0.01)

    async def trips(self, count: int, size: int) -> int:
        """So many messages there and back: what one takes [ns of the processor]."""
        self.left, self.message = count, bytes(size)
        self.done.clear()
        begun = time.thread_time_ns()
        self.here.send(ENDS[1], self.message)
        await self.done.wait()
        return (time.thread_time_ns() - begun) // (2 * count)

    def _return(self, _: bytes, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.there.send(ENDS[0], message)

    def _again(self, _: bytes, messages: Sequence[bytes]) -> None:
        for _message in messages:
            self.left -= 1
            if self.left:
                self.here.send(ENDS[1], self.message)
            else:
                self.done.set()

    async def close(self) -> None:
        await self.here.close()
        await self.there.close()
