"""Transactions: what members and operators sign.

The body is an array of chain id, sender, nonce, expiry height, expiry time and a tagged payload; the envelope is body
and signature. The signature covers a domain-separated prefix and the received body bytes, and the body must be the
one encoding of what it says. Two things can be wrong with a transaction: it may be inadmissible (its bytes, chain,
signature, nonce or expiry), then it leaves no trace but a receipt; or its payload may be refused, then it uses its
nonce. Rules: L-24, L-26.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.codec import Address, Decoder, Digest, Meta, Name, Record, Signed, Text, Unsigned, encode
from wattquorum.foundation.identities import KEY_BYTES, SigningKey, signed_bytes, tagged_hash
from wattquorum.foundation.identities import Signed as SignatureCheck
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side, Status

TRANSACTION_BYTES_MAX: Final = 65_536
PURPOSE: Final = "transaction"

Identifier = Annotated[bytes, Meta(min_length=16, max_length=16)]
Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Energies = Annotated[bytes, Meta(max_length=6_000)]  # packed, see foundation.vectors
Prices = Annotated[bytes, Meta(min_length=4, max_length=6_000)]  # packed; one entry holds for all intervals
Ratios = Annotated[bytes, Meta(max_length=6_000)]  # packed like energies; parts per million
Share = Annotated[int, Meta(ge=0, le=1_000_000)]


# Members and roles


class MeterPoint(Record, frozen=True):
    """A register of a meter: injection (SELL) or withdrawal (BUY), never netted (L-12)."""

    meter: Name
    side: Side
    feeder: Name
    limit_w: Unsigned  # P_max or connection limit [W] (A-4, L-10)
    technology: Name
    power_factor: Share  # [ppm]


class Register(Record, frozen=True, tag=1):
    """A registrar admits an account against its meter points (A-1, L-17); none for an operator."""

    key: Key
    name: Name
    owner: Name
    meters: tuple[MeterPoint, ...]


class AddMeter(Record, frozen=True, tag=2):
    """A registrar adds a meter point to a member."""

    member: Address
    meter: MeterPoint


class SetStatus(Record, frozen=True, tag=3):
    """A registrar suspends or reinstates a member (L-24)."""

    member: Address
    status: Status
    reason: Text


class RotateKey(Record, frozen=True, tag=4):
    """A member changes its key; the new key signs the address, so that nobody can install a key nobody holds."""

    key: Key
    proof: Signature


class Leave(Record, frozen=True, tag=5):
    """A member stops trading; its balance is frozen until everything is final (L-24)."""


# Governance: one mechanism for everything that governors decide n of m (L-25)


class SetParameters(Record, frozen=True, tag=1):
    """New values of parameters, by name, in force for days published from a height on."""

    changes: tuple[tuple[Name, Signed], ...]
    from_height: Unsigned


class PublishDay(Record, frozen=True, tag=2):
    """A delivery day with its tariffs and deadlines (L-6, L-13)."""

    window: Window
    feeders: tuple[Name, ...]
    feed_in: Prices  # ps: what the grid pays
    grid_price: Prices  # pb: what the grid takes
    over_grid_fee: Prices  # po: what the consumer pays for transport
    gate_ms: Unsigned  # trading ends
    readings_due_ms: Unsigned
    substitute_ms: Unsigned  # missing readings are substituted from here on (L-11)
    final_ms: Unsigned  # corrections end (L-11)


class GrantRole(Record, frozen=True, tag=3):
    """A role for an account."""

    account: Address
    role: Unsigned


class RevokeRole(Record, frozen=True, tag=4):
    """A role taken back."""

    account: Address
    role: Unsigned


class RecoverKey(Record, frozen=True, tag=5):
    """A new key for an account that lost its own."""

    account: Address
    key: Key


class AddValidator(Record, frozen=True, tag=46):
    """A replica of a member is admitted: as a learner, or a founding one that is given to its member (L-17)."""

    member: Address
    key: Key


class RemoveValidator(Record, frozen=True, tag=47):
    """A replica loses its vote."""

    replica: Address


Action = SetParameters | PublishDay | GrantRole | RevokeRole | RecoverKey | AddValidator | RemoveValidator


class Propose(Record, frozen=True, tag=6):
    """A governor proposes an action and thereby approves it."""

    action: Action


class Approve(Record, frozen=True, tag=7):
    """A governor approves a proposal; the approval that completes the quorum executes it."""

    proposal: Identifier


class ReadyValidator(Record, frozen=True, tag=48):
    """A member's replica has caught up and asks for its vote."""

    replica: Address


