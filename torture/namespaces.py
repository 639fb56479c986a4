"""Network namespaces: every node on a machine of its own, as far as the kernel's network goes.

A bridge in the namespace of the torture, a pair of veth for each slot, addresses 10.77.0.0/24. A way is cut by giving
the receiver a wrong hardware address at the sender: packets of that way get lost without a word, so connections hang
as they do when a real link fails, where the relays break them off. For a slow way every packet of the sender's is late,
where the kernel has netem. The torture itself runs in namespaces of its own (`unshare`), so the kernel takes back all
of this when it ends, however it ends. Needs root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from typing import Final

from torture.links import Way
from wattquorum.node.transport import Place

BRIDGE: Final = "wq-bridge"
NOBODY: Final = "02:00:00:00:ff:ff"
NETNS: Final = "/run/netns"
LISTEN, API = 7100, 8100


def host(slot: int) -> str:
    """The address of a slot."""
    return f"10.77.0.{10 + slot}"


def listen(slot: int) -> Place:
    """Where a slot's node listens for others."""
    return host(slot), LISTEN


def api(slot: int) -> Place:
    """Where it listens for clients."""
    return host(slot), API


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class Namespaces:
    """One namespace for each slot. To be made in a network and a mount namespace of the torture's own."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._lost: frozenset[Way] = frozenset()
        self._late: dict[int, float] = {}
        self.can_delay = True

    def start(self) -> None:
        """Makes the bridge and connects the slots to it."""
        _run("mount", "-t", "tmpfs", "none", "/run")
        _run("mkdir", "-p", NETNS)
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", "10.77.0.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for slot in range(self._slots):
            name, outer = self._name(slot), f"wq-veth{slot}"
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
            _run("ip", "link", "set", outer, "master", BRIDGE, "up")
            _run("ip", "-n", name, "addr", "add", f"{host(slot)}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")

    @staticmethod
    def _name(slot: int) -> str:
        return f"wq-node{slot}"

    def route(self, one: int, other: int) -> Place:  # noqa: ARG002 - it is the same from everywhere
        """Where a node finds another."""
        return listen(other)

    def command(self, slot: int) -> list[str]:
        """Runs a slot's process in its namespace."""
        return ["ip", "netns", "exec", self._name(slot)]

    def set(self, cut: Collection[Way], held: Collection[Way], slow: Mapping[Way, float]) -> None:
        """From now on packets of these ways get lost, and those of these senders are late."""
        lost = frozenset(cut) | frozenset(held)
        for one, other in sorted(lost ^ self._lost):
            place = (host(other), "dev", "eth0")
            if (one, other) in lost:
                _run("ip", "-n", self._name(one), "neigh", "replace", *place, "lladdr", NOBODY, "nud", "permanent")
            else:
                _run("ip", "-n", self._name(one), "neigh", "del", *place)
        self._lost = lost
        late = {one: delay for (one, _), delay in slow.items()}
        for slot in range(self._slots):
            if self.can_delay and late.get(slot) != self._late.get(slot):
                self._delay(slot, late.get(slot))
        self._late = late

    def _delay(self, slot: int, delay_s: float | None) -> None:
        tc = ("tc", "-n", self._name(slot), "qdisc")
        try:
            if delay_s is None:
                _run(*tc, "del", "dev", "eth0", "root")
            else:
                _run(*tc, "replace", "dev", "eth0", "root", "netem", "delay", f"{round(delay_s * 1_000)}ms")
        except subprocess.CalledProcessError as fault:
            self.can_delay = False
            print("SKIPPED: slow links; this kernel has no netem:", fault.stderr.strip().splitlines()[0])

    def stop(self) -> None:
        """Takes the namespaces down."""
        for slot in range(self._slots):
            subprocess.run(["ip", "netns", "del", self._name(slot)], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)
