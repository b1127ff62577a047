"""Run and analyse a study from Python, as a notebook does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from gridstudy.core.errors import StudyError
from gridstudy.core.subject import Subject
from gridstudy.records.foreign.options import ResultOptions, check_folds, check_margin, parse_at, parse_names

if TYPE_CHECKING:
    import pandas as pd

    from gridstudy.reporting.results.findings import ResultFindings
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
    """Train the missing trials of a study and return a summary; call it again to resume.

    `subject` is a Subject, the path of a file that defines one, or None for MLPs on Fashion-MNIST. `experiments` are
    names of the subject's experiments or groups, or tables as in its `experiments` (default: all). `seeds` is a number
    of replicates, or the seeds. A Subject that is not in a file trains in this process, one trial at a time. Raises
    StudyError for mistakes that the caller can correct.
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
    return study.run(progress=lambda *_: console.choose_progress(study.experiments_run, study.description))


def _source_of(subject: Subject | str | Path | None) -> Any:
    from gridstudy.running.subjects import SubjectSource, source_of_file

    if subject is None:
        return SubjectSource(module="gridstudy.fashion.subject")
    return SubjectSource(here=subject) if isinstance(subject, Subject) else source_of_file(Path(subject))


@overload
def analyse(
    source: pd.DataFrame, *, objective: str | Sequence[str], hyperparameters: str | Sequence[str],
    seed: str | None = None, block: str | None = None, start: str | None = None, by: str | None = None,
    epoch: str | None = None, at: str | int = "last", cost: str | None = None, ignore: str | Sequence[str] = (),
    where: str | Sequence[str] = (), unit: str | None = None, minimise: bool = False, folds: int | None = None,
    margin: float | None = None, output: str | Path | None = None,
) -> ResultFindings: ...  # fmt: skip


@overload
def analyse(
    source: str | Path = "modellogs", *, margin: float | None = None, output: str | Path | None = None
) -> Findings: ...


def analyse(
    source: str | Path | pd.DataFrame = "modellogs", *, objective: str | Sequence[str] = (),
    hyperparameters: str | Sequence[str] = (), seed: str | None = None, block: str | None = None,
    start: str | None = None, by: str | None = None, epoch: str | None = None, at: str | int = "last",
    cost: str | None = None, ignore: str | Sequence[str] = (), where: str | Sequence[str] = (),
    unit: str | None = None, minimise: bool = False, folds: int | None = None, margin: float | None = None,
    output: str | Path | None = None,
) -> Findings | ResultFindings:  # fmt: skip
    """Analyse a log directory or a DataFrame; with `output`, also write tables, figures and a report there.

    `margin` is the difference that does not matter: in percentage points where the objective is a fraction, else in
    its unit. For a log directory, `findings.estimates.summary`, `.comparisons` and `.verdicts` are DataFrames. A
    DataFrame as the source has a row per run of another program; its columns are named as for `python
    analyze_results.py --results`, and `findings.estimates.configurations`, `.comparisons` and `.effects` are
    DataFrames. Raises StudyError where there is nothing to analyse.
    """
    if not isinstance(source, (str, Path)):
        options = ResultOptions(
            _names(objective, "objective"), _names(hyperparameters, "hyperparameters"), seed, block, start, by, epoch,
            parse_at(at), cost, _names(ignore, "ignore"), _names(where, "where"), unit, minimise,
            None if folds is None else check_folds(folds), None if margin is None else check_margin(margin),
        )  # fmt: skip
        return _analyse_frame(source, options, output=None if output is None else Path(output))
    if objective or hyperparameters:
        raise StudyError("objective and hyperparameters describe a DataFrame; for files, read them with pandas first")
    return _analyse_logdir(Path(source), margin=margin, output=None if output is None else Path(output))


def _names(value: str | Sequence[str], key: str) -> tuple[str, ...]:
    return parse_names(value, key=key) if value else ()


def _analyse_frame(frame: pd.DataFrame, options: ResultOptions, *, output: Path | None) -> ResultFindings:
    from gridstudy.cli.results import analyse_table, choose_folder
    from gridstudy.records.foreign.delimited import table_of_frame
    from gridstudy.reporting.figures import import_matplotlib

    import_matplotlib()
    findings = analyse_table(table_of_frame(frame), options, command="gridstudy.analyse(frame, ...)")
    if output is not None:
        from gridstudy.reporting.results.report import write_results

        write_results(findings, choose_folder(output, "", choice=None), format="png")
    return findings


def _analyse_logdir(logdir: Path, *, margin: float | None, output: Path | None) -> Findings:
    from gridstudy.cli.analysis import analyse_logdir, write_results

    findings, _ = analyse_logdir(logdir, margin=margin, command=f"gridstudy.analyse({str(logdir)!r})")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_results(findings, output, format="png")
    return findings
