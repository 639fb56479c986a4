"""The nodes as processes: started, killed, stopped for a while, and listened to.

What a process says goes through a pipe into a log beside the folders, since the disk of a node may be full. Each line
is an event; events are counted, and a line that is none (a traceback) is kept as something wrong.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from torture.community import Community
from torture.disks import Disks
from torture.history import History
from torture.launch import ahead_ns, set_clock
from torture.links import Network
from torture.lossy import drop
from torture.penalties import PROVEN
from torture.warm import Warm

PATIENCE_S: Final = 30.0
STACKS_S: Final = 1.0  # for a process to write where it stands before it is killed
WRONG: Final = ("halted", "not_ended")  # events of a node that no fault explains
SYNCS_MAX: Final = 120  # of a node on a lossy disk, half of which end as one of their syncs begins
EXPIRED: Final = "tls_identity_expired"
CRASHED: Final = "Traceback"


class Dropping:
    """Nodes whose disks lose, when they are killed, some of what they had not synced (`torture.lossy`)."""

    def __init__(self, community: Community, seed: int) -> None:
        self._community, self._seed = community, seed
        self._journals = community.folder / "journals"
        self._journals.mkdir()
        self._chance = random.Random(seed)
        self.ends_at_syncs = True

    def command(self, slot: int) -> list[str]:
        """The module that runs a slot's node, and its arguments: it may kill itself as a sync of it begins."""
        syncs = self._chance.choice((0, self._chance.randint(1, SYNCS_MAX))) if self.ends_at_syncs else 0
        return ["torture.lossy", str(self._community.node(slot)), str(self._journal(slot)), str(syncs)]

    def drop(self, slot: int, kill: int) -> int:
        """Its power has failed, as the kill of this number; how many of its changes were not synced."""
        if not self._journal(slot).exists():
            return 0  # it was killed before it did anything
        return drop(self._community.node(slot), self._journal(slot), self._seed * 1_000_003 + kill)

    def forget(self, slot: int) -> None:
        """Another replica comes in its place."""
        shutil.rmtree(self._journal(slot), ignore_errors=True)

    def _journal(self, slot: int) -> Path:
        return self._journals / f"node-{slot}"


