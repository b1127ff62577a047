"""Train the same trials through torch's products and through oneDNN's, and compare: `python -m benchmarks.agreement`.

The two differ in the last bits, from which the trials drift apart. The scores must not differ beyond chance.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstudy.fashion.products import PRODUCTS_VARIABLE
from gridstudy.fashion.subject import SUBJECT

ROOT = Path(__file__).resolve().parents[1]
SIDES = ("torch", "onednn")
CONFIGURATIONS: tuple[Mapping[str, Any], ...] = (
    {}, {"batch_size": 4}, {"batch_size": 16}, {"batch_size": 128}, {"units1": 16, "units2": 16},
    {"units1": 64, "units2": 64}, {"units1": 512, "units2": 512}, {"depth": 3}, {"optimizer": "SGD"},
)  # fmt: skip
LONG: Mapping[str, Any] = {"epochs": 10, "train_steps": 782}


def train(logdir: Path, configurations: Sequence[Mapping[str, Any]], *, seeds: str, options: Sequence[str]) -> None:
    """Train what is missing of both sides, in turn."""
    import tomli_w

    logdir.mkdir(parents=True, exist_ok=True)
    study = logdir / f"agreement_{seeds}.toml"
    experiment = {"name": f"agreement_{seeds.replace('-', '_')}", "configurations": list(configurations)}
    study.write_text(tomli_w.dumps({"experiment": [experiment]}), encoding="utf-8")
    for side in SIDES:
        command = [
            *(sys.executable, str(ROOT / "grid_search_experiments.py"), "--study", str(study), "--seeds", seeds),
            *("--device", "cpu", "--logdir", str(logdir / side), *options),
        ]
        subprocess.run(command, cwd=ROOT, env={**os.environ, PRODUCTS_VARIABLE: side}, check=True)  # noqa: S603


def read_scores(logdir: Path) -> dict[tuple[str, int], float]:
    """Scores by name of the configuration and seed."""
    from gridstudy.records.tables import find_results
    from gridstudy.records.trials import read_result

    results = [read_result(path)[0] for path in find_results(logdir)]
    return {(r.trial.configuration.name, r.trial.seed): r.score for r in results}


def compare(logdir: Path) -> Iterator[str]:
    """Lines of a Markdown table: oneDNN's scores less torch's, paired by seed, in points of accuracy."""
    import numpy as np
    from scipy import stats

    from gridstudy.statistics.comparisons import holm

    scores = [read_scores(logdir / side) for side in SIDES]
    rows = []
    for name in dict.fromkeys(SUBJECT.configure(c).name for c in (*CONFIGURATIONS, LONG)):
        seeds = sorted({seed for found, seed in scores[0] if found == name and (found, seed) in scores[1]})
        if len(seeds) > 1:
            d = 100 * np.array([scores[1][name, seed] - scores[0][name, seed] for seed in seeds])
            half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
            p = float(stats.ttest_1samp(d, 0).pvalue) if d.any() else 1.0
            rows.append((name, len(d), d.mean(), half, p))
    yield "| configuration | seeds | mean difference, points [95 % interval] | p | p after Holm |"
    yield "| --- | --- | --- | --- | --- |"
    for (name, n, mean, half, p), adjusted in zip(rows, holm([row[-1] for row in rows]), strict=True):
        yield f"| {name} | {n} | {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}] | {p:.2f} | {adjusted:.2f} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--seeds", default="0-19", metavar="A-B", help="seeds of each configuration (default: 0-19)")
    add("--long-seeds", default="0-4", metavar="A-B", help="seeds of ten full passes (default: 0-4)")
    add(
        "--logdir",
        type=Path,
        default=Path("modellogs_agreement"),
        metavar="DIR",
        help="where logs go (default: %(default)s)",
    )
    add("--data-dir", type=Path, metavar="DIR", help="folder with Fashion-MNIST (default: as the study)")
    arguments = parser.parse_args(argv)
    options = ("--data-dir", str(arguments.data_dir.resolve())) if arguments.data_dir else ()
    logdir = arguments.logdir.resolve()
    train(logdir, CONFIGURATIONS, seeds=arguments.seeds, options=options)
    train(logdir, [LONG], seeds=arguments.long_seeds, options=options)
    for line in compare(logdir):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
