"""Each kind of results that real programs were seen to leave, through the command line.

Stores and logs are in tests/samples, made by `make_samples.py` with the programs themselves; tables are made here.
"""

from __future__ import annotations

import itertools
import shlex
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridstudy.cli.analyse import main
from gridstudy.reporting.results import report
from tests.records.foreign.results import SAMPLES, content_of, make_database, make_grid, optuna_study, unpack


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results go to the current folder; figures have tests of their own and take their time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "draw_figures", lambda *_, **__: [])


class Screen:
    """Runs the command line and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--output", "out"]) == code
        out, err = self.capsys.readouterr()
        return err.splitlines()[-1] if code else out

    def propose(self, source: str, *more: str) -> tuple[dict[str, str], list[str]]:
        """The proposed role of each column, and the arguments of the command to paste."""
        assert main(["--results", source, *more]) == 0
        lines = self.capsys.readouterr().out.splitlines()
        heading = next(line for line in lines if line.startswith("column "))
        begin, end = heading.index("proposed role"), heading.index("why")
        table = lines[lines.index(heading) + 1 : lines.index("", lines.index(heading))]
        return {row[:begin].strip(): row[begin:end].strip() for row in table}, shlex.split(lines[-1])[2:]


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(capsys)


def read(table: str = "experiment_summary") -> pd.DataFrame:
    return pd.read_csv(Path("out") / f"{table}.csv")


def write(frame: pd.DataFrame) -> str:
    frame.to_csv("runs.csv", index=False)
    return "runs.csv"


ACC = ("--objective", "acc", "--unit", "fraction", "--hyperparameters")


# --- logs of mltrainer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.1.124", "0.2.2", "0.2.4", "0.2.5", "0.3.6"])
def test_networks_of_unlike_widths_are_never_pooled(version: str, screen: Screen) -> None:
    before = content_of(SAMPLES)
    out = screen("--results", str(SAMPLES / f"mltrainer-{version}"))
    assert "3 runs of 2 configurations" in out and "1 interrupted" in out
    assert read().set_index("units1")["n"].sort_index().to_dict() == {8: 1, 16: 1}
    assert screen("--logdir", str(SAMPLES / f"mltrainer-{version}")).count("3 foreign") == 1
    assert read().set_index("units1")["n"].sort_index().to_dict() == {8: 1, 16: 2}
    assert content_of(SAMPLES) == before


def test_a_convolutional_network_is_named_by_all_that_differs(screen: Screen) -> None:
    logs = pytest.importorskip("tests.mltrainer_logs")
    for i, filters in enumerate((16, 16, 16, 32, 32, 32)):
        folder = Path(f"logs/2024010{i}-120000")
        logs.write_run(folder, (0.5, 0.6, 0.7 + i / 100))
        model = (folder / "model.toml").read_text().replace("units2 = 32", f"units2 = 32\nfilters = {filters}")
        (folder / "model.toml").write_text(model)
    plain = Path("logs/20240107-120000")
    logs.write_run(plain)
    screen("--logdir", "logs")
    names = read()["configuration"]
    assert len(names) == 3 and sum("filters=16" in name for name in names) == 1


def test_a_loss_may_be_the_objective_of_logs_without_accuracy(screen: Screen) -> None:
    logs = pytest.importorskip("tests.mltrainer_logs")
    for i in range(6):
        logs.write_settings(Path(f"logs/run{i}"), lr=0.1 if i % 2 else 0.01)
        Path(f"logs/run{i}/model.toml").write_text(logs.MODEL.format(units1=64, address=hex(id(logs))))
        with logs.SummaryWriter(log_dir=f"logs/run{i}") as writer:
            for epoch in range(3):
                writer.add_scalar("Loss/train", 1 / (epoch + 1), epoch)
                writer.add_scalar("Loss/test", 1 / (epoch + 1) + 0.2 * (i % 2) + i / 100, epoch)
    line = screen("--results", "logs", code=2)
    assert "has no metric/Accuracy; choose the objective with --objective: Loss/train, Loss/test" in line
    out = screen("--logdir", "logs", "--objective", "Loss/test", "--minimise", "--margin", "0.01")
    assert "learning_rate=0.01 has the lowest mean" in out and read()["n"].tolist() == [3, 3]


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [("ModelConfig(hidden_size=64, dropout=0.2)", "ModelConfig(hidden_size=128, dropout=0.2)"),
     ("{'hidden_size': 64, 'head': {'dropout': 0.2}}", "{'hidden_size': 128, 'head': {'dropout': 0.2}}")],
)  # fmt: skip
def test_settings_in_one_text_are_hyperparameters(texts: Sequence[str], screen: Screen) -> None:
    frame = make_grid().assign(config=lambda f: np.where(f["lr"] == 0.1, *texts)).drop(columns="lr")
    roles, command = screen.propose(write(frame))
    assert (roles["config"], roles["config.hidden_size"]) == ("derived from others", "hyperparameter")
    screen(*command)
    assert set(read()["config.hidden_size"]) == {64, 128} and len(read()) == 4


def test_data_sets_are_neither_hyperparameters_nor_replicates(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    rows = [{"model": m, "dataset": f"d{d}", "seed": s, "acc": 0.5 + d / 30 + 0.01 * (m == "b") + rng.normal(0, 0.01)}
            for d in range(8) for m in "abc" for s in range(10)]  # fmt: skip
    source = write(pd.DataFrame(rows))
    line = screen("--results", source, *ACC, "model", "--seed", "seed", code=2)
    assert "are alike in model but not in 'dataset'" in line and "--by dataset" in line
    roles, command = screen.propose(source)
    assert roles["dataset"] == "condition" and command[command.index("--by") + 1] == "dataset"
    assert "under 8 conditions" in screen(*command)
    summary = read()
    assert (summary.loc[summary["dataset"] == "all conditions", "n"] == 8).all()
    assert (summary.loc[summary["dataset"] != "all conditions", "n"] == 10).all()


def test_a_table_full_of_other_columns_gives_a_command_that_works(screen: Screen) -> None:
    rng = np.random.default_rng(1)
    frame = make_grid(
        AUC=rng.random(16), total_params=[100] * 4 + [200] * 4 + [100] * 4 + [200] * 4, notes=[None] * 16,
        run_name=[f"run {i}" for i in range(16)], final_epoch=rng.integers(3, 9, 16), host=["a"] * 16,
        pid=rng.permutation(9999)[:16], started_at=[f"2024-01-{i + 1:02} 10:00:00" for i in range(16)],
        rank_test_score=rng.permutation(16), fit_time=rng.random(16),
    )  # fmt: skip
    roles, command = screen.propose(write(frame))
    assert [name for name, role in roles.items() if role == "hyperparameter"] == ["lr", "batch_size"]
    assert "16 runs of 4 configurations" in screen(*command)


def test_a_balanced_factorial_uses_all_of_its_rows(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": a, "b": b, "c": c, "seed": s, "acc": 0.8 + a / 100 + rng.normal(0, 0.002)}
            for a in range(3) for b in range(3) for c in range(5) for s in range(3)]  # fmt: skip
    out = screen("--results", write(pd.DataFrame(rows)), *ACC, "a,b,c", "--seed", "seed")
    assert "135 runs of 45 configurations" in out
    effects = read("tables/effects")
    assert effects.groupby("hyperparameter")["n_cells"].first().to_dict() == {"a": 15, "b": 15, "c": 9}
    assert (effects["n"] == 3).all()
    assert len(read("tables/interactions")) == 7


def test_sessions_that_differ_do_not_drown_a_difference(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(0, 0.06, 6)
    rows = [
        {"lr": lr, "start": 10 * session + i,
         "acc": 0.7 + level[session] + 0.007 * (lr == 0.1) + rng.normal(0, 0.002)}
        for session in range(6) for i, lr in enumerate(rng.permutation([0.1, 0.01, 0.001]))
    ]  # fmt: skip
    source = write(pd.DataFrame(rows))
    out = screen("--results", source, *ACC, "lr", "--start", "start")
    assert "Something that is not recorded differs between passes" in out
    paired = read("tables/comparisons")
    assert (paired["acc_difference_high"] - paired["acc_difference_low"] < 0.012).all()
    screen("--results", source, *ACC, "lr", "--ignore", "start")
    unpaired = read("tables/comparisons")
    assert (unpaired["acc_difference_high"] - unpaired["acc_difference_low"] > 0.05).all()


def test_one_layer_beats_five_over_the_widths(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    rows = [{"layers": n, "width": 2**w, "acc": 0.87 - 0.004 * n + rng.normal(0, 0.003)}
            for n in range(1, 6) for w in range(8)]  # fmt: skip
    out = screen("--results", write(pd.DataFrame(rows)), *ACC, "layers,width")
    assert "layers 1 better than 5" in out and "none is called the best" in out
    row = read("tables/effects").query("hyperparameter == 'layers' and a == 1 and b == 5").iloc[0]
    assert (row["unit"], row["n"], row["label"]) == ("cell", 8, "noise and interaction together")


def test_a_seed_and_a_folder_may_stand_in_the_text_of_the_settings(screen: Screen) -> None:
    grid = make_grid()
    texts = [f"Namespace(lr={r.lr}, seed={r.seed}, out='runs/{r.Index}')" for r in grid.itertuples()]
    _, command = screen.propose(write(grid.assign(args=texts).drop(columns=["lr", "seed"])))
    screen(*command)
    assert len(read()) == 4 and set(read()["n"]) == {4}


def test_one_baseline_under_five_names_shows_the_noise(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    names = ["baseline", "clean", "tuned", "final", "again"]
    rows = [{"run_name": name, "lr": 0.01, "acc": 0.8 + rng.normal(0, 0.01)} for name in names]
    rows += [{"run_name": f"lr {lr}", "lr": lr, "acc": 0.8} for lr in (0.1, 0.001)]
    screen("--results", write(pd.DataFrame(rows)), *ACC, "lr")
    summary = read().set_index("lr")
    assert summary.loc[0.01, "n"] == 5 and 0 < summary.loc[0.01, "acc_sd"] < 0.02
    assert set(read("tables/comparisons")["label"]) == {"assumes equal spread"}


# --- MLflow and Optuna ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["mlflow-3.5", "mlflow-3.17", "mlruns-3.5"])
def test_unfinished_runs_of_a_store_do_not_count_and_the_latest_step_does(
    sample: str, tmp_path: Path, screen: Screen
) -> None:
    store = unpack(sample, tmp_path) if sample.startswith("mlruns") else make_database(sample, tmp_path)
    before = content_of(tmp_path)
    source = f"mlflow:{store}"
    roles, command = screen.propose(source, "--from", "grid")
    assert (roles["tag.seed"], roles["config.dropout"], roles["metric/Accuracy"]) == (
        "seed", "hyperparameter", "objective",
    )  # fmt: skip
    assert content_of(tmp_path) == before
    out = screen(*command)
    assert "6 runs of 2 configurations" in out
    for left in ("1 failed", "1 deleted", "1 running"):
        assert left in out
    assert read()["metric/Accuracy_mean"].tolist() == pytest.approx([0.7, 0.61])
    assert screen("--results", source, code=2).startswith(f"error: {store} holds several experiments; choose one")


def test_the_parents_of_nested_runs_do_not_count(tmp_path: Path, screen: Screen) -> None:
    source = f"mlflow:{make_database('mlflow-nested', tmp_path)}"
    _, command = screen.propose(source)
    out = screen(*command)
    assert "6 runs of 2 configurations" in out and "left out: 2 parent" in out


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("kind", ["sql", "journal"])
def test_pruned_trials_with_the_best_values_do_not_count(
    version: int, kind: str, tmp_path: Path, screen: Screen
) -> None:
    pytest.importorskip("optuna")
    sample = f"optuna-{version}"
    path = make_database(sample, tmp_path) if kind == "sql" else Path(sample)
    if kind == "journal":
        path.write_bytes((SAMPLES / f"{sample}.journal").read_bytes())
    before = content_of(tmp_path)
    _, command = screen.propose(f"optuna:{path}", "--from", "width")
    assert content_of(tmp_path) == before
    out = screen(*["1" if word == "NUMBER" else word for word in command])
    assert "left out: 1 pruned, 1 fail" in out and "sampler" in out and "Study width" in out


def test_the_luckiest_of_many_repeats_is_not_called_best(screen: Screen) -> None:
    rng = np.random.default_rng(1)

    def score(trial: Any) -> float:
        return float((0.81 if trial.suggest_int("width", 8, 16) == 8 else 0.82) + rng.normal(0, 0.01))

    with optuna_study(Path("study.db")) as study:
        for width in [8] * 92 + [16] * 4:
            study.enqueue_trial({"width": width})
        study.optimize(score, n_trials=96)
        assert study.best_params == {"width": 8}
    screen("--results", "optuna:study.db", "--objective", "value", "--hyperparameters", "width", "--unit", "fraction")
    summary = read()
    assert summary["width"].tolist() == [16, 8] and summary["n"].tolist() == [4, 92]


# --- scikit-learn --------------------------------------------------------------------------------------------------


def test_rows_that_are_one_record_count_once(screen: Screen) -> None:
    rng = np.random.default_rng(0)
    rows = itertools.product((1, 10), ("linear", "rbf"), ("scale", "0.1", "0.01"))
    frame = pd.DataFrame(rows, columns=["param_C", "param_kernel", "param_gamma"])
    effective = frame["param_C"].astype(str) + np.where(frame["param_kernel"] == "rbf", frame["param_gamma"], "")
    for i in range(5):
        values = {name: rng.uniform(0.8, 0.9) for name in effective.unique()}
        frame[f"split{i}_test_score"] = effective.map(values)
    frame["mean_test_score"], frame["std_test_score"] = frame.filter(like="split").mean(axis=1), 0.01
    _, command = screen.propose(write(frame.assign(params="{}")))
    assert command[command.index("--folds") + 1] == "5"
    out = screen(*command)
    assert "12 configurations are 8 different records" in out and "Nadeau and Bengio" in out
    line = screen("--results", "runs.csv", "--objective", "mean_test_score", "--unit", "fraction",
                  "--hyperparameters", "param_C,param_kernel,param_gamma", code=2)  # fmt: skip
    assert "holds means over runs" in line and "--objective 'split*_test_score'" in line


# --- how cells are written -----------------------------------------------------------------------------------------

MESSY = """\
# made on Tuesday\r
;lr;seed;"Test Acc";loss;took\r
0;"0,1";0;"81,2";0,5;15,75 min\r
1;"0,1";1;"81,9";0,4;16 min\r
2;"0,1";2;"80,9";0,6;1 h\r
3;"0,01";0;"79,1";999;15 min\r
4;"0,01";1;"79,9";0,8;15 min\r
5;"0,01";2;"78,8";-;15 min\r
"""


def test_a_messy_file_is_read_as_a_person_would(screen: Screen) -> None:
    Path("runs.csv").write_bytes(MESSY.encode())
    roles, command = screen.propose("runs.csv")
    assert roles == {
        "column 1": "name", "lr": "hyperparameter", "seed": "seed", "Test Acc": "objective", "loss": "other metric",
        "took": "time",
    }  # fmt: skip
    assert command[-2:] == ["--unit", "percent"]
    screen(*command)
    assert read()["Test Acc_mean"].tolist() == pytest.approx([81.3333333, 79.2666667])
    loss = ["--results", "runs.csv", "--objective", "loss", "--hyperparameters", "lr", "--seed", "seed", "--minimise",
            "--margin", "0.01"]  # fmt: skip
    out = screen(*loss)
    assert "Far from all others: 999 in row 6" in out and "1 no objective" in out
    assert read("tables/problems")["path"].tolist() == ["runs.csv: row 8"]


def test_percent_and_fraction_are_never_confused(screen: Screen) -> None:
    frame = make_grid()
    command = ["--results", write(frame.assign(acc=100 * frame["acc"])), *ACC, "lr,batch_size", "--seed", "seed"]
    assert "with --unit fraction values lie between 0 and 1" in screen(*command, code=2)
    write(frame)
    assert "--unit fraction may be meant" in screen(*["percent" if word == "fraction" else word for word in command])


# --- other ways to write the same table ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"sep": ";"}, {"sep": "\t"}, {"sep": "|"}, {"sep": ";", "decimal": ","}, {"encoding": "utf-16"},
     {"encoding": "utf-32"}, {"encoding": "utf-16", "sep": "\t"}, {"index": True}, {"lineterminator": "\r\n"}],
    ids=str,
)  # fmt: skip
def test_the_same_table_says_the_same_however_it_is_written(options: dict[str, str], screen: Screen) -> None:
    frame = make_grid()
    frame.to_csv("runs.csv", **{"index": False, **options})  # type: ignore[call-overload]
    _, command = screen.propose("runs.csv")
    screen(*command)
    assert read().set_index(["lr", "batch_size"])["acc_mean"].to_dict() == pytest.approx(
        frame.groupby(["lr", "batch_size"])["acc"].mean().to_dict()
    )


def test_excels_first_line_names_the_delimiter(screen: Screen) -> None:
    text = make_grid().to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    Path("runs.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\n" + text.encode())
    _, command = screen.propose("runs.csv")
    assert "16 runs of 4 configurations" in screen(*command)


def test_lists_structures_and_decimals_of_parquet(screen: Screen) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    frame = make_grid()
    columns = {
        "config": [{"lr": lr} for lr in frame["lr"]],
        "hidden": [[64, 32] if size == 16 else [8] for size in frame["batch_size"]],
        "seed": pa.array(frame["seed"].astype(str)).dictionary_encode(), "acc": frame["acc"].to_numpy("float32"),
    }  # fmt: skip
    parquet.write_table(pa.table(columns), "runs.parquet")
    _, command = screen.propose("runs.parquet")
    screen(*command)
    assert set(read()["hidden"]) == {"[64, 32]", "[8]"} and set(read()["config.lr"]) == {0.1, 0.01}


def test_rows_under_one_seed_are_no_replicates(screen: Screen) -> None:
    roles, command = screen.propose(write(make_grid().assign(seed=42)))
    assert roles["seed"] == "seed"
    out = screen(*command)
    assert "All runs have one seed" in out and "differ by a standard deviation of" in out
    assert (read()["n"] == 1).all()


def test_units_in_names_and_seeds_in_columns(screen: Screen) -> None:
    frame = make_grid().rename(columns={"lr": "lr [1/step]"}).assign(acc=lambda f: 100 * f["acc"])
    roles, command = screen.propose(write(frame.rename(columns={"acc": "accuracy (%)"})))
    assert roles["accuracy (%)"] == "objective" and command[-2:] == ["--unit", "percent"]
    assert "4 configurations" in screen(*command)
    wide = make_grid().pivot(index=["lr", "batch_size"], columns="seed", values="acc").add_prefix("seed_").reset_index()
    _, command = screen.propose(write(wide))
    assert command[command.index("--objective") + 1] == "seed_*"


def test_a_name_with_a_comma_can_be_given(screen: Screen) -> None:
    _, command = screen.propose(write(make_grid().rename(columns={"lr": "lr, initial"})))
    assert '"lr, initial",batch_size' in command
    assert "4 configurations" in screen(*command)


def test_starts_are_put_in_order_of_time(screen: Screen) -> None:
    frame = pd.concat([make_grid().drop(columns="seed")] * 2, ignore_index=True)
    days = pd.date_range("2024-01-28", periods=len(frame), freq="D")
    source = write(frame.assign(start=days.strftime("%d.%m.%Y %H:%M")))
    out = screen("--results", source, *ACC, "lr,batch_size", "--start", "start")
    written = write(frame.assign(start=days.strftime("%Y-%m-%d %H:%M")))
    assert screen("--results", written, *ACC, "lr,batch_size", "--start", "start") == out
    write(frame.assign(start=days.strftime("%m/%d/%Y %I:%M %p")))
    assert "--start needs numbers or dates such as 2024-12-31" in screen(
        "--results", source, *ACC, "lr,batch_size", "--start", "start", code=2
    )


# --- promises ------------------------------------------------------------------------------------------------------


def test_a_store_in_use_is_read_with_its_log_and_left_alone(tmp_path: Path, screen: Screen) -> None:
    path = make_database("mlflow-3.5", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE metrics SET value = value + 0.01 WHERE key = 'metric/Accuracy'")
        connection.commit()
        before = content_of(tmp_path)
        assert f"{path.name}-wal" in before
        screen("--results", f"mlflow:{path}", "--from", "grid", "--objective", "metric/Accuracy",
               "--hyperparameters", "lr", "--seed", "tag.seed", "--unit", "fraction")  # fmt: skip
        assert {name: content for name, content in content_of(tmp_path).items() if "out" not in name} == before
    assert read()["metric/Accuracy_mean"].tolist() == pytest.approx([0.71, 0.62])


def test_claims_about_a_log_folder_decide_the_exit_code(screen: Screen) -> None:
    claim = 'name = "w"\nhypothesis = "16 beats 8"\ncontrasts = [{better = {units1 = 16}, worse = {units1 = 8}}]\n'
    Path("claims.toml").write_text(f"[[experiment]]\n{claim}")
    logs = str(SAMPLES / "mltrainer-0.2.5")
    screen("--logdir", logs, "--study", "claims.toml")
    assert main(["--logdir", logs, "--study", "claims.toml", "--check", "--output", "out"]) == 4
    assert "--check needs at least one hypothesis" in screen("--logdir", logs, "--check", code=2)
