"""One measured number, and the table and file that many of them become."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Measurement:
    """One number; `round` counts from 1, and is 0 for what is measured once."""

    section: str
    quantity: str
    value: float
    unit: str
    round: int = 0
    note: str = ""


def write_csv(path: Path, measurements: Iterable[Measurement]) -> None:
    """One row per measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        writer.writeheader()
        writer.writerows(asdict(measurement) for measurement in measurements)


def read_csv(path: Path) -> list[Measurement]:
    """The measurements that `write_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Measurement(**{**row, "value": float(row["value"]), "round": int(row["round"])})
            for row in csv.DictReader(file)
        ]


def print_tables(measurements: Iterable[Measurement], console: Console) -> None:
    """A table per section; what was measured in several rounds as median and range."""
    from rich import box
    from rich.table import Table

    sections: dict[str, dict[str, list[Measurement]]] = {}
    for m in measurements:
        sections.setdefault(m.section, {}).setdefault(m.quantity, []).append(m)
    for section, quantities in sections.items():
        table = Table(title=section, title_justify="left", box=box.SIMPLE_HEAD)
        for header in ("quantity", "median", "least", "most", "unit", "n", "note"):
            table.add_column(header, justify="right" if header in ("median", "least", "most", "n") else "left")
        for quantity, rows in quantities.items():
            values = [m.value for m in rows]
            spread = [format_number(f(values)) for f in (min, max)] if len(values) > 1 else ["", ""]
            table.add_row(
                quantity, format_number(median(values)), *spread, rows[0].unit, str(len(values)), rows[0].note
            )
        console.print(table)


def format_number(value: float) -> str:
    """Three or four digits, and no exponent where a person would not write one."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
