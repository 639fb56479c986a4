"""Lies about states: what somebody who lies says when it is asked for a state, or offers one (`replica.states`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wattquorum.foundation.codec import changed
from wattquorum.replica.states import Gone, Offer, Part, StateMessage

StateLie = Callable[[StateMessage], StateMessage | None]


def turned(message: StateMessage) -> StateMessage:
    """A bit of a part, in its middle."""
    if not isinstance(message, Part):
        return message
    at = len(message.data) // 2
    return changed(message, data=message.data[:at] + bytes([message.data[at] ^ 1]) + message.data[at + 1 :])


def short(message: StateMessage) -> StateMessage:
    """Parts of another size than parts have."""
    return changed(message, data=message.data[:10]) if isinstance(message, Part) else message


def nothing(message: StateMessage) -> StateMessage:
    """Parts without anything in them."""
    return changed(message, data=b"") if isinstance(message, Part) else message


def stops(message: StateMessage) -> StateMessage | None:
    """It begins and does not end."""
    return None if isinstance(message, Part) and message.offset else message


def zeros(message: StateMessage) -> StateMessage:
    """As many bytes as a state has, and nothing in them."""
    return changed(message, data=bytes(len(message.data))) if isinstance(message, Part) else message


def too_large(message: StateMessage) -> StateMessage:
    """A state that nobody may take."""
    return changed(message, size=1 << 40) if isinstance(message, Offer) and message.height else message


def leads_on(message: StateMessage) -> StateMessage:
    """There are always more steps to come."""
    return changed(message, more=True) if isinstance(message, Offer) else message


def made_up_height(message: StateMessage) -> StateMessage:
    """A state of a height that has none."""
    return changed(message, height=message.height + 1_000) if isinstance(message, Offer) else message


def false_steps(message: StateMessage) -> StateMessage:
    """Steps to a committee that nobody named."""
    if not isinstance(message, Offer):
        return message
    steps = tuple(changed(step, header=changed(step.header, state_digest=bytes(32))) for step in message.steps)
    return changed(message, steps=steps)


def without_steps(message: StateMessage) -> StateMessage:
    """A state without what proves it."""
    return changed(message, steps=()) if isinstance(message, Offer) else message


def silent(message: StateMessage) -> StateMessage | None:
    """It takes and gives nothing."""
    return None if isinstance(message, Offer | Part | Gone) else message


STATE_LIES: Final[tuple[StateLie, ...]] = (
    turned,
    short,
    nothing,
    stops,
    zeros,
    too_large,
    leads_on,
    made_up_height,
    false_steps,
    without_steps,
    silent,
)
