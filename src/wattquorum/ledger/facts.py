"""Facts: what a block did, told for readers.

Executing a transaction yields facts beside its receipt: offers made, contracts, settlements with their interval
vectors, every transfer with what it was for. The records (tables, bills, reports) are built from facts alone. Facts
are never stored on the chain and never hashed: whoever replays the chain gets the same ones, and receipts prove the
transfers. Energy in Wh, money in millionths, vectors packed (see foundation.vectors).
"""

from __future__ import annotations

from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import Record
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.holdings import Ending, SaleEnding
from wattquorum.ledger.offices import Why
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.transactions import MeterPoint, ReportFlow


class AccountOpened(Record, frozen=True):
    """An account was registered (or stood in the genesis)."""

    address: bytes
    name: str
    owner: str


class MeterAdded(Record, frozen=True):
    """A meter point was registered for a member."""

    address: bytes
    point: MeterPoint


class RoleChanged(Record, frozen=True):
    """An account's roles are now these."""

    address: bytes
    roles: int


class StatusChanged(Record, frozen=True):
    """An account's status is now this."""

    address: bytes
    status: Status
    reason: str


class KeyChanged(Record, frozen=True):
    """An account has a new key."""

    address: bytes
    key: bytes
    recovered: bool


class ActionProposed(Record, frozen=True):
    """A governor proposed an action."""

    proposal: bytes
    governor: bytes
    action: str


class ActionDecided(Record, frozen=True):
    """Enough governors approved; the action was executed."""

    proposal: bytes


class ParametersChanged(Record, frozen=True):
    """A new version of the parameters will be in force for days published from a height on."""

    version: int
    parameters: Parameters
    from_height: int


class DayPublished(Record, frozen=True):
    """A delivery day can be traded. Tariffs are packed prices, one entry or one per interval."""

    day: int
    window: Window
    feeders: tuple[str, ...]
    feed_in: bytes
    grid_price: bytes
    over_grid_fee: bytes
    gate_ms: int
    readings_due_ms: int
    final_ms: int
    parameters_version: int


class OfferMade(Record, frozen=True):
    """An offer or, when `answers` is not empty, a counter-offer."""

    offer: bytes
    day: int
    author: bytes
    side: Side
    partner: bytes
    energy: bytes
    price: bytes
    valid_until_ms: int
    answers: bytes


class OfferWithdrawn(Record, frozen=True):
    """The author took an offer back."""

    offer: bytes
    day: int


class ContractMade(Record, frozen=True):
    """An offer was accepted; the contract has its id. Locks and fees in millionths."""

    contract: bytes
    day: int
    seller: bytes
    buyer: bytes
    energy: bytes
    price: bytes
    seller_lock: int
    buyer_lock: int
    fee: int  # per side


class ContractEnded(Record, frozen=True):
    """A contract was cancelled by both or lapsed without the grid operator's approval."""

    contract: bytes
    day: int
    how: str


class ContractApproved(Record, frozen=True):
    """The grid operator approved a contract."""

    contract: bytes
    day: int


class ContractCurtailed(Record, frozen=True):
    """The grid operator lowered a contract's promises."""

    contract: bytes
    day: int
    energy: bytes
    reason: str
    refund: int  # handling fee back to each side


class FaultReported(Record, frozen=True):
    """A line fault was recorded at meters for intervals [first, end)."""

    day: int
    meters: tuple[str, ...]
    first: int
    end: int
    reason: str


class FlowReported(Record, frozen=True):
    """The grid operator's power flow of a day; a higher version replaces a lower one of its kind (L-9)."""

    report: ReportFlow


class ReadingTaken(Record, frozen=True):
    """A meter's readings of a day, committed under `root` at `position`."""

    day: int
    feeder: str
    meter: str
    member: bytes
    side: Side
    root: bytes
    position: int
    version: int
    energy: bytes
    quality: bytes


class ContractSettled(Record, frozen=True):
    """A contract's settlement; a higher revision replaces a lower one (L-11).

    `generated` and `consumed` are what the meters delivered, allotted to this contract, per interval.
    """

    contract: bytes
    day: int
    revision: int
    promised: bytes
    generated: bytes
    consumed: bytes
    energy: int
    over_grid_fee: int
    grid_purchase: int
    grid_sale: int
    seller_compensation: int
    buyer_compensation: int
    seller_shortfall: int
    buyer_shortfall: int


