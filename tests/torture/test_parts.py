"""The parts of the torture: schedules that a seed decides, relays that let go, clocks that jump, disks that fill."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO

import pytest

from torture.community import Community
from torture.disks import Disks
from torture.launch import set_clock
from torture.links import Relays
from torture.run import MOUNTABLE
from torture.schedule import CALM, CLOCKS, FULL, KINDS, LEADER, SEATS, schedule
from wattquorum.node.config import load

ALL = {**KINDS, **FULL, **CLOCKS, **SEATS}
PATIENCE_S = 20.0
HOUR_NS = 3_600 * 1_000_000_000
WAY, BACK = (0, 1), (1, 0)


def test_the_seed_decides_what_goes_wrong_when() -> None:
    first = list(islice(schedule(7, 5, ALL), 500))
    assert first == list(islice(schedule(7, 5, ALL), 500))
    assert first != list(islice(schedule(8, 5, ALL), 500))
    assert {fault.kind for fault in first} == {*ALL, CALM}
    for fault in first:
        assert set(fault.victims) <= {LEADER, *range(5)}
        assert len(set(fault.victims)) == len(fault.victims)
        assert 0 < fault.after_s < 2
        assert 0 < fault.lasts_s < 10
    assert {len(fault.victims) for fault in first if fault.kind == "majority"} == {3}
    assert {len(fault.victims) for fault in first if fault.kind == "blackout"} == {5}


# Relays --------------------------------------------------------------------------------------------------------------


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """A server that says everything back, until every connection to it has ended."""
    threads: list[threading.Thread] = []

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1_000):
                    connection.sendall(data)
            except ConnectionError:
                return

    def take() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=answer, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        taking = threading.Thread(target=take)
        taking.start()
        yield server.getsockname()[:2]
        server.shutdown(socket.SHUT_RDWR)
        taking.join(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@contextmanager
def relayed() -> Iterator[Relays]:
    with echoing() as one, echoing() as other:
        relays = Relays([one, other])
        relays.start()
        try:
            yield relays
        finally:
            relays.stop()


def echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(1_000)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_broken_off(place: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(place, timeout=PATIENCE_S) as connection:
            return not echoed(connection, b"x")
    except ConnectionError:
        return True


def test_a_cut_way_breaks_its_connections_off_and_no_others() -> None:
    with relayed() as relays, socket.create_connection(relays.route(*WAY), timeout=PATIENCE_S) as through:
        assert echoed(through, b"hello") == b"hello"
        with socket.create_connection(relays.route(*BACK), timeout=PATIENCE_S) as other:
            relays.set([WAY], [], {})
            with suppress(ConnectionError):
                assert through.recv(1) == b""
            until(lambda: is_broken_off(relays.route(*WAY)))
            assert echoed(other, b"still") == b"still"
        relays.set([], [], {})
        until(lambda: not is_broken_off(relays.route(*WAY)))


def test_what_a_held_way_is_given_comes_when_it_is_let_go_of() -> None:
    with relayed() as relays, socket.create_connection(relays.route(*WAY), timeout=PATIENCE_S) as through:
        assert echoed(through, b"hello") == b"hello"
        relays.set([], [WAY], {})
        time.sleep(0.05)
        through.sendall(b"later")
        through.settimeout(0.2)
        with pytest.raises(TimeoutError):
            through.recv(1_000)
        through.settimeout(PATIENCE_S)
        relays.set([], [], {})
        assert through.recv(1_000) == b"later"


def test_a_slow_way_is_late() -> None:
    with relayed() as relays, socket.create_connection(relays.route(*WAY), timeout=PATIENCE_S) as through:
        relays.set([], [], {WAY: 0.2})
        time.sleep(0.05)
        began = time.monotonic()
        assert echoed(through, b"hello") == b"hello"
        assert time.monotonic() - began >= 0.2  # never earlier, however busy the machine


# Clocks and disks of other processes ---------------------------------------------------------------------------------


@contextmanager
def process(code: str, *arguments: str) -> Iterator[Callable[[], str]]:
    """A Python that does a line of code for each question and prints the answer."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    asked, told = started.stdin, started.stdout
    assert asked is not None
    assert told is not None

    def ask(asked: IO[str] = asked, told: IO[str] = told) -> str:
        asked.write("\n")
        asked.flush()
        return told.readline().strip()

    ask.pid = started.pid  # type: ignore[attr-defined]
    with started:
        yield ask
        asked.close()


