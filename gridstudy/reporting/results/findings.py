"""What the report on other programs' results is written from, and the unit that it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from gridstudy.records.foreign.selection import ForeignRuns
from gridstudy.reporting.plotting import Unit
from gridstudy.statistics.results.estimates import ResultEstimates
from gridstudy.statistics.results.parts import OVER_CONDITIONS


@dataclass(frozen=True)
class ResultFindings:
    """The runs that were analysed, what they say, and the command that found it."""

    runs: ForeignRuns
    estimates: ResultEstimates
    command: str

    @property
    def objective(self) -> str:
        """The objective as the user named it."""
        names = self.runs.options.objective
        return self.runs.pattern if self.runs.pattern else ", ".join(names)

    @cached_property
    def unit(self) -> Unit:
        """A fraction is shown in percent, a percentage with its sign, anything else as it is."""
        options, sign = self.runs.options, -1 if self.runs.options.minimise else 1
        if options.unit in ("fraction", "percent"):
            return Unit(
                self.runs.points_per_unit, 1, " %", " points", f"{self.objective} (%)",
                "difference (percentage points)", sign,
            )  # fmt: skip
        ending, bracket = (f" {options.unit}", f" ({options.unit})") if options.unit else ("", "")
        return Unit(1.0, None, ending, ending, f"{self.objective}{bracket}", f"difference of {self.objective}{bracket}",
                    sign)  # fmt: skip

    @property
    def margin_words(self) -> str:
        """The margin in the unit of differences: `0.5 points`."""
        return f"{self.unit.factor * self.runs.margin:g}{self.unit.points}"

    @property
    def conditions(self) -> list[str]:
        """The conditions, each with an analysis of its own; one without a name where there are none."""
        return [c for c in self.estimates.rules["condition"] if c != OVER_CONDITIONS]

    @property
    def main(self) -> str:
        """The condition whose rows answer the question: all of them together, where there are several."""
        known = list(self.estimates.rules["condition"])
        return OVER_CONDITIONS if OVER_CONDITIONS in known else str(known[0])

    def configurations(self, condition: str) -> pd.DataFrame:
        """The configurations of one condition, the best first."""
        table = self.estimates.configurations
        return table[table["condition"] == condition]

    def tested_effects(self, condition: str) -> pd.DataFrame:
        """The effects of one condition that have an interval, the clearest first."""
        table = self.estimates.effects
        some = table[(table["condition"] == condition) & table["low"].notna()]
        clear = (some["difference"].abs() / ((some["high"] - some["low"]) / 2)).fillna(0)
        return some.loc[clear.sort_values(ascending=False, kind="stable").index]

    def run_values(self, condition: str) -> dict[str, np.ndarray]:
        """The objective of each run of a condition, by configuration."""
        table = self.runs.runs
        some = table[table["condition"] == condition] if condition else table
        return {str(name): values.to_numpy(float) for name, values in some.groupby("configuration")["objective"]}

    def best_pair(self) -> tuple[str, str] | None:
        """The two best configurations over the conditions, if these are compared somewhere."""
        names = [str(name) for name in self.configurations(OVER_CONDITIONS)["configuration"].head(2)]
        if len(names) < 2 or self.differences_by_condition(*names).empty:
            return None
        return names[0], names[1]

    def differences_by_condition(self, first: str, second: str) -> pd.DataFrame:
        """Rows of the comparisons of two configurations, first - second, the one over the conditions last."""
        table = self.estimates.comparisons
        there = table[(table["a"] == first) & (table["b"] == second)]
        back = table[(table["a"] == second) & (table["b"] == first)]
        turned = back.assign(a=first, b=second, difference=-back["difference"], low=-back["high"], high=-back["low"])
        found = pd.concat([part for part in (there, turned) if len(part)] or [there])
        found = found[found["difference"].notna()]
        return found.sort_values("condition", key=lambda names: names == OVER_CONDITIONS, kind="stable")
