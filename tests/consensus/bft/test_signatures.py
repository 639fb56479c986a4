"""Four engines with real keys agree, and what they agree on is signed by Ed25519."""

from __future__ import annotations

from collections import deque

from tests.consensus.bft.world import CHAIN, Payload, address, everybody, outline
from wattquorum.consensus.bft.certificates import is_valid
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.statements import Seals
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import SigningKey, verify_each
from wattquorum.foundation.quantities import Millis

NOW = Millis(10_000)


def test_four_engines_agree_with_real_signatures() -> None:
    keys = {address(name): SigningKey(bytes([name + 1]) * 32) for name in range(4)}
    engines = {
        me: Bft(
            me, CHAIN, everybody(4), Means(key.sign, verify_each, lambda each: keys[each].public, outline), [], 1, NOW
        )
        for me, key in keys.items()
    }
    frames: deque[tuple[bytes, bytes, bytes]] = deque()

    def drain(me: bytes) -> None:
        output = engines[me].drain()
        frames.extend((me, each.to, each.data) for each in output.messages)
        for committed in output.committed:
            engines[me].applied(committed.index, b"", NOW)
        for judged in output.judge:
            engines[me].judged(judged.digest, True, NOW)
        if output.committed or output.judge:
            drain(me)

    for height in range(1, 4):
        payload = encode(Payload(10_000 + height, True, True, (height,)))
        engines[address(0)].propose((payload,), NOW)
        drain(address(0))
        while frames:
            sender, to, frame = frames.popleft()
            engines[to].receive(sender, frame, NOW)
            drain(to)
        assert {engine.height for engine in engines.values()} == {height}
    chained = engines[address(3)].block(3)
    assert chained is not None
    proof, committee = chained.commit_certificate, engines[address(3)].committee_at(3)
    seals = Seals(CHAIN, keys[address(3)].sign, verify_each)
    assert is_valid(proof, committee, seals)
    forged = changed(proof.seals[0], signature=proof.seals[1].signature)
    assert not is_valid(changed(proof, seals=(forged, *proof.seals[1:])), committee, seals)
