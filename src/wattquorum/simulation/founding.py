"""Founding: the chain that a simulated world begins with, and the keys of everybody in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, encode_genesis
from wattquorum.simulation.demo_keys import DemoSecrets

CREATED: Final = Millis(1_465_768_800_000)


class Founding:
    """A demo chain whose proposers are the world's hosts, with clients who are cashiers and a governor."""

    def __init__(self, seed: int, hosts: int, clients: int, parameters: Mapping[str, int]) -> None:
        secrets = DemoSecrets(seed, demo=True)
        self.created_ms = CREATED
        self.host_keys = [secrets.key(f"host-{number}") for number in range(hosts)]
        self.client_keys = [secrets.key(f"client-{number}") for number in range(clients)]
        self.governor_key = secrets.key("governor")
        founders = [Founder("governor", "governor", self.governor_key.public.hex(), ("GOVERNOR",))]
        founders += [
            Founder(f"client-{number}", f"client-{number}", key.public.hex(), ("CASHIER",))
            for number, key in enumerate(self.client_keys)
        ]
        proposers = tuple(key.public.hex() for key in self.host_keys)
        genesis = Genesis(
            FORMAT, f"world-{seed}", "CNY", True, CREATED, 1, tuple(founders), proposers, dict(parameters)
        )
        self.genesis = encode_genesis(genesis)
