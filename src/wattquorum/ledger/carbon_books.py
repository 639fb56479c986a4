"""The auditor's books of allowances: from facts alone, what every obliged account has bought, sold and emitted.

What they hold a chain to: what one account sells another one buys; nobody sells what its own emissions and deficits
need; a period settles to the sum of its facts, its surplus lapses and its deficit opens the next one (A-14, L-19).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.foundation.codec import changed
from wattquorum.ledger.facts import AllowancesMoved, CarbonChanged, CarbonSettled
from wattquorum.ledger.holdings import CarbonAccount, Registry
from wattquorum.ledger.laws import must
from wattquorum.ledger.state import State, Table

NEW: Final = CarbonAccount(0, 0, 0, 0, 0, False, 0, 0, False, 0)


class CarbonBooks:
    """Allowance accounts from facts [g]; `check` compares what changed with a state."""

    __slots__ = ("_accounts", "_period", "_touched")

    def __init__(self) -> None:
        self._accounts: dict[bytes, CarbonAccount] = {}
        self._period = 1
        self._touched: dict[bytes, None] = {}

    def adopt(self, state: State) -> None:
        """Starts from a state: its accounts are taken as they are."""
        self._accounts = dict(state.items(Table.CARBON))
        registry: Registry | None = state.get(Table.REGISTRY, b"")
        self._period = registry.carbon_period if registry else 1

    def enter(
        self,
        moved: Sequence[AllowancesMoved],
        changes: Sequence[CarbonChanged],
        settled: Sequence[CarbonSettled],
        moment_ms: int,
    ) -> None:
        """Takes over one transaction's facts."""
        opened, changes = (changes, []) if settled else ([], changes)
        periods = [each.period for told in (moved, changes, settled) for each in told]
        if periods and not self._accounts:
            self._period = periods[0]  # periods without accounts are closed without a fact
        for period in periods:
            must(period == self._period, "period", period, f"Period {self._period} is open.")
        for move in moved:
            self._move(move)
        told = {change.member: change for change in changes}
        for move in moved:
            must(move.giver in told and move.taker in told, "allowances", move.grams, "Both accounts must change.")
        for change in changes:
            self._change(change)
        if settled:
            self._settle(settled, moment_ms)
            self._check_opened(opened)

    def _move(self, move: AllowancesMoved) -> None:
        giver, taker = self._accounts.get(move.giver), self._accounts.get(move.taker)
        if giver is None or taker is None or move.giver == move.taker or move.grams <= 0:
            must(holds=False, field="allowances", value=move.grams, reason="They move between two obliged accounts.")
            return
        after = changed(giver, sold=giver.sold + move.grams)
        must(_left(after) >= 0, "allowances", move.grams, "The giver needs some of them for its own emissions.")
        self._accounts[move.giver] = after
        self._accounts[move.taker] = changed(taker, bought=taker.bought + move.grams)

    def _change(self, change: CarbonChanged) -> None:
        """What a fact says of an account is what was there, and one more grant or report."""
        known = change.member in self._accounts
        before = self._accounts.get(change.member, NEW)
        kept = change.carried, change.bought, change.sold
        must(
            kept == (before.carried, before.bought, before.sold),
            "allowances",
            change.member,
            "Its deficit, or what it bought and sold, differs from the moves.",
        )
        granted, reported = change.quota != before.quota, change.emitted != before.emitted or not before.reported
        must(change.quota >= before.quota, "quota", change.quota, "A quota is granted and never taken back.")
        must(known or granted, "quota", change.member, "An account begins with a quota.")
        if change.reported and not granted and reported:
            before = changed(before, emitted=change.emitted, reported=True)
        told = change.emitted, change.reported
        must(told == (before.emitted, before.reported), "emissions", change.member, "Nobody reported them.")
        self._accounts[change.member] = changed(before, quota=change.quota)
        self._touched[change.member] = None

    def _settle(self, settled: Sequence[CarbonSettled], moment_ms: int) -> None:
        told = {each.member: each for each in settled}
        must(
            len(told) == len(settled) and told.keys() == self._accounts.keys(),
            "period",
            self._period,
            "A period's close settles every account once.",
        )
        for member, account in self._accounts.items():
            left = _left(account)
            same = told[member].settled == left and told[member].reported == account.reported
            must(same, "settled", member, f"The books say {left} g.")
            deficit = -max(-left, 0)
            self._accounts[member] = CarbonAccount(
                deficit, 0, 0, 0, 0, False, left, account.quota, account.reported, moment_ms
            )
            self._touched[member] = None
        self._period += 1

    def _check_opened(self, opened: Sequence[CarbonChanged]) -> None:
        """Every account begins the next period with its deficit and nothing else."""
        told = {each.member: each for each in opened}
        expected = {
            member: CarbonChanged(member, self._period, account.carried, 0, 0, 0, 0, False)
            for member, account in self._accounts.items()
        }
        must(told == expected and len(told) == len(opened), "period", self._period, "It begins with deficits alone.")

    def check(self, state: State) -> None:
        """After a block: what was touched stands in the state as in the books, and nothing else came or went."""
        for member in self._touched:
            account = self._accounts[member]
            must(state.get(Table.CARBON, member) == account, "allowances", member, "The books have another account.")
        must(state.count(Table.CARBON) == len(self._accounts), "allowances", "accounts", "Some have no facts.")
        if not self._touched:
            return
        bought = sum(account.bought for account in self._accounts.values())
        sold = sum(account.sold for account in self._accounts.values())
        must(bought == sold, "allowances", bought, f"As many must be bought as are sold: {sold} g.")
        self._touched.clear()


def _left(account: CarbonAccount) -> int:
    """What an account has beyond what it sold and emitted [g]."""
    return account.quota + account.bought + account.carried - (account.sold + account.emitted)
