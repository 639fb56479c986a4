"""The page on the interface: its example is run, and its paths are those that there are."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.api.served import served
from wattquorum.api.app import application
from wattquorum.foundation.identities import address_of
from wattquorum.node.node import Node

PAGE = (Path(__file__).parents[2] / "docs" / "interface.md").read_text(encoding="utf-8")


def test_its_example_does_what_it_says(tmp_path: Path, capsys: Any) -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    with served(tmp_path) as community:
        village = community.village
        known = {
            "nodes": community.apis,
            "chain": village.chain_id,
            "signed": community.call(village.deposit),
            "address": address_of(village.chain_id, village.founding.client_keys[0].public),
        }
        exec(compile(example[1], "docs/interface.md", "exec"), known)  # noqa: S102  # it is ours
    balance, height = capsys.readouterr().out.splitlines()
    assert balance.endswith(" 5")
    assert int(height.split()[0]) == cast(Any, known)["told"].height


def test_it_names_every_path_and_no_other() -> None:
    there = {
        re.sub(r"\{transaction\}", "{hash}", path)
        for path in application(cast(Node, SimpleNamespace())).openapi_schema.to_schema()["paths"]
    }
    table = PAGE[PAGE.index("## Paths") : PAGE.index("**What a read shows.**")]
    named = {re.sub(r"\?.*", "", path) for path in re.findall(r"[ `](/[a-z][^`\s]*)", table)}
    assert named == there
