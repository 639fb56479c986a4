"""How much memory a ledger takes for every 1,000 members: a process of its own for each size, told what to execute.

Each process executes a town's day up to the gate (everybody registered and funded, two contracts a member) and
reports what it holds resident then. Two sizes are compared, so that the interpreter and its libraries cancel.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measuring import Line, Section
from benchmarks.town import Town
from wattquorum.foundation.identities import verify_each
from wattquorum.ledger.execution import Ledger

SIZES: Final = (1_000, 5_000)
CONTRACTS_PER_MEMBER: Final = 2
MEMBERS_PER_FEEDER: Final = 200
LENGTH_BYTES: Final = 8
KIB: Final = 1_024


def measured() -> Section:
    """Resident memory [MiB], by size and by 1,000 members."""
    resident = [_resident(members) for members in SIZES]
    more = (resident[1] - resident[0]) / (SIZES[1] - SIZES[0])
    return Section(
        f"Memory of a ledger at the gate of a day, {CONTRACTS_PER_MEMBER} contracts a member",
        [
            *(
                Line(f"{members:,} members", kib / KIB, "MiB", "resident, interpreter and libraries included")
                for members, kib in zip(SIZES, resident, strict=True)
            ),
            Line("for every 1,000 members", more * 1_000 / KIB, "MiB"),
        ],
    )


def _resident(members: int) -> int:
    """What a process holds that has executed the opening and the trading of a town [KiB]."""
    town = Town(members, members * CONTRACTS_PER_MEMBER, members // MEMBERS_PER_FEEDER)
    with TemporaryDirectory() as folder:
        told = Path(folder) / "entries"
        with told.open("wb") as file:
            for data in (town.genesis, *(step.entry for step in (*town.opening(), *town.trading()))):
                file.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        done = subprocess.run([sys.executable, "-m", __name__, str(told)], check=True, capture_output=True, text=True)
    return int(done.stdout)


def _execute(told: Path) -> None:
    """The child's part: executes what it was told, entry by entry, and prints what it holds resident [KiB]."""
    with told.open("rb") as file:
        ledger = Ledger(file.read(int.from_bytes(file.read(LENGTH_BYTES), "big")))
        while length := file.read(LENGTH_BYTES):
            ledger.execute(file.read(int.from_bytes(length, "big")), verify_each)
    gc.collect()
    print(resident_kib())


def resident_kib() -> int:
    """What this process holds resident now; where the system does not tell, the most that it held."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // KIB if sys.platform == "darwin" else most


if __name__ == "__main__":
    _execute(Path(sys.argv[1]))
