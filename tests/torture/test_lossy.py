"""The disk that loses what was not synced: what was synced stays, and anything else may go, and does."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ports import free_ports
from torture.clients import Party
from torture.community import HOST, RAFT
from torture.lossy import Journal, drop
from wattquorum import Client
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Voting
from wattquorum.ledger.transactions import Deposit
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, found
from wattquorum.node.node_folder import read_key

ROOT = Path(__file__).resolve().parents[2]
POWER_FAILURES = 2
DROPS = 24
PAGE = 4096
Story = Callable[[Path], None]


def created(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def sync_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def killed(place: Path, story: Story) -> None:
    """A process lives through a story on the disk and is killed."""
    child = os.fork()
    if child == 0:
        try:
            with Journal(place / "disk", place / "journal").installed():
                story(place / "disk")
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def outcomes(
    place: Path, *stories: Story, before: dict[str, bytes] | None = None
) -> Counter[tuple[tuple[str, str], ...]]:
    """What the disk had after these stories, each in a life of its own, and a power failure, each time it was tried.

    A page is told by its first letter, `-` for zeros.
    """
    seen: Counter[tuple[tuple[str, str], ...]] = Counter()
    for seed in range(DROPS):
        disk = place / "disk"
        disk.mkdir()
        for name, data in (before or {}).items():
            (disk / name).write_bytes(data)
        for story in stories:
            killed(place, story)
        drop(disk, place / "journal", seed)
        found = [(str(path.relative_to(disk)), path) for path in sorted(disk.rglob("*"))]
        seen[tuple((name, "/" if path.is_dir() else letters(path.read_bytes())) for name, path in found)] += 1
        shutil.rmtree(disk)
    return seen


def letters(data: bytes) -> str:
    return "".join(chr(data[at]) if data[at] else "-" for at in range(0, len(data), PAGE))


def pages(text: str) -> bytes:
    return b"".join(letter.encode() * PAGE for letter in text)


def only(name: str, *contents: str) -> set[tuple[tuple[str, str], ...]]:
    return {((name, content),) for content in contents}


def test_what_was_synced_stays(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        os.pwrite(file, pages("xyz"), 0)
        os.ftruncate(file, 2 * PAGE)
        os.fdatasync(file)
        os.rename(disk / "a", disk / "b")
        os.mkdir(disk / "inner")
        sync_names(disk)

    assert set(outcomes(tmp_path, story)) == {(("b", "xy"), ("inner", "/"))}


def test_of_what_was_not_synced_each_sector_may_go(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        os.pwrite(file, pages("xy"), 0)

    seen = outcomes(tmp_path, story, before={"a": pages("ab")})
    assert set(seen) == only("a", "ab", "xb", "ay", "xy")


def test_a_sync_covers_what_was_written_before_it_and_nothing_later(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        os.pwrite(file, pages("xx"), 0)
        os.fsync(file)
        os.pwrite(file, pages("y"), PAGE)

    assert set(outcomes(tmp_path, story, before={"a": pages("ab")})) == only("a", "xx", "xy")


def test_a_sector_may_have_any_content_since_it_was_synced(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        for letter in "xyz":
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, pages(letter))

    assert set(outcomes(tmp_path, story, before={"a": pages("a")})) == only("a", "a", "x", "y", "z")


def test_a_length_may_be_there_without_what_was_written(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        os.pwrite(file, pages("x"), PAGE)

    seen = outcomes(tmp_path, story, before={"a": pages("a")})
    assert set(seen) == only("a", "a", "a-", "ax")


def test_what_was_cut_off_is_back_whole_or_gone(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        file = created(disk / "a")
        os.ftruncate(file, PAGE)
        os.posix_fallocate(file, 0, 3 * PAGE)

    assert set(outcomes(tmp_path, story, before={"a": pages("abc")})) == only("a", "abc", "a", "a--")


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_WRONLY | os.O_TRUNC])
def test_names_go_where_their_folder_was_not_synced_whatever_was_synced_of_their_files(
    tmp_path: Path, flags: int
) -> None:
    def story(disk: Path) -> None:
        file = os.open(disk / "new", flags | os.O_CREAT, 0o600)
        os.pwrite(file, pages("x"), 0)
        os.fsync(file)

    assert set(outcomes(tmp_path, story)) == {(), (("new", "x"),)}


def test_a_file_that_was_removed_or_replaced_may_be_back(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        os.unlink(disk / "a")
        os.replace(disk / "b", disk / "c")

    a, b, c = ("a", "a"), ("b", "b"), ("c", "c")
    seen = outcomes(tmp_path, story, before={"a": pages("a"), "b": pages("b"), "c": pages("c")})
    assert set(seen) == {(a, b, c), (b, c), (a, ("c", "b")), (("c", "b"),)}


def test_a_folder_that_goes_takes_with_it_what_is_in_it(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        (disk / "inner").mkdir()
        os.close(created(disk / "inner" / "a"))
        sync_names(disk / "inner")

    assert set(outcomes(tmp_path, story)) == {(), (("inner", "/"), ("inner/a", ""))}


def test_another_life_syncs_what_the_last_one_did_not_and_no_more(tmp_path: Path) -> None:
    def first(disk: Path) -> None:
        for name in "ab":
            os.pwrite(created(disk / name), pages("x"), 0)

    def second(disk: Path) -> None:
        os.fsync(os.open(disk / "b", os.O_RDWR))

    seen = outcomes(tmp_path, first, second, before={"a": pages("a"), "b": pages("b")})
    assert set(seen) == {(("a", "a"), ("b", "x")), (("a", "x"), ("b", "x"))}


def test_a_change_that_the_journal_would_not_know_of_is_an_error(tmp_path: Path) -> None:
    def story(disk: Path) -> None:
        (disk / "a").write_bytes(b"unseen")

    (tmp_path / "disk").mkdir()
    with pytest.raises(AssertionError):
        killed(tmp_path, story)
    assert not (tmp_path / "disk" / "a").exists()


@pytest.mark.unmeasured
def test_whatever_a_node_acknowledged_is_there_after_each_power_failure(tmp_path: Path) -> None:
    """One node, so that nobody else has it either."""
    chance = random.Random(5)
    founded = found(tmp_path / "c", "power", 1, {"voting": int(Voting.WEIGHTED)}, HOST, free_ports(2), RAFT)
    (node,), (api,) = founded.nodes, [f"http://{host}:{port}" for host, port in founded.apis]
    genesis = (tmp_path / "c" / COMMUNITY / "genesis.json").read_bytes()
    cashier = Party(chain_id_of(genesis), read_key(tmp_path / "c" / COMMUNITY / OPERATOR_KEY))
    acknowledged = asked = 0
    for life in range(POWER_FAILURES + 1):
        syncs = str(chance.randint(20, 200))
        command = [sys.executable, "-m", "torture.lossy", str(node), str(tmp_path / "journal"), syncs]
        with (node / "node.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            with Client([api], patience_s=60) as client:
                account = client.account(cashier.address)
            assert acknowledged <= account.balance <= asked, (node / "node.log").read_text(encoding="utf-8")
            acknowledged = asked = account.balance
            cashier.nonce = account.nonce
            with Client([api], patience_s=0.1) as client, suppress(Refused):
                while True:
                    asked += 1
                    told = client.submit(cashier.sign(Deposit(cashier.address, 1, f"{life}-{asked}")))
                    assert told.outcome == "done"
                    acknowledged += 1
            assert process.wait(30) == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()
        assert drop(node, tmp_path / "journal", life) > 0
    assert acknowledged > POWER_FAILURES