class PositionSettled(Record, frozen=True):
    """A member's metered energy of a day and side, and what of it went past its promises to the grid (L-2)."""

    day: int
    member: bytes
    side: Side
    revision: int
    metered: bytes
    residual: bytes
    money: int


class MemberJudged(Record, frozen=True):
    """Default, credit C and T of a member's side on a closed day (L-4, L-5, A-9, A-10, B-2)."""

    day: int
    member: bytes
    side: Side
    promised: int
    delivered: int
    defaulted: bool
    credit_before: int
    credit_after: int
    trust_before: int
    trust_after: int
    credit_now: int  # after a correction, which changes the standing of now
    trust_now: int
    traded: int
    corrected: bool


class FineCharged(Record, frozen=True):
    """A defaulter's fine on one contract, in sum; a correction reports the new sum."""

    day: int
    contract: bytes
    payer: bytes
    amount: int


class SideWeighed(Record, frozen=True):
    """A member's weight on one side after a closed day, component by component (A-7, A-8) [millionths of a point].

    `transmissions` and `failed` are what the line component counts (A-15).
    """

    day: int
    member: bytes
    side: Side
    credit: int
    volume: int
    participation: int
    certificates: int
    carbon: int
    line: int
    weight: int
    transmissions: int
    failed: int


class CreditDecayed(Record, frozen=True):
    """A member's credit after the decay of A-16."""

    day: int
    member: bytes
    side: Side
    credit_after: int


class EnergyCertified(Record, frozen=True):
    """A device's energy of a day was certified now [Wh per interval, packed]; so much was withheld, so much is left."""

    day: int
    meter: str
    energy: bytes
    withheld: int
    carry: int


class CarryChanged(Record, frozen=True):
    """A correction or a day's end changed what a device may still certify [Wh]."""

    day: int
    meter: str
    carry: int


class BundleMade(Record, frozen=True):
    """A bundle came to be: issued, if it has no parents; else split off one, or rolled up from several."""

    bundle: bytes
    parents: tuple[bytes, ...]
    owner: bytes
    meter: str
    source: str
    unit: int
    first: int
    end: int
    start_ms: int
    end_ms: int
    expires_ms: int


class BundleMoved(Record, frozen=True):
    """A bundle has another owner; `sale` is empty and `amount` 0 where nobody paid for it."""

    bundle: bytes
    giver: bytes
    taker: bytes
    sale: bytes
    amount: int


class BundleEnded(Record, frozen=True):
    """A bundle is not active any more."""

    bundle: bytes
    owner: bytes
    ending: Ending
    beneficiary: str
    said: str  # the purpose of a retirement, the reason of a withdrawal


class SaleOffered(Record, frozen=True):
    """Certificates are for sale."""

    sale: bytes
    seller: bytes
    bundle: bytes
    count: int
    buyer: bytes
    amount: int
    valid_until_ms: int


class SaleEnded(Record, frozen=True):
    """Certificates are not for sale any more."""

    sale: bytes
    ending: SaleEnding


class HoldingCounted(Record, frozen=True):
    """What an account held between two closings: whole certificates x ms, and how many at the end (L-20)."""

    day: int
    member: bytes
    weighted: int
    held: int


class CarbonChanged(Record, frozen=True):
    """A member's allowance account of the open period is now this [g]."""

    member: bytes
    period: int
    carried: int
    quota: int
    bought: int
    sold: int
    emitted: int
    reported: bool


class AllowancesMoved(Record, frozen=True):
    """Allowances have another owner [g]."""

    period: int
    giver: bytes
    taker: bytes
    grams: int


class CarbonSettled(Record, frozen=True):
    """A member's account of a period was settled: S of A-14 [g]."""

    member: bytes
    period: int
    settled: int
    reported: bool


class Moved(Record, frozen=True):
    """A transfer that was posted, what it was for, and the day and contract that caused it, when there are such."""

    kind: Kind
    payer: bytes
    payee: bytes
    amount: int
    day: int
    contract: bytes


class DebtRecorded(Record, frozen=True):
    """What a debtor could not pay; `amount` is what is still open, 0 when it is paid."""

    debt: bytes
    debtor: bytes
    creditor: bytes
    amount: int
    kind: Kind
    day: int
    contract: bytes


class PageClosed(Record, frozen=True):
    """One feeder of a day was settled."""

    day: int
    feeder: str
    contracts: int


class DayClosed(Record, frozen=True):
    """A day was closed: standing updated, fines shared."""

    day: int


