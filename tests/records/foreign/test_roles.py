"""Which role each column is proposed to have, and the command that is suggested."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gridstudy.records.foreign.delimited import table_of_frame
from gridstudy.records.foreign.nested_text import flatten_text
from gridstudy.records.foreign.roles import is_loss, propose_roles, suggested_command
from tests.records.foreign.results import make_grid


def roles_of(frame):
    return {role.name: role.role for role in propose_roles(table_of_frame(frame))}


def test_the_columns_of_a_practitioners_table():
    rng = np.random.default_rng(1)
    frame = make_grid(
        AUC=rng.random(16), total_params=[100] * 4 + [200] * 4 + [100] * 4 + [200] * 4, notes=[None] * 16,
        run_name=[f"run {i}" for i in range(16)], final_epoch=rng.integers(3, 9, 16), host=["a"] * 16,
        pid=rng.permutation(9999)[:16], started_at=[f"2024-01-{i + 1:02} 10:00:00" for i in range(16)],
        fit_time=rng.random(16), dataset=["x", "y"] * 8, session=[1] * 8 + [2] * 8,
        width_label=["narrow"] * 4 + ["wide"] * 4 + ["narrow"] * 4 + ["wide"] * 4,
    )  # fmt: skip
    roles = roles_of(frame)
    assert roles == {
        "lr": "hyperparameter", "batch_size": "hyperparameter", "seed": "seed", "acc": "objective",
        "AUC": "other metric", "total_params": "cost", "notes": "empty", "run_name": "name",
        "final_epoch": "other metric", "host": "constant", "pid": "name", "started_at": "start", "fit_time": "time",
        "dataset": "condition", "session": "block", "width_label": "derived from others",
    }  # fmt: skip


def test_a_role_comes_with_a_reason_and_examples():
    lr = propose_roles(table_of_frame(make_grid()))[0]
    assert (lr.name, lr.role, lr.why, lr.examples) == ("lr", "hyperparameter", "by its name", ("0.1", "0.01"))


def test_learning_curves_have_epochs():
    frame = pd.concat([make_grid().assign(epoch=epoch) for epoch in range(3)])
    assert roles_of(frame)["epoch"] == "epoch"


@pytest.mark.parametrize(
    ("names", "objective"),
    [
        (["train_acc", "val_acc", "val_loss"], "val_acc"), (["test_accuracy", "train_accuracy"], "test_accuracy"),
        (["loss", "rmse"], "loss"), (["testAcc", "trainLoss"], "testAcc"), (["f1_macro", "loss"], "f1_macro"),
    ],
)  # fmt: skip
def test_the_objective_is_the_most_usual_metric(names, objective):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": [0.1, 0.2] * 8} | {name: rng.random(16) for name in names})
    assert [n for n, role in roles_of(frame).items() if role == "objective"] == [objective]


def test_a_grid_search_of_scikit_learn(tmp_path):
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2], "criterion": ["gini", "entropy"]}
    )
    search.fit(*load_iris(return_X_y=True))
    table = table_of_frame(pd.DataFrame(search.cv_results_).astype({"params": str}), "cv_results.csv")
    roles = propose_roles(table)
    assert {r.role for r in roles if r.name.startswith("split")} == {"objective"}
    assert {r.name: r.role for r in roles if not r.name.startswith("split")} == {
        "mean_fit_time": "time", "std_fit_time": "other metric", "mean_score_time": "time",
        "std_score_time": "other metric", "param_criterion": "hyperparameter", "param_max_depth": "hyperparameter",
        "params": "derived from others", "mean_test_score": "other metric", "std_test_score": "other metric",
        "rank_test_score": "other metric",
    }  # fmt: skip
    assert suggested_command(table, roles) == (
        "python analyze_results.py --results cv_results.csv --objective 'split*_test_score' "
        "--hyperparameters param_criterion,param_max_depth --folds 5 --unit fraction"
    )


def test_the_suggested_command_names_all_roles():
    frame = make_grid(dataset=["x", "y"] * 8, n_params=[1, 2] * 8).assign(acc=lambda f: 100 * f["acc"])
    table = table_of_frame(frame, "my results.csv")
    assert suggested_command(table, propose_roles(table)) == (
        "python analyze_results.py --results 'my results.csv' --objective acc --hyperparameters lr,batch_size "
        "--seed seed --by dataset --cost n_params --unit percent"
    )
    losses = table_of_frame(make_grid().rename(columns={"acc": "val_loss"}), "x.csv")
    assert suggested_command(losses, propose_roles(losses)).endswith("--minimise --margin NUMBER")


def test_a_metric_may_have_words_among_its_numbers():
    frame = make_grid(loss=[f"{i / 10}" for i in range(15)] + ["OOM"]).drop(columns="acc")
    assert roles_of(frame)["loss"] == "objective"


def test_columns_called_by_numbers_are_replicates():
    wide = make_grid().pivot_table(index=["lr", "batch_size"], columns="seed", values="acc").reset_index()
    assert {name for name, role in roles_of(wide).items() if role == "objective"} == {"0", "1", "2", "3"}
    table = table_of_frame(wide, "x.csv")
    assert "--objective '[0-9]' --hyperparameters lr,batch_size" in suggested_command(table, propose_roles(table))
    assert roles_of(wide.assign(accuracy=wide[0]))["accuracy"] == "objective"


def test_a_seed_and_a_place_among_the_settings_are_no_settings():
    frame = make_grid().rename(columns={"lr": "config/lr", "seed": "config/seed", "batch_size": "config/model_name"})
    assert roles_of(frame.assign(**{"config/out": [f"runs/{i}" for i in range(16)]})) == {
        "config/lr": "hyperparameter", "config/model_name": "hyperparameter", "config/seed": "seed",
        "config/out": "name", "acc": "objective",
    }  # fmt: skip


def test_a_column_of_states_keeps_the_runs_that_finished():
    table = table_of_frame(make_grid(State=["finished"] * 15 + ["crashed"]), "x.csv")
    command = suggested_command(table, propose_roles(table))
    assert "--hyperparameters lr,batch_size --seed seed --where State=finished" in command
    assert roles_of(make_grid(state=["north", "south"] * 8))["state"] == "hyperparameter"


def test_the_last_epoch_of_a_run_with_a_name_is_no_course():
    ends = make_grid(epoch=[3, 5, 7, 9] * 4)
    assert roles_of(ends)["epoch"] == "epoch"
    assert roles_of(ends.assign(Name=[f"sea-{i}" for i in range(16)]))["epoch"] == "other metric"


def test_losses_are_known_by_name():
    assert all(map(is_loss, ("loss", "Loss/test", "val_rmse", "errorRate", "test error", "train_loss_mean")))
    assert not any(map(is_loss, ("accuracy", "lossless_score", "f1", "glossary")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ModelConfig(hidden_size=64, dropout=0.2)", {"c.hidden_size": 64, "c.dropout": 0.2}),
        ("{'lr': 0.1, \"net\": {'units': [8, 16]}}", {"c.lr": 0.1, "c.net.units": "[8, 16]"}),
        ("A(b=B(c='x, y', d=None), e=True)", {"c.b.c": "x, y", "c.b.d": None, "c.e": True}),
        ("epochs: 5\nlr: 0.1", {"c.epochs": 5, "c.lr": 0.1}),
        ("relu", None), ("[1, 2]", None), ("f(x)", None), ("note: fine", None), ("(" * 9000, None),
        ("A(" + "b=A(" * 3000, None),
    ],
)  # fmt: skip
def test_settings_in_one_text(text, expected):
    assert flatten_text(text, "c") == expected
