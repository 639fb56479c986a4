"""Entries: what a Raft log is made of."""

from __future__ import annotations

from enum import IntEnum

from wattquorum.consensus.configuration import Configuration
from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode


class Kind(IntEnum):
    """What an entry is."""

    PAYLOAD = 0  # somebody's bytes, carried unchanged
    NOTHING = 1  # a leader's first entry of its term, by whose commitment it learns what is committed
    CONFIGURATION = 2  # who votes from this entry on


class Entry(Record, frozen=True):
    """One place of the log. A leader makes it, the others store and pass on the same bytes."""

    term: Unsigned
    kind: Kind
    payload: bytes


_configurations = Decoder[Configuration](Configuration, "configuration entry")


def configuration_entry(term: int, configuration: Configuration) -> Entry:
    """An entry that makes a configuration effective."""
    return Entry(term, Kind.CONFIGURATION, encode(configuration))


def configuration_of(entry: Entry) -> Configuration:
    """What a configuration entry says."""
    return _configurations.decode(entry.payload)
