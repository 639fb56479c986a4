"""Penalties: what lies and failures cost on the ledger, by the rules of B-5 and B-7, and whether each lie was paid for.

From the history and a chain alone. Nodes tell whom they have proven to lie; members accuse them; the ledger moves the
trust of who lied, and of who voted for it. Four things must hold: nobody was proven to lie who does not; where agents
are elected, every lie that a node had proven when all was healed was accused; whoever was accused has paid, unless it
had no trust left or nobody runs it; and nobody honest has paid for absence whom nothing kept from taking part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from rich.table import Table

from wattquorum.foundation.quantities import Points, format_points
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import Accused, Attested, Fact, OfficeSettled, TrustMoved, ViewFailed
from wattquorum.ledger.offices import Why

PROVEN: Final = "lie_proven"  # what a run notes of what its nodes tell
LIARS: Final = "liars"
SLOTS: Final = "slots"  # in which slot each replica was at the beginning
HARMLESS: Final = "stutter"  # a fault that keeps nobody away for an epoch
HEALED: Final = "healed"  # everything works from now on, and members' programs have time
SHORT: Final = 8
KINDS: Final = (Accused, Attested, OfficeSettled, TrustMoved, ViewFailed)
SAYS: Final = {
    Why.BEHAVED: "attended half of an epoch or more",
    Why.ABSENT: "attended none of an epoch",
    Why.LIED: "lied",
    Why.FAILED_VIEW: "primary of a view that failed",
    Why.IDLE: "neither voted nor took part",
}


class Offices:
    """What a chain tells of offices, and in which epoch each committee was."""

    def __init__(self) -> None:
        self.moved: list[tuple[int, Fact]] = []  # what the chain tells of offices and trust, by height
        self.epochs: dict[int, int] = {}  # by version of voting powers

    def note(self, executed: Executed) -> None:
        """The next block."""
        header = executed.block.header
        self.epochs[header.round.new] = header.epoch
        for fact in (*(each for facts in executed.facts for each in facts), *executed.told):
            if isinstance(fact, KINDS):
                self.moved.append((header.height, fact))

    def of(self, kind: type[Any]) -> Iterator[tuple[int, Any]]:
        """The facts of a kind, with their heights."""
        return ((height, fact) for height, fact in self.moved if isinstance(fact, kind))


def unpaid(offices: Offices, notes: list[dict[str, Any]], *, elected: bool) -> list[str]:
    """What is wrong; `elected`: agents run this chain, so that lies are paid for."""
    liars = {each for note in notes if note["what"] == LIARS for each in note["replicas"]}
    told = {(note["replica"], note["committee"]) for note in notes if note["what"] == PROVEN}
    healed = next((place for place, note in enumerate(notes) if note["what"] == HEALED), 0)
    due = {(note["replica"], note["committee"]) for note in notes[:healed] if note["what"] == PROVEN}
    accused = {(fact.replica.hex(), fact.epoch): height for height, fact in offices.of(Accused)}
    blamed = {replica for replica, _ in (*told, *accused)} - liars
    wrong = [f"{replica[:SHORT]} was proven to lie, and does not" for replica in sorted(blamed)]
    if not elected:
        return wrong
    for replica, committee in sorted(due):
        if (replica, offices.epochs.get(committee)) not in accused:
            wrong.append(f"{replica[:SHORT]} was proven to lie in committee {committee}, and nobody accused it")
    paid = {(fact.replica.hex(), fact.epoch) for _, fact in offices.of(TrustMoved) if fact.why is Why.LIED}
    broke = {fact.member: fact.after for _, fact in offices.of(TrustMoved)}
    runs = {fact.replica.hex(): fact.member for _, fact in offices.of(TrustMoved) if fact.replica and not fact.backer}
    for (replica, epoch), height in sorted(accused.items()):
        if (replica, epoch) not in paid and broke.get(runs.get(replica, b""), 1):
            wrong.append(f"{replica[:SHORT]} was accused in block {height}, and it cost nobody anything")
    return [*wrong, *_kept_out(offices, notes, liars)]


def _kept_out(offices: Offices, notes: list[dict[str, Any]], liars: set[str]) -> Iterator[str]:
    """Who paid for absence although it is honest and no fault was its own: others must have kept it from attending."""
    hurt: set[int] = set()
    for note in notes:
        if note.get("kind") != HARMLESS:
            hurt |= {*note.get("slots", ()), *([note["slot"]] if note["what"] in ("kill", "ended") else [])}
    well = {replica for note in notes if note["what"] == SLOTS for replica, slot in note["of"] if slot not in hurt}
    absent = {fact.replica.hex() for _, fact in offices.of(TrustMoved) if fact.why is Why.ABSENT and not fact.backer}
    for replica in sorted((absent & well) - liars):
        yield f"{replica[:SHORT]} paid for absence, and nothing kept it away but others"


def table(offices: Offices, name: Callable[[str], str]) -> Table:
    """Who lost and gained how much trust by which rule; `name` names a replica."""
    times: Counter[tuple[str, Why]] = Counter()
    own: defaultdict[tuple[str, Why], int] = defaultdict(int)
    others: defaultdict[tuple[str, Why], int] = defaultdict(int)
    seen: dict[tuple[str, Why, int, int], None] = {}
    for height, fact in offices.of(TrustMoved):
        key = (fact.replica.hex(), Why(fact.why))
        if (*key, height, fact.epoch) not in seen:
            seen[*key, height, fact.epoch] = None
            times[key] += 1
        (others if fact.backer else own)[key] += fact.after - fact.before
    found = Table("node", "why", "times", "its trust", "its voters'", title="trust on the ledger", box=None)
    for key in sorted(times, key=lambda key: (key[1] is Why.IDLE, name(key[0]), key[1])):
        replica, why = key
        who = name(replica) if replica else "members"
        found.add_row(who, SAYS[why], str(times[key]), _points(own[key]), _points(others[key]))
    return found


def proven(notes: list[dict[str, Any]], name: Callable[[str], str]) -> str:
    """Whom nodes proved to lie, and how often they told so: once each of a committee."""
    return _counted(Counter(name(note["replica"]) for note in notes if note["what"] == PROVEN))


def summary(offices: Offices, name: Callable[[str], str]) -> list[tuple[str, str]]:
    """What the ledger has of it."""
    accused = Counter(name(fact.replica.hex()) for _, fact in offices.of(Accused))
    attested = Counter(name(fact.replica.hex()) for _, fact in offices.of(Attested))
    failed: Counter[str] = Counter()
    for _, fact in offices.of(ViewFailed):
        failed[name(fact.replica.hex())] += fact.views
    return [
        ("accused on the ledger", _counted(accused)),
        ("views that failed, by primary", _counted(failed)),
        ("heights attested that certificates leave out", _counted(attested)),
        ("offices settled", str(sum(1 for _ in offices.of(OfficeSettled)))),
    ]


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{who} {number}" for who, number in sorted(found.items())) or "none"


def _points(moved: int) -> str:
    sign = "-" if moved < 0 else "+" if moved else ""
    return sign + format_points(Points(abs(moved))) if moved else ""
