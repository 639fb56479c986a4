"""A small world for ledger tests: a genesis, operators, members, and a market day that tests step through.

Nothing here is a stand-in: keys sign, entries are ordered by the chain's proposer, and the ledger executes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.blocks import Outcome, Receipt, order
from wattquorum.ledger.entities import Chain, MemberSide
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import Fact
from wattquorum.ledger.genesis import Founder, Genesis, encode_genesis
from wattquorum.ledger.readings import Quality, Row, encode_rows, root_of_rows
from wattquorum.ledger.state import Table, side_key
from wattquorum.ledger.transactions import (
    Accept,
    ApproveContracts,
    Body,
    CloseDay,
    ClosePage,
    CommitReadings,
    Deposit,
    MeterPoint,
    Offer,
    Payload,
    Propose,
    PublishDay,
    Register,
    identifier,
    sign,
    transaction_hash,
)

START = 1_465_768_800_000  # 2016-06-12T22:00:00Z, midnight in Berlin
QUARTER = 900_000
HOUR = 3_600_000
FEED_IN, GRID_PRICE, OVER_GRID_FEE = 400_000, 750_000, 40_000


def key_of(name: str) -> SigningKey:
    """A test's key: derived from its name, so that tests read and repeat."""
    return SigningKey(sha256(name.encode()).digest())


