"""`wattquorum certificates`: bundles are found, given and retired, and a statement can be checked by anybody."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from tests.cli.runs import printed, said
from wattquorum.foundation.quantities import Energy, format_energy, parse_energy
from wattquorum.green.certificates import WHOLE
from wattquorum.node.chain_folder import ChainFolder

BENEFICIARY = "Bakery <Corn> & Sons"


@pytest.fixture(scope="module")
def chain(traded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a chain of its own, which these tests go on with."""
    folder = tmp_path_factory.mktemp("certificates")
    shutil.copytree(traded / "out" / "week" / "chain", folder / "out" / "week" / "chain")
    return folder


@pytest.fixture(scope="module")
def bundle(chain: Path) -> str:
    """A bundle that nothing is done with."""
    return whole_of(chain, "wind-1")


def whole_of(folder: Path, owner: str) -> str:
    """The first whole bundle that an account holds."""
    told = printed("certificates", "list", "--owner", owner, folder=folder)
    (first, *_) = re.findall(r"([0-9a-f]{8}) .* \d+ of 1 MWh", told)
    return str(first)


def test_active_bundles_are_listed_and_all_of_them_on_demand(chain: Path) -> None:
    active = printed("certificates", "list", folder=chain)
    everything = printed("certificates", "list", "--all", folder=chain)
    assert "rolled up" not in active
    assert "rolled up in block" in everything
    assert len(everything.splitlines()) > 2 * len(active.splitlines())
    assert re.search(r"[\d.]+ MWh are active", active)


def test_a_bundle_is_shown_with_everything_that_it_was_made_of(chain: Path) -> None:
    told = printed("certificates", "show", whole_of(chain, "wind-8"), folder=chain)
    assert "(wind)" in told
    granular = re.findall(r"^ +[0-9a-f]{8}  ([\d.]+ \w+)  .*rolled up", told, re.MULTILINE)
    assert granular
    assert sum(parse_energy(each) for each in granular) % WHOLE == 0


def test_certificates_are_given_away_and_the_chain_stays_sound(chain: Path) -> None:
    bundle = whole_of(chain, "wind-8")
    words = ("certificates", "transfer", bundle, "biomass-5", "--count", "1", "--seed", "1")
    assert "1 certificate to biomass-5, block" in printed(*words, folder=chain)
    held = printed("certificates", "list", "--owner", "biomass-5", folder=chain)
    assert re.search(r"1 of 1 MWh", held)
    gone = said(*words, folder=chain, check=2)
    assert gone.startswith("refused: certificate_final: bundle is not active any more (found: split in block")


def test_granular_certificates_are_called_by_their_energy(chain: Path, tmp_path: Path) -> None:
    told = printed("certificates", "list", "--owner", "wind-8", folder=chain)
    granular, *_ = re.findall(r"([0-9a-f]{8}) .*│ +([\d.]+ k?Wh) │", told)
    energy = parse_energy(granular[1])
    words = ("certificates", "transfer", granular[0], "biomass-5", "--count", "5", "--seed", "1")
    assert "done     5 Wh of granular certificates to biomass-5, block" in printed(*words, folder=chain)
    told = printed("certificates", "list", "--owner", "wind-8", folder=chain)
    rest = format_energy(Energy(energy - 5))
    ((left, _),) = re.findall(rf"([0-9a-f]{{8}}) .*│ +({re.escape(rest)}) │", told)
    out = tmp_path / "granular.html"
    told = printed("certificates", "retire", left, "--seed", "1", "--out", out, folder=chain)
    assert f"done     {rest} of granular certificates retired, block" in told
    assert "Wh of a granular one" in " ".join(printed("certificates", "retire", "--help", folder=chain).split())


