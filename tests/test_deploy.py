"""The unit and the image: what can be held to the code without an init system and without a container engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from wattquorum.cli import app as commands
from wattquorum.cli.nodes import node_commands

ROOT = Path(__file__).parents[1]
DOCKERFILE, UNIT = ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "wattquorum-node@.service"
KNOWN = [
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "ENV",
    "USER",
    "VOLUME",
    "EXPOSE",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
]


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def of(name: str) -> list[str]:
    return [rest for each, rest in instructions() if each == name]


def test_the_dockerfile_has_two_stages_and_ends_without_root() -> None:
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM"
    assert set(names) <= set(KNOWN)
    assert len(of("FROM")) == 2
    last = names[len(names) - names[::-1].index("FROM") :]
    assert {"USER", "HEALTHCHECK", "ENTRYPOINT", "CMD", "STOPSIGNAL"} <= set(last)
    assert int(of("USER")[0].partition(":")[0]) > 0
    for pip in re.findall(r"pip install [^&]+", " ".join(of("RUN"))):
        assert "--require-hashes" in pip or "--no-index" in pip, pip


def test_what_the_dockerfile_copies_is_there_and_all_that_the_build_needs() -> None:
    copied = [word for rest in of("COPY") if not rest.startswith("--from") for word in rest.split()[:-1]]
    assert all((ROOT / word).exists() for word in copied), copied
    described = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for needed in re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', described, re.MULTILINE):
        assert needed in copied


def test_the_shell_of_every_step_reads_as_it_is_meant() -> None:
    for step in of("RUN"):
        subprocess.run(["sh", "-n", "-c", step], check=True)


def test_what_the_image_runs_is_a_command_that_exists() -> None:
    assert json.loads(of("ENTRYPOINT")[0]) == ["wattquorum"]
    words = json.loads(of("CMD")[0])
    assert words[0] in commands.COMMANDS
    assert words[1] in [command.name for command in node_commands.registered_commands]
    assert words[2:] == ["--config", "/var/lib/wattquorum/node.toml"]


@pytest.mark.parametrize("status", [200, 503])
def test_the_image_is_healthy_while_its_interface_answers(status: int) -> None:
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
        words = [word.replace(":8400", f":{server.server_port}") for word in words]
        done = subprocess.run(words, capture_output=True, timeout=30, check=False)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode == 0) == (status == 200)
    assert asked == ["/health/live"]


def part(*group: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What the script prints of the lock."""
    words = [sys.executable, str(ROOT / "scripts" / "part_of_lock.py"), str(ROOT / "requirements.lock"), *group]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=check)


def test_the_lock_is_divided_by_who_needs_what() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    described = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)\]", described, re.DOTALL | re.MULTILINE)
    assert dependencies
    run, build = part().stdout, part("build").stdout
    needed = re.findall(r'"([a-z0-9-]+)>=', dependencies[1])
    for name in [*needed, "cffi", "uvloop"]:
        pins = re.findall(rf"^{name}==.+$", lock, re.MULTILINE)  # several where they differ by Python
        assert pins
        assert re.findall(rf"^{name}==.+$", run, re.MULTILINE) == pins
    assert re.findall(r"^hatchling==", build, re.MULTILINE)
    for text in (run, build):
        assert not re.search(r"^(pytest|mypy|hypothesis)==", text, re.MULTILINE)
        lines = text.splitlines()
        assert all(line in lock for line in lines)
        assert all(below.startswith("    --hash=") for line, below in pairwise(lines) if "==" in line)
    assert part("nothing", check=False).returncode == 1


def test_the_unit_is_valid_and_starts_nothing_again_that_must_be_looked_at(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    prevented = re.search(r"^RestartPreventExitStatus=(.+)$", text, re.MULTILINE)
    assert prevented
    assert prevented[1].split() == [str(commands.WRONG), str(commands.REFUSED)]
    assert {"disk_full", "address_in_use"} <= set(commands.DISK_CODES)  # which may be better the next time
    started = re.search(r"^ExecStart=/opt/wattquorum/bin/wattquorum (\S+) (\S+) --config \S+$", text, re.MULTILINE)
    assert started
    assert started[2] in [command.name for command in node_commands.registered_commands]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    here = tmp_path / "wattquorum-node@.service"
    here.write_text(text.replace("/opt/wattquorum/bin/wattquorum", "/bin/true"), encoding="utf-8")
    words = ["systemd-analyze", "verify", str(tmp_path / "wattquorum-node@hydro.service")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
