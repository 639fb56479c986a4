"""Tools: what has to be on the machine for the peers to run, where it is, and how it gets there.

    make bench-peers ARGS=--setup

Debian's packages have etcd, and etcd's client library as Go source; PySyncObj comes from PyPI into a virtual
environment of its own, so that nothing of it is ever imported beside ours. What is built lies in a cache folder
(WATTQUORUM_PEERS, or wattquorum-peers in the user's cache) and can be removed at any time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PACKAGES: Final = ("etcd-server", "etcd-client", "golang-go", "golang-etcd-server-dev")
PYSYNCOBJ: Final = "pysyncobj==0.3.17"
GO_SOURCES: Final = Path("/usr/share/gocode")
CLIENT_SOURCE: Final = HERE / "etcd_client.go"


class Missing(Exception):
    """Something is not installed: what, and what to do."""


def folder() -> Path:
    """Where what is built lies."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("WATTQUORUM_PEERS") or cache / "wattquorum-peers")


def etcd() -> str:
    """The server's program."""
    found = shutil.which("etcd")
    if found is None:
        raise Missing(f"etcd is not installed. Install {' '.join(PACKAGES[:2])}, then: {SETUP}")
    return found


def etcd_client() -> str:
    """The load program for etcd, built from the source that is here now."""
    found = folder() / "etcd_client"
    if not found.exists() or found.stat().st_mtime < CLIENT_SOURCE.stat().st_mtime:
        raise Missing(f"The client for etcd is not built, or not from the present source: {SETUP}")
    return str(found)


def pysyncobj_python() -> str:
    """The Python that has PySyncObj."""
    found = folder() / "venv" / "bin" / "python"
    if not found.exists():
        raise Missing(f"PySyncObj has no virtual environment: {SETUP}")
    return str(found)


SETUP: Final = "make bench-peers ARGS=--setup"


def check() -> None:
    """Missing(...) for the first thing that is."""
    etcd()
    etcd_client()
    pysyncobj_python()


def set_up() -> None:
    """Builds the client of etcd and PySyncObj's virtual environment; Missing where Debian's packages are."""
    wanting = [name for name, there in _present().items() if not there]
    if wanting:
        install = f"apt-get install {' '.join(wanting)}"
        raise Missing(
            f"Not installed: {', '.join(wanting)}. As root, on Debian or Ubuntu: {install}; then again: {SETUP}"
        )
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GO_SOURCES),
        "GOFLAGS": "",
        "GOCACHE": str(place / "gocache"),
    }
    build = ["go", "build", "-o", str(place / "etcd_client"), str(CLIENT_SOURCE)]
    subprocess.run(build, check=True, env=environment, cwd=place)
    if not (place / "venv").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    subprocess.run([str(place / "venv" / "bin" / "pip"), "install", "--quiet", PYSYNCOBJ], check=True)


def _present() -> dict[str, bool]:
    """Which of Debian's packages are there, by what they bring."""
    brought = (
        shutil.which("etcd") is not None,
        shutil.which("etcdctl") is not None,
        shutil.which("go") is not None,
        (GO_SOURCES / "src" / "go.etcd.io" / "etcd" / "clientv3").exists(),
    )
    return dict(zip(PACKAGES, brought, strict=True))


def versions() -> dict[str, str]:
    """Of what is measured."""
    said = subprocess.run([etcd(), "--version"], check=True, capture_output=True, text=True).stdout
    return {"etcd": said.split("\n", 1)[0].rpartition(" ")[2], "PySyncObj": PYSYNCOBJ.rpartition("=")[2]}
