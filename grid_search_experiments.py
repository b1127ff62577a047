"""Run the hyperparameter study: choose experiments, train what is missing, say what came out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridstudy.data import PreparedData
    from gridstudy.launchers import Launcher
    from gridstudy.records import Confirmation
    from gridstudy.runner import PlannedTrial
    from gridstudy.study import Experiment, TrialResult, TrialRun, Value

COMPLETE, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

EPILOG = """\
experiments and groups:
  epochs units batch_size depth learning_rate optimizer combined   the seven; --list says what each asks
  all (the default: these seven), quick (all but units), follow-up (what the seven cannot answer)

examples:
  python grid_search_experiments.py                          all seven experiments, five seeds each
  python grid_search_experiments.py quick --seeds 3          a first look
  python grid_search_experiments.py epochs --seeds 10        add five seeds to what is there
  python grid_search_experiments.py epochs --set train_steps=782
  python grid_search_experiments.py --dry-run                what would run, and for how long
  python grid_search_experiments.py --data-dir ../shared/fashion-mnist

exit code: 0 all trials complete, 1 some trial failed, 2 bad usage or data, 130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("experiments", nargs="*", metavar="EXPERIMENT", help="experiments or groups (default: all)")
    add("--seeds", metavar="N", help="replicates per configuration, or a range like 10-19 (default: 5)")
    add("--data-dir", type=Path, metavar="DIR", help="folder with Fashion-MNIST (IDX files or fashionmnist.pt)")
    add("--dataset", choices=["auto", "fashion-mnist", "garments", "garments-small"], default="auto",
        help="auto: real data where it can be had, else the built-in garments (default: auto)")  # fmt: skip
    add("--validation", choices=["holdout", "test"], default="holdout",
        help="what chooses: 10,000 images held out of training, or, as in the course, the test images "
        "(default: holdout)")  # fmt: skip
    add("--logdir", type=Path, default=Path("modellogs"), metavar="DIR", help="where logs go (default: modellogs)")
    add("--workers", metavar="N", help="trials at a time (default: the CPU cores; 4 on a GPU)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to train (default: auto)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="override a fixed hyperparameter; the experiment then has a name of its own; repeatable")  # fmt: skip
    add("--study", type=Path, metavar="FILE.toml", help="run experiments of your own; see examples/own_study.toml")
    add("--confirm", action="store_true",
        help="rerun the configurations that may be the best on as many fresh seeds, 1000 and up")  # fmt: skip
    add("--dry-run", action="store_true", help="show every trial, the budgets and the time it would take; run nothing")
    add("--list", action="store_true", help="show the experiments with question, hypothesis and grid")
    add("--compare", nargs=2, type=Path, metavar=("A", "B"), help="compare the outcomes of two log directories")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return COMPLETE if end.code == 0 else BAD_USAGE
    from gridstudy.study import StudyError

    try:
        return _run(arguments)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        print("interrupted; nothing complete is lost: the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    from gridstudy import console
    from gridstudy.experiments import read_study_file, select_experiments
    from gridstudy.records import compare_outcomes
    from gridstudy.study import StudyError

    if arguments.compare:
        return console.print_comparison(compare_outcomes(*arguments.compare))
    own = read_study_file(arguments.study) if arguments.study else []
    experiments = select_experiments(arguments.experiments, overrides=parse_overrides(arguments.overrides), own=own)
    if arguments.list:
        console.print_experiments(
            experiments if arguments.experiments or own else select_experiments(["all", "follow-up"])
        )
        return COMPLETE
    if arguments.confirm and arguments.seeds:
        raise StudyError("--confirm takes as many fresh seeds as the selection had; leave --seeds out")
    seeds = parse_seeds(arguments.seeds or "5")
    n_workers = parse_workers(arguments.workers)
    return _run_trials(arguments, experiments, seeds, n_workers)


def _run_trials(
    arguments: argparse.Namespace, experiments: Sequence[Experiment], seeds: Sequence[int], n_workers: int | None
) -> int:
    from gridstudy.launchers import LocalLauncher

    launcher = LocalLauncher(n_workers or count_cores(), preload=["gridstudy.training"], setup=_quiet_worker)
    if not arguments.dry_run:
        launcher.warm_up()

    from gridstudy import console
    from gridstudy.runner import check_logdir, lock_logdir, plan_trials, record_plans, recorded_dataset
    from gridstudy.training import run_trial

    check_logdir(arguments.logdir)
    prepared = _prepare_data(arguments, recorded=recorded_dataset(arguments.logdir))
    _check_batch_sizes(experiments, prepared)
    device, reason = _choose_device(arguments.device)
    if device != "cpu" and n_workers is None:
        launcher.n_workers = 4
    console.print_setting(prepared, device=device, reason=reason, n_workers=launcher.n_workers)
    confirmations: list[Confirmation] = []
    plan: Callable[..., list[PlannedTrial]] = partial(plan_trials, experiments, seeds)
    if arguments.confirm:
        from gridstudy.confirmations import choose_confirmations, plan_confirmations, restrict

        confirmations = choose_confirmations(experiments, logdir=arguments.logdir, data=prepared.identity)
        experiments = restrict(experiments, confirmations)
        plan = partial(plan_confirmations, experiments, confirmations)
    plan = partial(plan, data=prepared.identity, logdir=arguments.logdir)
    if arguments.dry_run:
        _show_plan(
            plan(), experiments, prepared=prepared, logdir=arguments.logdir, n_workers=launcher.n_workers, device=device
        )
        return COMPLETE
    with lock_logdir(arguments.logdir):
        record_plans(arguments.logdir, experiments, confirmations)
        train = partial(run_trial, prepared=prepared, logdir=arguments.logdir, device=device)
        return _train(plan(), experiments, train=train, logdir=arguments.logdir, launcher=launcher)


def _train(
    planned: Sequence[PlannedTrial],
    experiments: Sequence[Experiment],
    *,
    train: Callable[..., tuple[TrialResult, TrialRun]],
    logdir: Path,
    launcher: Launcher,
) -> int:
    from gridstudy import console
    from gridstudy.runner import run_study
    from gridstudy.training import write_hparams_header

    console.print_unusable(planned)
    write_hparams_header(logdir)
    summary = run_study(
        planned,
        logdir=logdir,
        train=train,
        launcher=launcher,
        progress=console.choose_progress(),
    )
    console.print_summary(summary, experiments, logdir)
    return SOME_FAILED if summary.failures else COMPLETE


def _show_plan(
    planned: Sequence[PlannedTrial],
    experiments: Sequence[Experiment],
    *,
    prepared: PreparedData,
    logdir: Path,
    n_workers: int,
    device: str,
) -> None:
    from gridstudy import console
    from gridstudy.noise import planned_resolution
    from gridstudy.records import load_records
    from gridstudy.training import estimate_seconds

    configurations = dict.fromkeys(p.trial.configuration for p in planned)
    n_seeds = len({p.trial.seed for p in planned})
    paired, unpaired, source = planned_resolution(n_seeds, load_records(logdir).trials)
    console.print_plan(
        planned,
        experiments,
        resolution=console.describe_resolution(n_seeds, paired, unpaired, source),
        seconds=estimate_seconds(configurations, prepared=prepared, device=device),
        n_workers=n_workers,
        n_train=prepared.n_train,
    )


def _prepare_data(arguments: argparse.Namespace, *, recorded: str | None) -> PreparedData:
    from gridstudy.console import warn
    from gridstudy.data import DataError, prepare
    from gridstudy.study import StudyError

    try:
        return prepare(
            arguments.dataset,
            data_dir=arguments.data_dir,
            validation=arguments.validation,
            recorded=recorded,
            warn=warn,
        )
    except DataError as error:
        raise StudyError(str(error)) from None


def _check_batch_sizes(experiments: Sequence[Experiment], prepared: PreparedData) -> None:
    from gridstudy.study import StudyError

    largest = max(c.batch_size for experiment in experiments for c in experiment.configurations)
    if largest > prepared.n_train:
        raise StudyError(f"a batch has at most all {prepared.n_train:,} training images; got batch_size {largest:,}")


def _choose_device(requested: str) -> tuple[str, str]:
    from gridstudy.study import StudyError
    from gridstudy.training import choose_device

    try:
        return choose_device(requested)
    except ValueError as error:
        raise StudyError(str(error)) from None


def _quiet_worker() -> None:
    from gridstudy.training import quiet_process

    quiet_process()


def parse_seeds(text: str) -> range:
    """`5` -> seeds 0 to 4, `10-19` -> seeds 10 to 19; StudyError on anything else."""
    from gridstudy.runner import CONFIRMATION_SEED
    from gridstudy.study import StudyError

    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, flags=re.ASCII)
    seeds = range(0) if not match else range(int(match[1])) if not match[2] else range(int(match[1]), int(match[2]) + 1)
    if not seeds:
        raise StudyError(f"--seeds takes a number of replicates like 5, or a range like 10-19; got {text!r}")
    if seeds[-1] >= CONFIRMATION_SEED:
        raise StudyError(
            f"--seeds may use seeds 0 to {CONFIRMATION_SEED - 1}, for --confirm has the rest; got {text!r}"
        )
    return seeds


def parse_workers(text: str | None) -> int | None:
    """A number of workers from 1 to 256; StudyError on anything else."""
    from gridstudy.study import StudyError

    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}", text, flags=re.ASCII) or not 1 <= int(text) <= 256:
        raise StudyError(f"--workers takes a whole number from 1 to 256; got {text!r}")
    return int(text)


def parse_overrides(texts: Sequence[str]) -> dict[str, Value]:
    """`["train_steps=782"]` -> {"train_steps": 782}; StudyError on anything else."""
    from gridstudy.study import Configuration, StudyError

    overrides: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise StudyError(f"--set takes NAME=VALUE, like train_steps=782; got {text!r}")
        if name in overrides:
            raise StudyError(f"--set gives {name} twice")
        overrides[name] = _parse_value(value)
    checked = Configuration.from_values(overrides)
    return {name: getattr(checked, name) for name in overrides}


def _parse_value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def count_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
