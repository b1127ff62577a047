"""What a study that goes look by look says before it starts and at its end, and what a confirmation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gridstudy.running import console

if TYPE_CHECKING:
    from gridstudy.cli.study import StudyRun
    from gridstudy.running.planning import PlannedTrial
    from gridstudy.statistics.decisions import Decision
    from gridstudy.statistics.estimates import ExperimentEstimate


def resolution(study: StudyRun, planned: Sequence[PlannedTrial]) -> str:
    """What difference the planned seeds can find, at the level of the strictest test among the experiments."""
    from gridstudy.core.trial import LEAST_SEEDS
    from gridstudy.statistics.estimates import family_size
    from gridstudy.statistics.noise import planned_resolution

    n_seeds = len({p.trial.seed for p in planned})
    if n_seeds < LEAST_SEEDS:
        return f"comparisons begin at {LEAST_SEEDS} seeds; this plan has {n_seeds}"
    records = study.load_records()
    names = {e.name for e in study.experiments}
    own = [plan for plan in records.plans if plan.experiment.name in names]
    paired, unpaired, source = planned_resolution(
        n_seeds, records.trials, groups=[[c.name for c in plan.experiment.configurations] for plan in records.plans],
        family_size=max(family_size(plan, records.plans) for plan in own), first_look=min(p.first_look for p in own),
        is_fraction=study.subject.objective.is_fraction,
    )  # fmt: skip
    if not source:
        return "unknown until some configuration has 3 seeds"
    return console.describe_resolution(n_seeds, paired, unpaired, source, study.subject.objective)


def print_looks(decision: Decision, *, most_seeds: int, seconds: Mapping[str, float], n_workers: int) -> None:
    """The looks of each experiment, the next one, how many arms take part in it, and what all may take.

    `seconds` are those of a trial by configuration; without them no time is told.
    """
    from gridstudy.statistics.standing import plan_schedule

    needs = {need.experiment: need for need in decision.needs}
    rows = []
    for e in decision.experiments:
        sizes = [n for n in plan_schedule(e.plan, e.objectives).sizes if n <= most_seeds]
        need = needs.get(e.experiment.name)
        rows.append((
            e.experiment.name, " ".join(map(str, sizes)), _standing(decision, e), str(need.n_seeds) if need else "none",
            f"{len(need.configurations)} of {len(e.experiment.configurations)}" if need else "",
        ))  # fmt: skip
    console.print_table(
        rows, "experiment", "looks at seeds", "so far", "next look", "arms", right=("next look", "arms")
    )
    console.print_result(f"look by look: {decision.in_words()}")
    left = decision.left
    if decision.needs and seconds:
        expected_s, most_s = (
            sum(seconds[name] * n for name, n in trials.items()) for trials in (left.expected_trials, left.most_trials)
        )
        console.print_time_of_looks(
            expected_s=None if left.expected is None else expected_s, most_s=most_s, n_workers=n_workers
        )


def print_outcome(decision: Decision) -> None:
    """Each experiment with its verdict or recommendation, its look, seeds and trials, and what a fixed design takes."""
    from gridstudy.reporting.summary import outcome_line

    racing = decision.goal == "recommended"
    chosen = [e for e in decision.experiments if (e.runner_up if racing else e.verdict)]
    rows = []
    for e in chosen:
        look, n = (e.look, e.ranked_seeds) if racing or e.verdict is None else (e.verdict.look, e.verdict.n_seeds)
        seen = f"look {look}" if look else "none yet"
        rows.append((e.experiment.name, _standing(decision, e), seen, str(n), f"{e.objectives.count().sum():,}"))
    what = ("configurations of", "recommended") if racing else ("hypothesis of", "verdict")
    console.print_table(rows, *what, "look", "seeds", "trials", right=("seeds", "trials"))
    for line in filter(None, (outcome_line(e, decision.margin, racing=racing) for e in chosen)):
        console.print_result(line)
    counts = {name: n for e in decision.experiments for name, n in e.objectives.count().items()}
    if most := max((int(row[3]) for row in rows), default=0):
        console.print_result(
            f"{sum(counts.values()):,} trials in all; a fixed design with {most} seeds for every configuration takes "
            f"{most * len(counts):,}"
        )


def _standing(decision: Decision, e: ExperimentEstimate) -> str:
    """The verdict, or the arm that can be recommended."""
    from gridstudy.records.verdicts import verdict_word

    if decision.goal == "recommended":
        return e.labels[e.recommended] if e.recommended else "none yet"
    return verdict_word(e.verdict.verdict) if e.verdict else "no hypothesis"


def print_confirmed(study: StudyRun) -> None:
    """A line for each experiment: its best configuration on fresh seeds, beside what the selection said."""
    from gridstudy.cli.confirmations import confirmation_results
    from gridstudy.reporting.summary import confirmed_line
    from gridstudy.statistics.estimates import analyse

    table, _ = confirmation_results(study.logdir, analyse(study.load_records()))
    names = {e.name for e in study.experiments}
    for row in table[table["is_best"] & table["experiment"].isin(names)].to_dict("records"):
        console.print_result(confirmed_line(row, study.subject.objective))
