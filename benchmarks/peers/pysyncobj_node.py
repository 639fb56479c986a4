"""A node of PySyncObj with closed loops inside, for the Python that has PySyncObj: nothing of ours is imported here.

    pysyncobj_node.py SELF PEER,PEER JOURNAL

Commands come as lines, answers go as lines of JSON: `who`; `load CLIENTS SECONDS BYTES`; `outage PID`, which kills
that process and tells how long nobody could write. The clients run in the node, so that nothing travels between them
and it, and the journal is never synced to the disk: both are in its favour.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated  # type: ignore[import-not-found]

WARM_S = 1.0


class Table(SyncObj):  # type: ignore[misc]
    """Values by key."""

    def __init__(self, me: str, peers: list[str], journal: str) -> None:
        self.values: dict[str, str] = {}
        settings = SyncObjConf(
            journalFile=journal,
            appendEntriesUseBatch=False,
            commandsQueueSize=1_000_000,
            dynamicMembershipChange=False,
            logCompactionMinEntries=10**9,
            logCompactionMinTime=10**6,
        )
        super().__init__(me, peers, settings)

    @replicated  # type: ignore[untyped-decorator]
    def put(self, key: str, value: str) -> bool:
        """What an entry does."""
        self.values[key] = value
        return True


def load(table: Table, clients: int, seconds: float, size: int) -> dict[str, Any]:
    """What so many closed loops saw."""
    value, times, ended = "x" * size, list[float](), threading.Event()
    state = {"begun": 0, "running": clients, "failed": 0}
    begin = time.perf_counter() + WARM_S
    end = begin + seconds

    def send() -> None:
        sent = time.perf_counter()
        if sent >= end:
            state["running"] -= 1
            if not state["running"]:
                ended.set()
            return
        state["begun"] += 1

        def decided(_result: Any, error: int) -> None:
            now = time.perf_counter()
            if error != FAIL_REASON.SUCCESS:
                state["failed"] += 1
            elif sent >= begin and now <= end:
                times.append(now - sent)
            send()

        table.put(f"k{state['begun'] % 100_000:06}", value, callback=decided)

    for _ in range(clients):
        send()
    ended.wait(seconds + 30)
    times.sort()
    count = len(times)
    found = {"clients": clients, "rate": count / seconds, "p50_ms": 0.0, "p99_ms": 0.0, "failed": state["failed"]}
    if count:
        found.update(p50_ms=1_000 * times[count // 2], p99_ms=1_000 * times[count * 99 // 100])
    return found


def outage(table: Table, pid: int) -> dict[str, Any]:
    """Kills a process; how long it took until a write was decided. One is begun every few milliseconds."""
    os.kill(pid, signal.SIGKILL)
    killed, first = time.perf_counter(), list[float]()

    def decided(_result: Any, error: int) -> None:
        if error == FAIL_REASON.SUCCESS:
            first.append(time.perf_counter())

    while not first and time.perf_counter() - killed < 30:
        table.put("after", "1", callback=decided)
        time.sleep(0.005)
    return {"outage_ms": 1_000 * (first[0] - killed) if first else None}


def main() -> None:
    """Answers commands until there are no more."""
    me, peers, journal = sys.argv[1:4]
    table = Table(me, peers.split(","), journal)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "who":
            leader = table.getStatus()["leader"]
            found = {"leader": None if leader is None else str(leader)}
        elif command == "load":
            found = load(table, int(words[0]), float(words[1]), int(words[2]))
        else:
            found = outage(table, int(words[0]))
        print(json.dumps(found), flush=True)


main()