CLOCK = """
import sys; from pathlib import Path; from torture.launch import move_clock
if len(sys.argv) > 2: from wattquorum.node.steady_clock import SteadyClock
move_clock(Path(sys.argv[1]))
from wattquorum.node.steady_clock import SteadyClock
clock = SteadyClock()
for _ in sys.stdin: print(clock.apart_ms, SteadyClock().read(), flush=True)
"""


@pytest.mark.parametrize("warm", [[], ["warm"]])
def test_a_wall_clock_jumps_while_its_process_runs(tmp_path: Path, warm: list[str]) -> None:
    path = tmp_path / "clock"
    set_clock(path, 0)
    with process(CLOCK, str(path), *warm) as ask:
        apart, now = map(int, ask().split())
        assert abs(apart) < 60_000
        assert abs(now - time.time() * 1_000) < 60_000
        for hours in (24 * 365 * 10, -24 * 365 * 10, 1):
            set_clock(path, hours * HOUR_NS)
            apart, now = map(int, ask().split())
            assert abs(apart - hours * 3_600_000) < 60_000
            assert abs(now - time.time() * 1_000 - hours * 3_600_000) < 60_000


WRITE = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for _ in sys.stdin:
    try: print(os.pwrite(file, bytes(10_000), 0), flush=True)
    except OSError as fault: print(-fault.errno, flush=True)
"""


def test_files_of_a_process_can_be_limited_and_set_free_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    disks = Disks([tmp_path / "node"], ())
    with process(WRITE, str(tmp_path / "node" / "file")) as ask:
        assert ask() == "10000"
        pid = ask.pid  # type: ignore[attr-defined]
        disks.fill(0, pid, 0)
        assert ask() == str(-errno.EFBIG)
        disks.fill(0, pid, 4_000)
        assert ask() == "4000"
        assert disks.is_full(0)
        disks.free(0, pid)
        assert ask() == "10000"
        assert not disks.is_full(0)
    disks.stop(keep=False)


SMALL = """
import os, sys; from pathlib import Path; from torture.disks import Disks
folder = Path(sys.argv[1]); disks = Disks([folder], [0])
def write():
    try: return (folder / "more").write_bytes(bytes(100_000))
    except OSError as fault: return -fault.errno
disks.fill(0, None, 0); print(write(), (folder / "kept").read_text()); disks.free(0, None); print(write())
disks.stop(keep=True)
beside = sorted(each.name for each in folder.parent.iterdir())
print((folder / "kept").read_text(), (folder / "more").stat().st_size, beside)
"""


def test_a_small_disk_fills_to_the_last_page_and_what_is_on_it_is_kept(tmp_path: Path) -> None:
    if not shutil.which("unshare") or subprocess.run(MOUNTABLE, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: needs root and unshare")
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "kept").write_text("here")
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", SMALL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [f"{-errno.ENOSPC} here", "100000", "here 100000 ['disk']"], done.stderr


# Communities ---------------------------------------------------------------------------------------------------------


def test_a_slot_gets_a_new_replica_that_everybody_knows(tmp_path: Path) -> None:
    community = Community(tmp_path / "community", 3, 1, 7100)
    community.write_configs()
    before = [community.address(slot) for slot in range(4)]
    assert len(set(before)) == 4
    community.replace(1)
    after = [community.address(slot) for slot in range(4)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]
    for slot in range(4):
        config, api = load(community.config(slot))
        others = {address: ("127.0.0.1", 7100 + number) for number, address in enumerate(after) if number != slot}
        assert dict(config.peers) == others
        assert api == community.apis[slot]
    assert (tmp_path / "community" / "node-1.was-0" / "ledger.key").exists()
