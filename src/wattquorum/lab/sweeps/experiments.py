"""Experiments: what a sweep can try, each a function of parameters and a seed that gives a row of named numbers.

An experiment says what it takes, with units and ranges, and what it measures; so a file that asks for it is checked
before anything runs, tables and pictures know their columns, and a worker on another machine needs nothing but the
name. The function looks at its arguments alone: the same ones give the same row wherever and whenever it is played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NamedTuple

Value = int | float | str
Number = int | float | None  # none: there was nothing to be measured
Values = Mapping[str, Any]  # by the names of parameters; each of the kind that its parameter admits
COMMON: Final = "common"
OWN: Final = "own"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that an experiment takes: a whole number, a number or a word, as its default is one."""

    name: str
    unit: str
    what: str
    default: Value
    low: int | float = 0
    high: int | float = 0
    choices: tuple[str, ...] = ()

    @property
    def admits(self) -> str:
        """What is admitted, for people."""
        if self.choices:
            return ", ".join(self.choices)
        kind = "whole numbers" if isinstance(self.default, int) else "numbers"
        return f"{kind} from {self.low:,} to {self.high:,}{f' {self.unit}' if self.unit else ''}"

    def taken(self, found: object) -> Value | None:
        """The value as the experiment gets it; none for one that is not admitted."""
        if isinstance(self.default, str):
            return found if isinstance(found, str) and found in self.choices else None
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        if isinstance(self.default, float):
            found = float(found) + 0.0  # one zero, not two
        elif isinstance(found, float):
            return None
        return found if self.low <= found <= self.high else None


class Measure(NamedTuple):
    """Something that an experiment finds."""

    name: str
    unit: str
    what: str
    whole: bool = False  # a whole number


class Misfit(NamedTuple):
    """Why parameters do not go together, and which of them should change."""

    parameter: str
    remedy: str


def _fits(_values: Values) -> Misfit | None:
    return None


@dataclass(frozen=True, slots=True)
class Experiment:
    """What can be tried. `lasts_ms` is about what one trial takes of a processor, so that tasks last long enough."""

    name: str
    what: str
    parameters: tuple[Parameter, ...]
    measures: tuple[Measure, ...]
    play: Callable[[Values, int], Mapping[str, Number]]
    lasts_ms: Callable[[Values], float]
    misfit: Callable[[Values], Misfit | None] = _fits

    def parameter(self, name: str) -> Parameter | None:
        """A parameter by its name."""
        return next((each for each in self.parameters if each.name == name), None)

    def row(self, values: tuple[Value, ...], luck: int) -> list[Number]:
        """What a trial finds, in the order of the measures; `values` are in the order of the parameters.

        A trial that finds anything but numbers for all of them is a defect of the experiment: ValueError.
        """
        names = (each.name for each in self.parameters)
        found = self.play(dict(zip(names, values, strict=True)), luck)
        row = [found[each.name] for each in self.measures]
        for measure, value in zip(self.measures, row, strict=True):
            if value is None:
                continue
            if not isfinite(value) or measure.whole is not isinstance(value, int):
                raise ValueError(f"{self.name} measured {measure.name} as {value!r}")
        return row
