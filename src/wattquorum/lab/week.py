"""The trading week: members trade every day's power on the ledger, from the first offer to the final day.

The run is the market's calendar. Each morning governors publish tomorrow, the cashier credits what members paid in,
and members negotiate in rounds until the gate; the grid operator approves; the morning after delivery the meter
operator commits to readings and the grid operator closes the day; corrections follow in the evening. Everything that
happens is a signed transaction in a block of a chain on disk, and members see what the ledger shows them and their own
readings, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MS_PER_HOUR, Energy, Millis, parse_price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, energies, pack_energy, pack_prices
from wattquorum.lab.calendar import TradingDay, days_from, local_date, moment, trading_day
from wattquorum.lab.cast import SIDES, Signer, demo_genesis, registration
from wattquorum.lab.cluster import Cluster, Replicas, replica_name
from wattquorum.lab.funding import wanted_balance
from wattquorum.lab.green import DAYS_BEFORE, GreenOffices
from wattquorum.lab.grid_operator import Contracted, Grid, GridOperator
from wattquorum.lab.live import LiveCluster
from wattquorum.lab.members import Member
from wattquorum.lab.offices import CASHIER, GOVERNORS, GRID_OPERATOR, METER_OPERATOR, REGISTRAR, ROLES
from wattquorum.lab.telemetry import estimated, marked, metered_row, outage_of, same_intervals_before
from wattquorum.ledger.accounts import Side, legal_owner
from wattquorum.ledger.blocks import Outcome as Done
from wattquorum.ledger.context import Tariffs
from wattquorum.ledger.entities import ContractStatus
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import ContractMade, ReadingTaken
from wattquorum.ledger.genesis import chain_id_of, version_key
from wattquorum.ledger.readings import Row, decode_rows, encode_rows, root_of_rows
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import (
    AddValidator,
    Approve,
    ApproveContracts,
    CloseDay,
    ClosePage,
    CommitReadings,
    Curtail,
    Deposit,
    FlowKind,
    Offer,
    Payload,
    Propose,
    PublishDay,
    SealDay,
    identifier,
)
from wattquorum.node.lone import LoneNode
from wattquorum.records.meter_table import MeterTable
from wattquorum.simulation.demo_keys import DemoSecrets
from wattquorum.traders.forecast import Forecast, ForecastService, Kind, Metered, together
from wattquorum.traders.situation import Board, Known, Outcome, Rounds, directory_of, look, past_days
from wattquorum.traders.strategy import Step, Strategy, load_strategy
from wattquorum.traders.streams import stream

CURRENCY: Final = "CNY"
FEED_IN: Final = parse_price("0.40 CNY/kWh", CURRENCY)
GRID_PRICE: Final = parse_price("0.75 CNY/kWh", CURRENCY)
OVER_GRID_FEE: Final = parse_price("0.04 CNY/kWh", CURRENCY)
APPROVED_AT_ONCE: Final = 2_000
CERTIFIED_AFTER_MS: Final = 30 * 60_000
SETTLE_MS: Final = 60_000  # between two steps of the same hour


Ordering = LoneNode | Cluster | LiveCluster
Act = Callable[[TradingDay, int], None]


@dataclass(frozen=True, slots=True)
class WeekPlan:
    """What is to be traded: by whom, on which readings, over which days, with which forecasts."""

    members: tuple[Member, ...]
    table: MeterTable
    zone: ZoneInfo
    first: date
    days: int
    forecast: Kind
    seed: int
    strategies_folder: Path | None = None
    outages: bool = True  # modelled on top of the readings, which real ones have of themselves
    grid: Grid | None = None  # without one the operator approves whatever was contracted
    replicas: Replicas | None = None  # without any one sequencer orders alone

    @property
    def secrets(self) -> DemoSecrets:
        """The keys and salts of this demo."""
        return DemoSecrets(self.seed, demo=True)

    def genesis(self) -> bytes:
        """The genesis of this demo's chain, an hour before anything happens."""
        opening = moment(self.first - timedelta(days=1), time(6, 0), self.zone)
        if self.replicas is None:
            return demo_genesis(self.secrets, "trading-week", CURRENCY, opening)
        names, parameters = self._replica_names, self.replicas.parameters
        return demo_genesis(self.secrets, "trading-week", CURRENCY, opening, names, parameters)

    @property
    def _replica_names(self) -> list[str]:
        """By what the keys of the replicas derive from the seed."""
        return [replica_name(number) for number in range(self.replicas.count if self.replicas else 0)]

    def replica_keys(self) -> list[SigningKey]:
        """The replicas' keys in the order of their addresses: the order in which replicas of equal power stand.

        The first member runs the first, and so on: whatever the votes, the same members then run replicas at the same
        places of the world, so that runs with different engines can be compared.
        """
        return [SigningKey(seed) for seed in self.replica_seeds()]

    def replica_seeds(self) -> list[bytes]:
        """What these keys are made from, in the same order."""
        chain_id = chain_id_of(self.genesis())
        seeds = [self.secrets.key_seed(name) for name in self._replica_names]
        return sorted(seeds, key=lambda seed: address_of(chain_id, SigningKey(seed).public))

    def run_by(self) -> list[Member]:
        """The members that run the replicas: the first ones of different owners, each of whom runs one (L-17).

        Refused("out_of_range") when there are more replicas than owners, or none.
        """
        first: dict[str, Member] = {}
        for member in self.members:
            first.setdefault(legal_owner(member.owner), member)
        count = self.replicas.count if self.replicas else 0
        if self.replicas is not None and not 1 <= count <= len(first):
            remedy = f"Choose from 1 to {len(first)}: each legal owner among the members runs one replica."
            raise Refused("out_of_range", "replicas", count, remedy)
        return list(first.values())[:count]


