"""Results of other programs from the command line: proposals, reports, exit codes and mistakes."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gridstudy
from gridstudy.cli.analyse import main
from gridstudy.cli.results import folder_name
from gridstudy.core.errors import StudyError
from tests.records.foreign.results import SAMPLES, content_of, make_database, make_grid, optuna_study, unpack

ROLES = ["--objective", "acc", "--hyperparameters", "lr,batch_size", "--seed", "seed", "--unit", "fraction"]
OUTPUTS = {"experiment_summary.csv", "report.html", "report.md", "tables", "visualizations"}
HYPOTHESES = """
[[experiment]]
name = "rate"
hypothesis = "The larger rate is better."
contrasts = [{better = {lr = 0.1}, worse = {lr = 0.01}}]
"""


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results without --output go to the current folder."""
    monkeypatch.chdir(tmp_path)


def make_runs(effect: float = 0.0, *, noise: float = 0.003) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    by_seed = rng.normal(0, 0.02, 5)
    rows = [
        {"lr": lr, "batch_size": size, "seed": seed, "acc": 0.8 + by_seed[seed] + effect * (lr == 0.1)
         + rng.normal(0, noise)}
        for lr in (0.1, 0.01) for size in (16, 32) for seed in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write(frame: pd.DataFrame, name: str = "runs.csv", **options: object) -> str:
    frame.to_csv(name, index=False, **options)  # type: ignore[call-overload]
    return name


def read(folder: str = "runs-results", table: str = "experiment_summary") -> pd.DataFrame:
    return pd.read_csv(Path(folder) / f"{table}.csv")


def fail(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    before = content_of(Path())
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("reading ")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and out == ""
    assert content_of(Path()) == before
    return lines[0]


# --- proposals -----------------------------------------------------------------------------------------------------


def test_roles_are_proposed_with_a_command_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", write(make_runs())]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert rows["lr"].split()[1] == "hyperparameter" and rows["seed"].split()[1] == "seed"
    assert rows["acc"].split()[1] == "objective" and "by its name" in rows["acc"]
    assert not list(Path().glob("*-results"))
    command = shlex.split(out.splitlines()[-1])
    assert command[:2] == ["python", "analyze_results.py"]
    assert main(command[2:]) == 0
    assert len(read()) == 4


def test_a_proposal_keeps_the_choice_of_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = make_database("mlflow-3.5", tmp_path)
    assert "choose one with --from: " in fail(["--results", f"mlflow:{database}"], capsys)
    assert main(["--results", f"mlflow:{database}", "--from", "grid"]) == 0
    assert f"--results mlflow:{database} --from grid --objective" in capsys.readouterr().out


# --- reports -------------------------------------------------------------------------------------------------------


def test_a_report_tables_and_figures_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", write(make_runs(0.03)), *ROLES]) == 0
    out = capsys.readouterr().out
    assert "20 runs of 4 configurations from runs.csv" in out
    assert "paired by the seeds that both have (column seed)" in out
    assert "nothing here is a verdict" in out
    assert {path.name for path in Path("runs-results").iterdir()} == OUTPUTS
    summary = read()
    assert summary["lr"].tolist()[:2] == [0.1, 0.1]
    assert summary["acc_mean"].is_monotonic_decreasing and (summary["n"] == 5).all()
    assert summary["tied"].tolist()[2:] == [False, False]
    comparisons, effects = read(table="tables/comparisons"), read(table="tables/effects")
    assert len(comparisons) == 6 and set(effects["hyperparameter"]) == {"lr", "batch_size"}
    row = effects[effects["hyperparameter"] == "lr"].iloc[0]
    assert abs(row["acc_difference"]) == pytest.approx(0.03, abs=0.005)
    assert {path.name for path in Path("runs-results/visualizations").iterdir()} == {
        "configurations.png",
        "effects.png",
    }
    page = Path("runs-results/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2


def test_the_same_command_writes_over_its_own_report_only() -> None:
    command = ["--results", write(make_runs()), *ROLES]
    assert main(command) == 0 and main(command) == 0
    assert [path.name for path in Path().glob("*-results*")] == ["runs-results"]
    report = Path("runs-results/report.md")
    report.write_text(report.read_text(encoding="utf-8") + "My thoughts.\n", encoding="utf-8")
    assert main(command) == 0
    assert report.read_text(encoding="utf-8").endswith("My thoughts.\n")
    assert Path("runs-results-2/report.md").exists()


def test_a_report_of_somebody_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/report.md").write_text("My thesis.")
    line = fail(["--results", write(make_runs()), *ROLES, "--output", "mine"], capsys)
    assert "another folder" in line


def test_conditions_get_an_analysis_each_and_one_over_them(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [make_runs(0.03).assign(dataset=f"set{i}", lift=i / 100) for i in range(4)]
    frame = pd.concat(parts).assign(acc=lambda table: table["acc"] + table.pop("lift"))
    frame["acc"] += np.random.default_rng(3).normal(0, 0.003, len(frame))
    assert main(["--results", write(frame), *ROLES, "--by", "dataset"]) == 0
    out = capsys.readouterr().out
    assert "under 4 conditions (dataset)" in out and "Over the conditions: " in out
    summary = read()
    assert summary["dataset"].value_counts().to_dict() == {**{f"set{i}": 4 for i in range(4)}, "all conditions": 4}
    assert (summary[summary["dataset"] == "all conditions"]["n"] == 4).all()
    assert Path("runs-results/visualizations/conditions.png").exists()


def test_one_run_per_cell_compares_values_over_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [{"layers": a, "width": 2**b, "accuracy": 0.9 - 0.01 * a + rng.normal(0, 0.002)}
         for a in range(1, 6) for b in range(5)]
    )  # fmt: skip
    assert main(["--results", write(frame), "--objective", "accuracy", "--hyperparameters", "layers,width",
                 "--unit", "fraction"]) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "none is called the best" in out and "layers 1 better than" in out and "counts as noise" in out
    rerun = read(table="rerun")
    assert len(rerun) == 25 and set(rerun) == {"layers", "width", "seed"}
    assert read()["label"].eq("single run").all()


def test_folds_are_columns_of_a_pattern_and_copies_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    scores = {f"split{i}_test_score": np.repeat(rng.uniform(0.8, 0.9, 3), 2) for i in range(5)}
    frame = pd.DataFrame({"param_C": np.repeat([1, 2, 3], 2), "param_gamma": [0.1, 0.2] * 3, **scores})
    command = ["--results", write(frame, "cv.csv"), "--objective", "split*_test_score", "--hyperparameters",
               "param_C,param_gamma", "--unit", "fraction"]  # fmt: skip
    assert main([*command, "--folds", "5"]) == 0
    out = capsys.readouterr().out
    assert "Nadeau and Bengio" in out and "3 configurations have exactly the record of another" in out
    assert "6 configurations are 3 different records" in out
    assert main(command) == 0
    assert "give --folds K" in capsys.readouterr().out


def test_a_european_table_of_percentages_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    frame = make_runs(0.03).assign(acc=lambda table: 100 * table["acc"])
    write(frame, sep=";", decimal=",", lineterminator="\r\n")
    assert main(["--results", "runs.csv", *ROLES[:-1], "percent"]) == 0
    assert "semicolon between cells and decimal commas" in capsys.readouterr().out
    assert read()["acc_mean"].between(70, 95).all()


def test_failed_runs_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    frame = make_runs().astype({"acc": object})
    frame.loc[0, "acc"] = "crashed"
    frame.loc[7, "acc"] = np.nan
    assert main(["--results", write(frame), *ROLES]) == 0
    assert "left out: 2 no objective" in capsys.readouterr().out
    assert read()["n_failed"].sum() == 2
    assert read(table="tables/problems")["path"].tolist() == ["runs.csv: row 2", "runs.csv: row 9"]
    assert "1 of 5 failed" in " ".join(read()["label"])


def test_a_failure_logged_as_a_number_is_named_and_left_in(capsys: pytest.CaptureFixture[str]) -> None:
    frame = make_runs().rename(columns={"acc": "loss"})
    frame.loc[3, "loss"] = 999.0
    roles = ["--objective", "loss", "--hyperparameters", "lr,batch_size", "--seed", "seed", "--margin", "0.01"]
    assert main(["--results", write(frame), *roles]) == 0
    out = capsys.readouterr().out
    assert "Far from all others: 999 in row 5" in out and "--minimise" in out
    assert main(["--results", "runs.csv", *roles, "--minimise", "--where", "loss!=999"]) == 0
    out = capsys.readouterr().out
    assert "999" not in out and "lowest mean" in out


def test_best_over_epochs_is_called_a_selection(capsys: pytest.CaptureFixture[str]) -> None:
    frame = make_runs()
    steps = pd.concat([frame.assign(epoch=e, acc=frame["acc"] - 0.01 * abs(e - 2)) for e in (1, 2, 3)])
    assert main(["--results", write(steps), *ROLES, "--epoch", "epoch", "--at", "best"]) == 0
    out = capsys.readouterr().out
    assert "a selection by the same data, on average 1.00 points better than the last" in out


def test_the_cheapest_within_the_margin_is_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    frame = make_runs(noise=0.0005).assign(flops=lambda table: table["batch_size"] * table["lr"])
    assert main(["--results", write(frame), *ROLES, "--cost", "flops"]) == 0
    assert "lr=0.01,batch_size=16 is the cheapest (flops 0.16) of 4" in capsys.readouterr().out
    assert read()["recommended"].sum() == 1


# --- hypotheses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "noise", "code", "word"),
    [(0.03, 0.003, 0, "supported"), (-0.03, 0.003, 3, "contradicted"), (0.0, 0.0005, 3, "no practical difference"),
     (0.0, 0.02, 4, "cannot tell")],
)  # fmt: skip
def test_check_holds_a_claim(
    effect: float, noise: float, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(make_runs(effect, noise=noise))
    roles = '[results]\nfile = "runs.csv"\nobjective = "acc"\nhyperparameters = ["lr", "batch_size"]\n'
    Path("study.toml").write_text(f'{roles}seed = "seed"\nunit = "fraction"\n{HYPOTHESES}')
    assert main(["--study", "study.toml", "--check"]) == code
    out = capsys.readouterr().out
    assert word in out and "written after the results" in out and "nothing here is a verdict" not in out
    assert main(["--study", "study.toml"]) == 0


def test_check_without_a_hypothesis_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", write(make_runs()), *ROLES, "--check"]) == 2
    assert "--check needs at least one hypothesis" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = 1", "[results]"), ("[results]\nsede = 's'", "did you mean 'seed'"),
     ("[[experiment]]\nname = 'a'", "contrasts"),
     ("[results]\nfile = 3", "must be a text"), ("= 3", "not valid TOML"),
     (HYPOTHESES + HYPOTHESES, "one name"), (HYPOTHESES.replace("worse", "wrose"), "a contrast is a table")],
)  # fmt: skip
def test_mistakes_in_a_study_file_are_one_line(text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.toml").write_text(text)
    assert words in fail(["--results", write(make_runs()), *ROLES, "--study", "study.toml"], capsys)


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--objective", "ac"], "did you mean 'acc'"), (["--objective", "acc"], "an objective and hyperparameters"),
     ([*ROLES, "--where", "lr=7"], "no row has lr=7"), ([*ROLES, "--folds", "x"], "folds must be a whole number"),
     ([*ROLES, "--at", "first"], "at must be last"), ([*ROLES[:-2]], "--margin"),
     ([*ROLES, "--margin", "x"], "margin must be a number"), ([*ROLES, "--seed", ""], "must not be empty"),
     ([*ROLES, "--from", "x"], "--from chooses"), (["--objective", "acc", "--hyperparameters", "lr", "--seed", "seed"],
      "'batch_size'")],
)  # fmt: skip
def test_mistakes_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if arguments == ["--objective", "ac"]:
        arguments = [*arguments, *ROLES[2:]]
    assert words in fail(["--results", write(make_runs()), *arguments], capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"lr,acc\n", "no rows"), (b"\x00\x01\x02", "not text"), (b"lr,acc\n1,2\n\x81\xff,3\n", "row 3")],
)
def test_files_that_hold_no_runs_are_one_line(content: bytes, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_bytes(content)
    assert words in fail(["--results", "bad.csv"], capsys)


def test_two_rows_of_one_run_suggest_the_column_that_separates_them(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.concat([make_grid(seeds=range(3)).assign(machine=name) for name in ("a", "b")])
    line = fail(["--results", write(frame), *ROLES], capsys)
    assert "rows 2 and 14" in line and "--block machine" in line


# --- sources -------------------------------------------------------------------------------------------------------


def test_a_store_of_mlflow_is_analysed_and_left_alone(tmp_path: Path) -> None:
    folder = unpack("mlruns-3.5", tmp_path)
    before = content_of(folder)
    assert main(["--results", f"mlflow:{folder}", "--from", "grid"]) == 0
    assert content_of(folder) == before
    assert folder_name(f"mlflow:{folder}", "grid") == "mlruns-grid-results"


def test_a_compressed_table_gets_the_folder_of_the_table_itself() -> None:
    assert folder_name("a/runs.csv.gz", None) == "runs-results" == folder_name("runs.csv", None)
    assert folder_name("runs", None) == "runs-results"


def test_a_command_says_what_is_to_be_filled_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", write(make_runs().rename(columns={"acc": "y"}))]) == 0
    words = "fill in the objective (COLUMN) and the smallest difference that matters (NUMBER) and paste:"
    assert words in capsys.readouterr().out


def test_log_folders_need_no_roles_and_take_any_tag(capsys: pytest.CaptureFixture[str]) -> None:
    logs = str(SAMPLES / "mltrainer-0.2.5")
    assert main(["--logdir", logs, "--objective", "Loss/test", "--minimise", "--margin", "0.1", "--output", "out"]) == 0
    out = capsys.readouterr().out
    assert "Loss/test: lower is better" in out and "1 interrupted" in out
    assert set(read("out")["n"]) <= {1, 2, 3}
    assert "no tag" in fail(["--logdir", logs, "--objective", "Loss/tset"], capsys)


@pytest.mark.parametrize("version", ["0.1.124", "0.2.5"])
def test_log_folders_are_still_analysed_without_roles(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--logdir", str(SAMPLES / f"mltrainer-{version}"), "--output", "out"]) == 0
    assert "3 foreign" in capsys.readouterr().out
    assert len(read("out")) >= 2


def test_trials_of_a_sampler_that_repeat_each_other_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    with optuna_study(Path("study.db")) as study:
        for number in range(12):
            study.enqueue_trial({"width": 8 * (1 + number % 2), "seed": (number // 2) % 3})
        study.optimize(lambda t: t.suggest_int("width", 8, 16) + t.suggest_int("seed", 0, 2) ** 2 / 10, n_trials=12)
    assert main(["--results", "optuna:study.db"]) == 0
    assert "--hyperparameters width --seed seed" in capsys.readouterr().out
    assert main(["--results", "optuna:study.db", "--objective", "value", "--hyperparameters", "width", "--seed", "seed",
                 "--margin", "1"]) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "6 of 12 runs repeat another" in out and "sampler chose how often" in out
    assert (read("study-results")["n"] == 3).all()


# --- Python --------------------------------------------------------------------------------------------------------


def test_a_data_frame_is_analysed_from_python(tmp_path: Path) -> None:
    found = gridstudy.analyse(
        make_runs(0.03), objective="acc", hyperparameters=["lr", "batch_size"], seed="seed", unit="fraction",
        output=tmp_path / "out",
    )  # fmt: skip
    assert found.estimates.configurations["tied"].tolist()[2:] == [False, False]
    assert {path.name for path in (tmp_path / "out").iterdir()} == OUTPUTS
    with pytest.raises(StudyError, match="has no column 'ac'"):
        gridstudy.analyse(make_runs(), objective="ac", hyperparameters=["lr"])
    with pytest.raises(StudyError, match="describe a DataFrame"):
        gridstudy.analyse("logs", objective="acc", hyperparameters=["lr"])  # type: ignore[call-overload]


# --- our own logs --------------------------------------------------------------------------------------------------


def _prepare() -> gridstudy.Data:
    rows = (np.arange(12.0).reshape(6, 2), np.arange(6))
    return gridstudy.make_data("toy", train=rows, validation=rows, test=rows, origin="made here")


def _train(trial: gridstudy.TrialConfig, data: object, folder: Path, device: str, report: object) -> gridstudy.Outcome:
    width = trial.configuration["width"]
    return gridstudy.Outcome(0.5 + 0.1 * width + 0.001 * (trial.seed * width % 3))


@pytest.mark.parametrize(("better", "code"), [(2, 0), (1, 3)])
def test_check_reads_the_verdicts_of_our_own_logs(better: int, code: int) -> None:
    experiment = {
        "name": "width", "question": "Which width?", "hypothesis": "One beats the other.", "scientific": ["width"],
        "contrasts": [{"better": {"width": better}, "worse": {"width": 3 - better}}], "grid": {"width": [1, 2]},
    }  # fmt: skip
    subject = gridstudy.Subject(
        name="toy", space=[gridstudy.Hyperparameter("width", 1, low=1, high=8)], train=_train, prepare=_prepare,
        objective=gridstudy.Objective("score"), experiments=[experiment],
    )  # fmt: skip
    gridstudy.run(subject, seeds=3, logdir="logs")
    assert main(["--logdir", "logs", "--output", "out", "--check"]) == code
