"""`wattquorum wal inspect`: a node's log for people and for programs, and damage with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.runs import wattquorum
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_entry
from wattquorum.consensus.raft.records import Appended, Ballot, Base
from wattquorum.foundation.codec import encode
from wattquorum.node.wal import Wal
from wattquorum.node.wal_files import segment_name

CHAIN = b"c" * 16
FIRST = segment_name(1)
A, B = b"a" * 20, b"b" * 20
OLD = (Voter(A, 1),)
NEW = Configuration(1, OLD, (Voter(A, 2), Voter(B, 1)), (), 1, bytes(32))
ENTRIES = (Entry(2, Kind.PAYLOAD, b"x" * 30), configuration_entry(3, NEW))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = tmp_path / "wal"
    wal = Wal(log, CHAIN, segment_bytes=4_096)
    wal.write([Durable(1, encode(Ballot(3, A))), Durable(2, encode(Appended(1, ENTRIES)))])
    wal.sync()
    wal.close()
    return log


def rows(folder: Path) -> list[dict[str, object]]:
    done = wattquorum("wal", "inspect", folder, "--json", folder=folder.parent)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_records_are_told_with_what_they_hold(folder: Path) -> None:
    ballot, entries, room = rows(folder)
    assert (ballot["position"], ballot["kind"]) == (1, "ballot")
    assert ballot["content"] == f"term 3, voted for {A.hex()[:8]}"
    assert re.match(r"1 to 2, term 2 3, \d+ bytes; ", str(entries["content"]))
    assert "2: joint configuration 1 of 2 voters" in str(entries["content"])
    assert room["kind"] == "room"
    shown = wattquorum("wal", "inspect", folder, folder=folder.parent)
    assert "00000001.wal" in shown.stdout
    assert "ballot" in shown.stdout


def test_what_a_base_made_superfluous_is_said_to_be_so_and_a_torn_tail_is_one(folder: Path) -> None:
    first = (folder / FIRST).read_bytes()
    wal = Wal(folder, CHAIN, segment_bytes=4_096)
    base = Base(Ballot(3, b""), 2, 3, NEW, b"s" * 100, ())
    wal.write([Durable(3, encode(base), origin=True)])
    wal.sync()
    wal.write([Durable(4, encode(Ballot(4, B)))])
    wal.close()
    (folder / FIRST).write_bytes(first)  # as if it had not been let go of yet
    superseded, found, ballot, _ = rows(folder)
    assert (superseded["kind"], superseded["content"]) == ("superseded", "to 2")
    assert "state of 100 bytes after entry 2 of term 3" in str(found["content"])
    name = folder / str(ballot["file"])
    data = bytearray(name.read_bytes())
    data[int(str(ballot["byte"])) + 5] ^= 1
    name.write_bytes(data)
    assert rows(folder)[-1]["kind"] == "torn tail"


def test_damage_is_named_with_its_place(folder: Path) -> None:
    wal = Wal(folder, CHAIN, segment_bytes=4_096)
    wal.write([Durable(3, encode(Ballot(4, B)))])
    wal.sync()
    wal.close()
    name = folder / FIRST
    data = bytearray(name.read_bytes())
    data[60] ^= 1
    name.write_bytes(data)
    done = wattquorum("wal", "inspect", folder, folder=folder.parent, check=1)
    assert "00000001.wal does not hold the records that were written (found: byte 32, record 1: " in done.stderr
    assert "damaged" in done.stdout


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    assert "file_unreadable" in wattquorum("wal", "inspect", "none", folder=tmp_path, check=2).stderr
    (tmp_path / "notes.txt").touch()
    assert "notes.txt" in wattquorum("wal", "inspect", tmp_path, folder=tmp_path, check=1).stderr
