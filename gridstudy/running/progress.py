"""How a running study looks: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from gridstudy.core.subject import Objective
from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun
from gridstudy.running.timeouts import is_slow

PLAIN_INTERVAL_S = 5.0

NOTEBOOK_VARIABLES = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE")
"""Set where a notebook runs a command: it offers a terminal, and keeps every line that is drawn over."""

MOST_OF_A_TRIAL = 0.95
"""The share of a running trial's work that counts as done at most, however long it takes."""


class StudyTracker:
    """Counts what happens to trials, and puts it into words; the displays below draw it.

    `names` says what each configuration is called, where that is not its own name; `looks` how far a study is that
    goes look by look. Only where all configurations of the study are among the trials is a best one shown.
    """

    def __init__(
        self, objective: Objective | None = None, names: Mapping[str, str] | None = None, *, looks: str = "",
        shows_best: bool = True,
    ) -> None:  # fmt: skip
        self._objective = objective or Objective()
        self._names = names or {}
        self._looks = looks
        self._shows_best = shows_best
        self.n_trials = 0
        self.n_done = 0
        self.n_failed = 0
        self.running: dict[tuple[TrialConfig, ...], float] = {}
        self._objectives: dict[str, list[float]] = defaultdict(list)
        self._work_left = 0.0
        self._work_done = 0.0
        self._work_before = 0.0
        self._seconds_done = 0.0
        self._work_timed = 0.0
        self._clock = time.monotonic()

    def start(self, *, n_trials: int, results: Iterable[TrialResult], work_left: float) -> None:
        self.n_trials, self._work_left, self._clock = n_trials, work_left, time.monotonic()
        for result in results:
            self._work_before += result.trial.configuration.work
            self._count(result)

    def trials_started(self, trials: Sequence[TrialConfig]) -> None:
        self.running[tuple(trials)] = time.monotonic()

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None:
        self._leave(result.trial)
        self._seconds_done += run.duration_s
        self._work_timed += result.trial.configuration.work
        self._count(result)

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        self._leave(trial, is_done=final)
        self.n_failed += final

    def stop(self) -> None:
        self.running.clear()

    def estimate_s(self, *trials: TrialConfig) -> float | None:
        """Seconds that trials should take, once one has finished to tell from."""
        if not self._work_timed:
            return None
        return self._seconds_done / self._work_timed * _work_of(trials)

    def work(self) -> tuple[float, float]:
        """Estimated work that is done and in all, in the unit of Configuration.work, running trials included."""
        total = self._work_before + self._work_done + self._work_left
        return self._work_before + self._work_done + self._work_running(), total

    def time_left(self) -> float | None:
        """Seconds, once anything is done to tell from."""
        if not self._work_done:
            return None
        running = self._work_running()
        elapsed_s = time.monotonic() - self._clock
        return elapsed_s / (self._work_done + running) * (self._work_left - running)

    def _work_running(self) -> float:
        """The work that running trials have done, as far as the time they have taken tells."""
        now, done = time.monotonic(), 0.0
        for trials, since in self.running.items():
            estimate_s = self.estimate_s(*trials)
            if estimate_s:
                done += min((now - since) / estimate_s, MOST_OF_A_TRIAL) * _work_of(trials)
        return done

    def describe_running(self) -> str:
        """The running trials with their seconds; one that takes far longer than it should is called slow."""
        now = time.monotonic()
        return "   ".join(
            f"{self.name_of(trials[0])} seed{'s' * (len(trials) > 1)} {', '.join(str(t.seed) for t in trials)} "
            f"({'SLOW, ' if is_slow(now - since, self.estimate_s(*trials)) else ''}{format_duration(now - since)})"
            for trials, since in self.running.items()
        )

    def best(self) -> str:
        """The configuration of the highest mean so far, with that mean and the number of its seeds."""
        if not self._objectives:
            return "none yet"
        sign = self._objective.sign
        name, values = max(self._objectives.items(), key=lambda item: sign * fmean(item[1]))
        mean = self._objective.show(fmean(values), digits=1)
        return f"{name} {mean} (mean of {len(values)} seed{'s' * (len(values) > 1)})"

    def name_of(self, trial: TrialConfig) -> str:
        """What a trial's configuration is called."""
        return self._names.get(trial.configuration.name, trial.configuration.name)

    def headline(self) -> str:
        left = self.time_left()
        remaining = "" if left is None else f", about {format_duration(left)} left"
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        done, total = self.work()
        share = f" ({done / total:.0%} of the work)" if total else ""
        best = f"; best so far: {self.best()}" if self._shows_best else ""
        return f"{self.n_done} of {self.n_trials} trials done{share}{failed}{remaining}{best}"

    def _leave(self, trial: TrialConfig, *, is_done: bool = True) -> None:
        self.running = {trials: since for trials, since in self.running.items() if trial not in trials}
        if is_done:
            self._work_done += trial.configuration.work
            self._work_left -= trial.configuration.work

    def _count(self, result: TrialResult) -> None:
        self.n_done += 1
        if not result.diverged:
            self._objectives[self.name_of(result.trial)].append(result.score)


