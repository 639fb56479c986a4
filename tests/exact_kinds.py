"""What the source of the exact floors tells of its values: the units of numbers, and which collections are sets.

It stands apart from the rules that `lint_exact` keeps because it only knows and never judges. Units are told by
annotation (`Energy`), by the functions, fields and constants that are declared anywhere on these floors, and by name
(`_kwh`); where nothing tells a unit, or two declarations disagree, nothing is known. A name whose kind changes along
the way is taken as it was last assigned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

UNIT_OF_TYPE: Final = {
    "Energy": "Wh",
    "Power": "W",
    "Money": "money",
    "Price": "money per kWh",
    "Points": "points",
    "Ppm": "ppm",
    "Millis": "ms",
    "Carbon": "g",
}
UNIT_OF_WORD: Final = {
    "wh": "Wh",
    "kwh": "kWh",
    "mwh": "MWh",
    "w": "W",
    "kw": "kW",
    "mw": "MW",
    "ms": "ms",
    "s": "s",
    "seconds": "s",
    "ppm": "ppm",
    "g": "g",
    "kg": "kg",
    "points": "points",
    "energy": "Wh",
    "price": "money per kWh",
    "money": "money",
}
BOUNDS: Final = ("_min", "_max", "_limit", "_total")

SET_TYPES: Final = {"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"}
SEQUENCE_TYPES: Final = {"list", "tuple", "Sequence", "Iterable", "Iterator", "Collection", "List", "Tuple", "deque"}
MAPPING_TYPES: Final = {"dict", "Mapping", "MutableMapping", "Dict", "defaultdict", "OrderedDict"}
SET_METHODS: Final = {"union", "intersection", "difference", "symmetric_difference"}


@dataclass(frozen=True)
class Kind:
    """What is known of a value: the unit of a number, whether it is a set, and the kinds inside a collection."""

    unit: str = ""
    unordered: bool = False
    key: Kind | None = None  # of a mapping
    item: Kind | None = None


UNKNOWN: Final = Kind()
A_SET: Final = Kind(unordered=True)


@dataclass
class Declared:
    """What the floors declare by name. A name that is declared in two ways tells nothing."""

    fields: dict[str, Kind] = field(default_factory=dict)
    returns: dict[str, Kind] = field(default_factory=dict)
    constants: dict[str, Kind] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)


def last_name(node: ast.expr | None) -> str:
    """`c` of `a.b.c`, `a` of `a`, otherwise nothing."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def unit_of_name(name: str) -> str:
    """The unit that a name's last word tells (`latency_ms_max`, `ENERGY_KWH`); ratios (`wh_per_kwh`) tell none."""
    name = name.lower()
    for bound in BOUNDS:
        name = name.removesuffix(bound)
    if "_per_" in name or (len(name) <= 2 and name != "ms"):
        return ""
    return UNIT_OF_WORD.get(name.rpartition("_")[2], "")


def annotated(node: ast.expr | None, aliases: Mapping[str, ast.expr]) -> Kind:
    """The kind that an annotation names."""
    match node:
        case ast.Constant(value=str(text)):
            return annotated(ast.parse(text, mode="eval").body, aliases)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = [side for side in (left, right) if not (isinstance(side, ast.Constant) and side.value is None)]
            kinds = {annotated(side, aliases) for side in sides}
            return kinds.pop() if len(kinds) == 1 else UNKNOWN
        case ast.Subscript(value=outer, slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(last_name(outer), [annotated(part, aliases) for part in parts], parts)
        case ast.Name() | ast.Attribute():
            name = last_name(node)
            if name in aliases:
                inside = {known: kind for known, kind in aliases.items() if known != name}
                return annotated(aliases[name], inside)
            return Kind(UNIT_OF_TYPE.get(name, ""), unordered=name in SET_TYPES)
    return UNKNOWN


def _generic(outer: str, kinds: list[Kind], parts: list[ast.expr]) -> Kind:
    if outer in {"Final", "ClassVar", "Annotated", "Optional"}:
        return kinds[0]
    if outer in SET_TYPES:
        return Kind(unordered=True, item=kinds[0])
    if outer in MAPPING_TYPES and len(kinds) == 2:
        return Kind(key=kinds[0], item=kinds[1])
    if outer in SEQUENCE_TYPES:
        kinds = [kind for kind, part in zip(kinds, parts, strict=True) if not _is_ellipsis(part)]
        return Kind(item=kinds[0]) if kinds and all(kind == kinds[0] for kind in kinds) else UNKNOWN
    return UNKNOWN


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def fields_of_class(body: Sequence[ast.stmt], aliases: Mapping[str, ast.expr]) -> dict[str, Kind]:
    """The fields of a class: annotated ones, properties, and what its methods put on `self`."""
    found: dict[str, Kind] = {}
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = annotated(statement.annotation, aliases)
        elif isinstance(statement, ast.FunctionDef):
            if {last_name(each) for each in statement.decorator_list} & {"property", "cached_property"}:
                found[statement.name] = annotated(statement.returns, aliases)
            found.update(_put_on_self(statement, aliases))
    return {name: told if told != UNKNOWN else Kind(unit_of_name(name)) for name, told in found.items()}


def _put_on_self(method: ast.FunctionDef, aliases: Mapping[str, ast.expr]) -> Iterator[tuple[str, Kind]]:
    """What a method annotates on `self`, or puts there from a parameter or as a new set."""
    given = {each.arg: annotated(each.annotation, aliases) for each in [*method.args.args, *method.args.kwonlyargs]}
    for node in ast.walk(method):
        match node:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), annotation=annotation):
                yield name, annotated(annotation, aliases)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                new_set = isinstance(value, ast.Call) and last_name(value.func) in {"set", "frozenset"}
                kind = A_SET if new_set else given.get(last_name(value), UNKNOWN)
                if kind != UNKNOWN:
                    yield name, kind


