"""What a node and its clients both have to know of the interface, beside its shapes."""

from __future__ import annotations

from typing import Final

REPLICA_HEADER: Final = "WattQuorum-Replica"
LEADER_HEADER: Final = "WattQuorum-Leader"
TIME_HEADER: Final = "WattQuorum-Time"  # of the last block that this replica has executed [ms]
COUNT_MAX: Final = 1_000
IDLE_S: Final = 5.0  # after so long without a block a stream says how far it is, so that both sides know of the other
PAGE_MAX: Final = 1_000
NO_KEY: Final = "-"  # how an empty key is written
EXACT_MAX: Final = 2**53 - 1  # of whole numbers that every JSON reader takes for what they are
