"""How the replicas of a world are put together whose committee agrees, and what their disks keep of the chain."""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.bft.blocks import Chained, genesis_digest
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.light import Steps
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.restart import Act
from wattquorum.replica.agreeing import AgreeingReplica, archived
from wattquorum.simulation.host import Plan


class Kept:
    """The blocks of one replica's chain folder, and the rows beside them."""

    def __init__(self) -> None:
        self.blocks: dict[int, bytes] = {}
        self.rows: dict[bytes, bytes] = {}
        self.steps = Steps()

    def keep(self, executed: Executed) -> None:
        """Stores a block that was executed."""
        self.blocks[executed.block.header.height] = executed.data
        self.steps.note(executed.block.header)
        self.rows.update((root_of_rows(decode_rows(data)), data) for data in executed.rows)


class BftPlan(Plan[Bft]):
    """A chain, and the times and bounds of its engines. Each replica has a folder that survives its crashes."""

    def __init__(self, genesis: bytes, verify: Verifier, settings: Settings, tick_ms: int = 0) -> None:
        self.genesis = genesis
        self.folders: dict[bytes, Kept] = {}
        self.restarts: list[Act] = []  # as operators have put them into folders
        self._verify, self._settings, self._tick_ms = verify, settings, tick_ms

    def start(self, key: SigningKey, records: Sequence[Durable], seed: int, now: Millis) -> tuple[Bft, AgreeingReplica]:
        """An engine and its replica."""
        ledger = Ledger(self.genesis)
        folder = self.folders.setdefault(address_of(ledger.chain_id, key.public), Kept())
        genesis = genesis_digest(ledger.chain_id)

        def archive(height: int) -> Chained | None:
            return archived(genesis, height, folder.blocks.get, folder.rows.get)

        replica = AgreeingReplica(
            ledger,
            key,
            self._verify,
            records,
            seed,
            now,
            self._settings,
            archive=archive,
            steps=folder.steps,
            restarts=self.restarts,
            tick_ms=self._tick_ms,
        )
        return replica.agreement, replica
