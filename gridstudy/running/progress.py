"""How a running study looks: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun

PLAIN_INTERVAL_S = 5.0


class StudyTracker:
    """Counts what happens to trials, and says it in words; the displays below draw it."""

    def __init__(self) -> None:
        self.n_trials = 0
        self.n_done = 0
        self.n_failed = 0
        self.running: dict[TrialConfig, float] = {}
        self._objectives: dict[str, list[float]] = defaultdict(list)
        self._work_left = 0.0
        self._work_done = 0.0
        self._clock = time.monotonic()

    def start(self, *, n_trials: int, results: Iterable[TrialResult], work_left: float) -> None:
        self.n_trials, self._work_left, self._clock = n_trials, work_left, time.monotonic()
        for result in results:
            self._count(result)

    def trial_started(self, trial: TrialConfig) -> None:
        self.running[trial] = time.monotonic()

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None:
        self._leave(result.trial)
        self._count(result)

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        if final:
            self._leave(trial)
            self.n_failed += 1
        else:
            self.running.pop(trial, None)

    def stop(self) -> None:
        self.running.clear()

    def time_left(self) -> float | None:
        """Seconds, once anything is done to tell from."""
        if not self._work_done:
            return None
        return (time.monotonic() - self._clock) / self._work_done * self._work_left

    def best(self) -> str:
        """The configuration of the highest mean so far, with that mean and the number of its seeds."""
        if not self._objectives:
            return "none yet"
        name, values = max(self._objectives.items(), key=lambda item: fmean(item[1]))
        return f"{name} {fmean(values):.1%} (mean of {len(values)} seed{'s' * (len(values) > 1)})"

    def headline(self) -> str:
        left = self.time_left()
        remaining = "" if left is None else f", about {format_duration(left)} left"
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        return f"{self.n_done} of {self.n_trials} trials done{failed}{remaining}; best so far: {self.best()}"

    def _leave(self, trial: TrialConfig) -> None:
        self.running.pop(trial, None)
        cost = trial.configuration.work
        self._work_done += cost
        self._work_left -= cost

    def _count(self, result: TrialResult) -> None:
        self.n_done += 1
        self._objectives[result.trial.configuration.name].append(result.score)


class PlainProgress(StudyTracker):
    """A line of ASCII every few seconds, and one per failure."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._last_line = 0.0

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None:
        super().trial_finished(result, run)
        if time.monotonic() - self._last_line > PLAIN_INTERVAL_S or self.n_done == self.n_trials:
            self._last_line = time.monotonic()
            self._console.print(self.headline(), soft_wrap=True, highlight=False, markup=False)

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        super().trial_failed(trial, reason, final=final)
        self._console.print(_failure_line(trial, reason, final=final), soft_wrap=True, highlight=False, markup=False)


class LiveProgress(StudyTracker):
    """A panel that stays at the foot of the terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._bar = Progress(TextColumn("trials"), BarColumn(bar_width=None), MofNCompleteColumn(), console=console)
        self._task = self._bar.add_task("trials", total=None)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

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
        self._bar.update(self._task, total=self.n_trials, completed=self.n_done + self.n_failed)
        left = self.time_left()
        now = time.monotonic()
        running = "   ".join(
            f"{trial.configuration.name} seed {trial.seed} ({now - since:.0f} s)"
            for trial, since in self.running.items()
        )
        lines = [
            f"time left  {'estimating' if left is None else 'about ' + format_duration(left)}",
            f"running    {running or 'none'}",
            f"best       {self.best()}",
            f"failed     {self.n_failed}",
        ]
        return Group(self._bar, *(Text(line, overflow="ellipsis", no_wrap=True) for line in lines))


def _failure_line(trial: TrialConfig, reason: str, *, final: bool) -> str:
    fate = "failed" if final else "failed and will be tried once more"
    return f"{trial.trial_id} {fate}: {reason}"


def format_duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def choose_progress(console: Console) -> StudyTracker:
    """The live panel on a terminal that can show it, else plain lines."""
    can_draw = console.is_terminal and not console.is_dumb_terminal and (console.encoding or "").startswith("utf")
    return LiveProgress(console) if can_draw else PlainProgress(console)
