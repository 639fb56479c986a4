"""Committees: what document B's evaluation tries one by one, as experiments over any parameters.

How many messages a block takes, who comes to be an agent, what a primary's crash costs, and how even groups are. They
are the functions of `lab.cgpbft`, where it is said what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wattquorum.consensus.bft.committee import tolerated
from wattquorum.foundation.quantities import MILLION, Points, Ppm
from wattquorum.lab.cgpbft import conduct, division, messages, outages
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.standing.election import Stakes

LAST: Final = 10  # epochs whose mean is the end of a course
AGENTS_MIN: Final = 4


def _agents(values: Values, luck: int) -> Mapping[str, Number]:
    stakes = Stakes(*(Points(round(values[name] * MILLION)) for name in ("alpha", "beta", "delta", "gamma")))
    manners = conduct.Manners(*(Ppm(round(values[name] * MILLION)) for name in ("faulty", "fails", "slips", "idle")))
    setting = conduct.Setting(values["members"], values["groups"], values["epochs"])
    course = conduct.course(luck, stakes, manners, setting)
    last = course[-min(LAST, len(course)) :]
    return {
        "first": course[0].faulty_agents / course[0].agents,
        "last": sum(each.faulty_agents / each.agents for each in last) / len(last),
        "beyond": sum(each.beyond for each in course) / len(course),
        "faulty_primary": sum(each.faulty_primary for each in course) / len(course),
    }


def _share(name: str, what: str, default: float) -> Parameter:
    return Parameter(name, "", what, default, 0, 1)


def _stake(name: str, what: str, default: float) -> Parameter:
    return Parameter(name, "points", what, default, 0, 100)


def _grouped(values: Values) -> Misfit | None:
    most = values["members"] // 2
    return (
        Misfit("groups", f"Of {values['members']} members, make at most {most}.") if values["groups"] > most else None
    )


def _agreeing(values: Values) -> Misfit | None:
    if values["agents"] > values["members"]:
        return Misfit("agents", f"There are {values['members']} members: choose at most so many.")
    return None


def _members(default: int, high: int) -> Parameter:
    return Parameter("members", "", "members of the community", default, AGENTS_MIN, high)


AGENTS: Final = Experiment(
    "agents",
    "Who comes to be an agent when some members cannot be relied on, by the ledger's rules of groups, votes and trust.",
    (
        _members(100, 1_000),
        Parameter("groups", "", "groups, each with an agent", 10, 2, 100),
        Parameter("epochs", "", "elections, one after another", 60, 1, 1_000),
        _share("faulty", "share of members that are faulty", 0.3),
        _share("fails", "share of epochs in which a faulty agent fails", 0.1),
        _share("slips", "share of epochs in which another agent fails", 0.02),
        _share("idle", "share of epochs in which a member does not vote", 0.05),
        _stake("alpha", "an agent that behaved gains", 1.0),
        _stake("beta", "an agent that failed loses", 5.0),
        _stake("delta", "who voted for one that behaved gains", 0.5),
        _stake("gamma", "who voted for one that failed loses", 2.0),
    ),
    (
        Measure("first", "", "share of faulty agents in the first epoch"),
        Measure("last", "", f"share of faulty agents in the last {LAST} epochs"),
        Measure("beyond", "", "share of epochs in which more agents failed than agreement tolerates"),
        Measure("faulty_primary", "", "share of epochs with a faulty primary"),
    ),
    _agents,
    lambda values: values["members"] * values["epochs"] * 0.015,
    _grouped,
)


def _messages(values: Values, luck: int) -> Mapping[str, Number]:
    found = messages.counted(luck, values["members"], values["agents"], values["transactions"], values["blocks"])
    return {"messages": found.per_block, "bytes": found.bytes_per_block}


MESSAGES: Final = Experiment(
    "messages",
    "What a block takes until every member has executed it, when agents agree and bring it to the others.",
    (
        _members(16, 200),
        Parameter("agents", "", "agents that agree; as many as members: plain PBFT", 4, AGENTS_MIN, 200),
        Parameter("transactions", "", "transactions of a block", 1, 1, 10_000),
        Parameter("blocks", "", "blocks over which the mean is taken", 3, 1, 20),
    ),
    (
        Measure("messages", "", "messages of a block"),
        Measure("bytes", "bytes", "bytes of a block"),
    ),
    _messages,
    lambda values: values["blocks"] * messages.formula(values["members"], values["agents"]) * 0.15,
    _agreeing,
)


def _recovery(values: Values, luck: int) -> Mapping[str, Number]:
    found = outages.recovered(luck, values["members"], values["agents"], values["timeout"])
    return {"agreed": found.agreed_ms, "everywhere": found.everywhere_ms, "later": found.timeouts_later}


RECOVERY: Final = Experiment(
    "recovery",
    "What a primary's crash costs, from the crash on.",
    (
        _members(16, 64),
        Parameter("agents", "", "agents that agree", 4, AGENTS_MIN, 64),
        Parameter("timeout", "ms", "time that a view may take", 500, 100, 10_000),
    ),
    (
        Measure("agreed", "ms", "until an agent executed a block of the next view", whole=True),
        Measure("everywhere", "ms", "until every member that is left had", whole=True),
        Measure("later", "", "later blocks that took a timeout", whole=True),
    ),
    _recovery,
    lambda values: 10 + messages.formula(values["members"], values["agents"]),
    _agreeing,
)


def _groups(values: Values, luck: int) -> Mapping[str, Number]:
    even = division.divided(values["way"], luck, values["members"])
    return {"traded": even.traded_ppm / MILLION, "trust": even.trust_ppm / MILLION, "bound": even.bound_ppm / MILLION}


GROUPS: Final = Experiment(
    "groups",
    "How far the groups of B-3 differ in traded energy and trust, beside two simpler ways.",
    (
        _members(1_000, 10_000),
        Parameter("way", "", "how members are divided", "B-3", choices=tuple(division.WAYS)),
    ),
    (
        Measure("traded", "", "how far sums of traded energy differ, of their mean"),
        Measure("trust", "", "how far sums of trust differ, of their mean"),
        Measure("bound", "", "how far sums of traded energy differ at least, because of the largest member"),
    ),
    _groups,
    lambda values: values["members"] * 0.02,
)


def _bad_agents(values: Values, luck: int) -> Mapping[str, Number]:
    found = outages.tried(luck, values["agents"], values["bad"], outages.Fault(values["fault"]))
    endings = list(outages.Ending)
    return {
        "tolerated": tolerated(values["agents"]),
        **{
            name: int(found.ending is ending)
            for name, ending in zip(("goes_on", "stops", "forks"), endings, strict=True)
        },
    }


BAD_AGENTS: Final = Experiment(
    "bad-agents",
    "Whether agreement goes on, stops or forks when so many agents are silent or lie together.",
    (
        Parameter("agents", "", "agents that agree", 7, AGENTS_MIN, 20),
        Parameter("bad", "", "bad ones among them, the primary first", 2, 0, 18),
        Parameter("fault", "", "what bad ones do", "silent", choices=tuple(outages.Fault)),
    ),
    (
        Measure("tolerated", "", "bad agents that agreement promises to bear", whole=True),
        Measure("goes_on", "", "share of trials that go on", whole=True),
        Measure("stops", "", "share of trials that stop", whole=True),
        Measure("forks", "", "share of trials that fork", whole=True),
    ),
    _bad_agents,
    lambda values: 5 + values["agents"] ** 2 * 0.3,
    lambda values: Misfit("bad", "Leave at least two that are good.") if values["bad"] > values["agents"] - 2 else None,
)
COMMITTEES: Final = (AGENTS, MESSAGES, RECOVERY, GROUPS, BAD_AGENTS)
