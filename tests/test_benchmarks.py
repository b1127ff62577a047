"""What the benchmark counts, runs and writes; nothing is timed."""

from __future__ import annotations

import csv
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmarks import (
    decided,
    growth,
    loops,
    machine,
    measurement,
    operations,
    phases,
    products,
    rounds,
    setting,
    table,
)
from benchmarks.measurement import Measurement
from gridstudy.core.machine import processor
from gridstudy.fashion.data import PreparedData, prepare
from gridstudy.fashion.products import describe_products
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.trials import LOG_FILE, TRIAL_FILE, trial_folder, write_result
from tests.conftest import fake_result, fake_run


def test_operations_of_one_configuration_counted_by_hand():
    configuration = SUBJECT.configure(
        {"epochs": 2, "train_steps": 3, "batch_size": 4, "units1": 16, "units2": 8, "depth": 3}
    )
    first, others = 784 * 16, 16 * 8 + 8 * 8 + 8 * 10
    examples, scored = 2 * 3 * 4, 2 * 100 + 50
    assert operations.count_operations(configuration, n_validation=100, n_test=50) == (
        examples * (2 * first + 2 * others + 2 * first + 4 * others),
        scored * 2 * (first + others),
    )


def test_every_trial_that_is_timed_is_trained(small_data: PreparedData, tmp_path: Path):
    phases.measure_updates(small_data, tmp_path, n_updates=2)
    assert len(list((tmp_path / "fixed").glob("*/seed*/result.toml"))) == 10  # the first warms up


