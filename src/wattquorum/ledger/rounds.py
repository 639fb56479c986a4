"""Rounds: under which votes a block was ordered, and the evidence of who took part (A-12, L-16).

A proposer signs the term it leads and the versions that vote, both of them while a change is joint. From it the ledger
learns which vector is in force. Later the same leader tells who completed the quorum for a block of its, in the order
of their answers. The list is the leader's word: in the crash model it is trusted as far as its shape allows, and a list
of the wrong shape counts as none. What a selfish leader gains by naming its friends is the coefficient of
participation times 100 points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from wattquorum.consensus.configuration import Configuration
from wattquorum.foundation.codec import Address, Decoder, Meta, Record, Unsigned, changed, encode
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.quantities import Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Ordered, Round
from wattquorum.ledger.facts import EpochCounted, RoundCounted
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import KeptRound, Seat, Seats, Validator
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.validators import configuration_of, prune, seats_of, vector_of
from wattquorum.standing.credit import decay
from wattquorum.standing.participation import participation_after, valid_replies

LATE_MAX: Final = 64  # blocks after which nobody hears of who completed a quorum
HEIGHT_KEY_BYTES: Final = 8


class Evidence(Record, frozen=True):
    """Who completed the quorum for a block: the followers in order of their answers."""

    height: Unsigned
    followers: Annotated[tuple[Address, ...], Meta(max_length=1_000)]


decode_evidence: Final = Decoder[Evidence](Evidence, "evidence").decode


def height_place(height: int) -> bytes:
    """The key of a round that is kept."""
    return height.to_bytes(HEIGHT_KEY_BYTES, "big")


def check_round(state: State, chain_id: bytes, ordered: Ordered) -> None:
    """Refuses a round that cannot be: versions that fall or that nobody computed, a proposer without a vote in them."""
    round_, seats = ordered.round, seats_of(state)
    if not (seats.old <= round_.old <= round_.new <= seats.newest and seats.new <= round_.new):
        remedy = f"Name versions from {seats.old} and {seats.new} to {seats.newest}, the old one first."
        raise Refused("out_of_range", "round", f"{round_.old}, {round_.new}", remedy)
    proposer = address_of(chain_id, ordered.proposer)
    for version in (round_.old, round_.new):
        vector = vector_of(state, version)
        if vector is not None and any(voter.replica == proposer for voter in vector.voters):
            return
    raise Refused("role_missing", "proposer", ordered.proposer, "Only those who vote order blocks.")


def note_round(state: State, chain_id: bytes, height: int, ordered: Ordered) -> RoundCounted | None:
    """Takes over a block's round and its evidence; the round that the evidence proves, if it counts."""
    round_, seats = ordered.round, seats_of(state)
    seats = changed(seats, old=round_.old, new=round_.new)
    proposer = address_of(chain_id, ordered.proposer)
    counted = _counted(state, seats, height, proposer, round_, ordered.evidence) if ordered.evidence else None
    if counted is not None:
        _credit(state, counted.followers)
        seats = changed(seats, evidenced=counted.height, rounds=seats.rounds + 1)
    vector = vector_of(state, round_.new)
    assert vector is not None
    if len(vector.voters) > 1:
        state.put(Table.ROUND, height_place(height), KeptRound(proposer, round_.term, round_.old, round_.new))
    for key, _ in list(state.items(Table.ROUND)):
        at = int.from_bytes(key, "big")
        if at <= seats.evidenced or at + LATE_MAX <= height:
            state.drop(Table.ROUND, key)
    if seats != seats_of(state):
        state.put(Table.SEATS, b"", seats)
        prune(state)
    return counted


def _counted(
    state: State, seats: Seats, height: int, proposer: bytes, round_: Round, data: bytes
) -> RoundCounted | None:
    """The round that the evidence proves, which may be none."""
    try:
        evidence = decode_evidence(data)
    except Refused:
        return None
    of: KeptRound | None = state.get(Table.ROUND, height_place(evidence.height))
    if (
        of is None
        or (of.proposer, of.term) != (proposer, round_.term)
        or not seats.evidenced < evidence.height < height
    ):
        return None
    replies = valid_replies(voting_of(state, of.old, of.new), proposer, evidence.followers)
    if not replies:
        return None
    return RoundCounted(evidence.height, of.term, of.old, of.new, proposer, replies)


def _credit(state: State, followers: Sequence[bytes]) -> None:
    for replica in followers:
        validator: Validator = state.get(Table.VALIDATOR, replica)
        state.put(Table.VALIDATOR, replica, changed(validator, replies=validator.replies + 1))


def voting_of(state: State, old: int, new: int) -> Configuration:
    """The configuration of a round: joint where its versions differ."""
    configuration = configuration_of(state, new)
    return configuration if old == new else changed(configuration, old=configuration_of(state, old).new)


def end_epoch(state: State, parameters: Parameters) -> list[EpochCounted]:
    """Turns an epoch's replies into participation (L-16), and lets it decay where it is time (A-16).

    Tells of every replica, where there were rounds or its participation changed.
    """
    seats, told = seats_of(state), []
    decays = (seats.epochs + 1) % parameters.participation_epochs == 0
    for replica, each in list(state.items(Table.VALIDATOR)):
        validator: Validator = each
        if validator.seat is Seat.REMOVED:
            continue
        points = participation_after(
            Points(validator.participation), Points(parameters.rho), validator.replies, seats.rounds
        )
        if decays:
            points = decay(points, Ppm(parameters.eta))
        after = changed(validator, participation=int(points), replies=0)
        if after != validator:
            state.put(Table.VALIDATOR, replica, after)
        if seats.rounds or after != validator:
            before, now = validator.participation, after.participation
            told.append(EpochCounted(replica, validator.member, validator.replies, seats.rounds, before, now, decays))
    if len(list(state.items(Table.VALIDATOR))) > 1:
        state.put(Table.SEATS, b"", changed(seats, rounds=0, epochs=seats.epochs + 1))
    return told


def evidence_of(height: int, followers: tuple[bytes, ...]) -> bytes:
    """The evidence of who completed the quorum for a block."""
    return encode(Evidence(height, followers))
