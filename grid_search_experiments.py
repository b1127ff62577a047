"""Run the hyperparameter study: choose experiments, train what is missing, say what came out."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.cli.command_line import BAD_USAGE, Parser, drop_output, prepare_streams, refuse, to_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridstudy.core.study import Experiment, Value
    from gridstudy.fashion.data import PreparedData
    from gridstudy.records.records import Confirmation
    from gridstudy.running.launchers import Launcher
    from gridstudy.running.runner import PlannedTrial, Progress

COMPLETE, SOME_FAILED = 0, 1

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

exit code: 0 all trials complete, 1 some trial failed, 2 bad usage or data, 130 interrupted,
  143 terminated
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("experiments", nargs="*", metavar="EXPERIMENT", help="experiments or groups (default: all)")
    add("--seeds", metavar="N", help="replicates per configuration, or a range like 10-19 (default: 5)")
    add("--data-dir", type=to_path, metavar="DIR", help="folder with Fashion-MNIST (IDX files or fashionmnist.pt)")
    add("--dataset", choices=["auto", "fashion-mnist", "garments", "garments-small"], default="auto",
        help="auto: real data where it can be had, else the built-in garments (default: auto)")  # fmt: skip
    add("--validation", choices=["holdout", "test"], default="holdout",
        help="what chooses: 10,000 images held out of training, or, as in the course, the test images "
        "(default: holdout)")  # fmt: skip
    add("--logdir", type=to_path, default=Path("modellogs"), metavar="DIR", help="where logs go (default: modellogs)")
    add("--workers", metavar="N", help="trials at a time (default: the CPU cores; 4 on a GPU)")
    add("--launcher", choices=["local", "ray"], default="local",
        help="processes of this machine, or tasks of Ray, which may have many machines (default: local)")  # fmt: skip
    add("--ray-address", metavar="ADDRESS",
        help="a Ray cluster, like auto, HOST:6379 or ray://HOST:10001 (default: a Ray of its own, here)")  # fmt: skip
    add("--gpus-per-trial", metavar="F", help="the part of a GPU that each trial gets on Ray, up to 1 (default: none)")
    add("--mlflow", nargs="?", const="", metavar="URI",
        help="a run in MLflow per trial too (URI by default: a SQLite database, LOGDIR/mlflow.db)")  # fmt: skip
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to train (default: auto)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="override a fixed hyperparameter; the experiment then has a name of its own; repeatable")  # fmt: skip
    add("--study", type=to_path, metavar="FILE.toml", help="run experiments of your own; see examples/own_study.toml")
    add("--confirm", action="store_true",
        help="rerun the configurations that may be the best on as many fresh seeds, 1000 and up")  # fmt: skip
    add("--dry-run", action="store_true", help="show every trial, the budgets and the time it would take; run nothing")
    add("--list", action="store_true", help="show the experiments with question, hypothesis and grid")
    add("--compare", nargs=2, type=to_path, metavar=("A", "B"), help="compare the outcomes of two log directories")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    from gridstudy.running.interruption import exit_code_of, sigterm_interrupts

    try:
        with sigterm_interrupts():
            return _answer(argv)
    except KeyboardInterrupt as interruption:
        counts = f", {interruption}" if str(interruption) else ""
        print(f"interrupted{counts}; nothing complete is lost: the same command goes on from here", file=sys.stderr)
        return exit_code_of(interruption)


def _answer(argv: Sequence[str] | None) -> int:
    """Do what the command line says, and tell what stands against it in one line."""
    prepare_streams()
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return COMPLETE if end.code == 0 else BAD_USAGE
    from gridstudy.core.errors import StudyError

    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except StudyError as error:
        return refuse(str(error))
    except BrokenPipeError:
        drop_output()
        return SOME_FAILED
    except (ImportError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return refuse(f"cannot load what the study needs: {reason}; check the installation and the limit on memory")
    except OSError as error:  # no permission, no room, no more processes
        return refuse(f"the system refused: {error}; mend that, and the same command goes on from here")


def _run(arguments: argparse.Namespace) -> int:
    from gridstudy.core.errors import StudyError
    from gridstudy.fashion.experiments import read_study_file, select_experiments
    from gridstudy.records.records import compare_outcomes
    from gridstudy.running import console

    if arguments.compare:
        return console.print_comparison(compare_outcomes(*arguments.compare))
    own = read_study_file(arguments.study) if arguments.study else []
    experiments = select_experiments(arguments.experiments, overrides=parse_overrides(arguments.overrides), own=own)
    if arguments.list:
        console.print_experiments(
            experiments if arguments.experiments or own else select_experiments(["all", "follow-up"])
        )
        return COMPLETE
    if arguments.confirm and arguments.seeds is not None:
        raise StudyError("--confirm takes as many fresh seeds as the selection had; leave --seeds out")
    seeds = parse_seeds("5" if arguments.seeds is None else arguments.seeds)
    n_workers = parse_workers(arguments.workers)
    return _run_trials(arguments, experiments, seeds, n_workers)


def _run_trials(
    arguments: argparse.Namespace, experiments: Sequence[Experiment], seeds: Sequence[int], n_workers: int | None
) -> int:
    from gridstudy.running.cores import count_cores, describe_binding
    from gridstudy.running.launchers import LocalLauncher

    gpus_per_trial = _check_ray(arguments)
    _check_mlflow(arguments.mlflow)
    on_ray = arguments.launcher == "ray"
    launcher = LocalLauncher(n_workers or count_cores(), preload=["gridstudy.fashion.training"], setup=_quiet_worker)
    if not (arguments.dry_run or on_ray):
        launcher.warm_up()

    from gridstudy.fashion.training import run_trial
    from gridstudy.running import console
    from gridstudy.running.lock import lock_logdir
    from gridstudy.running.runner import check_logdir, plan_trials, record_plans, recorded_dataset

    check_logdir(arguments.logdir)
    if note := describe_binding():
        console.warn(note)
    recorded = recorded_dataset(arguments.logdir) if arguments.dataset == "auto" else None
    prepared = _prepare_data(arguments, recorded=recorded)
    _check_batch_sizes(experiments, prepared)
    device, reason = _choose_device("auto" if on_ray else arguments.device)
    if on_ray and not arguments.dry_run:
        device, reason = "cuda" if gpus_per_trial else "cpu", f"Ray at {arguments.ray_address or 'this machine'}"
    elif device != "cpu" and n_workers is None:
        launcher.n_workers = 4
    anywhere = bool(arguments.ray_address) and n_workers is None
    console.print_setting(prepared, device=device, reason=reason, n_workers=None if anywhere else launcher.n_workers)
    confirmations: list[Confirmation] = []
    plan: Callable[..., list[PlannedTrial]] = partial(plan_trials, experiments, seeds)
    if arguments.confirm:
        from gridstudy.cli.confirmations import choose_confirmations, plan_confirmations, restrict

        confirmations = choose_confirmations(experiments, logdir=arguments.logdir, data=prepared.identity)
        experiments = restrict(experiments, confirmations)
        plan = partial(plan_confirmations, experiments, confirmations)
    plan = partial(plan, data=prepared.identity, logdir=arguments.logdir)
    if arguments.dry_run:
        _show_plan(
            plan(), experiments, prepared=prepared, logdir=arguments.logdir, n_workers=launcher.n_workers, device=device
        )
        return COMPLETE
    with lock_logdir(arguments.logdir, warn=console.warn) as lock:
        record_plans(arguments.logdir, experiments, confirmations)
        progress: Progress = console.choose_progress()
        if arguments.mlflow is not None:
            progress = _with_mlflow(progress, arguments, experiments)
        if on_ray:
            train, ray_launcher = _on_ray(
                arguments, prepared, n_workers=n_workers, device=device, gpus_per_trial=gpus_per_trial
            )
        else:
            train = partial(run_trial, prepared=prepared, logdir=arguments.logdir, device=device)
        return _train(
            plan(),
            experiments,
            train=train,
            logdir=arguments.logdir,
            launcher=ray_launcher if on_ray else launcher,
            progress=progress,
            check=lock.check,
        )


def _check_ray(arguments: argparse.Namespace) -> float:
    """The part of a GPU that a trial gets on Ray; StudyError on options that do not go together, or without ray."""
    from gridstudy.core.errors import StudyError

    text = arguments.gpus_per_trial
    if arguments.launcher != "ray":
        if arguments.ray_address is not None or text is not None:
            raise StudyError("--ray-address and --gpus-per-trial are for --launcher ray, which was not given")
        return 0.0
    if text is not None and not (re.fullmatch(r"[0-9]*\.?[0-9]+", text, flags=re.ASCII) and 0 < float(text) <= 1):
        raise StudyError(f"--gpus-per-trial takes a part of a GPU like 0.25, or 1; got {text!r}")
    if arguments.device not in ("auto", "cuda" if text else "cpu"):
        raise StudyError(
            f"on Ray a trial is trained on the CPU, or with --gpus-per-trial on CUDA; got --device {arguments.device}"
        )
    from gridstudy.running.ray_launcher import import_ray

    import_ray(local=arguments.ray_address is None)
    return float(text or 0)


def _on_ray(
    arguments: argparse.Namespace, prepared: PreparedData, *, n_workers: int | None, device: str, gpus_per_trial: float
) -> tuple[Callable[..., Any], Launcher]:
    """How to train a trial on Ray, and the launcher that has it done and puts what comes back into the records."""
    from gridstudy.fashion.remote_trials import place_trial, split_arrays, train_remotely
    from gridstudy.running.cores import count_cores
    from gridstudy.running.ray_launcher import RayLauncher

    launcher = RayLauncher(
        n_workers if arguments.ray_address else n_workers or count_cores(),
        address=arguments.ray_address,
        gpus_per_job=gpus_per_trial,
        shared={"splits": split_arrays(prepared)},
        receive=partial(place_trial, logdir=arguments.logdir),
    )
    return partial(train_remotely, device=device), launcher


def _check_mlflow(uri: str | None) -> None:
    if uri is not None:
        from gridstudy.running.mlflow_log import check_uri

        check_uri(uri)


def _with_mlflow(progress: Progress, arguments: argparse.Namespace, experiments: Sequence[Experiment]) -> Progress:
    from gridstudy.running.console import warn
    from gridstudy.running.mlflow_log import MLflowProgress

    return MLflowProgress(progress, uri=arguments.mlflow, logdir=arguments.logdir, experiments=experiments, warn=warn)


def _train(
    planned: Sequence[PlannedTrial],
    experiments: Sequence[Experiment],
    *,
    train: Callable[..., Any],
    logdir: Path,
    launcher: Launcher,
    progress: Progress,
    check: Callable[[], None],
) -> int:
    from gridstudy.fashion.training import write_hparams_header
    from gridstudy.running import console
    from gridstudy.running.runner import run_study

    console.print_unusable(planned)
    write_hparams_header(logdir)
    summary = run_study(
        planned,
        logdir=logdir,
        train=train,
        launcher=launcher,
        progress=progress,
        check=check,
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
    from gridstudy.fashion.training import estimate_seconds
    from gridstudy.records.records import load_records
    from gridstudy.running import console
    from gridstudy.statistics.noise import planned_resolution

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
    from gridstudy.core.errors import StudyError
    from gridstudy.fashion.data import prepare
    from gridstudy.fashion.sources import DataError
    from gridstudy.running.console import warn

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
    from gridstudy.core.errors import StudyError

    largest = max(c.batch_size for experiment in experiments for c in experiment.configurations)
    if largest > prepared.n_train:
        raise StudyError(f"a batch has at most all {prepared.n_train:,} training images; got batch_size {largest:,}")


def _choose_device(requested: str) -> tuple[str, str]:
    from gridstudy.core.errors import StudyError
    from gridstudy.fashion.training import choose_device

    try:
        return choose_device(requested)
    except ValueError as error:
        raise StudyError(str(error)) from None


def _quiet_worker() -> None:
    from gridstudy.fashion.training import quiet_process

    quiet_process()


def parse_seeds(text: str) -> range:
    """`5` -> seeds 0 to 4, `10-19` -> seeds 10 to 19; StudyError on anything else."""
    from gridstudy.core.errors import StudyError
    from gridstudy.running.runner import CONFIRMATION_SEED

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
    from gridstudy.core.errors import StudyError

    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}", text, flags=re.ASCII) or not 1 <= int(text) <= 256:
        raise StudyError(f"--workers takes a whole number from 1 to 256; got {text!r}")
    return int(text)


def parse_overrides(texts: Sequence[str]) -> dict[str, Value]:
    """`["train_steps=782"]` -> {"train_steps": 782}; StudyError on anything else."""
    from gridstudy.core.errors import StudyError
    from gridstudy.core.study import Configuration

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


if __name__ == "__main__":
    exit_code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C finds nothing left to interrupt
    sys.exit(exit_code)
