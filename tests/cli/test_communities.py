"""`wattquorum community`, `invite` and `join`: from the founding to a revocation, and everything that is refused."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tests.cli.runs import printed, refused, wattquorum
from tests.ports import free_port
from wattquorum import Client
from wattquorum.cli import communities
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.node_folder import ledger_key, load, read_key
from wattquorum.simulation.founding import Founding

GENESIS = Founding(1, 3, 1, {}).genesis
CHAIN = chain_id_of(GENESIS)
DAY_MS = 86_400_000
SECRETS = {"authority.key", "register.json", "ledger.key", "tls.pem", "pending.key"}


def value(told: str, name: str) -> str:
    return next(line.split()[-1] for line in told.splitlines() if line.startswith(name))


def invited(folder: Path, member: str, node: str, *more: str) -> None:
    printed("invite", "village", "--member", member, "--out", f"{node}.invitation", folder=folder)
    printed("join", f"{node}.invitation", "--folder", node, *more, folder=folder)


def admitted(folder: Path, node: str) -> str:
    told = printed("community", "admit", "village", f"{node}/request.json", "--out", f"{node}.admission", folder=folder)
    printed("join", "--certificate", f"{node}.admission", "--folder", node, folder=folder)
    return value(told, "address")


@contextmanager
def node_process(config: Path) -> Iterator[None]:
    """A node that runs until it is needed no more, and ends in order."""
    command = [sys.executable, "-m", "wattquorum", "node", "run", "--config", str(config)]
    with (config.parent / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0, (config.parent / "log").read_text()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A founded village with a genesis that hydro has asked to join, and another village."""
    folder = tmp_path_factory.mktemp("founded")
    for name in ("village", "town"):
        printed("community", "init", name, "--name", name, folder=folder)
        (folder / name / "genesis.json").write_bytes(GENESIS)
    invited(folder, "hydro", "hydro", "--listen", "127.0.0.1:7400")
    return folder


@pytest.fixture
def here(asked: Path, tmp_path: Path) -> Path:
    return shutil.copytree(asked, tmp_path / "here")


def test_the_help_teaches_every_step_in_its_order(tmp_path: Path) -> None:
    told = " ".join(wattquorum("community", "--help", folder=tmp_path).stdout.split())
    steps = ["community init", "wattquorum invite", "wattquorum join hydro", "genesis.json", "community admit"]
    steps += ["join --certificate", "To renew", "community revoke", "Back up"]
    places = [told.index(step) for step in steps]
    assert places == sorted(places)


def test_a_node_that_was_admitted_has_all_it_starts_with(here: Path) -> None:
    address = admitted(here, "hydro")
    invited(here, "wind", "wind", "--listen", "[::1]:7401")
    admitted(here, "wind")
    node = load(here / "wind", communities.now_ms())
    assert node.me == address_of(CHAIN, ledger_key(here / "wind").public)
    assert node.genesis == GENESIS
    assert node.peers == {bytes.fromhex(address): ("127.0.0.1", 7400)}
    assert (node.contexts.me.chain_id, node.contexts.me.address) == (CHAIN, node.me)
    told = printed("community", "list", "village", folder=here)
    assert "127.0.0.1:7400" in told
    assert told.count("in force") == 2
    assert told.count("used") == 2


def test_secrets_are_for_their_owner_alone(here: Path) -> None:
    request = (here / "hydro" / "request.json").read_text()
    pending = stat.S_IMODE((here / "hydro" / "pending.key").stat().st_mode)
    admitted(here, "hydro")
    assert pending == stat.S_IMODE((here / "hydro.invitation").stat().st_mode) == 0o600
    for path in [*(here / "village").iterdir(), *(here / "hydro").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.name in SECRETS else 0o644), path
    assert not (here / "hydro" / "pending.key").exists()
    secret = json.loads((here / "hydro.invitation").read_bytes())["secret"]
    assert secret not in request + (here / "village" / "register.json").read_text()
    assert (
        secret not in (here / "hydro" / "request.json").read_text() if (here / "hydro/request.json").exists() else True
    )