def test_a_diverged_trial_counts_for_as_far_as_it_came(make_trial):
    whole = fake_result(make_trial())
    ended = replace(
        whole, diverged=True, curves={"train_loss": (1.0,), "validation_loss": (1.0,), "validation_accuracy": (0.1,)}
    )
    training, evaluation = operations.count_recorded([whole], n_validation=10, n_test=10)
    assert operations.count_recorded([ended], n_validation=10, n_test=10) == (training // 2, evaluation // 3)


def test_the_entries_are_61_of_56_configurations():
    entries = setting.list_entries()
    assert (len(entries), len(set(entries))) == (61, 56)
    assert {entry["train_steps"] for entry in setting.list_entries(n_entries=3, scale=0.02)} == {2}


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_the_naive_objective_trains_an_entry(optimizer: str, small_data: PreparedData, cache: Path, tmp_path: Path):
    official = prepare("garments-small", validation="test", cache_dir=cache, warn=lambda message: None)
    setting.write_mads_file(tmp_path / "mads" / "fashionmnist" / "fashionmnist.pt", official)
    entry = SUBJECT.configure(
        {"epochs": 2, "train_steps": 2, "batch_size": 4, "units1": 16, "units2": 8, "optimizer": optimizer}
    )
    setting.write_job(setting.Setting(tmp_path, (SUBJECT.configure({}), entry), (), (), n_validation=9, scale=1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of others' packages are theirs
        loss = loops.train_entry(1, work=tmp_path, logdir=tmp_path / "logs")
    assert 1 < loss < 4
    (log,) = (tmp_path / "logs" / "entry001").iterdir()
    assert {path.name.split(".")[0] for path in log.iterdir()} == {"model", "settings", "events"}
    assert "valid_steps = 2" in (log / "settings.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("optimizer", ["Adam", "RMSprop", "SGD"])
def test_the_bare_loop_trains_an_entry_and_scores_the_splits_of_the_study(optimizer, small_data, tmp_path):
    values = {"epochs": 2, "train_steps": 100, "units1": 16, "units2": 8, "learning_rate": 0.01}
    entry = SUBJECT.configure({**values, "optimizer": optimizer, "momentum": 0.9 if optimizer == "SGD" else 0.0})
    setting.write_splits(tmp_path / loops.SPLITS_FILE, small_data)
    setting.write_job(setting.Setting(tmp_path, (entry,), (), (), n_validation=9, scale=1.0))
    assert 0.3 < loops.train_entry_barely(0, work=tmp_path, logdir=tmp_path) < 1
    validation, test = map(float, (tmp_path / "entry000.txt").read_text(encoding="utf-8").split())
    assert validation == pytest.approx(test, abs=0.1)


def test_the_bare_loop_sees_each_image_once_in_a_pass():
    images, labels = torch.arange(6).reshape(6, 1), torch.arange(6)
    batches = loops.shuffle_endlessly(images, labels, batch_size=3)
    for _ in range(2):
        (x1, y1), (x2, y2) = next(batches), next(batches)
        assert torch.equal(torch.cat([x1, x2]).flatten(), torch.cat([y1, y2]))
        assert sorted(torch.cat([y1, y2]).tolist()) == list(range(6))


def test_a_loop_trains_each_entry_once(tmp_path: Path):
    trained: list[int] = []
    loops.run_naive(lambda number: trained.append(number) or 0.0, 3, tmp_path)
    assert trained == [0, 1, 2]


def test_optuna_trains_each_entry_once(tmp_path: Path):
    pytest.importorskip("optuna")
    trained: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loops.run_optuna(lambda number: trained.append(number) or 0.0, 5, tmp_path)
    assert set(trained) == set(range(5))


def test_records_tell_when_training_began_and_ended(make_trial, tmp_path: Path):
    for seed, second in ((0, 4.5), (1, 7.0)):
        trial = make_trial(seed=seed)
        folder = trial_folder(tmp_path, trial)
        folder.mkdir(parents=True)
        (folder / TRIAL_FILE).touch()
        line = f"2026-01-01 12:00:{second:06.3f} INFO Epoch 0 train 2.0 test 1.0 metric ['0.5']\n"
        (folder / LOG_FILE).write_text(f"2026-01-01 12:00:01.000 INFO Logging to here\n{line}", encoding="utf-8")
        write_result(folder, fake_result(trial), fake_run())  # its first epoch took 0.5 s
    began, ended = operations.read_training_phase(tmp_path)
    assert began <= ended
    assert operations.read_first_epoch(tmp_path) % 60 == pytest.approx(4.0)


@pytest.mark.slow
def test_the_peak_is_that_of_the_best_library_each_of_which_is_named(monkeypatch):
    monkeypatch.setattr(machine, "count_cores", lambda: 1)
    measurements, peak = machine.measure_machine(1)
    names = [m.quantity for m in measurements]
    assert "numpy" in names[-1]
    assert len(set(names)) == len(names) >= 2
    assert peak == 1e9 * max(m.value for m in measurements) > 0


def test_the_table_of_products_has_a_row_for_each_shape_and_a_ratio_for_each_kind():
    rates = [products.Rates(torch=1e11, onednn=2.5e11)] * 3
    assert list(products.format_table(iter([((64, 784, 256), rates)]))) == [
        "| product (m, k, n) | torch: forward / by input / by weight | oneDNN: forward / by input / by weight "
        "| times as fast as torch |",
        "| --- | --- | --- | --- |",
        "| (64, 784, 256) | 100 / 100 / 100 | 250 / 250 / 250 | 2.50 / 2.50 / 2.50 |",
    ]


def test_the_products_of_this_machine_are_measured_and_its_processor_is_named(capsys, monkeypatch):
    monkeypatch.setattr(products, "SHAPES", ((8, 784, 16),))
    assert products.main(["--repetitions", "1"]) == 0
    name, library, *_, row = capsys.readouterr().out.splitlines()
    assert name.startswith(processor().model_name)
    assert library.endswith(describe_products())
    assert row.startswith("| (8, 784, 16) | ")
    assert row.count(" / ") == 6
    assert products.main(["--repetitions", "0"]) == 2
    assert "--repetitions takes a number from 1 up; got 0" in capsys.readouterr().err


@pytest.mark.slow
def test_the_time_until_decided_comes_with_the_trials_and_those_of_a_fixed_design(tmp_path):
    options = ("epochs", "--set", "train_steps=1", "--most-seeds", "5")
    time, trials, fixed = decided.measure_decided(
        setting.Setting(tmp_path, (), ("--dataset", "garments-small"), options, n_validation=9, scale=1.0)
    )
    assert time.value > 0
    assert re.fullmatch("[01] of 1 decided", time.note)
    assert (trials.value, fixed.value, fixed.note) == (15, 15, "5 seeds each")


def test_a_line_through_points_on_a_line():
    assert growth.fit_line([1, 2, 4], [5.0, 7.0, 11.0]) == pytest.approx((3.0, 2.0, 1.0))


def test_sides_are_chosen_and_named():
    assert rounds.choose_contestants(["naive", "ours"], headline=True) == ["ours", "naive", "ours, five seeds"]
    assert rounds.rotate(["a", "b", "c"], 4) == ["b", "c", "a"]
    with pytest.raises(ValueError, match=r"ours,bare,naive,optuna,ray.*'mine'"):
        rounds.choose_contestants(["mine"], headline=False)


def test_ratios_are_per_command_and_per_trial(tmp_path: Path):
    ours = rounds.Run("ours", 0.0, duration_s=10.0, logdir=tmp_path, n_entries=61, n_trained=50)
    naive = rounds.Run("naive", 0.0, duration_s=100.0, logdir=tmp_path, n_entries=61, n_trained=100)
    ratios = rounds.measure_ratios({"ours": ours, "naive": naive}, 1)
    assert [m.value for m in ratios] == [10.0, 5.0]


def test_measurements_become_a_csv_file_and_a_table(tmp_path: Path):
    times = [
        Measurement("comparison", "ours: time", value, "s", round=n) for n, value in enumerate((3.0, 9.0, 4.25), 1)
    ]
    once = Measurement("phases", "--help", 0.0123, "s", note="at once, that is")
    measurement.write_csv(tmp_path / "new" / "results.csv", [*times, once])
    assert measurement.read_csv(tmp_path / "new" / "results.csv") == [*times, once]
    with (tmp_path / "new" / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["section", "quantity", "value", "unit", "round", "note"]
    assert [(row["value"], row["round"]) for row in rows] == [
        ("3.0", "1"),
        ("9.0", "2"),
        ("4.25", "3"),
        ("0.0123", "0"),
    ]

    console = Console(width=120, record=True)
    measurement.print_tables([*times, once], console)
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert ["ours:", "time", "4.25", "3", "9", "s", "3"] in lines
    assert ["--help", "0.0123", "s", "1", "at", "once,", "that", "is"] in lines


def measured(section, quantity, *values, unit="s", note=""):
    return [Measurement(section, quantity, value, unit, n, note) for n, value in enumerate(values, 1)]


def test_the_documents_tables_show_median_least_and_most_of_the_rounds():
    results = table.Results(
        [
            Measurement("machine", "cores", 2, "", note="AMD EPYC (AMD Zen 5), Linux-6.18"),
            Measurement("machine", "load at the start", 0.25, ""),
            Measurement("machine", "packages", 1, "", note="python 3.11.7, torch 2.13.0"),
            *measured("comparison", "ours: time", 12.2, 10.4, 11.0),
            *measured("comparison", "ours: time per entry", 1.0, 1.0, 1.0),
            *measured("comparison", "ours, five seeds: time", 50.0, 40.0, 60.0),
            *measured("comparison", "bare: time", 22.0, 23.0, 24.0),
            *measured("ratios", "bare / ours: time", 2.0, 1.96, 2.31, unit="x"),
            *measured("ratios", "bare / ours: time per trial", 1.9, 1.8, 2.1, unit="x"),
            *measured("ratios", "naive / ours, five seeds: time", 2.0, 1.6, 4.0, unit="x"),
            *measured("machine", "matrix peak, oneDNN through torch", 480.0, 500.0, 470.0),
            Measurement("until decided", "time", 412.3, "s", note="4 of 7 decided"),
            Measurement("until decided", "trials", 1234, ""),
            Measurement("until decided", "trials of a fixed design", 4480, ""),
        ]
    )
    guide = list(table.guide_lines(results))
    assert guide[0].startswith("Measured in 3 rounds on 2 cores of AMD EPYC (AMD Zen 5), load 0.2 at the start; python")
    for line in (
        "| this study | 11 s [10, 12] | | |",
        "| a bare torch loop in two processes | 23 s [22, 24] | 2.0 [2.0, 2.3] | 1.9 [1.8, 2.1] |",
        "| this study, **five** seeds | 50 s [40, 60] | | |",
        "Our five seeds take 0.50 [0.25, 0.62] of the time of mltrainer's loop for one.",
        "| matrix peak, oneDNN through torch, float32, all cores | 480 GFLOP/s [470, 500] |",
        "| `--until-decided`, 4 of 7 decided | 412 s for 1,234 trials; a fixed design of the same power needs 4,480 |",
    ):
        assert line in guide
    readme = " ".join(line.strip() for line in table.readme_lines(results))
    assert "take 50 s [40, 60] with five seeds and 11 s [10, 12] with one" in readme
    assert "longer elsewhere: 2.0 [2.0, 2.3] times with a bare torch loop in two processes" in readme
    assert table.replace_between(f"a\n{table.BEGIN}old\n{table.END}b\n", ["new"]) == (
        f"a\n{table.BEGIN}new\n{table.END}b\n"
    )
    with pytest.raises(ValueError, match="must be in the file"):
        table.replace_between("a\n", [])


def test_memory_of_a_process_that_has_gone_is_nothing():
    assert growth.sample_memory(2**22 + 1) == (0, 0)
