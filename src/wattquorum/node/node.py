"""The node: one replica of a community's ledger as a process has it, with its disk, its peers and its clients.

    node.toml       where it listens, and times and bounds of its engine; see `config`
    ledger.key ...  its keys, its TLS identity, whom it knows; see `node_folder`
    wal/            what its engine must not forget; see `wal`
    chain/          the chain; see `chain_folder`
    lies.json       lies that it can prove and the ledger does not know; see `testimony`
    control.sock    where its operator asks it, while it runs; see `control`

A client hands in a signed transaction at any node and is told the receipt when its block is decided, or why there will
be none. The same transaction may be handed in again: it has one nonce, and what became of it is told again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import restart_digest
from wattquorum.ledger.blocks import Block, Receipt, decode_block
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.genesis import first_parameters
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.restart import Act
from wattquorum.ledger.transactions import Received, transaction_hash
from wattquorum.node.archive import Archive
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.community import Contexts
from wattquorum.node.engines import Rules, Times, started
from wattquorum.node.filling import Filling
from wattquorum.node.history import History
from wattquorum.node.runtime import FULL_AGAIN_S, Runtime
from wattquorum.node.steady_clock import SteadyClock
from wattquorum.node.testimony import Lies
from wattquorum.node.transport import Place, Transport
from wattquorum.node.wal import SEGMENT_BYTES, Wal
from wattquorum.replica.pool import Checked, Limits
from wattquorum.replica.replica import Work

REPLICA, ASK_BLOCKS, BLOCKS = (bytes([kind]) for kind in range(3))  # what a message between nodes begins with
BLOCKS_REMEMBERED: Final = 20_000  # at a start
RECEIPTS_KEPT: Final = 200_000  # of the last transactions, for who asks again
BEHIND: Final = ("nonce_wrong", "sender_unknown")  # refusals by a state that may be older than the sender's
REFUSED_MAX: Final = 64  # messages that could not be used, until they are told
ASK_AGAIN_S: Final = 0.5
TICK_MS: Final = 1_000
HAND_OVER_S: Final = 5.0
LEADING_S: Final = 0.05  # how often a step looks whether its node still leads


class NodeConfig(NamedTuple):
    """What a node is told at its start."""

    folder: Path
    key: SigningKey
    genesis: bytes
    listen: Place
    peers: Mapping[bytes, Place]  # by address, itself included or not
    contexts: Contexts  # of its TLS identity
    times: Times = Times()  # and bounds, of its engine
    limits: Limits = Limits()
    tick_ms: int = TICK_MS
    declared: bool = False  # the time of blocks is declared, by who plays a demo, with each step
    segment_bytes: int = SEGMENT_BYTES  # of the write-ahead log
    restarts: Sequence[Act] = ()  # by which its chain goes on
    places: Mapping[bytes, Place] = {}  # of those, what the configuration itself says


class Decided(NamedTuple):
    """What became of a transaction: the height of its block and its receipt."""

    height: int
    receipt: Receipt


class Node:
    """A node of a community. `start` it in a running loop, and `stop` it."""

    def __init__(self, config: NodeConfig, verify: Verifier) -> None:
        """Opens its folder and puts its replica together. Raises what the chain folder and the log are refused for."""
        self.config = config
        self.clock = SteadyClock()
        folder = config.folder / "chain"
        if (folder / GENESIS).exists():
            chain = ChainFolder(folder, writing=True)
        else:
            chain = ChainFolder.create(folder, config.genesis)
        try:
            if chain.genesis_bytes != config.genesis:
                raise Refused("chain_wrong", "genesis", chain.chain_id, "This folder has another chain.")
            if config.declared and not chain.genesis.demo:
                remedy = "A chain that is no demo takes the time of those who run it."
                raise Refused("demo_only", "clock", "declared", remedy)
            self.lies = Lies(config.folder)
            self.wal = Wal(config.folder / "wal", chain.chain_id, segment_bytes=config.segment_bytes)
            if self.wal.written < max(chain.log_reached, min(chain.height, 1)):
                self.wal.close()
                found = f"{self.wal.written} of at least {chain.log_reached} records, and {chain.height} blocks"
                raise Refused("log_missing", "wal", f"{found} in {folder}")
        except BaseException:
            chain.close()
            raise
        committee = Consensus(first_parameters(chain.genesis).consensus) is not Consensus.RAFT
        trusted = [restart_digest(each.restart) for each in config.restarts]
        filling = Filling(chain.genesis_bytes, chain.steps, verify, trusted) if committee else None
        self.archive = Archive(chain, lambda: self.wal.durable, filling, self._archived)
        self.verify = verify
        self.chain_id = chain.chain_id
        self.chain = chain
        self.history = History(chain)
        self.address = address_of(self.chain_id, config.key.public)
        rules = Rules(config.times, config.limits, config.tick_ms, config.declared, config.restarts)
        self.engine, self.replica = started(chain, config.key, verify, self.wal.records(), self.clock.read(), rules)
        self.transport = Transport(
            self.address,
            self.chain_id,
            config.contexts,
            config.listen,
            config.peers,
            self._on_messages,
        )
        self.runtime = Runtime(
            self.replica,
            self.wal,
            self.clock,
            self._send,
            self._on_work,
            self._on_halt,
            self.archive.flush,
            self.transport.flush,
        )
        self.started_s = time.monotonic()
        self._read = 0
        self._submitted: dict[bytes, list[asyncio.Future[Decided]]] = {}
        self._receipts: OrderedDict[bytes, Decided] = OrderedDict()
        self._receipts_from = max(1, chain.height - BLOCKS_REMEMBERED)  # the block from which on none is forgotten
        self.unreadable = 0  # messages of peers about blocks that could not be used
        self.refused_blocks: list[tuple[bytes, Refused]] = []  # of whom and why, to be told
        self._seen = 0  # the highest block whose receipts are remembered
        self._reads: dict[int, asyncio.Future[None]] = {}
        self._asked_s = 0.0
        self._asked = 0  # how often blocks were asked for
        self._again: asyncio.TimerHandle | None = None
        self._asked_of: dict[bytes, None] = {}  # peers that may answer with blocks
        self._watchers: list[Callable[[Executed], None]] = []
        self._stepping = asyncio.Lock()
        self._stepped = 0  # the term in which the last step was made here, if all that was proposed here is decided
        self._remember_stored()
        self._halted: asyncio.Future[Refused] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs

    def _remember_stored(self) -> None:
        """Receipts of the last blocks, which clients may ask for again though this node was restarted."""
        for _, data in self.chain.read(self._receipts_from):
            self._remember(decode_block(data))

    def _remember(self, block: Block) -> None:
        """Keeps a block's receipts, and tells those who wait for them."""
        self._seen = max(self._seen, block.header.height)
        for receipt in block.receipts:
            decided = Decided(block.header.height, receipt)
            before = self._receipts.get(receipt.transaction)
            if before is not None and before.receipt.outcome <= receipt.outcome:
                decided = before  # what was done stays done, though the same transaction is in a later block again
            self._receipts[receipt.transaction] = decided
            for future in self._submitted.pop(receipt.transaction, ()):
                if not future.done():
                    future.set_result(decided)
        while len(self._receipts) > RECEIPTS_KEPT:
            _, forgotten = self._receipts.popitem(last=False)
            self._receipts_from = max(self._receipts_from, forgotten.height + 1)

    @property
    def _lacks_blocks(self) -> bool:
        """Whether its state comes from blocks that it has not seen: it took it over, and they are still to be fetched.

        Until the first block after such a state the archive does not know that anything is missing.
        """
        return self._seen < self.ledger.height or self.archive.missing is not None

    @property
    def ledger(self) -> Ledger:
        """The replica's ledger, which may be another one after it took over somebody's state."""
        return self.replica.ledger

    async def start(self) -> Place:
        """Listens, connects and takes part. Tells where it listens; Refused("address_in_use") where it cannot."""
        self._halted = asyncio.get_running_loop().create_future()
        try:
            await self.transport.start()
        except OSError as fault:
            host, port = self.config.listen
            raise Refused("address_in_use", "listen", f"{host}:{port}: {fault.strerror or fault}") from None
        self.runtime.start()
        self._loop = asyncio.get_running_loop()
        self._write_on()
        return self.config.listen[0], self.transport.port

    async def stop(self, *, hand_over: bool = True) -> None:
        """Hands leadership to another, if it leads and one can take it; then ends. Nothing that was told is lost."""
        if hand_over and self.engine.leader == self.address and self.halted is None:
            with suppress(Refused):
                await self.hand_over(seconds=1.0)
        await self.runtime.stop()
        self._loop = None
        if self._again is not None:
            self._again.cancel()
        await self.transport.close()
        stopped = Refused("node_stopped", "node", self.address)
        for futures in self._submitted.values():
            for future in futures:
                _fail(future, stopped)
        for read in self._reads.values():
            _fail(read, stopped)
        founder = self.config.key.public.hex() in self.chain.genesis.proposers
        try:
            self.archive.close(self.config.key if founder and self.halted is None else None)
        finally:
            self.wal.close()

    async def hand_over(self, to: bytes | None = None, seconds: float = HAND_OVER_S) -> bytes:
        """Hands leadership to a voter, or to the heaviest that is connected, and returns who leads then.

        Refused("not_ordering") where this node does not lead, Refused("input_unexpected") where nobody can take it, and
        Refused("undecided") where nobody took it in time, or this node could not hand it on (it was just elected, or
        its voters are changing): it goes on leading then.
        """
        self._check_taking_part()
        if self.engine.leader != self.address:
            leader = self.engine.leader.hex()
            raise Refused("not_ordering", "node", self.address, f"Ask the one that leads: {leader or 'none is known'}.")
        connected = self._connected()
        voters = sorted(self.engine.configuration.new, key=lambda voter: (-voter.power, voter.replica))
        able = [voter.replica for voter in voters if voter.power and voter.replica in connected]
        chosen = to if to is not None else next(iter(able), None)
        if chosen is None or (chosen in {voter.replica for voter in voters} - {self.address} and chosen not in able):
            remedy = "Wait until a voter with power is connected to this node."
            raise Refused("input_unexpected", "to", chosen if chosen is not None else "nobody", remedy)
        asked, until = self._transfer(chosen), time.monotonic() + seconds
        while time.monotonic() < until and self.halted is None:
            if self.engine.leader not in (self.address, b""):
                return self.engine.leader
            await asyncio.sleep(0.01)
            asked = asked or (self.engine.leader == self.address and self._transfer(chosen))
        raise Refused(
            "undecided", "to", chosen, f"It did not take over within {seconds:g} s; see the status, ask again."
        )

    def _transfer(self, to: bytes) -> bool:
        """Whether the engine took the wish: not yet where it was elected just now, or its voters are changing."""
        try:
            self.engine.transfer(to, self.clock.read())
        except Refused as refused:
            if refused.code != "undecided":
                raise
            return False
        self.runtime.wake()
        return True

    def _connected(self) -> list[bytes]:
        return [peer.address for peer in self.transport.peers() if peer.connected_ms is not None]

    @property
    def halted(self) -> Refused | None:
        """Why it takes part no more, if it does not."""
        return self.runtime.halted

    async def until_halted(self) -> Refused:
        """Waits until it takes part no more, which it may never."""
        assert self._halted is not None
        return await asyncio.shield(self._halted)

    # Clients --------------------------------------------------------------------------------------------------------

    async def submit(self, data: bytes, attachment: bytes | None = None) -> Decided:
        """Hands in a signed transaction and waits for its receipt.

        Raises Refused for one that cannot be admitted, or that left the pool without a block. When this task is
        cancelled the transaction may still be decided.
        """
        offered = self.offer(data, attachment)
        if isinstance(offered, Refused) and offered.code in BEHIND:
            await self.read()
            offered = self.offer(data, attachment)
            if isinstance(offered, Refused) and offered.code in BEHIND:
                offered = await self.decided_before(data) or offered
        if isinstance(offered, Refused):
            raise offered
        return await offered if isinstance(offered, asyncio.Future) else offered

    async def decided_before(self, data: bytes) -> Decided | None:
        """What became of a transaction whose nonce is used; None where it is not, or another one used it.

        It may have been decided long ago, or in a block that is being fetched, which `look_up` refuses.
        """
        received = Received(data)
        account = self.ledger.account(received.body.sender)
        used = account is not None and received.body.nonce < account.nonce
        return await self.look_up(received.hash) if used else None

    def offer(
        self, data: bytes, attachment: bytes | None, checked: Checked | None = None
    ) -> Decided | Refused | asyncio.Future[Decided]:
        """Hands in a signed transaction: what became of it, why it does not even wait, or what will be told.

        Refusals in `BEHIND` are by a state that may be behind an earlier transaction of the sender's, or behind this
        very one: offer it again after `read`. Raises Refused("node_halted").
        """
        self._check_taking_part()
        transaction = transaction_hash(data)
        known = self._receipts.get(transaction)
        if known is not None:
            return known
        if transaction not in self._submitted:
            refused = self.replica.accept(data, attachment, self.clock.read(), checked)
            if refused is not None and refused.code != "already_pending":
                return refused
            self.runtime.wake()
        future: asyncio.Future[Decided] = asyncio.get_running_loop().create_future()
        self._submitted.setdefault(transaction, []).append(future)
        future.add_done_callback(lambda _: self._let_go(transaction, future))
        return future

    @property
    def waited_for(self) -> int:
        """How many transactions somebody waits for here."""
        return len(self._submitted)

    def _let_go(self, transaction: bytes, future: asyncio.Future[Decided]) -> None:
        """Forgets who does not wait any more, which the transaction itself does."""
        waiting = self._submitted.get(transaction, [])
        if future.cancelled() and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._submitted[transaction]

    async def step(self, transactions: Sequence[tuple[bytes, bytes | None]], time_ms: Millis) -> bytes:
        """A step of a demo whose time is declared: its block, with these transactions alone, once that is decided.

        What was decided before is executed first, so that a step can be handed in again, here or elsewhere, and is
        made once: the last block's is told again. Raises Refused("not_ordering") where another node leads,
        Refused("undecided") when leadership was lost meanwhile, and what `Replica.step` refuses.
        """
        self.check_declared()
        async with self._stepping:
            self._check_taking_part()
            if self.engine.leader != self.address:
                raise Refused("not_ordering", "replica", self.address)
            # Nobody else can have decided anything in a term in which this node made the last step and still leads.
            ledger = self.ledger if self._stepped == self.engine.term else await self.read()
            if ledger.tip is not None and ledger.tip.time_ms == time_ms:
                return self._made_before(ledger.tip.height, tuple(data for data, _ in transactions))
            decided: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            def told(executed: Executed) -> None:
                if executed.block.header.time_ms == time_ms and not decided.done():
                    decided.set_result(executed.data)

            unwatch, leading = self.watch(told), (self.engine.term, self.address)
            try:
                self.replica.step(transactions, time_ms, self.clock.read())
                self._stepped = 0
                self.runtime.wake()
                while not decided.done():
                    await asyncio.wait([decided], timeout=LEADING_S)
                    self._check_taking_part()
                    if not decided.done() and (self.engine.term, self.engine.leader) != leading:
                        raise Refused("undecided", "step", time_ms)
                self._stepped = self.ledger.tip.round.term if self.ledger.tip else 0
                return decided.result()
            finally:
                unwatch()

    def check_declared(self) -> None:
        """Refuses steps at a node whose time is not declared."""
        if not self.config.declared:
            remedy = 'Only nodes of a demo whose node.toml says clock = "declared" take steps.'
            raise Refused("demo_only", "step", self.address, remedy)

    def _made_before(self, height: int, transactions: tuple[bytes, ...]) -> bytes:
        """The last block, if it is of these transactions."""
        self.archive.flush()
        data = next((data for _, data in self.chain.read(height)), None)
        if data is None:  # it is being fetched
            raise Refused("undecided", "step", height)
        block = decode_block(data)
        if block.transactions != transactions:
            remedy = "The last block has this time and other transactions."
            raise Refused("out_of_range", "time_ms", block.header.time_ms, remedy)
        return data

    async def read(self) -> Ledger:
        """The ledger, once it shows everything that was decided before now (read index).

        Refused("pool_full") where too many wait already, as many of them may while there is no quorum.
        """
        self._check_taking_part()
        self._read += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self.replica.read(self._read, self.clock.read())
        except Refused as refused:
            raise Refused("pool_full", "reads", refused.value) from None
        self._reads[self._read] = future
        self.runtime.wake()
        await future
        return self.ledger

    def _check_taking_part(self) -> None:
        if self.halted is not None:
            raise Refused("node_halted", "node", str(self.halted))

    def receipt(self, transaction: bytes) -> Decided | None:
        """What became of a transaction, if it is one of the last."""
        return self._receipts.get(transaction)

    async def look_up(self, transaction: bytes) -> Decided | None:
        """What became of a transaction, however long ago; None where the chain, as far as this node has it, has none.

        Raises Refused("undecided") where blocks are missing in which it may be, and what a search is refused for.
        """
        known = self._receipts.get(transaction)
        if known is None and self._receipts_from > 1:
            found = await self.history.search(transaction, self._receipts_from)
            if found is not None:
                return Decided(found.block.header.height, found.block.receipts[found.place])
            known = self._receipts.get(transaction)
        if known is None and self._lacks_blocks:
            remedy = "Blocks are being fetched in which it may be: ask again later, or ask another node."
            raise Refused("undecided", "transaction", transaction, remedy)
        return known

    def watch(self, watcher: Callable[[Executed], None]) -> Callable[[], None]:
        """Tells a watcher of every block from now on, in order; call what is returned to end that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # What the runtime and the transport tell ------------------------------------------------------------------------

    def _send(self, to: bytes, frame: bytes) -> None:
        self.transport.send(to, REPLICA + frame)

    def _on_messages(self, sender: bytes, messages: Sequence[bytes]) -> None:
        for_replica = [message[1:] for message in messages if message[:1] == REPLICA]
        if for_replica:
            self.runtime.receive(sender, for_replica)
        for message in messages:
            if message[:1] != REPLICA:
                try:
                    self._on_blocks(sender, message)
                except Refused as refused:
                    if refused.code == "diverged":
                        self.runtime.halt(refused)
                    self.unreadable += 1
                    if len(self.refused_blocks) < REFUSED_MAX:
                        self.refused_blocks.append((sender, refused))
                    continue  # nothing that a correct node sends, or nothing that fits: it is asked for again

    def _on_blocks(self, sender: bytes, frame: bytes) -> None:
        if frame[:1] == ASK_BLOCKS:
            answer = self.archive.answer(sender, frame[1:])
            if answer is not None:
                loop = asyncio.get_running_loop()
                answer.add_done_callback(lambda done: loop.call_soon_threadsafe(self._send_blocks, sender, done))
        elif frame[:1] == BLOCKS:
            if sender not in self._asked_of:
                raise Refused("input_unexpected", "blocks", sender, "Only who was asked for blocks gives some.")
            del self._asked_of[sender]
            for block in self.archive.fill(frame[1:], sender, self._connected()):
                self._remember(block)
            self._asked_s = 0.0
            self._keep_archive()

    def _send_blocks(self, to: bytes, answer: Future[bytes]) -> None:
        with suppress(Refused):  # the peer asks another node then
            self.transport.send(to, BLOCKS + answer.result())
            self.transport.flush()

    def _on_work(self, work: Work) -> None:
        for executed in work.finished:
            self.archive.add(executed)
            self.history.keep(executed)
            self._remember(executed.block)
            for watcher in list(self._watchers):
                watcher(executed)
        self.lies.heard(work.lies, self.ledger.state)
        for dropped in work.dropped:
            if dropped.reason.code == "outcome_unseen":
                continue  # it may be in a block that is being fetched, which tells
            for future in self._submitted.pop(dropped.transaction, ()):
                _fail(future, dropped.reason)
        for read in work.reads:
            waiting = self._reads.pop(read, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        if work.finished:
            self._keep_archive()

    def _keep_archive(self) -> None:
        """Writes blocks on, and asks peers for those that are missing."""
        self.archive.write()
        missing = self.archive.missing
        now = time.monotonic()
        if missing is not None and now - self._asked_s > ASK_AGAIN_S:
            self._asked_s = now
            connected = self._connected()
            if connected:
                self._asked += 1  # each time somebody else: one may lie, or be silent
                peer = connected[self._asked % len(connected)]
                self._asked_of = {each: None for each in self._asked_of if each in connected} | {peer: None}
                self.transport.send(peer, ASK_BLOCKS + self.archive.request())
        if missing is not None and self._again is None and self._loop is not None:
            self._again = self._loop.call_later(2 * ASK_AGAIN_S, self._ask_again)

    def _ask_again(self) -> None:
        """Whoever was asked may be silent or lie, and there may be no further block for long."""
        self._again = None
        self._write_on()

    def _archived(self, writing: Future[None]) -> None:
        """A write of the archive has ended, in its thread: what came meanwhile must not wait for another block."""
        loop, later_s = self._loop, FULL_AGAIN_S if writing.exception() is not None else 0
        if loop is not None:
            with suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(loop.call_later, later_s, self._write_on)

    def _write_on(self) -> None:
        if self._loop is None or self.halted is not None:
            return
        try:
            self._keep_archive()
        except Refused as refused:
            self.runtime.halt(refused)
        except Exception as fault:
            self.runtime.halt(Refused("node_failed", "node", f"{type(fault).__name__}: {fault}"))
            raise

    def _on_halt(self, refused: Refused) -> None:
        halted = Refused("node_halted", "node", str(refused))
        for futures in self._submitted.values():
            for future in futures:
                _fail(future, halted)
        self._submitted.clear()
        for read in self._reads.values():
            _fail(read, halted)
        self._reads.clear()
        if self._halted is not None and not self._halted.done():
            self._halted.set_result(refused)


def _fail(future: asyncio.Future[Decided] | asyncio.Future[None], refused: Refused) -> None:
    if not future.done():
        future.set_exception(refused)
