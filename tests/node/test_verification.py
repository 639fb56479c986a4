"""Checking signatures over threads and processes: the verdicts are those of checking one by one, in the same order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from wattquorum.foundation.identities import Signed, SigningKey, signed_bytes, verify_each
from wattquorum.node import verification
from wattquorum.node.checker import question, serve
from wattquorum.node.verification import CHUNK_MAX, CHUNK_MIN, MANY, CheckerEnded, processes, threads

KEYS = [SigningKey(sha256(bytes([i])).digest()) for i in range(5)]


def signed(number: int) -> Signed:
    """A signature; every seventh belongs to another message, every eleventh to another key."""
    key, message = KEYS[number % 5], number.to_bytes(4, "big")
    signature = key.sign("transaction", message if number % 7 else b"another")
    owner = key if number % 11 else KEYS[(number + 1) % 5]
    return Signed(owner.public, signed_bytes("transaction", message), signature)


@pytest.mark.parametrize("workers", [None, 1, 2, 3])
@pytest.mark.parametrize("number", [0, 1, CHUNK_MIN, CHUNK_MIN + 1, 3 * CHUNK_MIN + 5, 4 * CHUNK_MAX + 3])
def test_threads_find_what_checking_one_by_one_finds(number: int, workers: int | None) -> None:
    checks = [signed(i) for i in range(number)]
    expected = [bool(i % 7) and bool(i % 11) for i in range(number)]
    with threads(workers) as verify:
        assert list(verify(checks)) == verify_each(checks) == expected


def test_a_verifier_can_be_used_by_several_threads_at_once() -> None:
    batches = [[signed(i) for i in range(first, first + 50)] for first in range(0, 200, 50)]
    found: dict[int, list[bool]] = {}
    with threads(2) as verify:
        users = [
            threading.Thread(target=lambda i=i, batch=batch: found.update({i: list(verify(batch))}))
            for i, batch in enumerate(batches)
        ]
        for user in users:
            user.start()
        for user in users:
            user.join()
    assert [found[i] for i in range(len(batches))] == [verify_each(batch) for batch in batches]


def test_the_threads_end_with_the_context() -> None:
    before = threading.active_count()
    with threads(3) as verify:
        verify([signed(i) for i in range(200)])
        assert threading.active_count() > before
    assert threading.active_count() == before


MIXED = [signed(i) for i in range(6 * MANY + 5)]


def children() -> set[int]:
    """The processes that this one has started and that have not been waited for."""
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return {int(child) for child in listed.split()}


def eventually(claim: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether a claim comes true in time."""
    until = time.monotonic() + seconds
    while not claim() and time.monotonic() < until:
        time.sleep(0.01)
    return claim()


@pytest.mark.parametrize("workers", [None, 0, 1, 2, 3])
def test_processes_find_what_checking_one_by_one_finds(workers: int | None) -> None:
    chance = random.Random(1)
    with processes(workers) as verify:
        asked = []
        for number in (0, 1, MANY - 1, MANY, MANY + 1, 5 * MANY, 5 * MANY + 7, 3):
            checks = chance.choices(MIXED, k=number)
            asked.append((checks, verify(checks)))
        for checks, verdicts in chance.sample(asked, len(asked)):  # taken in another order than asked
            assert list(verdicts) == verify_each(checks)


def test_a_process_is_not_asked_for_more_than_it_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "UNANSWERED_MAX", 2 * MANY)
    with processes(1) as verify:
        verify(MIXED)
        one, other = verify(MIXED), verify(MIXED[::-1])
        assert list(other) == verify_each(MIXED[::-1])
        assert list(one) == verify_each(MIXED)


def test_processes_can_be_used_by_several_threads_at_once() -> None:
    batches = [MIXED[first:] + MIXED[:first] for first in range(8)]
    found: dict[int, list[bool]] = {}

    def check(place: int, batch: list[Signed]) -> None:
        found[place] = list(verify(batch))

    with processes(2) as verify:
        users = [threading.Thread(target=check, args=each) for each in enumerate(batches)]
        for user in users:
            user.start()
        for user in users:
            user.join()
    assert [found[i] for i in range(len(batches))] == [verify_each(batch) for batch in batches]


def test_few_checks_start_no_process() -> None:
    before = children()
    with processes(2) as verify:
        assert list(verify(MIXED[: MANY - 1])) == verify_each(MIXED[: MANY - 1])
        assert children() == before


def test_no_process_is_left_when_the_context_ends_with_answers_not_taken() -> None:
    before = children()
    with processes(2) as verify:
        verify(MIXED)
        assert len(children() - before) == 2
        verify(MIXED)
    assert children() == before


def test_a_process_that_ended_is_reported_and_not_waited_for() -> None:
    before = children()
    with processes(1) as verify:
        verify(MIXED)
        (checker,) = children() - before
        os.kill(checker, signal.SIGSTOP)  # so that it has not answered yet
        late = verify(MIXED)
        os.kill(checker, signal.SIGKILL)
        with pytest.raises(CheckerEnded, match="status -9"):
            list(late)
        with pytest.raises(CheckerEnded, match="status -9"):  # and what is asked now is not asked in vain
            verify(MIXED)
        assert list(verify(MIXED[:3])) == verify_each(MIXED[:3])
    assert children() == before


USER = """
import os, sys, time
from tests.node.test_verification import MIXED, children
from wattquorum.node.verification import processes
before = children()
with processes(2) as verify:
    verify(MIXED)
    assert list(verify(MIXED))
    try:
        print(*(children() - before), flush=True)  # from here on the signal may come
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_who_asks_however_it_ends(how: signal.Signals) -> None:
    command = [sys.executable, "-c", USER]
    out = subprocess.PIPE
    with subprocess.Popen(command, text=True, process_group=0, stdout=out, stderr=out) as user:
        assert user.stdout is not None
        started = [int(word) for word in user.stdout.readline().split()]
        assert len(started) == 2
        os.killpg(user.pid, how)  # as a terminal's Ctrl-C does
        told, errors = user.communicate(timeout=20)
    assert (told, errors) == ("interrupted\n" if how is signal.SIGINT else "", "")
    assert eventually(lambda: not any(alive(checker) for checker in started))


def alive(process: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_checker_answers_each_question_with_a_byte_for_each_check() -> None:
    told = BytesIO()
    serve(BytesIO(question(MIXED[:40]) + question([]) + question(MIXED[40:50])), told)
    assert told.getvalue() == bytes(verify_each(MIXED[:50]))


@pytest.mark.parametrize("left", [0, 3, 4, 20])
def test_a_checker_ends_with_its_input_even_in_the_middle_of_a_question(left: int) -> None:
    told = BytesIO()
    serve(BytesIO(question(MIXED[:2]) + question(MIXED[2:5])[:left]), told)
    assert told.getvalue() == bytes(verify_each(MIXED[:2]))
