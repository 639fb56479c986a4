"""A configuration under which nobody could decide is refused."""

from __future__ import annotations

import pytest

from wattquorum.consensus.configuration import Configuration, Voter, alone, check
from wattquorum.foundation.codec import Decoder, changed, encode
from wattquorum.foundation.refusals import Refused

A, B, C = (bytes([letter]) * 20 for letter in b"abc")
PAIR = (Voter(A, 1), Voter(B, 2))


def refused(configuration: Configuration) -> str:
    with pytest.raises(Refused) as caught:
        check(configuration)
    assert caught.value.code == "configuration_invalid"
    return caught.value.field


def test_a_replica_alone_has_all_the_power() -> None:
    check(alone(A))
    assert alone(A).new == (Voter(A, 1),)


def test_a_joint_configuration_with_learners_is_admitted() -> None:
    check(Configuration(4, (Voter(A, 3), Voter(C, 0)), PAIR, (C,), 17, bytes(32)))


def test_an_empty_half_decides_nothing() -> None:
    assert refused(changed(alone(A), new=())) == "configuration.new"
    assert refused(changed(alone(A), old=())) == "configuration.old"


def test_a_half_without_power_decides_nothing() -> None:
    assert refused(changed(alone(A), new=(Voter(A, 0), Voter(B, 0)))) == "configuration.new"


def test_powers_that_add_up_beyond_64_bits_are_refused() -> None:
    assert refused(changed(alone(A), new=(Voter(A, 2**62), Voter(B, 2**62)))) == "configuration.new"


def test_a_replica_that_is_named_twice_is_refused() -> None:
    assert refused(changed(alone(A), new=(*PAIR, Voter(A, 3)))) == "configuration.new"
    assert refused(changed(alone(A), old=(*PAIR, Voter(B, 3)))) == "configuration.old"
    assert refused(changed(alone(A), learners=(C, C))) == "configuration.learners"
    assert refused(changed(alone(A), learners=(A,))) == "configuration.learners"


def test_a_basis_needs_its_digest_and_the_genesis_has_none() -> None:
    assert refused(changed(alone(A), basis_index=5)) == "configuration.basis_digest"
    assert refused(changed(alone(A), basis_digest=bytes(32))) == "configuration.basis_digest"


def test_a_configuration_travels_in_an_entry() -> None:
    joint = Configuration(4, PAIR, (Voter(A, 3),), (C,), 17, bytes(32))
    assert Decoder[Configuration](Configuration, "configuration").decode(encode(joint)) == joint
