"""The plan: what a file asks to be swept, read whole and checked before anything runs.

A file names an experiment, for each parameter one value, a list or a range, and seeds; its cells are all combinations,
in the order of the experiment's parameters, seeds last. A cell's luck is drawn from what the cell is, the experiment,
its parameters and its seed, and from nothing else, neither its place nor who plays it. With `draws = "common"` it is
drawn from the seed alone, so that cells which differ in parameters, or are of different experiments, meet the same luck
as far as they draw alike, and can be compared pair by pair.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

from wattquorum.foundation.chance import Chance
from wattquorum.lab.sweeps.experiments import COMMON, OWN, Experiment, Parameter, Value
from wattquorum.records.file_faults import FileFault, FileFaults, file_fault

FORMAT: Final = 1
KEYS: Final = ("experiment", "seeds", "title", "draws", "parameters", "plot")
RANGE_KEYS: Final = ("from", "to", "step", "steps")
PLOT_KEYS: Final = ("x", "by", "measures")
CELLS_MAX: Final = 1_000_000
VALUES_MAX: Final = 10_000  # of one parameter
SEED_MAX: Final = 2**63 - 1
TITLE_CHARACTERS_MAX: Final = 120
FILE_BYTES_MAX: Final = 1_000_000
LINES_MAX: Final = 7  # of a picture: there are as many colours


class Cell(NamedTuple):
    """One trial: its place in the plan, the values of all parameters in their order, and its seed."""

    number: int
    values: tuple[Value, ...]
    seed: int


class Drawn(NamedTuple):
    """What pictures show: along which parameter, with a line for each value of which other, of which measures."""

    x: str | None
    by: str | None
    measures: tuple[str, ...]


class Plan:
    """A sweep: an experiment, the values of every parameter, and seeds."""

    def __init__(
        self,
        experiment: Experiment,
        axes: Mapping[str, Sequence[Value]],
        seeds: Sequence[int],
        draws: str = OWN,
        title: str = "",
        drawn: Drawn | None = None,
    ) -> None:
        self.experiment = experiment
        self.axes = tuple((each.name, tuple(axes.get(each.name, (each.default,)))) for each in experiment.parameters)
        self.seeds = tuple(seeds)
        self.draws = draws
        self.title = title or experiment.name
        self.drawn = drawn or Drawn(*_along(dict(self.axes)), tuple(each.name for each in experiment.measures))

    @property
    def varied(self) -> list[str]:
        """The parameters that have several values."""
        return [name for name, values in self.axes if len(values) > 1]

    @property
    def size(self) -> int:
        """How many cells there are."""
        return prod(len(values) for _, values in self.axes) * len(self.seeds)

    @cached_property
    def said(self) -> str:
        """What decides the cells, in one form however the file is written; words and pictures are not part of it."""
        told = {
            "format": FORMAT,
            "experiment": self.experiment.name,
            "parameters": {name: list(values) for name, values in self.axes},
            "seeds": list(self.seeds),
            "draws": self.draws,
        }
        return json.dumps(told, sort_keys=True)

    @property
    def digest(self) -> str:
        """The plan in short."""
        return sha256(self.said.encode()).hexdigest()

    def cells(self) -> Iterator[Cell]:
        """Every cell, in order."""
        number = 0
        for values in product(*(values for _, values in self.axes)):
            for seed in self.seeds:
                yield Cell(number, values, seed)
                number += 1

    def luck(self, cell: Cell) -> int:
        """The seed that the experiment gets for a cell."""
        said: list[Any] = [cell.seed]
        if self.draws == OWN:
            said += [self.experiment.name, dict(zip((name for name, _ in self.axes), cell.values, strict=True))]
        return Chance(cell.seed).stream(json.dumps(said, sort_keys=True)).bits()


def _along(
    axes: Mapping[str, Sequence[Value]], x: str | None = None, by: str | None = None
) -> tuple[str | None, str | None]:
    """Along and by which parameters pictures show: unless named, the first that has several numbers, or words, and the
    first other one that has few enough values.
    """
    varied = sorted((name for name in axes if len(axes[name]) > 1), key=lambda name: isinstance(axes[name][0], str))
    x = x or next((name for name in varied if name != by), None)
    by = by or next((name for name in varied if name != x and len(axes[name]) <= LINES_MAX), None)
    return x, by


def read_plan(path: Path, experiments: Mapping[str, Experiment]) -> Plan:
    """Reads a file; FileFaults with everything that is wrong in it."""
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            remedy = f"A sweep takes at most {FILE_BYTES_MAX:,} bytes."
            raise FileFaults(path, [file_fault("file_unreadable", "file", f"{len(data):,} bytes", remedy)])
        text = data.decode()
    except OSError as fault:
        raise FileFaults(path, [file_fault("file_unreadable", "file", fault.strerror or fault)]) from None
    except UnicodeDecodeError as fault:
        reason = f"byte {fault.start} is not UTF-8"
        raise FileFaults(path, [file_fault("file_unreadable", "file", reason, "Save it as UTF-8.")]) from None
    return plan_of(text, experiments, path)


def plan_of(text: str, experiments: Mapping[str, Experiment], path: Path | str) -> Plan:
    """The plan of a file's text; FileFaults with everything that is wrong in it."""
    try:
        table = tomllib.loads(text, parse_float=Decimal)  # a range of tenths is of tenths
    except (tomllib.TOMLDecodeError, ValueError, ArithmeticError, RecursionError) as fault:
        raise FileFaults(path, [file_fault("file_unreadable", "file", fault, "Correct its TOML.")]) from None
    reading = _Reading()
    plan = reading.plan(table, experiments)
    if plan is None or reading.faults:
        raise FileFaults(path, reading.faults)
    return plan


