"""The clients: writers that add to shared accounts, readers that ask for them, and the office that gives seats.

Half of the writers are `wattquorum.Client`, as a user has it. The other half are impatient: they wait a moment for an
answer and hand the same transaction in elsewhere, so that most transactions are handed in several times and answered by
a node that did not order them. Readers ask a node that chance names, and one only.
"""

from __future__ import annotations

import base64
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import httpx

from torture.community import Community
from torture.history import History
from torture.processes import Processes
from wattquorum import Client
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import MILLION, Millis, Power, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.transactions import (
    AddValidator,
    Body,
    Deposit,
    GrantRole,
    MeterPoint,
    Payload,
    Propose,
    ReadyValidator,
    Register,
    RemoveValidator,
    sign,
    transaction_hash,
)

WRITERS: Final = 6
READERS: Final = 3
ACCOUNTS: Final = 3
IMPATIENT_S: Final = 2.0
PATIENCE_S: Final = 120.0
DAY_MS: Final = 86_400_000
FEE: Final = 100_000
AGAIN_S: Final = 0.05
CATCH_UP_S: Final = 20.0
BEHIND_BLOCKS: Final = 10


class Party:
    """Somebody who signs."""

    def __init__(self, chain_id: bytes, key: SigningKey) -> None:
        self.chain_id, self.key = chain_id, key
        self.address = address_of(chain_id, key.public)
        self.nonce = 0

    def sign(self, payload: Payload) -> bytes:
        """Its next transaction."""
        expiry = Millis(int(time.time() * 1_000) + DAY_MS)
        body = Body(self.chain_id, self.address, self.nonce, FEE, expiry, payload)
        self.nonce += 1
        return sign(self.key, body)


class Impatient:
    """Hands a transaction in at one node after the other, each for a moment, until it is decided."""

    def __init__(self, apis: Sequence[str], chance: random.Random) -> None:
        self._apis, self._chance = list(apis), chance
        self._http = httpx.Client(timeout=httpx.Timeout(IMPATIENT_S, connect=0.5))

    def submit(self, transaction: bytes) -> dict[str, Any]:
        """What became of it; Refused as a client would be."""
        until = time.monotonic() + PATIENCE_S
        body = {"transaction": base64.b64encode(transaction).decode()}
        last = "nobody answered"
        while time.monotonic() < until:
            with suppress(httpx.HTTPError, ValueError):
                answer = self._http.post(f"{self._chance.choice(self._apis)}/v1/transactions", json=body)
                told: dict[str, Any] = answer.json()
                if answer.status_code < 400:
                    return told
                last = f"{answer.status_code} {told}"
                if answer.status_code < 500:
                    raise Refused(told["code"], told["field"], told["value"], told["remedy"])
            time.sleep(AGAIN_S)
        raise Refused("undecided", "nodes", last)

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()


