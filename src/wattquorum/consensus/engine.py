"""The engine's contract: what every consensus engine is told and what it hands out.

An engine decides and does nothing: it has no clock, socket, disk, thread or random source of its own. Whoever drives
it, a node on real disks or a simulated world, says what happened and what time it is, drains what is to be done, does
it, and reports back. Nothing in an engine knows which of the two it is in, and the same inputs give the same outputs.
Payloads are opaque bytes; an engine never looks into them and carries them unchanged. What it hands out as committed is
decided whether or not the records beside it survive a crash: a driver may apply it, and tell its clients, at once.

How to drive one: after any inputs call `drain` once and then, in this order, make `records` durable with as few
writes as possible and say `persisted`; send each message as soon as the record it waits for is durable; take over the
state of `restore` and apply `committed` in order, and say `applied`; answer `judge` with `judged`; answer `wanted` with
`propose`; call `tick` when `deadline` has come. `now` never goes back [ms]; what clock it is read from is the driver's
business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wattquorum.consensus.configuration import Configuration
from wattquorum.foundation.codec import Record, Unsigned
from wattquorum.foundation.quantities import Millis


class Durable(Record, frozen=True):
    """A record that a restart must give back. Positions rise by one; what is durable at one is durable below it.

    Once an `origin` is durable, a restart needs no record before it.
    """

    position: Unsigned
    data: bytes
    origin: bool = False


class Message(Record, frozen=True):
    """A frame for another replica, to be sent once the record at `after` is durable; 0: at once.

    A leader's appends wait for nothing, so that its disk and its followers work at the same time; votes and
    acknowledgements wait for what they promise.
    """

    to: bytes
    data: bytes
    after: Unsigned


class Committed(Record, frozen=True):
    """A payload whose place is decided for ever. Indexes rise; one that an engine used for itself is left out.

    `term` is that of the leader who proposed it, 0 where there are none. `evidence` says who decided, in the order of
    their answers and without the leader; it is told where it is known, by the leader, and empty everywhere else.
    """

    index: Unsigned
    term: Unsigned
    payload: bytes
    evidence: tuple[bytes, ...]


class Restore(Record, frozen=True):
    """A state to go on from in place of the driver's own: that of another replica after the entry at `index`.

    It is handed out before anything that was committed later. Answer with `applied`.
    """

    index: Unsigned
    state: bytes


class Judged(Record, frozen=True):
    """A proposed payload that the engine will support only after the driver has found it good: answer with `judged`."""

    digest: bytes
    payload: bytes


class Wanted(Record, frozen=True):
    """A payload is wanted at this height and view: answer with `propose`, or not at all."""

    height: Unsigned
    view: Unsigned


class Output(Record, frozen=True):
    """Everything there is to do since the last `drain`."""

    records: tuple[Durable, ...]
    messages: tuple[Message, ...]
    restore: Restore | None
    committed: tuple[Committed, ...]
    judge: tuple[Judged, ...]
    wanted: Wanted | None
    reads: tuple[int, ...]  # they may answer now: all that was decided before they were asked has been applied
    deadline: Unsigned | None  # when to tick; None: no need to


class Engine(Protocol):
    """A consensus engine. Arguments are positional; every input but `drain` may be given at any time.

    An input that makes no sense in the engine's present state is Refused and changes nothing:
    Refused("input_unexpected") for an answer to what was not asked, Refused("orders_alone") for what needs other
    replicas where there are none. Frames from outside are never a reason to fail: an engine drops what it cannot read.
    Any input may raise Refused("diverged"): what this replica holds to be decided is not what the others do, and it
    must stop.
    """

    @property
    def configuration(self) -> Configuration:
        """The effective configuration: the last that was recorded, decided or not."""

    @property
    def term(self) -> int:
        """The term or view it is in; 0 where there are none."""

    @property
    def leader(self) -> bytes:
        """Who orders in it as far as is known: payloads that wait elsewhere are best sent there. Empty: nobody."""

    @property
    def takes(self) -> bool:
        """Whether it would take up what is proposed now. Also then it may get lost."""

    @property
    def quorum_ms(self) -> int | None:
        """What the clocks of a quorum have reached, as far as is known here, so that no single clock is trusted.

        None: not known, or nobody else's counts. It is advice about time and never about what is decided.
        """

    def receive(self, sender: bytes, frame: bytes, now: Millis, /) -> None:
        """A frame arrived from a replica whose identity the driver has checked."""

    def propose(self, payloads: Sequence[bytes], now: Millis, /) -> None:
        """Asks to have these payloads decided, in this order. They may be lost; retrying is the proposer's business."""

    def persisted(self, position: int, now: Millis, /) -> None:
        """All records up to this position survive a crash from now on."""

    def applied(self, index: int, digest: bytes, now: Millis, /) -> None:
        """All committed payloads up to this index were applied and led to this state digest.

        Raises Refused("diverged") where this replica's state is not what the others have: it must stop.
        """

    def judged(self, digest: bytes, verdict: bool, now: Millis, /) -> None:
        """Whether the payload with this digest, handed out to be judged, is good."""

    def demand(self, oldest_ms: Millis | None, now: Millis, /) -> None:
        """Since when the oldest admissible payload that nobody has proposed here has waited; None: there is none."""

    def read(self, read: int, now: Millis, /) -> None:
        """A read wants to see everything that was decided before now.

        Its number is used once; after a restart numbers may begin anew.
        """

    def transfer(self, to: bytes, now: Millis, /) -> None:
        """Asks to hand leadership to another voter."""

    def reconfigure(self, configuration: Configuration, now: Millis, /) -> None:
        """Asks to install the next configuration; the engine makes the change joint where it has to be.

        Every replica is told, since every one computes it: whoever leads installs it, the others compare. It is told
        before it is told that the payload is applied which led to it, and again after a restart or a `Restore`.
        """

    def snapshot(self, index: int, state: bytes, now: Millis, /) -> None:
        """The driver's state after applying everything up to `index`: what lies below need not be kept any more."""

    def tick(self, now: Millis, /) -> None:
        """Time has passed."""

    def drain(self) -> Output:
        """Hands out, once, what there is to do."""
