"""Checking signatures over threads: the verdicts are those of checking one by one, in the same order."""

from __future__ import annotations

import threading
from hashlib import sha256

import pytest

from wattquorum.foundation.identities import Signed, SigningKey, signed_bytes, verify_each
from wattquorum.node.verification import CHUNK_MAX, CHUNK_MIN, threads

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
