"""Who has only headers knows which chain a committee agreed on, across changes of committees; and nobody fools it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.committee_world import CGPBFT, PBFT, CommitteeWorld
from wattquorum.consensus.bft.certificates import Seal
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Sealed, entry_digest, sealed_in
from wattquorum.ledger.blocks import Header, header_hash
from wattquorum.ledger.light import Checkpoint, LightClient, Step, Steps, read_checkpoint, written_checkpoint

DAY_MS = 86_400_000


def lived(consensus: int = CGPBFT) -> CommitteeWorld:
    world = CommitteeWorld(6, consensus=consensus)
    for _ in range(3):
        world.block()
        world.end_epoch()
    world.remove(world.order[1])
    for _ in range(2):
        world.end_epoch()
        world.block()
    return world


def headers(world: CommitteeWorld) -> list[Header]:
    return [executed.block.header for executed in world.executed]


def tip(world: CommitteeWorld) -> Sealed:
    certificate = world.certificate()
    assert certificate is not None
    return Sealed(certificate, entry_digest(world.entries[-1]))


def followed(world: CommitteeWorld, upto: int | None = None) -> LightClient:
    client = LightClient(world.genesis_bytes, verify_each)
    for header in headers(world)[:upto]:
        client.take(header)
    return client


@pytest.mark.parametrize("consensus", [PBFT, CGPBFT], ids=["pbft", "cgpbft"])
def test_every_header_but_the_last_is_proven_and_that_by_its_certificate(consensus: int) -> None:
    world = lived(consensus)
    client = followed(world)
    assert client.checkpoint.height == world.ledger.height - 1
    assert client.committees > 1
    client.prove(tip(world))
    assert client.checkpoint.height == world.ledger.height
    assert client.checkpoint.header == header_hash(headers(world)[-1]).hex()
    assert client.checkpoint.state == world.ledger.digest.hex()
    assert client.checkpoint.version == world.version


def test_it_goes_on_from_a_checkpoint_that_is_young_enough() -> None:
    world = lived()
    written = written_checkpoint(followed(world, 12).checkpoint)
    client = LightClient(world.genesis_bytes, verify_each)
    checkpoint = read_checkpoint(written)
    client.begin_at(checkpoint, checkpoint.time_ms + 30 * DAY_MS)
    for header in headers(world)[checkpoint.height :]:
        client.take(header)
    client.prove(tip(world))
    assert client.checkpoint == followed_whole(world)
    with pytest.raises(Refused) as refused:
        client.begin_at(checkpoint, checkpoint.time_ms + 31 * DAY_MS)
    assert refused.value.code == "checkpoint_old"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda it: {"time_ms": it.time_ms + 11 * 60_000}, "checkpoint_wrong"),
        (lambda it: {"keys": (it.keys[0], *it.keys[:-1])}, "checkpoint_wrong"),
        (lambda _: {"keys": ()}, "checkpoint_wrong"),
        (lambda it: {"keys": ("no hexadecimal digits", *it.keys[1:])}, "checkpoint_wrong"),
        (lambda _: {"header": "z" * 64}, "checkpoint_wrong"),
        (lambda _: {"format": 2}, "chain_wrong"),
        (lambda _: {"chain": "00" * 20}, "chain_wrong"),
    ],
    ids=["of a time to come", "a key twice", "no keys", "no key", "no hash", "another format", "another chain"],
)
def test_a_checkpoint_that_is_none_leaves_the_client_where_it_was(
    change: Callable[[Checkpoint], dict[str, object]], code: str
) -> None:
    world = lived()
    good, client = followed(world, 12).checkpoint, followed(world, 5)
    before = client.checkpoint
    with pytest.raises(Refused) as refused:
        client.begin_at(changed(good, **change(good)), good.time_ms)
    assert (refused.value.code, client.checkpoint, client.committee.keys) == (
        code,
        before,
        followed(world, 5).committee.keys,
    )


def test_what_is_retracted_is_taken_from_somebody_else() -> None:
    world = lived()
    client = followed(world, 5)
    client.retract()
    at = client.next
    client.take(changed(headers(world)[at - 1], state_digest=bytes(32)))
    assert client.next == at + 1
    client.retract()
    for header in headers(world)[at - 1 :]:
        client.take(header)
    assert client.checkpoint.height == len(headers(world)) - 1


def followed_whole(world: CommitteeWorld) -> object:
    client = followed(world)
    client.prove(tip(world))
    return client.checkpoint


def with_seals(header: Header, seals: tuple[Seal, ...]) -> Header:
    sealed = sealed_in(header.evidence)
    assert sealed is not None
    return changed(header, evidence=encode(Sealed(changed(sealed.certificate, seals=seals), sealed.entry)))


def seals_of(header: Header) -> tuple[Seal, ...]:
    sealed = sealed_in(header.evidence)
    assert sealed is not None
    return sealed.certificate.seals


LIES: dict[str, tuple[Callable[[Header], Header], str]] = {
    "too few": (lambda header: with_seals(header, seals_of(header)[:-1]), "signers_wrong"),
    "one twice": (lambda header: with_seals(header, (seals_of(header)[0], *seals_of(header)[:-1])), "signers_wrong"),
    "a stranger's place": (
        lambda header: with_seals(header, (*seals_of(header)[:-1], Seal(99, bytes(64)))),
        "signers_wrong",
    ),
    "forged": (
        lambda header: with_seals(header, (changed(seals_of(header)[0], signature=bytes(64)), *seals_of(header)[1:])),
        "seal_forged",
    ),
    "nobody": (lambda header: changed(header, evidence=b""), "evidence_wrong"),
    "another state before": (lambda header: changed(header, previous=bytes(32)), "header_gap"),
    "a gap": (lambda header: changed(header, height=header.height + 1), "header_gap"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_no_quorum_signed_is_not_believed(lie: str) -> None:
    world = lived()
    alter, code = LIES[lie]
    client = followed(world, 9)
    before = client.checkpoint
    with pytest.raises(Refused) as refused:
        client.take(alter(headers(world)[9]))
    assert refused.value.code == code
    assert client.checkpoint == before
    client.take(headers(world)[9])
    assert client.checkpoint.height == before.height + 1


def test_a_header_that_was_altered_is_found_by_the_next_ones_certificate() -> None:
    """Also where nothing but the committee that it names was changed: the old one never signed that."""
    world = lived()
    place = next(i for i, header in enumerate(headers(world)) if header.committee and i > 4)
    for field in ({"committee": b""}, {"state_digest": bytes(32)}, {"time_ms": 1}):
        client = followed(world, place)
        altered = changed(headers(world)[place], **field)
        client.take(altered)
        with pytest.raises(Refused) as refused:
            client.take(changed(headers(world)[place + 1], previous=header_hash(altered)))
        assert refused.value.code == "evidence_wrong"


def test_a_chain_of_raft_has_nothing_to_follow() -> None:
    world = CommitteeWorld(3, consensus=1, members=0)
    with pytest.raises(Refused) as refused:
        LightClient(world.genesis_bytes, verify_each)
    assert refused.value.code == "consensus_other"


# From step to step


def noted(world: CommitteeWorld) -> Steps:
    steps = Steps()
    for header in headers(world):
        steps.note(header)
    return steps


@pytest.mark.parametrize("consensus", [PBFT, CGPBFT], ids=["pbft", "cgpbft"])
def test_who_agrees_now_is_known_by_the_headers_that_name_a_committee_alone(consensus: int) -> None:
    world = lived(consensus)
    client, steps = LightClient(world.genesis_bytes, verify_each), list(noted(world).between(0, 1_000))
    for step in steps:
        client.step(step)
    assert client.committees == len(steps) + 1
    if not headers(world)[-1].committee:
        client.leap(headers(world)[-1], tip(world))
        assert client.checkpoint == followed_whole(world)
    led = LightClient(world.genesis_bytes, verify_each)
    noted(world).lead(led)
    assert (led.checkpoint.height, led.committee.members) == (world.ledger.height, tuple(world.order))


def test_steps_are_those_above_one_height_and_below_another_and_have_no_gap() -> None:
    world = lived()
    steps = noted(world)
    at = [step.header.height for step in steps.between(0, 1_000)]
    assert at == [header.height for header in headers(world) if header.committee and header is not headers(world)[-1]]
    assert [step.header.height for step in steps.between(at[0], at[-1])] == at[1:-1]
    steps.note(changed(headers(world)[-1], height=world.ledger.height + 2))
    assert steps.height == world.ledger.height


STEP_LIES: dict[str, tuple[Callable[[Step], Step], str]] = {
    "another state": (
        lambda step: changed(step, header=changed(step.header, state_digest=bytes(32))),
        "evidence_wrong",
    ),
    "no committee": (lambda step: changed(step, header=changed(step.header, committee=b"")), "evidence_wrong"),
    "nobody": (lambda step: changed(step, evidence=b""), "evidence_wrong"),
}


@pytest.mark.parametrize("lie", STEP_LIES)
def test_a_step_that_no_committee_certified_leads_nowhere(lie: str) -> None:
    world = lived()
    alter, code = STEP_LIES[lie]
    first, second, *_ = noted(world).between(0, 1_000)
    client = LightClient(world.genesis_bytes, verify_each)
    with pytest.raises(Refused) as refused:
        client.step(alter(first))
    assert refused.value.code == code
    client.step(first)
    before = client.checkpoint
    with pytest.raises(Refused, match="header_gap"):  # back again
        client.step(first)
    with pytest.raises(Refused, match=r"signers_wrong|seal_forged"):  # a later committee's, before it is known
        client.step(next(noted(world).between(second.header.height, 1_000)))
    assert client.checkpoint == before
    client.step(second)
