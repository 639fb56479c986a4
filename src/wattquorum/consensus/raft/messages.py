"""Messages: what Raft replicas tell each other.

Every message carries its sender's term. Requests of a leader carry a round, a number that rises with each heartbeat;
the answer repeats it, so that the leader knows that its sender still followed it after a certain moment. A frame that
cannot be read is nothing that a correct replica sent, and is dropped.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.configuration import Configuration, check
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.refusals import Refused


class AskVote(Record, frozen=True, tag=1):
    """Asks for a vote, or with `pre` whether there would be one; `transfer` when the leader asked for it."""

    term: Unsigned  # that it stands in, or would
    index: Unsigned
    last_term: Unsigned  # of its log's last entry, at `index`
    pre: bool
    transfer: bool


class GiveVote(Record, frozen=True, tag=2):
    """The answer; `term` is the sender's, and `asked` the term that was asked about."""

    term: Unsigned
    asked: Unsigned
    pre: bool
    granted: bool


class Append(Record, frozen=True, tag=3):
    """Entries after the one at `index`; without entries a heartbeat."""

    term: Unsigned
    round: Unsigned
    index: Unsigned
    previous: Unsigned  # the term of the entry at `index`
    committed: Unsigned
    entries: tuple[Entry, ...]
    slot_ms: Unsigned = 0  # by how much ranks wait, as the leader measured it; 0: it has not
    quorum_ms: Unsigned = 0  # what a quorum's clocks have reached, as far as the leader knows; 0: it does not


class Stored(Record, frozen=True, tag=4):
    """Stored up to `index`; or, if not `fits`, nothing was, since the log has no such entry at `index`.

    Then `hint` and its term are the last place at which both logs may agree.
    """

    term: Unsigned
    round: Unsigned
    fits: bool
    index: Unsigned
    hint: Unsigned
    hint_term: Unsigned
    clock_ms: Unsigned = 0  # what the sender's clock shows


class Chunk(Record, frozen=True, tag=5):
    """A part of a snapshot that covers everything up to `index`."""

    term: Unsigned
    round: Unsigned
    index: Unsigned
    last_term: Unsigned  # of the entry at `index`
    configuration: Configuration
    size: Unsigned  # of the whole
    offset: Unsigned
    data: bytes


class Chunked(Record, frozen=True, tag=6):
    """What is still wanted of the snapshot at `index`: from this offset on."""

    term: Unsigned
    round: Unsigned
    index: Unsigned
    offset: Unsigned


class Campaign(Record, frozen=True, tag=7):
    """The leader asks its receiver to stand for election now."""

    term: Unsigned


class AskRead(Record, frozen=True, tag=8):
    """Asks the leader up to where a read must see."""

    term: Unsigned
    read: Unsigned
    life: Unsigned = 0  # of the sender since its last restart: numbers of reads may begin anew with it


class GiveRead(Record, frozen=True, tag=9):
    """The read may answer once everything up to `index` is applied."""

    term: Unsigned
    read: Unsigned
    index: Unsigned
    life: Unsigned = 0  # in which it was asked


RaftMessage = AskVote | GiveVote | Append | Stored | Chunk | Chunked | Campaign | AskRead | GiveRead
_messages: Final = Decoder[RaftMessage](RaftMessage, "Raft message")

to_frame: Final = encode


def from_frame(frame: bytes) -> RaftMessage:
    """A message from its frame; Refused for anything that no correct replica sends, whatever its log.

    What a log cannot take up must not get that far: Refused("configuration_invalid") for configurations under which
    nobody decides, Refused("out_of_range") for entries of a later term than their leader's, which would make the log
    look newer than any that can be elected.
    """
    message = _messages.decode(frame)
    if isinstance(message, Append):
        before = message.previous
        configuration = Kind.CONFIGURATION
        for entry in message.entries:
            if entry.term != before or before > message.term:
                if not before <= entry.term <= message.term:
                    raise Refused("out_of_range", "entry.term", entry.term, f"From {before} to {message.term}.")
                before = entry.term
            if entry.kind is configuration:
                check(configuration_of(entry))
        _check_term(message.term, message.previous)
    elif isinstance(message, Chunk):
        check(message.configuration)
        _check_term(message.term, message.last_term)
    return message


def _check_term(term: int, last_term: int) -> None:
    if last_term > term:
        raise Refused("out_of_range", "term", last_term, f"Its leader is in term {term}.")
