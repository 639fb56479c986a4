"""Schemathesis looks for faults: whatever the OpenAPI says has to hold, for good requests and for any others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.served import Served, served
from wattquorum.foundation.identities import address_of

pytestmark = pytest.mark.unmeasured

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# A transaction that is good by the schema may be forged, so what is handed in may be refused though its form is right.
# A stream has no end that a request could be waited for; its lines are looked at elsewhere.
ASKED = ("--include-method", "GET", "--exclude-path", "/v1/stream")
HANDED_IN = ("--include-method", "POST", "--exclude-checks", "positive_data_acceptance")


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> object:
    with served(tmp_path_factory.mktemp("openapi")) as found:
        for number in range(6):
            found.do(found.village.nodes[0].submit(found.village.deposit(number % 3)))
        yield found


def faults(community: Served, folder: Path, config: str, *options: str) -> str:
    path = folder / "schemathesis.toml"
    path.write_text(f'hooks = "{HERE / "schemathesis_hooks.py"}"\n{config}')
    command = [str(SCHEMATHESIS), "--config-file", str(path), "run", community.apis[1] + "/schema/openapi.json"]
    command += ["--checks", "all", "--generation-deterministic", "--no-color"]
    command += ["--request-timeout", "20", "--suppress-health-check", "all", *options]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(HERE.parent.parent)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@pytest.mark.parametrize("which", [ASKED, HANDED_IN], ids=["asked", "handed in"])
def test_nothing_that_the_openapi_says_is_wrong(community: Served, tmp_path: Path, which: tuple[str, ...]) -> None:
    told = faults(community, tmp_path, "", *which, "--max-examples", "4", "--phases", "coverage,fuzzing")
    assert not told, told


def test_nor_is_it_of_what_is_really_there(community: Served, tmp_path: Path) -> None:
    village = community.village
    address = address_of(village.chain_id, village.founding.client_keys[0].public).hex()
    with httpx.Client(base_url=community.apis[1]) as client:
        done = next(
            receipt["transaction"]
            for height in range(1, 20)
            for receipt in client.get(f"/v1/blocks/{height}").json()["receipts"]
        )
        key = client.get("/v1/state/account", params={"limit": 1}).json()["entries"][0]["key"]
    config = f"""
[parameters]
"path.address" = "{address}"
"path.transaction" = "{done}"
"path.height" = 1
"path.table" = "account"
"path.key" = "{key}"
"""
    told = faults(community, tmp_path, config, "--max-examples", "2", "--phases", "fuzzing", *ASKED)
    assert not told, told
