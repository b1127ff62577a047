"""The runner's command line: check, prepare, plan, run, report what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gridstudy.cli.command_line import answer, drop_output
from gridstudy.cli.run_arguments import (
    DEFAULT_SEEDS,
    build_parser,
    parse_duration,
    parse_gpu_share,
    parse_most_seeds,
    parse_overrides,
    parse_seeds,
    parse_workers,
)
from gridstudy.running.interruption import exit_code_of, sigterm_interrupts

if TYPE_CHECKING:
    from gridstudy.cli.study import StudyRun
    from gridstudy.core.experiment import Experiment
    from gridstudy.core.subject import Subject
    from gridstudy.running.subjects import SubjectSource

COMPLETE, SOME_FAILED, DECLINED = 0, 1, 3
BUILT_IN = "gridstudy.fashion.subject"


def main(argv: Sequence[str] | None = None, *, command: str = "python grid_search_experiments.py") -> int:
    """Run the command line; return its exit code."""
    try:
        with sigterm_interrupts():
            advice = "fix it and rerun the same command to resume"
            return answer(build_parser(command), argv, _run_and_flush, advice=advice)
    except KeyboardInterrupt as interruption:
        counts = f" with {interruption}" if str(interruption) else ""
        print(f"interrupted{counts}; rerun the same command to resume", file=sys.stderr)
        return exit_code_of(interruption)


def _run_and_flush(arguments: argparse.Namespace) -> int:
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        drop_output()
        return SOME_FAILED


def _run(arguments: argparse.Namespace) -> int:
    from gridstudy.running import console

    if arguments.compare:
        from gridstudy.records.comparison import compare_outcomes

        return console.print_comparison(compare_outcomes(*arguments.compare))
    check_modes(arguments)
    source = find_subject(arguments)
    subject = source.load()
    experiments, is_chosen = choose_experiments(arguments, subject)
    if arguments.status:
        from gridstudy.cli.status import show_status
        from gridstudy.running.planning import check_subject

        if arguments.subject is not None:
            check_subject(arguments.logdir, subject.name)
        return show_status(arguments, experiments if is_chosen else None)
    if arguments.list:
        if arguments.experiments:
            console.print_experiments(experiments, subject)
        else:
            console.print_list(all_experiments(arguments, subject))
        return COMPLETE
    return _run_study(arguments, source, subject, experiments)


def find_subject(arguments: argparse.Namespace) -> SubjectSource:
    """Where the subject of this command comes from; StudyError where the options contradict each other."""
    from gridstudy.core.errors import StudyError
    from gridstudy.running.subjects import SubjectSource, source_of_file

    if arguments.subject is None:
        return SubjectSource(module=BUILT_IN)
    given = {
        "--data-dir": arguments.data_dir is not None, "--dataset": arguments.dataset != "auto",
        "--validation": arguments.validation != "holdout",
    }  # fmt: skip
    for option in (option for option, is_given in given.items() if is_given):
        raise StudyError(f"{option} selects built-in data, but a subject of your own brings its own data; leave it out")
    return source_of_file(arguments.subject)


def check_modes(arguments: argparse.Namespace) -> None:
    """Refuse options that ask for two things at once, or that go with another one."""
    from gridstudy.core.errors import StudyError

    modes = [f"--{name.replace('_', '-')}" for name in ("list", "status", "dry_run", "ask") if getattr(arguments, name)]
    if len(modes) > 1:
        raise StudyError(f"{modes[0]} and {modes[1]} ask for two things; give one of them")
    for option, is_given in (("--short", arguments.short), ("--output", arguments.output is not None)):
        if is_given and not arguments.status:
            raise StudyError(f"{option} is for --status, which was not given")


def all_experiments(arguments: argparse.Namespace, subject: Subject) -> tuple[Experiment, ...]:
    """Every experiment of a subject and of the user's study file, in their order."""
    return tuple(subject.parse(table, order=number) for number, table in enumerate(_tables(arguments, subject)))


def _tables(arguments: argparse.Namespace, subject: Subject) -> list[Mapping[str, Any]]:
    from gridstudy.core.selection import read_study_file

    return [*subject.experiments, *(read_study_file(arguments.study, subject) if arguments.study else [])]


def choose_experiments(arguments: argparse.Namespace, subject: Subject) -> tuple[tuple[Experiment, ...], bool]:
    """The experiments that the command line asks for, and whether it names any; numbers are those of --list."""
    from gridstudy.core.selection import select_experiments

    tables = _tables(arguments, subject)
    own = tables[len(subject.experiments) :]
    names = [_name_of_number(text, tables) for text in arguments.experiments]
    overrides = parse_overrides(arguments.overrides, subject)
    return select_experiments(subject, names, overrides=overrides, own=own), bool(names or own)


def _name_of_number(text: str, tables: Sequence[Mapping[str, Any]]) -> str:
    is_number = text.isascii() and text.isdecimal() and 1 <= int(text) <= len(tables)
    return str(tables[int(text) - 1]["name"]) if is_number else text


