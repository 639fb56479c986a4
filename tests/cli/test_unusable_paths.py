"""Paths that cannot be used: each command says so in one sentence with its remedy, and leaves everything as it was."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.runs import refused, said, wattquorum

UNWRITABLE = "/sys/wattquorum"  # nobody can make files there, not even root


@pytest.fixture(scope="module")
def places(traded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Things that are not what a command needs, and a chain and records that are."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    (folder / "text").write_text("Nothing but words.\n")
    (folder / "noise").write_bytes(bytes(range(255, -1, -1)) * 20)
    (folder / "other.json").write_text('{"height": 1}')
    with sqlite3.connect(folder / "other.sqlite") as database:
        database.execute("CREATE TABLE chain (link TEXT)")
    (folder / "chain").symlink_to(traded / "out" / "week" / "chain")
    (folder / "market.sqlite").symlink_to(traded / "out" / "week" / "market.sqlite")
    return folder


def refused_and_unchanged(places: Path, *words: str) -> str:
    """The code with which a command is refused; the folder must be afterwards what it was before."""
    before = contents(places)
    code = refused(*words, folder=places)
    assert contents(places) == before
    return code


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("path", ["nowhere", "text", "noise", "empty", "folder"])
@pytest.mark.parametrize("command", [("audit",), ("export",), ("forget",), ("prove", "ff" * 32, "--chain")])
def test_what_is_no_chain_folder_is_refused(places: Path, command: tuple[str, ...], path: str) -> None:
    assert refused_and_unchanged(places, *command, path) == "file_unreadable"


@pytest.mark.parametrize("path", ["nowhere", "text", "noise", "empty", "folder"])
def test_no_records_are_made_from_what_is_no_chain_folder(places: Path, path: str) -> None:
    assert refused_and_unchanged(places, "records", path, "--out", "new.sqlite") == "file_unreadable"


def test_a_folder_with_other_things_is_no_chain(places: Path) -> None:
    told = said("audit", ".", folder=places, check=2)
    assert told.startswith("refused: file_unreadable: genesis.json cannot be read (found: No such file or directory).")


def test_a_chain_folder_with_other_things_is_wrong(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "chain", tmp_path / "chain")
    (tmp_path / "chain" / "notes.txt").touch()
    told = said("audit", "chain", folder=tmp_path, check=1)
    assert told.startswith("wrong: file_unknown: file does not belong into a chain folder (found: notes.txt).")


def test_a_flipped_byte_of_the_genesis_is_a_wrong_chain(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "chain", tmp_path / "chain")
    genesis = tmp_path / "chain" / "genesis.json"
    genesis.write_bytes(genesis.read_bytes().replace(b'"', b"'", 1))
    told = said("audit", "chain", folder=tmp_path, check=1)
    assert told.startswith("wrong: chain_altered: genesis.json does not match what the chain commits to (found: it is")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere", "file_unreadable"),
        ("folder", "file_unreadable"),
        ("text", "encoding_unreadable"),
        ("noise", "encoding_unreadable"),
        ("empty", "encoding_unreadable"),
        ("other.json", "encoding_unreadable"),
        ("market.sqlite", "encoding_unreadable"),
    ],
)
def test_what_is_no_proof_is_refused(places: Path, path: str, code: str) -> None:
    assert refused_and_unchanged(places, "verify", path) == code


@pytest.mark.parametrize(
    "path",
    [
        "nowhere",
        "folder",
        "text",
        "noise",
        "empty",
        "other.sqlite",
        "chain",
        "sqlite:///nowhere/market.sqlite",
        "nonsense://here",
        "oracle://here/market",  # a database that SQLAlchemy knows, without its driver
    ],
)
@pytest.mark.parametrize("command", [("bill", "village-2", "--records"), ("report",)])
def test_what_is_no_records_is_refused(places: Path, command: tuple[str, ...], path: str) -> None:
    assert refused_and_unchanged(places, *command, path) == "file_unreadable"


@pytest.mark.parametrize("path", ["folder", "nowhere/file", "text/file", UNWRITABLE])
@pytest.mark.parametrize(
    "command",
    [
        ("export", "chain", "--out"),
        ("prove", "", "--chain", "chain", "--out"),
        ("records", "chain", "--out"),
        ("report", "market.sqlite", "--out"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(
    places: Path, transaction: str, command: tuple[str, ...], path: str
) -> None:
    words = [word or transaction for word in (*command, path)]
    assert refused_and_unchanged(places, *words) == "file_unreadable"


@pytest.fixture(scope="module")
def transaction(places: Path) -> str:
    """The hash of a transaction of the chain, as an export gives it."""
    told = wattquorum("export", "chain", folder=places).stdout
    place = told.index('"hash":"', told.index('"transactions":[{')) + len('"hash":"')
    return told[place : place + 64]


@pytest.mark.parametrize("path", ["text", "noise", "nonsense://here", "oracle://here/market"])
def test_records_do_not_go_into_what_is_no_database(places: Path, path: str) -> None:
    assert refused_and_unchanged(places, "records", "chain", "--out", path) == "file_unreadable"


def test_a_key_goes_into_a_new_file_alone(places: Path) -> None:
    for path in ("folder", "text", "empty"):
        assert refused_and_unchanged(places, "keys", path) == "file_exists"
    for path in ("nowhere/file", "text/file", UNWRITABLE):
        assert refused_and_unchanged(places, "keys", path) == "file_unreadable"


@pytest.mark.parametrize("command", [("export", "chain", "--out"), ("report", "market.sqlite", "--out")])
def test_a_full_device_has_an_exit_status_of_its_own(places: Path, command: tuple[str, ...]) -> None:
    told = said(*command, "/dev/full", folder=places, check=3)
    assert told.startswith("refused: disk_full: ")
    assert told.endswith(".")


def test_results_go_into_a_folder_alone(places: Path) -> None:
    assert refused_and_unchanged(places, "week", "--days", "1", "--out", "text") == "file_unreadable"


@pytest.mark.parametrize("path", ["text/week", UNWRITABLE, f"{UNWRITABLE}/week"])
def test_a_folder_that_cannot_be_made_is_named(places: Path, path: str) -> None:
    before = contents(places)
    (line,) = said("week", "--days", "1", "--out", path, folder=places, check=2).splitlines()
    named = "text/week" if path == "text/week" else UNWRITABLE
    assert line.startswith(f"refused: file_unreadable: {named} cannot be used (found: ")
    assert line.endswith(". Choose another.")
    assert contents(places) == before


@pytest.mark.parametrize("minutes", ["1", "30", "60"])
def test_the_shipped_readings_have_intervals_of_fifteen_minutes(places: Path, minutes: str) -> None:
    assert refused_and_unchanged(places, "week", "--interval", minutes) == "time_misaligned"
    told = said("week", "--interval", minutes, folder=places, check=2)
    assert told.endswith("The shipped readings have 15 minutes.")


@pytest.mark.parametrize("minutes", ["0", "61", "a quarter"])
def test_an_interval_has_one_to_sixty_minutes(places: Path, minutes: str) -> None:
    told = said("week", "--interval", minutes, folder=places, check=2)
    assert "Invalid value for '--interval'" in told


@pytest.mark.parametrize("path", ["nowhere", "folder", "noise", "text"])
def test_members_and_readings_that_cannot_be_read_are_refused(places: Path, path: str) -> None:
    before = contents(places)
    head, fault = said("week", "--members", path, folder=places, check=2).splitlines()
    assert head == f"refused: {path}: 1 fault"
    assert fault.startswith("  file_unreadable: ")
    assert fault.endswith(".")
    assert contents(places) == before
