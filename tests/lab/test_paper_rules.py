"""Document A's rounds: every rule on arrays is the product's, to the unit, and limits are what closed forms say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Carbon, Energy, Points, Ppm
from wattquorum.green.certificates import WHOLE, roll_up
from wattquorum.lab.paper import replies, rules
from wattquorum.lab.paper.draws import Draws, Odds, below, between
from wattquorum.lab.paper.engines import address
from wattquorum.lab.paper.extremes import credit_peak, participation_peak
from wattquorum.standing import credit, participation, weight
from wattquorum.standing.participation import peak, valid_replies
from wattquorum.standing.weight import Components, Scale, VolumeScale

POINTS = st.integers(0, POINTS_MAX) | st.sampled_from([0, 1, POINTS_MAX - 1, POINTS_MAX])
ENERGY = st.integers(1, 10**9) | st.integers(1, 100)
PPM = st.integers(0, MILLION)


def row(values: list[int]) -> np.ndarray:
    return np.array([values], dtype=np.int64)


# Draws


@given(st.integers(0, 2**70), st.sampled_from(["", "line odds"]), st.integers(1, 5), st.integers(0, 4))
def test_a_draw_is_the_one_that_chance_makes_at_its_place(seed: int, label: str, width: int, number: int) -> None:
    stream = Chance(seed).stream(label)
    expected = [stream.bits() for _ in range((number + 1) * width)][-width:]
    draws = Draws([seed, seed + 1], label, width)
    assert draws.row(number)[0].tolist() == expected
    places = np.arange(width)
    assert draws.at(number, np.zeros(width, dtype=np.int64), places).tolist() == expected
    assert (
        draws.at(np.full(width, number), np.ones(width, dtype=np.int64), places).tolist()
        == draws.row(number)[1].tolist()
    )


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**32))
def test_draws_from_ranges_are_those_of_chance(seed: int, end: int) -> None:
    bits = Draws([seed], "x", 3).row(0)
    one, other, third = (Chance(seed).stream("x") for _ in range(3))
    assert below(bits, end)[0].tolist() == [one.below(end) for _ in range(3)]
    assert between(bits, -5, end - 6)[0].tolist() == [other.between(-5, end - 6) for _ in range(3)]
    for ppm in (0, 1, end % MILLION, MILLION - 1, MILLION):
        assert Odds(ppm).happen(bits)[0].tolist() == (below(bits, MILLION) < ppm)[0].tolist()
    odds = [end % MILLION, 0, MILLION]
    assert Odds(np.array(odds)).happen(bits)[0].tolist() == [third.happens(ppm) for ppm in odds]


def test_odds_end_where_the_draw_does() -> None:
    for ppm in (1, 3, 64, 999_999):
        last = -(-(ppm << 64) // MILLION) - 1
        for bits in (last - 1, last, last + 1):
            drawn = np.array([bits], dtype=np.uint64)
            assert Odds(ppm).happen(drawn)[0] == (bits * MILLION >> 64 < ppm) == (below(drawn, MILLION)[0] < ppm)


# Rules beside their twins


@given(st.lists(st.tuples(POINTS, ENERGY, st.integers(0, MILLION)), min_size=1, max_size=6), POINTS)
def test_credit_is_the_products(nodes: list[tuple[int, int, int]], minimum: int) -> None:
    before, promised, missing = (list(column) for column in zip(*nodes, strict=True))
    total = sum(promised)
    after = rules.credit_after_performance_paper(row(before), row(promised), row([total]))[0].tolist()
    assert after == [
        credit.credit_after_performance_paper(Points(c), Energy(p), Energy(total))
        for c, p in zip(before, promised, strict=True)
    ]
    delivered = [p - 1 - m * (p - 1) // MILLION for p, m in zip(promised, missing, strict=True)]
    after = rules.credit_after_default(row(before), row(delivered), row(promised), minimum)[0].tolist()
    assert after == [
        credit.credit_after_default(Points(c), Energy(d), Energy(p), Points(minimum)).credit
        for c, d, p in zip(before, delivered, promised, strict=True)
    ]


@given(st.lists(ENERGY, min_size=1, max_size=6), st.integers(0, 10**9), st.integers(0, 10**9), PPM)
def test_volume_is_the_products(delivered: list[int], low: int, width: int, factor: int) -> None:
    scale = VolumeScale(Energy(low), Energy(low + width))
    found = rules.volume(row(delivered), row([low]), row([width]), factor)[0].tolist()
    assert found == [weight.volume(Energy(each), scale, Ppm(factor)) for each in delivered]


@given(st.lists(st.integers(0, 5) | st.integers(0, 10**6), min_size=1, max_size=12))
def test_certificates_are_shared_as_the_product_shares_them(held: list[int]) -> None:
    names = [address(node) for node in range(len(held))]
    found = rules.certificates(np.array([held, held[::-1]], dtype=np.int64))
    assert found[0].tolist() == weight.certificates(held, names, Scale.SHARE)
    assert found[1].tolist() == weight.certificates(held[::-1], names, Scale.SHARE)


@given(st.lists(st.integers(-3, 3) | st.integers(-(10**9), 10**9), min_size=1, max_size=9))
def test_carbon_is_the_products(settled: list[int]) -> None:
    unbounded = Carbon(max(settled))
    expected = weight.carbon([weight.CarbonOutcome(True, unbounded, Carbon(each)) for each in settled])
    assert rules.carbon(row(settled))[0].tolist() == expected


@given(st.integers(0, 5 * WHOLE))
def test_whole_certificates_are_what_rolling_up_gives(energy: int) -> None:
    rest = row([energy])
    whole = int(rules.whole_certificates(rest)[0, 0])
    assert whole * WHOLE + int(rest[0, 0]) == energy
    assert whole == (roll_up([Energy(energy)]).certificates if energy >= WHOLE else 0)


@given(
    st.lists(st.tuples(*[POINTS] * 6), min_size=1, max_size=5), st.lists(st.integers(0, 400), min_size=6, max_size=6)
)
def test_weight_is_the_products(nodes: list[tuple[int, ...]], parts: list[int]) -> None:
    shares = [Ppm(MILLION * part // max(1, sum(parts))) for part in parts]
    coefficients = weight.Coefficients(*shares)
    columns = [row(list(column)) for column in zip(*nodes, strict=True)]
    c, v, r, g, e, n = columns
    sums = rules.weighed(coefficients, c, v, g, e, n) + r * coefficients.participation
    expected = [weight.weight(Components(*(Points(p) for p in each)), coefficients) for each in nodes]
    assert rules.weight(sums)[0].tolist() == expected


@given(st.integers(1, 1_000), st.integers(0, 1_000), POINTS, POINTS, st.booleans(), PPM)
def test_lines_participation_and_decay_are_the_products(
    tried: int, failed: int, points: int, rho: int, valid: bool, eta: int
) -> None:
    failed = min(failed, tried)
    assert rules.line(tried, row([failed]))[0, 0] == weight.line(tried, failed)
    own = row([points])
    rules.participation_paper(own, np.array([[valid]]), rho)
    assert own[0, 0] == (participation.participation_paper(Points(points), Points(rho)) if valid else points)
    own = row([points])
    rules.decay(own, eta)
    assert own[0, 0] == credit.decay(Points(points), Ppm(eta))


# Replies


WEIGHTS = st.lists(st.integers(0, 3) | POINTS, min_size=2, max_size=9)


@given(WEIGHTS, st.data())
@settings(max_examples=80)
def test_valid_replies_are_those_that_the_products_quorum_needs(weights: list[int], data: st.DataObject) -> None:
    nodes = len(weights)
    times = data.draw(st.lists(st.integers(0, 4), min_size=nodes, max_size=nodes))
    leader = data.draw(st.integers(0, nodes - 1))
    links, at, powers = row(times), np.array([leader]), row(weights)
    one = replies.Order(links, at).decide(powers)
    followers = sorted((node for node in range(nodes) if node != leader), key=lambda node: (times[node], node))
    needed = followers[: int(one.replies[0])]
    configuration = Configuration(0, None, tuple(Voter(address(n), w) for n, w in enumerate(weights)), (), 0, b"")
    if sum(weights):
        powerful = [node for node in needed if weights[node]]  # in the ledger a reply without power is none
        named = valid_replies(configuration, address(leader), [address(node) for node in powerful])
        assert [int.from_bytes(each, "big") for each in named] == powerful
        assert bool(named) == (2 * weights[leader] <= sum(weights))
        assert np.flatnonzero(one.valid[0]).tolist() == sorted(needed)
    else:
        assert not one.decided[0]
        assert not one.valid.any()
    assert one.weighted_us[0] == (times[needed[-1]] if needed else 0)
    equal = Configuration(0, None, tuple(Voter(address(n), 1) for n in range(nodes)), (), 0, b"")
    half = [address(node) for node in followers[: nodes // 2]]
    assert len(valid_replies(equal, address(leader), half)) == nodes // 2
    assert one.plain_us[0] == times[followers[nodes // 2 - 1]]


@given(WEIGHTS, st.data())
@settings(max_examples=80)
def test_counting_in_bins_decides_as_sorting_does(weights: list[int], data: st.DataObject) -> None:
    nodes = len(weights)
    times = row(data.draw(st.lists(st.integers(0, 4) | st.integers(0, 60_000), min_size=nodes, max_size=nodes)))
    leader = data.draw(st.integers(0, nodes - 1))
    sorted_ = replies.Order(times, np.array([leader])).decide(row(weights))
    counted = replies._selected(times[0], leader, row(weights)[0])
    assert [each.tolist() for each in counted[3:4]] == [sorted_.valid[0].tolist()]
    assert counted[:3] == (sorted_.plain_us[0], sorted_.weighted_us[0], sorted_.replies[0])
    assert counted[4] == sorted_.decided[0]


def test_many_nodes_are_decided_alike_either_way() -> None:
    nodes = replies.SORTED_UP_TO + 100
    bits = Draws([1, 2, 3], "many", nodes)
    times, weights = between(bits.row(0), 10_000, 50_000), below(bits.row(1), POINTS_MAX)
    leaders = np.array([0, 7, nodes - 1])
    for one, other in zip(
        replies.decide_once(times, leaders, weights), replies.Order(times, leaders).decide(weights), strict=True
    ):
        assert (one == other).all()


# Limits


@pytest.mark.parametrize(("eta", "rounds", "share"), [(900_000, 10, Fraction(1, 15)), (800_000, 5, Fraction(1, 3))])
def test_credit_of_who_always_performs_has_the_closed_forms_peak(eta: int, rounds: int, share: Fraction) -> None:
    """A-9 under A-16, exactly over the rationals; in whole units no more than their roundings below it."""
    expected = credit_peak(share, Fraction(eta, MILLION), rounds)
    exact, own = expected, row([0])
    total = row([share.denominator])
    for _ in range(60):
        for step in range(rounds):
            own = rules.credit_after_performance_paper(own, row([share.numerator]), total)
            exact += (100 - exact) * share if step or _ else 0
        if _ < 59:
            rules.decay(own, eta)
    q = (1 - share) ** rounds
    trough = expected * Fraction(eta, MILLION)
    assert 100 - (100 - trough) * q == expected  # a fixed point
    lost = 1 / share + 1  # a unit each round, of which 1 - share is left in the next
    assert 0 <= expected * MILLION - int(own[0, 0]) < lost / (1 - Fraction(eta, MILLION) * q) + 1


@pytest.mark.parametrize(
    ("rho", "eta", "rounds"), [(MILLION, 900_000, 10), (300_000, 800_000, 20), (3_000_000, 900_000, 10)]
)
def test_participation_of_who_always_replies_has_the_closed_forms_peak(rho: int, eta: int, rounds: int) -> None:
    """A-12 under A-16: `rho l / (1 - eta)`, at most 100 points; the product says the same."""
    expected = participation_peak(Fraction(rho, MILLION), Fraction(eta, MILLION), rounds)
    assert int(expected * MILLION) == peak(Points(rho), eta, rounds)
    own, valid = row([0]), np.array([[True]])
    for number in range(400):
        if number:
            rules.decay(own, eta)
        for _ in range(rounds):
            rules.participation_paper(own, valid, rho)
    assert 0 <= expected * MILLION - int(own[0, 0]) < 1 / (1 - Fraction(eta, MILLION)) + 1


@pytest.mark.parametrize("eta", [500_000, 900_000, 980_000])
@pytest.mark.parametrize("rounds", [1, 5, 20])
def test_peaks_are_those_of_the_products_own_rules(eta: int, rounds: int) -> None:
    """A-9 and A-12 under A-16 by the ledger's functions, from nothing until nothing changes any more: short of the
    closed forms by roundings alone, a unit each round of which what is kept is still there at the peak."""
    kept_each_cycle = Fraction(eta, MILLION)
    for share in (Fraction(1, 100), Fraction(2, 7), Fraction(1, 3), Fraction(1)):
        own = Points(0)
        for cycle in range(900):
            own = credit.decay(own, Ppm(eta)) if cycle else own
            for _ in range(rounds):
                own = credit.credit_after_performance_paper(own, Energy(share.numerator), Energy(share.denominator))
        q = (1 - share) ** rounds
        short = 100 * MILLION * (1 - q) / (1 - kept_each_cycle * q) - own
        assert credit_peak(share, kept_each_cycle, rounds) == 100 * (1 - q) / (1 - kept_each_cycle * q)
        assert 0 <= short <= (1 / share + 1) / (1 - kept_each_cycle * q) + 1
    for rho in (1, 300_000, 3 * MILLION):
        own = Points(0)
        for cycle in range(900):
            own = credit.decay(own, Ppm(eta)) if cycle else own
            for _ in range(rounds):
                own = participation.participation_paper(own, Points(rho))
        expected = min(Fraction(100 * MILLION), rho * rounds / (1 - kept_each_cycle))
        assert participation_peak(Fraction(rho, MILLION), kept_each_cycle, rounds) * MILLION == expected
        assert peak(Points(rho), eta, rounds) == int(expected)
        assert 0 <= expected - own <= 1 / (1 - kept_each_cycle) + 1
