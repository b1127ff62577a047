"""Run and analyse a study from Python, as a notebook does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.subject import Subject

if TYPE_CHECKING:
    from gridstudy.running.runner import Summary
    from gridstudy.statistics.findings import Findings


def run(
    subject: Subject | str | Path | None = None,
    experiments: Sequence[str | Mapping[str, Any]] = (),
    *,
    seeds: int | Sequence[int] = 5,
    logdir: str | Path = "modellogs",
    workers: int | None = None,
    device: str = "auto",
) -> Summary:
    """Train what is missing of a study and return what is there at the end; run it again to resume.

    `subject` is a Subject, the path of a file that defines one, or None for MLPs on Fashion-MNIST. `experiments` are
    names of the subject's experiments or groups, or tables as in its `experiments` (default: all). `seeds` is a number
    of replicates, or the seeds. A Subject that is not in a file trains in this process, one trial at a time. Raises
    StudyError for what the caller can mend.
    """
    from gridstudy.cli.study import StudyRun
    from gridstudy.core.selection import select_experiments
    from gridstudy.running import console

    source = _source_of(subject)
    loaded = source.load()
    own = [table for table in experiments if not isinstance(table, str)]
    names = [name if isinstance(name, str) else str(name["name"]) for name in experiments]
    study = StudyRun(
        source=source, subject=loaded, experiments=select_experiments(loaded, names, own=own),
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds), logdir=Path(logdir),
        n_workers=workers, device=device, warn=console.warn,
    )  # fmt: skip
    study.check_options()
    return study.run(progress=lambda: console.choose_progress(study.experiments_run, study.description))


def _source_of(subject: Subject | str | Path | None) -> Any:
    from gridstudy.running.subjects import SubjectSource, source_of_file

    if subject is None:
        return SubjectSource(module="gridstudy.fashion.subject")
    return SubjectSource(here=subject) if isinstance(subject, Subject) else source_of_file(Path(subject))


def analyse(
    logdir: str | Path = "modellogs", *, margin: float | None = None, output: str | Path | None = None
) -> Findings:
    """Estimate all that the records in `logdir` say; with `output`, write tables, figures and report there too.

    `margin` is the difference that does not matter: in percentage points where the objective is a fraction, else in its
    unit. `findings.estimates.summary`, `.comparisons` and `.verdicts` are DataFrames. Raises StudyError where there is
    nothing to analyse.
    """
    from gridstudy.cli.analysis import analyse_logdir, write_results

    findings, _ = analyse_logdir(Path(logdir), margin=margin, command=f"gridstudy.analyse({str(logdir)!r})")
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
        write_results(findings, Path(output), format="png")
    return findings
