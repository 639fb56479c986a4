"""Parameters: the numbers behind the rules, as versioned state (L-25).

A governed transaction writes a new version; a delivery day pins the version in force when it is published, so that
everybody trades a day under the same rules and no contract ever changes under its parties. Every value has a range.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from wattquorum.foundation.codec import Record, changed
from wattquorum.foundation.quantities import INT64_MAX, MILLION, MONEY_MAX, POINTS_MAX, PRICE_MAX, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.election import Stakes, check_stakes
from wattquorum.standing.weight import Coefficients, check_coefficients


class Silence(IntEnum):
    """What becomes of a contract that the grid operator neither approved nor curtailed (L-8)."""

    APPROVE = 1
    LAPSE = 2


class Voting(IntEnum):
    """What a validator's vote is worth."""

    WEIGHTED = 1  # by its member's standing
    EQUAL = 2


class Consensus(IntEnum):
    """How a chain's replicas agree; its genesis says so once and for all."""

    RAFT = 1  # votes have weight; replicas crash, and none lies
    PBFT = 2  # everybody who votes agrees, by heads; some may lie
    CGPBFT = 3  # the agents of groups agree (B-8)


class Parameters(Record, frozen=True):
    """One version of all parameters; `RANGES` gives unit, range, default and meaning of each."""

    fee: int
    tolerance: int
    policy: int
    mu: int
    minimum_credit_loss: int
    collateral_loss: int
    initial_credit: int
    initial_trust: int
    reference_side: int
    max_share: int
    trust_loss: int
    eta: int
    decay_days: int
    band_waived: int
    silence: int
    grid_credit_limit: int
    epoch_ms: int
    drift_ms: int
    plausibility: int
    retention_days: int
    expiry_blocks_max: int
    pending_max: int
    notice_blocks: int
    offers_max: int
    proposal_ms: int
    volume_factor: int
    certificate_scale: int
    certificate_days: int
    a_credit: int
    a_volume: int
    a_participation: int
    a_certificates: int
    a_carbon: int
    a_line: int
    b_credit: int
    b_volume: int
    b_participation: int
    b_certificates: int
    b_carbon: int
    rho: int
    participation_epochs: int
    voting: int
    voters_lost: int
    hysteresis: int
    probation_days: int
    validators_max: int
    consensus: int
    groups: int
    tau_traded: int
    tau_trust: int
    alpha: int
    beta: int
    delta: int
    gamma: int
    view_loss: int
    view_voters_loss: int
    kappa: int
    stand_blocks: int

    @property
    def by_committee(self) -> bool:
        """Whether a committee agrees, by heads, of which some may lie."""
        return self.consensus != Consensus.RAFT

    @property
    def stakes(self) -> Stakes:
        """What office brings and costs (B-5)."""
        return Stakes(Points(self.alpha), Points(self.beta), Points(self.delta), Points(self.gamma))

    @property
    def view_stakes(self) -> Stakes:
        """The same where only the primacy of a view failed."""
        return Stakes(Points(self.alpha), Points(self.view_loss), Points(self.delta), Points(self.view_voters_loss))

    @property
    def generator_coefficients(self) -> Coefficients:
        """The coefficients a of A-7."""
        return Coefficients(
            Ppm(self.a_credit),
            Ppm(self.a_volume),
            Ppm(self.a_participation),
            Ppm(self.a_certificates),
            Ppm(self.a_carbon),
            Ppm(self.a_line),
        )

    @property
    def consumer_coefficients(self) -> Coefficients:
        """The coefficients b of A-8; lines do not count."""
        return Coefficients(
            Ppm(self.b_credit),
            Ppm(self.b_volume),
            Ppm(self.b_participation),
            Ppm(self.b_certificates),
            Ppm(self.b_carbon),
            Ppm(0),
        )


class Range(NamedTuple):
    """A parameter's declaration: admitted values lie in low..high."""

    name: str
    unit: str
    low: int
    high: int
    default: int
    meaning: str


