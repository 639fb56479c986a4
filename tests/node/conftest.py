"""What tests of nodes share: a real disk that fills."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node.disks import Disk


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Disk]:
    """A real file system of 1 MiB, filled up to its last page by a file beside the chain or log."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mounted.stderr.strip()}")

    @contextmanager
    def full() -> Iterator[None]:
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(1024 * 1024)):
                if shutil.disk_usage(place).free == 0:
                    break
        yield
        filler.unlink()

    yield Disk(place / "chain", full)
    subprocess.run(["umount", place], check=True)
