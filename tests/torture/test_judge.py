"""The judge of runs, on a chain and a history that are right and on ones that are spoiled in one place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers.tortured import counted
from tests.node.small_chain import fed, small_chain
from torture.history import HISTORY, History, seen
from torture.judge import judge
from torture.linearizability import NEVER
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.transactions import Deposit, transaction_hash
from wattquorum.node.archive import rows_of
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode

CHAIN = small_chain()
AMOUNT, WRITES = 3, 5
NOW = Millis(CHAIN.blocks[-1].block.header.time_ms)
Line = dict[str, object]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two nodes and one writer, who reads as well."""
    folder = tmp_path_factory.mktemp("run")
    history = History(folder)
    history.note("run", seed="1", seconds="60", kills="2", drops="True", warm="False", namespaces="False")
    history.note("kill", slot=0, why="kill-leader")
    history.note("kill", slot=1, why="sync")
    world, path = CHAIN.world, folder / "node-0" / "chain"
    path.parent.mkdir()
    account = world.address("g")
    with LoneNode.create(path, CHAIN.genesis, world.proposer, verify_each) as node:
        fed(node, 1)
        operator = node.ledger.account(world.address("operator"))
        assert operator is not None
        for number in range(WRITES):
            payload = Deposit(account, AMOUNT, f"more-{number}")
            data = world.signed("operator", payload, nonce=operator.nonce + number, expiry_ms=NOW + 10**6)
            call = history.called(account, AMOUNT, transaction_hash(data).hex())
            assert node.accept(data, None, NOW) is None
            node.cut(NOW)
            done = node.write(NOW)
            history.answered(call, height=done.finished[0].block.header.height)
            call = history.called(account, None)
            history.answered(call, told=AMOUNT * (number + 1))
        history.called(account, AMOUNT, "ff" * 32)  # never answered, never done
        node.close()
    shutil.copytree(path, folder / "node-1" / "chain")
    history.note("final", balances={account.hex(): AMOUNT * WRITES}, seated=[0, 1])
    history.close()
    return folder


def test_a_run_that_is_right_holds(held: Path) -> None:
    wrong, looked_at = judge(held)
    assert wrong == []
    assert looked_at.startswith(f"{WRITES} acknowledged writes, 1 without an answer, {WRITES} reads, 2 chains")


def lost(lines: list[Line]) -> None:
    """A write is acknowledged that no chain has."""
    lines.append({"at": lines[-1]["at"], "what": "answered", "id": 2 * WRITES, "height": 3})


def elsewhere(lines: list[Line]) -> None:
    """A write is told at another height than its own."""
    line = next(line for line in lines if "height" in line)
    line["height"] = int(str(line["height"])) + 1


def stale(lines: list[Line]) -> None:
    """A read tells what was before the last write that was answered."""
    line = [line for line in lines if "told" in line][-1]
    line["told"] = AMOUNT * (WRITES - 1)


def unordered(lines: list[Line]) -> None:
    """A write was called only after a later one had been answered."""
    called = [line for line in lines if "added" in line]
    called[0]["at"] = called[2]["at"]
    answered = [line for line in lines if "height" in line]
    answered[0]["at"] = int(str(called[2]["at"])) + 1