RANGES: Final = (
    Range("fee", "millionths/kWh", 0, PRICE_MAX, 1_000, "handling fee per contracted kWh and side (A-20)"),
    Range("tolerance", "ppm", 0, 500_000, 50_000, "shortfall that is no default (L-4)"),
    Range("policy", "1 true_loss, 2 paper, 3 off", 1, 3, 1, "what a defaulter pays its partner (L-3, A-18)"),
    Range("mu", "millionths/(kWh point)", 0, MILLION, 5_000, "penalty coefficient of the fine (A-18)"),
    Range(
        "minimum_credit_loss", "millionths of a point", 0, POINTS_MAX, MILLION, "least loss a fine is taken on (A-18)"
    ),
    Range(
        "collateral_loss",
        "millionths of a point",
        0,
        POINTS_MAX,
        10 * MILLION,
        "credit loss that collateral covers (L-7)",
    ),
    Range("initial_credit", "millionths of a point", 0, POINTS_MAX, 50 * MILLION, "credit C at entry (A-9)"),
    Range("initial_trust", "millionths of a point", 0, POINTS_MAX, 50 * MILLION, "credit T at entry (B-1)"),
    Range("reference_side", "members", 1, MILLION, 15, "side size at which A-9 holds as written (L-5)"),
    Range("max_share", "ppm", 1, MILLION, 66_667, "greatest share of A-9 in one day (L-5)"),
    Range("trust_loss", "millionths of a point", 0, POINTS_MAX, 5 * MILLION, "m of B-2"),
    Range("eta", "ppm", 1, MILLION - 1, 900_000, "decay factor of credit (A-16)"),
    Range("decay_days", "closed days", 1, 10_000, 10, "l of A-16: days between two decays (L-16)"),
    Range("band_waived", "0 or 1", 0, 1, 0, "1 admits prices outside the band (L-6)"),
    Range("silence", "1 approve, 2 lapse", 1, 2, 1, "contracts the grid operator did not decide on (L-8)"),
    Range(
        "grid_credit_limit",
        "millionths",
        0,
        MONEY_MAX - 1,  # with all deposits it stays inside 64 bits
        MILLION * MILLION,
        "how far the grid account may be overdrawn (L-7)",
    ),
    Range("epoch_ms", "ms", 1_000, 31 * 86_400_000, 86_400_000, "length of an epoch (L-16)"),
    Range("drift_ms", "ms", 1, 3_600_000, 2_000, "how far a block's time may lie ahead of a quorum's clocks (L-26)"),
    Range("plausibility", "ppm of the limit", MILLION, 10 * MILLION, 1_500_000, "readings above this are absurd"),
    Range("retention_days", "days", 1, 36_500, 1_095, "how long rows of readings are kept (L-23)"),
    Range(
        "expiry_blocks_max", "blocks", 1, INT64_MAX >> 16, 1_000_000, "how far ahead a transaction may expire (L-26)"
    ),
    Range("pending_max", "transactions", 1, MILLION, 1_000, "pending transactions per sender (L-26)"),
    Range("notice_blocks", "blocks", 0, MILLION, 100, "notice before new parameters are in force (L-25)"),
    Range("offers_max", "offers", 1, MILLION, 1_000, "offers that a member makes for one day (L-6)"),
    Range("proposal_ms", "ms", 3_600_000, 365 * 86_400_000, 30 * 86_400_000, "how long a proposal is open (L-25)"),
    Range("volume_factor", "ppm", 0, 10 * MILLION, MILLION, "lambda of A-11"),
    Range("certificate_scale", "1 share, 2 max", 1, 2, 1, "what certificates held are compared with (L-20)"),
    Range("certificate_days", "days", 1, 3_650, 365, "from production to a certificate's expiry (L-20)"),
    Range("a_credit", "ppm", 0, MILLION, 300_000, "coefficient of credit for generators (A-7)"),
    Range("a_volume", "ppm", 0, MILLION, 150_000, "of volume"),
    Range("a_participation", "ppm", 0, MILLION, 150_000, "of participation"),
    Range("a_certificates", "ppm", 0, MILLION, 150_000, "of certificates"),
    Range("a_carbon", "ppm", 0, MILLION, 150_000, "of carbon"),
    Range("a_line", "ppm", 0, MILLION, 100_000, "of line faults; all six add up to 1,000,000"),
    Range("b_credit", "ppm", 0, MILLION, 350_000, "coefficient of credit for consumers (A-8)"),
    Range("b_volume", "ppm", 0, MILLION, 150_000, "of volume"),
    Range("b_participation", "ppm", 0, MILLION, 200_000, "of participation"),
    Range("b_certificates", "ppm", 0, MILLION, 150_000, "of certificates"),
    Range("b_carbon", "ppm", 0, MILLION, 150_000, "of carbon; all five add up to 1,000,000"),
    Range("rho", "millionths of a point", 0, POINTS_MAX, MILLION, "what replies in all rounds of an epoch earn (A-12)"),
    Range("participation_epochs", "epochs", 1, 10_000, 10, "between two decays of participation (A-16, L-16)"),
    Range("voting", "1 weighted, 2 equal", 1, 2, 1, "whether standing carries a validator's vote (A-7, A-8)"),
    Range("voters_lost", "voters", 0, 1_000, 0, "that may fail at once; 0: a third of all but one, at least one"),
    Range("hysteresis", "ppm of all power", 0, MILLION, 10_000, "change below which powers stay as they are"),
    Range("probation_days", "closed days", 0, 3_650, 7, "before a new validator's standing counts (L-17)"),
    Range("validators_max", "replicas", 1, 1_000, 50, "that vote or learn at most; every one of them costs (L-17)"),
    Range("consensus", "1 raft, 2 pbft, 3 cgpbft", 1, 3, 1, "how replicas agree; fixed by the genesis"),
    Range("groups", "groups", 4, 1_000, 4, "into which members are divided, and their agents (B-3)"),
    Range("tau_traded", "ppm of the mean", 0, MILLION, 20_000, "by how much groups' traded energy may differ (B-3)"),
    Range("tau_trust", "ppm of the mean", 0, MILLION, 20_000, "by how much groups' trust may differ (B-3)"),
    Range("alpha", "millionths of a point", 1, POINTS_MAX - 1, MILLION, "what an agent's office earns it (B-5)"),
    Range("beta", "millionths of a point", 2, POINTS_MAX, 5 * MILLION, "what misconduct costs an agent (B-5)"),
    Range("delta", "millionths of a point", 1, POINTS_MAX - 1, 500_000, "what its office earns its voters (B-5)"),
    Range("gamma", "millionths of a point", 2, POINTS_MAX, 2 * MILLION, "what its misconduct costs them (B-5)"),
    Range("view_loss", "millionths of a point", 2, POINTS_MAX, 2 * MILLION, "what a failed view costs its primary"),
    Range("view_voters_loss", "millionths of a point", 2, POINTS_MAX, 800_000, "and those who voted for it"),
    Range("kappa", "ppm", 0, MILLION, 980_000, "what idleness leaves of trust (B-7)"),
    Range("stand_blocks", "blocks", 1, 10_000, 20, "K: in which to stand for election; between two early ends"),
)

