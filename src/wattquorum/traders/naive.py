"""Naive strategies, to compare with: promise what was, or what is forecast, as if it were certain.

They ship so that a report can show what uncertainty costs. They bargain like the others, so that only the promise
differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wattquorum.foundation.vectors import Int64s
from wattquorum.traders.negotiation import Haggler
from wattquorum.traders.situation import Situation
from wattquorum.traders.strategy import Step


class AsForecast:
    """Promises the forecast as it is."""

    name = "forecast"

    def __init__(
        self, *, opening: float | None = None, reserve: float | None = None, haste: float | None = None
    ) -> None:
        """Options as for `Haggler`."""
        self._haggler = Haggler(opening, reserve, haste)

    def promise(self, situation: Situation, price: Int64s) -> Int64s:  # noqa: ARG002 - promises do not look at it
        """The central values [Wh per interval]."""
        return situation.forecast.mean

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """This round's offers and answers."""
        return self._haggler.decide(situation, random, self.promise)


class History:
    """Promises the last profile that the member knows of itself, or the mean of them."""

    name = "history"

    def __init__(
        self,
        *,
        of: str = "last",
        opening: float | None = None,
        reserve: float | None = None,
        haste: float | None = None,
    ) -> None:
        """`of` is `last` or `mean`; the others as for `Haggler`."""
        if of not in ("last", "mean"):
            raise ValueError(f"of is {of!r}; give last or mean")
        self._of = of
        self._haggler = Haggler(opening, reserve, haste)

    def promise(self, situation: Situation, price: Int64s) -> Int64s:  # noqa: ARG002 - promises do not look at it
        """The past profile [Wh per interval]; nothing where there is none."""
        known = situation.history
        if len(known) == 0:
            return np.zeros(situation.window.intervals, dtype=np.int64)
        last: Int64s = known[-1]
        return last if self._of == "last" else np.rint(known.mean(axis=0)).astype(np.int64)

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """This round's offers and answers."""
        return self._haggler.decide(situation, random, self.promise)
