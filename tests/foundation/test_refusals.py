"""Refusals are data: a stable code, field, value and remedy, and one sentence for people."""

from __future__ import annotations

import copy
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.refusals import CODES, VALUE_CHARACTERS_MAX, Refused, sentence, shown


def test_a_refusal_tells_people_what_is_wrong_what_was_found_and_what_to_do() -> None:
    refusal = Refused("gate_closed", "the gate of 2016-06-14", "2016-06-13T10:00:01Z")
    assert str(refusal) == (
        "gate_closed: the gate of 2016-06-14 is closed (found: 2016-06-13T10:00:01Z). Trade before the day's gate."
    )


def test_the_place_that_refuses_may_know_a_better_remedy() -> None:
    refusal = Refused("out_of_range", "tolerance", 700_000, "Choose at most 500000.")
    assert (refusal.code, refusal.field, refusal.value) == ("out_of_range", "tolerance", "700000")
    assert str(refusal).endswith("(found: 700000). Choose at most 500000.")


def test_nothing_found_is_said_too() -> None:
    assert sentence("column_missing", "meter_id", "").startswith("meter_id is missing (found: nothing). ")


def test_a_code_that_is_not_listed_is_a_mistake_even_with_a_remedy() -> None:
    with pytest.raises(KeyError):
        Refused("no_such_code", "field", 1, "Do something.")


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_fragment_and_a_sentence(code: str) -> None:
    wrong, remedy = CODES[code]
    assert set(code) <= set(string.ascii_lowercase + "_")
    assert wrong
    assert not wrong.endswith(".")
    assert remedy[0].isupper()
    assert remedy.endswith(".")


def test_bytes_are_shown_in_hexadecimal() -> None:
    assert shown(b"\x00\xff") == shown(bytearray(b"\x00\xff")) == shown(memoryview(b"\x00\xff")) == "00ff"


@pytest.mark.parametrize(
    "hidden", ["\n", "\x1b[31m", "\x00", "\x7f", "\x85", "\u200b", "\u202e", "\u2028", "\ufeff", "\ud800", "\uffff"]
)
def test_controls_and_what_turns_or_hides_text_are_not_shown(hidden: str) -> None:
    assert shown(f"a{hidden[0]}b") == "a?b"


def test_other_scripts_are_shown_as_they_are() -> None:
    assert shown("张三 Müller ½") == "张三 Müller ½"


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300), st.integers()))
def test_what_is_shown_is_short_and_can_always_be_written(value: object) -> None:
    text = shown(value)
    assert len(text) <= VALUE_CHARACTERS_MAX
    assert text.encode("utf-8").decode("utf-8") == text
    assert len(text.splitlines()) <= 1


@given(st.text(max_size=VALUE_CHARACTERS_MAX + 50))
def test_long_values_are_cut_with_a_mark(value: str) -> None:
    text = shown(value)
    if len(value) <= VALUE_CHARACTERS_MAX:
        assert len(text) == len(value)
    else:
        assert text.endswith("...")
        assert text[:-3] == shown(value[: VALUE_CHARACTERS_MAX - 3])


def test_a_refusal_survives_a_copy_to_another_thread_or_process() -> None:
    refusal = Refused("overflow", "energy", 2**64, "Split it.")
    again = copy.copy(refusal)
    assert (again.code, again.field, again.value, again.remedy) == ("overflow", "energy", str(2**64), "Split it.")
