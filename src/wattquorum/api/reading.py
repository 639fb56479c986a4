"""Reading: what the ledger's state holds, as everybody may see it.

Every answer is linearizable, with everything that was decided before the question, unless `stale=true` asks for what
this node has at hand; `height` says after which block it holds. People's questions have paths of their own; any other
record of the state is found by its table and key, which docs/formats.md names. Long lists come in pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.datastructures import State as AppState
from litestar.params import PathParameter, QueryParameter

from wattquorum.api.refusing import answers, digits
from wattquorum.api.shapes import AccountShape
from wattquorum.api.state_shapes import (
    CertificatesShape,
    DaysShape,
    DebtsShape,
    EntriesShape,
    EntryShape,
    KeyedBundle,
    KeyedContract,
    KeyedDay,
    KeyedDebt,
    KeyedOffer,
    KeyedPayout,
    KeyedPosition,
    KeyedPromise,
    KeyedSale,
    KeyedSide,
    ListedShape,
    ParametersShape,
    ReplicaShape,
    StandingShape,
    TradesShape,
    ValidatorsShape,
    shown,
)
from wattquorum.api.terms import EXACT_MAX, NO_KEY, PAGE_MAX
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.entities import (
    version_in_force,
)
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.genesis import version_key
from wattquorum.ledger.state import State, Table, day_key, side_key
from wattquorum.ledger.validators import seats_of, vector_of
from wattquorum.node.node import Node

READ_S: Final = 10.0
SORTED_MAX: Final = 50_000  # records of a table that is listed whole

_DIGITS: Final = {"pattern": "^[0-9a-fA-F]*$"}
_ADDRESS: Final = {"pattern": f"^[0-9a-fA-F]{{{2 * ADDRESS_BYTES}}}$"}
Address = Annotated[str, PathParameter(description="An account, in hexadecimal.", schema_extra=_ADDRESS)]
Stale = Annotated[bool, QueryParameter(description="Whether what this node has at hand will do.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many at most.")]
After = Annotated[
    str,
    QueryParameter(description="Go on behind this key, in hexadecimal: `next` of a page.", schema_extra=_DIGITS),
]
_REFUSED: Final = (400, 422, 503)


async def ledger_of(node: Node, *, stale: bool) -> Ledger:
    """The ledger to read from; Refused("undecided") where no quorum answers in time."""
    if stale:
        return node.ledger
    try:
        async with asyncio.timeout(READ_S):
            return await node.read()
    except TimeoutError:
        remedy = "Ask another node, or with stale=true for what this one has at hand."
        raise Refused("undecided", "read", f"after {READ_S:.0f} s", remedy) from None


async def listed_of(state: AppState, *, stale: bool) -> Ledger:
    """The same, in a turn of the loop of its own: what is listed may be long."""
    node: Node = state.node
    await ledger_of(node, stale=stale)
    await state.turns.mine()
    return node.ledger


def _account(ledger: Ledger, address: str) -> bytes:
    key = digits(address, "address", ADDRESS_BYTES)
    if ledger.account(key) is None:
        raise Refused("account_unknown", "address", address)
    return key


@get("/v1/accounts/{address:str}", summary="An account", responses=answers(None, 404, *_REFUSED), tags=["state"])
async def account(state: AppState, address: Address, stale: Stale = False) -> AccountShape:
    """Its balance, locked collateral and next nonce."""
    ledger = await ledger_of(state.node, stale=stale)
    found = ledger.account(_account(ledger, address))
    assert found is not None
    return AccountShape(
        address.lower(),
        found.name,
        found.owner,
        found.status.name.lower(),
        [role.name.lower() for role in Role if found.has(role) and role.name],
        found.balance,
        found.locked,
        found.nonce,
        ledger.height,
    )


@get(
    "/v1/accounts/{address:str}/standing",
    summary="A member's standing",
    responses=answers(StandingShape, 404, *_REFUSED),
    tags=["state"],
)
async def standing(state: AppState, address: Address, stale: Stale = False) -> Response[Any]:
    """Credit, trust and trade of its sides; the replicas that it runs and their power; its allowances."""
    ledger = await listed_of(state, stale=stale)
    key = _account(ledger, address)
    sides = []
    for side in Side:
        record = ledger.state.get(Table.SIDE, side_key(key, side))
        if record is not None:
            sides.append(KeyedSide(side.name.lower(), shown(record)))
    carbon = ledger.state.get(Table.CARBON, key)
    own = [each for each in _replicas(ledger) if each.record.member == key.hex()]
    return Response(StandingShape(key.hex(), sides, own, carbon and shown(carbon), ledger.height))


def _replicas(ledger: Ledger) -> Iterator[Any]:
    vector = vector_of(ledger.state, seats_of(ledger.state).newest)
    powers = {voter.replica: voter.power for voter in vector.voters} if vector is not None else {}
    for replica, record in ledger.state.items(Table.VALIDATOR):
        yield ReplicaShape(replica.hex(), powers.get(replica, 0), shown(record))


@get(
    "/v1/accounts/{address:str}/certificates",
    summary="An account's certificates",
    responses=answers(CertificatesShape, 404, *_REFUSED),
    tags=["state"],
)
async def certificates(
    state: AppState, address: Address, stale: Stale = False, limit: Limit = 100, after: After = ""
) -> Response[Any]:
    """Bundles by ascending id, in pages, and with each page what it holds and sells."""
    ledger = await listed_of(state, stale=stale)
    key, books = _account(ledger, address), ledger.state
    keys = books.listed(Table.BUNDLE, key)
    page, left = _page(keys, limit, key.hex() + _behind(after))
    bundles = [KeyedBundle(each[ADDRESS_BYTES:].hex(), shown(books.get(Table.BUNDLE, each))) for each in page]
    sales = [KeyedSale(each.hex(), shown(books.get(Table.SALE, each))) for each in books.listed(Table.SALE, key)]
    holding = books.get(Table.HOLDING, key)
    told = CertificatesShape(
        key.hex(), holding and shown(holding), bundles, sales[:PAGE_MAX], bundles[-1].id if left else "", ledger.height
    )
    return Response(told)


@get(
    "/v1/accounts/{address:str}/trades",
    summary="An account's trades of a delivery day",
    responses=answers(TradesShape, 404, *_REFUSED),
    tags=["state"],
)
async def trades(
    state: AppState,
    address: Address,
    day: Annotated[int, QueryParameter(ge=0, le=EXACT_MAX, description="The start of the day [ms].")],
    stale: Stale = False,
) -> Response[Any]:
    """Offers, contracts with what became of them, promises and positions."""
    ledger = await listed_of(state, stale=stale)
    key, books = _account(ledger, address), ledger.state
    at = _day(ledger, day)
    offers = [
        KeyedOffer(each[len(at) :].hex(), shown(books.get(Table.OFFER, each)))
        for each in books.listed(Table.OFFER, at + key)
    ]
    contracts, promises, positions = [], [], []
    for side in Side:
        own = side_key(key, side)
        for each in books.listed(Table.CONTRACT, at + own):
            settled = books.get(Table.SETTLED, each)
            record = shown(books.get(Table.CONTRACT, each))
            contracts.append(KeyedContract(each[len(at) :].hex(), record, settled and shown(settled)))
        promise, position = books.get(Table.PROMISE, at + own), books.get(Table.POSITION, at + own)
        if promise is not None:
            promises.append(KeyedPromise(side.name.lower(), shown(promise)))
        if position is not None:
            positions.append(KeyedPosition(side.name.lower(), shown(position)))
    return Response(TradesShape(key.hex(), day, offers, contracts, promises, positions, ledger.height))


def _day(ledger: Ledger, day: int) -> bytes:
    at = day_key(day)
    if ledger.state.get(Table.DAY, at) is None:
        raise Refused("day_unknown", "day", day, "Name the start of a published day that is not sealed yet [ms].")
    return at


@get(
    "/v1/accounts/{address:str}/debts",
    summary="What an account owes and is owed by the cashier",
    responses=answers(DebtsShape, 404, *_REFUSED),
    tags=["state"],
)
async def debts(state: AppState, address: Address, stale: Stale = False) -> Response[Any]:
    """Open debts, and payouts under way."""
    ledger = await listed_of(state, stale=stale)
    key, books = _account(ledger, address), ledger.state
    owed = [KeyedDebt(each.hex(), shown(books.get(Table.DEBT, each))) for each in books.listed(Table.DEBT, key)]
    aside = [KeyedPayout(each.hex(), shown(books.get(Table.PAYOUT, each))) for each in books.listed(Table.PAYOUT, key)]
    return Response(DebtsShape(key.hex(), owed[:PAGE_MAX], aside[:PAGE_MAX], ledger.height))


@get("/v1/days", summary="Delivery days", responses=answers(DaysShape, *_REFUSED), tags=["state"])
async def days(state: AppState, stale: Stale = False) -> Response[Any]:
    """Those that are published and not sealed yet, with their tariffs and deadlines."""
    ledger = await listed_of(state, stale=stale)
    found = [KeyedDay(int.from_bytes(key, "big"), shown(record)) for key, record in ledger.state.items(Table.DAY)]
    return Response(DaysShape(found, ledger.height))


@get("/v1/parameters", summary="The parameters in force", responses=answers(ParametersShape, *_REFUSED), tags=["state"])
async def parameters(state: AppState, stale: Stale = False) -> Response[Any]:
    """What each means, and its unit, stands in docs/limits.md."""
    ledger = await ledger_of(state.node, stale=stale)
    chain = ledger.state.get(Table.CHAIN, b"")
    version = version_in_force(chain, ledger.height)
    record = ledger.state.get(Table.PARAMETERS, version_key(version))
    return Response(ParametersShape(version, shown(record), ledger.height))


@get("/v1/validators", summary="Who votes", responses=answers(ValidatorsShape, *_REFUSED), tags=["state"])
async def validators(state: AppState, stale: Stale = False) -> Response[Any]:
    """Every replica with the member whose standing carries its vote, and the newest powers."""
    ledger = await listed_of(state, stale=stale)
    seats = seats_of(ledger.state)
    vector = vector_of(ledger.state, seats.newest)
    return Response(ValidatorsShape(shown(seats), shown(vector), list(_replicas(ledger)), ledger.height))


TABLES: Final = {table.name.lower(): table for table in Table}
TableName = Annotated[str, PathParameter(description="A table of the state.", schema_extra={"enum": list(TABLES)})]
RecordKey = Annotated[
    str,
    PathParameter(
        description=f"The record's key in hexadecimal; {NO_KEY} for the empty one.",
        schema_extra={"pattern": "^(-|([0-9a-fA-F]{2})+)$", "maxLength": 256},
    ),
]


def _table(name: str) -> Table:
    found = TABLES.get(name)
    if found is None:
        raise Refused("record_unknown", "table", name, f"Tables are {', '.join(TABLES)}.")
    return found


@get(
    "/v1/state/{table:str}",
    summary="The records of a table",
    responses=answers(EntriesShape, 404, *_REFUSED),
    tags=["state"],
)
async def entries(
    state: AppState,
    table: TableName,
    stale: Stale = False,
    limit: Limit = 100,
    after: After = "",
    at: Annotated[
        str,
        QueryParameter(
            description="Only what is listed here, in hexadecimal: a day, a member, an owner, a debtor.",
            schema_extra=_DIGITS,
        ),
    ] = "",
) -> Response[Any]:
    """By ascending key, in pages; tables with very many records only by a place."""
    ledger = await listed_of(state, stale=stale)
    kind, books = _table(table), ledger.state
    page, left = _page(_keys(books, kind, at), limit, _behind(after))
    listed = [ListedShape(each.hex() or NO_KEY, shown(books.get(kind, each))) for each in page]
    return Response(EntriesShape(table, listed, listed[-1].key if left else "", ledger.height))


def _keys(books: State, table: Table, at: str) -> list[bytes]:
    if at:
        place = digits(at if len(at) % 2 == 0 else at + "0", "at")
        return books.listed(table, place) if books.lists(table) and len(at) % 2 == 0 else []
    if books.count(table) > SORTED_MAX:
        remedy = f"This table has more than {SORTED_MAX:,} records: list those at a place, such as a day or an owner."
        raise Refused("out_of_range", "table", f"{table.name.lower()}: {books.count(table)}", remedy)
    return [key for key, _ in books.items(table)]


def _behind(after: str) -> str:
    """What a page goes on behind, also where it is only how keys begin."""
    if not set(after) <= set("0123456789abcdefABCDEF"):
        raise Refused("encoding_unreadable", "after", after, "Give hexadecimal digits.")
    return after.lower()


def _page(keys: list[bytes], limit: int, behind: str) -> tuple[list[bytes], bool]:
    """The first of the keys behind one, and whether any are left."""
    page = [key for key in keys if not behind or key.hex() > behind]
    return page[:limit], len(page) > limit


@get(
    "/v1/state/{table:str}/{key:str}",
    summary="A record of the state",
    responses=answers(EntryShape, 404, *_REFUSED),
    tags=["state"],
)
async def entry(state: AppState, table: TableName, key: RecordKey, stale: Stale = False) -> Response[Any]:
    """Any record, by its table and key."""
    kind, at = _table(table), b"" if key == NO_KEY else digits(key, "key")
    ledger = await ledger_of(state.node, stale=stale)
    record = ledger.state.get(kind, at)
    if record is None:
        raise Refused("record_unknown", "key", f"{table}/{key}")
    return Response(EntryShape(table, at.hex() or NO_KEY, shown(record), ledger.height))


HANDLERS: Final = [
    account,
    standing,
    certificates,
    trades,
    debts,
    days,
    parameters,
    validators,
    entries,
    entry,
]
