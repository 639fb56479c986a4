"""What came out, told: every number in a sentence is computed, what is judged is judged by the targets beside it."""

from __future__ import annotations

from wattquorum.lab.cgpbft.told.conduct import conduct_part
from wattquorum.lab.cgpbft.told.division import division_part
from wattquorum.lab.cgpbft.told.live import live_part
from wattquorum.lab.cgpbft.told.messages import messages_part
from wattquorum.lab.cgpbft.told.outages import outages_part
from wattquorum.lab.cgpbft.told.pace import pace_part
from wattquorum.lab.cgpbft.told.targets import targets_part
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.parts import Part

PARTS = (targets_part, messages_part, pace_part, live_part, conduct_part, outages_part, division_part)


def parts_of(found: Found) -> tuple[Part, ...]:
    """The page."""
    return tuple(part(found) for part in PARTS)