def test_a_renewal_keeps_the_ledger_key_and_changes_the_tls_key(here: Path) -> None:
    address = admitted(here, "hydro")
    key, tls = ledger_key(here / "hydro").public, (here / "hydro" / "tls.pem").read_bytes()
    printed("invite", "village", "--member", "hydro", "--out", "again", folder=here)
    printed("join", "again", "--folder", "hydro", folder=here)
    (here / "hydro.admission").unlink()
    assert (here / "hydro" / "tls.pem").read_bytes() == tls
    assert admitted(here, "hydro") == address
    assert ledger_key(here / "hydro").public == key
    assert (here / "hydro" / "tls.pem").read_bytes() != tls


def test_what_is_revoked_cannot_start_any_more(here: Path) -> None:
    address = admitted(here, "hydro")
    assert "1 of" in printed("community", "revoke", "village", address, folder=here)
    load(here / "hydro", communities.now_ms())
    shutil.copy(here / "village" / "revoked.pem", here / "hydro" / "revoked.pem")
    assert_refused("tls_identity_revoked", lambda: load(here / "hydro", communities.now_ms()))
    assert "revoked" in printed("community", "list", "village", folder=here)
    assert refused("community", "revoke", "village", address, folder=here) == "tls_identity_unknown"
    assert refused("community", "revoke", "village", "12", folder=here) == "encoding_unreadable"


def test_a_revocation_that_was_interrupted_is_taken_up_by_the_next_command(here: Path) -> None:
    address = admitted(here, "hydro")
    before = (here / "village" / "revoked.pem").read_bytes()
    printed("community", "revoke", "village", address, folder=here)
    (here / "village" / "revoked.pem").write_bytes(before)
    printed("community", "list", "village", folder=here)
    shutil.copy(here / "village" / "revoked.pem", here / "hydro" / "revoked.pem")
    assert_refused("tls_identity_revoked", lambda: load(here / "hydro", communities.now_ms()))


def assert_refused(code: str, work: Callable[[], object]) -> None:
    from wattquorum.foundation.refusals import Refused

    with pytest.raises(Refused) as found:
        work()
    assert found.value.code == code


def test_an_invitation_serves_once(here: Path) -> None:
    shutil.copytree(here / "hydro", here / "thief")
    admitted(here, "hydro")
    (here / "thief" / "ledger.key").unlink()
    (here / "thief" / "request.json").unlink()
    printed("join", "hydro.invitation", "--folder", "thief", folder=here)
    admit = ("community", "admit", "village", "thief/request.json", "--out", "thief.admission")
    assert refused(*admit, folder=here) == "invitation_used"
    assert not (here / "thief.admission").exists()


def test_nothing_is_used_up_for_a_file_that_cannot_be_written(here: Path) -> None:
    register = (here / "village" / "register.json").read_bytes()
    request = ("community", "admit", "village", "hydro/request.json")
    for out in ("nowhere/file", "village", "hydro/request.json/file"):
        assert refused(*request, "--out", out, folder=here) in ("file_unreadable", "file_exists")
        assert refused("invite", "village", "--member", "wind", "--out", out, folder=here) in (
            "file_unreadable",
            "file_exists",
        )
    assert (here / "village" / "register.json").read_bytes() == register
    (here / "strange.json").write_text("{}")
    assert refused("community", "admit", "village", "strange.json", "--out", "empty", folder=here)
    assert not (here / "empty").exists()
    admitted(here, "hydro")


def test_the_same_request_is_admitted_again_by_the_same_identity(here: Path) -> None:
    for out in ("lost", "again"):
        printed("community", "admit", "village", "hydro/request.json", "--out", out, folder=here)
    lost, again = (json.loads((here / out).read_bytes()) for out in ("lost", "again"))
    assert lost["tls_identity"] == again["tls_identity"]
    assert printed("community", "list", "village", folder=here).count("in force") == 1
    address = value(printed("join", "--certificate", "again", "--folder", "hydro", folder=here), "address")
    assert address


