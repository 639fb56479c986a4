"""Keeps the exact floors exact, over the syntax tree: whole numbers, one order, no mixed units.

What the replicated state is made from must come out the same to the last byte on every machine. So the floors below
admit no float and nothing that makes one, no iteration whose order depends on hashing, no `hash` or `id`, nothing
from the locale, and no sum, difference or comparison of quantities whose units differ. What a value is, `exact_kinds`
tells; of values that nothing tells of, nothing is said.

`python -m tests.lint_exact [FOLDER]` prints `path:line: what: why` for each finding and ends with 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.exact_kinds import UNKNOWN, Declared, Kinds, annotated, declarations, last_name

FLOORS: Final = ("foundation", "consensus", "market", "green", "standing", "ledger")
PACKAGE: Final = Path(__file__).resolve().parent.parent / "src" / "wattquorum"

FLOAT: Final = "a float rounds differently from what was meant; count in whole smallest units"
DIVISION: Final = "it makes a float; use //, or toward_zero and its like"
ORDER: Final = "a set has no order that every machine shares; sort it first"
ADDRESS: Final = "it differs from run to run; use a digest of the content"
LOCALE: Final = "it depends on the machine's settings"
CLOCK: Final = "these floors have no clock; time is an argument, in ms UTC"
CHANCE: Final = "these floors have no chance; what is drawn is an argument"
EFFECT: Final = "these floors decide and do nothing; effects belong to the floors above"
TABLES: Final = "these floors know no tables, databases or screens"
UNITS: Final = "quantities of different units; go through a named function such as cost(energy, price)"

REFUSED_NAMES: Final = {
    "float": FLOAT,
    "complex": FLOAT,
    "round": FLOAT,
    "Decimal": FLOAT,
    "hash": ADDRESS,
    "id": ADDRESS,
}
MODULES_REFUSED_FOR: Final = {
    FLOAT: "cmath decimal statistics",
    LOCALE: "gettext locale",
    CLOCK: "calendar datetime sched time zoneinfo",
    CHANCE: "random secrets uuid",
    EFFECT: "asyncio concurrent logging multiprocessing os queue select selectors signal socket ssl subprocess"
    " tempfile threading",
    TABLES: "plotly polars rich sqlalchemy sqlite3 typer",
}
REFUSED_MODULES: Final = {name: why for why, names in MODULES_REFUSED_FOR.items() for name in names.split()}
WHOLE_MATH: Final = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"}
NUMPY_FLOATS: Final = re.compile(
    r"(c?float|complex|c?double|c?longdouble|half|single|csingle|inexact|floating)\d*_?"
    r"|true_divide|divide|mean|average|nanmean|median|std|var|percentile|quantile|linspace|logspace|geomspace|interp"
    r"|sqrt|cbrt|exp|exp2|expm1|log|log2|log10|log1p|sin|cos|tan|reciprocal|nan|inf|pi|e|random|around|round|rint"
)
FLOAT_METHODS: Final = {"mean", "std", "var", "true_divide", "__truediv__", "truediv", "itruediv"}
NUMPY_DEFAULTS_TO_FLOAT: Final = {"zeros": 2, "ones": 2, "empty": 2}  # the argument that would be the dtype
FLOAT_DTYPE: Final = re.compile(r"[<>=|]?[fdgFDGc]\d*|(float|complex|double|half|single|longdouble)\d*")
FLOAT_FORMAT: Final = re.compile(r".*[eEfFgG%]")

KEYED: Final = {"sorted", "min", "max"}
ORDERING: Final = {
    *("list", "tuple", "iter", "next", "enumerate", "map", "filter", "zip", "reversed", "dict", "deque", "bytes"),
    *("bytearray", "str", "repr", "print", "array", "fromiter", "asarray", "chain", "islice", "accumulate"),
    *("join", "extend", "fromkeys", "from_iterable", "reduce", "starmap", "product", "groupby"),
}


@dataclass(frozen=True, order=True)
class Finding:
    """One place that an exact floor does not admit."""

    path: str
    line: int
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.why}"


class Reader(ast.NodeVisitor):
    """Reads one module and notes what the exact floors do not admit."""

    def __init__(self, path: str, known: Declared) -> None:
        self.path = path
        self.kinds = Kinds(known)
        self.findings: list[Finding] = []

    def note(self, node: ast.AST, what: str, why: str) -> None:
        self.findings.append(Finding(self.path, getattr(node, "lineno", 1), what, why))

    # Names, as they are bound -----------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        with self.kinds.function(node.args):
            self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        with self.kinds.class_body(node.body):
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Tuple | ast.List):
                self._ordered(node.value, "a set is unpacked")
            self.kinds.bind_value(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        told = annotated(node.annotation, self.kinds.known.aliases)
        self.kinds.bind(node.target, told if told != UNKNOWN else self.kinds.of(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self.kinds.bind(node.target, self.kinds.of(node.value))

    # Order ------------------------------------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> None:
        self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._loop(node)

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self._ordered(node.iter, "a loop over a set")
        self.kinds.bind_items(node.target, node.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        with self.kinds.scope():
            for generator in node.generators:
                self._ordered(generator.iter, "a comprehension over a set")
                self.kinds.bind_items(generator.target, generator.iter)
            self.generic_visit(node)

    def _ordered(self, node: ast.expr, what: str) -> None:
        if self.kinds.of(node).unordered:
            self.note(node, what, ORDER)

    def visit_Starred(self, node: ast.Starred) -> None:
        if isinstance(node.ctx, ast.Load):
            self._ordered(node.value, "a set is unpacked")
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._ordered(node.value, "yield from a set")
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self._ordered(node.value, "a set is written out")
        if isinstance(node.format_spec, ast.JoinedStr):
            for part in node.format_spec.values:
                if isinstance(part, ast.Constant):
                    self._format(node, str(part.value))
        self.generic_visit(node)

    def _format(self, node: ast.expr, specification: str) -> None:
        if FLOAT_FORMAT.fullmatch(specification):
            self.note(node, f"format {specification!r}", FLOAT)
        elif specification.endswith("n"):
            self.note(node, f"format {specification!r}", LOCALE)

    # Calls ------------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        for argument in node.args:
            if self.kinds.of(argument).unordered:
                if name in ORDERING:
                    self.note(node, f"{name}() of a set", ORDER)
                elif name in KEYED and "key" in keywords:
                    self.note(node, f"{name}() of a set with a key", "among equal keys the set's own order decides")
        if isinstance(node.func, ast.Attribute) and name == "pop" and self.kinds.of(node.func.value).unordered:
            self.note(node, "pop() of a set", "it takes an element that no rule chose")
        if isinstance(node.func, ast.Name) and name in {"min", "max"} and len(node.args) > 1:
            self._same_unit(node, node.args, f"{name}()")
        match node:
            case ast.Call(func=ast.Name(id="format"), args=[_, ast.Constant(value=specification)]):
                self._format(node, str(specification))
        if isinstance(node.func, ast.Attribute) and name in FLOAT_METHODS:
            self.note(node, f"{name}()", FLOAT)
        self._numpy(node, name, keywords)
        self.generic_visit(node)

    def _numpy(self, node: ast.Call, name: str, keywords: Mapping[str | None, ast.expr]) -> None:
        """Arrays of floats: by a dtype that is given as text, or by none where numpy's own choice is a float."""
        dtypes = [keywords["dtype"]] if "dtype" in keywords else []
        if name in {"astype", "dtype"}:
            dtypes += node.args[:1]
        for dtype in dtypes:
            if isinstance(dtype, ast.Constant) and FLOAT_DTYPE.fullmatch(str(dtype.value)):
                self.note(node, f"dtype {dtype.value!r}", FLOAT)
        of_numpy = isinstance(node.func, ast.Attribute) and last_name(node.func.value) in {"np", "numpy"}
        if of_numpy and not dtypes and len(node.args) < NUMPY_DEFAULTS_TO_FLOAT.get(name, 0):
            self.note(node, f"numpy.{name}() without a dtype", "numpy's own choice is float64; name np.int64")

    # Numbers ----------------------------------------------------------------------------------------------------------

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float | complex):
            self.note(node, f"the literal {node.value!r}", FLOAT)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in REFUSED_NAMES:
            self.note(node, f"the name {node.id}", REFUSED_NAMES[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = last_name(node.value)
        if owner in {"np", "numpy"}:
            refused = NUMPY_FLOATS.fullmatch(node.attr) is not None
        elif owner == "math":
            refused = node.attr not in WHOLE_MATH
        elif owner == "operator":
            refused = node.attr in FLOAT_METHODS
        else:
            refused = node.attr == "Decimal"
        if refused:
            self.note(node, f"{owner or '...'}.{node.attr}", FLOAT)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imported(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._imported(node, node.module or "")
        for alias in node.names:
            whole = node.module == "math" and alias.name not in WHOLE_MATH
            if whole or (node.module == "numpy" and NUMPY_FLOATS.fullmatch(alias.name)):
                self.note(node, f"{node.module}.{alias.name}", FLOAT)

    def _imported(self, node: ast.stmt, module: str) -> None:
        root = module.partition(".")[0]
        if root in REFUSED_MODULES:
            self.note(node, f"the module {root}", REFUSED_MODULES[root])

    def visit_BinOp(self, node: ast.BinOp) -> None:
        match node.op, node.right:
            case ast.Div(), _:
                self.note(node, "the division /", DIVISION)
            case ast.Pow(), ast.UnaryOp(op=ast.USub()):
                self.note(node, "a negative power", DIVISION)
            case ((ast.Add() | ast.Sub()), _):
                self._same_unit(node, [node.left, node.right], "+" if isinstance(node.op, ast.Add) else "-")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Div):
            self.note(node, "the division /=", DIVISION)
        if isinstance(node.op, ast.Add | ast.Sub):
            self._same_unit(node, [node.target, node.value], "+=" if isinstance(node.op, ast.Add) else "-=")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if not isinstance(operator, ast.In | ast.NotIn | ast.Is | ast.IsNot):
                self._same_unit(node, [left, right], "a comparison")
        self.generic_visit(node)

    def _same_unit(self, node: ast.AST, sides: Sequence[ast.expr], what: str) -> None:
        units = sorted({unit for side in sides if (unit := self.kinds.of(side).unit)})
        if len(units) > 1:
            self.note(node, f"{what} of {' and '.join(units)}", UNITS)


def findings(sources: Mapping[str, str]) -> list[Finding]:
    """What is wrong in modules that are given as path and text; they know of each other's declarations."""
    trees = {path: ast.parse(text, filename=path) for path, text in sources.items()}
    known = declarations(trees.values())
    found: set[Finding] = set()
    for path, tree in trees.items():
        reader = Reader(path, known)
        reader.visit(tree)
        found.update(reader.findings)
    return sorted(found)


def exact_modules(package: Path) -> Iterator[Path]:
    """Every module of the exact floors that there are."""
    for floor in FLOORS:
        yield from sorted((package / floor).rglob("*.py"))


def main(arguments: Sequence[str]) -> int:
    """Lints the package (or the one in the folder named) and says what it found."""
    package = Path(arguments[0]) if arguments else PACKAGE
    sources = {str(path): path.read_text(encoding="utf-8") for path in exact_modules(package)}
    if not sources:
        print(f"{package}: none of the exact floors is here")
        return 1
    found = findings(sources)
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
