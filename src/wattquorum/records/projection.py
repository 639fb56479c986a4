"""The projection: executed blocks in, tables out.

Every block is one SQL transaction: all of its rows or none, and the height it stands at with them. A block that was
recorded before is passed over, so that a replay may begin anywhere; a gap or another chain is refused. The records are
never the truth: `drop` and a replay of the chain give the same rows again. Each row comes from a fact of the ledger
(`wattquorum.records.entries`), from the block itself, or from what a cashier signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, inspect, select, update

from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, Outcome, Receipt, header_hash
from wattquorum.ledger.facts import DaySealed, Fact
from wattquorum.ledger.genesis import Genesis, chain_id_of, encode_genesis, genesis_hash
from wattquorum.ledger.transactions import Deposit, Received
from wattquorum.records import entries, green_entries, measured_entries, office_entries, schema, tables, voting_entries
from wattquorum.records.batch import Batch, Row
from wattquorum.records.block_entries import BlockEntries, day_or_none
from wattquorum.records.database import connect, write_ahead, written
from wattquorum.records.interval_rows import add_intervals, add_positions
from wattquorum.records.known import Known
from wattquorum.records.views import create_views, drop_views

GENESIS_HEIGHT: Final = 0
# Between them they know the rows of every kind of fact.
ENTRIES: Final = (entries, green_entries, voting_entries, office_entries, measured_entries)


class Projection:
    """The one writer of a database of records. Close it, or use it in a `with` statement."""

    def __init__(self, place: str | Path) -> None:
        """`place` is a database URL or the path of a SQLite file, which is made when it is missing."""
        self._engine = connect(place)
        write_ahead(self._engine)
        self._known = Known()
        self._height: int | None = None
        self._hash = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database; a SQLite file is then complete in itself."""
        if self._engine.dialect.name == "sqlite" and self._height is not None:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        self._engine.dispose()

    @property
    def height(self) -> int:
        """The last recorded block; 0 before the first."""
        if self._height is None:
            raise AssertionError("begin comes first")
        return self._height

    def begin(self, genesis: Genesis, founding_facts: Sequence[Fact]) -> None:
        """Starts new records of a chain, or goes on with those that are there.

        Raises Refused("records_foreign") if they are another chain's, or another version's of WattQuorum.
        """
        data = encode_genesis(genesis)
        chain_id = chain_id_of(data).hex()
        with written(self._engine) as connection:
            if not inspect(connection).has_table(tables.chain.name):
                schema.metadata.create_all(connection)
                create_views(connection)
                self._found(connection, genesis, chain_id, genesis_hash(data).hex(), founding_facts)
            found = connection.execute(select(tables.chain)).one()
        if (found.chain_id, found.records_format) != (chain_id, tables.RECORDS_FORMAT):
            raise Refused("records_foreign", "records", f"chain {found.chain_id}, format {found.records_format}")
        self._height, self._hash = found.height, found.block_hash

    def _found(
        self, connection: Connection, genesis: Genesis, chain_id: str, hash_: str, facts: Sequence[Fact]
    ) -> None:
        batch = Batch(GENESIS_HEIGHT)
        row: Row = (
            chain_id,
            tables.RECORDS_FORMAT,
            hash_,
            genesis.name,
            genesis.currency,
            int(genesis.demo),
            genesis.created_ms,
            GENESIS_HEIGHT,
            hash_,
            genesis.created_ms,
            "",
        )
        batch.add(tables.chain, row)
        self._known.read_from(connection)
        under_way = BlockEntries(batch, self._known, genesis.created_ms)
        for fact in facts:
            under_way.take(-1, fact)
        batch.write(connection)

    def apply(self, block: Block, facts: Sequence[Sequence[Fact]], told: Sequence[Fact]) -> None:
        """Records an executed block with the facts of each of its transactions, and what else it told.

        Raises Refused("records_gap") when it does not follow the last recorded block.
        """
        header, hash_ = block.header, header_hash(block.header).hex()
        if header.height <= self.height:
            self._check_recorded(header.height, hash_)
            return
        if (header.height, header.previous.hex()) != (self.height + 1, self._hash):
            raise Refused("records_gap", "height", header.height, f"The records end with block {self.height}.")
        batch = Batch(header.height)
        try:
            with written(self._engine) as connection:
                self._known.read_from(connection)
                under_way = BlockEntries(batch, self._known, header.time_ms)
                _add_block(batch, block, hash_)
                for place, each in enumerate(facts):
                    for fact in each:
                        under_way.take(place, fact)
                for fact in told:
                    under_way.take(-1, fact)
                add_intervals(batch, self._known, under_way.settlements)
                add_positions(batch, header.height, self._known, under_way.positions)
                batch.write(connection)
                stand = update(tables.chain).values(
                    height=header.height,
                    block_hash=hash_,
                    time_ms=header.time_ms,
                    state_digest=header.state_digest.hex(),
                )
                connection.execute(stand)
        except BaseException:
            self._known = Known()  # it may hold what was not written
            raise
        self._height, self._hash = header.height, hash_
        for each in facts:
            for fact in each:
                if isinstance(fact, DaySealed):
                    self._known.forget_day(fact.day)

    def _check_recorded(self, height: int, hash_: str) -> None:
        query = select(tables.blocks.c.block_hash).where(tables.blocks.c.height == height)
        with self._engine.connect() as connection:
            found = connection.execute(query).scalar_one_or_none()
        if found != hash_:
            raise Refused("records_foreign", "block", f"height {height}, hash {found}")

    def drop(self) -> None:
        """Removes all tables and views; `begin` starts anew."""
        with written(self._engine) as connection:
            drop_views(connection)
            schema.metadata.drop_all(connection)
        self._known = Known()
        self._height = None


def _add_block(batch: Batch, block: Block, hash_: str) -> None:
    header = block.header
    row: Row = (
        header.height,
        hash_,
        header.previous.hex(),
        header.time_ms,
        header.epoch,
        header.proposer.hex(),
        len(block.transactions),
        sum(map(len, block.transactions)),
        header.transactions_root.hex(),
        header.receipts_root.hex(),
        header.state_digest.hex(),
        header.state_root.hex(),
    )
    batch.add(tables.blocks, row)
    for place, (data, receipt) in enumerate(zip(block.transactions, block.receipts, strict=True)):
        _add_transaction(batch, header.height, place, data, receipt)


def _add_transaction(batch: Batch, height: int, place: int, data: bytes, receipt: Receipt) -> None:
    type_, sender, nonce, day = "unreadable", "", -1, None
    try:
        received = Received(data)
    except Refused:  # an inadmissible transaction may be any bytes
        received = None
    if received is not None:
        body = received.body
        type_, sender, nonce = _type_of(body.payload), body.sender.hex(), body.nonce
        day = day_or_none(getattr(body.payload, "day", 0))
        if isinstance(body.payload, Deposit) and receipt.outcome is Outcome.DONE:
            deposit = body.payload
            row: Row = (height, place, sender, deposit.account.hex(), deposit.reference, deposit.amount)
            batch.add(tables.deposits, row)
    outcome = receipt.outcome.name.lower()
    batch.add(
        tables.transactions,
        (
            height,
            place,
            receipt.transaction.hex(),
            type_,
            sender,
            nonce,
            day,
            outcome,
            receipt.code,
            receipt.field,
            receipt.value,
            len(data),
        ),
    )


def _type_of(payload: Any) -> str:
    """The type of a payload in words: CommitReadings is commit_readings."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(payload).__name__).lower()
