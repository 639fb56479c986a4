"""The service: a node and its interface as one process, from its start to its end.

SIGTERM and SIGINT end it cleanly: leadership goes to another, what is under way is written, connections are closed;
see `ending` for what does not end. A node that takes part no more stays up and answers with the reason, until somebody
ends it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from wattquorum import __version__
from wattquorum.api.connections import raise_open_files
from wattquorum.api.ending import Say, Step, end, watch_stacks
from wattquorum.api.interface import Interface, tls_of
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.node.control import HANDLERS, Control
from wattquorum.node.journal import REPEAT_S, Journal
from wattquorum.node.node import Node, NodeConfig
from wattquorum.node.renewal import LOOK_S, Renewal
from wattquorum.node.transport import Place

STEP_S: Final = 4.0
NODE_S: Final = 11.0  # it hands over, waits for a sync, closes its connections, and writes its chain


async def serve(
    config: NodeConfig, api: Place, verify: Verifier, say: Say, made: Callable[[NodeConfig, Verifier], Node] = Node
) -> None:
    """Runs a node until the process is asked to end. `say` is told events by name, with their circumstances."""
    raise_open_files()
    tls = tls_of(config.folder, api)
    node = made(config, verify)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, ended.set)
    watch_stacks(loop)
    host, port = await node.start()
    control = Control(node, HANDLERS)
    await control.start()
    if node.wal.torn is not None:
        say("torn_tail_cut", file=node.wal.torn.segment, byte=node.wal.torn.offset, reason=node.wal.torn.reason)
    interface = Interface(node, api, tls)
    journal = Journal(node, say)
    watching: list[asyncio.Task[Any]] = [
        loop.create_task(_tell_halt(node, say)),
        loop.create_task(_keep_renewed(node, say)),
        loop.create_task(journal.keep()),
        loop.create_task(_tell_turned_away(interface, say)),
    ]
    try:
        await interface.start()
        say(
            "started",
            version=__version__,
            replica=node.address.hex(),
            listen=f"{host}:{port}",
            api=f"{api[0]}:{api[1]}",
            tls=tls is not None,
            chain=node.chain_id.hex(),
        )
        until = [loop.create_task(ended.wait()), loop.create_task(interface.ended())]
        watching += until
        await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            raise Refused("node_failed", "api", "it listens no more")
    finally:
        for task in watching:
            task.cancel()
        interface.refuse()
        steps = [
            Step("control", control.stop, STEP_S),
            Step("node", node.stop, NODE_S),
            Step("watching", lambda: asyncio.wait(watching), STEP_S),
            Step("api", interface.stop, STEP_S),
        ]
        await end(steps, say)
        journal.repeat()
        say("stopped", version=__version__, replica=node.address.hex(), height=node.ledger.height)


async def _tell_halt(node: Node, say: Say) -> None:
    refused = await node.until_halted()
    say("halted", code=refused.code, field=refused.field, value=refused.value, remedy=refused.remedy)


async def _tell_turned_away(interface: Interface, say: Say) -> None:
    told: Counter[str] = Counter()
    while True:
        await asyncio.sleep(REPEAT_S)
        found = Counter(interface.connections.turned_away)
        for reason, count in sorted((found - told).items()):
            say("clients_turned_away", reason=reason, count=count, total=found[reason])
        told = found


async def _keep_renewed(node: Node, say: Say) -> None:
    renewal = Renewal(node.config.folder, node.config.places, node.transport)
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if renewal.renew():
                say("renewed", peers=len(node.transport.peers()))
        except Refused as refused:
            say("not_renewed", code=refused.code, field=refused.field, value=refused.value, remedy=refused.remedy)


def run(
    config: NodeConfig, api: Place, verify: Verifier, say: Say, made: Callable[[NodeConfig, Verifier], Node] = Node
) -> None:
    """The same in a loop of its own: uvloop's where it is installed. The process is to end after it."""
    if sys.platform != "win32":
        try:
            import uvloop

            uvloop.run(serve(config, api, verify, say, made))
            return
        except ModuleNotFoundError:
            pass
    asyncio.run(serve(config, api, verify, say, made))
