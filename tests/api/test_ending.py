"""How a service ends that meets what does not end: in processes of their own, since some are killed by it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattquorum.api import ending
from wattquorum.node import processes

BEGINNING = """
import asyncio, os, signal, sys, threading, time
from wattquorum.api import ending
from wattquorum.api.ending import Step, end, watch_stacks

def say(event, **circumstances):
    print(event, circumstances, flush=True)

async def quick():
    say("quick")

async def never_over():
    await asyncio.get_running_loop().create_future()

async def faulty():
    raise OSError("a fault")

async def held_up():
    threading.Event().wait()

def run(main):
    if sys.argv[1] == "uvloop":
        import uvloop
        uvloop.run(main)
    else:
        asyncio.run(main)
"""


def script(folder: Path, loop: str, rest: str) -> list[str]:
    path = folder / "ends.py"
    path.write_text(BEGINNING + rest, encoding="utf-8")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    return [sys.executable, str(path), loop]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_step_that_is_not_over_in_time_is_told_and_the_others_are_taken(tmp_path: Path, loop: str) -> None:
    rest = """
steps = [Step("one", never_over, 0.1), Step("two", faulty, 5), Step("three", quick, 5)]
try:
    run(end(steps, say))
except OSError as fault:
    say(str(fault))
"""
    ended = subprocess.run(script(tmp_path, loop, rest), capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "not_ended {'step': 'one', 'seconds': 0.1}\nquick {}\na fault {}\n"
    assert "Stack for <Task" in ended.stderr


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_process_whose_loop_is_held_up_shows_where_and_ends(tmp_path: Path, loop: str) -> None:
    rest = """
ending.PROCESS_S = 1
run(end([Step("one", held_up, 0.1), Step("two", quick, 5)], say))
"""
    ended = subprocess.run(script(tmp_path, loop, rest), capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == -signal.SIGALRM
    assert "in held_up" in ended.stderr
    assert ended.stdout == ""


def test_a_process_that_a_thread_holds_up_at_its_very_end_ends_too(tmp_path: Path) -> None:
    rest = """
ending.PROCESS_S = 1
threading.Thread(target=threading.Event().wait, name="disk").start()
run(end([Step("one", quick, 5)], say))
"""
    ended = subprocess.run(script(tmp_path, "asyncio", rest), capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == -signal.SIGALRM
    assert ended.stdout == "quick {}\n"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_shows_where_it_stands_when_it_is_asked_and_goes_on(tmp_path: Path, loop: str) -> None:
    rest = """
async def main():
    watch_stacks(asyncio.get_running_loop())
    waits = asyncio.ensure_future(never_over())
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    waits.cancel()
    say("went on")

run(main())
"""
    process = subprocess.Popen(
        script(tmp_path, loop, rest), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready {}\n"
        process.send_signal(signal.SIGUSR1)
        told, until = "", time.monotonic() + 20
        while "in never_over" not in told.rpartition("Stack for <Task")[2] and time.monotonic() < until:
            told += process.stderr.readline()
        assert "most recent call first" in told  # the threads
        said, _ = process.communicate("\n", timeout=20)
        assert (said, process.returncode) == ("went on {}\n", 0)
    finally:
        process.kill()
        process.wait()


def test_who_ends_nodes_waits_until_a_process_has_ended_itself() -> None:
    assert processes.STOP_S > ending.PROCESS_S
