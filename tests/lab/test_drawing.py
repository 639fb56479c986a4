"""Pictures are SVG that asks for nothing, and scales keep the order of what they show."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.lab.drawing import Panel, Picture, even_scale, log_scale


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=20))
def test_scales_keep_the_order_and_hold_everything(values: list[float]) -> None:
    for scale in (log_scale(values), even_scale(0, 1e9, 1e8)):
        shares = [scale.share(value) for value in sorted(values)]
        assert shares == sorted(shares)
        assert all(0 <= share <= 1 for share in shares)


def test_a_picture_is_well_formed_and_asks_for_nothing() -> None:
    panel = Panel("<a> & b", even_scale(0, 10, 5), log_scale([1, 1_000]), "x")
    panel.line([(0, 1), (10, 1_000)], "c1", "a & b", dashed=True)
    panel.band([(0, 1)], [(0, 10)], "c1")
    panel.dots([(5, 30)], "c2", "dots", tips=["<tip>"], hollow=True)
    panel.crosses([(5, 300)], "bad", "crosses", tips=["&"])
    panel.rule(10, "rule")
    panel.says((5, 5), "word")
    svg = Picture("p", 'a "picture"', (panel, panel)).svg
    assert ET.fromstring(svg).tag.endswith("svg")
    assert re.findall(r"(?:href|src|url)[=(]", svg) == []