# Agents and their election


class Vote(Record, frozen=True, tag=49):
    """A member votes for the one of its group whose replica is to agree for them (B-4)."""

    candidate: Address


class Stand(Record, frozen=True, tag=50):
    """A member whose replica votes stands for election as its group's agent, while the epoch closes (B-4)."""


class OwnCommit(Record, frozen=True):
    """A replica's own COMMIT for what was certified at a height."""

    height: Unsigned
    view: Unsigned
    signature: Signature


class Attest(Record, frozen=True, tag=51):
    """A member shows that its replica signed for heights whose certificates leave it out (B-5)."""

    commits: Annotated[tuple[OwnCommit, ...], Meta(max_length=64)]


class Accuse(Record, frozen=True, tag=52):
    """Somebody shows that a member of a committee signed two statements that exclude each other (B-6)."""

    evidence: Equivocation


# Negotiation


class Offer(Record, frozen=True, tag=8):
    """A promise for a delivery day, to one partner or, with an empty partner, to everybody."""

    day: Unsigned
    side: Side
    partner: Annotated[bytes, Meta(max_length=20)]
    energy: Energies
    price: Prices
    valid_until_ms: Unsigned


class Counter(Record, frozen=True, tag=9):
    """An answer with other energy or another price, addressed to the author of the offer."""

    day: Unsigned
    offer: Identifier
    energy: Energies
    price: Prices
    valid_until_ms: Unsigned


class Accept(Record, frozen=True, tag=10):
    """The second signature: the offer becomes a contract (A-20, L-6, L-7)."""

    day: Unsigned
    offer: Identifier


class WithdrawOffer(Record, frozen=True, tag=11):
    """The author takes an offer back."""

    day: Unsigned
    offer: Identifier


class Cancel(Record, frozen=True, tag=12):
    """Both sides cancel a contract before the gate; the second cancellation counts (L-24)."""

    day: Unsigned
    contract: Identifier


# Grid and meters


class ApproveContracts(Record, frozen=True, tag=13):
    """The grid operator approves contracts (L-8)."""

    day: Unsigned
    contracts: tuple[Identifier, ...]


class Curtail(Record, frozen=True, tag=14):
    """The grid operator lowers a contract's promises, with the reason (L-8)."""

    day: Unsigned
    contract: Identifier
    energy: Energies
    reason: Text


class ReportFault(Record, frozen=True, tag=15):
    """The grid operator records a line fault at meters for intervals [first, end) (A-15, L-8)."""

    day: Unsigned
    meters: tuple[Name, ...]
    first: Unsigned
    end: Unsigned
    reason: Text


class FlowKind(IntEnum):
    """What a power flow was computed from: what was promised for a day, or what was metered on it."""

    PLANNED = 1
    METERED = 2


class Extreme(Record, frozen=True):
    """When a value of a reported flow is the lowest or highest of its day, and where: a node, line or transformer."""

    interval: Unsigned
    place: Text


