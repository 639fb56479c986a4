"""Strategies: what decides for a member, and how one is found by its name.

A strategy is any object with a name and `decide`. The shipped ones are in `SHIPPED`; a user's own class is named
`module:Class` and is looked for beside the members file first, then on Python's path. Options are keyword arguments.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol, runtime_checkable

import numpy as np

from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Accept, Counter, Offer, Payload, WithdrawOffer
from wattquorum.traders.situation import Situation

Step = Offer | Counter | Accept | WithdrawOffer

_payloads: Final = Decoder[Payload](Payload, "step")

SHIPPED: Final[Mapping[str, str]] = {
    "quantile": "wattquorum.traders.quantile:Quantile",
    "forecast": "wattquorum.traders.naive:AsForecast",
    "history": "wattquorum.traders.naive:History",
    "recurring": "wattquorum.traders.recurring:Recurring",
}


@runtime_checkable
class Strategy(Protocol):
    """Decides for one side of one member. It may keep notes of its own between rounds and days."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """The member's transactions of this round, in the order in which they are to be executed.

        `random` is the member's own stream. The ledger checks each step; a refused one shows up in the outcomes.
        """


def load_strategy(name: str, options: Mapping[str, object], folder: Path | None = None) -> Strategy:
    """A strategy by its shipped name or as `module:Class`, made with `options` as keyword arguments.

    Raises Refused("strategy_unknown") when it cannot be found and Refused("strategy_options") when the class does not
    take the options or has no `decide`.
    """
    place = SHIPPED.get(name, name)
    module_name, colon, class_name = place.partition(":")
    if not colon:
        raise Refused("strategy_unknown", "strategy", name, f"Choose {', '.join(SHIPPED)} or write module:Class.")
    try:
        module = _module(module_name, None if name in SHIPPED else folder)
        made = getattr(module, class_name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise Refused("strategy_unknown", "strategy", name, f"{error}") from error
    try:
        strategy = made(**options)
    except (TypeError, ValueError) as error:
        raise Refused("strategy_options", "options", name, f"{error}") from error
    if not isinstance(strategy, Strategy):
        raise Refused("strategy_options", "strategy", name, "Give the class a name and a method decide.")
    return strategy if name in SHIPPED else OwnStrategy(strategy)


class OwnStrategy:
    """A user's strategy: what it decides is read as the ledger would read it, while it is known who decided.

    Anything else would be refused only when it is signed, and then nobody could say whose it was.
    """

    __slots__ = ("_own", "name")

    def __init__(self, own: Strategy) -> None:
        self._own = own
        self.name = own.name

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """As the user's class decides; raises ValueError or Refused for what no transaction can be made of."""
        decided = list(self._own.decide(situation, random))
        most = situation.parameters.pending_max
        if len(decided) > most:
            raise ValueError(f"{len(decided)} steps in one round, where a member may have {most} under way")
        for step in decided:
            if isinstance(step, Step):
                _check_readable(step)
        return decided


def _check_readable(step: Step) -> None:
    """Raises ValueError when an encoded step does not read as itself."""
    try:
        read = _payloads.decode(encode(step))
    except (Refused, TypeError, OverflowError) as fault:
        raise ValueError(f"{step!r}: {fault}") from fault
    if read != step:
        raise ValueError(f"{step!r} reads as {read!r}")


def _module(name: str, folder: Path | None) -> ModuleType:
    """A module of that name in the folder, or anywhere on Python's path."""
    file = folder / f"{name}.py" if folder else None
    if file is None or not file.is_file():
        return importlib.import_module(name)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(file.resolve()):
        return known
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