def last_days(table: MeterTable, zone: ZoneInfo, days: int) -> date:
    """The first of the last `days` whole local days that every register of a table covers.

    Refused("intervals_missing") when there are too few of them. Earlier days are the members' history.
    """
    start, end = table.common_span
    after = local_date(end, zone)
    first = after - timedelta(days=days)
    if days < 1 or end <= start or moment(first, time(0), zone) < start:
        earliest = local_date(start - 1, zone) + timedelta(days=1)
        whole = max(0, (after - earliest).days) if end > start else 0
        raise Refused("intervals_missing", "days", days, f"Choose 1..{whole}: so many whole days are in the readings.")
    return first


@dataclass(frozen=True, slots=True)
class Trader:
    """One side of a member: what decides for it, its own random stream, and what it was told, by day."""

    member: Member
    side: Side
    meters: tuple[str, ...]
    strategy: Strategy
    random: np.random.Generator
    outcomes: dict[int, list[Outcome]]
    forecasts: dict[int, Forecast]


class Week:
    """One run: a plan, a node to order on, and the members."""

    def __init__(self, plan: WeekPlan, node: Ordering, told: Callable[[Executed], None]) -> None:
        """`told` gets every block as soon as it is durable."""
        self._plan = plan
        self._node = node
        self._told = told
        self._secrets = plan.secrets
        parties = [*ROLES, *(member.name for member in plan.members)]
        self._signer = Signer(self._secrets, node.ledger.genesis_bytes, parties)
        self._tariffs = Tariffs()
        self._deposits = 0
        self._days = [trading_day(day, plan.zone, plan.table.interval_ms) for day in days_from(plan.first, plan.days)]
        self._feeders = tuple(sorted({meter.feeder for member in plan.members for meter in member.meters}))
        limits = {
            meter.meter_id: Metered(meter.technology, meter.limit) for member in plan.members for meter in member.meters
        }
        self._directions = {m.meter_id: m.direction for member in plan.members for m in member.meters}
        self._forecasts = ForecastService(plan.forecast, limits, self._actual, plan.seed)
        self._feeder_of = {meter.meter_id: meter.feeder for member in plan.members for meter in member.meters}
        self._traders = [trader for member in plan.members for trader in self._traders_of(member)]
        self._readings = {meter: self._readings_before(meter) for meter in limits}
        self._meter_of = {(self.address(t.member.name), t.side): t.meters[0] for t in self._traders}
        self._late: dict[int, list[str]] = {}
        self._green = GreenOffices(plan.members, self._signer.addresses)
        self._made: dict[int, list[ContractMade]] = {}  # contracts by day, as they were made
        self._reported: dict[int, int] = {}  # the last version of a day's metered flow
        self.grid_operator = GridOperator(plan.grid, plan.members, plan.table) if plan.grid else None

    def _traders_of(self, member: Member) -> list[Trader]:
        """A trader for each side that the member has a meter for, each with a strategy and a stream of its own."""
        traders = []
        for side in Side:
            meters = tuple(meter.meter_id for meter in member.meters if SIDES[meter.direction] is side)
            if meters:
                name, options = strategy_of(member)
                strategy = load_strategy(name, options, self._plan.strategies_folder)
                random = stream(self._plan.seed, "trader", member.name, side.name)
                traders.append(Trader(member, side, meters, strategy, random, {}, {}))
        return traders

    def _readings_before(self, meter: str) -> dict[int, Int64s]:
        """A meter's readings of the whole days before the first traded one, by the day's start."""
        plan = self._plan
        start, _ = plan.table.common_span
        known: dict[int, Int64s] = {}
        for day in days_from(local_date(start, plan.zone), (plan.first - local_date(start, plan.zone)).days):
            window = trading_day(day, plan.zone, plan.table.interval_ms).window
            if window.start_ms >= start:
                known[window.start_ms] = self._actual(meter, window)
        return known

    def _forecast(self, trader: Trader, window: Window, history: Int64s) -> Forecast:
        """A trader's forecast of a day, told once in the first round."""
        told = trader.forecasts.get(window.start_ms)
        if told is None:
            told = together([self._forecasts.day_ahead(meter, window, history) for meter in trader.meters])
            trader.forecasts[window.start_ms] = told
        return told

    @property
    def steps(self) -> int:
        """How many steps the run has, for progress."""
        return 1 + (self._plan.replicas is not None) + len(self._agenda())

    def run(self) -> Iterator[None]:
        """Registers everybody, then follows the calendar to the last final day; yields after each of its `steps`."""
        plan = self._plan
        opening = moment(plan.first - timedelta(days=1), time(7, 0), plan.zone)
        executed = self._order(
            opening,
            [(REGISTRAR, registration(member, self._signer.key(member.name))) for member in plan.members],
        )
        for member, receipt in zip(plan.members, executed.block.receipts, strict=True):
            if receipt.outcome is not Done.DONE:
                raise Refused(receipt.code, f"{member.name}: {receipt.field}", receipt.value)
        at = self._say(opening + SETTLE_MS, self._green.grant(self._used_before()))
        yield
        if plan.replicas is not None:
            self._seat(at)
            yield
        for at, _, step, day in sorted(self._agenda(), key=_by_time):
            step(day, at)
            yield

    def _seat(self, at: int) -> None:
        """Two of three governors give each replica to the member that runs it, whose standing carries its vote."""
        plan = self._plan
        seats = [
            AddValidator(self.address(member.name), key.public)
            for member, key in zip(plan.run_by(), plan.replica_keys(), strict=True)
        ]
        executed = self._order(at, [(GOVERNORS[0], Propose(seat)) for seat in seats])
        proposals = [identifier(receipt.transaction) for receipt in executed.block.receipts]
        decided = self._order(at + SETTLE_MS, [(GOVERNORS[1], Approve(proposal)) for proposal in proposals])
        for receipt in decided.block.receipts:
            if receipt.outcome is not Done.DONE:
                raise Refused(receipt.code, receipt.field, receipt.value)

    def _agenda(self) -> list[tuple[int, int, Act, TradingDay]]:
        """What is done when: (moment, place among equals, step, day)."""
        agenda: list[tuple[int, int, Act, TradingDay]] = []
        for day in self._days:
            steps = [
                (day.published_ms, self._publish),
                (day.funded_ms, self._fund),
                *((at, self._negotiate) for at in day.rounds_ms),
                (day.decided_ms, self._decide),
                (day.readings_ms, self._read),
                (day.closed_ms, self._close),
                (Millis(day.closed_ms + CERTIFIED_AFTER_MS), self._certify),
                (day.corrected_ms, self._correct),
                (Millis(day.corrected_ms + CERTIFIED_AFTER_MS), self._certify),
                (Millis(day.final_ms + SETTLE_MS), self._seal),
            ]
            agenda.extend((at, len(agenda) + i, step, day) for i, (at, step) in enumerate(steps))
        return agenda

    def address(self, member: str) -> bytes:
        """A member's address on the chain."""
        return self._signer.addresses[member]

    # The calendar's steps

    def _publish(self, day: TradingDay, at: int) -> None:
        """Two of three governors agree on tomorrow: its window, tariffs and deadlines."""
        action = PublishDay(
            day.window,
            self._feeders,
            pack_prices([FEED_IN]),
            pack_prices([GRID_PRICE]),
            pack_prices([OVER_GRID_FEE]),
            day.gate_ms,
            day.readings_ms,
            day.substitute_ms,
            day.final_ms,
        )
        executed = self._order(at, [(GOVERNORS[0], Propose(action))])
        proposal = identifier(executed.block.receipts[0].transaction)
        self._order(at + SETTLE_MS, [(GOVERNORS[1], Approve(proposal))])

    def _fund(self, day: TradingDay, at: int) -> None:
        """The cashier credits what members' banks sent this morning."""
        deposits: list[tuple[str, Payload]] = []
        state = self._node.ledger.state
        published = state.get(Table.DAY, day_key(day.window.start_ms))
        tariff = self._tariffs.of(published)
        parameters = state.get(Table.PARAMETERS, version_key(published.parameters_version))
        for trader in self._traders:
            history = self._history(trader, day.window, at)
            mean = (
                history.sum(axis=0) // len(history) if len(history) else np.zeros(day.window.intervals, dtype=np.int64)
            )
            address = self._signer.addresses[trader.member.name]
            account = self._node.ledger.account(address)
            missing = wanted_balance(trader.side, mean, tariff, parameters) - (account.balance if account else 0)
            if missing > 0:
                self._deposits += 1
                reference = f"{trader.member.name}.{self._deposits}"
                deposits.append((CASHIER, Deposit(address, missing, reference)))
        self._order(at, deposits)

    def _negotiate(self, day: TradingDay, at: int) -> None:
        """One round: everybody decides on the same picture of the ledger; a block takes the answers as they arrive."""
        ledger, start = self._node.ledger, day.window.start_ms
        board, directory = Board(ledger.state, start, at), directory_of(ledger.state)
        index = day.rounds_ms.index(Millis(at))
        length = day.rounds_ms[1] - day.rounds_ms[0] if len(day.rounds_ms) > 1 else day.gate_ms - at
        rounds = Rounds(index, len(day.rounds_ms) - 1 - index, length)
        order = stream(self._plan.seed, "arrival", str(start), str(index)).permutation(len(self._traders))
        steps: list[tuple[Trader, Step]] = []
        for place in order.tolist():
            trader = self._traders[place]
            steps.extend((trader, step) for step in self._steps(trader, day, board, directory, rounds, at))
        executed = self._order(at, [(trader.member.name, step) for trader, step in steps])
        for (trader, step), receipt in zip(steps, executed.block.receipts, strict=True):
            offer = b"" if isinstance(step, Offer) else step.offer
            code = "" if receipt.outcome is Done.DONE else receipt.code
            trader.outcomes.setdefault(start, []).append(Outcome(offer, code))

    def _steps(
        self,
        trader: Trader,
        day: TradingDay,
        board: Board,
        directory: Mapping[bytes, Known],
        rounds: Rounds,
        at: int,
    ) -> Sequence[Step]:
        start = day.window.start_ms
        history = self._history(trader, day.window, at)
        situation = look(
            self._node.ledger.state,
            board,
            directory,
            self._signer.addresses[trader.member.name],
            trader.side,
            day=start,
            now_ms=at,
            rounds=rounds,
            history=history,
            forecast=self._forecast(trader, day.window, history),
            outcomes=tuple(trader.outcomes.get(start, ())),
        )
        try:
            decided: list[object] = list(trader.strategy.decide(situation, trader.random))
        except Exception as fault:  # a user's class may raise anything
            raise Refused("strategy_failed", trader.member.name, f"{trader.strategy.name}: {fault!r}") from fault
        steps = [step for step in decided if isinstance(step, Step)]
        for step in decided:
            if step not in steps:
                remedy = "decide returns Offer, Counter, Accept and WithdrawOffer."
                raise Refused("strategy_failed", trader.member.name, f"{trader.strategy.name}: {step!r}", remedy)
        return steps

    def _decide(self, day: TradingDay, at: int) -> None:
        """The grid operator approves what was contracted, as far as the grid can carry it (A-4, L-8)."""
        state, start = self._node.ledger.state, day.window.start_ms
        accepted = [
            made.contract
            for made in self._made.get(start, ())
            if state.get(Table.CONTRACT, day_key(start) + made.contract).status is ContractStatus.ACCEPTED
        ]
        said: list[Payload] = []
        planned: list[Payload] = []
        if self.grid_operator is not None:
            decision = self.grid_operator.decide([self._contracted(start, each) for each in accepted], day.window)
            for place, reason in sorted(decision.curtailment.reasons.items()):
                kept = pack_energy(decision.curtailment.kept[place])
                said.append(Curtail(start, accepted[place], kept, reason.text))
            accepted = [each for place, each in enumerate(accepted) if place not in decision.curtailment.reasons]
            planned = [self.grid_operator.report(decision.flow, start, FlowKind.PLANNED, 1)]
        pages = [tuple(accepted[i : i + APPROVED_AT_ONCE]) for i in range(0, len(accepted), APPROVED_AT_ONCE)]
        said.extend(ApproveContracts(start, page) for page in pages)
        self._order(at, [(GRID_OPERATOR, each) for each in (*said, *planned)])

    def _contracted(self, day: int, contract: bytes) -> Contracted:
        """A contract with the meters of its sides."""
        found = self._node.ledger.state.get(Table.CONTRACT, day_key(day) + contract)
        return Contracted(
            self._meter_of[found.seller, Side.SELL], self._meter_of[found.buyer, Side.BUY], energies(found.energy)
        )

    def _metered(self, day: TradingDay) -> list[tuple[str, Payload]]:
        """The grid operator's power flow of a day by the readings that are on the ledger, when it has a grid (L-9)."""
        if self.grid_operator is None:
            return []
        start = day.window.start_ms
        readings = {meter: known[start] for meter, known in self._readings.items()}
        version = self._reported[start] = self._reported.get(start, 0) + 1
        flow = self.grid_operator.metered(readings, day.window)
        return [(GRID_OPERATOR, self.grid_operator.report(flow, start, FlowKind.METERED, version))]

    def _read(self, day: TradingDay, at: int) -> None:
        """The meter operator commits to every feeder's rows; what an outage hid is estimated."""
        rows: dict[str, list[Row]] = {feeder: [] for feeder in self._feeders}
        for trader in self._traders:
            for meter in trader.meters:
                energy, quality = self._actual(meter, day.window), self._quality(meter, day.window)
                outage = outage_of(self._plan.seed, meter, day.window) if self._plan.outages else None
                if outage is not None:
                    before = same_intervals_before(list(self._readings[meter].values()), day.window.intervals)
                    energy, quality = estimated(energy, outage, before), marked(quality, outage)
                    self._late.setdefault(day.window.start_ms, []).append(meter)
                row = metered_row(self._secrets, meter, day.window, energy, quality, 1)
                rows[self._feeder_of[meter]].append(row)
        self._commit(day, at, rows)

    def _correct(self, day: TradingDay, at: int) -> None:
        """What an outage had hidden has arrived; the corrected rows replace the estimates."""
        rows: dict[str, list[Row]] = {feeder: [] for feeder in self._feeders}
        for meter in self._late.pop(day.window.start_ms, []):
            energy, quality = self._actual(meter, day.window), self._quality(meter, day.window)
            rows[self._feeder_of[meter]].append(metered_row(self._secrets, meter, day.window, energy, quality, 2))
        self._commit(day, at, rows)
        if any(rows.values()):
            self._order(at + SETTLE_MS, self._metered(day))

    def _commit(self, day: TradingDay, at: int, by_feeder: Mapping[str, list[Row]]) -> None:
        payloads: list[tuple[str, Payload]] = []
        attachments = []
        for feeder, rows in by_feeder.items():
            if rows:
                rows.sort(key=_by_meter)
                payloads.append(
                    (METER_OPERATOR, CommitReadings(day.window.start_ms, feeder, root_of_rows(rows), len(rows)))
                )
                attachments.append(encode_rows(rows))
        if payloads:
            self._order(at, payloads, attachments)

    def _close(self, day: TradingDay, at: int) -> None:
        """The grid operator reports what the grid lost, settles feeder by feeder, then closes the day."""
        start = day.window.start_ms
        open_pages: Sequence[str] = self._feeders
        said = self._metered(day)
        while open_pages:  # a page of many contracts takes several transactions
            done = self._order(at, [*said, *((GRID_OPERATOR, ClosePage(start, feeder)) for feeder in open_pages)])
            said = []
            closed = self._node.ledger.state.get(Table.DAY, day_key(start)).pages
            if any(receipt.outcome is not Done.DONE for receipt in done.block.receipts):
                break
            open_pages = [feeder for feeder in open_pages if feeder not in closed]
            at += SETTLE_MS
        if day is self._days[-1]:
            at = self._settle_carbon(at + SETTLE_MS)
        self._order(at, [(GRID_OPERATOR, CloseDay(start))])

    def _settle_carbon(self, at: int) -> int:
        """The week is the carbon period: emissions are reported, allowances moved, accounts settled. Tells when."""
        state = self._node.ledger.state
        for step in (self._green.report, self._green.balance, self._green.close):
            at = self._say(at, step(state))
        return at

    def _certify(self, day: TradingDay, at: int) -> None:
        """The issuer certifies what was measured, and holders roll up, sell, buy and retire."""
        state, window = self._node.ledger.state, day.window
        hour = max(1, MS_PER_HOUR // window.length_ms)
        at = self._say(at, self._green.issue(state, window.start_ms, hour))
        at = self._say(at, self._green.roll_up(state))
        at = self._say(at, self._green.offer(state, at + MS_PER_HOUR))
        at = self._say(at, self._green.buy(state, at))
        self._say(at, self._green.retire(state, f"consumption of {day.date.isoformat()}"))

    def _say(self, at: int, said: Sequence[tuple[str, Payload]]) -> int:
        """Orders what was said, if anything; when the next thing can be said."""
        if not said:
            return at
        self._order(at, said)
        return at + SETTLE_MS

    def _used_before(self) -> dict[str, Energy]:
        """What each member uses in as many days as are traded, by the mean of the last days before; 0 without any."""
        used: dict[str, Energy] = {}
        for trader in self._traders:
            if trader.side is Side.BUY:
                known = [[int(day.sum()) for day in self._readings[meter].values()] for meter in trader.meters]
                last = [days[-DAYS_BEFORE:] for days in known if days]
                used[trader.member.name] = Energy(sum(sum(days) * self._plan.days // len(days) for days in last))
        return used

    def _seal(self, day: TradingDay, at: int) -> None:
        """The day is final and leaves the state."""
        self._order(at, [(GRID_OPERATOR, SealDay(day.window.start_ms))])

    # Ordering, and what members know

    def _order(self, at: int, said: Sequence[tuple[str, Payload]], attachments: Sequence[bytes] = ()) -> Executed:
        """The parties' transactions as the next block; it is durable when this returns."""
        height, now = self._node.ledger.height, Millis(at)
        beside = {root_of_rows(decode_rows(data)): data for data in attachments}
        for party, payload in said:
            rows = beside.get(payload.root) if isinstance(payload, CommitReadings) else None
            refused = self._node.accept(self._signer.sign(party, payload, height, at), rows, now)
            if refused is not None:
                raise refused
        self._node.cut(now)
        (executed,) = self._node.write(now).finished
        self._told(executed)
        self._hear(executed)
        return executed

    def _hear(self, executed: Executed) -> None:
        """Members see their meters' readings as soon as they are on the ledger; the offices see contracts and more."""
        for facts in executed.facts:
            for fact in facts:
                self._green.hear(fact)
                if isinstance(fact, ReadingTaken):
                    self._readings[fact.meter][fact.day] = energies(fact.energy)
                elif isinstance(fact, ContractMade):
                    self._made.setdefault(fact.day, []).append(fact)

    def _history(self, trader: Trader, window: Window, at: int) -> Int64s:
        """A trader's own readings so far, summed over its meters [past days, intervals]."""
        rows = [past_days(self._readings[meter], window, at) for meter in trader.meters]
        days = min(len(each) for each in rows)
        total: Int64s = np.sum([each[len(each) - days :] for each in rows], axis=0)
        return total

    def _actual(self, meter: str, window: Window) -> Int64s:
        """What a meter will have counted: for the meter operator, and for the forecast service alone."""
        return self._plan.table.energy(meter, self._directions[meter], window.start_ms, window.end_ms)

    def _quality(self, meter: str, window: Window) -> bytes:
        """How the readings of a day came to be, an entry of `Quality` for each interval."""
        return self._plan.table.quality(meter, self._directions[meter], window.start_ms, window.end_ms)


def strategy_of(member: Member) -> tuple[str, dict[str, object]]:
    """The name and options of what decides for a member: its strategy, or the rule that it left (L-15)."""
    if member.recurring is None:
        return member.strategy, dict(member.options)
    rule = member.recurring
    return "recurring", {
        "share_of_forecast": rule.share_of_forecast,
        "price_min": rule.price_min,
        "price_max": rule.price_max,
        "partners": rule.partners,
        **dict(member.options),
    }


def _by_time(entry: tuple[int, int, Act, TradingDay]) -> tuple[int, int]:
    return entry[:2]


def _by_meter(row: Row) -> str:
    return row.meter