FIXED: Final = ("consensus",)  # by the genesis
BY_NAME: Final = {each.name: each for each in RANGES}
DEFAULTS: Final = Parameters(*(each.default for each in RANGES))


def with_changes(current: Parameters, changes: Sequence[tuple[str, int]]) -> Parameters:
    """A new version: every change checked against its range; one wrong change refuses all."""
    for name, value in changes:
        declared = BY_NAME.get(name)
        if declared is None:
            raise Refused("parameter_unknown", "parameter", name)
        if not declared.low <= value <= declared.high:
            remedy = f"Choose {name} from {declared.low} to {declared.high} ({declared.unit})."
            raise Refused("parameter_out_of_range", name, value, remedy)
    after = changed(current, **dict(changes))
    for coefficients in (after.generator_coefficients, after.consumer_coefficients):
        check_coefficients(coefficients)
    check_stakes(after.stakes)
    for gain, loss in (("alpha", "view_loss"), ("delta", "view_voters_loss")):
        least, cost = getattr(after, gain), getattr(after, loss)
        if cost <= least:
            raise Refused("parameter_out_of_range", loss, cost, f"Choose {loss} above {gain}, {least}.")
    return after


def check(parameters: Parameters) -> None:
    """Refuses a set with any value out of its range, as a genesis may contain."""
    with_changes(parameters, [(each.name, getattr(parameters, each.name)) for each in RANGES])
