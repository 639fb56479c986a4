"""Founding: the chain that a simulated world begins with, and the keys of everybody in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from wattquorum.foundation.identities import address_of
from wattquorum.foundation.quantities import MILLION, Millis, Power, Ppm
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, chain_id_of, encode_genesis
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.ledger.transactions import AddValidator, MeterPoint, Payload, Propose, Register, RemoveValidator
from wattquorum.simulation.demo_keys import DemoSecrets

CREATED: Final = Millis(1_465_768_800_000)


class Founding:
    """A demo chain whose proposers are the world's hosts, with clients who are cashiers and a governor."""

    def __init__(self, seed: int, hosts: int, clients: int, parameters: Mapping[str, int], spares: int = 0) -> None:
        """The last `spares` of the hosts are no proposers of the genesis: they learn first, and vote when they ask."""
        secrets = DemoSecrets(seed, demo=True)
        self.created_ms = CREATED
        self.host_keys = [secrets.key(f"host-{number}") for number in range(hosts)]
        self.client_keys = [secrets.key(f"client-{number}") for number in range(clients)]
        self.governor_key = secrets.key("governor")
        self.member_keys = [secrets.key(f"member-{number}") for number in range(hosts)]
        founders = [Founder("governor", "governor", self.governor_key.public.hex(), ("GOVERNOR", "REGISTRAR"))]
        founders += [
            Founder(f"client-{number}", f"client-{number}", key.public.hex(), ("CASHIER",))
            for number, key in enumerate(self.client_keys)
        ]
        proposers = tuple(key.public.hex() for key in self.host_keys[: hosts - spares])
        room = {"validators_max": hosts} if hosts > DEFAULTS.validators_max else {}
        genesis = Genesis(
            FORMAT, f"world-{seed}", "CNY", True, CREATED, 1, tuple(founders), proposers, {**parameters, **room}
        )
        self.genesis = encode_genesis(genesis)

    def appointments(self, removals: Sequence[int] = ()) -> list[list[Payload]]:
        """What the governor signs, each list in order: hosts get the standing of members, and some lose their seat."""
        chain_id = chain_id_of(self.genesis)
        found: list[list[Payload]] = []
        for number, (member, host) in enumerate(zip(self.member_keys, self.host_keys, strict=True)):
            point = MeterPoint(f"meter-{number}", Side.BUY, "f", Power(1_000), "village", Ppm(MILLION))
            name = f"member-{number}"
            added = Propose(AddValidator(address_of(chain_id, member.public), host.public))
            found.append([Register(member.public, name, name, (point,)), added])
        addresses = [address_of(chain_id, host.public) for host in self.host_keys]
        found += [[Propose(RemoveValidator(addresses[number]))] for number in removals]
        return found
