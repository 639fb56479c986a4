"""Outbox: what an engine has to say and to keep since it was drained last, in the order in which it must happen.

Durable before said: every message that says something waits for all records that came before it. In the Byzantine
model a replica that forgets what it said is a lying one. What only asks waits for nothing: a replica whose disk is slow
would otherwise fetch blocks more slowly than others make them. A frame is encoded once for everybody it goes to.
"""

from __future__ import annotations

from collections.abc import Iterable

from wattquorum.consensus.bft.messages import AskBlock, AskBlocks, AskRead, BftMessage, Poll, to_frame
from wattquorum.consensus.bft.records import Base, BftRecord
from wattquorum.consensus.engine import Durable, Message
from wattquorum.foundation.codec import encode


class Outbox:
    """Messages and records. `position` is that of the last record, handed out or not."""

    __slots__ = ("_messages", "_records", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self._messages: list[Message] = []
        self._records: list[Durable] = []

    def keep(self, record: BftRecord) -> None:
        """To be made durable before anything that is said from now on."""
        self.position += 1
        self._records.append(Durable(self.position, encode(record), isinstance(record, Base)))

    def say(self, to: Iterable[bytes], message: BftMessage) -> None:
        """To be sent to each of these when everything that is to be kept so far is durable."""
        frame = to_frame(message)
        self._messages += [Message(each, frame, self.position) for each in to]

    def ask(self, to: Iterable[bytes], message: AskBlock | AskBlocks | AskRead | Poll) -> None:
        """To be sent to each of these at once: it is not signed, and binds nobody."""
        frame = to_frame(message)
        self._messages += [Message(each, frame, after=0) for each in to]

    def drain(self) -> tuple[tuple[Durable, ...], tuple[Message, ...]]:
        """The records, then the messages with the position that each waits for."""
        records, messages = tuple(self._records), tuple(self._messages)
        self._records, self._messages = [], []
        return records, messages
