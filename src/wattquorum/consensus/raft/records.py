"""Records: what a Raft replica must find again after a restart, and how it is put together from them.

Three kinds: the term with the vote in it, entries, and a base. A base holds everything that the records before it
amounted to, with the state in place of the entries that made it; so a driver may forget what comes before one, and the
configuration at its last entry, both halves of it, becomes durable together with the state or not at all. Entries
replace whatever stood at their first index and above.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.entries import Entry
from wattquorum.consensus.raft.log import Log
from wattquorum.foundation.codec import Decoder, Record, Unsigned
from wattquorum.foundation.refusals import Refused


class Ballot(Record, frozen=True, tag=1):
    """The term, and for whom this replica voted in it; empty: nobody yet."""

    term: Unsigned
    vote: bytes


class Appended(Record, frozen=True, tag=2):
    """Entries from `first` on."""

    first: Unsigned
    entries: tuple[Entry, ...]


class Base(Record, frozen=True, tag=3):
    """What a driver's state was after the entry at `index`, and all that the engine knew then."""

    ballot: Ballot
    index: Unsigned
    term: Unsigned  # of the entry at `index`
    configuration: Configuration  # effective there
    state: bytes  # the driver's
    entries: tuple[Entry, ...]  # above `index`


RaftRecord = Ballot | Appended | Base
_records: Final = Decoder[RaftRecord](RaftRecord, "Raft record")
decode_record: Final = _records.decode


class Kept(NamedTuple):
    """What records amount to."""

    ballot: Ballot
    log: Log
    base: Base | None  # the last
    position: int  # of the last record


def kept(records: Iterable[Durable], founding: Configuration) -> Kept:
    """What a replica knows after a restart; `founding` is the chain's first configuration.

    Positions rise by one from 1 or from an origin. Raises Refused("input_unexpected") for a gap between records or
    entries: something durable is missing, and a replica that does not know what it promised must not go on.
    """
    ballot, log, position = Ballot(0, b""), Log(0, 0, founding), 0
    base: Base | None = None
    for durable in records:
        if durable.position != position + 1 and (position or not durable.origin):
            raise Refused("input_unexpected", "position", durable.position, f"Give record {position + 1} next.")
        position = durable.position
        match decode_record(durable.data):
            case Ballot() as found:
                ballot = found
            case Appended(first, entries):
                if not log.first <= first <= log.last + 1:
                    raise Refused("input_unexpected", "entries", first, f"The log ends at {log.last}.")
                log.truncate(first)
                log.append(entries)
            case Base() as found:
                base, ballot, log = found, found.ballot, Log(found.index, found.term, found.configuration)
                log.append(found.entries)
    return Kept(ballot, log, base, position)
