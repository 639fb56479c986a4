"""A market day of any size as ordered entries of a chain, made ahead, so that executing them can be measured alone.

Half of the members sell and half buy, one meter each, spread over feeders. Every seller offers to as many buyers as it
takes to reach the number of contracts; every second offer is answered by a counter-offer, and all are accepted. Every
fifth seller also offers to everybody and thinks better of it, and cancels a contract with its buyer's consent. After
delivery some members fall short by enough to default. Nothing is random but the energies, and those from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.identities import SigningKey, address_of, tagged_hash
from wattquorum.foundation.intervals import MS_PER_DAY, QUARTER_HOUR, Window
from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Applied, order
from wattquorum.ledger.genesis import Founder, Genesis, chain_id_of, encode_genesis, genesis_hash
from wattquorum.ledger.readings import Quality, Row, encode_rows, root_of_rows
from wattquorum.ledger.transactions import (
    Accept,
    ApproveContracts,
    Body,
    Cancel,
    CloseDay,
    ClosePage,
    CommitReadings,
    Counter,
    Deposit,
    MeterPoint,
    Offer,
    Payload,
    Propose,
    PublishDay,
    Received,
    Register,
    SealDay,
    WithdrawMoney,
    WithdrawOffer,
    identifier,
    sign,
    transaction_hash,
)

START: Final = 1_465_768_800_000  # 2016-06-12T22:00:00Z, midnight in Berlin
INTERVALS: Final = 96
FEED_IN, GRID_PRICE, OVER_GRID_FEE, PRICE, COUNTER_PRICE = 400_000, 750_000, 40_000, 500_000, 480_000
LIMIT_W: Final = 20 * MILLION
DEPOSIT: Final = 1_000_000 * MILLION
ENERGY_MAX: Final = 20_000  # promised in one interval by one contract [Wh]
DEFAULT_EVERY: Final = 20  # one member in so many falls short
UNDECIDED_EVERY: Final = 5  # one seller in so many withdraws an offer and cancels a contract
PER_BLOCK: Final = 2_000
PER_APPROVAL: Final = 1_000  # contracts that one approval names
OPERATOR: Final = "operator"


class Step(NamedTuple):
    """One block's worth of transactions of one kind, as an ordered entry."""

    kind: type
    transactions: int
    entry: bytes


