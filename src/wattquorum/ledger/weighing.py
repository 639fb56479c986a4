"""Weighing: every member's weight after a closed day, from what the ledger knows of it (A-7, A-8, A-11, A-15).

Credit is updated with the day's judgement; here volume and line follow from the same day, and all components are put
together. Weights are told and not stored: they are a function of the state, and whoever needs them computes them. What
the ledger does not know yet counts as the rules say of one that has nothing: participation 0 without a replica,
carbon neutral for members that are not obliged or whose first period is not closed (L-19).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Carbon, Energy, Points, Ppm
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.context import Context, promised_to
from wattquorum.ledger.entities import Day, MemberDay, MemberSide
from wattquorum.ledger.facts import SideWeighed
from wattquorum.ledger.metering import MemberKey, counting, faults_at
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.state import State, Table, side_key
from wattquorum.market.penalties import defaults
from wattquorum.standing.voters import Member, OneSide
from wattquorum.standing.weight import (
    NEUTRAL,
    NOTHING,
    CarbonOutcome,
    Components,
    Scale,
    carbon,
    certificates,
    line,
    volume,
    volume_scale,
    weight,
)

SIDES: Final = {int(side): side for side in Side}


class Weighed(NamedTuple):
    """A member's side, its components and its weight."""

    member: bytes
    side: Side
    components: Components
    weight: Points


def count_day(context: Context, day: Day, parameters: Parameters) -> None:
    """Volume and transmissions of a day that is being closed, for every member (A-11, A-15, L-18).

    Whoever did not promise anything has volume 0 after it. A later correction changes neither [chosen].
    """
    start = day.window.start_ms
    judged: dict[MemberKey, MemberDay] = {
        (key[8:-1], Side(key[-1])): context.state.get(Table.MEMBER_DAY, key)
        for key in context.state.of_day(Table.MEMBER_DAY, start)
    }
    by_owner: dict[tuple[str, Side], list[MemberDay]] = {}
    for (address, side), account_day in judged.items():
        by_owner.setdefault((context.account(address).legal_owner, side), []).append(account_day)
    tolerance = Ppm(parameters.tolerance)
    kept: dict[Side, list[Energy]] = {side: [] for side in Side}
    for (_, side), accounts in by_owner.items():
        kept[side].append(_kept(accounts, tolerance))
    scales = {side: volume_scale(each) for side, each in kept.items()}
    for key, before in list(context.state.items(Table.SIDE)):
        member: MemberSide = before
        side = Side(key[-1])
        own = judged.get((key[:-1], side))
        points = 0
        if own is not None and own.promised:
            whole = by_owner[context.account(key[:-1]).legal_owner, side]
            delivered = Energy(sum(each.delivered for each in whole))
            points = int(volume(delivered, scales[side], Ppm(parameters.volume_factor)))
        sent, failed = _transmissions(context, day, key[:-1], side) if own is not None else (0, 0)
        after = changed(member, volume=points, transmissions=member.transmissions + sent, failed=member.failed + failed)
        if after != member:
            context.state.put(Table.SIDE, key, after)


def _kept(accounts: Sequence[MemberDay], tolerance: Ppm) -> Energy:
    """What an owner delivered on one side with all of its accounts, or 0 if it broke its promises (L-4)."""
    promised, delivered = sum(each.promised for each in accounts), sum(each.delivered for each in accounts)
    broke = defaults(Energy(promised), Energy(promised - delivered), tolerance)
    return Energy(0 if broke else delivered)


def _transmissions(context: Context, day: Day, address: bytes, side: Side) -> tuple[int, int]:
    """In how many intervals of a day a side promised energy, and how many of them lay under a recorded fault."""
    start, intervals = day.window.start_ms, day.window.intervals
    promised = promised_to(context.state, start, address, side, intervals) > 0
    faulty = np.zeros(intervals, dtype=np.bool_)
    for meter in counting(context, day, address, side):
        for fault in faults_at(context, start, meter):
            faulty[fault.first : fault.end] = True
    return int(promised.sum()), int((promised & faulty).sum())


def weights(state: State, parameters: Parameters) -> list[Weighed]:
    """The weight of every member's side as the state has it, by ascending address, sell before buy."""
    found = []
    held, emitted = certificate_points(state, Scale(parameters.certificate_scale)), carbon_points(state)
    taking_part = participation_points(state)
    generator, consumer = parameters.generator_coefficients, parameters.consumer_coefficients
    for key, each in state.items(Table.SIDE):
        own: MemberSide = each
        address, side = key[:-1], SIDES[key[-1]]
        if side is Side.SELL:
            of_line, coefficients = line(own.transmissions, own.failed), generator
        else:
            of_line, coefficients = NOTHING, consumer
        components = Components(
            Points(own.credit),
            Points(own.volume),
            taking_part.get(address, NOTHING),
            held.get(address, NOTHING),
            emitted.get(address, NEUTRAL),
            of_line,
        )
        found.append(Weighed(address, side, components, weight(components, coefficients)))
    return found


def members(state: State, parameters: Parameters) -> list[Member]:
    """Every account with a side as the state has it, by ascending address: weight, N, T and whose it is."""
    sides: dict[bytes, dict[Side, OneSide]] = {}
    for weighed in weights(state, parameters):
        own: MemberSide = state.get(Table.SIDE, side_key(weighed.member, weighed.side))
        one = OneSide(weighed.weight, Energy(own.traded), Points(own.trust))
        sides.setdefault(weighed.member, {})[weighed.side] = one
    found = []
    for address, of in sides.items():
        account: Account = state.get(Table.ACCOUNT, address)
        found.append(Member(address, account.legal_owner, of.get(Side.SELL), of.get(Side.BUY)))
    return found


def participation_points(state: State) -> dict[bytes, Points]:
    """A-12 for every member whose replica votes or learns."""
    return {
        each.member: Points(each.participation)
        for _, each in state.items(Table.VALIDATOR)
        if each.member and each.seat is not Seat.REMOVED
    }


def certificate_points(state: State, scale: Scale) -> dict[bytes, Points]:
    """A-13 for every account that held certificates between the last two closings (L-20)."""
    counted: dict[bytes, int] = {key: holding.counted for key, holding in state.items(Table.HOLDING)}
    return dict(zip(counted, certificates(list(counted.values()), list(counted), scale), strict=True))


def carbon_points(state: State) -> dict[bytes, Points]:
    """A-14 for every obliged member that has a closed period; the others are neutral (L-19)."""
    settled: dict[bytes, CarbonOutcome] = {
        key: CarbonOutcome(True, Carbon(own.settled_quota), Carbon(own.settled) if own.settled_reported else None)
        for key, own in state.items(Table.CARBON)
        if own.closed_ms
    }
    return dict(zip(settled, carbon(list(settled.values())), strict=True))


def tell_weights(context: Context, day: int, parameters: Parameters) -> None:
    """Tells readers every side's weight after a closed day."""
    for member, side, components, points in weights(context.state, parameters):
        own = context.side(member, side)
        assert own is not None
        context.tell(SideWeighed(day, member, side, *components, points, own.transmissions, own.failed))