def test_what_was_revoked_is_not_given_again(here: Path) -> None:
    request = ("community", "admit", "village", "hydro/request.json", "--out")
    address = value(printed(*request, "first", folder=here), "address")
    printed("community", "revoke", "village", address, folder=here)
    assert refused(*request, "second", folder=here) == "invitation_used"
    assert not (here / "second").exists()


def test_a_newer_invitation_takes_the_place_of_a_request_that_nobody_answered(here: Path) -> None:
    key, request = ledger_key(here / "hydro").public, (here / "hydro" / "request.json").read_bytes()
    assert refused("join", "hydro.invitation", "--folder", "hydro", folder=here) == "file_exists"
    printed("invite", "village", "--member", "hydro", "--out", "newer", folder=here)
    printed("join", "newer", "--folder", "hydro", "--listen", "127.0.0.1:7400", folder=here)
    assert (here / "hydro" / "request.json").read_bytes() != request
    assert ledger_key(here / "hydro").public == key
    admitted(here, "hydro")


def test_joining_writes_no_configuration_that_will_not_start(here: Path) -> None:
    printed("invite", "village", "--member", "wind", "--out", "wind.invitation", folder=here)
    words = ("join", "wind.invitation", "--folder", "wind", "--api")
    assert refused(*words, "0.0.0.0:8400", folder=here) == "config_invalid"
    assert not (here / "wind").exists()
    printed(*words, "[::1]:8400", folder=here)


def test_an_invitation_and_a_request_run_out(here: Path) -> None:
    later = communities.now_ms() + 15 * DAY_MS
    with mock.patch.object(communities, "now_ms", return_value=later):
        assert refused("join", "hydro.invitation", "--folder", "late", folder=here) == "expired"
        admit = ("community", "admit", "village", "hydro/request.json", "--out", "late.admission")
        assert refused(*admit, folder=here) == "expired"
        assert "expired" in printed("community", "list", "village", folder=here)
    printed(
        "community", "admit", "village", "hydro/request.json", "--out", "hydro.admission", "--days", "10", folder=here
    )
    with mock.patch.object(communities, "now_ms", return_value=later):
        join = ("join", "--certificate", "hydro.admission", "--folder", "hydro")
        assert refused(*join, folder=here) == "tls_identity_expired"


def altered(path: Path, **fields: object) -> None:
    content = json.loads(path.read_bytes())
    content.update(fields)
    path.write_bytes(json.dumps(content, indent=2).encode() + b"\n")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"expires_ms": 2**60}, "invitation_forged"),
        ({"member": "wind"}, "invitation_forged"),
        ({"secret": "00" * 32}, "invitation_forged"),
        ({"peers": {"11" * 20: "evil.example:1"}}, "invitation_forged"),
        ({"signature": ""}, "encoding_unreadable"),
        ({"signature": "00" * 70}, "invitation_forged"),
        ({"authority": "nobody"}, "encoding_unreadable"),
        ({"format": 2}, "out_of_range"),
        ({"more": 1}, "encoding_unreadable"),
    ],
)
def test_an_invitation_that_was_altered_is_refused(here: Path, fields: dict[str, object], code: str) -> None:
    altered(here / "hydro.invitation", **fields)
    assert refused("join", "hydro.invitation", "--folder", "new", folder=here) == code
    assert not (here / "new").exists()


def test_the_fingerprint_tells_a_false_authority(here: Path) -> None:
    printed("invite", "town", "--member", "hydro", "--out", "false", folder=here)
    true = value(printed("community", "list", "village", folder=here), "fingerprint")
    join = ("join", "false", "--folder", "new", "--fingerprint", true[:16])
    assert refused(*join, folder=here) == "community_foreign"
    printed("invite", "village", "--member", "hydro", "--out", "right", folder=here)
    printed("join", "right", "--folder", "new", "--fingerprint", true[:16].upper(), folder=here)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"listen": "evil.example:1"}, "request_forged"),
        ({"listen": "nowhere"}, "out_of_range"),
        ({"member": "wind"}, "request_forged"),
        ({"by_invitation": "00" * 64}, "request_forged"),
        ({"by_ledger_key": "00" * 64}, "request_forged"),
        ({"ledger_key": "11" * 32}, "request_forged"),
        ({"ledger_key": "1"}, "request_forged"),
        ({"invitation": "1"}, "encoding_unreadable"),
        ({"invitation": SigningKey(bytes(32)).public.hex()}, "request_forged"),
        ({"tls_request": "none"}, "request_forged"),
        ({"format": 2}, "out_of_range"),
    ],
)
def test_a_request_that_was_altered_is_refused(here: Path, fields: dict[str, object], code: str) -> None:
    altered(here / "hydro" / "request.json", **fields)
    admit = ("community", "admit", "village", "hydro/request.json", "--out", "out")
    assert refused(*admit, folder=here) == code
    assert not (here / "out").exists()


