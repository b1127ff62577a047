"""One way in: `FILE`, `mlflow:PATH`, `optuna:PATH` or a log directory -> a table of runs."""

from __future__ import annotations

from pathlib import Path

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.delimited import read_csv, read_parquet
from gridstudy.records.foreign.log_folders import Progress, read_log_folders
from gridstudy.records.foreign.mlflow_store import read_mlflow
from gridstudy.records.foreign.optuna_storage import read_optuna
from gridstudy.records.foreign.table import RunTable

PARQUET = b"PAR1"


def read_results(
    source: str, *, choice: str | None = None, with_steps: bool = False, progress: Progress | None = None
) -> RunTable:
    """Read results of another program; `choice` is an MLflow experiment or an Optuna study.

    Changes, locks and creates nothing beside the source. Raises StudyError, in one line, where it cannot be read.
    """
    kind, colon, rest = source.partition(":")
    if colon and kind in ("mlflow", "optuna"):
        path = _existing(rest.removeprefix("sqlite:///"))
        if kind == "mlflow":
            return read_mlflow(path, experiment=choice, with_steps=with_steps)
        return read_optuna(path, study=choice, with_steps=with_steps)
    if choice is not None:
        raise StudyError(f"--from chooses an experiment of mlflow:PATH or a study of optuna:PATH; got {source}")
    path = _existing(source)
    if path.is_dir():
        return read_log_folders(path, progress=progress)
    return read_parquet(path) if _is_parquet(path) else read_csv(path)


def _existing(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise StudyError(f"{text}: {error}") from None
    if "://" in text:
        raise StudyError(f"results of a server come in as a DataFrame, gridstudy.analyse(mlflow.search_runs(), ...); "
                         f"got {text!r}")  # fmt: skip
    if not text or not path.exists():
        raise StudyError(f"results must be a file or folder that exists; there is none at {text!r}")
    return path


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET
