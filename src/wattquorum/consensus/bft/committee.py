"""Committee: who agrees on a height, in which order, with which keys, and how many of them it takes.

A committee is a pure value that the certified chain names: the last block of an epoch, once executed, names the next
one, and only the old committee's commit certificate on that block begins it (PROTOCOLS, 3). So whoever holds the chain
can tell for any height whose signatures count. In plain PBFT it is everybody, for ever. Heads are counted, never power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final

from wattquorum.consensus.configuration import Configuration, check
from wattquorum.foundation.codec import Meta, Record
from wattquorum.foundation.identities import KEY_BYTES
from wattquorum.foundation.refusals import Refused

Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Keys = Callable[[bytes], bytes]  # a replica's signing key, as the block that names the committee has it


class Installed(Record, frozen=True, tag=1):
    """A configuration that is in force from height `basis_index + 1` on, with the key of each voter."""

    configuration: Configuration
    keys: tuple[Key, ...]


def tolerated(members: int) -> int:
    """f: how many members may lie without anybody being deceived."""
    return (members - 1) // 3


def quorum_of(members: int) -> int:
    """q = ceil((n + f + 1) / 2): any two quorums share a member that does not lie.

    2f+1 would not do: of six, two quorums of three share nobody.
    """
    return (members + tolerated(members) + 2) // 2


class Committee:
    """The members of an epoch in their order. A member is known by its place in it."""

    __slots__ = ("_places", "epoch", "faults", "first", "keys", "members", "quorum")

    def __init__(self, epoch: int, first: int, members: Sequence[bytes], keys: Sequence[bytes]) -> None:
        """`first` is the first height that it agrees on."""
        self.epoch: Final = epoch
        self.first: Final = first
        self.members: Final = tuple(members)
        self.keys: Final = tuple(keys)
        self.faults: Final = tolerated(len(self.members))
        self.quorum: Final = quorum_of(len(self.members))
        self._places: Final = {member: place for place, member in enumerate(self.members)}

    def place(self, replica: bytes) -> int | None:
        """A member's place in the order; None for who is no member."""
        return self._places.get(replica)

    def primary_place(self, view: int) -> int:
        """The place of the one that proposes in a view. The backup primary is the next in order."""
        return view % len(self.members)

    def primary(self, view: int) -> bytes:
        """Who proposes in a view."""
        return self.members[self.primary_place(view)]


def installed(configuration: Configuration, keys: Keys) -> Installed:
    """A configuration with its voters' keys.

    Refused("configuration_invalid") for one that engines with heads instead of powers cannot decide under.
    """
    check(configuration)
    if configuration.old is not None:
        raise Refused("configuration_invalid", "configuration.old", "given", "A committee follows another at once.")
    if any(voter.power != configuration.new[0].power for voter in configuration.new):
        raise Refused("configuration_invalid", "configuration.new", "unequal powers", "Heads are counted here.")
    return Installed(configuration, tuple(keys(voter.replica) for voter in configuration.new))


def committee_of(found: Installed) -> Committee:
    """The committee that a configuration with its keys describes; its version is the epoch."""
    configuration = found.configuration
    members = [voter.replica for voter in configuration.new]
    return Committee(configuration.version, configuration.basis_index + 1, members, found.keys)


class Committees:
    """The committees of a chain as far as they are known here, the newest last."""

    __slots__ = ("_all", "installed")

    def __init__(self, found: Sequence[Installed]) -> None:
        self.installed: list[Installed] = []
        self._all: list[Committee] = []
        for each in found:
            self.add(each)

    def add(self, found: Installed) -> None:
        """The next one. It begins at a later height than those before it."""
        self.installed.append(found)
        self._all.append(committee_of(found))

    @property
    def newest(self) -> Committee:
        """The last that is known."""
        return self._all[-1]

    @property
    def first(self) -> int:
        """The first height of which it is known who agrees on it."""
        return self._all[0].first

    def at(self, height: int) -> Committee:
        """Who agrees on a height; for one that is beyond what is known, the newest."""
        return next((each for each in reversed(self._all) if each.first <= height), self._all[0])

    def since(self, height: int) -> tuple[Installed, ...]:
        """What has to be kept to know the committees of this height and all later ones.

        And the one before: who is behind in an epoch proves its tip by a certificate of the committee that ended there.
        """
        first = self.at(self.at(height).first - 1).first
        return tuple(
            each for each, committee in zip(self.installed, self._all, strict=True) if committee.first >= first
        )