def test_a_request_belongs_to_one_community_and_one_chain(here: Path) -> None:
    admit = ("community", "admit", "town", "hydro/request.json", "--out", "out")
    assert refused(*admit, folder=here) == "community_foreign"
    (here / "village" / "genesis.json").unlink()
    admit = ("community", "admit", "village", "hydro/request.json", "--out", "out")
    assert refused(*admit, folder=here) == "genesis_missing"
    (here / "village" / "genesis.json").write_bytes(Founding(2, 3, 1, {}).genesis)
    printed(*admit, folder=here)
    printed("join", "--certificate", "out", "--folder", "hydro", folder=here)  # it was invited, not yet to a chain
    (here / "village" / "genesis.json").write_bytes(GENESIS)
    printed("invite", "village", "--member", "hydro", "--out", "again", folder=here)
    assert refused("join", "again", "--folder", "hydro", folder=here) == "chain_wrong"


def test_an_admission_is_for_the_node_that_asked(here: Path) -> None:
    invited(here, "wind", "wind")
    printed("community", "admit", "village", "hydro/request.json", "--out", "out", folder=here)
    join = ("join", "--certificate", "out", "--folder", "wind")
    assert refused(*join, folder=here) == "tls_identity_invalid"
    assert refused("join", "--certificate", "out", "--folder", "nowhere", folder=here) == "key_missing"
    invited(here, "hydro", "other")
    shutil.copy(here / "hydro" / "ledger.key", here / "other" / "ledger.key")
    join = ("join", "--certificate", "out", "--folder", "other")
    assert refused(*join, folder=here) == "tls_identity_invalid"
    altered(here / "out", genesis="{}")
    assert refused("join", "--certificate", "out", "--folder", "hydro", folder=here) == "invitation_forged"
    assert not (here / "hydro" / "tls.pem").exists()


def test_an_older_admission_does_not_bring_back_an_older_list(here: Path) -> None:
    printed("community", "admit", "village", "hydro/request.json", "--out", "out", folder=here)
    invited(here, "wind", "wind")
    printed("community", "revoke", "village", admitted(here, "wind"), folder=here)
    newest = (here / "village" / "revoked.pem").read_bytes()
    (here / "hydro" / "revoked.pem").write_bytes(newest)
    printed("join", "--certificate", "out", "--folder", "hydro", folder=here)
    assert (here / "hydro" / "revoked.pem").read_bytes() == newest


def test_nothing_is_overwritten(here: Path) -> None:
    assert refused("community", "init", "village", "--name", "village", folder=here) == "folder_exists"
    invite = ("invite", "village", "--member", "hydro", "--out", "hydro.invitation")
    assert refused(*invite, folder=here) == "file_exists"
    assert refused("join", "hydro.invitation", "--folder", "hydro", folder=here) == "file_exists"
    admit = ("community", "admit", "village", "hydro/request.json", "--out", "hydro.invitation")
    assert refused(*admit, folder=here) == "file_exists"
    assert "open" in printed("community", "list", "village", folder=here)  # nothing was used up


def test_keys_that_others_can_read_are_refused(here: Path) -> None:
    (here / "hydro" / "pending.key").chmod(0o640)
    printed("community", "admit", "village", "hydro/request.json", "--out", "out", folder=here)
    assert refused("join", "--certificate", "out", "--folder", "hydro", folder=here) == "key_public"
    (here / "village" / "authority.key").chmod(0o604)
    assert refused("community", "list", "village", folder=here) == "key_public"


