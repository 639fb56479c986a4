"""Signed transfers on real nodes: how many are decided a second when every replica checks every signature.

Nodes as `wattquorum node run` runs them, with disk, TLS, ledger and interface; cashiers, each with a client of its
own, hand in money for members in batches by HTTP, signed beforehand. What that is measured against is what PyNaCl
alone checks on every core of this machine at the same time, shared by the replicas. Both are taken in turns.

    python -m benchmarks.signed --seconds 5
    python -m benchmarks.signed --seconds 5 --engine pbft --replicas 4
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.measuring import Line, Section
from benchmarks.ports import free_row
from wattquorum.api.client import Client
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.quantities import MILLION, Power, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.protocols import Protocol
from wattquorum.ledger.transactions import (
    Body,
    Deposit,
    GrantRole,
    MeterPoint,
    Payload,
    Propose,
    Received,
    Register,
    sign,
)
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.config import CONFIG
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, found
from wattquorum.node.node_folder import read_key

REPLICAS: Final = 3
COMMITTEE: Final = 4  # the smallest of whom one may lie
CASHIERS: Final = 4
BATCH: Final = 512
SIGNED_A_SECOND: Final = 3_000  # by each cashier: more than can be decided
WARM_S: Final = 1.0
FAR: Final = 1 << 20  # blocks, and far beyond any that is cut here
YEAR_MS: Final = 365 * 24 * 3_600_000


class Rate(NamedTuple):
    """What so many replicas decided, and what PyNaCl alone checks on all cores [a second]."""

    transfers: float
    checks: float
    replicas: int

    @property
    def share(self) -> float:
        """Of what all cores could check for this many replicas."""
        return self.transfers / (self.checks / self.replicas)


class Cashier:
    """A member who may credit money."""

    def __init__(self, chain_id: bytes, key: SigningKey) -> None:
        self.key, self.chain_id = key, chain_id
        self.address = address_of(chain_id, key.public)
        self._nonce = 0
        self._expires_ms = int(time.time() * 1_000) + YEAR_MS

    def sign(self, payload: Payload) -> bytes:
        """Its next transaction."""
        body = Body(self.chain_id, self.address, self._nonce, FAR // 2, self._expires_ms, payload)
        self._nonce += 1
        return sign(self.key, body)


def checks_a_second(cashier: Cashier, seconds: float) -> float:
    """What PyNaCl alone checks on all cores."""
    received = Received(cashier.sign(Deposit(cashier.address, 1, "floor")))
    checks = [received.check(cashier.key.public)] * 64
    cores, until = os.cpu_count() or 1, time.perf_counter() + seconds

    def some() -> int:
        count = 0
        while time.perf_counter() < until:
            if not all(verify_each(checks)):
                raise AssertionError("a good signature was found bad")
            count += len(checks)
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        counts = [each.result() for each in [pool.submit(some) for _ in range(cores)]]
    return sum(counts) / (time.perf_counter() - began)


def _started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "wattquorum", "node", "run", "--config", str(folder / CONFIG)]
    with (folder / "node.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _leader(apis: list[str]) -> str:
    """Whose interface is the leader's."""
    for _ in range(600):
        for api in apis:
            try:
                with Client([api], patience_s=0.2) as client:
                    status = client.status()
            except Refused:
                continue
            if status.leader == status.replica:
                return api
        time.sleep(0.05)
    raise TimeoutError("nobody leads")


def measured(seconds: float, protocol: Protocol = Protocol.RAFT, replicas: int = REPLICAS) -> Rate:
    """Founds a community, signs, and lets it decide for so long."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "community"
        parameters = {**protocol.parameters(), **PARAMETERS}
        founded = found(folder, "signed", replicas, parameters, "127.0.0.1", free_row(2 * replicas))
        chain_id = chain_id_of((founded.nodes[0] / GENESIS).read_bytes())
        operator = Cashier(chain_id, read_key(folder / COMMUNITY / OPERATOR_KEY))
        processes = [_started(node) for node in founded.nodes]
        try:
            apis = [f"http://{host}:{port}" for host, port in founded.apis]
            leader = _leader(apis)
            cashiers = [Cashier(chain_id, SigningKey(os.urandom(32))) for _ in range(CASHIERS)]
            _appoint(leader, operator, cashiers)
            signed = [
                [
                    cashier.sign(Deposit(cashier.address, 1, f"{number}-{reference}"))
                    for reference in range(int((seconds + WARM_S) * SIGNED_A_SECOND))
                ]
                for number, cashier in enumerate(cashiers)
            ]
            before = checks_a_second(operator, 1.0)
            rate = _decided(leader, signed, seconds)
            return Rate(rate, (before + checks_a_second(operator, 1.0)) / 2, replicas)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


PARAMETERS: Final = {"pending_max": 100_000, "expiry_blocks_max": FAR}


def _appoint(api: str, operator: Cashier, cashiers: list[Cashier]) -> None:
    payloads: list[Payload] = []
    for number, cashier in enumerate(cashiers):
        meter = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
        payloads.append(Register(cashier.key.public, f"cashier-{number}", f"cashier-{number}", (meter,)))
        payloads.append(Propose(GrantRole(cashier.address, Role.CASHIER)))
    with Client([api]) as client:
        for payload in payloads:
            told = client.submit(operator.sign(payload))
            if told.outcome != "done":
                raise RuntimeError(f"{payload}: {told}")


def _decided(api: str, signed: list[list[bytes]], seconds: float) -> float:
    """Transfers that were decided a second, after a second that nobody counts."""
    begin = time.perf_counter() + WARM_S
    end = begin + seconds
    lock, counts = threading.Lock(), [0]

    def hand_in(transactions: list[bytes]) -> None:
        with Client([api]) as client:
            for first in range(0, len(transactions), BATCH):
                outcomes = client.submit_all([(each, None) for each in transactions[first : first + BATCH]])
                if any(outcome.outcome != Outcome.DONE for outcome in outcomes):
                    raise RuntimeError(f"a transfer was not decided: {outcomes[0]}")
                now = time.perf_counter()
                if now > end:
                    return
                if now > begin:
                    with lock:
                        counts[0] += len(outcomes)
        raise RuntimeError("too few transfers were signed beforehand")

    with ThreadPoolExecutor(len(signed)) as pool:
        for done in [pool.submit(partial(hand_in, each)) for each in signed]:
            done.result()
    return counts[0] / seconds


def section(seconds: float, rounds: int) -> Section:
    """Three replicas that count votes, and four of whom one may lie, in turns."""
    lines = []
    crowds = ((Protocol.RAFT, REPLICAS), (Protocol.PBFT, COMMITTEE))
    rates = [[measured(seconds, *crowd) for crowd in crowds] for _ in range(rounds)]
    for (protocol, replicas), taken in zip(crowds, zip(*rates, strict=True), strict=True):
        middle = median(each.share for each in taken)
        decided = median(each.transfers for each in taken)
        note = f"{decided:,.0f} a second; PyNaCl alone {median(each.checks for each in taken):,.0f}"
        lines.append(Line(f"{protocol} of {replicas}", 100 * middle, "%", note))
    return Section("Signed transfers on real nodes, of what all cores check / replicas", lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--engine", type=Protocol, choices=list(Protocol), default=Protocol.RAFT)
    parser.add_argument("--replicas", type=int, default=REPLICAS)
    options = parser.parse_args()
    rate = measured(options.seconds, options.engine, options.replicas)
    print(json.dumps({"transfers": rate.transfers, "checks": rate.checks, "share": rate.share}))


if __name__ == "__main__":
    main()
