"""States on their way: what a replica that is far behind is told in place of every block, and by whom.

Whoever agrees keeps the state after its last epoch's end, and gives it to who asks: first the steps by which the asker
follows from committee to committee, then the state, part by part, with the block that it stands after. Nothing of it is
anybody's word; `taking_over` proves all of it.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.blocks import Chained
from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.light import Step, Steps

PART_BYTES: Final = 1 << 18  # of a state in one frame; only the last part is shorter
STEPS_BYTES: Final = 1 << 20  # of steps in one frame; a single larger one goes alone
KEPT_MS: Final = 60_000  # how long an older state stays after a part of it was asked for


class AskState(Record, frozen=True, tag=1):
    """Asks for a state, and for what proves it to somebody who knows who agrees above this height."""

    above: Unsigned


class Offer(Record, frozen=True, tag=2):
    """The next steps above what was asked; when no more are needed, the height of a state and its bytes; 0: none.

    It is also said, without being asked, to who wanted a block above a height that its sender can give no more.
    """

    above: Unsigned
    steps: tuple[Step, ...]
    more: bool
    height: Unsigned
    size: Unsigned


class AskPart(Record, frozen=True, tag=3):
    """Asks for the part of the state at a height that begins at an offset."""

    height: Unsigned
    offset: Unsigned


class Part(Record, frozen=True, tag=4):
    """That part."""

    height: Unsigned
    offset: Unsigned
    data: bytes


class Gone(Record, frozen=True, tag=5):
    """That state is not here any more."""

    height: Unsigned


class Handed(Record, frozen=True):
    """The last block of an epoch, as it was certified, and a copy of the state after it: what travels in parts."""

    chained: Chained
    state: bytes


StateMessage = AskState | Offer | AskPart | Part | Gone
decode_state_message: Final = Decoder[StateMessage](StateMessage, "message about a state").decode
decode_handed: Final = Decoder[Handed](Handed, "state of another replica").decode


class Giving:
    """The states that this replica gives away: the newest, and the one before while somebody is still taking it."""

    __slots__ = ("_asked_ms", "_held", "_steps")

    def __init__(self, steps: Steps) -> None:
        """`steps` are those of the chain, as far as this replica has its headers."""
        self._steps = steps
        self._held: dict[int, bytes] = {}  # by height, the newest last
        self._asked_ms: dict[int, int] = {}  # when a part of it was asked for last

    def hold(self, chained: Chained, state: bytes, now: Millis) -> None:
        """Another epoch has ended."""
        wanted = [height for height, asked_ms in self._asked_ms.items() if now - asked_ms < KEPT_MS]
        self._held = {height: self._held[height] for height in sorted(wanted)[-1:]}
        self._asked_ms = {height: self._asked_ms[height] for height in self._held}
        self._held[chained.block.height] = encode(Handed(chained, state))

    def offer(self, above: int) -> Offer:
        """What there is for somebody who knows who agrees above a height."""
        height = max(self._held, default=0)
        if height <= above or self._steps.height < height:
            return Offer(above, (), False, 0, 0)
        steps: list[Step] = []
        size = 0
        for step in self._steps.between(above, height):
            size += len(encode(step))
            if steps and size > STEPS_BYTES:
                return Offer(above, tuple(steps), True, 0, 0)
            steps.append(step)
        return Offer(above, tuple(steps), False, height, len(self._held[height]))

    def part(self, height: int, offset: int, now: Millis) -> Part | Gone:
        """A part of a state, if that is still here."""
        data = self._held.get(height)
        if data is None or offset >= len(data):
            return Gone(height)
        self._asked_ms[height] = now
        return Part(height, offset, data[offset : offset + PART_BYTES])