class Clients:
    """All of them, as threads."""

    def __init__(self, community: Community, processes: Processes, history: History, seed: int) -> None:
        self._community, self._processes, self._history = community, processes, history
        self._seed = seed
        self._apis = [community.url(slot) for slot in range(community.slots)]
        self._operator = Party(community.chain_id, community.operator)
        self._writers = [self._party() for _ in range(WRITERS)]
        self.seeds = [random.SystemRandom().randbytes(32) for _ in range(community.seats)]  # of the members' keys
        self._members = [Party(community.chain_id, SigningKey(seed)) for seed in self.seeds]
        self.accounts = [party.address for party in self._writers[:ACCOUNTS]]
        self.seated = list(range(community.seats))  # the slot of each member's replica
        self._end = threading.Event()
        self._seats: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.wrong: list[str] = []
        self.writes = self.reads = self.seats_given = 0
        self.last_write_s = time.monotonic()
        self.longest_gap_s = 0.0

    def _party(self) -> Party:
        return Party(self._community.chain_id, SigningKey(random.SystemRandom().randbytes(32)))

    def prepare(self) -> None:
        """Registers everybody and gives every replica to a member, while nothing goes wrong yet."""
        payloads: list[Payload] = []
        for number, party in enumerate([*self._writers, *self._members]):
            name = f"party-{number}"
            meter = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
            payloads.append(Register(party.key.public, name, name, (meter,)))
        payloads += [Propose(GrantRole(writer.address, Role.CASHIER)) for writer in self._writers]
        for member, slot in zip(self._members, self.seated, strict=True):
            payloads.append(Propose(AddValidator(member.address, self._community.key(slot).public)))
        with Client(self._apis, patience_s=60) as client:
            for payload in payloads:
                told = client.submit(self._operator.sign(payload))
                if told.outcome != "done":
                    raise SystemExit(f"{payload}: {told}")

    def start(self) -> None:
        """Lets them begin."""
        self.last_write_s = time.monotonic()
        for number, party in enumerate(self._writers):
            self._run(f"writer-{number}", self._write, party, random.Random(self._seed + number), number % 2 == 0)
        for number in range(READERS):
            self._run(f"reader-{number}", self._read, random.Random(self._seed + 100 + number))
        self._run("office", self._give_seats)

    def _run(self, name: str, what: Callable[..., None], *arguments: object) -> None:
        def guarded() -> None:
            try:
                what(*arguments)
            except Exception as fault:  # noqa: BLE001 - a client that fails is told, whatever it failed of
                self.wrong.append(f"{name}: {type(fault).__name__}: {fault}")

        self._threads.append(threading.Thread(target=guarded, name=name, daemon=True))
        self._threads[-1].start()

    def _write(self, party: Party, chance: random.Random, patient: bool) -> None:
        client: Client | Impatient
        if patient:
            client = Client(chance.sample(self._apis, len(self._apis)), patience_s=PATIENCE_S)
        else:
            client = Impatient(self._apis, chance)
        while not self._end.is_set():
            account, amount = chance.choice(self.accounts), chance.randint(1, 5)
            data = party.sign(Deposit(account, amount, f"{party.address.hex()[:8]}-{party.nonce}"))
            number = self._history.called(account, amount, transaction_hash(data).hex())
            try:
                found = client.submit(data)
            except Refused as refused:
                self.wrong.append(f"a write was refused: {refused} ({transaction_hash(data).hex()})")
                break
            told = found if isinstance(found, dict) else found._asdict()
            if told["outcome"] != "done":
                self.wrong.append(f"a write ended as {told}")
                break
            self._history.answered(number, height=told["height"])
            self.writes += 1
            now = time.monotonic()
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_write_s)
            self.last_write_s = now
        client.close()

    def _read(self, chance: random.Random) -> None:
        with httpx.Client(timeout=httpx.Timeout(IMPATIENT_S, connect=0.5)) as http:
            while not self._end.is_set():
                self.read_once(http, chance.choice(self._apis), chance.choice(self.accounts))

    def read_once(self, http: httpx.Client, api: str, account: bytes) -> bool:
        """Asks one node for an account with everything that was decided before; whether it told."""
        number = self._history.called(account, None)
        try:
            answer = http.get(f"{api}/v1/accounts/{account.hex()}")
            balance = answer.json()["balance"] if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, KeyError):
            balance = None
        if balance is None:
            time.sleep(AGAIN_S)
            return False
        self._history.answered(number, told=balance)
        self.reads += 1
        return True

    # Seats ----------------------------------------------------------------------------------------------------------

    def give_seat(self, member: int) -> None:
        """Asks the office to take a member's seat from its replica and to give it to a new one."""
        self._seats.put(member)

    def _give_seats(self) -> None:
        chance = random.Random(self._seed + 200)
        client = Impatient(self._apis, chance)
        for member in iter(self._seats.get, None):
            if self._end.is_set():
                break
            self._give_seat(client, member, chance.choice((0.0, 1.0, 5.0)))
        client.close()

    def _give_seat(self, client: Impatient, member: int, stays_s: float) -> None:
        """Takes a member's seat from its replica, which stays for a while, and gives it to a new one."""
        community, party, old = self._community, self._members[member], self.seated[member]
        new = next(slot for slot in range(community.slots) if slot not in self.seated)
        self._history.note("seat", member=member, old=old, new=new)
        self._decided(client, self._operator, Propose(RemoveValidator(community.address(old))))
        leaving = threading.Timer(stays_s, self._processes.kill, (old, "lost its seat"))
        leaving.start()
        self._processes.start(new)
        self._decided(client, self._operator, Propose(AddValidator(party.address, community.key(new).public)))
        self.seated[member] = new
        until = time.monotonic() + CATCH_UP_S
        while time.monotonic() < until and not self._caught_up(new):
            time.sleep(0.2)
        self._decided(client, party, ReadyValidator(community.address(new)))
        leaving.join()
        self._processes.replace(old)
        self.seats_given += 1
        self._history.note("seated", member=member, slot=new)

    def _decided(self, client: Impatient, party: Party, payload: Payload) -> None:
        found = client.submit(party.sign(payload))
        if found["outcome"] != "done":
            self.wrong.append(f"{payload} ended as {found}")

    def _caught_up(self, slot: int) -> bool:
        statuses = dict(told(self._community, [slot, *self.seated]))
        highest = max((status["height"] for status in statuses.values()), default=0)
        return slot in statuses and 0 < highest <= statuses[slot]["height"] + BEHIND_BLOCKS

    def end(self, patience_s: float) -> None:
        """Lets them finish what they are at, once everything is healed."""
        self._end.set()
        self._seats.put(None)
        until = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.1))
            if thread.is_alive():
                self.wrong.append(f"{thread.name} got no answer within {patience_s:.0f} s of the healing")


def told(community: Community, slots: Sequence[int], patience_s: float = 0.5) -> Iterator[tuple[int, dict[str, Any]]]:
    """The status of each of these that answers."""
    for slot in slots:
        with suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(f"{community.url(slot)}/v1/status", timeout=patience_s, verify=False)  # by HTTP
            if answer.status_code == 200:
                yield slot, answer.json()
