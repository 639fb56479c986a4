"""The control socket: what the operator of a node asks of it, and nobody else.

Handing leadership on, or copying the chain, is the operator's business and no client's. So it is not on the interface:
a node that runs listens on `control.sock` in its folder, a socket of the machine that only the node's user can open.
One line of JSON asks, one line answers: `{"do": "transfer", "to": null}`, then what the answer holds, or the refusal
with code, field, value and remedy. What can be asked is a table of names and handlers.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.refusals import CODES, Refused
from wattquorum.node import engines
from wattquorum.node.backup import backup
from wattquorum.node.disk import refusal
from wattquorum.node.node import Node

SOCKET: Final = "control.sock"
REQUEST_BYTES_MAX: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
REQUEST_S: Final = 10.0  # how long the asker may take to say what it wants
ANSWER_S: Final = 600.0  # how long the answer may take
PATH_BYTES_MAX: Final = 100  # of a socket's name, on every system that we know

Handler = Callable[[Node, Mapping[str, Any]], Awaitable[dict[str, Any]]]


async def transfer(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """{"to": address in hexadecimal or null}: hands leadership to this voter, or to the heaviest that is connected."""
    to = request.get("to")
    if to is not None:
        try:
            address = bytes.fromhex(to)
        except (TypeError, ValueError):
            address = b""
        if len(address) != ADDRESS_BYTES:
            raise Refused("encoding_unreadable", "to", to, f"Give {2 * ADDRESS_BYTES} hexadecimal digits, or null.")
        to = address
    leader = await node.hand_over(to)
    return {"leader": leader.hex(), "term": node.engine.term}


async def status(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    """Who leads, and how far this node has come."""
    engine = node.engine
    return {
        "replica": node.address.hex(),
        "chain": node.chain_id.hex(),
        "role": engines.role(engine, node.address),
        "term": engine.term,
        "leader": engine.leader.hex(),
        "height": node.ledger.height,
        "archived": node.archive.height,
        "halted": str(node.halted or ""),
    }


HANDLERS: Final[Mapping[str, Handler]] = {"backup": backup, "status": status, "transfer": transfer}


class Control:
    """The control socket of a node that runs in this loop."""

    def __init__(self, node: Node, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        self._node = node
        self._handlers = handlers
        self._path = node.config.folder / SOCKET
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens. A socket that is there already is what an earlier process left: a chain has one node at a time."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(OSError):
                os.fchmod(listening.fileno(), 0o600)  # where this counts nobody else can open it for a moment either
            with _named(self._path) as name:
                listening.bind(name)
            self._path.chmod(0o600)
            listening.setblocking(False)
            self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=REQUEST_BYTES_MAX)
        except OSError as fault:
            listening.close()
            raise Refused("address_in_use", "control", f"{self._path}: {fault.strerror or fault}") from None

    async def stop(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await _line(reader))
            writer.write(json.dumps(answer).encode("ascii") + b"\n")
            await writer.drain()
        except ConnectionError:
            return  # who asked is gone
        finally:
            writer.close()

    async def _answer(self, line: bytes | Refused) -> dict[str, Any]:
        try:
            if isinstance(line, Refused):
                raise line
            return {"answer": await self._done(line)}
        except Refused as refused:
            return _told(refused)
        except OSError as fault:
            return _told(refusal(fault, fault.filename or "control"))

    async def _done(self, line: bytes) -> dict[str, Any]:
        try:
            request: object = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            raise Refused("request_unreadable", "request", line, "Send one JSON object in a line.")
        name = request.get("do")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise Refused("request_unreadable", "do", name, f"This node does {', '.join(sorted(self._handlers))}.")
        return await handler(self._node, request)


async def _line(reader: asyncio.StreamReader) -> bytes | Refused:
    """The line that asks, or why there is none."""
    try:
        async with asyncio.timeout(REQUEST_S):
            return await reader.readline()
    except TimeoutError:
        return Refused("request_unreadable", "request", "nothing", f"Send one line of JSON within {REQUEST_S:g} s.")
    except ValueError:
        return Refused("request_unreadable", "request", f"more than {REQUEST_BYTES_MAX:,} bytes", "Ask for less.")


def _told(refused: Refused) -> dict[str, Any]:
    shape = {"code": refused.code, "field": refused.field, "value": refused.value, "remedy": refused.remedy}
    return {"refused": shape}


def ask(folder: Path, request: Mapping[str, Any], seconds: float = ANSWER_S) -> dict[str, Any]:
    """Asks the node that runs in this folder, and returns its answer; raises what it refuses.

    Refused("node_stopped") where none runs, Refused("undecided") where no answer comes in time.
    """
    path = folder / SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(seconds)
        try:
            with _named(path) as name:
                asking.connect(name)
            asking.sendall(json.dumps(dict(request)).encode("ascii") + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = asking.recv(REQUEST_BYTES_MAX)
                if not more or len(data) > ANSWER_BYTES_MAX:
                    break
                data += more
        except TimeoutError:
            raise Refused(
                "undecided", "control", f"{path}: no answer in {seconds:g} s", "Ask for its status."
            ) from None
        except PermissionError:
            raise Refused("file_unreadable", "control", path, "Ask as the user that the node runs as.") from None
        except OSError as fault:
            remedy = "Start the node, and name the folder of its node.toml."
            raise Refused("node_stopped", "control", f"{path}: {fault.strerror or fault}", remedy) from None
    return _read(data, path)


def _read(data: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(data)
        if "answer" in found:
            return dict(found["answer"])
        told = found["refused"]
        code = told["code"] if told["code"] in CODES else "request_unreadable"
        refused = Refused(code, told["field"], told["value"], told["remedy"])
    except (ValueError, KeyError, TypeError):
        raise Refused("node_stopped", "control", f"{path}: it ended before it had answered") from None
    raise refused


@contextmanager
def _named(path: Path) -> Iterator[str]:
    """A name for a socket's path that is short enough: by its folder's descriptor, where there is such a thing."""
    name = str(path)
    if len(os.fsencode(name)) <= PATH_BYTES_MAX:
        yield name
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
