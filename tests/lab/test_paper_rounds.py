"""Document A's rounds: a course is what the product's rules, taken node by node, make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.quorum import decides
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Carbon, Energy, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.green.certificates import WHOLE
from wattquorum.lab.paper.engines import address
from wattquorum.lab.paper.inputs import PAPER, Inputs, Sale, Span, drawn
from wattquorum.lab.paper.rounds import Played, play
from wattquorum.standing import credit, participation, weight
from wattquorum.standing.weight import CarbonOutcome, Components, Scale, VolumeScale

ROUNDS = 32


class Slow:
    """The same course of one seed and leader by the product's own functions, one node at a time."""

    def __init__(self, inputs: Inputs, seed: int, leader: int) -> None:
        self.inputs, self.seed, self.leader = inputs, seed, leader
        nodes, self.pairs = inputs.nodes, inputs.pairs
        self.names = [address(node) for node in range(nodes)]
        self.streams: dict[str, tuple[Chance, list[int]]] = {}
        usual = [self.draw("usual volume", self.pairs, 0, i, *inputs.volume_wh) for i in range(self.pairs)]
        for node, volume in inputs.larger:
            usual[node - 1] = volume
        self.usual = usual
        self.line_ppm = [self.draw("line odds", self.pairs, 0, i, *inputs.line_fault_ppm) for i in range(self.pairs)]
        settled = [
            self.draw("carbon", nodes, 0, i, *(inputs.clean_carbon_g if i + 1 in inputs.clean else inputs.carbon_g))
            for i in range(nodes)
        ]
        quota = Carbon(max(settled))
        self.carbon = weight.carbon([CarbonOutcome(True, quota, Carbon(each)) for each in settled])
        self.links = [
            self.draw("links", nodes, min(i, leader - 1), max(i, leader - 1), *inputs.round_trip_us)
            for i in range(nodes)
        ]
        self.credit = [inputs.initial_credit] * nodes
        self.participation = [Points(0)] * nodes
        self.energy, self.held, self.failed = [0] * nodes, [0] * nodes, [0] * self.pairs

    def bits(self, label: str, place: int) -> int:
        stream, so_far = self.streams.setdefault(label, (Chance(self.seed).stream(label), []))
        while len(so_far) <= place:
            so_far.append(stream.bits())
        return so_far[place]

    def draw(self, label: str, width: int, number: int, place: int, low: int, high: int) -> int:
        return low + (self.bits(label, number * width + place) * (high - low + 1) >> 64)

    def happens(self, label: str, width: int, number: int, place: int, ppm: int) -> bool:
        return self.draw(label, width, number, place, 0, MILLION - 1) < ppm

    def day(self, k: int) -> tuple[list[Energy], list[Energy]]:
        """What each node promises and delivers."""
        inputs, nodes, pairs = self.inputs, self.inputs.nodes, self.pairs
        low, high = MILLION - inputs.variation_ppm, MILLION + inputs.variation_ppm
        promised = [
            Energy(max(1, self.usual[i] * self.draw("volume", pairs, k, i, low, high) // MILLION)) for i in range(pairs)
        ] * 2
        delivered = list(promised)
        for i in range(nodes):
            ppm = inputs.default_ppm
            if i + 1 in inputs.reliable:
                ppm = inputs.reliable_ppm
            if i + 1 in inputs.defaulters:
                ppm = inputs.defaulter_ppm
            if self.happens("default", nodes, k, i, ppm):
                depth = self.draw("depth", nodes, k, i, *inputs.depth_ppm)
                delivered[i] = Energy(promised[i] * (MILLION - depth) // MILLION)
        return promised, delivered

    def round(self, k: int) -> dict[str, Any]:
        inputs, nodes, pairs = self.inputs, self.inputs.nodes, self.pairs
        promised, delivered = self.day(k)
        volumes = []
        for i in range(nodes):
            side = slice(0, pairs) if i < pairs else slice(pairs, None)
            if delivered[i] < promised[i]:
                after = credit.credit_after_default(
                    self.credit[i], delivered[i], promised[i], inputs.minimum_credit_loss
                ).credit
            else:
                total = Energy(sum(promised[side]))
                after = credit.credit_after_performance_paper(self.credit[i], promised[i], total)
            self.credit[i] = after
            low = min(delivered[side])
            high = Energy(low + max(promised[side]) - min(promised[side]))
            volumes.append(weight.volume(delivered[i], VolumeScale(low, high), inputs.factor))
        for node in inputs.renewable:
            self.energy[node - 1] += delivered[node - 1]
            self.held[node - 1] += self.energy[node - 1] // WHOLE
            self.energy[node - 1] %= WHOLE
        if (k + 1) % inputs.sold_every == 0:
            for seller, buyer in inputs.sales:
                sold = self.held[seller - 1] * inputs.sold_ppm // MILLION
                self.held[seller - 1] -= sold
                self.held[buyer - 1] += sold
        shares = weight.certificates(self.held, self.names, Scale.SHARE)
        for i in range(pairs):
            self.failed[i] += self.happens("line fault", pairs, k, i, self.line_ppm[i])
        lines = [weight.line(k + 1, failed) for failed in self.failed] + [Points(0)] * pairs
        weights, bare = [], []
        for i in range(nodes):
            coefficients = inputs.generator if i < pairs else inputs.consumer
            components = Components(
                self.credit[i], volumes[i], self.participation[i], shares[i], self.carbon[i], lines[i]
            )
            weights.append(weight.weight(components, coefficients))
            bare.append(weight.weight(components._replace(participation=Points(0)), coefficients))
        configuration = Configuration(
            0, None, tuple(Voter(name, own) for name, own in zip(self.names, weights, strict=True)), (), 0, b""
        )
        order = sorted((i for i in range(nodes) if i != self.leader - 1), key=lambda i: (self.links[i], i))
        valid: list[int] = []
        for i in order:
            if decides(configuration, [self.names[j] for j in (self.leader - 1, *valid)]):
                break
            valid.append(i)
        told = {
            "elected": max(range(nodes), key=lambda i: (bare[i], -i)) + 1,
            "plain_us": self.links[order[nodes // 2 - 1]],
            "weighted_us": self.links[valid[-1]] if valid else 0,
            "replies": len(valid),
            "promised": promised,
            "delivered": delivered,
            "bare": bare,
            "credit": list(self.credit),
            "certificates": shares,
            "held": list(self.held),
            "line": lines[:pairs],
            "participation": list(self.participation),
            "weights": weights,
        }
        for i in valid:
            self.participation[i] = participation.participation_paper(self.participation[i], inputs.rho)
        if (k + 1) % inputs.decay_every == 0:
            self.credit = [credit.decay(each, inputs.eta) for each in self.credit]
            self.participation = [credit.decay(each, inputs.eta) for each in self.participation]
        return told


SMALL = replace(
    PAPER,
    pairs=3,
    rounds=ROUNDS,
    larger=((2, Energy(700_000)),),
    reliable=(1,),
    defaulters=(4, 6),
    renewable=(1, 2),
    sales=(Sale(2, 5),),
    sold_every=4,
    clean=(3,),
    decay_every=3,
    initial_credit=Points(7 * MILLION),
)


@pytest.mark.parametrize(
    ("inputs", "seed"), [(replace(PAPER, rounds=ROUNDS), 0), (SMALL, 5), *((drawn(s, ROUNDS), s) for s in (1, 2, 3))]
)
def test_a_course_is_what_the_products_rules_make_of_it(inputs: Inputs, seed: int) -> None:
    leaders = (1, 2, 5)
    played = play(inputs, [seed + 100, seed], leaders)
    axes = {
        "elected": 1,
        "promised": 1,
        "delivered": 1,
        "bare": 1,
        "credit": 1,
        "certificates": 1,
        "held": 1,
        "line": 1,
    }
    for row, leader in enumerate(leaders[: 1 + (seed == 0)]):
        slow = Slow(inputs, seed, leader)
        assert played.carbon[1].tolist() == slow.carbon
        for k in range(inputs.rounds):
            for name, expected in slow.round(k).items():
                found = getattr(played, name)
                own = found[1, k] if name in axes else found[row, 1, k]
                assert own.tolist() == expected, (name, k)


def equal(one: Played, other: Played, at: int) -> None:
    for name in ("elected", "promised", "delivered", "bare", "credit", "certificates", "held", "line", "carbon"):
        assert (getattr(one, name)[0] == getattr(other, name)[at]).all(), name
    for name in ("plain_us", "weighted_us", "replies", "participation", "weights"):
        assert (getattr(one, name)[:, 0] == getattr(other, name)[:, at]).all(), name


@pytest.mark.parametrize("jitter_us", [0, 20_000])
def test_what_a_seed_brings_depends_on_no_other(jitter_us: int) -> None:
    inputs = replace(PAPER, rounds=25, jitter_us=jitter_us)
    together = play(inputs, [3, 4, 5])
    for at, seed in enumerate((3, 4, 5)):
        equal(play(inputs, [seed]), together, at)
    assert (together.plain_us[:, :, 1:] != together.plain_us[:, :, :-1]).any() == (jitter_us > 0)


def test_other_powers_than_weights_can_vote() -> None:
    """With equal powers every round is the plain one."""
    inputs = replace(PAPER, rounds=12)
    played = play(inputs, [1, 2], powers=np.ones_like)
    assert (played.weighted_us == played.plain_us).all()
    assert (played.replies == 15).all()


def test_rounds_without_any_weight_are_decided_by_nobody() -> None:
    inputs = replace(PAPER, rounds=5)
    played = play(inputs, [1], powers=np.zeros_like)
    assert (played.undecided == 5).all()
    assert (played.participation == 0).all()
    assert (played.weighted_us >= played.plain_us).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"pairs": 0},
        {"rounds": 0},
        {"volume_wh": Span(5, 4)},
        {"depth_ppm": Span(0, 5)},
        {"eta": Ppm(0)},
        {"larger": ((16, Energy(1)),)},
        {"larger": ((1, Energy(0)),)},
        {"sales": (Sale(1, 16), Sale(1, 17))},
        {"clean": (31,)},
        {"renewable": (16,)},
        {"initial_credit": Points(POINTS_MAX + 1)},
        {"feed_in": 710_000},
        {"consumer": PAPER.generator},
    ],
)
def test_inputs_that_cannot_be_played_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        replace(PAPER, **changed)


def test_drawn_inputs_favour_nobody_and_differ() -> None:
    sets = [drawn(seed) for seed in range(40)]
    assert len({str(each) for each in sets}) == 40
    for each in sets:
        assert (each.larger, each.reliable, each.clean) == ((), (), ())
        assert each.defaulters == PAPER.defaulters
