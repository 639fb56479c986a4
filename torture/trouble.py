"""Trouble: does to the nodes what the schedule says, and undoes it when its time is over.

Faults overlap. What was done to one thing by two faults is undone when the last of them is over: ways are cut, held and
slow by the union of what lasts, and a node that one fault killed is not started by another before its own time.
"""

from __future__ import annotations

import heapq
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Final, NamedTuple

from torture.clients import Clients, told
from torture.community import Community
from torture.disks import Disks
from torture.history import History
from torture.launch import set_clock
from torture.links import Network, Way
from torture.processes import Processes
from torture.schedule import CALM, CLOCKS_S, LEADER, Fault
from wattquorum.consensus.bft.committee import tolerated

LOOK_S: Final = 0.25
WORK_AGAIN_S: Final = 60.0  # after a healing, on a machine that may be busy with other things
SLOW_S: Final = 0.3  # at most
AGREEING: Final = ("primary", "agent", "prospect")


class Ways(NamedTuple):
    """What a fault does to the network."""

    cut: Collection[Way] = ()
    held: Collection[Way] = ()
    slow: Collection[Way] = ()
    delay_s: float = 0.0


class Trouble:
    """Goes wrong in a thread of its own, until it is told to stop."""

    def __init__(
        self,
        community: Community,
        processes: Processes,
        network: Network,
        disks: Disks,
        clients: Clients,
        history: History,
    ) -> None:
        self._community, self._processes, self._network = community, processes, network
        self._disks, self._clients, self._history = disks, clients, history
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._ways: dict[int, Ways] = {}
        self._jumped: list[int] = []  # slots whose clocks a fault moved last
        self._down: Counter[int] = Counter()  # slots, by how many faults keep them down
        self._full: Counter[int] = Counter()
        self.counted: Counter[str] = Counter()
        self.now = ""
        self.wrong: list[str] = []
        self.back_s: list[float] = []  # how long it took after each calm's healing until a write was decided

    def run(self, faults: Iterator[Fault], over: Callable[[], bool], end: threading.Event) -> None:
        """Until it is over; then everything is healed."""
        at = time.monotonic()
        coming = next(faults)
        while not over() and not end.is_set():
            begins = at + coming.after_s
            first = min(begins, self._due[0][0]) if self._due else begins
            if end.wait(min(max(first - time.monotonic(), 0), LOOK_S)):
                break
            self._processes.look()
            self._undo(time.monotonic())
            if time.monotonic() < begins:
                continue
            if coming.kind == CALM:
                self._calm(coming.lasts_s, end)
            else:
                self._begin(coming)
            at = max(begins, time.monotonic() - 1.0)  # what could not be done in time is not caught up with
            coming = next(faults)
        self.heal()

    def heal(self) -> None:
        """Undoes everything."""
        self._undo(float("inf"))
        for slot in range(self._community.slots):
            self._processes.signal(slot, signal.SIGCONT)
        for slot in self._clients.seated:
            self._processes.start(slot)

    def _calm(self, lasts_s: float, end: threading.Event) -> None:
        """Heals, and waits until a write is decided that was not answered before, and a while longer."""
        self.heal()
        self.now = CALM
        self._history.note(CALM)
        writes, healed = self._clients.writes, time.monotonic()
        while self._clients.writes == writes and not end.wait(LOOK_S / 5):
            self._processes.look()
            if time.monotonic() - healed > WORK_AGAIN_S:
                self.wrong.append(f"nothing was decided within {WORK_AGAIN_S:.0f} s of a healing")
                end.set()
                return
        self.back_s.append(time.monotonic() - healed)
        end.wait(lasts_s)

    def _later(self, after_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + after_s, next(self._order), what))

    def _undo(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def _leader(self, seated: list[int]) -> int | None:
        addresses = {self._community.address(slot).hex(): slot for slot in seated}
        leading = [(each["term"], each["leader"]) for _, each in told(self._community, seated, 0.2)]
        return addresses.get(max(leading, default=(0, ""))[1])

    def _agents(self, seated: list[int], chance: random.Random) -> list[int]:
        """As many of those who agree now as may fail."""
        agreeing = [slot for slot, each in told(self._community, seated, 0.2) if each["role"] in AGREEING]
        agreeing = agreeing or seated  # nobody answers in time: as many of any
        return chance.sample(agreeing, max(1, tolerated(len(agreeing))))

    def _begin(self, fault: Fault) -> None:
        seated = list(self._clients.seated)
        chance = random.Random(fault.seed)
        slots = [seated[victim] for victim in fault.victims if victim != LEADER]
        if LEADER in fault.victims:
            leader = self._leader(seated)
            slots = [chance.choice(seated) if leader is None else leader]
        elif fault.kind == "kill-agents":
            slots = self._agents(seated, chance)
        self.counted[fault.kind] += 1
        self.now = f"{fault.kind} {' '.join(map(str, slots))}"
        self._history.note("fault", number=fault.number, kind=fault.kind, slots=slots, lasts_s=round(fault.lasts_s, 3))
        if fault.kind in ("kill", "kill-leader", "kill-agents", "majority", "blackout"):
            lasts = 0.0 if fault.kind == "blackout" else fault.lasts_s
            self._kill(slots, lasts, fault.kind)
        elif fault.kind == "kill-again":
            self._kill_again(slots, chance)
        elif fault.kind == "pause":
            self._pause(slots, fault.lasts_s)
        elif fault.kind == "stutter":
            for moment in range(10):
                self._later(moment * fault.lasts_s / 5, lambda: self._pause(slots, fault.amount * fault.lasts_s / 10))
        elif fault.kind == "full":
            self._fill(slots, fault.lasts_s, int(fault.amount * (4 << 20)) if chance.random() < 0.5 else 0)
        elif fault.kind == "clock":
            self._jump(slots, fault, chance)
        elif fault.kind == "seat":
            self._clients.give_seat(fault.victims[0])
        else:
            self._disturb(fault, slots, seated)

    # Processes ------------------------------------------------------------------------------------------------------

    def _kill(self, slots: list[int], lasts_s: float, why: str) -> None:
        for slot in slots:
            self._down[slot] += 1
            self._processes.kill(slot, why)
        self._later(lasts_s, lambda: self._start(slots))

    def _start(self, slots: list[int]) -> None:
        for slot in slots:
            self._down[slot] -= 1
            if not self._down[slot] and slot in self._clients.seated:
                self._processes.start(slot)

    def _kill_again(self, slots: list[int], chance: random.Random) -> None:
        at = 0.0
        for _ in range(chance.randint(2, 5)):
            self._later(at, lambda: self._kill(slots, 0.05, "kill-again"))
            at += chance.uniform(0.2, 1.5)

    def _pause(self, slots: list[int], lasts_s: float) -> None:
        self._signal(slots, signal.SIGSTOP)
        self._later(lasts_s, lambda: self._signal(slots, signal.SIGCONT))

    def _signal(self, slots: list[int], what: signal.Signals) -> None:
        for slot in slots:
            self._processes.signal(slot, what)

    def _jump(self, slots: list[int], fault: Fault, chance: random.Random) -> None:
        """Clocks that jumped before are set right first: a chain's time is what a quorum's clocks say, even wrongly."""
        ahead_s = chance.choice(CLOCKS_S) * chance.choice((-1, 1))
        self._set_clocks(self._jumped, 0.0)
        self._set_clocks(slots, ahead_s)
        self._jumped = slots
        self._history.note("clock", slots=slots, ahead_s=ahead_s)
        if chance.random() < 0.5:
            self._kill(slots, 0.1, "clock")
        self._later(fault.lasts_s, lambda: self._set_clocks(slots, 0.0))

    def _set_clocks(self, slots: list[int], ahead_s: float) -> None:
        for slot in slots:
            set_clock(self._processes.clock(slot), int(ahead_s * 1_000_000_000))

    # Disks ----------------------------------------------------------------------------------------------------------

    def _fill(self, slots: list[int], lasts_s: float, limit_bytes: int) -> None:
        for slot in slots:
            self._full[slot] += 1
            self._disks.fill(slot, self._processes.pid(slot), limit_bytes)
        self._later(lasts_s, lambda: self._free(slots))

    def _free(self, slots: list[int]) -> None:
        for slot in slots:
            self._full[slot] -= 1
            if not self._full[slot]:
                self._disks.free(slot, self._processes.pid(slot))

    # Network --------------------------------------------------------------------------------------------------------

    def _disturb(self, fault: Fault, slots: list[int], seated: list[int]) -> None:
        others = [slot for slot in range(self._community.slots) if slot not in slots]
        away = [(one, other) for one in slots for other in others]
        back = [(other, one) for one, other in away]
        if fault.kind in ("cut", "isolate"):
            ways = Ways(cut=[*away, *back])
        elif fault.kind == "one-way":
            ways = Ways(cut=away if fault.amount < 0.5 else back)
        elif fault.kind == "ring":
            count = len(seated)
            ways = Ways(
                cut=[
                    (slots[one], slots[other])
                    for one in range(count)
                    for other in range(count)
                    if one != other and (one - other) % count not in (1, count - 1)
                ]
            )
        elif fault.kind == "hold":
            ways = Ways(held=away)
        else:
            ways = Ways(slow=away, delay_s=fault.amount * SLOW_S)
        self._ways[fault.number] = ways
        self._set_ways()
        self._later(fault.lasts_s, lambda: self._heal(fault.number))

    def _heal(self, number: int) -> None:
        del self._ways[number]
        self._set_ways()

    def _set_ways(self) -> None:
        cut = {way for ways in self._ways.values() for way in ways.cut}
        held = {way for ways in self._ways.values() for way in ways.held}
        slow = {way: ways.delay_s for ways in self._ways.values() for way in ways.slow}
        self._network.set(cut, held, slow)
