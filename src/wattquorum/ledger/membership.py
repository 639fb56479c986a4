"""Members, meters, keys and governance (A-1, L-17, L-24, L-25).

A registrar admits accounts against meter points; governors decide n of m, by heads and never by weight, on
parameters, delivery days, roles and lost keys, all through one mechanism: propose, approve, executed by the approval
that completes the number.
"""

from __future__ import annotations

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import Signed, address_of, is_signed, signed_bytes
from wattquorum.foundation.intervals import check_window
from wattquorum.foundation.quantities import POWER_MAX
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import check_prices
from wattquorum.ledger.accounts import GRANTABLE, Account, Role, Side, Status, check_active
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Day, DayStatus, MemberSide, Meter, Proposal, version_in_force
from wattquorum.ledger.facts import (
    AccountOpened,
    ActionDecided,
    ActionProposed,
    DayPublished,
    KeyChanged,
    MeterAdded,
    ParametersChanged,
    RoleChanged,
    StatusChanged,
)
from wattquorum.ledger.genesis import version_key
from wattquorum.ledger.money import is_barred
from wattquorum.ledger.parameters import FIXED, with_changes
from wattquorum.ledger.state import Table, day_key, side_key
from wattquorum.ledger.transactions import (
    Action,
    AddMeter,
    AddValidator,
    Approve,
    GrantRole,
    Leave,
    MeterPoint,
    Propose,
    PublishDay,
    RecoverKey,
    Register,
    RemoveValidator,
    RevokeRole,
    RotateKey,
    SetParameters,
    SetStatus,
    identifier,
    rotation_message,
)
from wattquorum.ledger.validators import add_validator, dismiss, remove_validator

ROTATION_PURPOSE = "rotation"
METERS_MAX = 64
AHEAD_BLOCKS_MAX = 1_000_000
FEEDERS_MAX = 1_000


def register(context: Context, payload: Register) -> None:
    """A registrar opens an account, with its meter points if it is a member (A-1)."""
    context.need(Role.REGISTRAR)
    address = address_of(context.chain_id, payload.key)
    if context.state.get(Table.ACCOUNT, address) is not None:
        raise Refused("account_exists", "key", payload.name)
    if context.state.count_at(Table.ACCOUNT, payload.name.lower().encode("ascii")):
        # Bills and reports show names; another grid or a second mill would pass for the first.
        raise Refused("account_exists", "name", payload.name, "Choose a name that no account has.")
    account = Account(payload.key, Status.ACTIVE, 0, 0, 0, 0, payload.name, payload.owner, context.now, 0)
    context.state.put(Table.ACCOUNT, address, account)
    context.tell(AccountOpened(address, payload.name, payload.owner))
    for point in payload.meters:
        _add_meter(context, address, point)


def add_meter(context: Context, payload: AddMeter) -> None:
    """A registrar adds a meter point to an account."""
    context.need(Role.REGISTRAR)
    member = context.account(payload.member, "member")
    if not member.key:
        raise Refused("out_of_range", "member", member.name, "Reserved accounts have no meters.")
    if member.left_ms:
        raise Refused("account_inactive", "member", member.name, "It leaves; register a new account.")
    _add_meter(context, payload.member, payload.meter)


def _add_meter(context: Context, address: bytes, point: MeterPoint) -> None:
    key = point.meter.encode("ascii")
    if context.state.get(Table.METER, key) is not None:
        raise Refused("meter_known", "meter", point.meter)
    if not 0 < point.limit_w <= POWER_MAX:
        raise Refused("out_of_range", "limit_w", point.limit_w, f"Choose 1..{POWER_MAX} W.")
    context.state.put(Table.METER, key, Meter(address, point, context.now))
    before = context.side(address, point.side)
    if before is None:
        parameters = context.parameters()
        after = MemberSide(
            (point.meter,), point.feeder, point.limit_w, parameters.initial_credit, parameters.initial_trust, 0, 0, 0, 0
        )
    else:
        if len(before.meters) >= METERS_MAX:
            raise Refused("out_of_range", "meters", len(before.meters) + 1, f"At most {METERS_MAX} per side.")
        after = changed(
            before,
            meters=tuple(sorted((*before.meters, point.meter))),
            limit_w=before.limit_w + point.limit_w,
        )
    context.state.put(Table.SIDE, side_key(address, point.side), after)
    account = context.account(address)
    roles = account.roles | (Role.GENERATOR if point.side is Side.SELL else Role.CONSUMER)
    context.change_account(address, roles=int(roles))
    context.tell(MeterAdded(address, point))
    context.tell(RoleChanged(address, int(roles)))