class ReportFlow(Record, frozen=True, tag=45):
    """The grid operator's power flow of a day (A-3, L-9); it is computed beside the ledger and signed as it is."""

    day: Unsigned
    kind: FlowKind
    version: Unsigned
    grid: Digest  # of the grid file
    generation: Energies  # of all units, members or not
    consumption: Energies
    losses: Energies
    supply: Energies  # from the upper grid
    returned: Energies  # to the upper grid
    lowest_voltage: Ratios  # of the rated voltage
    highest_voltage: Ratios
    loading: Ratios  # of the most loaded line or transformer, of its rating
    lowest_at: Extreme
    highest_at: Extreme
    loaded_at: Extreme
    branches: Ratios  # loading of every line and transformer in the interval of `loaded_at`, in the grid file's order


class CommitReadings(Record, frozen=True, tag=16):
    """The meter operator commits to a feeder's rows of a day; the rows travel beside (L-23)."""

    day: Unsigned
    feeder: Name
    root: Digest
    rows: Unsigned


class ClosePage(Record, frozen=True, tag=17):
    """The grid operator settles one feeder's contracts and positions (L-14)."""

    day: Unsigned
    feeder: Name


class CloseDay(Record, frozen=True, tag=18):
    """The grid operator closes a day: default, credit, fines and shares (L-5, L-14)."""

    day: Unsigned


class SealDay(Record, frozen=True, tag=19):
    """The grid operator seals a day after its final day; it leaves the state."""

    day: Unsigned


# Money


class Deposit(Record, frozen=True, tag=20):
    """The cashier credits money that arrived outside, once per reference."""

    account: Address
    amount: Unsigned
    reference: Name


class WithdrawMoney(Record, frozen=True, tag=21):
    """A member asks for money; it is set aside until the cashier has paid it."""

    amount: Unsigned


class PayOut(Record, frozen=True, tag=22):
    """The cashier has paid a withdrawal outside, or returns it."""

    payout: Identifier
    paid: bool


class SettleDebt(Record, frozen=True, tag=23):
    """A debtor pays off a recorded debt, in part or whole (L-7)."""

    debt: Identifier
    amount: Unsigned


class Dispute(Record, frozen=True, tag=24):
    """A member records that it contests a settled day; it is decided outside the ledger (L-11)."""

    day: Unsigned
    contract: Annotated[bytes, Meta(max_length=16)]
    statement: Text


# Certificates and carbon


class IssueCertificates(Record, frozen=True, tag=30):
    """The issuer certifies what devices were measured to generate on a closed day, one bundle for `every` intervals."""

    day: Unsigned
    meters: tuple[Name, ...]
    every: Unsigned


class TransferCertificates(Record, frozen=True, tag=31):
    """The owner gives certificates of a bundle, the first `count` ones, to another account."""

    bundle: Identifier
    count: Unsigned
    to: Address


class SplitBundle(Record, frozen=True, tag=32):
    """The owner splits a bundle: the first `count` certificates and the rest (L-22)."""

    bundle: Identifier
    count: Unsigned


class RollUp(Record, frozen=True, tag=33):
    """The owner makes whole certificates of granular bundles of one device, taken in this order (A-5)."""

    bundles: tuple[Identifier, ...]


class OfferCertificates(Record, frozen=True, tag=34):
    """The owner offers certificates for money, to one buyer or, with an empty one, to anybody."""

    bundle: Identifier
    count: Unsigned
    buyer: Annotated[bytes, Meta(max_length=20)]
    amount: Unsigned  # for all of them [millionths]
    valid_until_ms: Unsigned


class BuyCertificates(Record, frozen=True, tag=35):
    """A buyer accepts an offer of certificates: money and certificates change hands at once."""

    sale: Identifier


class WithdrawSale(Record, frozen=True, tag=42):
    """The seller takes an offer of certificates back."""

    sale: Identifier


class RetireCertificates(Record, frozen=True, tag=36):
    """The owner uses certificates up, for a beneficiary or, with an empty one, for its own consumption (A-13)."""

    bundle: Identifier
    count: Unsigned
    beneficiary: Text
    purpose: Text