class World:
    """A ledger with operators, and members by name."""

    def __init__(
        self,
        *,
        parameters: dict[str, int] | None = None,
        intervals: int = 4,
        governors: Sequence[str] = ("operator",),
        approvals_needed: int = 1,
        proposers: Sequence[SigningKey] = (),
    ) -> None:
        self.intervals = intervals
        self.proposer = key_of("proposer")
        self.operator = key_of("operator")
        roles = ("REGISTRAR", "GRID_OPERATOR", "METER_OPERATOR", "ISSUER", "REGISTRY", "CASHIER", "AUDITOR")
        founders = {"operator": roles, **{name: () for name in governors if name != "operator"}}
        genesis = Genesis(
            1,
            "test",
            "CNY",
            True,
            START - 48 * HOUR,
            approvals_needed,
            tuple(
                Founder(name, name, key_of(name).public.hex(), (*own, *(("GOVERNOR",) if name in governors else ())))
                for name, own in founders.items()
            ),
            tuple(key.public.hex() for key in proposers or [self.proposer]),
            parameters or {},
        )
        self.genesis_bytes = encode_genesis(genesis)
        self.ledger = Ledger(self.genesis_bytes)
        self.now = START - 40 * HOUR
        self.keys: dict[str, SigningKey] = {"operator": self.operator}
        self.entries: list[bytes] = []
        self.executed: list[Executed] = []
        self.references = 0

    # Signing and ordering

    def address(self, name: str) -> bytes:
        return address_of(self.ledger.chain_id, key_of(name).public)

    def account(self, name: str) -> Account:
        found = self.ledger.account(self.address(name))
        assert found is not None
        return found

    def parameters_version(self) -> int:
        chain: Chain = self.ledger.state.get(Table.CHAIN, b"")
        return len(chain.parameter_starts) - 1

    def balance_of(self, address: bytes) -> int:
        found = self.ledger.account(address)
        assert found is not None
        return found.balance

    def side(self, name: str, side: Side) -> MemberSide:
        found: MemberSide = self.ledger.state.get(Table.SIDE, side_key(self.address(name), side))
        return found

    def signed(self, name: str, payload: Payload, *, nonce: int | None = None, ahead: int = 0, **body: int) -> bytes:
        account = self.ledger.account(self.address(name))
        number = nonce if nonce is not None else (account.nonce if account else 0) + ahead
        fields = {"expiry_height": self.ledger.height + 100, "expiry_ms": self.now + 24 * HOUR, **body}
        return sign(
            self.keys.get(name) or key_of(name),
            Body(
                self.ledger.chain_id, self.address(name), number, fields["expiry_height"], fields["expiry_ms"], payload
            ),
        )

    def block(self, transactions: Sequence[bytes], rows: Sequence[bytes] = (), *, at: int | None = None) -> Executed:
        self.now = max(self.now + 1, at if at is not None else 0)
        entry = order(
            self.proposer, self.ledger.chain_id, self.now, self.ledger.applied, tuple(transactions), tuple(rows)
        )
        executed = self.ledger.execute(entry, verify_each)
        self.entries.append(entry)
        self.executed.append(executed)
        return executed

    def do(self, name: str, payload: Payload, *, rows: Sequence[bytes] = (), at: int | None = None) -> Receipt:
        """One block with one transaction; its receipt."""
        if at is not None:
            self.now = max(self.now, at - 1)
        return self.block([self.signed(name, payload)], rows, at=at).block.receipts[0]

    def done(self, name: str, payload: Payload, *, rows: Sequence[bytes] = (), at: int | None = None) -> bytes:
        """As `do`, but it must succeed; the id of what it created."""
        receipt = self.do(name, payload, rows=rows, at=at)
        assert receipt.outcome is Outcome.DONE, (receipt.code, receipt.field, receipt.value)
        return identifier(receipt.transaction)

    def facts(self, kind: type[Fact]) -> list[Fact]:
        return [fact for executed in self.executed for facts in executed.facts for fact in facts if type(fact) is kind]

    # The market

    def member(
        self,
        name: str,
        *sides: Side,
        limit_w: int = 10 * MILLION,
        money: int = 10_000 * MILLION,
        feeder: str = "f1",
        owner: str | None = None,
    ) -> bytes:
        meters = tuple(
            MeterPoint(
                f"{name}-{side.name.lower()}", side, feeder, limit_w, "wind" if side is Side.SELL else "load", 950_000
            )
            for side in sides
        )
        self.done("operator", Register(key_of(name).public, name, owner or name, meters))
        if money:
            self.deposit(name, money)
        return self.address(name)

    def deposit(self, name: str, amount: int) -> None:
        self.references += 1
        self.done("operator", Deposit(self.address(name), amount, f"ref-{self.references}"))

    def publish(self, start: int = START, *, feeders: tuple[str, ...] = ("f1",), **fields: int) -> int:
        window = Window(start, start + self.intervals * QUARTER, QUARTER)
        deadlines = {
            "gate_ms": start - 12 * HOUR,
            "readings_due_ms": window.end_ms + 6 * HOUR,
            "substitute_ms": window.end_ms + 24 * HOUR,
            "final_ms": window.end_ms + 48 * HOUR,
            **fields,
        }
        prices = [pack_prices([value]) for value in (FEED_IN, GRID_PRICE, OVER_GRID_FEE)]
        self.done("operator", Propose(PublishDay(window, feeders, prices[0], prices[1], prices[2], **deadlines)))
        return start

    def offer(
        self,
        name: str,
        side: Side,
        energy: Sequence[int],
        price: int = 500_000,
        *,
        day: int = START,
        partner: str | None = None,
    ) -> bytes:
        return self.done(name, self.offer_payload(side, energy, price, day=day, partner=partner))

    def offer_payload(
        self, side: Side, energy: Sequence[int], price: int = 500_000, *, day: int = START, partner: str | None = None
    ) -> Offer:
        to = self.address(partner) if partner else b""
        return Offer(day, side, to, pack_energy(energy), pack_prices([price]), day)

    def contract(
        self, seller: str, buyer: str, energy: Sequence[int], price: int = 500_000, *, day: int = START
    ) -> bytes:
        """An offer by the seller that the buyer accepts."""
        offer = self.offer(seller, Side.SELL, energy, price, day=day, partner=buyer)
        self.done(buyer, Accept(day, offer))
        return offer

    def approve(self, *contracts: bytes, day: int = START) -> None:
        self.done("operator", ApproveContracts(day, contracts), at=day - 11 * HOUR)

    def rows(
        self,
        readings: dict[str, Sequence[int]],
        *,
        version: int = 1,
        quality: dict[str, Sequence[Quality]] | None = None,
    ) -> list[Row]:
        return [
            Row(
                meter,
                version,
                pack_energy(energy),
                bytes((quality or {}).get(meter, [Quality.MEASURED] * len(energy))),
                sha256(f"{meter}{version}".encode()).digest()[:16],
            )
            for meter, energy in sorted(readings.items())
        ]

    def read(
        self,
        readings: dict[str, Sequence[int]],
        *,
        day: int = START,
        feeder: str = "f1",
        version: int = 1,
        quality: dict[str, Sequence[Quality]] | None = None,
    ) -> Receipt:
        """Commits to readings right after the day's end."""
        rows = self.rows(readings, version=version, quality=quality)
        payload = CommitReadings(day, feeder, root_of_rows(rows), len(rows))
        return self.do("operator", payload, rows=[encode_rows(rows)], at=day + self.intervals * QUARTER)

    def close(self, *, day: int = START, feeders: Sequence[str] = ("f1",)) -> None:
        for feeder in feeders:
            self.done("operator", ClosePage(day, feeder), at=day + self.intervals * QUARTER)
        self.done("operator", CloseDay(day))

    def money_in_all(self) -> int:
        return sum(account.balance + account.locked for _, account in self.ledger.state.items(Table.ACCOUNT))


__all__ = ["FEED_IN", "GRID_PRICE", "HOUR", "OVER_GRID_FEE", "QUARTER", "START", "World", "key_of", "transaction_hash"]
