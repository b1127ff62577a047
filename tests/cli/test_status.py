"""`--status`: what is there and how old the report is, from the log directory alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grid_search_experiments import main
from gridstudy.core.files import read_bytes
from gridstudy.core.trial import TrialConfig
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import Confirmation, write_confirmation, write_plan
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, write_result
from gridstudy.records.verdicts import write_verdicts
from tests.conftest import DATA, IDENTITY, TWO_BY_TWO, fake_result, fake_run

ROOT = Path(__file__).parents[2]
EXPERIMENT = SUBJECT.parse(TWO_BY_TWO)
NAMES = [c.name for c in EXPERIMENT.configurations]


@pytest.fixture
def status(tmp_path, monkeypatch, capsys):
    """Ask in an empty folder; returns stdout, or stderr where the exit code is 2."""
    monkeypatch.chdir(tmp_path)

    def status(*arguments):
        code = main(["--status", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code in (0, 2)
        assert (err == "") == (code == 0)
        return err if code else out

    return status


def plan(seeds, experiment=EXPERIMENT):
    write_plan(
        Path("modellogs"), experiment, SUBJECT.describe(DATA), seeds=seeds, dataset="garments-small", n_complete=0
    )


def train(seeds, numbers=range(4), identity=IDENTITY):
    """Make trials complete; return their folders."""
    folders = []
    for seed in seeds:
        for number in numbers:
            trial = TrialConfig(
                SUBJECT.name, EXPERIMENT.configurations[number], seed, identity, SUBJECT.training_version
            )
            folder = Path("modellogs", *trial.trial_id.split("/"))
            folder.mkdir(parents=True)
            write_result(folder, fake_result(trial), fake_run())
            folders.append(folder)
    return folders


def row(out, name="two_by_two"):
    (line,) = [line for line in out.splitlines() if line.strip().startswith(name)]
    return [cell.strip() for cell in line.split("  ") if cell.strip()][1:]


def test_a_study_is_counted_trial_by_trial_with_the_reasons_of_failures(status):
    plan(range(3))
    assert row(status()) == ["0", "0", "12", "none yet", "none yet"]
    folders = train(range(3))
    assert row(status()) == ["12", "0", "0", "1 (3 seeds)", "none yet"]
    (folders[0] / RESULT_FILE).unlink()
    (folders[0] / ERROR_FILE).write_text("Traceback\nRuntimeError: no luck\n")
    (folders[1] / RESULT_FILE).write_bytes(read_bytes(folders[1] / RESULT_FILE).replace(b"seed = 0", b"seed = 1"))
    (folders[2] / RESULT_FILE).unlink()
    out = status()
    assert row(out) == ["9", "1", "2", "none yet", "none yet"]
    trial_ids = ["/".join(folder.parts[1:]) for folder in folders]
    assert f"FAILED      {trial_ids[0]}: RuntimeError: no luck" in out
    assert f"unreadable  {trial_ids[1]}/result.toml is damaged or was edited" in out
    assert "9 complete, 1 failed, 2 missing in 1 experiment\n" in out
    assert out.endswith("no report yet\n")


def test_only_configurations_that_have_begun_a_look_lack_its_seeds(status):
    plan(range(3))
    plan(range(12))
    train(range(3))
    assert row(status()) == ["12", "0", "0", "1 (3 seeds)", "none yet"]
    train([3, 4], numbers=[0])
    assert row(status()) == ["14", "0", "1", "1 (3 seeds)", "none yet"]
    train([5], numbers=[0])
    train([3, 4, 5], numbers=[2])  # the contrast compares the first and the third
    assert row(status()) == ["18", "0", "0", "2 (6 seeds)", "none yet"]
    assert row(status("--seeds", "5"))[:3] == ["18", "0", "4"]


def test_the_verdict_last_stored_is_shown(status):
    plan(range(3))
    for verdict, words in (("cannot tell", "undecided"), ("supported", "supported")):
        write_verdicts(Path("modellogs"), [{"experiment": "two_by_two", "verdict": verdict}])
        assert row(status())[-1] == words
    Path("modellogs", "verdicts.toml").write_text("nonsense")
    out = status()
    assert "none yet" in row(out)[-1]
    assert "verdicts.toml: is empty or cut short" in out


def test_a_confirmation_is_counted_by_itself(status):
    plan(range(3))
    train(range(3))
    write_confirmation(Path("modellogs"), Confirmation("two_by_two", tuple(NAMES[:2]), (0, 1, 2), (1000, 1001, 1002)))
    train([1000], numbers=[0, 1])
    assert "confirmation of two_by_two: 2 of 6 trials complete" in status()


def test_the_records_of_two_data_sets_count_once(status):
    plan(range(3))
    train(range(3))
    train(range(3), identity=replace(IDENTITY, dataset="fashion-mnist"))
    assert row(status())[:3] == ["12", "0", "0"]


def test_the_report_is_as_old_as_its_file(status, tmp_path):
    plan(range(3))
    (result, *_) = [folder / RESULT_FILE for folder in train(range(3))]
    report = tmp_path / "out" / "report.html"
    report.parent.mkdir()
    report.touch()
    assert status().endswith("no report yet\n")
    assert ", up to date\n" in status("--output", "out")
    os.utime(result, (2e9, 2e9))
    os.utime(report, (2e9 - 1, 2e9 - 1))
    assert status("--output", "out").splitlines()[-1].endswith(", older than the logs")
    assert status("--short", "--output", "out").splitlines()[0].endswith(", older than the logs")


def test_short_is_two_lines_what_there_is_and_the_choices(status):
    first, second = status("--short").splitlines()
    assert first == "nothing has been run in modellogs; no report yet"
    assert second == (
        "seeds 5, data auto, logs modellogs, report in this folder, device auto, workers auto, validation holdout"
    )
    plan(range(3))
    train(range(3))
    first, second = status("--short", "--seeds", "4", "--workers", "2", "--validation", "test").splitlines()
    assert first == "12 complete, 0 failed, 4 missing in 1 experiment; no report yet"
    assert "seeds 4" in second and "workers 2" in second and "validation test" in second
    subject = ROOT / "examples" / "digits.py"
    short = status("--short", "--subject", subject, "--logdir", "elsewhere")
    assert f"subject {subject}, seeds 5, logs elsewhere" in short


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--seeds", "none"], "--seeds takes"), (["--workers", "0"], "--workers takes"), (["--data-dir", "no"], "missing"),
     (["--data-dir", "."], "holds no"), (["--device", "tpu"], "invalid choice"), (["--dataset", "x"], "in"),
     (["--study", "no.toml"], "cannot read"), (["--subject", "no.py"], "cannot read"), (["nonsense"], "unknown exp"),
     (["--time-limit", "soon"], "a time is"), (["--most-seeds", "1"], "--most-seeds takes"),
     (["--logdir", "file"], "must be a folder"), (["--output", "file"], "--output must be a folder; file is a file"),
     (["--ask"], "--status and --ask"), (["--list"], "--list and --status"),
     (["--subject", str(ROOT / "examples" / "digits.py"), "--validation", "test"], "selects built-in data")],
)  # fmt: skip
def test_a_wrong_choice_is_refused_in_one_line(status, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    (line,) = status("--short", *arguments).splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_the_logs_of_another_subject_are_not_counted_as_a_subjects_own(status):
    plan(range(3))
    train(range(3))
    digits = ROOT / "examples" / "digits.py"
    assert "modellogs holds the logs of the subject 'fashion-mlp'; this is about 'digits'; use another --logdir" in (
        status("--subject", digits)
    )
    assert main(["--subject", str(digits), "units", "--seeds", "1"]) == 2
    assert not list(Path("modellogs").glob("units*"))


def test_experiments_that_were_not_run_are_missing_altogether(status):
    assert row(status("epochs"), "epochs") == ["0", "0", "15", "none yet", "none yet"]
    assert row(status("1", "--seeds", "2"), "epochs")[:3] == ["0", "0", "6"]


def test_strange_log_directories_are_told_from_none(status, tmp_path):
    assert status() == "nothing has been run in modellogs\nno report yet\n"
    logs = tmp_path / "modellogs"
    (logs / "experiments").mkdir(parents=True)
    assert status().startswith("nothing has been run")
    (logs / "experiments" / "epochs.toml").write_text("format = 1\n")
    (logs / "notes").mkdir()
    (logs / "notes" / "events.out.tfevents.1").write_bytes(b"\0")
    (logs / "baseline" / "seed0-00000000" / RESULT_FILE).mkdir(parents=True)
    out = status()
    assert "experiments/epochs.toml: is empty or cut short" in out.replace("\\", "/")
    assert len(out.splitlines()) == 3


def test_records_of_another_format_are_named_and_missing(status):
    import hashlib

    plan(range(3))
    for folder in train(range(3)):
        body = (folder / RESULT_FILE).read_bytes().rpartition(b"# sha256 ")[0].replace(b"format = 2\n", b"format = 1\n")
        (folder / RESULT_FILE).write_bytes(body + b"# sha256 " + hashlib.sha256(body).hexdigest().encode() + b"\n")
    out = status()
    assert row(out)[:3] == ["0", "0", "12"]
    assert "was written in another format than 2" in out


def test_status_imports_no_torch_no_tables_and_no_trainer(status):
    plan(range(3))
    program = (
        "import sys; from grid_search_experiments import main; code = main(['--status', '--logdir', sys.argv[1]]);"
        "assert not {'torch', 'pandas', 'numpy', 'mltrainer'} & set(sys.modules), 'heavy imports'; sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(Path("modellogs").absolute())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "two_by_two" in done.stdout
