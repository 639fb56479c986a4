"""Shapes of the state: what the ledger's own records look like in answers, made from the records themselves.

A record becomes an object with the record's field names; bytes become hexadecimal text, packed vectors lists of
numbers, kinds their names in small letters. So the interface shows every record as the ledger has it, its OpenAPI
describes it, and neither can fall behind. What the fields mean stands in docs/formats.md, with their units. Blocks and
lists of records have shapes of their own here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass
from enum import IntEnum
from functools import cache
from types import GenericAlias, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from wattquorum.foundation.codec import Record
from wattquorum.foundation.vectors import energy_list, price_list
from wattquorum.ledger.blocks import Header, Receipt
from wattquorum.ledger.entities import (
    Contract,
    Day,
    Debt,
    MemberSide,
    OpenOffer,
    Payout,
    Position,
    Promise,
    Settled,
)
from wattquorum.ledger.holdings import Bundle, CarbonAccount, Holding, Sale
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import Seats, Validator, Vector
from wattquorum.ledger.transactions import Energies, Prices

_PACKED: Final[dict[Any, Callable[[bytes], list[Any]]]] = {Energies: energy_list, Prices: price_list}
_shapes: Final[dict[type, type]] = {}


def shape_of(kind: type) -> type:
    """The dataclass that describes how a kind of record is shown."""
    made = _shapes.get(kind)
    if made is None:
        described = [(name, _type_of(hint)) for name, hint in _hints(kind).items()]
        within = {"__module__": __name__}
        made = make_dataclass(f"{kind.__name__}Record", described, namespace=within, frozen=True, slots=True)
        made.__doc__ = (kind.__doc__ or "").strip()
        _shapes[kind] = made
    return made


def shown(record: Any) -> Any:
    """A record, or what stands in one of its fields, as it is shown."""
    return _value(record, type(record))


def _type_of(hint: Any) -> Any:
    if hint in _PACKED:
        return list[int]
    origin = get_origin(hint)
    if origin is Annotated:
        return _type_of(get_args(hint)[0])
    if origin is tuple:
        return list[_type_of(get_args(hint)[0])]  # type: ignore[misc]  # it is made here
    if origin in (Union, UnionType):
        given = [each for each in get_args(hint) if each is not type(None)]
        one = _type_of(given[0]) if len(given) == 1 else dict[str, Any]  # an action of governors is one of many
        return one | None if len(given) < len(get_args(hint)) else one
    if hint is bytes:
        return str
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return Literal[tuple(each.name.lower() for each in hint)]
    if _is_record(hint):
        return shape_of(hint)
    return hint


def _value(value: Any, hint: Any) -> Any:
    if hint in _PACKED:
        return [int(each) for each in _PACKED[hint](value)]
    if get_origin(hint) is Annotated:
        return _value(value, get_args(hint)[0])
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, tuple) and not _is_record(type(value)):
        inner = get_args(hint)[0] if get_origin(hint) is tuple else None
        return [_value(each, inner or type(each)) for each in value]
    if _is_record(type(value)):
        kind: Any = type(value)
        shape, hints = shape_of(kind), _hints(kind)
        return shape(**{each.name: _value(getattr(value, each.name), hints[each.name]) for each in fields(shape)})
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, Record) or hasattr(kind, "_fields"))


HeaderRecord: Any = shape_of(Header)
ReceiptRecord: Any = shape_of(Receipt)


@dataclass(frozen=True, slots=True)
class HeaderShape:
    """A block's header, and the hash by which the next block names it."""

    hash: str
    header: HeaderRecord


@dataclass(frozen=True, slots=True)
class BlockShape:
    """A block: its header, its transactions in base64, their receipts, and all of it encoded, in base64."""

    hash: str
    header: HeaderRecord
    transactions: list[str]
    receipts: list[ReceiptRecord]
    block: str


def _keyed(kind: type, **more: Any) -> Any:
    """A record under its id, as it is listed."""
    return make_dataclass(f"Keyed{kind.__name__}", [("id", str), ("record", shape_of(kind)), *more.items()])


def _list(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


def _told(name: str, says: str, **parts: Any) -> Any:
    made = make_dataclass(name, [*parts.items(), ("height", int)], namespace={"__module__": __name__})
    made.__doc__ = says
    return made


@dataclass(frozen=True, slots=True)
class EntryShape:
    """A record of the state under its key, as the ledger has it; `record` has the fields of docs/formats.md."""

    table: str
    key: str
    record: dict[str, Any]
    height: int


@dataclass(frozen=True, slots=True)
class ListedShape:
    """A record in a list."""

    key: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EntriesShape:
    """A page of a table's records by ascending key; `next` is empty on the last page."""

    table: str
    entries: list[ListedShape]
    next: str
    height: int


# A replica that a member runs, and its power by the newest version.
ReplicaShape = make_dataclass("ReplicaShape", [("replica", str), ("power", int), ("record", shape_of(Validator))])
KeyedSide = make_dataclass("KeyedSide", [("side", str), ("record", shape_of(MemberSide))])
KeyedPosition = make_dataclass("KeyedPosition", [("side", str), ("record", shape_of(Position))])
KeyedPromise = make_dataclass("KeyedPromise", [("side", str), ("record", shape_of(Promise))])
KeyedContract = _keyed(Contract, settled=shape_of(Settled) | None)
KeyedOffer, KeyedBundle, KeyedSale = _keyed(OpenOffer), _keyed(Bundle), _keyed(Sale)
KeyedDebt, KeyedPayout = _keyed(Debt), _keyed(Payout)
KeyedDay = make_dataclass("KeyedDay", [("day", int), ("record", shape_of(Day))])

StandingShape = _told(
    "StandingShape",
    "What an account earned on its sides, the replicas that it runs, and its allowances, if it has any.",
    address=str,
    sides=_list(KeyedSide),
    replicas=_list(ReplicaShape),
    carbon=shape_of(CarbonAccount) | None,
)
CertificatesShape = _told(
    "CertificatesShape",
    "A page of an account's certificates, what it holds of whole ones, and what it sells; `next` is empty on the last.",
    address=str,
    holding=shape_of(Holding) | None,
    bundles=_list(KeyedBundle),
    sales=_list(KeyedSale),
    next=str,
)
TradesShape = _told(
    "TradesShape",
    "An account's offers and contracts of a delivery day, what it promised, and its positions with the grid.",
    address=str,
    day=int,
    offers=_list(KeyedOffer),
    contracts=_list(KeyedContract),
    promises=_list(KeyedPromise),
    positions=_list(KeyedPosition),
)
DebtsShape = _told(
    "DebtsShape",
    "What an account owes, and what is set aside to be paid out to it.",
    address=str,
    debts=_list(KeyedDebt),
    payouts=_list(KeyedPayout),
)
DaysShape = _told("DaysShape", "The delivery days that are not sealed yet, ascending.", days=_list(KeyedDay))
ParametersShape = _told("ParametersShape", "The parameters in force.", version=int, record=shape_of(Parameters))
ValidatorsShape = _told(
    "ValidatorsShape",
    "Every replica that was admitted, and the newest version of who votes.",
    seats=shape_of(Seats),
    vector=shape_of(Vector),
    validators=_list(ReplicaShape),
)
