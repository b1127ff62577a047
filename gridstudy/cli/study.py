"""A study from its subject to its records, as both the command line and a notebook run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data, Description, Subject
from gridstudy.core.trial import UNKNOWN, TrialState
from gridstudy.records.plans import find_plan, new_plan
from gridstudy.running.planning import (
    PlannedTrial,
    check_logdir,
    check_subject,
    identify_group,
    plan_trials,
    prepare_logdir,
    record_confirmations,
    record_plans,
)
from gridstudy.running.subjects import SubjectSource, prepare_data

if TYPE_CHECKING:
    from gridstudy.core.lock import Lock
    from gridstudy.records.plans import Confirmation, Plan
    from gridstudy.records.tables import Records
    from gridstudy.running.launchers import Launcher
    from gridstudy.running.runner import Progress, Summary
    from gridstudy.running.until import Need, Part
    from gridstudy.statistics.decisions import Decision

    Display = Callable[[str, Sequence[Part]], Progress]

N_WORKERS_ON_GPU = 4


def _whole(experiment: Experiment, seeds: tuple[int, ...]) -> Part:
    return experiment, tuple(c.name for c in experiment.configurations), seeds


@dataclass(frozen=True)
class StudyRun:
    """All that one command runs: experiments of a subject on seeds, in a log directory, by a launcher.

    Methods raise StudyError for what the user can mend.
    """

    source: SubjectSource
    subject: Subject
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    logdir: Path
    warn: Callable[[str], None]
    n_workers: int | None = None
    device: str = "auto"
    launcher: str = "local"
    ray_address: str | None = None
    gpus_per_trial: float = 0.0
    mlflow: str | None = None
    confirm: bool = False
    trial_timeout_s: float | None = None
    until: str = ""
    most_seeds: int = 80
    time_limit_s: float | None = None
    are_seeds_default: bool = False
    """Whether nobody asked for these seeds; look by look, the seeds of a plan then go before them."""

    # --- before the run

    def check_options(self) -> None:
        """Refuse options that do not go together, before anything is imported or written."""
        check_logdir(self.logdir)
        check_subject(self.logdir, self.subject.name)
        if self.confirm and not self.logdir.is_dir():
            raise StudyError(f"--confirm needs the records of a study; there is no {self.logdir}; run the study first")
        if not self.source.is_portable and (self.launcher == "ray" or (self.n_workers or 1) > 1):
            raise StudyError(
                "a subject defined in a notebook runs in this process, one trial at a time; for more workers put it "
                "into a file and pass the file's path"
            )
        if self.mlflow is not None:
            from gridstudy.running.mlflow_log import check_uri

            check_uri(self.mlflow)
        if self.launcher != "ray":
            if self.ray_address is not None or self.gpus_per_trial:
                raise StudyError("--ray-address and --gpus-per-trial are for --launcher ray, which was not given")
            return
        if self.device not in ("auto", "cuda" if self.gpus_per_trial else "cpu"):
            raise StudyError(
                f"on Ray a trial trains on the CPU, or with --gpus-per-trial on CUDA; got --device {self.device}"
            )
        from gridstudy.running.ray_launcher import import_ray

        import_ray(local=self.ray_address is None)

    def warm_up(self, *, dry_run: bool) -> None:
        """Begin to import in the background what the workers need."""
        if not dry_run and self.launcher == "local" and self.source.is_portable:
            self._local_launcher.warm_up()

    def with_subject(self, subject: Subject) -> StudyRun:
        """The same study of a subject with other data."""
        changed = replace(self, subject=subject)
        if "_local_launcher" in self.__dict__:
            changed.__dict__["_local_launcher"] = self._local_launcher
        return changed

    @cached_property
    def data(self) -> Data:
        """The data, prepared once and checked against every configuration."""
        data = prepare_data(self.subject, self.source)
        if self.subject.check is not None:
            for configuration in {c for experiment in self.experiments for c in experiment.configurations}:
                self.subject.check(configuration, data)
        return data

    @property
    def description(self) -> Description:
        """What the analysis and the screen must know of the subject."""
        return self.subject.describe(self.data)

    def choose_device(self) -> tuple[str, str]:
        """The device that trials train on, and why."""
        if self.launcher == "ray":
            return "cuda" if self.gpus_per_trial else "cpu", f"Ray at {self.ray_address or 'this machine'}"
        if self.subject.choose_device is not None:
            return self.subject.choose_device(self.device)
        if self.device not in ("auto", "cpu"):
            raise StudyError(f"the subject {self.subject.name!r} trains on the CPU; got --device {self.device}")
        return "cpu", "the only device of this subject"

    def count_workers(self, device: str) -> int | None:
        """How many trials run at a time; None for all that a cluster has."""
        from gridstudy.running.cores import count_cores

        if not self.source.is_portable:
            return 1
        if self.n_workers is not None or self.ray_address is not None:
            return self.n_workers
        return N_WORKERS_ON_GPU if device not in ("cpu",) and self.launcher == "local" else count_cores()

    # --- what is run

    @cached_property
    def confirmations(self) -> Sequence[Confirmation]:
        """The selections to confirm, frozen earlier or chosen from the records now."""
        if not self.confirm:
            return ()
        from gridstudy.cli.confirmations import choose_confirmations

        return choose_confirmations(self.experiments, logdir=self.logdir, subject=self.subject, data=self.data)

    @property
    def experiments_run(self) -> Sequence[Experiment]:
        """The experiments, or with --confirm their configurations to confirm."""
        if not self.confirm:
            return self.experiments
        from gridstudy.cli.confirmations import restrict

        return restrict(self.experiments, self.confirmations)

    def plan(self) -> list[PlannedTrial]:
        """Every trial with its state on disk; look by look, those of the first look."""
        if self.confirm:
            from gridstudy.cli.confirmations import plan_confirmations

            return plan_confirmations(
                self.experiments_run, self.confirmations, subject=self.subject, data=self.data, logdir=self.logdir
            )
        if self.until:
            return self._plan_parts(self._first_parts)
        return plan_trials(self.experiments, self.seeds, subject=self.subject, data=self.data, logdir=self.logdir)

    def estimate_seconds(self, planned: Sequence[PlannedTrial], device: str) -> Mapping[Configuration, float]:
        """Seconds per trial of each configuration, where the subject can estimate them."""
        if self.subject.estimate_seconds is None:
            return {}
        configurations = list(dict.fromkeys(p.trial.configuration for p in planned))
        return self.subject.estimate_seconds(configurations, self.data, device)

    # --- the run

    def run(
        self, *, progress: Display, announce: Callable[..., None] | None = None,
        report: Callable[[str], None] = lambda words: None,
    ) -> Summary:  # fmt: skip
        """Train what is missing and return what is there at the end.

        `progress` makes the display of a round of trials from a line on the looks and, after the first round, the parts
        that the round trains; `report` gets the same line.
        """
        from gridstudy.running.lock import lock_logdir

        data = self.data  # before the lock, so that a mistake leaves no log directory behind
        with lock_logdir(self.logdir, warn=self.warn) as lock:
            prepare_logdir(self.logdir)
            planned = self.plan()
            self._warn_of_other_source(planned)
            n_left = sum(p.state is not TrialState.COMPLETE for p in planned)
            # choosing a device may import torch, which takes longer than finding that nothing is left
            device, reason = self.choose_device() if n_left or self.until else ("", "")
            if announce is not None:
                announce(data, device=device, reason=reason, n_workers=self.count_workers(device))
            if not self.until:
                return self._run_round(planned, self._record, device=device, lock=lock, progress=progress("", ()))
            return self._run_until(device, lock, progress=progress, report=report)

    def _warn_of_other_source(self, planned: Sequence[PlannedTrial]) -> None:
        """Say once where complete trials were made by other source code than the one that would run now."""
        from gridstudy.running.trials import digest_source

        now = digest_source(self.source)
        others = [p for p in planned if p.run is not None and p.run.source not in (now, UNKNOWN)]
        if others:
            self.warn(
                f"the source of {self.subject.name} has changed since {len(others)} of these trials were trained; "
                "if that changes outcomes, raise its training_version, and they are trained again"
            )

    def _run_round(
        self, planned: Sequence[PlannedTrial], record: Callable[[], None], *, device: str, lock: Lock,
        progress: Progress, is_over: Callable[[], bool] = lambda: False,
    ) -> Summary:  # fmt: skip
        """Write down the plans, then train the trials."""
        from gridstudy.running import console
        from gridstudy.running.runner import run_study
        from gridstudy.running.timeouts import TrialClock

        record()
        console.print_unusable(planned)
        if self.subject.prepare_logdir is not None and any(p.state is not TrialState.COMPLETE for p in planned):
            self.subject.prepare_logdir(self.logdir, self.experiments_run)
        train, launcher = self._launch(device, lock)
        if self.mlflow is not None:
            progress = self._with_mlflow(progress)
        return run_study(
            planned, logdir=self.logdir, train=train, launcher=launcher, progress=progress, check=lock.check,
            owner=lock.token, most_together=self.subject.most_together if self.subject.train_many else 1,
            n_workers=self.count_workers(device), clock=TrialClock(self.trial_timeout_s), is_over=is_over,
        )  # fmt: skip

    def _record(self) -> None:
        if self.confirm:
            record_confirmations(self.logdir, self.confirmations)
        else:
            record_plans(self.logdir, self.experiments, subject=self.subject, data=self.data, seeds=self.seeds)

    # --- look by look

    def _run_until(self, device: str, lock: Lock, *, progress: Display, report: Callable[[str], None]) -> Summary:
        from gridstudy.running.until import run_rounds

        deadline_s = None if self.time_limit_s is None else time.monotonic() + self.time_limit_s
        first, standing = self._first_parts, "the first look"

        def is_over() -> bool:
            return deadline_s is not None and time.monotonic() > deadline_s

        def run(parts: Sequence[Part]) -> Summary:
            return self._run_round(
                self._plan_parts(parts), partial(self._record_parts, parts), device=device, lock=lock,
                progress=progress(standing, () if parts is first else parts), is_over=is_over,
            )  # fmt: skip

        def ask() -> Sequence[Need]:
            nonlocal standing
            decision = self.decide()
            standing = decision.in_words()
            report(standing)
            return decision.needs

        summary = run_rounds(first, decide=ask, run=run, is_over=is_over)
        if is_over() and not summary.failures and (summary.n_left or self.decide(keep=False).needs):
            report("the time limit is reached; rerun the same command to resume")
        planned = self._plan_parts([_whole(e, self.first_plan(e).seeds) for e in self.experiments])
        return replace(summary, results=[p.result for p in planned if p.result is not None])

    @property
    def _first_parts(self) -> list[Part]:
        return [_whole(e, self.first_seeds(e)) for e in self.experiments]

    def first_plan(self, experiment: Experiment) -> Plan:
        """An experiment's plan as the first round of trials makes it: what is there, then the seeds asked for now."""
        plan = find_plan(self.logdir, experiment.name)
        if plan is None or not plan.seeds:
            return new_plan(experiment, self.description, self.seeds)
        return replace(plan, experiment=experiment, seeds=tuple(dict.fromkeys((*plan.seeds, *self._seeds_asked))))

    def first_seeds(self, experiment: Experiment) -> tuple[int, ...]:
        """The seeds that every configuration gets: those of the first look, and the ones asked for now."""
        from gridstudy.statistics.looks import Schedule

        plan = self.first_plan(experiment)
        first = Schedule(plan.seeds, plan.first_look).extended(plan.first_look)
        return tuple(dict.fromkeys((*first, *self._seeds_asked)))

    def check_first_look(self) -> None:
        """Refuse, look by look, a number of seeds that ends before the first look."""
        for experiment in self.experiments if self.until else ():
            if (n := self.first_plan(experiment).first_look) > self.most_seeds:
                raise StudyError(
                    f"--most-seeds must allow the first look; that of {experiment.name} is at {n} seeds; "
                    f"got {self.most_seeds}"
                )

    @property
    def _seeds_asked(self) -> tuple[int, ...]:
        return () if self.are_seeds_default else self.seeds

    def _plan_parts(self, parts: Sequence[Part]) -> list[PlannedTrial]:
        from gridstudy.running.until import distinct

        plan = partial(plan_trials, subject=self.subject, data=self.data, logdir=self.logdir)
        return distinct(
            p for e, names, seeds in parts
            for p in plan([replace(e, configurations=tuple(c for c in e.configurations if c.name in names))], seeds)
        )  # fmt: skip

    def _record_parts(self, parts: Sequence[Part]) -> None:
        for experiment, _, seeds in parts:
            record_plans(self.logdir, [experiment], subject=self.subject, data=self.data, seeds=seeds)

    def decide(self, *, keep: bool = True) -> Decision:
        """Decide from the records which arms need more seeds, and `keep` the verdicts that were reached."""
        from gridstudy.cli.analysis import read_stored, store
        from gridstudy.statistics.decisions import decide

        decision = decide(
            self.load_records(), experiments=[e.name for e in self.experiments],
            goal="recommended" if self.until == "recommended" else "decided", stored=read_stored(self.logdir),
            most_seeds=self.most_seeds,
        )  # fmt: skip
        if keep:
            store(self.logdir, decision.stored)
        return decision

    def load_records(self) -> Records:
        """The records of this subject on these data, with the plans as they are once the study has begun."""
        from gridstudy.records.tables import load_records

        records, now = load_records(self.logdir), {e.name: self.first_plan(e) for e in self.experiments}
        trials = records.trials
        for name, value in identify_group(self.subject, self.data).items():
            trials = trials[trials[name] == value]
        plans = {**{plan.experiment.name: plan for plan in records.plans}, **now}
        return replace(records, trials=trials, plans=tuple(sorted(plans.values(), key=lambda p: p.experiment.order)))

    def _with_mlflow(self, progress: Progress) -> Progress:
        from gridstudy.running.mlflow_log import MLflowProgress

        assert self.mlflow is not None
        return MLflowProgress(
            progress, uri=self.mlflow, logdir=self.logdir, experiments=self.experiments,
            description=self.description, warn=self.warn,
        )  # fmt: skip

    def _launch(self, device: str, lock: Lock) -> tuple[Callable[..., Any], Launcher]:
        """How to train trials, and the launcher that has it done."""
        from gridstudy.running.trials import run_trials

        if self.launcher == "ray":
            return self._on_ray(device, lock)
        train = partial(
            run_trials, source=self.source, data=self.data, logdir=self.logdir, device=device, check=lock.check,
            owner=lock.token,
        )  # fmt: skip
        if not self.source.is_portable:
            from gridstudy.running.launchers import InProcessLauncher

            return train, InProcessLauncher()
        self._local_launcher.n_workers = self.count_workers(device) or 1
        return train, self._local_launcher

    @cached_property
    def _local_launcher(self) -> Any:
        from gridstudy.running.launchers import LocalLauncher
        from gridstudy.running.remote import set_up_process

        preload = ["gridstudy.running.trials"]
        if self.source.module:
            preload.append(f"{self.source.module.rpartition('.')[0]}.training")
        return LocalLauncher(1, preload=preload, setup=partial(set_up_process, self.source))

    def _on_ray(self, device: str, lock: Lock) -> tuple[Callable[..., Any], Launcher]:
        from gridstudy.running.cores import count_cores
        from gridstudy.running.ray_launcher import RayLauncher
        from gridstudy.running.remote import place_trials, train_remotely

        portable = self.subject.portable
        data = replace(self.data, content=portable(self.data.content)) if portable else self.data
        launcher = RayLauncher(
            self.n_workers if self.ray_address else self.n_workers or count_cores(),
            address=self.ray_address, gpus_per_job=self.gpus_per_trial, shared={"data": data},
            receive=partial(place_trials, logdir=self.logdir, check=lock.check),
        )  # fmt: skip
        return partial(train_remotely, source=self.source, device=device), launcher