class Town:
    """A chain with one delivery day."""

    def __init__(
        self, members: int, contracts: int, feeders: int, default_every: int = DEFAULT_EVERY, seed: int = 1
    ) -> None:
        """`members` and `contracts` are rounded down to whole pairs and to the same number for every seller."""
        self.sellers = members // 2
        self.per_seller = contracts // self.sellers
        self.feeders = tuple(f"feeder-{i:03}" for i in range(feeders))
        self._default_every = default_every
        self._random = np.random.default_rng(seed)
        self._proposer, self._operator = key_of("proposer"), key_of(OPERATOR)
        roles = ("REGISTRAR", "GRID_OPERATOR", "METER_OPERATOR", "CASHIER", "GOVERNOR")
        founder = Founder(OPERATOR, OPERATOR, self._operator.public.hex(), roles)
        self.genesis = encode_genesis(
            Genesis(1, "town", "CNY", True, START - 2 * MS_PER_DAY, 1, (founder,), (self._proposer.public.hex(),), {})
        )
        self.chain_id = chain_id_of(self.genesis)
        self._genesis = Applied(0, genesis_hash(self.genesis))
        self._keys = [key_of(name_of(i)) for i in range(2 * self.sellers)]
        self._addresses = [address_of(self.chain_id, key.public) for key in self._keys]
        self._nonces = [0] * len(self._keys)
        self._operator_nonces = count()
        self._now = START - 40 * MS_PER_HOUR
        self.window = Window(START, START + INTERVALS * QUARTER_HOUR, QUARTER_HOUR)

    def steps(self) -> Iterator[Step]:
        """All blocks in order."""
        yield from self.opening()
        yield from self.trading()
        yield from self.closing()

    def opening(self) -> Iterator[Step]:
        """Members are registered and funded, and the day is published."""
        members = range(len(self._keys))
        yield from self._blocks([self._by_operator(self._registration(i)) for i in members])
        yield from self._blocks([self._by_operator(Deposit(self._addresses[i], DEPOSIT, f"ref-{i}")) for i in members])
        yield from self._blocks([self._by_operator(Propose(self._day()))])

    def trading(self) -> Iterator[Step]:
        """Offers, counter-offers to every second one, acceptances, and the grid operator's approval."""
        pairs = [
            (seller, self.sellers + (seller + 7 * place) % self.sellers)
            for place in range(self.per_seller)
            for seller in range(self.sellers)
        ]
        self._promised = np.zeros((len(self._keys), INTERVALS), dtype=np.int64)
        energies = self._random.integers(1, ENERGY_MAX, (len(pairs), INTERVALS))
        offers, contracts = [], []
        for (seller, buyer), energy in zip(pairs, energies, strict=True):
            packed, price = pack_energy(energy), pack_prices([PRICE])
            offers.append(self._by(seller, Offer(START, Side.SELL, self._addresses[buyer], packed, price, START)))
            self._promised[seller] += energy
            self._promised[buyer] += energy
        yield from self._blocks(offers)
        counters = []
        for i, (seller, buyer) in enumerate(pairs):
            if i % 2:
                price = pack_prices([COUNTER_PRICE])
                counters.append(
                    self._by(buyer, Counter(START, id_of(offers[i]), pack_energy(energies[i]), price, START))
                )
                contracts.append((seller, id_of(counters[-1])))
            else:
                contracts.append((buyer, id_of(offers[i])))
        yield from self._blocks(counters)
        acceptances = [self._by(accepting, Accept(START, contract)) for accepting, contract in contracts]
        yield from self._blocks(acceptances)
        yield from self._second_thoughts()
        self._now = START - 11 * MS_PER_HOUR
        ids = [contract for _, contract in contracts]
        yield from self._blocks(
            [
                self._by_operator(ApproveContracts(START, tuple(ids[i : i + PER_APPROVAL])))
                for i in range(0, len(ids), PER_APPROVAL)
            ]
        )

    def _second_thoughts(self) -> Iterator[Step]:
        """Offers to everybody that are withdrawn, contracts that both sides cancel, and money that is asked for."""
        some = range(0, self.sellers, UNDECIDED_EVERY)
        energy, price = pack_energy([1] * INTERVALS), pack_prices([PRICE])
        public = [self._by(seller, Offer(START, Side.SELL, b"", energy, price, START)) for seller in some]
        yield from self._blocks(public)
        withdrawals = zip(some, public, strict=True)
        yield from self._blocks([self._by(seller, WithdrawOffer(START, id_of(made))) for seller, made in withdrawals])
        buyers = [self.sellers + seller for seller in some]
        pairs = list(zip(some, buyers, strict=True))
        to = [self._addresses[buyer] for buyer in buyers]
        made = [
            self._by(seller, Offer(START, Side.SELL, partner, energy, price, START))
            for seller, partner in zip(some, to, strict=True)
        ]
        yield from self._blocks(made)
        ids = [id_of(each) for each in made]
        yield from self._blocks([self._by(buyer, Accept(START, each)) for buyer, each in zip(buyers, ids, strict=True)])
        yield from self._blocks(
            [self._by(side, Cancel(START, each)) for pair, each in zip(pairs, ids, strict=True) for side in pair]
        )
        yield from self._blocks([self._by(seller, WithdrawMoney(MILLION)) for seller in some])

    def closing(self) -> Iterator[Step]:
        """Readings of every feeder, its page, the day, and its end."""
        self._now = self.window.end_ms
        metered = self._promised.copy()
        metered[:: self._default_every] = metered[:: self._default_every] * 8 // 10
        by_feeder: dict[str, list[Row]] = {feeder: [] for feeder in self.feeders}
        for i, energy in enumerate(metered):
            salt = tagged_hash("salt", i.to_bytes(4, "big"))[:16]
            quality = bytes((Quality.MEASURED,)) * INTERVALS
            by_feeder[self._feeder(i)].append(Row(meter_of(i), 1, pack_energy(energy), quality, salt))
        attachments, commitments = [], []
        for feeder, rows in by_feeder.items():
            attachments.append(encode_rows(rows))
            commitments.append(self._by_operator(CommitReadings(START, feeder, root_of_rows(rows), len(rows))))
        yield from self._blocks(commitments, attachments)
        yield from self._blocks([self._by_operator(ClosePage(START, feeder)) for feeder in self.feeders])
        yield from self._blocks([self._by_operator(CloseDay(START))])
        self._now = self.window.end_ms + 3 * MS_PER_DAY
        yield from self._blocks([self._by_operator(SealDay(START))])

    def _registration(self, i: int) -> Register:
        side = Side.SELL if i < self.sellers else Side.BUY
        point = MeterPoint(meter_of(i), side, self._feeder(i), LIMIT_W, "pv" if i < self.sellers else "load", 950_000)
        return Register(self._keys[i].public, name_of(i), name_of(i), (point,))

    def _feeder(self, i: int) -> str:
        return self.feeders[i % len(self.feeders)]

    def _day(self) -> PublishDay:
        feed_in, grid_price, fee = (pack_prices([price]) for price in (FEED_IN, GRID_PRICE, OVER_GRID_FEE))
        end = self.window.end_ms
        gate, final = START - 12 * MS_PER_HOUR, end + 2 * MS_PER_DAY
        due, substitute = end + 6 * MS_PER_HOUR, end + MS_PER_DAY
        return PublishDay(self.window, self.feeders, feed_in, grid_price, fee, gate, due, substitute, final)

    def _by(self, member: int, payload: Payload) -> bytes:
        nonce = self._nonces[member]
        self._nonces[member] += 1
        return self._signed(self._keys[member], self._addresses[member], nonce, payload)

    def _by_operator(self, payload: Payload) -> bytes:
        address = address_of(self.chain_id, self._operator.public)
        return self._signed(self._operator, address, next(self._operator_nonces), payload)

    def _signed(self, key: SigningKey, address: bytes, nonce: int, payload: Payload) -> bytes:
        return sign(key, Body(self.chain_id, address, nonce, 100_000, START + 30 * MS_PER_DAY, payload))

    def _blocks(self, transactions: Sequence[bytes], attachments: Sequence[bytes] = ()) -> Iterator[Step]:
        """Blocks of transactions of one kind, and the rows beside them, which all go with the first."""
        kind = type(Received(transactions[0]).body.payload)
        for first in range(0, len(transactions), PER_BLOCK):
            part = tuple(transactions[first : first + PER_BLOCK])
            beside = () if first else tuple(attachments)
            self._now += 1
            yield Step(kind, len(part), order(self._proposer, self.chain_id, self._now, self._genesis, part, beside))


def key_of(name: str) -> SigningKey:
    return SigningKey(tagged_hash("town", name.encode()))


def name_of(i: int) -> str:
    return f"member-{i:06}"


def meter_of(i: int) -> str:
    return f"meter-{i:06}"


def id_of(transaction: bytes) -> bytes:
    return identifier(transaction_hash(transaction))