def test_a_retirement_can_be_printed_and_checked_with_its_proof_alone(chain: Path, tmp_path: Path) -> None:
    bundle = whole_of(chain, "wind-7")
    words = ("retire", bundle, "--count", "1", "--beneficiary", BENEFICIARY, "--purpose", "bread", "--seed", "1")
    out = tmp_path / "page" / "statement.html"
    out.parent.mkdir()
    printed("certificates", *words, "--out", out, folder=chain)
    page = out.read_text(encoding="utf-8")
    proof = out.parent / "statement.proof.json"
    assert BENEFICIARY not in page
    assert BENEFICIARY in unescape(page)
    assert "1 MWh" in page
    assert "://" not in page
    told = printed("verify", proof, folder=tmp_path)
    assert told.startswith("proved: RetireCertificates")
    assert f"for      {BENEFICIARY}" in told
    assert "purpose  bread" in told
    tip = json.loads((chain / "out" / "week" / "chain" / "tip.json").read_bytes())
    assert re.search(r"^word of  founder [0-9a-f]{40} alone, who signed that end$", told, re.MULTILINE)
    assert f"its key  {tip['proposer']}" in told
    retired = re.search(r"retired +meter=(\S+) source=wind unit_wh=1000000 first=(\d+) end=(\d+)", told)
    assert retired
    assert int(retired[3]) - int(retired[2]) == 1
    assert retired[1] in page
    wrong = proof.read_bytes().replace(b"first=", b"first-").replace(b"66697273743d", b"66697273743e")
    proof.write_bytes(wrong)
    assert said("verify", str(proof), folder=tmp_path, check=1).startswith("wrong: proof_wrong")


def test_the_statement_of_an_older_retirement_can_be_written_again(chain: Path, tmp_path: Path) -> None:
    everything = printed("certificates", "list", "--all", folder=chain)
    retired = re.findall(r"([0-9a-f]{8}) .* retired in block", everything)
    assert retired
    printed("certificates", "statement", retired[0], "--out", tmp_path / "again.html", folder=chain)
    assert "can never be used again" in (tmp_path / "again.html").read_text(encoding="utf-8")
    assert "proved" in printed("verify", tmp_path / "again.proof.json", folder=tmp_path)


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("show", "ffffffffffffffff"), "certificate_unknown: bundle"),
        (("list", "--owner", "nobody"), "account_unknown: account"),
        (("transfer", "BUNDLE", "nobody", "--seed", "1"), "account_unknown: account"),
        (("transfer", "BUNDLE", "wind-1", "--seed", "1"), "self_trade: to"),
        (("transfer", "BUNDLE", "wind-1"), "file_unreadable: key"),
        (("transfer", "BUNDLE", "wind-1", "--seed", "2"), "out_of_range: seed"),
        (("retire", "BUNDLE", "--count", "5000", "--seed", "1"), "certificate_short: count"),
        (("retire", "BUNDLE", "--key", "nowhere", "--proposer-key", "nowhere"), "file_unreadable: key"),
    ],
)
def test_what_cannot_be_done_is_refused(chain: Path, bundle: str, words: tuple[str, ...], refusal: str) -> None:
    with ChainFolder(chain / "out" / "week" / "chain") as folder:
        height = folder.height
    told = said("certificates", *(bundle if word == "BUNDLE" else word for word in words), folder=chain, check=2)
    assert told.startswith(f"refused: {refusal}")
    with ChainFolder(chain / "out" / "week" / "chain") as folder:
        assert folder.height == height  # no block holds what was refused


def test_after_all_of_this_the_chain_is_sound(chain: Path) -> None:
    assert "sound" in printed("audit", folder=chain)


def test_a_statement_that_cannot_be_written_uses_nothing_up(chain: Path, bundle: str) -> None:
    words = ("certificates", "retire", bundle, "--count", "1", "--out", "nowhere/page.html", "--seed", "1")
    assert said(*words, folder=chain, check=2).startswith("refused: file_unreadable: out")
    assert "stands    active" in printed("certificates", "show", bundle, folder=chain)
    refused = ("certificates", "retire", bundle, "--count", "5000", "--out", "page.html", "--seed", "1")
    assert said(*refused, folder=chain, check=2).startswith("refused: certificate_short")
    assert not list(chain.glob("page*"))