def more(lines: list[Line]) -> None:
    """An account has more than was added."""
    lines[-1]["balances"] = dict.fromkeys(dict(lines[-1]["balances"]), AMOUNT * WRITES + 1)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lost, "lost: "),
        (elsewhere, "lost: "),
        (stale, "is not linearizable"),
        (unordered, "was answered before"),
        (more, "the chain's deposits make"),
    ],
)
def test_a_history_that_is_spoiled_does_not(
    held: Path, tmp_path: Path, spoil: Callable[[list[Line]], None], says: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    lines = [json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()]
    spoil(lines)
    (folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    wrong, _ = judge(folder)
    assert any(says in each for each in wrong), wrong


def test_chains_that_tell_different_things_do_not_hold(held: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    path = folder / "node-1" / "chain"
    shutil.rmtree(path)
    with LoneNode.create(path, CHAIN.genesis, CHAIN.world.proposer, verify_each) as node:
        fed(node, 1)
        node.cut(NOW)
        node.write(NOW)
        node.close()
    wrong, _ = judge(folder)
    assert wrong[0] == f"node-1 has another block {len(CHAIN.blocks) + 1} than node-0"


def spoiled(held: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> list[str]:
    """What is wrong with a run whose folder is spoiled."""
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    spoil(folder)
    return judge(folder)[0]


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a chain of another slot"])
def test_a_chain_of_a_seat_that_is_missing_does_not_hold(held: Path, tmp_path: Path, left: str) -> None:
    def spoil(folder: Path) -> None:
        chain = folder / "node-1" / "chain"
        if left == "a chain of another slot":
            (folder / "node-1").rename(folder / "node-2")
        else:
            shutil.rmtree(chain)
        if left == "an empty folder":
            chain.mkdir()

    assert spoiled(held, tmp_path, spoil) == ["node-1 had a seat at the end, and its chain is missing"]


def test_a_chain_of_a_seat_that_ends_before_the_last_acknowledged_write_does_not_hold(
    held: Path, tmp_path: Path
) -> None:
    def spoil(folder: Path) -> None:
        chain = folder / "node-1" / "chain"
        with ChainFolder(chain) as old:
            blocks = [Executed(decode_block(data), data, (), (), rows_of(old, data)) for _, data in old.read()]
        shutil.rmtree(chain)
        with ChainFolder.create(chain, CHAIN.genesis) as short:
            short.append(blocks[:-1])

    last = len(CHAIN.blocks) + WRITES
    found = spoiled(held, tmp_path, spoil)
    assert found == [f"node-1 had a seat at the end, and its chain has {last - 1} blocks of {last}"]


def test_a_history_that_does_not_say_who_had_a_seat_does_not_hold(held: Path, tmp_path: Path) -> None:
    def spoil(folder: Path) -> None:
        lines = (folder / HISTORY).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / HISTORY).write_text("".join(lines[:-1]), encoding="utf-8")

    (found,) = spoiled(held, tmp_path, spoil)
    assert "does not say who had a seat" in found


def test_a_chain_with_a_byte_changed_does_not_hold(held: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    file = next((folder / "node-1" / "chain" / "blocks").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    wrong, _ = judge(folder)
    assert any(each.startswith("node-1: ") for each in wrong)


def test_a_kept_run_is_judged_again_by_a_command(held: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torture.judge"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([*command, str(held)], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1][:5]) == (0, "held:")
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    shutil.rmtree(folder / "node-1")
    lines = (folder / HISTORY).read_text(encoding="utf-8").replace('"told": 3', '"told": 4')
    (folder / HISTORY).write_text(lines, encoding="utf-8")
    done = subprocess.run([*command, str(folder)], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "is not linearizable" in done.stdout


def test_a_kept_run_is_counted_for_the_page_on_performance(held: Path, tmp_path: Path) -> None:
    found = counted(held, "abc")
    assert found == (found.day, "abc", "make torture ARGS='--kills 2 --drops --seed 1'", True, 2, 1, WRITES, 0)
    folder = tmp_path / "run"
    shutil.copytree(held, folder)
    lines = [json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()]
    lost(lines)
    (folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert counted(folder, "abc").lost == 1
    shutil.copyfile(held / HISTORY, folder / HISTORY)
    shutil.rmtree(folder / "node-1")
    with pytest.raises(ValueError, match="its chain is missing"):
        counted(folder, "abc")


def test_a_history_is_read_up_to_where_its_run_was_cut_off(tmp_path: Path) -> None:
    history = History(tmp_path)
    call = history.called(b"\1", 5, "ab")
    history.answered(call, height=7)
    history.called(b"\1", None)
    history.close()
    with (tmp_path / HISTORY).open("a", encoding="utf-8") as file:
        file.write('{"at": 1, "wh')
    told = seen(tmp_path)
    assert [(write.transaction, write.added, write.height) for write in told.writes] == [("ab", 5, 7)]
    assert [each.answered == NEVER for each in told.operations["01"]] == [False, True]
