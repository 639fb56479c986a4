"""Bundles of certificates in the state: found, cut, moved, ended, and counted among what their owners hold (L-22).

A bundle's key is its owner's address and its id, so that an owner's bundles are found without looking at others'. A
bundle keeps its id when all of it changes hands; a part of one is split off first, and both parts get new ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.refusals import Refused
from wattquorum.green.certificates import WHOLE, source_of
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Meter
from wattquorum.ledger.facts import BundleEnded, BundleMade, BundleMoved
from wattquorum.ledger.holdings import Bundle, BundleStatus, Ending, Holding
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import identifier

GRANULAR: Final = 1  # what a granular certificate stands for [Wh]
ORDINAL_BYTES: Final = 4


def new_ids(context: Context) -> Iterator[bytes]:
    """Ids for what a transaction creates, in order; one iterator for each transaction."""
    for ordinal in count():
        yield identifier(tagged_hash("bundle", context.hash, ordinal.to_bytes(ORDINAL_BYTES, "big")))


def owned(context: Context, owner: bytes, bundle_id: bytes, wanted: int | None = None) -> Bundle:
    """An active bundle of an owner that has as many certificates as are wanted.

    Refused: certificate_unknown, certificate_final, certificate_expired, certificate_short.
    """
    found: Bundle | None = context.state.get(Table.BUNDLE, owner + bundle_id)
    if found is None:
        raise Refused("certificate_unknown", "bundle", bundle_id)
    if found.status is not BundleStatus.ACTIVE:
        raise Refused("certificate_final", "bundle", found.status.name.lower())
    if context.now >= found.expires_ms:
        raise Refused("certificate_expired", "bundle", bundle_id)
    if wanted == 0:
        raise Refused("amount_not_positive", "count", wanted)
    if wanted is not None and wanted > found.size:
        raise Refused("certificate_short", "count", wanted, f"The bundle has {found.size} certificates.")
    return found


def make(context: Context, owner: bytes, bundle_id: bytes, bundle: Bundle, parents: tuple[bytes, ...] = ()) -> None:
    """Puts a new bundle into the state and tells where it comes from."""
    context.state.put(Table.BUNDLE, owner + bundle_id, bundle)
    context.tell(told(context.state, owner, bundle_id, bundle, parents))


def told(state: State, owner: bytes, bundle_id: bytes, bundle: Bundle, parents: tuple[bytes, ...] = ()) -> BundleMade:
    """A bundle of the state as it is told to readers; what it was made of, the state does not know."""
    meter: Meter = state.get(Table.METER, bundle.meter.encode("ascii"))
    return BundleMade(
        bundle_id,
        parents,
        owner,
        bundle.meter,
        source_of(meter.point.technology),
        bundle.unit,
        bundle.first,
        bundle.end,
        bundle.start_ms,
        bundle.end_ms,
        bundle.expires_ms,
    )


def cut(
    context: Context, ids: Iterator[bytes], owner: bytes, bundle_id: bytes, bundle: Bundle, size: int
) -> tuple[bytes, Bundle]:
    """The first `size` certificates of a bundle as a bundle of their own: itself, if it has no more."""
    if size == bundle.size:
        return bundle_id, bundle
    context.state.drop(Table.BUNDLE, owner + bundle_id)
    context.tell(BundleEnded(bundle_id, owner, Ending.SPLIT, "", ""))
    middle = bundle.first + size
    parts = (next(ids), changed(bundle, end=middle)), (next(ids), changed(bundle, first=middle))
    for part_id, part in parts:
        make(context, owner, part_id, part, (bundle_id,))
    return parts[0]


def move(
    context: Context, giver: bytes, taker: bytes, bundle_id: bytes, bundle: Bundle, sale: bytes = b"", amount: int = 0
) -> None:
    """A whole bundle changes hands."""
    context.state.drop(Table.BUNDLE, giver + bundle_id)
    context.state.put(Table.BUNDLE, taker + bundle_id, bundle)
    if bundle.counted:
        hold(context, giver, -bundle.size)
        hold(context, taker, bundle.size)
    context.tell(BundleMoved(bundle_id, giver, taker, sale, amount))


def hold(context: Context, owner: bytes, change: int) -> None:
    """Changes how many whole certificates an owner holds from now on; what it held so far counts by its time (L-20)."""
    before: Holding = context.state.get(Table.HOLDING, owner) or Holding(0, context.now, 0, 0)
    weighted = before.weighted + before.held * (context.now - before.since_ms)
    after = changed(before, held=before.held + change, since_ms=context.now, weighted=weighted)
    context.state.put(Table.HOLDING, owner, after)


def described(context: Context, bundle: Bundle) -> str:
    """A bundle in words that a program can read again: device, source, numbers and production."""
    meter: Meter = context.state.get(Table.METER, bundle.meter.encode("ascii"))
    return (
        f"meter={bundle.meter} source={source_of(meter.point.technology)} unit_wh={bundle.unit} "
        f"first={bundle.first} end={bundle.end} start_ms={bundle.start_ms} end_ms={bundle.end_ms}"
    )


def is_whole(bundle: Bundle) -> bool:
    """Whether its certificates stand for 1 MWh each."""
    return bundle.unit == WHOLE
