"""The command line as people use it: real processes, exit statuses, files, and sentences that help."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.runs import printed, said, wattquorum
from wattquorum.cli.app import app


def file_of(folder: Path, name: str) -> bytes:
    """A file that a run in this folder wrote."""
    return (folder / "out" / "week" / name).read_bytes()


def test_help_teaches(tmp_path: Path) -> None:
    told = wattquorum("--help", folder=tmp_path).stdout
    for command in ("week", "audit", "export", "forget", "prove", "verify", "records", "bill", "report", "keys"):
        assert command in told
        assert "Usage" in CliRunner().invoke(app, [command, "--help"]).stdout
    assert wattquorum("--version", folder=tmp_path).stdout.startswith("wattquorum ")


def test_a_week_leaves_chain_tables_and_report(traded: Path) -> None:
    out = traded / "out" / "week"
    assert sorted(path.name for path in out.iterdir()) == [
        *(".wattquorum.json", "chain", "market.sqlite", "parquet", "report.html")
    ]
    assert (out / "parquet" / "contracts.parquet").stat().st_size > 1_000


def test_a_second_run_replaces_the_first_and_nothing_else(traded: Path, tmp_path: Path) -> None:
    shutil.copytree(traded / "out", tmp_path / "out")
    wattquorum("week", "--days", "1", "--seed", "2", "--interval", "15", folder=tmp_path)
    assert file_of(tmp_path, "chain/tip.json") != file_of(traded, "chain/tip.json")
    (tmp_path / "out" / "week" / "thesis.txt").write_text("keep me")
    told = wattquorum("week", "--days", "1", folder=tmp_path, check=2).stderr
    assert "folder_exists" in told
    assert (tmp_path / "out" / "week" / "thesis.txt").read_text() == "keep me"


def test_audit_says_sound_or_names_the_block(traded: Path, tmp_path: Path) -> None:
    told = wattquorum("audit", folder=traded).stdout
    digest = re.search(r"digest ([0-9a-f]{64})", told)
    assert "sound" in told
    assert digest
    assert "sound" in printed("audit", "--expect", digest[1], folder=traded)
    for other in ("00" * 32, "deadbeef"):
        line = said("audit", "--expect", other, folder=traded, check=1).splitlines()[-1]
        wrong = f"wrong: end_unexpected: digest is not what the chain was expected to end with (found: {digest[1]}). "
        assert line.startswith(wrong)
        assert other in line[len(wrong) :]
    shutil.copytree(traded / "out" / "week" / "chain", tmp_path / "chain")
    segment = next((tmp_path / "chain" / "blocks").iterdir())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 4
    segment.write_bytes(bytes(data))
    told = wattquorum("audit", tmp_path / "chain", folder=tmp_path, check=1).stderr
    assert re.search(r"block \d+", told), told


@pytest.mark.parametrize(
    "words",
    [
        ("audit",),
        ("standing", "list"),
        ("standing", "groups"),
        ("standing", "explain", "wind-8"),
        ("certificates", "list"),
    ],
    ids=" ".join,
)
@pytest.mark.unmeasured
def test_a_chain_is_named_as_argument_or_option(traded: Path, words: tuple[str, ...]) -> None:
    chain = "week/chain"
    told = printed(*words, chain, folder=traded / "out")
    assert printed(*words, "--chain", chain, folder=traded / "out") == told
    assert printed(*words, chain, "--chain", chain, folder=traded / "out") == told
    two = said(*words, chain, "--chain", "another", folder=traded / "out", check=2)
    assert two.startswith(
        "refused: file_unreadable: chain cannot be read (found: week/chain and another). Name one chain"
    )


@pytest.mark.parametrize(
    "command", ["export", "forget", "prove", "records", "certificates show", "certificates transfer"]
)
def test_every_command_on_a_chain_has_both_ways_to_name_it(command: str) -> None:
    told = CliRunner().invoke(app, [*command.split(), "--help"]).stdout
    assert re.search(r"\[CHAIN\]", told)
    assert "--chain" in told


def test_a_proof_is_verified_with_nothing_else(traded: Path, tmp_path: Path) -> None:
    lines = wattquorum("export", folder=traded).stdout.splitlines()
    blocks = [json.loads(line) for line in lines if '"line":"block"' in line]
    accepted = next(t for block in blocks for t in block["transactions"] if t["payload"]["type"] == "Accept")
    wattquorum("prove", accepted["hash"], "--out", tmp_path / "proof.json", folder=traded)
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    told = wattquorum("verify", tmp_path / "proof.json", folder=alone).stdout
    assert "proved" in told
    assert accepted["hash"] in told
    proof = (tmp_path / "proof.json").read_text()
    place = proof.index('"receipt": "') + 30
    broken = proof[:place] + ("0" if proof[place] != "0" else "1") + proof[place + 1 :]
    (tmp_path / "broken.json").write_text(broken)
    wattquorum("verify", tmp_path / "broken.json", folder=alone, check=1)


def test_rows_can_be_forgotten_and_the_chain_stays_sound(traded: Path, tmp_path: Path) -> None:
    shutil.copytree(traded / "out" / "week" / "chain", tmp_path / "chain")
    before = len(list((tmp_path / "chain" / "rows").iterdir()))
    told = wattquorum("forget", tmp_path / "chain", folder=tmp_path).stdout
    assert told.startswith("0 sets of rows"), "the retention of three years has not passed"
    early = wattquorum("forget", tmp_path / "chain", "--before", "2016-06-30T00:00:00Z", folder=tmp_path, check=2)
    assert "retention_open" in early.stderr
    assert before == len(list((tmp_path / "chain" / "rows").iterdir()))


def test_rows_that_were_deleted_before_their_time_are_a_fault(traded: Path, tmp_path: Path) -> None:
    shutil.copytree(traded / "out" / "week" / "chain", tmp_path / "chain")
    for path in (tmp_path / "chain" / "rows").iterdir():
        path.unlink()
    told = wattquorum("audit", tmp_path / "chain", folder=tmp_path, check=1)
    assert "rows_missing" in told.stderr
    assert "sound" not in told.stdout
    wattquorum("records", tmp_path / "chain", "--out", tmp_path / "part.sqlite", folder=tmp_path, check=2)


def test_records_can_be_rebuilt_from_the_chain(traded: Path, tmp_path: Path) -> None:
    shutil.copytree(traded / "out/week/chain", tmp_path / "out/week/chain")
    told = wattquorum("records", folder=tmp_path).stdout
    assert told.startswith("records  out/week/market.sqlite  ("), "where every other command looks for them"
    dumps = []
    for path in (traded / "out/week/market.sqlite", tmp_path / "out/week/market.sqlite"):
        with sqlite3.connect(path) as database:
            lines = sorted(each for each in database.iterdump() if not re.search(r"\w+_info\b|\bgrid_\w+", each))
        dumps.append(lines)
    assert dumps[0] == dumps[1]


def test_the_records_of_a_chain_are_the_same_bytes_whatever_the_seed_of_hashing(traded: Path, tmp_path: Path) -> None:
    made = []
    for seed in ("0", "1"):
        words = ("records", str(traded / "out/week/chain"), "--out", f"{seed}.sqlite")
        command = [sys.executable, "-m", "wattquorum", *words]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
        made.append((tmp_path / f"{seed}.sqlite").read_bytes())
    assert made[0] == made[1]
    with sqlite3.connect(tmp_path / "0.sqlite") as database:
        indexes = database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'transfers!_%' ESCAPE '!'")
        assert [name for (name,) in indexes] == ["transfers_payer", "transfers_payee", "transfers_contract"]


def test_keys_are_random_and_private(tmp_path: Path) -> None:
    first, second = (printed("keys", name, folder=tmp_path).split()[-1] for name in ("a.key", "b.key"))
    assert first != second
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    told = said("keys", "a.key", folder=tmp_path, check=2)
    assert told == "refused: file_exists: out exists already (found: a.key). Choose a file that does not exist."


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("week", "--days", "40"), "intervals_missing"),
        (("week", "--data", "nowhere.csv"), "members_missing"),
        (("week", "--members", "nowhere.toml"), "file_unreadable"),
        (("week", "--zone", "Middle/Earth"), "time_zone_unknown"),
        (("week", "--replicas", "31"), "out_of_range"),
        (("week", "--engine", "raft"), "out_of_range"),
        (("week", "--world", "wan"), "out_of_range"),
        (("audit", "nowhere"), "file_unreadable"),
        (("verify", "nowhere.json"), "file_unreadable"),
        (("bill", "village-2"), "file_unreadable"),
        (("records", "nowhere"), "file_unreadable"),
    ],
)
def test_bad_input_is_refused_with_a_code_and_a_remedy(tmp_path: Path, words: tuple[str, ...], code: str) -> None:
    told = said(*words, folder=tmp_path, check=2)
    assert code in told
    assert told.endswith(".")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said_and_leaves_a_sound_chain(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        told = wattquorum("week", "--days", "1", "--out", small / "week", folder=tmp_path, check=3).stderr
        assert "disk_full" in told
    finally:
        subprocess.run(["umount", small], check=True)
