"""Shapes of the state: what the ledger's own records look like in answers, made from the records themselves.

A record becomes an object with the record's field names; bytes become hexadecimal text, packed vectors lists of
numbers, kinds their names in small letters. So the interface shows every record as the ledger has it, its OpenAPI
describes it, and neither can fall behind. What the fields mean stands in docs/formats.md, with their units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from enum import IntEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from wattquorum.foundation.codec import Record
from wattquorum.foundation.vectors import energy_list, price_list
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
