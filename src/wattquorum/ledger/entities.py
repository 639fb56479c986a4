"""What the state keeps of the market: days, offers, contracts, settlements, members' sides, readings, debts.

Records are immutable; the tables that hold them are in `wattquorum.ledger.state`, their fields in order in
`docs/formats.md`. What it keeps of certificates and carbon is in `wattquorum.ledger.holdings`.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum

from wattquorum.foundation.codec import Address, Digest, Record, Signed, Unsigned
from wattquorum.foundation.intervals import Window
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.transactions import Action, Energies, MeterPoint, Prices


class OfferStatus(IntEnum):
    """What became of an offer."""

    OPEN = 1
    ACCEPTED = 2
    WITHDRAWN = 3
    COUNTERED = 4


class ContractStatus(IntEnum):
    """Where a contract stands."""

    ACCEPTED = 1
    APPROVED = 2
    CANCELLED = 3
    LAPSED = 4
    SETTLED = 5


class DayStatus(IntEnum):
    """Where a delivery day stands."""

    OPEN = 1
    SETTLING = 2  # from the first settlement on: promises and faults stand
    CLOSED = 3


class Chain(Record, frozen=True):
    """What the ledger remembers of itself."""

    epoch: Unsigned
    epoch_started_ms: Unsigned
    parameter_starts: tuple[Unsigned, ...]  # the first height of each version of the parameters; never falling
    days_closed: Unsigned
    approvals_needed: Unsigned


def version_in_force(chain: Chain, height: int) -> int:
    """The version of the parameters that holds at a height (L-25)."""
    return bisect_right(chain.parameter_starts, height) - 1


class MemberSide(Record, frozen=True):
    """What an account can inject or withdraw, and what it earned on that side (A-9, A-11, A-15, B-1, L-12)."""

    meters: tuple[str, ...]
    feeder: str  # of its first meter: the page on which it is settled
    limit_w: Unsigned
    credit: Unsigned  # C
    trust: Unsigned  # T
    traded: Unsigned  # N [Wh]
    volume: Unsigned  # of the last closed day (A-11) [millionths of a point]
    transmissions: Unsigned  # N_i of A-15: intervals in which it promised energy, over all closed days
    failed: Unsigned  # F_i of A-15: those of them under a recorded line fault


class Meter(Record, frozen=True):
    """A registered meter point, whose it is, and since when."""

    member: Address
    point: MeterPoint
    since_ms: Unsigned

    def counts_on(self, day: Day, owner: Account) -> bool:
        """Whether its readings belong to a day.

        It was registered before the day began, on one of the day's feeders, and its owner had not left when the day
        was published (L-24).
        """
        joined = self.since_ms <= day.window.start_ms and self.point.feeder in day.feeders
        return joined and (not owner.left_ms or day.published_ms <= owner.left_ms)


class Proposal(Record, frozen=True):
    """An action that governors are deciding on."""

    action: Action
    approvals: tuple[Address, ...]
    expires_ms: Unsigned


class Day(Record, frozen=True):
    """A published delivery day; tariffs never change once it is published (L-6, L-13)."""

    window: Window
    feeders: tuple[str, ...]
    feed_in: Prices
    grid_price: Prices
    over_grid_fee: Prices
    gate_ms: Unsigned
    readings_due_ms: Unsigned
    substitute_ms: Unsigned
    final_ms: Unsigned
    parameters_version: Unsigned
    published_ms: Unsigned
    status: DayStatus
    pages: tuple[str, ...]  # feeders whose page is closed, ascending


class OpenOffer(Record, frozen=True):
    """An offer or counter-offer."""

    author: Address
    side: Side
    partner: bytes  # empty: public
    energy: Energies
    price: Prices
    valid_until_ms: Unsigned
    answers: bytes  # the offer that it counters; empty for a first offer
    status: OfferStatus


class Contract(Record, frozen=True):
    """A promise by both sides for one delivery day."""

    seller: Address
    buyer: Address
    energy: Energies  # what is promised now, after curtailments
    price: Prices
    status: ContractStatus
    cancelled_by: bytes  # the side that asked first; empty
    seller_lock: Unsigned  # collateral still locked
    buyer_lock: Unsigned
    seller_stake: Unsigned  # collateral as locked at acceptance
    buyer_stake: Unsigned


class Settled(Record, frozen=True):
    """A contract's settlement in sums over its intervals; what a correction is the difference to (L-11)."""

    energy: Signed
    over_grid_fee: Signed
    grid_purchase: Signed
    grid_sale: Signed
    seller_compensation: Unsigned
    buyer_compensation: Unsigned
    seller_tested: Unsigned  # promised in tested intervals [Wh]
    buyer_tested: Unsigned
    seller_shortfall: Unsigned  # [Wh]
    buyer_shortfall: Unsigned
    seller_fine: Unsigned
    buyer_fine: Unsigned
    revision: Unsigned


class Position(Record, frozen=True):
    """A member's energy beyond its promises: one grid position per side and interval (L-2), in sums."""

    metered: Unsigned  # [Wh]
    residual: Unsigned  # [Wh]
    money: Signed  # from the member to the grid when buying, from the grid when selling
    revision: Unsigned


class MemberDay(Record, frozen=True):
    """What a day did to a member's standing on one side; the basis of fines and of corrections (L-5)."""

    promised: Unsigned
    delivered: Unsigned
    defaulted: Unsigned  # 1 or 0
    credit_before: Unsigned
    credit_after: Unsigned
    trust_before: Unsigned
    trust_after: Unsigned
    fine_points: Unsigned
    credit_beyond: Signed  # what corrections of the day would have changed beyond 0..100 points
    trust_beyond: Signed


class Sealed(Record, frozen=True):
    """That a day was sealed, and when; so much stays of it, for disputes (L-11)."""

    moment_ms: Unsigned


class ReadingSet(Record, frozen=True):
    """Where a meter's readings of a day stand: the root on the chain and the place among its rows."""

    root: Digest
    position: Unsigned
    version: Unsigned


class Fault(Record, frozen=True):
    """A recorded line fault at one meter for intervals [first, end)."""

    first: Unsigned
    end: Unsigned
    reason: str


class Debt(Record, frozen=True):
    """What a debtor could not pay (L-7)."""

    debtor: Address
    creditor: Address
    amount: Unsigned
    kind: Unsigned
    day: Unsigned
    contract: bytes
    bars: bool  # from trading, until it is paid; not where a correction took back a share of somebody else's fine


class Payout(Record, frozen=True):
    """Money set aside for a withdrawal."""

    member: Address
    amount: Unsigned


class FlowVersion(Record, frozen=True):
    """The latest report of a day's power flow, of one kind (L-9)."""

    version: Unsigned


class Promise(Record, frozen=True):
    """A member's promises of a day and side, summed over its contracts."""

    energy: Energies


class Reference(Record, frozen=True):
    """A cashier's reference that was used."""

    moment_ms: Unsigned
