"""WattQuorum: a permissioned ledger for peer-to-peer power trading whose members' standing carries the vote."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wattquorum.api.client import AsyncClient as AsyncClient
    from wattquorum.api.client import Client as Client

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Client` and `AsyncClient`, loaded when they are asked for: the command line needs no HTTP."""
    if name in ("AsyncClient", "Client"):
        from wattquorum.api import client

        return getattr(client, name)
    raise AttributeError(name)
