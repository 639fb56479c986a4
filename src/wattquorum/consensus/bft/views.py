"""Views: what a quorum of view changes lets a new primary propose. Pure, so that every backup recomputes it.

H is the highest height that any of them proves certified. The new view binds height H+1 alone: of the certificates
prepared at that height the one of the highest view wins, and where there is none the choice is free. One prepared at a
lower height is about a height that is decided; to let it count would fork (PROTOCOLS, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from wattquorum.consensus.bft.certificates import is_valid
from wattquorum.consensus.bft.committee import Committee, Committees
from wattquorum.consensus.bft.messages import Change, NewView, ViewChange, new_view_digest, view_change_digest
from wattquorum.consensus.bft.statements import Phase, Seals

FREE = b""


class Choice(NamedTuple):
    """What a view is bound to: at `height` nothing but `digest`, or anything where it is empty; below it nothing."""

    height: int
    digest: bytes


def choice(changes: Sequence[ViewChange]) -> Choice:
    """What these view changes, a quorum's, allow."""
    height = max(change.height for change in changes) + 1
    prepared = [change.prepared for change in changes if change.prepared is not None]
    prepared = [each for each in prepared if each.height == height]
    if not prepared:
        return Choice(height, FREE)
    return Choice(height, max(prepared, key=lambda each: (each.view, each.digest)).digest)


def is_sound(change: ViewChange, place: int, committees: Committees, seals: Seals) -> bool:
    """Whether a view change is this member's, and proves what it says."""
    committee = committees.at(change.height + 1)
    if change.view == 0 or not is_signed(change, place, committee, seals):
        return False
    if change.tip is not None and not is_valid(change.tip, committees.at(change.height), seals):
        return False
    prepared = change.prepared
    if prepared is None:
        return True
    fits = prepared.height == change.height + 1 and prepared.view <= change.view
    return fits and is_valid(prepared, committee, seals)


def is_signed(change: ViewChange, place: int, committee: Committee, seals: Seals) -> bool:
    """Whether this member of a committee has signed a view change."""
    digest = view_change_digest(change.tip, change.prepared)
    args = (change.height, change.view, Phase.VIEW_CHANGE, digest, change.signature)
    return place < len(committee.members) and seals.hold([seals.check(committee, place, *args)])


def is_justified(message: NewView, committees: Committees, seals: Seals) -> bool:
    """Whether a new view is its primary's, made of a quorum's view changes for it, and chooses what follows from them.

    The view changes are checked as if they had come from their senders.
    """
    committee = committees.at(message.height + 1)
    places = [change.member for change in message.changes]
    if len(places) != committee.quorum or any(place >= follower for place, follower in pairwise(places)):
        return False
    if any(change.view_change.view != message.view for change in message.changes):
        return False
    if any(committees.at(change.view_change.height + 1) is not committee for change in message.changes):
        return False  # an earlier committee's views are others than this one's
    if not is_opened(message, committee, seals):
        return False
    if not all(is_sound(change.view_change, change.member, committees, seals) for change in message.changes):
        return False
    return choice([change.view_change for change in message.changes]) == (message.height + 1, message.digest)


def is_opened(message: NewView, committee: Committee, seals: Seals) -> bool:
    """Whether the primary of its view in a committee has signed a new view."""
    digest = new_view_digest(message.digest, message.changes)
    place = committee.primary_place(message.view)
    args = (message.height, message.view, Phase.NEW_VIEW, digest, message.signature)
    return seals.hold([seals.check(committee, place, *args)])


def new_view(view: int, changes: Sequence[tuple[int, ViewChange]], committee: Committee, seals: Seals) -> NewView:
    """The new view that this replica, its primary, makes of a quorum's view changes, in the order of places."""
    height, digest = choice([change for _, change in changes])
    told = tuple(Change(place, change) for place, change in changes)
    signature = seals.make(committee, height - 1, view, Phase.NEW_VIEW, new_view_digest(digest, told))
    return NewView(view, height - 1, digest, told, signature)
