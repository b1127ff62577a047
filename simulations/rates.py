"""How often something happened in a simulation, and what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rate:
    """How often something happened in `repetitions`, and the bounds that were promised for it.

    `seeds` says with how many; `slack` is in standard errors of the simulation at the bound.
    """

    claim: str
    setting: str
    seeds: str | int
    rate: float
    repetitions: int
    least: float = 0.0
    most: float = 1.0
    slack: float = 3.0

    @property
    def held(self) -> bool:
        """Whether the rate keeps its bounds, give or take the slack."""
        errors = (self.slack * np.sqrt(p * (1 - p) / self.repetitions) for p in (self.least, self.most))
        low, high = errors
        return bool(self.least - low <= self.rate <= self.most + high)

    @property
    def promise(self) -> str:
        """The bounds in words; empty where there are none."""
        bounds = [f"at least {self.least:.1%}"] * (self.least > 0) + [f"at most {self.most:.1%}"] * (self.most < 1)
        return " and ".join(bounds)


@dataclass(frozen=True)
class Count:
    """A mean number that a simulation found: trials, seeds, or the size of a set."""

    claim: str
    setting: str
    seeds: str | int
    mean: float
    repetitions: int


Row = Rate | Count


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | setting | seeds | found | promised | holds | repetitions |", "|---|---|---:|---:|---|---|---:|"]
    for row in rows:
        found, promise, held = (f"{row.mean:,.1f}", "", "") if isinstance(row, Count) else _cells(row)
        lines.append(
            f"| {row.claim} | {row.setting} | {row.seeds} | {found} | {promise} | {held} | {row.repetitions} |"
        )
    return "\n".join(lines) + "\n"


def format_wide(rates: Sequence[Rate]) -> str:
    """The rates as a Markdown table with a row per setting and a column per claim; broken promises are bold."""
    claims, settings = (list(dict.fromkeys(getattr(r, name) for r in rates)) for name in ("claim", "setting"))
    cells = {(r.setting, r.claim): f"{r.rate:.1%}" if r.held else f"**{r.rate:.1%}**" for r in rates}
    lines = [f"| | {' | '.join(claims)} |", "|---|" + "---:|" * len(claims)]
    lines += [f"| {s} | {' | '.join(cells.get((s, c), '') for c in claims)} |" for s in settings]
    return "\n".join(lines) + "\n"


def _cells(rate: Rate) -> tuple[str, str, str]:
    held = ("yes" if rate.held else "**no**") if rate.promise else ""
    return f"{rate.rate:.1%}", rate.promise, held