def _declare(into: dict[str, Kind], name: str, told: Kind) -> None:
    """Adds a declaration; what the name tells counts where the annotation tells nothing."""
    kind = told if told != UNKNOWN else Kind(unit_of_name(name))
    into[name] = kind if into.get(name, kind) == kind else UNKNOWN


def declarations(trees: Iterable[ast.Module]) -> Declared:
    """Everything that the modules declare with an annotation, or build with a unit's type."""
    trees = list(trees)
    known = Declared(aliases=dict(_aliases(trees)))
    for tree in trees:
        for statement in tree.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                built = UNIT_OF_TYPE.get(last_name(getattr(statement.value, "func", None)), "")
                told = Kind(built) if built else annotated(statement.annotation, known.aliases)
                _declare(known.constants, statement.target.id, told)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for name, kind in fields_of_class(node.body, known.aliases).items():
                    _declare(known.fields, name, kind)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                _declare(known.returns, node.name, annotated(node.returns, known.aliases))
    return known


def _aliases(trees: Iterable[ast.Module]) -> Iterator[tuple[str, ast.expr]]:
    """The modules' own names for types: `Balances = dict[bytes, Money]`."""
    for statement in (each for tree in trees for each in tree.body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript() | ast.BinOp() as told):
                yield name, told
            case ast.AnnAssign(
                target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias"), value=ast.expr() as type_
            ):
                yield name, type_