def set_status(context: Context, payload: SetStatus) -> None:
    """A registrar suspends an account or reinstates it.

    Who owes something is barred until it has paid (L-7), and who had decided to leave goes on leaving (L-24).
    """
    context.need(Role.REGISTRAR)
    if payload.status not in (Status.ACTIVE, Status.SUSPENDED):
        raise Refused("out_of_range", "status", payload.status.name, "Choose active or suspended.")
    account = context.account(payload.member, "member")
    reinstated = payload.status is Status.ACTIVE
    if not account.key or (reinstated and account.status not in (Status.ACTIVE, Status.SUSPENDED)):
        raise Refused("account_inactive", "member", account.name, "Only suspended accounts are reinstated.")
    if not reinstated and account.holds_office():
        raise Refused("role_held", "member", account.name, "Governors take its roles back first.")
    status: Status = payload.status
    if reinstated and account.left_ms:
        status = Status.LEAVING
    elif reinstated and is_barred(context, payload.member):
        status = Status.INDEBTED
    context.change_account(payload.member, status=status)
    context.tell(StatusChanged(payload.member, status, payload.reason))


def rotate_key(context: Context, payload: RotateKey) -> None:
    """A member changes its key; the new key proves itself. The address stays (L-24)."""
    message = rotation_message(context.chain_id, context.sender)
    if not is_signed(Signed(payload.key, signed_bytes(ROTATION_PURPOSE, message), payload.proof)):
        raise Refused("signature_forged", "proof", payload.proof, "Sign chain id and address with the new key.")
    context.change_account(context.sender, key=payload.key)
    context.tell(KeyChanged(context.sender, payload.key, False))


def leave(context: Context, _: Leave) -> None:
    """A member stops trading for good; its money is free once everything of its is final (L-24)."""
    account = context.account(context.sender)
    check_active(account, "sender")
    if account.holds_office():
        raise Refused("role_held", "sender", account.name, "Governors take its roles back first.")
    context.change_account(context.sender, status=Status.LEAVING, left_ms=context.now)
    context.tell(StatusChanged(context.sender, Status.LEAVING, "the member leaves"))
    dismiss(context, context.sender)


# Governance


def propose(context: Context, payload: Propose) -> None:
    """A governor proposes an action and approves it; where one approval is enough, it is executed.

    Proposals that have expired leave the state with the next one that is made.
    """
    context.need(Role.GOVERNOR)
    for key, old in list(context.state.items(Table.PROPOSAL)):
        if old.expires_ms < context.now:
            context.state.drop(Table.PROPOSAL, key)
    proposal = identifier(context.hash)
    expires = context.now + context.parameters().proposal_ms
    context.state.put(Table.PROPOSAL, proposal, Proposal(payload.action, (), expires))
    context.tell(ActionProposed(proposal, context.sender, type(payload.action).__name__))
    _approve(context, proposal)


def approve(context: Context, payload: Approve) -> None:
    """A governor approves; the approval that completes the number executes the action (L-25)."""
    context.need(Role.GOVERNOR)
    _approve(context, payload.proposal)


def _approve(context: Context, key: bytes) -> None:
    proposal: Proposal | None = context.state.get(Table.PROPOSAL, key)
    if proposal is None:
        raise Refused("proposal_unknown", "proposal", key)
    if proposal.expires_ms < context.now:
        raise Refused("proposal_expired", "proposal", key)
    if context.sender in proposal.approvals:
        raise Refused("already_approved", "proposal", key)
    # An approval of a governor that lost the role in between does not count.
    still = [each for each in proposal.approvals if context.account(each).has(Role.GOVERNOR)]
    approvals = tuple(sorted((*still, context.sender)))
    if len(approvals) < context.chain().approvals_needed:
        context.state.put(Table.PROPOSAL, key, changed(proposal, approvals=approvals))
        return
    context.state.drop(Table.PROPOSAL, key)
    _execute(context, proposal.action)
    context.tell(ActionDecided(key))