class _Reading:
    """One pass over a file; every method gives a value, or notes a fault and gives a stand-in."""

    __slots__ = ("faults",)

    def __init__(self) -> None:
        self.faults: list[FileFault] = []

    def wrong(self, field: str, value: object, remedy: str, code: str = "sweep_invalid") -> None:
        self.faults.append(file_fault(code, field, value, remedy))

    def plan(self, table: Mapping[str, Any], experiments: Mapping[str, Experiment]) -> Plan | None:
        self.only(table, KEYS, "")
        name = table.get("experiment")
        experiment = experiments.get(name) if isinstance(name, str) else None
        seeds = self.seeds(table)
        draws = table.get("draws", OWN)
        if draws not in (OWN, COMMON):
            self.wrong("draws", draws, f"Use {OWN} or {COMMON}.")
        title = table.get("title", "")
        if not isinstance(title, str) or len(title) > TITLE_CHARACTERS_MAX or not title.isprintable():
            self.wrong("title", title, f"Give at most {TITLE_CHARACTERS_MAX} characters in one line.")
        if experiment is None:
            remedy = f"Name one of {', '.join(sorted(experiments))}."
            self.wrong("experiment", "" if name is None else name, remedy, "experiment_unknown")
            return None
        axes = self.axes(self.table(table, "parameters"), experiment)
        drawn = self.drawn(self.table(table, "plot"), experiment, axes) if "plot" in table else None
        if self.faults:
            return None
        plan = Plan(experiment, axes, seeds, draws, title, drawn)
        self.size(plan)
        if not self.faults:
            self.together(plan)
        return plan

    def seeds(self, table: Mapping[str, Any]) -> list[int]:
        found = table.get("seeds", 1)
        kind = Parameter("seeds", "", "", 0, 0, SEED_MAX)
        if isinstance(found, int) and not isinstance(found, bool):
            if not 1 <= found <= CELLS_MAX:
                self.wrong("seeds", found, f"Give how many, from 1 to {CELLS_MAX:,}, a list, or a range.")
                return []
            return list(range(found))
        return [each for each in self.values(found, kind, "seeds", CELLS_MAX) if isinstance(each, int)]

    def axes(self, table: Mapping[str, Any], experiment: Experiment) -> dict[str, list[Value]]:
        axes = {}
        for name, found in table.items():
            parameter = experiment.parameter(name)
            if parameter is None:
                known = ", ".join(each.name for each in experiment.parameters)
                self.wrong(f"parameters.{name}", name, f"{experiment.name} takes {known}.", "parameter_unknown")
            else:
                axes[name] = self.values(found, parameter, f"parameters.{name}", VALUES_MAX)
        return axes

    def values(self, found: object, parameter: Parameter, field: str, most: int) -> list[Value]:
        """One value, a list of them, or a range."""
        if isinstance(found, dict):
            found = self.range(found, parameter, field, most)
            if found is None:
                return []
        listed = found if isinstance(found, list) else [found]
        if not 0 < len(listed) <= most:
            self.wrong(field, f"{len(listed):,} values", f"Give 1 to {most:,} values.")
            return []
        values: dict[Value, None] = {}
        for each in listed:
            value = parameter.taken(float(each) if isinstance(each, Decimal) else each)
            if value is None:
                self.wrong(field, each, f"Give {parameter.admits}.", "parameter_out_of_range")
                return []
            if value in values:
                self.wrong(field, each, "Give each value once.")
                return []
            values[value] = None
        return list(values)

    def range(
        self, found: Mapping[str, Any], parameter: Parameter, field: str, most: int
    ) -> list[Decimal | int] | None:
        """The values from one end to the other, both included."""
        if isinstance(parameter.default, str):
            self.wrong(field, "a range", f"Give {parameter.admits}.")
            return None
        self.only(found, RANGE_KEYS, f"{field}.")
        low, high = self.decimal(found.get("from"), f"{field}.from"), self.decimal(found.get("to"), f"{field}.to")
        if low is None or high is None:
            return None
        if low >= high:
            self.wrong(f"{field}.to", high, "Let a range end above its beginning.")
            return None
        if "step" in found and "steps" in found:
            self.wrong(f"{field}.steps", found["steps"], "Give step or steps, not both.")
            return None
        if "steps" in found:
            steps = found["steps"]
            if not isinstance(steps, int) or isinstance(steps, bool) or not 2 <= steps <= most:
                self.wrong(f"{field}.steps", steps, f"Give how many values, from 2 to {most:,}.")
                return None
            values = [low + (high - low) * place / (steps - 1) for place in range(steps)]
        else:
            step = self.decimal(found.get("step", 1), f"{field}.step")
            if step is None:
                return None
            if step <= 0 or (high - low) / step >= most or (high - low) % step:
                remedy = f"Give a step above 0 that leads from one end to the other in fewer than {most:,}."
                self.wrong(f"{field}.step", step, remedy)
                return None
            values = [low + step * place for place in range(int((high - low) / step) + 1)]
        if isinstance(parameter.default, float):
            return list(values)
        if any(each != int(each) for each in values):
            self.wrong(field, "a range", "Choose a range of whole numbers.")
            return None
        return [int(each) for each in values]

    def decimal(self, found: object, field: str) -> Decimal | None:
        number = Decimal(found) if isinstance(found, int | Decimal) and not isinstance(found, bool) else None
        if number is None or not number.is_finite() or abs(number) > SEED_MAX:
            self.wrong(field, "" if found is None else found, "Give a number.")
            return None
        return number

    def drawn(self, table: Mapping[str, Any], experiment: Experiment, axes: Mapping[str, Sequence[Value]]) -> Drawn:
        self.only(table, PLOT_KEYS, "plot.")
        varied = [name for name, values in axes.items() if len(values) > 1]
        for key in ("x", "by"):
            if key in table and table[key] not in varied:
                several = ", ".join(varied) or "none here"
                self.wrong(f"plot.{key}", table[key], f"Name a parameter that has several values: {several}.")
        by = table.get("by")
        if by in varied and (by == table.get("x") or len(axes[by]) > LINES_MAX):
            self.wrong("plot.by", by, f"Name another parameter, with at most {LINES_MAX} values.")
        known = [each.name for each in experiment.measures]
        measures = table.get("measures", known)
        if not isinstance(measures, list) or not measures or any(each not in known for each in measures):
            self.wrong("plot.measures", measures, f"Name some of {', '.join(known)}.")
            measures = known
        if self.faults:
            return Drawn(None, None, ())
        return Drawn(*_along(axes, table.get("x"), by), tuple(dict.fromkeys(measures)))

    def size(self, plan: Plan) -> None:
        if plan.size > CELLS_MAX:
            self.wrong(
                "parameters", f"{plan.size:,} cells", f"Give fewer values or seeds: at most {CELLS_MAX:,} cells."
            )

    def together(self, plan: Plan) -> None:
        """Whether parameters of every cell go together; the first misfit of each parameter is told."""
        told: dict[str, None] = {}
        names = [name for name, _ in plan.axes]
        for values in product(*(values for _, values in plan.axes)):
            by_name = dict(zip(names, values, strict=True))
            misfit = plan.experiment.misfit(by_name)
            if misfit is not None and misfit.parameter not in told:
                told[misfit.parameter] = None
                value = by_name[misfit.parameter]
                self.wrong(f"parameters.{misfit.parameter}", value, misfit.remedy, "parameter_out_of_range")

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        found = table.get(key, {})
        if not isinstance(found, dict):
            self.wrong(key, found, f"Write it as a table [{key}].")
            return {}
        return found

    def only(self, row: Mapping[str, Any], known: Sequence[str], prefix: str) -> None:
        for key in row:
            if key not in known:
                self.wrong(f"{prefix}{key}", key, f"Known here: {', '.join(known)}.")