class Kinds:
    """The kinds of expressions in one module, with its names as they are bound so far."""

    def __init__(self, known: Declared) -> None:
        self.known = known
        self.scopes: list[dict[str, Kind]] = [{}]
        self.classes: list[dict[str, Kind]] = []

    def of(self, node: ast.expr | None) -> Kind:
        """The kind of an expression, as far as names and declarations tell."""
        match node:
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if self.classes and name in self.classes[-1]:
                return self.classes[-1][name]
            case ast.Attribute(attr=name):
                return self.known.fields.get(name, Kind(unit_of_name(name)))
            case ast.Set() | ast.SetComp():
                return A_SET
            case ast.Call():
                return self._called(node)
            case ast.BinOp():
                return self._computed(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self.of(operand)
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                return self._common([one, other])
            case ast.Subscript(value=value, slice=index):
                whole = self.of(value)
                return whole if isinstance(index, ast.Slice) else whole.item or UNKNOWN
            case ast.List(elts=elements) | ast.Tuple(elts=elements) if elements:
                return Kind(item=self._common(elements))
            case (
                ast.ListComp(elt=element, generators=generators) | ast.GeneratorExp(elt=element, generators=generators)
            ):
                with self.scope():
                    for generator in generators:
                        self.bind_items(generator.target, generator.iter)
                    return Kind(item=self.of(element))
        return UNKNOWN

    def _named(self, name: str) -> Kind:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return self.known.constants.get(name, Kind(unit_of_name(name)))

    def _common(self, nodes: Sequence[ast.expr]) -> Kind:
        """The one kind of all that are not bare numbers or empty; a set if one of them is."""
        bare = [isinstance(node, ast.Constant) or getattr(node, "elts", None) == [] for node in nodes]
        kinds = {self.of(node) for node, is_bare in zip(nodes, bare, strict=True) if not is_bare}
        if any(kind.unordered for kind in kinds):
            return A_SET
        return kinds.pop() if len(kinds) == 1 else UNKNOWN

    def _called(self, call: ast.Call) -> Kind:
        name, arguments = last_name(call.func), call.args
        first = self.of(arguments[0]) if arguments else UNKNOWN
        if isinstance(call.func, ast.Attribute):
            owner = self.of(call.func.value)
            if name in SET_METHODS | {"copy"} and owner.unordered:
                return owner
            if name in {"get", "pop", "setdefault"} and owner.item is not None and not owner.unordered:
                return owner.item
            if name == "values" and owner.key is not None:
                return Kind(item=owner.item)
            if name in {"keys", "__iter__"} and owner.key is not None:
                return Kind(item=owner.key)
        if name in UNIT_OF_TYPE:
            return Kind(UNIT_OF_TYPE[name])
        if isinstance(call.func, ast.Name):
            match name:
                case "set" | "frozenset":
                    return Kind(unordered=True, item=first.item)
                case "list" | "tuple" | "sorted" | "reversed":
                    return Kind(item=first.key or first.item)
                case "int" | "abs":
                    return first
                case "sum":
                    return first.item or UNKNOWN
                case "min" | "max":
                    return self._common(arguments) if len(arguments) > 1 else first.item or UNKNOWN
        return self.known.returns.get(name, UNKNOWN)

    def _computed(self, node: ast.BinOp) -> Kind:
        left, right = self.of(node.left), self.of(node.right)
        if isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor | ast.Sub):
            views = isinstance(node.left, ast.Call) and last_name(node.left.func) in {"keys", "items"}
            if left.unordered or right.unordered or views:
                return A_SET
        if isinstance(node.op, ast.Add | ast.Sub):
            return left if left.unit else right if right.unit else UNKNOWN
        if isinstance(node.op, ast.Mult):
            for one, other in ((left, node.right), (right, node.left)):
                if one.unit and isinstance(other, ast.Constant):
                    return one
        return UNKNOWN

    # Names as they are bound ------------------------------------------------------------------------------------------

    @contextmanager
    def scope(self, names: dict[str, Kind] | None = None) -> Iterator[None]:
        """Names of their own for a comprehension, a function or a class."""
        self.scopes.append(names or {})
        yield
        self.scopes.pop()

    @contextmanager
    def class_body(self, body: Sequence[ast.stmt]) -> Iterator[None]:
        """Inside a class, `self.x` is that class's own field."""
        self.classes.append(fields_of_class(body, self.known.aliases))
        with self.scope():
            yield
        self.classes.pop()

    @contextmanager
    def function(self, arguments: ast.arguments) -> Iterator[None]:
        """Inside a function, its parameters are what they are annotated as, or what their names tell."""
        names: dict[str, Kind] = {}
        for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            told = annotated(each.annotation, self.known.aliases)
            names[each.arg] = told if told != UNKNOWN else Kind(unit_of_name(each.arg))
        if arguments.vararg is not None:
            names[arguments.vararg.arg] = Kind(item=annotated(arguments.vararg.annotation, self.known.aliases))
        with self.scope(names):
            yield

    def bind(self, target: ast.expr, kind: Kind) -> None:
        """Gives a name its kind; a name that tells its own unit keeps it where the value tells none."""
        if isinstance(target, ast.Name):
            self.scopes[-1][target.id] = kind if kind != UNKNOWN else Kind(unit_of_name(target.id))
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self.bind(element, kind.item or UNKNOWN)

    def bind_value(self, target: ast.expr, value: ast.expr) -> None:
        """Gives a target, or each part of one, the kind of what is assigned to it."""
        match target, value:
            case ((ast.Tuple(elts=parts) | ast.List(elts=parts)), ast.Tuple(elts=values)) if len(parts) == len(values):
                for part, each in zip(parts, values, strict=True):
                    self.bind_value(part, each)
            case _:
                self.bind(target, self.of(value))

    def bind_items(self, target: ast.expr, source: ast.expr) -> None:
        """Gives a loop's names the kinds that its source holds."""
        match target, source:
            case ast.Tuple(elts=targets), ast.Call(func=ast.Name(id="zip"), args=sources) if len(targets) == len(
                sources
            ):
                for each, column in zip(targets, sources, strict=True):
                    self.bind_items(each, column)
            case ast.Tuple(elts=[_, each]), ast.Call(func=ast.Name(id="enumerate"), args=[column, *_]):
                self.bind_items(each, column)
            case ast.Tuple(elts=[first, second]), ast.Call(func=ast.Attribute(value=owner, attr="items")):
                mapping = self.of(owner)
                self.bind(first, mapping.key or UNKNOWN)
                self.bind(second, mapping.item or UNKNOWN)
            case _:
                whole = self.of(source)
                self.bind(target, whole.key or whole.item or UNKNOWN)