def _work_of(trials: Iterable[TrialConfig]) -> float:
    return sum(trial.configuration.work for trial in trials)


class PlainProgress(StudyTracker):
    """A line of ASCII every few seconds, and one per failure."""

    def __init__(
        self, console: Console, objective: Objective | None = None, names: Mapping[str, str] | None = None, *,
        looks: str = "", shows_best: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(objective, names, looks=looks, shows_best=shows_best)
        self._console = console
        self._last_line = 0.0

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None:
        super().trial_finished(result, run)
        if time.monotonic() - self._last_line > PLAIN_INTERVAL_S or self.n_done + self.n_failed == self.n_trials:
            self._last_line = time.monotonic()
            self._console.print(self.headline(), soft_wrap=True, highlight=False, markup=False)

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        super().trial_failed(trial, reason, final=final)
        self._console.print(_failure_line(trial, reason, final=final), soft_wrap=True, highlight=False, markup=False)


class LiveProgress(StudyTracker):
    """A panel at the foot of the terminal, which goes when the study ends: what is printed then has the last counts."""

    def __init__(
        self, console: Console, objective: Objective | None = None, names: Mapping[str, str] | None = None, *,
        looks: str = "", shows_best: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(objective, names, looks=looks, shows_best=shows_best)
        columns = TextColumn("work"), BarColumn(bar_width=None), TextColumn("{task.fields[counts]}")
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("work", total=None, counts="")
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def start(self, *, n_trials: int, results: Iterable[TrialResult], work_left: float) -> None:
        super().start(n_trials=n_trials, results=results, work_left=work_left)
        self._live.start()

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        super().trial_failed(trial, reason, final=final)
        self._live.console.print(_failure_line(trial, reason, final=final), markup=False, highlight=False)

    def stop(self) -> None:
        super().stop()
        self._live.stop()

    def _draw(self) -> Group:
        done, total = self.work()
        counts = f"{self.n_done} of {self.n_trials} trials done"
        self._bar.update(self._task, total=total, completed=done, counts=counts)
        left = self.time_left()
        lines = [
            f"time left  {'estimating' if left is None else 'about ' + format_duration(left)}",
            f"running    {self.describe_running() or 'none'}",
            *([f"best       {self.best()}"] if self._shows_best else []),
            f"failed     {self.n_failed}",
            *([f"looks      {self._looks}"] if self._looks else []),
        ]
        return Group(self._bar, *(Text(line, overflow="ellipsis", no_wrap=True) for line in lines))


def _failure_line(trial: TrialConfig, reason: str, *, final: bool) -> str:
    fate = "failed" if final else "failed and will be tried once more"
    return f"{trial.trial_id} {fate}: {reason}"


def format_duration(seconds: float) -> str:
    """`45 s`, `170 s`, `12 min`, `3 h 05 min`."""
    if round(seconds) < 180:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def choose_progress(
    console: Console,
    objective: Objective | None = None,
    names: Mapping[str, str] | None = None,
    *,
    looks: str = "",
    shows_best: bool = True,
    environment: Mapping[str, str] = os.environ,
) -> StudyTracker:
    """The live panel on a terminal that can show it, else plain lines; colour may be forced, the panel may not."""
    in_notebook = console.is_jupyter or any(environment.get(name) for name in NOTEBOOK_VARIABLES)
    can_draw = console.is_terminal and not console.is_dumb_terminal and (console.encoding or "").startswith("utf")
    display = LiveProgress if can_draw and console.file.isatty() and not in_notebook else PlainProgress
    return display(console, objective, names, looks=looks, shows_best=shows_best)
