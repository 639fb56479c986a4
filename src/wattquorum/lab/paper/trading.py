"""Trading: what each round's day does to the standing of all nodes, for many seeds at once (sections 5.1 to 5.3).

Every pair promises a volume near its usual one. Who does not default delivers what it promised, to the Wh; who defaults
misses a part of it. From that follow credit, volume and certificates, and from the odds of a line its component; carbon
is that of the last closed period and stays. Nothing here depends on who leads or what links take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper import rules
from wattquorum.lab.paper.draws import Bools, Draws, Odds, below, between
from wattquorum.lab.paper.inputs import Inputs


class Day(NamedTuple):
    """What a round's day saw: [seeds, nodes], generators first."""

    promised: Int64s  # [Wh]
    delivered: Int64s  # [Wh]
    defaults: Bools


class Cast:
    """What is drawn once for each seed, and the streams of what is drawn every round."""

    __slots__ = ("_defaults", "_depths", "_fails", "_faults", "_inputs", "_misses", "_volumes", "carbon", "usual_wh")

    def __init__(self, inputs: Inputs, seeds: Sequence[int]) -> None:
        self._inputs = inputs
        pairs, nodes = inputs.pairs, inputs.nodes
        self.usual_wh = between(Draws(seeds, "usual volume", pairs).row(0), *inputs.volume_wh)
        for node, volume in inputs.larger:
            self.usual_wh[:, node - 1] = volume
        self._fails = Odds(between(Draws(seeds, "line odds", pairs).row(0), *inputs.line_fault_ppm))
        default_ppm = np.full(nodes, inputs.default_ppm, dtype=np.int64)
        default_ppm[_places(inputs.reliable)] = inputs.reliable_ppm
        default_ppm[_places(inputs.defaulters)] = inputs.defaulter_ppm
        self._misses = Odds(default_ppm)
        bits = Draws(seeds, "carbon", nodes).row(0)
        settled = between(bits, *inputs.carbon_g)
        clean = _places(inputs.clean)
        settled[:, clean] = between(bits[:, clean], *inputs.clean_carbon_g)
        self.carbon = rules.carbon(settled)
        self._volumes = Draws(seeds, "volume", pairs)
        self._defaults = Draws(seeds, "default", nodes)
        self._depths = Draws(seeds, "depth", nodes)
        self._faults = Draws(seeds, "line fault", pairs)

    def day(self, number: int) -> Day:
        """The day of a round."""
        inputs = self._inputs
        variation = inputs.variation_ppm
        share = below(self._volumes.row(number), 2 * variation + 1)
        share += MILLION - variation
        share *= self.usual_wh
        share //= MILLION
        np.maximum(share, 1, out=share)
        promised = np.concatenate((share, share), axis=1)
        defaults = self._misses.happen(self._defaults.row(number))
        delivered = promised.copy()
        seeds, places = np.divmod(np.flatnonzero(defaults), inputs.nodes)
        depths = between(self._depths.at(number, seeds, places), *inputs.depth_ppm)
        delivered[seeds, places] = promised[seeds, places] * (MILLION - depths) // MILLION
        return Day(promised, delivered, defaults)

    def faults(self, number: int) -> Bools:
        """Whose line fails in a round: [seeds, pairs]."""
        return self._fails.happen(self._faults.row(number))


def _places(nodes: Sequence[int]) -> Int64s:
    return np.array(nodes, dtype=np.int64) - 1


class Market:
    """Standing as trade moves it: one `trade` for each round, then `weighed`, and `decay` when the round is over."""

    __slots__ = (
        "_buyers",
        "_energy",
        "_failed",
        "_inputs",
        "_renewable",
        "_sellers",
        "cast",
        "certificates",
        "credit",
        "held",
        "line",
        "volume",
    )

    def __init__(self, inputs: Inputs, seeds: Sequence[int]) -> None:
        self._inputs, self.cast = inputs, Cast(inputs, seeds)
        nodes, pairs = (len(seeds), inputs.nodes), (len(seeds), inputs.pairs)
        self._renewable = _places(inputs.renewable)
        self._sellers = _places([sale.seller for sale in inputs.sales])
        self._buyers = _places([sale.buyer for sale in inputs.sales])
        self._energy = np.zeros((len(seeds), self._renewable.size), dtype=np.int64)  # not certified yet [Wh]
        self._failed = np.zeros(pairs, dtype=np.int64)
        self.held = np.zeros(nodes, dtype=np.int64)  # whole certificates
        # components [millionths of a point]
        self.credit = np.full(nodes, inputs.initial_credit, dtype=np.int64)
        self.volume = np.zeros(nodes, dtype=np.int64)
        self.certificates = np.zeros(nodes, dtype=np.int64)
        self.line = np.full(pairs, 100 * MILLION, dtype=np.int64)

    def trade(self, number: int) -> Day:
        """The day of a round, from 0, and what it changes."""
        inputs, day = self._inputs, self.cast.day(number)
        pairs = inputs.pairs
        for side in (slice(0, pairs), slice(pairs, None)):
            self._side(side, Day(day.promised[:, side], day.delivered[:, side], day.defaults[:, side]))
        self._energy += day.delivered[:, self._renewable]
        self.held[:, self._renewable] += rules.whole_certificates(self._energy)
        if (number + 1) % inputs.sold_every == 0:
            sold = self.held[:, self._sellers] * inputs.sold_ppm // MILLION
            self.held[:, self._sellers] -= sold
            self.held[:, self._buyers] += sold
        self.certificates = rules.certificates(self.held)
        self._failed += self.cast.faults(number)
        self.line = rules.line(number + 1, self._failed)
        return day

    def _side(self, side: slice, day: Day) -> None:
        promised, delivered, defaults = day
        credit = self.credit[:, side]
        after = rules.credit_after_performance_paper(credit, promised, promised.sum(axis=1, keepdims=True))
        after[defaults] = rules.credit_after_default(
            credit[defaults], delivered[defaults], promised[defaults], self._inputs.minimum_credit_loss
        )
        self.credit[:, side] = after
        low = delivered.min(axis=1, keepdims=True)
        width = promised.max(axis=1, keepdims=True) - promised.min(axis=1, keepdims=True)
        self.volume[:, side] = rules.volume(delivered, low, width, self._inputs.factor)

    def weighed(self) -> Int64s:
        """The sums of A-7 and A-8 without participation, before their rounding."""
        found = np.empty_like(self.credit)
        pairs, carbon_ = self._inputs.pairs, self.cast.carbon
        for side, coefficients, line in (
            (slice(0, pairs), self._inputs.generator, self.line),
            (slice(pairs, None), self._inputs.consumer, None),
        ):
            found[:, side] = rules.weighed(
                coefficients,
                self.credit[:, side],
                self.volume[:, side],
                self.certificates[:, side],
                carbon_[:, side],
                line,
            )
        return found

    def decay(self) -> None:
        """A-16 for credit."""
        rules.decay(self.credit, self._inputs.eta)


def participation_coefficients(inputs: Inputs) -> Int64s:
    """a3 for generators and b3 for consumers, [nodes]."""
    return np.repeat([inputs.generator.participation, inputs.consumer.participation], inputs.pairs).astype(np.int64)