def test_input_that_makes_no_sense_is_refused(here: Path) -> None:
    assert refused("community", "init", "new", "--name", "a village", folder=here) == "out_of_range"
    assert refused("invite", "village", "--member", "", "--out", "out", folder=here) == "out_of_range"
    assert refused("join", "--folder", "new", folder=here) == "column_ambiguous"
    assert refused("join", "a", "--certificate", "b", "--folder", "new", folder=here) == "column_ambiguous"
    assert refused("join", "nowhere", "--folder", "new", folder=here) == "file_unreadable"
    join = ("join", "hydro.invitation", "--folder", "new", "--listen", "7400")
    assert refused(*join, folder=here) == "out_of_range"
    assert refused("community", "list", "nowhere", folder=here) == "file_unreadable"
    assert refused("community", "list", "hydro", folder=here) == "file_unreadable"


# Genesis


def test_a_community_of_three_is_founded_by_commands_and_trades(tmp_path: Path) -> None:
    """From `community init` to a decided transaction, over processes that know each other by these files alone."""
    names = ("hydro", "mill", "farm")
    printed("community", "init", "village", "--name", "village", folder=tmp_path)
    ports = {name: (free_port(), free_port()) for name in names}
    for name in names:
        listen, api = ports[name]
        invited(tmp_path, name, name, "--listen", f"127.0.0.1:{listen}", "--api", f"127.0.0.1:{api}")
    operator = value(printed("keys", "operator.key", folder=tmp_path), "public")
    requests = [f"{name}/request.json" for name in names]
    told = printed(
        "community", "genesis", "village", *requests, "--operator", operator, "--engine", "raft", folder=tmp_path
    )
    assert value(told, "replicas") == "3"
    chain_id = bytes.fromhex(value(told, "chain"))
    for name in names:
        admitted(tmp_path, name)
    for name in names:
        shutil.copy(tmp_path / "village" / "peers.json", tmp_path / name / "peers.json")
    key = read_key(tmp_path / "operator.key")
    sender = address_of(chain_id, key.public)
    body = Body(chain_id, sender, 0, 100_000, communities.now_ms() + 3_600_000, Deposit(sender, 5, "first"))
    with ExitStack() as running:
        for name in names:
            running.enter_context(node_process(tmp_path / name / "node.toml"))
        with Client([f"http://127.0.0.1:{ports[name][1]}" for name in names]) as client:
            assert client.submit(sign(key, body)).outcome == "done"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "out_of_range"),
        (("--operator", "12"), "encoding_unreadable"),
        (("--founder", "somebody"), "out_of_range"),
        (("--founder", f"somebody:{'ab' * 32}:KING"), "out_of_range"),
        (("--operator", "ab" * 32, "--parameter", "pace"), "out_of_range"),
        (("--operator", "ab" * 32, "--parameter", "pace=1"), "parameter_unknown"),
        (("--operator", "ab" * 32, "--approvals", "2"), "out_of_range"),
        (("--operator", "ab" * 32, "hydro/request.json"), "validator_exists"),
    ],
)
def test_a_genesis_that_cannot_be_is_refused(here: Path, words: tuple[str, ...], code: str) -> None:
    (here / "village" / "genesis.json").unlink()
    assert refused("community", "genesis", "village", "hydro/request.json", *words, folder=here) == code
    assert not (here / "village" / "genesis.json").exists()


def test_a_community_has_one_genesis(here: Path) -> None:
    before = (here / "village" / "genesis.json").read_bytes()
    words = ("community", "genesis", "village", "hydro/request.json", "--operator", "ab" * 32)
    assert refused(*words, folder=here) == "file_exists"
    assert (here / "village" / "genesis.json").read_bytes() == before


def test_a_request_of_another_community_begins_nothing(here: Path) -> None:
    (here / "town" / "genesis.json").unlink()
    words = ("community", "genesis", "town", "hydro/request.json", "--operator", "ab" * 32)
    assert refused(*words, folder=here) == "community_foreign"
