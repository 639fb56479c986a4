"""The frame keeps its word: locked packages, import contracts that bite, and an honest last line of the test run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.lint_exact import FLOORS, REFUSED_MODULES

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
ROOMS = sorted(re.findall(r"\w+", " ".join(CONTRACTS[0]["layers"])))


def test_every_locked_package_has_its_hashes_and_no_host_is_named() -> None:
    pinned = re.split(r"\n(?=[a-z])", LOCK.strip())
    assert len(pinned) > 20
    assert all(re.match(r"[a-z0-9-]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL) for entry in pinned)
    assert re.search(r"://|index-url|find-links", LOCK) is None


def test_everything_that_is_asked_for_is_locked() -> None:
    groups = PROJECT["dependency-groups"]
    asked = [*PROJECT["project"]["dependencies"], *groups["build"], *groups["test"]]
    names = {re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() for requirement in asked}  # type: ignore[index]
    assert names <= set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))


def test_the_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
        entry_points = archive.read("wattquorum-0.1.0.dist-info/entry_points.txt").decode()
    source = ROOT / "src"
    shipped = {
        path.relative_to(source).as_posix()
        for path in (source / "wattquorum").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped <= carried
    assert "wattquorum-0.1.0.dist-info/licenses/LICENSE" in carried
    assert "wattquorum = wattquorum.cli:main" in entry_points


def test_the_contracts_and_the_lint_speak_of_the_same_floors_and_modules() -> None:
    of_floors = [contract for contract in CONTRACTS if contract["name"].startswith("The exact floors")]
    assert len(of_floors) == 2
    for contract in of_floors:
        assert contract["source_modules"] == [f"wattquorum.{floor}.**" for floor in FLOORS]
        assert set(contract["forbidden_modules"]) <= set(REFUSED_MODULES)


# Import contracts, on a house of empty rooms --------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The package's rooms without their furniture, under the real contracts."""
    package = tmp_path / "wattquorum"
    for room in ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import wattquorum.cli\n")
    (package / "foundation" / "codec.py").write_text("import msgspec\n")
    (package / "foundation" / "identities.py").write_text("import nacl.signing\n")
    (package / "market" / "terms.py").write_text("import wattquorum.foundation.codec\n")
    (package / "node" / "community.py").write_text("import cryptography.x509\n")
    for module in ("flow", "network"):
        (package / "grid" / f"{module}.py").write_text("import power_grid_model\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return package


def lint_imports(house: Path) -> tuple[int, str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(house.parent), "COLUMNS": "200"}
    ran = subprocess.run(command, cwd=house.parent, env=environment, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


def test_a_house_whose_rooms_import_downwards_stands(house: Path) -> None:
    assert lint_imports(house)[0] == 0


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("market/terms.py", "import wattquorum.ledger", "Each floor imports from the floors below it alone"),
        ("market/terms.py", "import wattquorum.standing", "Each floor imports from the floors below it alone"),
        ("helpers.py", "", "Each floor imports from the floors below it alone"),
        ("market/terms.py", "import time", "The exact floors have no clock"),
        ("ledger/audit.py", "from concurrent import futures", "The exact floors have no clock"),
        ("consensus/raft.py", "import random", "The exact floors have no clock"),
        ("ledger/tables.py", "import polars", "The exact floors know no tables"),
        ("ledger/wire.py", "import msgspec", "One codec"),
        ("records.py", "import nacl", "One signature library"),
        ("ledger/flows.py", "import power_grid_model", "One power flow"),
        ("node/transport.py", "import cryptography", "X.509 alone"),
        ("ledger/flows.py", "import wattquorum.lab", "Each floor imports from the floors below it alone"),
        ("grid/flow.py", "import wattquorum.market", "Each floor imports from the floors below it alone"),
    ],
)
def test_an_import_that_the_house_forbids_is_named(house: Path, module: str, line: str, broken: str) -> None:
    if module == "records.py":
        shutil.rmtree(house / "records")
    with (house / module).open("a") as file:
        file.write(f"{line}\n")
    status, told = lint_imports(house)
    assert status == 1
    assert any(told_line.startswith(broken) and "BROKEN" in told_line for told_line in told.splitlines())


# The last line of the test run ----------------------------------------------------------------------------------------

BROWSER_TESTS = """
import pytest

def test_of_numbers():
    assert 1 + 1 == 2

@pytest.mark.skip(reason="another reason")
def test_for_another_time():
    pass

@pytest.mark.browser
def test_of_a_click():
    pass

def test_of_a_page(page):
    page.set_content("<script>console.log('fine')</script>")
"""


def run_tests(folder: Path, path: str, *options: str) -> tuple[int, list[str]]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(BROWSER_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = browser\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    environment |= {"PATH": path, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("--numprocesses=1",)])
def test_browser_tests_that_were_not_run_are_counted_in_the_last_line(tmp_path: Path, options: tuple[str]) -> None:
    status, lines = run_tests(tmp_path, "", *options)
    assert status == 0
    assert lines[-1] == "NOT RUN: 2 browser tests (apt install chromium)"
    assert "1 passed, 3 skipped" in lines[-2]


@pytest.mark.browser
def test_where_chromium_is_found_the_last_line_is_pytests_own(tmp_path: Path) -> None:
    status, lines = run_tests(tmp_path, os.environ["PATH"])
    assert status == 0
    assert "3 passed, 1 skipped" in lines[-1]