class Processes:
    """The processes of a community's slots. Its methods may be called from any thread."""

    def __init__(
        self,
        community: Community,
        network: Network,
        disks: Disks,
        dropping: Dropping | None,
        history: History,
        *,
        clocks: bool,
        warm: bool,
        liars: Mapping[int, int] | None = None,
        ways: Sequence[str] = (),
    ) -> None:
        """`clocks`: their wall clocks can be moved; `warm`: they start warm; `dropping`: they lose what is unsynced.

        `liars`: by slot, the seed that draws how its node lies, unless `ways` say how.
        """
        self._liars, self._ways = dict(liars or {}), ways
        self._community, self._network, self._disks, self._dropping = community, network, disks, dropping
        self._history = history
        self._clocks, self._warm = clocks, warm
        self._guard = threading.RLock()
        self._running: dict[int, subprocess.Popen[bytes] | Warm] = {}
        self._waiting: dict[int, None] = {}  # slots that are to be started once their disk has room
        self._pumps: list[threading.Thread] = []
        self.events: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.kills = self.drops = self.unsynced = 0
        self.logs = community.folder / "logs"
        self.logs.mkdir()
        for slot in range(community.slots):
            set_clock(self.clock(slot), 0)

    def clock(self, slot: int) -> Path:
        """The file that moves a slot's clock."""
        return self.logs / f"clock-{slot}"

    def pid(self, slot: int) -> int | None:
        """The process of a slot, if one runs."""
        with self._guard:
            process = self._running.get(slot)
            return None if process is None else process.pid

    def start(self, slot: int) -> None:
        """Starts a slot's node, unless it runs."""
        with self._guard:
            if slot in self._running:
                return
            module, *arguments = self._module(slot)
            process: subprocess.Popen[bytes] | Warm
            if self._warm:
                process = Warm(module, arguments)
            else:
                command = [*self._network.command(slot), sys.executable, "-m", module, *arguments]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self._running[slot] = process
            self._disks.started(slot, process.pid)
            pump = threading.Thread(target=self._listen, args=(slot, process), name=f"log-{slot}", daemon=True)
            pump.start()
            self._pumps = [each for each in self._pumps if each.is_alive()] + [pump]

    def _module(self, slot: int) -> list[str]:
        if slot in self._liars:
            run = ["node", "run", "--config", str(self._community.config(slot))]
            return ["torture.liar", str(self._liars[slot]), ",".join(self._ways), *run]
        if self._dropping is not None:
            return self._dropping.command(slot)
        module = ["torture.launch", str(self.clock(slot))] if self._clocks else ["wattquorum"]
        return [*module, "node", "run", "--config", str(self._community.config(slot))]

    def _listen(self, slot: int, process: subprocess.Popen[bytes] | Warm) -> None:
        assert process.stdout is not None
        name = f"node-{slot}"
        with process.stdout, (self.logs / f"{name}.log").open("ab", buffering=0) as log:
            for line in process.stdout:
                log.write(line)
                try:
                    said = json.loads(line)
                    event = str(said["event"])
                except (ValueError, KeyError, TypeError):
                    if line.startswith(CRASHED.encode()):
                        self.wrong.append(f"{name} wrote a traceback; see logs/{name}.log")
                    continue
                self.events[event] += 1
                if event == PROVEN:
                    told = {name: said[name] for name in ("replica", "committee", "height", "view", "phase")}
                    self._history.note(PROVEN, slot=slot, **told)
                if event in WRONG:
                    self.wrong.append(f"{name} {event}: {line.decode('utf-8', 'replace').strip()}")

    def kill(self, slot: int, why: str) -> None:
        """Ends it with SIGKILL, and takes away what it had not synced where disks are lossy."""
        with self._guard:
            process = self._running.pop(slot, None)
            self._waiting.pop(slot, None)
            if process is not None:
                process.kill()
                process.wait()
                self._killed(slot, why)

    def _killed(self, slot: int, why: str) -> None:
        self.kills += 1
        unsynced = None
        if self._dropping is not None:
            unsynced = self._dropping.drop(slot, self.kills)
            self.drops += 1
            self.unsynced += unsynced
        self._history.note("kill", slot=slot, why=why, unsynced=unsynced)

    def fail_power(self) -> None:
        """Ends all that run at once and starts them again; from now on none ends as a sync of it begins."""
        with self._guard:
            running = list(self._running)
            if self._dropping is not None:
                self._dropping.ends_at_syncs = False
            for slot in running:
                self.kill(slot, "power")
            for slot in running:
                self.start(slot)

    def signal(self, slot: int, what: signal.Signals) -> None:
        """Stops or continues it."""
        with self._guard:
            process = self._running.get(slot)
            if process is not None:
                process.send_signal(what)

    def replace(self, slot: int) -> None:
        """Puts a new replica in the place of one that lost its seat."""
        with self._guard:
            self.kill(slot, "replaced")
            self._disks.free(slot, None)
            if self._dropping is not None:
                self._dropping.forget(slot)
            self._community.replace(slot)

    def end(self, slots: list[int]) -> None:
        """Ends these in order, as an operator does."""
        with self._guard:
            ending = {slot: self._running.pop(slot) for slot in slots if slot in self._running}
        for process in ending.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        until = time.monotonic() + PATIENCE_S
        for slot, process in ending.items():
            try:
                status = process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGUSR1)  # it writes where it stands
                time.sleep(STACKS_S)
                process.kill()
                process.wait()
                self.wrong.append(f"node-{slot} did not end within {PATIENCE_S:.0f} s of SIGTERM; see logs/")
            else:
                if status:
                    self.wrong.append(f"node-{slot} ended with status {status}")

    def close(self) -> None:
        """Ends whatever still runs at once, and waits for what they said last."""
        with self._guard:
            running, self._running = self._running, {}
        for process in running.values():
            process.kill()
            process.wait()
        for pump in self._pumps:
            pump.join(10)

    def look(self) -> None:
        """Starts those again that ended as a sync began, on a full disk once there is room, or at a time outside their
        TLS identity's once the clock is right; others should not have ended."""
        with self._guard:
            for slot, process in list(self._running.items()):
                status = process.poll()
                if status is None:
                    continue
                del self._running[slot]
                self._waiting[slot] = None
                if self._dropping is not None and status == -signal.SIGKILL:
                    self._killed(slot, "sync")
                    continue
                log = (self.logs / f"node-{slot}.log").read_text(encoding="utf-8", errors="replace")
                last = log.strip().rpartition("\n")[2]
                self._history.note("ended", slot=slot, status=status, last=last)
                if self._disks.is_full(slot) or "disk_full" in last:
                    self.events["ended_on_a_full_disk"] += 1
                elif EXPIRED in last and self._clocks:
                    self.events["ended_at_a_wrong_time"] += 1
                else:
                    self.wrong.append(f"node-{slot} ended by itself with status {status}: {last}")
            ready = [slot for slot in self._waiting if not self._disks.is_full(slot) and not ahead_ns(self.clock(slot))]
            for slot in ready:
                del self._waiting[slot]
                self.start(slot)
