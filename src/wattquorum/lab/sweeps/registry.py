"""The registry: every experiment by its name. Whoever plays a cell looks its experiment up here."""

from __future__ import annotations

from typing import Final

from wattquorum.lab.beyond.buying import BUYING
from wattquorum.lab.beyond.cabinet import CABINET
from wattquorum.lab.beyond.concentration import CONCENTRATION
from wattquorum.lab.beyond.late import LATE
from wattquorum.lab.beyond.majorities import MAJORITIES
from wattquorum.lab.beyond.saving import SAVING
from wattquorum.lab.beyond.stepping import STEPPING
from wattquorum.lab.beyond.tolerance import TOLERANCES
from wattquorum.lab.beyond.wash import WASH
from wattquorum.lab.beyond.week import WEEK
from wattquorum.lab.sweeps.committees import COMMITTEES
from wattquorum.lab.sweeps.experiments import Experiment
from wattquorum.lab.sweeps.paper import PAPERS

BEYOND: Final = (SAVING, TOLERANCES, MAJORITIES, STEPPING, CONCENTRATION, CABINET, WASH, LATE, BUYING, WEEK)
EXPERIMENTS: Final[dict[str, Experiment]] = {each.name: each for each in (PAPERS, *BEYOND, *COMMITTEES)}
