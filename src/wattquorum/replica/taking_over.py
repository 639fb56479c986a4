"""Taking over: a state of others for a replica that is too far behind, or to which nobody can give the next block.

It trusts nobody. It follows the chain's committees from its own tip, or from the genesis, by their certificates (see
`ledger.light`), asks one peer at a time for a state and for the parts of it, and believes the whole only when the last
committee has certified the block that it stands after, and that block's header has the root of the state. Whoever says
what no correct replica says is named, counted and left alone for long; who does not answer is passed over. Steps that
were proven stay proven, whoever told them.

So a peer that lies costs at most a state's bytes, once; one that is slow at most `TRIES` times the wait for each part.
Whoever was left alone longest comes first, also when that time is over, and nobody comes before others because it
offers again and again: however many give nothing, whoever gives has its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from wattquorum.consensus.bft.settings import Settings
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.light import LightClient
from wattquorum.replica.states import PART_BYTES, AskPart, AskState, Offer, Part, StateMessage

NOBODY: Final = b""
TRIES: Final = 3  # how often one peer is asked for the same
DOUBLINGS_MAX: Final = 6  # of the time that an answer is waited for
FAILURES_MAX: Final = 64  # that wait to be told to an operator
PEERS_MAX: Final = 1_024  # of whom it is known since when they are left alone, and who offered a state meanwhile


class Failure(NamedTuple):
    """Why nothing was taken over from a peer."""

    peer: bytes
    height: int  # of the state; 0: it gave none
    reason: str
    lied: bool  # no correct replica does this


class TakingOver:
    """The question that is out, and what came of a state so far. `said` is what is to be sent next."""

    __slots__ = (
        "_above",
        "_begin",
        "_blame",
        "_data",
        "_doublings",
        "_due_ms",
        "_height",
        "_light",
        "_offering",
        "_peer",
        "_resting",
        "_settings",
        "_size",
        "_tries",
        "_wanted",
        "failures",
        "lies",
        "oversized",
        "said",
    )

    def __init__(
        self,
        settings: Settings,
        begin: Callable[[LightClient | None], LightClient],
        blame: Callable[[bytes], None],
    ) -> None:
        """`begin` gives a light client at what this replica has proof of; it is given the last one, if there was one.

        `blame` counts who lied.
        """
        self._settings = settings
        self._begin, self._blame = begin, blame
        self._light: LightClient | None = None
        self._peer = NOBODY  # who is asked
        self._wanted: AskState | AskPart | None = None  # what it was asked last
        self._height = self._size = 0  # of the state that it offers
        self._data = bytearray()
        self._due_ms: int | None = None  # when it is asked again, or another one
        self._above = 0  # only a state above this height is of use
        self._tries = self._doublings = 0
        self._resting: dict[bytes, int] = {}  # until when a peer is, or was, left alone
        self._offering: dict[bytes, int] = {}  # who offered a state while another was asked, and above which height
        self.said: list[tuple[bytes, StateMessage]] = []
        self.failures: list[Failure] = []  # to be told
        self.lies = 0
        self.oversized = 0  # bytes of a state that it would need and may not take; 0: there is none

    @property
    def light(self) -> LightClient:
        """What is proven of the committees so far."""
        assert self._light is not None
        return self._light

    @property
    def due_ms(self) -> int | None:
        """When it has to be looked after, while somebody is asked."""
        return self._due_ms

    def seek(self, peers: Sequence[bytes], above: int, now: Millis) -> None:
        """Asks the one that was left alone longest for a state above a height, unless somebody is asked already."""
        if self._peer == NOBODY:
            peer = min(sorted(peers), key=lambda each: self._resting.get(each, 0), default=NOBODY)
            if peer != NOBODY and now >= self._resting.get(peer, 0):
                self._begin_with(peer, above, now)

    def hear_of(self, peer: bytes, above: int, now: Millis) -> None:
        """A peer may have a state above a height: it is asked, unless it is left alone; others come before it."""
        if now < self._resting.get(peer, 0):
            return
        if self._peer == NOBODY and not self._offering:
            self._begin_with(peer, above, now)
        elif peer != self._peer and len(self._offering) < PEERS_MAX:
            self._offering[peer] = above

    def _begin_with(self, peer: bytes, above: int, now: Millis) -> None:
        self._offering.pop(peer, None)
        self._light = self._begin(self._light)
        self._peer, self._above = peer, above
        self._ask(AskState(self.light.checkpoint.height), now)

    def tick(self, height: int, now: Millis) -> None:
        """Time has passed, and this replica is at a height: what was offered when it was lower is of no use."""
        self._look_after(now)
        if self._offering and self._peer == NOBODY:
            self._offering = {peer: above for peer, above in self._offering.items() if above >= height}
            self.seek(list(self._offering), height, now)

    def _look_after(self, now: Millis) -> None:
        if self._due_ms is None or now < self._due_ms:
            return
        if self._tries < TRIES and self._wanted is not None:
            self._tries += 1
            self._say(self._wanted, now)
        else:
            self._doublings = min(self._doublings + 1, DOUBLINGS_MAX)
            self.give_up("it does not answer in time", now)

    def offered(self, sender: bytes, offer: Offer, now: Millis) -> None:
        """An offer of whoever was asked for it."""
        if sender != self._peer or self._wanted != AskState(offer.above):
            return
        light, before = self.light, self.light.checkpoint.height
        try:
            for step in offer.steps:
                if step.header.height > light.checkpoint.height:
                    light.step(step)
        except Refused as refused:
            lied = refused.code != "chain_restarted"  # what operators have to know, and no lie
            self.give_up(f"its steps prove nothing: {refused}", now, lied=lied)
            return
        if offer.more:
            if light.checkpoint.height == before:
                self.give_up("its steps lead nowhere", now, lied=True)
            else:
                self._ask(AskState(light.checkpoint.height), now)
        elif offer.height <= self._above:
            self._pass_over(now)
        elif offer.size > self._settings.snapshot_bytes_max:
            self.oversized = offer.size
            self.give_up(f"its state of {offer.size} bytes is larger than snapshot_bytes_max", now)
        else:
            self._height, self._size, self._data, self.oversized = offer.height, offer.size, bytearray(), 0
            self._ask(AskPart(self._height, 0), now)

    def part(self, sender: bytes, part: Part, now: Millis) -> bytes | None:
        """A part of a state; the whole, when that was the last one. It is proven by then by nothing."""
        if sender != self._peer or self._wanted != AskPart(part.height, part.offset):
            return None
        if len(part.data) != min(PART_BYTES, self._size - part.offset) or not part.data:
            self.give_up(f"a part of {len(part.data)} bytes at {part.offset} of {self._size}", now, lied=True)
            return None
        self._data += part.data
        if len(self._data) < self._size:
            self._ask(AskPart(self._height, len(self._data)), now)
            return None
        return bytes(self._data)

    def gone(self, sender: bytes, height: int, now: Millis) -> None:
        """A peer has no longer what it offered."""
        if sender == self._peer and isinstance(self._wanted, AskPart) and self._wanted.height == height:
            self.give_up("it has that state no more", now)

    def taken(self) -> None:
        """The whole was proven."""
        self._close()
        self._doublings, self._light, self._offering = 0, None, {}

    def give_up(self, reason: str, now: Millis, *, lied: bool = False) -> None:
        """Nothing comes of this peer."""
        if lied:
            self.lies += 1
            self._blame(self._peer)
        if len(self.failures) < FAILURES_MAX:
            self.failures.append(Failure(self._peer, self._height, reason, lied))
        self._pass_over(now, DOUBLINGS_MAX if lied else self._doublings)

    def _pass_over(self, now: Millis, doublings: int = 0) -> None:
        if len(self._resting) >= PEERS_MAX:
            self._resting = {peer: until for peer, until in self._resting.items() if until > now}
        self._resting[self._peer] = now + (self._settings.poll_ms << doublings)
        self._close()

    def _close(self) -> None:
        self._peer, self._wanted, self._due_ms = NOBODY, None, None
        self._height, self._size, self._data = 0, 0, bytearray()

    def _ask(self, message: AskState | AskPart, now: Millis) -> None:
        self._wanted, self._tries = message, 1
        self._say(message, now)

    def _say(self, message: AskState | AskPart, now: Millis) -> None:
        self.said.append((self._peer, message))
        self._due_ms = now + (self._settings.fetch_ms << self._doublings)
