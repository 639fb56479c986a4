"""What every test shares: how hypothesis searches, what is measured, a traded day, a page in the system's Chromium.

Hypothesis derives its examples from each test's own code, so that a run says the same every time and everywhere;
`make test ARGS=--hypothesis-profile=search` searches further, from a new seed each time. What goes the same ways over
and over, hypothesis tests and those marked `unmeasured`, runs without the tracing of coverage, which would take several
times as long; every way is measured where a single example takes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.pages import fresh_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

settings.register_profile(
    "stable",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("stable"), derandomize=False, max_examples=1_000)
settings.load_profile("stable")

HERE = Path(__file__).parent
LONG = ("api", "cli", "lab", "simulation", "torture")  # folders whose files take long

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = "Chromium is not on PATH"
CHROMIUM_OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]

_not_run: set[str] = set()


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the command line traded one day into out/week; only read it.

    The first worker of a run that asks for it makes it, and the others wait for it.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "traded"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".new")
            making.mkdir()
            command = [sys.executable, "-m", "wattquorum", "week", "--days", "1"]
            subprocess.run(command, cwd=making, check=True, capture_output=True, timeout=120)
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless; one for all tests of a worker."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS, chromium_sandbox=False)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page."""
    with fresh_page(browser) as opened:
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with files that take long, so that no worker ends with one of them while the others have nothing left.

    Marks what opens a page as a browser test, and skips those where there is no Chromium.
    """
    items.sort(key=lambda item: item.path.relative_to(HERE).parts[0] not in LONG)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        if CHROMIUM is None and item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))


@contextmanager
def _traced_where_measured(item: pytest.Item) -> Iterator[None]:
    examples = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if not examples and item.get_closest_marker("unmeasured") is None:
        yield
        return
    traced, traced_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(traced_threads)
        sys.settrace(traced)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """What is made for hypothesis tests and unmeasured ones is made without tracing."""
    with _traced_where_measured(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Runs hypothesis tests and unmeasured ones without tracing."""
    with _traced_where_measured(item):
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers which tests were not run for want of Chromium; under xdist, what the workers report."""
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2] == f"Skipped: {NO_CHROMIUM}":
        _not_run.add(report.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> Generator[None]:
    """Says last of all, and only where it is true, how many browser tests were not run."""
    yield
    if _not_run and not hasattr(config, "workerinput"):
        print(f"NOT RUN: {len(_not_run)} browser tests (apt install chromium)")
