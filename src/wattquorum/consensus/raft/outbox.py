"""Outbox: what an engine has to say and to keep since it was drained last, and in which order that must happen.

A promise (a vote, an acknowledgement) waits for the records that make it true after a crash; a leader's requests wait
for nothing, so that its disk and its followers work at the same time. What must be kept is collected and turned into
records once, when the engine is drained: however many frames came in between, they cost one write.
"""

from __future__ import annotations

from wattquorum.consensus.engine import Durable, Message
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.messages import RaftMessage, to_frame
from wattquorum.consensus.raft.records import Appended, Ballot, Base
from wattquorum.foundation.codec import encode


class Outbox:
    """Messages and what is not recorded yet. `position` is that of the last record handed out."""

    __slots__ = ("_appended_from", "_ballot", "_base", "_messages", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self._messages: list[tuple[bytes, RaftMessage | bytes, bool]] = []
        self._ballot: Ballot | None = None
        self._appended_from: int | None = None
        self._base: Base | None = None

    def request(self, to: bytes, message: RaftMessage | bytes) -> None:
        """To be sent at once; as bytes where it is encoded already."""
        self._messages.append((to, message, False))

    def promise(self, to: bytes, message: RaftMessage) -> None:
        """To be sent when everything that is to be kept so far is durable."""
        self._messages.append((to, message, True))

    def keep_ballot(self, ballot: Ballot) -> None:
        """The term or the vote changed."""
        self._ballot = ballot

    def keep_entries(self, first: int) -> None:
        """The log changed from this index on."""
        self._appended_from = first if self._appended_from is None else min(first, self._appended_from)

    def keep_base(self, base: Base) -> None:
        """A snapshot was taken or came from the leader; it holds everything that was to be kept."""
        self._base, self._ballot, self._appended_from = base, None, None

    def drain(self, log: Log) -> tuple[tuple[Durable, ...], tuple[Message, ...]]:
        """The records, then the messages with the position that each waits for."""
        records: list[Durable] = []
        if self._base is not None:
            records.append(Durable(self.position + 1, encode(self._base), origin=True))
        if self._ballot is not None:
            records.append(Durable(self.position + len(records) + 1, encode(self._ballot)))
        if self._appended_from is not None:
            first = max(self._appended_from, log.first)
            data = encode(Appended(first, log.entries(first)))
            records.append(Durable(self.position + len(records) + 1, data))
        self.position += len(records)
        messages = tuple(
            Message(to, message if type(message) is bytes else to_frame(message), self.position if waits else 0)
            for to, message, waits in self._messages
        )
        self._messages, self._ballot, self._appended_from, self._base = [], None, None, None
        return tuple(records), messages
