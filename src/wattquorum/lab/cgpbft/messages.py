"""Messages: what a committed block takes until every member has it, counted and by formula (PROTOCOLS, part 3).

Plain PBFT lets all n members agree: the primary's pre-prepare to n-1, their PREPAREs to all others, and everybody's
COMMIT to all others are 2n(n-1) messages. In CGPBFT g agents agree, and each brings the block with its certificate to
the members of its group: 2g(g-1) + (n-g). What is counted are the messages of the real engines in a world where nothing
fails, down to the last vote that nobody needs any more; polls for tips stand apart, since they take time and no block.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.simulation.assembly import PATIENT, POLLS, Assembly, Links, Load
from wattquorum.standing.groups import group_count

LINKS: Final = Links(5_000, 25_000)  # one way: 10 to 50 ms there and back
END_NS: Final = 1_000 * 10**9
SIZES: Final = (4, 7, 10, 16, 25, 49, 100, 196, 400)  # members
TARGETS: Final = {16: 8, 100: 40}  # members: how many times fewer messages among groups


def groups_of(members: int) -> int:
    """As many groups as members in each, and never fewer than four."""
    return group_count(isqrt(members), members)


def formula(members: int, agents: int) -> int:
    """Messages of a block when `agents` of `members` agree."""
    return 2 * agents * (agents - 1) + members - agents


class Counted(NamedTuple):
    """What so many blocks took."""

    members: int
    agents: int
    blocks: int
    messages: Mapping[str, int]  # by kind
    size: Mapping[str, int]  # bytes, by kind

    @property
    def per_block(self) -> float:
        """Messages of a block, polls left out."""
        return self._of(self.messages)

    @property
    def bytes_per_block(self) -> float:
        """Bytes of a block, polls left out."""
        return self._of(self.size)

    def _of(self, counts: Mapping[str, int]) -> float:
        return sum(count for kind, count in counts.items() if kind != POLLS) / self.blocks


def counted(seed: int, members: int, agents: int, transactions: int, blocks: int) -> Counted:
    """Counts what `blocks` of so many transactions take until every member has executed all of them.

    Refused("input_unexpected") when that does not happen.
    """
    assembly = Assembly(seed, members, agents, Load(transactions), links=LINKS, settings=PATIENT, blocks=blocks)
    assembly.run(END_NS)
    if assembly.reached[blocks] != members:
        there = f"{assembly.reached[blocks]} of {members}"
        raise Refused("input_unexpected", "blocks", blocks, f"Only {there} members have the last one.")
    tally = assembly.tally
    return Counted(members, agents, blocks, dict(tally.messages), dict(tally.size))