class DaySealed(Record, frozen=True):
    """A day is final and left the state."""

    day: int


class DisputeFiled(Record, frozen=True):
    """A member contests a settled day."""

    day: int
    member: bytes
    contract: bytes
    statement: str


class ValidatorChanged(Record, frozen=True):
    """A replica was admitted, got its vote, was given to a member, or was removed."""

    replica: bytes
    key: bytes
    member: bytes  # empty: nobody's yet
    seat: Seat


class VectorMade(Record, frozen=True):
    """A block made a version of who votes with how much power; a later block's round says that it is in force."""

    version: int
    voters: tuple[Voter, ...]
    learners: tuple[bytes, ...]


class RoundCounted(Record, frozen=True):
    """A block brought evidence that counts: who completed the quorum for an earlier one (A-12)."""

    height: int  # of the earlier one
    term: int
    old: int
    new: int
    proposer: bytes
    followers: tuple[bytes, ...]  # in the order of their answers


class EpochCounted(Record, frozen=True):
    """An epoch ended: what a replica's replies in its rounds made of its participation (A-12, A-16, L-16)."""

    replica: bytes
    member: bytes
    replies: int
    rounds: int
    before: int  # R [millionths of a point]
    after: int
    decayed: bool


class GroupFormed(Record, frozen=True):
    """A group of the next epoch: who carries a vote in it, and its sums of N [Wh] and T (B-3)."""

    epoch: int
    group: int
    members: tuple[bytes, ...]
    traded: int
    trust: int


class VoteCast(Record, frozen=True):
    """A member voted in its group (B-4)."""

    epoch: int
    group: int
    voter: bytes
    candidate: bytes


class Stood(Record, frozen=True):
    """A member stood for election."""

    epoch: int
    group: int
    member: bytes
    replica: bytes


class AgentSeated(Record, frozen=True):
    """A replica is in the committee of a version, at this place; `group` 0 and `votes` 0 where nobody elected it."""

    version: int
    place: int
    epoch: int
    replica: bytes
    group: int
    votes: int


class Attested(Record, frozen=True):
    """A replica that a certificate leaves out was shown to have signed for its height."""

    height: int
    replica: bytes


class Accused(Record, frozen=True):
    """A replica was proven to have signed two statements that exclude each other (B-6)."""

    epoch: int
    replica: bytes
    height: int
    view: int
    phase: int
    accuser: bytes


class ViewFailed(Record, frozen=True):
    """A replica was primary of so many views below that of a certificate, and nothing was certified in them."""

    epoch: int
    version: int
    replica: bytes
    views: int
    height: int


class OfficeSettled(Record, frozen=True):
    """An epoch's office was settled: heights in office and attended, of the epoch's, and whether the replica lied."""

    epoch: int
    replica: bytes
    heights: int
    attended: int
    of: int
    lied: bool


class TrustMoved(Record, frozen=True):
    """Office, a vote or idleness moved T of an account's side (B-5, B-7)."""

    epoch: int
    member: bytes
    side: Side
    why: Why
    replica: bytes  # whose conduct it was; empty for idleness
    backer: bool  # whether the owner voted for it, and does not run it
    before: int
    after: int


Fact = (
    AccountOpened
    | MeterAdded
    | RoleChanged
    | StatusChanged
    | KeyChanged
    | ActionProposed
    | ActionDecided
    | ParametersChanged
    | DayPublished
    | OfferMade
    | OfferWithdrawn
    | ContractMade
    | ContractEnded
    | ContractApproved
    | ContractCurtailed
    | FaultReported
    | FlowReported
    | ReadingTaken
    | ContractSettled
    | PositionSettled
    | MemberJudged
    | FineCharged
    | CreditDecayed
    | SideWeighed
    | EnergyCertified
    | CarryChanged
    | BundleMade
    | BundleMoved
    | BundleEnded
    | SaleOffered
    | SaleEnded
    | HoldingCounted
    | CarbonChanged
    | AllowancesMoved
    | CarbonSettled
    | Moved
    | DebtRecorded
    | PageClosed
    | DayClosed
    | DaySealed
    | DisputeFiled
    | ValidatorChanged
    | VectorMade
    | RoundCounted
    | EpochCounted
    | GroupFormed
    | VoteCast
    | Stood
    | AgentSeated
    | Attested
    | Accused
    | ViewFailed
    | OfficeSettled
    | TrustMoved
)
