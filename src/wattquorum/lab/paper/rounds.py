"""Rounds: the fast path, a numpy model of trade, weight and agreement, exact to the unit (sections 5.2 and 5.3).

A round is a day's trade, the weights that follow from it, and one agreement under these weights; then whoever gave a
valid reply has more participation, and every l rounds credit and participation decay. There is no network: a follower
answers after its round-trip time, and the leader is given, as the paper's three scenarios give it. What the real engine
does with the same weights and links is looked at in `engines`.

The literal rules: weights vote as they are, and change at once. `powers` puts another rule in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper import rules
from wattquorum.lab.paper.draws import Draws, below, between
from wattquorum.lab.paper.inputs import LEADERS, Inputs
from wattquorum.lab.paper.replies import Decided, Order, decide_once
from wattquorum.lab.paper.trading import Day, Market, participation_coefficients

Powers = Callable[[Int64s], Int64s]  # from weights to what votes are worth, [rows, nodes] both


class Round(NamedTuple):
    """One round of every row: row `l * seeds + s` is leader l with seed s. Arrays are in use: copy what is kept."""

    number: int  # from 0
    day: Day
    market: Market
    bare: Int64s  # weights without participation, [seeds, nodes]
    participation: Int64s  # [rows, nodes], before the round's own replies
    weights: Int64s  # [rows, nodes]
    decided: Decided


def round_trips(inputs: Inputs, seeds: Sequence[int], leaders: Sequence[int]) -> Int64s:
    """What links take there and back [us], [leaders * seeds, nodes]; a link is the same from both its ends.

    Its draw stands in the row of its lower end, at the place of its higher one.
    """
    draws = Draws(seeds, "links", inputs.nodes)
    who, others = np.meshgrid(np.arange(len(seeds)), np.arange(inputs.nodes), indexing="ij")
    found = []
    for leader in leaders:
        own = leader - 1
        bits = draws.at(np.minimum(others, own), who, np.maximum(others, own))
        times = between(bits, *inputs.round_trip_us)
        times[:, own] = 0
        found.append(times)
    return np.concatenate(found)


def rounds(
    inputs: Inputs, seeds: Sequence[int], leaders: Sequence[int] = LEADERS, powers: Powers | None = None
) -> Iterator[Round]:
    """Plays the rounds one by one."""
    market = Market(inputs, seeds)
    count = len(seeds)
    links = round_trips(inputs, seeds, leaders)
    at = np.repeat(np.array(leaders, dtype=np.int64) - 1, count)
    order = Order(links, at)
    jitter = Draws(seeds, "jitter", len(leaders) * inputs.nodes) if inputs.jitter_us else None
    participation = np.zeros_like(links)
    coefficients = participation_coefficients(inputs)
    for number in range(inputs.rounds):
        day = market.trade(number)
        sums = market.weighed()
        bare = rules.weight(sums)
        weights = rules.weight(np.tile(sums, (len(leaders), 1)) + participation * coefficients)
        votes = weights if powers is None else powers(weights)
        if jitter is None:
            decided = order.decide(votes)
        else:
            late = below(jitter.row(number), inputs.jitter_us + 1)
            decided = decide_once(links + _by_leader(late, len(leaders)), at, votes)
        yield Round(number, day, market, bare, participation, weights, decided)
        rules.participation_paper(participation, decided.valid, inputs.rho)
        if (number + 1) % inputs.decay_every == 0:
            market.decay()
            rules.decay(participation, inputs.eta)


def _by_leader(drawn: Int64s, leaders: int) -> Int64s:
    """[seeds, leaders * nodes] as [leaders * seeds, nodes]."""
    count = len(drawn)
    return drawn.reshape(count, leaders, -1).transpose(1, 0, 2).reshape(leaders * count, -1)


class Played(NamedTuple):
    """Everything that rounds brought: int64 in whole units, axes named beside each."""

    inputs: Inputs
    seeds: tuple[int, ...]
    leaders: tuple[int, ...]
    round_trips_us: Int64s  # [leaders, seeds, nodes]; the leader's own is 0
    elected: Int64s  # by weight without participation: node numbers [seeds, rounds] (table 4)
    plain_us: Int64s  # [leaders, seeds, rounds]
    weighted_us: Int64s  # [leaders, seeds, rounds]
    replies: Int64s  # valid ones, [leaders, seeds, rounds]
    undecided: Int64s  # rounds without any weight, [leaders, seeds]
    promised: Int64s  # [Wh] [seeds, rounds, nodes], like the next five
    delivered: Int64s
    bare: Int64s  # weight without participation [millionths of a point]
    credit: Int64s
    certificates: Int64s  # component [millionths of a point]
    held: Int64s  # whole certificates
    line: Int64s  # [seeds, rounds, pairs]
    carbon: Int64s  # [seeds, nodes]
    participation: Int64s  # [leaders, seeds, rounds, nodes]: as it counts in the round
    weights: Int64s  # [leaders, seeds, rounds, nodes]: the vector that the round is decided under


def play(
    inputs: Inputs, seeds: Sequence[int], leaders: Sequence[int] = LEADERS, powers: Powers | None = None
) -> Played:
    """Plays all rounds of all seeds under each leader. What one seed brings depends on no other."""
    count, nodes, steps, heads = len(seeds), inputs.nodes, inputs.rounds, len(leaders)
    one, all_ = (count, steps), (heads, count, steps)
    elected = np.empty(one, dtype=np.int64)
    plain, weighted, replies = (np.empty(all_, dtype=np.int64) for _ in range(3))
    undecided = np.zeros((heads, count), dtype=np.int64)
    promised, delivered, bare, credit, certificates, held = (np.empty((*one, nodes), dtype=np.int64) for _ in range(6))
    line = np.empty((*one, inputs.pairs), dtype=np.int64)
    participation, weights = (np.empty((*all_, nodes), dtype=np.int64) for _ in range(2))
    carbon = np.zeros((count, nodes), dtype=np.int64)
    for each in rounds(inputs, seeds, leaders, powers):
        k, market = each.number, each.market
        elected[:, k] = each.bare.argmax(axis=1) + 1  # ties go to the smaller number
        plain[:, :, k] = each.decided.plain_us.reshape(heads, count)
        weighted[:, :, k] = each.decided.weighted_us.reshape(heads, count)
        replies[:, :, k] = each.decided.replies.reshape(heads, count)
        undecided += ~each.decided.decided.reshape(heads, count)
        promised[:, k], delivered[:, k] = each.day.promised, each.day.delivered
        bare[:, k], credit[:, k] = each.bare, market.credit
        certificates[:, k], held[:, k], line[:, k] = market.certificates, market.held, market.line
        participation[:, :, k] = each.participation.reshape(heads, count, nodes)
        weights[:, :, k] = each.weights.reshape(heads, count, nodes)
        carbon = market.cast.carbon
    return Played(
        inputs,
        tuple(seeds),
        tuple(leaders),
        round_trips(inputs, seeds, leaders).reshape(heads, count, nodes),
        elected,
        plain,
        weighted,
        replies,
        undecided,
        promised,
        delivered,
        bare,
        credit,
        certificates,
        held,
        line,
        carbon,
        participation,
        weights,
    )
