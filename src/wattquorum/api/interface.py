"""The interface as it listens: where, and whether in TLS.

A node.toml says `api = "10.0.0.1:8100"` and, unless that is the machine itself, a certificate and its key:

    [api_tls]
    certificate = "api.pem"             # and those that lead to its authority; beside node.toml unless absolute
    key = "api.key"

What clients send is signed and what they are told can be proved, yet in plain text anybody on the way reads it and can
answer in a node's name. So a node does not listen in plain text to other machines unless `api_plain = true` says that
something else protects the way, such as a proxy or a private network.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn

from wattquorum.api.app import application
from wattquorum.api.connections import Bounds, Connection, Connections
from wattquorum.api.sharing import Streams
from wattquorum.api.uploads import Uploads
from wattquorum.foundation.refusals import Refused
from wattquorum.node.disk import read_file
from wattquorum.node.node import Node
from wattquorum.node.transport import Place

CONFIG: Final = "node.toml"
END_S: Final = 2  # how long answers that are under way may take when it ends


class ApiTls(NamedTuple):
    """A certificate, with those that lead to its authority, and its secret key, as files."""

    certificate: Path
    key: Path


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def tls_of(folder: Path, api: Place) -> ApiTls | None:
    """What a folder's node.toml says of TLS on its interface; Refused("config_invalid") where it must say more."""
    path = folder / CONFIG
    try:
        found: dict[str, Any] = tomllib.loads(read_file(path, CONFIG).decode("utf-8")) if path.exists() else {}
    except ValueError as fault:
        raise Refused("config_invalid", CONFIG, fault) from None
    plain, tls = found.get("api_plain", False), found.get("api_tls")
    if not isinstance(plain, bool):
        raise Refused("config_invalid", "api_plain", plain, "Write true or false.")
    if tls is None:
        if not plain and not is_loopback(api[0]):
            remedy = (
                "Give [api_tls] certificate and key, or say api_plain = true where something else protects the way."
            )
            raise Refused("config_invalid", "api", f"{api[0]}, in plain text", remedy)
        return None
    if plain or not isinstance(tls, dict) or set(tls) != {"certificate", "key"}:
        raise Refused("config_invalid", "api_tls", tls, "Give certificate and key, and no api_plain beside them.")
    if not all(isinstance(each, str) and each for each in tls.values()):
        raise Refused("config_invalid", "api_tls", tls, "Name files.")
    return ApiTls(folder / tls["certificate"], folder / tls["key"])


class Interface:
    """The interface of a node that runs in this loop. `start` it, and `stop` it when the node has ended."""

    def __init__(self, node: Node, api: Place, tls: ApiTls | None = None, bounds: Bounds | None = None) -> None:
        """Refused("certificate_wrong") where its files are no certificate and its key."""
        self._place = api
        self._tls = _context(tls) if tls is not None else None
        self.connections = Connections(bounds)
        app = application(node, self.connections)
        self.uploads: Uploads = app.state.uploads
        self.streams: Streams = app.state.streams
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=END_S,
        )
        config.load()
        self._server = _Server(config, self.connections)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; Refused("address_in_use") where it cannot."""
        server = self._server
        try:
            await self.connections.listen(
                self._place, self._tls, lambda: Connection(server.config, server.server_state, {})
            )
        except OSError:
            raise Refused("address_in_use", "api", f"{self._place[0]}:{self._place[1]}") from None
        self._serving = asyncio.get_running_loop().create_task(server.serve())

    def refuse(self) -> None:
        """Takes no more requests; those that are under way go on for a while."""
        self._server.should_exit = True

    async def stop(self) -> None:
        """Ends, within a second more than answers may take; whatever has not ended by then is let go."""
        self.refuse()
        if self._serving is not None:
            await asyncio.wait([self._serving], timeout=END_S + 1)
            self._serving.cancel()

    async def ended(self) -> None:
        """Returns when it listens no more."""
        if self._serving is not None:
            await asyncio.wait([self._serving])


def _context(tls: ApiTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # clients are any program, also one that is a few years old
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (ssl.SSLError, OSError) as fault:
        raise Refused("certificate_wrong", "api_tls", f"{tls.certificate}: {fault}") from None
    return context


class _Server(uvicorn.Server):
    """Serves the connections that are taken, and leaves signals to the service: the node ends first."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # there are none
        """Nothing: connections are taken by who counts them."""
        self.servers = []
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no more connections, and ends those that there are."""
        self._connections.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield
