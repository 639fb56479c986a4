"""The lint of the exact floors: each thing it forbids is caught, and what only looks like one is let through."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.lint_exact import FLOORS, exact_modules, findings, main

QUANTITIES = """
    from wattquorum.foundation.quantities import Energy, Millis, Money, Power, Ppm, Price, cost

    def cost(energy: Energy, price: Price) -> Money: ...
    def energy_of(power: Power, duration: Millis) -> Energy: ...
"""


def found(source: str, **others: str) -> list[str]:
    """What the lint says of one module (beside others), without path and reason."""
    sources = {"module.py": dedent(source)} | {f"{name}.py": dedent(text) for name, text in others.items()}
    return [finding.what for finding in findings(sources) if finding.path == "module.py"]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("share = 0.5", "the literal 0.5"),
        ("share = -1e6", "the literal 1000000.0"),
        ("phase = 2j", "the literal 2j"),
        ("half = total / 2", "the division /"),
        ("total /= 2", "the division /="),
        ("tenth = 10 ** -1", "a negative power"),
        ("value = float(text)", "the name float"),
        ("def mean(value: float) -> int: ...", "the name float"),
        ("value = round(total)", "the name round"),
        ("best = max(values, key=round)", "the name round"),
        ("from decimal import Decimal", "the module decimal"),
        ("import decimal\nvalue = decimal.Decimal(3)", "decimal.Decimal"),
        ("import statistics", "the module statistics"),
        ("import math\nroot = math.sqrt(9)", "math.sqrt"),
        ("from math import floor", "math.floor"),
        ("text = f'{total:.2f}'", "format '.2f'"),
        ("text = f'{share:.1%}'", "format '.1%'"),
        ("text = format(total, ',.3f')", "format ',.3f'"),
        ("from operator import truediv\nimport operator\nhalf = operator.truediv(1, 2)", "operator.truediv"),
        ("import numpy as np\nhalf = np.true_divide(vector, 2)", "np.true_divide"),
        ("import numpy as np\nvalue = np.float64(3)", "np.float64"),
        ("import numpy as np\nvalue = np.random.default_rng(3)", "np.random"),
        ("from numpy import float32", "numpy.float32"),
        ("import numpy as np\nvector = np.zeros(96)", "numpy.zeros() without a dtype"),
        ("import numpy as np\nvector = np.asarray(rows, dtype='f8')", "dtype 'f8'"),
        ("vector = rows.astype('float32')", "dtype 'float32'"),
        ("level = rows.mean()", "mean()"),
    ],
)
def test_floats_and_what_makes_them_are_refused(source: str, what: str) -> None:
    assert what in found(source)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("key = hash(address)", "the name hash"),
        ("order = sorted(rows, key=id)", "the name id"),
        ("import locale", "the module locale"),
        ("import time", "the module time"),
        ("from os import path", "the module os"),
        ("def f():\n    import random", "the module random"),
        ("import concurrent.futures", "the module concurrent"),
        ("text = f'{total:n}'", "format 'n'"),
    ],
)
def test_what_differs_between_machines_is_refused(source: str, what: str) -> None:
    assert what in found(source)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("for x in {1, 2}: ...", "a loop over a set"),
        ("for x in set(rows): ...", "a loop over a set"),
        ("names = frozenset(rows)\nfor x in names: ...", "a loop over a set"),
        ("names = {x for x in rows}\nfor x in names | others: ...", "a loop over a set"),
        ("def f(names: set[bytes]):\n    for x in names: ...", "a loop over a set"),
        ("def f(names: frozenset[bytes] | None):\n    for x in names or (): ...", "a loop over a set"),
        ("def f() -> set[bytes]: ...\nfor x in f(): ...", "a loop over a set"),
        ("for x in before.keys() - after.keys(): ...", "a loop over a set"),
        ("for x in set(rows).union(others): ...", "a loop over a set"),
        ("class A:\n    names: set[int]\n    def f(self):\n        for x in self.names: ...", "a loop over a set"),
        ("class A:\n    def f(self):\n        self.n = set()\n        for x in self.n: ...", "a loop over a set"),
        ("class A:\n    names: frozenset[int]\ndef f(a):\n    for x in a.names: ...", "a loop over a set"),
        ("def f(by: dict[int, set[int]]):\n    for x in by[3]: ...", "a loop over a set"),
        ("def f(by: dict[int, set[int]]):\n    for k, v in by.items():\n        list(v)", "list() of a set"),
        ("def f(by: dict[int, set[int]]):\n    [x for v in by.values() for x in v]", "a comprehension over a set"),
        ("rows = [x for x in {1, 2}]", "a comprehension over a set"),
        ("rows = {x: 1 for x in {1, 2}}", "a comprehension over a set"),
        ("rows = list({1, 2})", "list() of a set"),
        ("rows = tuple(set(rows))", "tuple() of a set"),
        ("rows = (*{1, 2},)", "a set is unpacked"),
        ("one, two = {1, 2}", "a set is unpacked"),
        ("text = b''.join({a, b})", "join() of a set"),
        ("text = str({a, b})", "str() of a set"),
        ("text = f'{ {a, b} }'", "a set is written out"),
        ("rows.extend({a, b})", "extend() of a set"),
        ("table = dict.fromkeys({a, b})", "fromkeys() of a set"),
        ("first = next(iter({a, b}))", "iter() of a set"),
        ("for i, x in enumerate({a, b}): ...", "enumerate() of a set"),
        ("rows = sorted({a, b}, key=weight)", "sorted() of a set with a key"),
        ("most = max({a, b}, key=weight)", "max() of a set with a key"),
        ("names = {a, b}\nany_one = names.pop()", "pop() of a set"),
        ("def f():\n    yield from {a, b}", "yield from a set"),
    ],
)
def test_the_order_of_a_set_is_refused(source: str, what: str) -> None:
    assert what in found(source)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("energy_wh + energy_kwh", "+ of Wh and kWh"),
        ("limit_w - energy_wh", "- of W and Wh"),
        ("wait_ms > wait_s", "a comparison of ms and s"),
        ("latency_ms_max == share_ppm", "a comparison of ms and ppm"),
        ("min(energy_wh, limit_kw)", "min() of Wh and kW"),
        ("cost(a, b) + a", "+ of Wh and money"),
        ("c < cost(a, b)", "a comparison of money and money per kWh"),
        ("-a + abs(b)", "+ of Wh and money per kWh"),
        ("(a + a) - Money(3)", "- of Wh and money"),
        ("2 * a - b", "- of Wh and money per kWh"),
        ("sum(many) + b", "+ of Wh and money per kWh"),
        ("many[3] + b", "+ of Wh and money per kWh"),
        ("by[k] + a", "+ of Wh and money"),
        ("by.get(k, 0) + a", "+ of Wh and money"),
        ("[x + y for x, y in zip(many, by.values())]", "+ of Wh and money"),
        ("[x + b for i, x in enumerate(many)]", "+ of Wh and money per kWh"),
        ("terms.agreed + a", "+ of Wh and money per kWh"),
        ("terms.agreed + CEILING", "+ of money and money per kWh"),
    ],
)
def test_units_are_not_mixed(body: str, what: str) -> None:
    source = f"""
        CEILING: Final = Money(10)
        class Terms:
            agreed: Price
        def f(a: Energy, b: Price, c: Price, many: Sequence[Energy], by: dict[bytes, Money], terms: Terms, k):
            return {body}
    """
    assert found(source, quantities=QUANTITIES) == [what]


def test_what_a_name_holds_is_followed_through_assignments() -> None:
    source = """
        def f(energy: Energy, price: Price):
            due = cost(energy, price)
            rest: Energy = energy
            due, again = due, rest
            again += due
    """
    assert found(source, quantities=QUANTITIES) == ["+= of Wh and money"]


@pytest.mark.parametrize(
    "source",
    [
        "half = total // 2",
        "quotient, rest = divmod(total, 3)",
        "root = math.isqrt(total)",
        "square = base ** 2",
        "import numpy as np\nvector = np.zeros(96, dtype=np.int64)\nother = np.ones(96, np.int64)",
        "for x in sorted({a, b}): ...",
        "if x in {a, b} and len({a, b}) == 2: ...",
        "least, most, all_of = min({a, b}), max({a, b}), sum({a, b})",
        "names = {a, b}\nnames = sorted(names)\nfor x in names: ...",
        "for x in {a: 1, b: 2}: ...",
        "def f(names: tuple[bytes, ...], by: dict[bytes, int]):\n    for x in [*names, *by]: ...",
        "class A:\n    names: set[int]\nclass B:\n    names: list[int]\ndef f(b):\n    for x in b.names: ...",
        "text = f'{total:,} {total:>12} {address:x}'",
        "class A:\n    id: bytes\n    hash: bytes\ndef f(a):\n    return a.id + a.hash",
        "ballot.round(3)",
        "energy_wh + delivered_wh > 0",
        "ratio = price_per_kwh + energy_wh",
        "total_ms = 3_600_000 * hours + start_ms",
        "def f(energy: Energy, price: Price):\n    return energy * price > 3 and cost(energy, price) > 0",
        "class A:\n    amount: Energy\nclass B:\n    amount: Money\ndef f(a, price):\n    return a.amount + price",
    ],
)
def test_what_is_exact_passes(source: str) -> None:
    assert found(source, quantities=QUANTITIES) == []


def test_a_finding_names_its_place_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    (ledger / "fees.py").write_text("FEE = 3\nhalf = FEE / 2\n")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "report.py").write_text("half = 0.5\n")
    assert main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert told == f"{ledger / 'fees.py'}:2: the division /: it makes a float; use //, or toward_zero and its like\n"


def test_clean_floors_end_with_zero_and_missing_ones_do_not(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "fees.py").write_text("FEE = 3\n")
    assert main([str(tmp_path)]) == 0


def test_the_lint_reads_every_module_of_the_exact_floors() -> None:
    package = Path(__file__).parent.parent / "src" / "wattquorum"
    read = {path.relative_to(package).as_posix() for path in exact_modules(package)}
    assert {"foundation/quantities.py", "foundation/codec.py"} <= read
    assert {path.partition("/")[0] for path in read} == {
        floor for floor in FLOORS if (package / floor / "__init__.py").exists()
    }
