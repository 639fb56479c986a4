"""The nodes as processes: started, killed, stopped for a while, and listened to.

What a process says goes through a pipe into a log beside the folders, since the disk of a node may be full. Each line
is an event; events are counted, and a line that is none (a traceback) is kept as something wrong.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final, Protocol

from torture.community import Community
from torture.disks import Disks
from torture.history import History
from torture.launch import set_clock
from torture.links import Network

PATIENCE_S: Final = 30.0
CRASHED: Final = "Traceback"


class LossyDisks(Protocol):
    """Disks that lose what was not synced when a process is killed."""

    def command(self, slot: int) -> tuple[list[str], dict[str, str] | None]:
        """What runs a slot's modules, up to and without what they are, and its environment."""

    def lose(self, slot: int, seed: int) -> str:
        """Takes away some of what was not synced, and tells what."""


class Processes:
    """The processes of a community's slots. Its methods may be called from any thread."""

    def __init__(
        self,
        community: Community,
        network: Network,
        disks: Disks,
        lossy: LossyDisks | None,
        history: History,
        *,
        clocks: bool,
    ) -> None:
        """`clocks`: their wall clocks can be moved; `lossy`: what they did not sync can be taken from them."""
        self._community, self._network, self._disks, self._lossy = community, network, disks, lossy
        self._history = history
        self._clocks = clocks
        self._guard = threading.RLock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._waiting: dict[int, None] = {}  # slots that are to be started once their disk has room
        self._pumps: list[threading.Thread] = []
        self.events: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.kills = self.losses = 0
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
            python, environment = ([sys.executable, "-m"], None) if self._lossy is None else self._lossy.command(slot)
            module = ["torture.launch", str(self.clock(slot))] if self._clocks else ["wattquorum"]
            node = ["node", "run", "--config", str(self._community.config(slot))]
            command = [*self._network.command(slot), *python, *module, *node]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
            self._running[slot] = process
            self._disks.started(slot, process.pid)
            pump = threading.Thread(target=self._listen, args=(slot, process), name=f"log-{slot}", daemon=True)
            pump.start()
            self._pumps = [each for each in self._pumps if each.is_alive()] + [pump]

    def _listen(self, slot: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        name = f"node-{slot}"
        with process.stdout, (self.logs / f"{name}.log").open("ab", buffering=0) as log:
            for line in process.stdout:
                log.write(line)
                try:
                    event = str(json.loads(line)["event"])
                except (ValueError, KeyError, TypeError):
                    if line.startswith(CRASHED.encode()):
                        self.wrong.append(f"{name} wrote a traceback; see logs/{name}.log")
                    continue
                self.events[event] += 1
                if event == "halted":
                    self.wrong.append(f"{name} halted: {line.decode('utf-8', 'replace').strip()}")

    def kill(self, slot: int, why: str) -> None:
        """Ends it with SIGKILL, and takes away what it had not synced where disks are lossy."""
        with self._guard:
            process = self._running.pop(slot, None)
            self._waiting.pop(slot, None)
            if process is None:
                return
            process.kill()
            process.wait()
            self.kills += 1
            lost = None
            if self._lossy is not None:
                lost = self._lossy.lose(slot, self.kills)
                self.losses += 1
            self._history.note("kill", slot=slot, why=why, lost=lost)

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
                process.kill()
                process.wait()
                self.wrong.append(f"node-{slot} did not end within {PATIENCE_S:.0f} s of SIGTERM")
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
        """Starts those again, once there is room, that ended because their disk was full; others should not end."""
        with self._guard:
            for slot, process in list(self._running.items()):
                status = process.poll()
                if status is None:
                    continue
                del self._running[slot]
                log = (self.logs / f"node-{slot}.log").read_text(encoding="utf-8", errors="replace")
                last = log.strip().rpartition("\n")[2]
                self._history.note("ended", slot=slot, status=status, last=last)
                if self._disks.is_full(slot) or "disk_full" in last:
                    self.events["ended_on_a_full_disk"] += 1
                else:
                    self.wrong.append(f"node-{slot} ended by itself with status {status}: {last}")
                self._waiting[slot] = None
            for slot in [slot for slot in self._waiting if not self._disks.is_full(slot)]:
                del self._waiting[slot]
                self.start(slot)