class WithdrawCertificates(Record, frozen=True, tag=37):
    """The issuer takes certificates back that should not have been issued (L-22)."""

    owner: Address
    bundle: Identifier
    reason: Text


class GrantQuota(Record, frozen=True, tag=38):
    """The carbon registry grants allowances for the open period; the first grant obliges a member (L-19)."""

    member: Address
    grams: Unsigned


class MoveAllowances(Record, frozen=True, tag=39):
    """An obliged member moves allowances to another one (A-14)."""

    to: Address
    grams: Unsigned


class ReportEmissions(Record, frozen=True, tag=40):
    """The carbon registry records a member's verified emissions of the open period; a later report replaces it."""

    member: Address
    period: Unsigned
    grams: Unsigned


class CloseCarbonPeriod(Record, frozen=True, tag=41):
    """The carbon registry settles every account and opens the next period (A-14, L-19)."""

    period: Unsigned


Payload = (
    Register
    | AddMeter
    | SetStatus
    | RotateKey
    | Leave
    | Propose
    | Approve
    | Offer
    | Counter
    | Accept
    | WithdrawOffer
    | Cancel
    | ApproveContracts
    | Curtail
    | ReportFault
    | ReportFlow
    | CommitReadings
    | ClosePage
    | CloseDay
    | SealDay
    | Deposit
    | WithdrawMoney
    | PayOut
    | SettleDebt
    | Dispute
    | IssueCertificates
    | TransferCertificates
    | SplitBundle
    | RollUp
    | OfferCertificates
    | BuyCertificates
    | RetireCertificates
    | WithdrawCertificates
    | GrantQuota
    | MoveAllowances
    | ReportEmissions
    | CloseCarbonPeriod
    | WithdrawSale
    | ReadyValidator
    | Vote
    | Stand
    | Attest
    | Accuse
)


class Body(Record, frozen=True):
    """What is signed."""

    chain: Annotated[bytes, Meta(min_length=16, max_length=16)]
    sender: Address
    nonce: Unsigned
    expiry_height: Unsigned
    expiry_ms: Unsigned
    payload: Payload


class Transaction(Record, frozen=True):
    """Body bytes and the sender's signature over them."""

    body: bytes
    signature: Signature


_transactions: Final = Decoder[Transaction](Transaction, "transaction")
_bodies: Final = Decoder[Body](Body, "transaction body")


class Received:
    """A transaction as it came in: its bytes, its hash, and what they say."""

    __slots__ = ("body", "data", "envelope", "hash")

    def __init__(self, data: bytes) -> None:
        """Decodes strictly; Refused on oversized, unreadable or non-canonical bytes."""
        if len(data) > TRANSACTION_BYTES_MAX:
            raise Refused("transaction_oversized", "transaction", f"{len(data)} bytes")
        self.data = data
        self.envelope = _transactions.decode(data)
        self.body = _bodies.decode(self.envelope.body)
        self.hash = transaction_hash(data)

    def check(self, key: bytes) -> SignatureCheck:
        """What must hold for the signature to be the sender's."""
        return SignatureCheck(key, signed_bytes(PURPOSE, self.envelope.body), self.envelope.signature)


def transaction_hash(data: bytes) -> bytes:
    """The hash by which a transaction is known."""
    return tagged_hash("transaction", data)


def identifier(hash_: bytes) -> bytes:
    """The 16-byte id of what a transaction created: an offer, a proposal, a payout."""
    return hash_[:16]


def sign(key: SigningKey, body: Body) -> bytes:
    """The signed transaction as bytes."""
    encoded = encode(body)
    return encode(Transaction(encoded, key.sign(PURPOSE, encoded)))


def rotation_message(chain_id: bytes, address: bytes) -> bytes:
    """What a new key signs to prove that somebody holds it."""
    return chain_id + address


PAYLOAD_TYPES: Final = Payload.__args__