def _execute(context: Context, action: Action) -> None:
    match action:
        case SetParameters():
            _set_parameters(context, action)
        case PublishDay():
            _publish_day(context, action)
        case GrantRole():
            _change_role(context, action.account, action.role, granted=True)
        case RevokeRole():
            _change_role(context, action.account, action.role, granted=False)
        case RecoverKey():
            if not context.account(action.account).key:
                raise Refused("out_of_range", "account", action.account, "Reserved accounts have no key.")
            context.change_account(action.account, key=action.key)
            context.tell(KeyChanged(action.account, action.key, True))
        case AddValidator():
            add_validator(context, action)
        case RemoveValidator():
            remove_validator(context, action)


def _set_parameters(context: Context, action: SetParameters) -> None:
    for name, value in action.changes:
        if name in FIXED:
            raise Refused("parameter_fixed", name, value)
    chain = context.chain()
    latest = context.parameters(len(chain.parameter_starts) - 1)
    parameters = with_changes(latest, action.changes)
    earliest = max(context.height + context.parameters().notice_blocks, chain.parameter_starts[-1])
    if action.from_height < earliest:
        raise Refused("notice_short", "from_height", action.from_height, f"Choose height {earliest} or later.")
    if action.from_height > earliest + AHEAD_BLOCKS_MAX:
        # No version comes before an announced one: a slip here would keep every later change waiting for it.
        remedy = f"Choose height {earliest + AHEAD_BLOCKS_MAX} or earlier."
        raise Refused("out_of_range", "from_height", action.from_height, remedy)
    version = len(chain.parameter_starts)
    context.state.put(Table.PARAMETERS, version_key(version), parameters)
    context.state.put(Table.CHAIN, b"", changed(chain, parameter_starts=(*chain.parameter_starts, action.from_height)))
    context.tell(ParametersChanged(version, parameters, action.from_height))


def _change_role(context: Context, address: bytes, role: int, *, granted: bool) -> None:
    if role not in [int(each) for each in GRANTABLE]:
        raise Refused("role_unknown", "role", role, "Generator and consumer come with meters; grant one of the others.")
    account = context.account(address)
    if not account.key:
        raise Refused("out_of_range", "account", account.name, "Reserved accounts have no roles.")
    if not granted and role == Role.GOVERNOR:
        governors = sum(each.has(Role.GOVERNOR) for _, each in context.state.items(Table.ACCOUNT))
        if account.has(Role.GOVERNOR) and governors <= context.chain().approvals_needed:
            raise Refused("governors_too_few", "role", governors - 1)
    roles = account.roles | role if granted else account.roles & ~role
    context.change_account(address, roles=roles)
    context.tell(RoleChanged(address, roles))


def _publish_day(context: Context, action: PublishDay) -> None:
    window = action.window
    check_window(window)
    if action.gate_ms <= context.now or window.start_ms <= context.now:
        raise Refused("window_past", "gate_ms", action.gate_ms)
    deadlines = (
        action.gate_ms,
        window.start_ms,
        window.end_ms,
        action.readings_due_ms,
        action.substitute_ms,
        action.final_ms,
    )
    if list(deadlines) != sorted(deadlines):
        remedy = "Order them gate, start, end, readings due, substitution, final day."
        raise Refused("out_of_range", "deadlines", deadlines, remedy)
    if not 1 <= len(action.feeders) <= FEEDERS_MAX or list(action.feeders) != sorted(dict.fromkeys(action.feeders)):
        raise Refused("out_of_range", "feeders", action.feeders, "Name each feeder once, in ascending order.")
    for field in ("feed_in", "grid_price", "over_grid_fee"):
        check_prices(getattr(action, field), window.intervals, field)
    for _, day in context.state.items(Table.DAY):
        if day.window.overlaps(window):
            code = "day_exists" if day.window.start_ms == window.start_ms else "day_overlaps"
            raise Refused(code, "window", window.start_ms)
    version = version_in_force(context.chain(), context.height)
    day = Day(
        window,
        action.feeders,
        action.feed_in,
        action.grid_price,
        action.over_grid_fee,
        action.gate_ms,
        action.readings_due_ms,
        action.substitute_ms,
        action.final_ms,
        version,
        context.now,
        DayStatus.OPEN,
        (),
    )
    context.state.put(Table.DAY, day_key(window.start_ms), day)
    context.tell(
        DayPublished(
            window.start_ms,
            window,
            action.feeders,
            action.feed_in,
            action.grid_price,
            action.over_grid_fee,
            action.gate_ms,
            action.readings_due_ms,
            action.final_ms,
            version,
        )
    )