def _run_study(
    arguments: argparse.Namespace, source: SubjectSource, subject: Subject, experiments: Sequence[Experiment]
) -> int:
    from gridstudy.cli.study import StudyRun
    from gridstudy.core.errors import StudyError
    from gridstudy.running import console

    if arguments.confirm and arguments.seeds is not None:
        raise StudyError("--confirm always uses as many fresh seeds as the selection had; leave --seeds out")
    until = arguments.until or ("decided" if arguments.until_decided else "")
    if arguments.until_decided and until != "decided":
        raise StudyError(f"--until-decided is --until decided; got --until {until} beside it; leave one of them out")
    if until and arguments.confirm:
        raise StudyError("--confirm runs one look on fresh seeds, so it does not go with --until or --until-decided")
    for option in ("most_seeds", "time_limit"):
        if getattr(arguments, option) is not None and not until:
            raise StudyError(f"--{option.replace('_', '-')} is for --until-decided and --until, which were not given")
    study = StudyRun(
        source=source, subject=subject, experiments=tuple(experiments),
        seeds=tuple(parse_seeds(str(DEFAULT_SEEDS) if arguments.seeds is None else arguments.seeds)),
        logdir=arguments.logdir, n_workers=parse_workers(arguments.workers), device=arguments.device,
        launcher=arguments.launcher, ray_address=arguments.ray_address,
        gpus_per_trial=parse_gpu_share(arguments.gpus_per_trial), mlflow=arguments.mlflow,
        confirm=arguments.confirm, warn=console.warn, trial_timeout_s=parse_duration(arguments.trial_timeout),
        until=until, are_seeds_default=arguments.seeds is None, most_seeds=parse_most_seeds(arguments.most_seeds),
        time_limit_s=parse_duration(arguments.time_limit),
    )  # fmt: skip
    study.check_options()
    study.warm_up(dry_run=arguments.dry_run or arguments.ask)
    study = study.with_subject(_with_data(arguments, study))
    study.check_first_look()
    if arguments.dry_run:
        return _show_plan(study)
    if arguments.ask and not _may_start(study):
        print("Nothing was run.")
        return DECLINED  # so that what a script does after a run is not done after none
    code = _train(study)
    if not arguments.ask:  # who asks has more to come: the menu goes on with the analysis
        console.print_next(study.logdir, analyse=arguments.analyse)
    return code


def _may_start(study: StudyRun) -> bool:
    """Show what is missing and how long it takes, and ask; True without a question where nothing is missing."""
    from gridstudy.core.trial import TrialState
    from gridstudy.running import console

    planned = study.plan()
    left = [p for p in planned if p.state is not TrialState.COMPLETE]
    until = ""
    if study.until and left:
        until = f"then, look by look, more seeds where they are needed, up to {study.most_seeds} per configuration"
    elif study.until:
        decision = study.decide(keep=False)
        until = decision.in_words() if decision.needs else ""
    if not left and not until:
        return True
    device, reason = study.choose_device()
    n_workers = study.count_workers(device)
    console.print_setting(study.data, device=device, reason=reason, n_workers=n_workers)
    seconds = study.estimate_seconds(left, device) if left else {}
    console.print_work(planned, seconds=seconds, n_workers=n_workers or 1, until=until)
    return console.ask("Start now?")


def _with_data(arguments: argparse.Namespace, study: StudyRun) -> Subject:
    """The subject on the data that the command line asks for."""
    if arguments.subject is not None:
        return study.subject
    from gridstudy.fashion.subject import with_data
    from gridstudy.running.planning import check_logdir, recorded_dataset

    check_logdir(arguments.logdir)
    recorded = recorded_dataset(arguments.logdir) if arguments.dataset == "auto" else None
    return with_data(
        dataset=arguments.dataset, data_dir=arguments.data_dir, validation=arguments.validation, recorded=recorded,
        warn=study.warn,
    )  # fmt: skip


def _train(study: StudyRun) -> int:
    from gridstudy.cli import outcome
    from gridstudy.running import console
    from gridstudy.running.cores import describe_binding

    if note := describe_binding():
        study.warn(note)
    summary = study.run(
        progress=lambda looks, later: console.choose_progress(
            study.experiments, study.description, looks=looks, later=later
        ),
        announce=console.print_setting, report=console.print_line,
    )  # fmt: skip
    console.print_summary(summary, study.experiments, study.logdir, study.description)
    if study.until:
        outcome.print_outcome(study.decide())
    if study.confirm:
        outcome.print_confirmed(study)
    return SOME_FAILED if summary.failures else COMPLETE


def _show_plan(study: StudyRun) -> int:
    from gridstudy.cli import outcome
    from gridstudy.running import console

    device, reason = study.choose_device()
    console.print_setting(study.data, device=device, reason=reason, n_workers=study.count_workers(device))
    planned = study.plan()
    seconds, n_workers = study.estimate_seconds(planned, device), study.count_workers(device) or 1
    console.print_plan(
        planned, study.experiments_run, description=study.description, resolution=outcome.resolution(study, planned),
        seconds=seconds, n_workers=n_workers, until=bool(study.until),
    )  # fmt: skip
    if study.until:
        by_name = {configuration.name: s for configuration, s in seconds.items()}
        outcome.print_looks(study.decide(keep=False), most_seeds=study.most_seeds, seconds=by_name, n_workers=n_workers)
    return COMPLETE
