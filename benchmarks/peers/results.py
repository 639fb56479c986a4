"""Results: what was measured, and what it comes to beside what is wanted.

Everything that a sitting saw is kept, with the processor time that others took meanwhile; what is thrown away is marked
and not removed. Medians are taken over what is kept. A target is a ratio of two medians of the same sitting and says
itself whether it is met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

CLIENTS: Final = (1, 64, 1024)
OURS, ETCD, ETCD_QUICK, PYSYNCOBJ, SKELETON = "ours", "etcd", "etcd, our times", "PySyncObj", "skeleton"
LOADED: Final = (OURS, ETCD, PYSYNCOBJ, SKELETON)
ROUNDS_MIN: Final = 3
KILLS_WANTED: Final = 500
RANK_SLOT_MS: Final = 50  # where ranks are compared: longer than what a leader measures here, so that it is known
NOISE_PERCENT: Final = 10.0  # of all cores: what others may use in a round that is kept


class Round(NamedTuple):
    """One system under one load in one round."""

    round: int
    system: str
    clients: int
    rate: float
    p50_ms: float
    p99_ms: float
    failed: int
    others_percent: float  # of all cores, what others used meanwhile


class Outage(NamedTuple):
    """How long nobody could write after the leader was killed."""

    system: str
    ms: float
    others_percent: float


class Pair(NamedTuple):
    """Two numbers that were taken right after each other, to be compared."""

    kind: str  # weights: entries a second, weighted and counting; powers: p99 [ms], while powers change and steady;
    # signed: transfers and checks a second; ranks: outages [ms], with the heaviest dead too and with the leader alone
    one: float
    other: float
    failed: int
    others_percent: float


class Tortured(NamedTuple):
    """A run of the torture (`tortured`): not of the sitting, and kept whatever is measured anew."""

    day: str
    revision: str
    command: str
    drops: bool  # whether what was killed lost what it had not synced
    kills: int
    leaders: int  # of those, faults that looked for who led
    writes: int  # acknowledged
    lost: int  # of those


class Results(NamedTuple):
    """A sitting, and the runs of the torture beside it."""

    about: dict[str, str]  # when, where, with which versions and by which command
    rounds: list[Round]
    outages: list[Outage]
    pairs: list[Pair]
    saturated: dict[str, float]  # seconds, elections; empty: not tried
    tortured: Sequence[Tortured] = ()


class Target(NamedTuple):
    """What is wanted, what was found and whether that is enough."""

    name: str
    wanted: float | None  # None: nothing, it is told to be compared
    at_most: bool
    found: float | None  # None: not measured
    unit: str = "x"
    of: str = ""  # what it was found in, where that is not the sitting

    @property
    def met(self) -> bool | None:
        """None where it was not measured, or nothing is wanted."""
        if self.found is None or self.wanted is None:
            return None
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    @property
    def missed_by(self) -> float:
        """How much of what is wanted is wanting [%]."""
        assert self.found is not None
        assert self.wanted
        return 100 * abs(self.found - self.wanted) / self.wanted


def kept(rounds: Sequence[Round], noise: float = NOISE_PERCENT) -> list[int]:
    """The rounds in which others used little, at every load of every system."""
    worst: dict[int, float] = {}
    for each in rounds:
        worst[each.round] = max(worst.get(each.round, 0.0), each.others_percent)
    return [number for number, percent in sorted(worst.items()) if percent <= noise]


def counted(rounds: Sequence[Round]) -> tuple[list[int], bool]:
    """The rounds that medians are taken over, and whether they were quiet: all of them, where too few were."""
    quiet, every = kept(rounds), sorted({each.round for each in rounds})
    if len(quiet) >= min(ROUNDS_MIN, len(every)):
        return quiet, True
    return every, False


def quiet_of(values: Sequence[Any]) -> list[Any]:
    """Those during which others used little; all, where too few are."""
    quiet = [each for each in values if each.others_percent <= NOISE_PERCENT]
    return quiet if len(quiet) >= min(ROUNDS_MIN, len(values)) else list(values)


def middle(results: Results, system: str, clients: int, field: str) -> float | None:
    """The median over rounds; None where there is none."""
    numbers, _ = counted(results.rounds)
    found = [
        getattr(each, field)
        for each in results.rounds
        if (each.system, each.clients) == (system, clients) and each.round in numbers
    ]
    return median(found) if found else None


def middle_outage(results: Results, system: str) -> float | None:
    """The median outage [ms]."""
    found = [each.ms for each in quiet_of([each for each in results.outages if each.system == system])]
    return median(found) if found else None


def pair_ratio(results: Results, kind: str, of: Callable[[float, float], float]) -> float | None:
    """The median of a comparison over pairs."""
    found = [of(each.one, each.other) for each in quiet_of([each for each in results.pairs if each.kind == kind])]
    return median(found) if found else None


def slots_longer(results: Results) -> float | None:
    """By how many slots an outage is longer when who should lead next is dead too, to the tenth that chance leaves."""
    found = quiet_of([each for each in results.pairs if each.kind == "ranks"])
    if not found:
        return None
    longer_ms: float = median(each.one for each in found) - median(each.other for each in found)
    return round(longer_ms / RANK_SLOT_MS, 1)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def targets(results: Results) -> list[Target]:
    """All of them, in the order of the page."""

    def ratio(clients: int, field: str, other: str) -> float | None:
        return _ratio(middle(results, OURS, clients, field), middle(results, other, clients, field))

    def outage(other: str) -> float | None:
        return _ratio(middle_outage(results, OURS), middle_outage(results, other))

    def lost(name: str, runs: Sequence[Tortured], kills: str, count: int) -> Target:
        return Target(
            name, 0.0, True, float(sum(run.lost for run in runs)) if count else None, "", f"{count:,} {kills}, below"
        )

    replicas = 3
    powers = [each for each in results.pairs if each.kind == "powers"]
    return [
        Target("1 client: p50, of etcd's", 0.8, True, ratio(1, "p50_ms", ETCD)),
        Target("64 clients: throughput, of etcd's", 2.5, False, ratio(64, "rate", ETCD)),
        Target("64 clients: throughput, of PySyncObj's", 3.5, False, ratio(64, "rate", PYSYNCOBJ)),
        Target("1,024 clients: throughput, of etcd's", 5.0, False, ratio(1024, "rate", ETCD)),
        Target("1,024 clients: p99, of etcd's", 0.3, True, ratio(1024, "p99_ms", ETCD)),
        Target("failover: median, of etcd's", 0.3, True, outage(ETCD)),
        Target("failover: median, of etcd's with our times", None, True, outage(ETCD_QUICK)),
        lost(
            "failover: acknowledged writes lost",
            results.tortured,
            "kills of leaders",
            sum(run.leaders for run in results.tortured),
        ),
        Target("heaviest member dead: failover longer by", 1.0, True, slots_longer(results), "slot"),
        Target("weighted quorums, of counting ones", 0.95, False, pair_ratio(results, "weights", lambda a, b: a / b)),
        Target(
            "signed transfers, of cores x checks / replicas",
            30.0,
            False,
            pair_ratio(results, "signed", lambda a, b: 100 * a / (b / replicas)),
            "%",
        ),
        Target("powers change: p99, of steady", 2.0, True, pair_ratio(results, "powers", lambda a, b: a / b)),
        Target("powers change: failed writes", 0.0, True, float(sum(p.failed for p in powers)) if powers else None, ""),
        Target("elections while saturated", 0.0, True, results.saturated.get("elections"), ""),
        *(
            lost(
                f"acknowledged writes lost in {KILLS_WANTED} {told}",
                runs := [run for run in results.tortured if run.drops is drops],
                "kills",
                sum(run.kills for run in runs),
            )
            for drops, told in ((False, "kill -9"), (True, "kills that drop un-synced pages"))
        ),
    ]


def to_json(results: Results) -> str:
    """As it is kept: one line for each thing that was seen."""
    lines = ["{", f'"about": {json.dumps(results.about, indent=1)},']
    for name, values in (("rounds", results.rounds), ("outages", results.outages), ("pairs", results.pairs)):
        rows: Iterable[str] = (json.dumps([*each]) for each in values)
        lines.append(f'"{name}": [\n' + ",\n".join(rows) + "\n],")
    rows = (json.dumps(each._asdict()) for each in results.tortured)
    lines += [f'"saturated": {json.dumps(results.saturated)},', '"tortured": [\n' + ",\n".join(rows) + "\n]", "}"]
    return "\n".join(lines) + "\n"


def from_json(text: str) -> Results:
    """What was kept."""
    found: dict[str, Any] = json.loads(text)
    return Results(
        found["about"],
        [Round(*each) for each in found["rounds"]],
        [Outage(*each) for each in found["outages"]],
        [Pair(*each) for each in found["pairs"]],
        found["saturated"],
        tuple(Tortured(**each) for each in found["tortured"]),
    )


def read(path: Path) -> Results:
    """A results file."""
    return from_json(path.read_text(encoding="utf-8"))
