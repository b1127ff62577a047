"""The command line of the runner: its options, and what they may say."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridstudy.cli.command_line import Parser, to_path

if TYPE_CHECKING:
    from gridstudy.core.subject import Subject
    from gridstudy.core.values import Value

DEFAULT_SEEDS = 5
DEFAULT_MOST_SEEDS = 80

DESCRIPTION = "Run a hyperparameter study: train what is missing and report the results."
EPILOG = """\
experiments of the built-in subject:
  epochs, units, batch_size, depth, learning_rate, optimizer, combined
groups:
  all: these seven, the default
  quick: all but units
  follow-up: six experiments that repair or extend the seven

examples:
  {command}
      all seven experiments, five seeds each
  {command} quick --seeds 3
      a first look
  {command} epochs --seeds 10
      add five seeds to the first five
  {command} epochs --set train_steps=782
      another value of a fixed hyperparameter
  {command} --until-decided
      add seeds until every hypothesis is decided, up to 80
  {command} --status
      what is complete and missing
  {command} --dry-run
      what would run, and for how long
  {command} --subject examples/digits.py
      a subject of your own

exit code:
  0 all trials complete, 1 some trial failed, 2 bad usage or data,
  3 the answer to --ask was no, 130 interrupted, 143 terminated
"""


def build_parser(command: str = "python grid_search_experiments.py") -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = Parser(
        prog=command, description=DESCRIPTION, epilog=EPILOG.format(command=command), allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    in_clone = command.endswith(".py")
    parser.set_defaults(analyse="python analyze_results.py" if in_clone else "python -m gridstudy analyse")
    add = parser.add_argument
    add("experiments", nargs="*", metavar="EXPERIMENT",
        help="experiments or groups, by name or by the number that --list shows (default: all)")  # fmt: skip
    add("--seeds", metavar="N", help="number of seeds per configuration, or a range of seeds like 10-19 (default: 5)")
    add("--until-decided", action="store_true",
        help="after the first look, add seeds for undecided hypotheses only, look by look")  # fmt: skip
    add("--until", choices=["decided", "recommended"],
        help="as --until-decided, or race the configurations until one can be recommended")  # fmt: skip
    add("--most-seeds", metavar="N", help="the last look of --until is at this many seeds or fewer (default: 80)")
    add("--time-limit", metavar="TIME",
        help="start no trial after this time, like 90s, 30m or 2h; running ones finish (default: none)")  # fmt: skip
    add("--subject", type=to_path, metavar="FILE.py",
        help="a subject of your own; see examples/digits.py (default: MLPs on Fashion-MNIST)")  # fmt: skip
    add("--study", type=to_path, metavar="FILE.toml", help="run experiments of your own; see examples/own_study.toml")
    add("--data-dir", type=to_path, metavar="DIR", help="folder with Fashion-MNIST (IDX files or fashionmnist.pt)")
    add("--dataset", choices=["auto", "fashion-mnist", "garments", "garments-small"], default="auto", metavar="NAME",
        help="fashion-mnist, garments, garments-small or auto: real data if available, otherwise the built-in garments "
        "(default: auto)")  # fmt: skip
    add("--validation", choices=["holdout", "test"], default="holdout",
        help="images that choose between configurations: 10,000 held out of training or, as in the course, the "
        "test images (default: holdout)")  # fmt: skip
    add("--logdir", type=to_path, default=Path("modellogs"), metavar="DIR", help="where logs go (default: modellogs)")
    add("--workers", metavar="N", help="trials at a time (default: the CPU cores; 4 on a GPU)")
    add("--trial-timeout", metavar="TIME",
        help="time limit of a trial, like 90s, 10m or 2h; one that exceeds it is retried once (default: 20 times the "
        "estimate, at least 2 minutes)")  # fmt: skip
    add("--launcher", choices=["local", "ray"], default="local",
        help="run trials as processes on this machine, or as tasks of a Ray cluster (default: local)")  # fmt: skip
    add("--ray-address", metavar="ADDRESS",
        help="a Ray cluster, like auto, HOST:6379 or ray://HOST:10001 (default: start Ray here)")  # fmt: skip
    add("--gpus-per-trial", metavar="F", help="fraction of a GPU for each trial on Ray, up to 1 (default: none)")
    add("--mlflow", nargs="?", const="", metavar="URI",
        help="also log each trial as an MLflow run (default URI: a SQLite database, LOGDIR/mlflow.db)")  # fmt: skip
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to train (default: auto)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="override a fixed hyperparameter; the experiment gets its own name; repeatable")  # fmt: skip
    add("--confirm", action="store_true",
        help="rerun the configurations that may be the best on as many fresh seeds, 1000 and up")  # fmt: skip
    add(
        "--dry-run",
        action="store_true",
        help="show the trials left, the budgets and the estimated time; train nothing",
    )
    add("--ask", action="store_true", help="show what is missing and how long it takes, and ask before training it")
    add("--list", action="store_true", help="list the experiments; with names, show their details")
    add("--status", action="store_true",
        help="show what is complete and missing, and whether the report is up to date; train nothing")  # fmt: skip
    add("--short", action="store_true", help="with --status: print only two lines, the state and the options in force")
    add("--output", type=to_path, metavar="DIR",
        help="with --status: where the report is (default: this folder)")  # fmt: skip
    add("--compare", nargs=2, type=to_path, metavar=("A", "B"), help="compare the outcomes of two log directories")
    return parser


def parse_seeds(text: str) -> range:
    """`5` -> seeds 0 to 4, `10-19` -> seeds 10 to 19; StudyError on anything else."""
    from gridstudy.core.errors import StudyError
    from gridstudy.core.trial import FIRST_CONFIRMATION_SEED

    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, flags=re.ASCII)
    seeds = range(0) if not match else range(int(match[1])) if not match[2] else range(int(match[1]), int(match[2]) + 1)
    if not seeds:
        raise StudyError(f"--seeds takes a number of replicates like 5, or a range like 10-19; got {text!r}")
    if seeds[-1] >= FIRST_CONFIRMATION_SEED:
        raise StudyError(f"seeds {FIRST_CONFIRMATION_SEED} and above are reserved for --confirm; got {text!r}")
    return seeds


def parse_workers(text: str | None) -> int | None:
    """A number of workers from 1 to 256; StudyError on anything else."""
    from gridstudy.core.errors import StudyError

    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}", text, flags=re.ASCII) or not 1 <= int(text) <= 256:
        raise StudyError(f"--workers takes a whole number from 1 to 256; got {text!r}")
    return int(text)


def parse_most_seeds(text: str | None) -> int:
    """The most seeds of a look, from 3; StudyError on anything else."""
    from gridstudy.core.errors import StudyError
    from gridstudy.core.trial import FIRST_CONFIRMATION_SEED, LEAST_SEEDS

    if text is None:
        return DEFAULT_MOST_SEEDS
    if not re.fullmatch(r"\d{1,4}", text, flags=re.ASCII) or not LEAST_SEEDS <= int(text) < FIRST_CONFIRMATION_SEED:
        raise StudyError(f"--most-seeds takes a whole number from {LEAST_SEEDS} to 999; got {text!r}")
    return int(text)


def parse_duration(text: str | None) -> float | None:
    """`90`, `90s`, `10m` or `2h` in seconds; StudyError on anything else."""
    from gridstudy.core.errors import StudyError

    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|h|)", text, flags=re.ASCII)
    if not match or not float(match[1]):
        raise StudyError(f"a time is a positive number of seconds, minutes or hours, like 90s, 10m or 2h; got {text!r}")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def parse_gpu_share(text: str | None) -> float:
    """A part of a GPU, above 0 and up to 1; 0 where none was given; StudyError on anything else."""
    from gridstudy.core.errors import StudyError

    if text is None:
        return 0.0
    if not (re.fullmatch(r"[0-9]*\.?[0-9]+", text, flags=re.ASCII) and 0 < float(text) <= 1):
        raise StudyError(f"--gpus-per-trial takes a part of a GPU like 0.25, or 1; got {text!r}")
    return float(text)


def parse_overrides(texts: Sequence[str], subject: Subject) -> dict[str, Value]:
    """`["train_steps=782"]` -> {"train_steps": 782}; StudyError on anything else."""
    from gridstudy.core.errors import StudyError

    overrides: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise StudyError(f"--set takes NAME=VALUE, like train_steps=782; got {text!r}")
        if name in overrides:
            raise StudyError(f"--set gives {name} twice")
        overrides[name] = _parse_value(value)
    resolved = subject.search_space.resolve(overrides)
    return {name: resolved[name] for name in overrides}


def _parse_value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
