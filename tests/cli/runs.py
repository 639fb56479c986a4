"""The command line for tests: as a real process, and within this one where many refusals are tried."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from wattquorum.cli.app import main

TERMINAL = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"}


def wattquorum(*words: str | Path, folder: Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Runs the command in a folder; its exit status must be `check` unless that is None."""
    command = [sys.executable, "-m", "wattquorum", *map(str, words)]
    environment = {**os.environ, **TERMINAL}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert check is None or done.returncode == check, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def printed(*words: str | Path, folder: Path, check: int | None = None) -> str:
    """What the command prints in this process; it must be done, unless `check` is its exit status, and say nothing on
    its error stream."""
    errors, output = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, TERMINAL),
        mock.patch.object(sys, "argv", ["wattquorum", *map(str, words)]),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(output),
        pytest.raises(SystemExit) as left,
    ):
        main()
    assert (left.value.code or None) == check, (left.value.code, output.getvalue(), errors.getvalue())
    assert errors.getvalue().strip() == ""
    return output.getvalue()


def said(*words: str, folder: Path, check: int) -> str:
    """What the command says on its error stream in this process; its exit status must be `check`."""
    errors, output = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", ["wattquorum", *words]),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(output),
        pytest.raises(SystemExit) as left,
    ):
        main()
    assert left.value.code == check, (left.value.code, output.getvalue(), errors.getvalue())
    assert output.getvalue().strip() == ""
    return errors.getvalue().strip()


def refused(*words: str, folder: Path) -> str:
    """The code with which the command is refused in this process."""
    return refusal_of(said(*words, folder=folder, check=2))


def refusal_of(errors: str) -> str:
    """The code of what must be one refusal: a line that begins with it and ends with a sentence, the remedy."""
    (line,) = errors.strip().splitlines()
    found = re.fullmatch(r"refused: (?:(\w+): )?.+ \(found: .+\)\. [A-Z].+\.", line)
    assert found, line
    return found[1]
