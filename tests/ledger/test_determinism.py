"""Determinism: the same entries give the same blocks in any process, whatever Python's hashes do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIVE = """
from hashlib import sha256
from random import Random
from tests.ledger.random_market import RandomMarket

told = sha256()
for seed in ({seeds}):
    market = RandomMarket(Random(seed))
    market.live()
    for executed in market.world.executed:
        told.update(executed.data)
        told.update(repr(executed.facts).encode())
    told.update(market.world.ledger.state.root())
print(told.hexdigest())
"""


def lives(hash_seed: str, seeds: str = "1, 2, 3") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", LIVE.format(seeds=seeds)]
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)


def test_the_same_lives_give_the_same_chain_under_every_hash_seed() -> None:
    processes = [lives(seed) for seed in ("0", "1", "random")]
    other = lives("0", seeds="4, 5, 6")
    outputs = [process.communicate()[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len(outputs[0].strip()) == 64
    assert outputs[0] == outputs[1] == outputs[2]
    assert other.communicate()[0] != outputs[0]
