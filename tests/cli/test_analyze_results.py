"""The command line that draws the conclusions, in-process, wrong inputs too."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analyze_results import main
from gridstudy.cli import analysis
from gridstudy.cli.analyse import build_parser, parse_margin
from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.trial import TrialConfig
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import write_plan
from gridstudy.records.trials import write_result
from tests.conftest import DATA, IDENTITY, TWO_BY_TWO, fake_result, fake_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    folder = tmp_path / "my löggs"
    folder.mkdir()
    write_study(folder, SUBJECT.parse(TWO_BY_TWO), n_seeds=3)
    return folder


def write_study(logdir: Path, experiment: Experiment, *, n_seeds: int, validation: str = "holdout") -> None:
    described = SUBJECT.describe(DATA)
    write_plan(logdir, experiment, described, seeds=range(n_seeds), dataset="garments-small", n_complete=0)
    for configuration in experiment.configurations:
        for seed in range(n_seeds):
            trial = TrialConfig(SUBJECT.name, configuration, seed, replace(IDENTITY, validation=validation))
            folder = logdir.joinpath(*trial.trial_id.split("/"))
            folder.mkdir(parents=True)
            write_result(folder, fake_result(trial), fake_run(n_epochs=int(configuration["epochs"])))


@pytest.fixture
def figures() -> None:
    """Asked for by the tests that draw."""


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have tests of their own and take their time."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(analysis, "draw_figures", lambda *_, **__: {})


def test_it_writes_tables_and_report(logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out é"
    assert main(["--logdir", str(logdir), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("read        trials: 12 complete\n")
    assert len(out.splitlines()) < 15
    tables = [f"tables/{t}.csv" for t in ("trials", "curves", "comparisons", "verdicts", "interactions")]
    for name in ("report.md", "report.html", "experiment_summary.csv", *tables):
        assert (output / name).stat().st_size > 0, name
    assert '"' + str(logdir) + '"' in (output / "report.md").read_text(encoding="utf-8")
    assert not list(output.glob("*.tmp"))


def test_a_second_run_keeps_what_a_person_wrote(logdir: Path, tmp_path: Path) -> None:
    command = ["--logdir", str(logdir), "--output", str(tmp_path)]
    assert main(command) == 0
    path = tmp_path / "report.md"
    path.write_text(path.read_text(encoding="utf-8").replace(
        "> **To write:** which result surprised you, and what does theory say about it?", "It was the wïdth."
    ), encoding="utf-8")  # fmt: skip
    mine = path.read_text(encoding="utf-8")
    assert main(command) == 0
    assert path.read_text(encoding="utf-8") == mine
    assert main([*command, "--margin", "2"]) == 0
    text = path.read_text(encoding="utf-8")
    assert "It was the wïdth." in text and "within 2 points" in text
    assert "It was the wïdth." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not list(tmp_path.glob("report-*"))


def test_if_outdated_makes_the_report_only_where_it_is_missing_or_older_than_the_logs_or_its_text(
    logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--logdir", str(logdir), "--output", str(tmp_path), "--if-outdated"]
    report = tmp_path / "report.html"

    def first_and_last() -> tuple[str, str, int]:
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        return lines[0], lines[-1], len(lines)

    assert first_and_last()[:2] == ("there is no report yet: making it", str(report))
    made = report.read_bytes()
    assert first_and_last() == ("the report is up to date", str(report), 2)
    for newer in (
        next(logdir.glob("*/*/result.toml")),
        next(logdir.glob("experiments/*.toml")),
        tmp_path / "report.md",
    ):
        later = report.stat().st_mtime + 1
        os.utime(newer, (later, later))
        os.utime(report, (later - 1, later - 1))
        first, last, n_lines = first_and_last()
        assert (first, last) == ("the report is older than the logs: making it again", str(report))
        assert n_lines > 5
        os.utime(report, (later, later))
        assert first_and_last()[0] == "the report is up to date"
    assert report.read_bytes() == made


def test_a_report_of_logs_that_changed_while_it_was_made_is_outdated(
    logdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--logdir", str(logdir), "--output", str(tmp_path), "--if-outdated"]
    path = next(logdir.glob("*/*/result.toml"))

    def changing(*_: object, **__: object) -> dict[str, object]:
        os.utime(path, (path.stat().st_mtime + 1,) * 2)
        return {}

    monkeypatch.setattr(analysis, "draw_figures", changing)
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("the report is older than the logs")


@pytest.mark.parametrize("other", [["--margin", "1"], ["--check"], ["--format", "pdf"], ["--results", "runs.csv"]])
def test_if_outdated_goes_with_no_option_that_asks_for_a_certain_report(
    other: list[str], logdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--logdir", str(logdir), "--if-outdated", *other]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --if-outdated ") and other[0] in line


def test_if_outdated_without_logs_or_with_a_folder_in_the_reports_place_is_one_line(
    logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--logdir", "no such", "--output", str(tmp_path), "--if-outdated"]) == 2
    (tmp_path / "report.html").mkdir()
    assert main(["--logdir", str(logdir), "--output", str(tmp_path), "--if-outdated"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "no such" in errors[0] and "report.html" in errors[1]


def test_damaged_files_cost_a_line_each(logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = sorted(logdir.glob("*/*/result.toml"))
    results[0].write_bytes(results[0].read_bytes()[:100])
    results[1].unlink()
    results[2].unlink()
    (results[2].parent / "error.txt").write_text("Traceback\nRuntimeError: no luck")
    assert main(["--logdir", str(logdir), "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "trials: 9 complete, 1 failed, 1 interrupted, 1 unreadable" in out
    assert f"unreadable  {results[0]}: is empty or cut short" in out
    assert "RuntimeError: no luck" in out and "Traceback" not in out
    assert "Incomplete: `two_by_two`" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_names_of_folders_reach_the_terminal_without_control_characters(
    logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = logdir / "red\x1b[31m\nline" / "seed0-12345678"
    odd.mkdir(parents=True)
    (odd / "result.toml").write_text("no record")
    assert main(["--logdir", str(logdir), "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "red?[31m?line" in shown.out


def test_other_groups_are_left_out_by_name(logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(logdir, SUBJECT.parse(TWO_BY_TWO), n_seeds=1, validation="test")
    assert main(["--logdir", str(logdir), "--output", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out")]
    assert "4 trials" in line and "validation test" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [({}, "at least one complete trial"), ({"notes.txt": "hi", "a/b/c.bin": "\0"}, "at least one complete trial")],
)
def test_nothing_to_analyse_is_one_line(
    content: dict[str, str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logdir = tmp_path / "logs"
    logdir.mkdir()
    for name, text in content.items():
        (logdir / name).parent.mkdir(parents=True, exist_ok=True)
        (logdir / name).write_text(text)
    assert main(["--logdir", str(logdir), "--output", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert words in err.splitlines()[-1] and "grid_search_experiments.py" in err
    assert out == "" and not (tmp_path / "report.md").exists()


def test_a_logdir_of_another_program_is_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "logs" / "20240101-120000"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text('logdir = "C:\\Users\\me"\nepochs = 3\n')
    (run / "events.out.tfevents.1.host").write_bytes(b"\x18\0\0\0\0\0\0\0cut")
    assert main(["--logdir", str(run.parent), "--output", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "half", ""])
def test_impossible_margins_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StudyError, match="takes a positive number"):
        parse_margin(text)
    assert main([f"--margin={text}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_missing_logdir_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--logdir", str(tmp_path / "no such")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --logdir") and "no such" in line


def test_an_output_that_cannot_be_written_is_one_line(
    logdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--logdir", str(logdir), "--output", str(tmp_path / "file" / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --output")


@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["--format", "gif"], ["extra"], ["--margin"], ["--logdir", ""], ["--output", ""],
     ["--logdir", "x" * 5000], ["--output", "x" * 5000], ["two\nlines"], ["--logdir", "two\nlines"]],
)  # fmt: skip
def test_bad_usage_is_exit_2_and_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_every_flag_has_help() -> None:
    assert all(action.help for action in build_parser()._actions)
    assert main(["--help"]) == 0


def test_no_torch_is_ever_imported(logdir: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import analyze_results; before = set(sys.modules);"
        "assert not before & {'pandas', 'numpy', 'matplotlib'}, 'heavy imports';"
        "code = analyze_results.main(['--logdir', sys.argv[2], '--output', sys.argv[3]]);"
        "assert 'torch' not in sys.modules and 'tensorboard' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(ROOT), str(logdir), str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "MPLBACKEND": "agg"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "visualizations").is_dir()


@pytest.mark.usefixtures("figures")
def test_pdf_figures_come_with_copies_for_the_browser(logdir: Path, tmp_path: Path) -> None:
    assert main(["--logdir", str(logdir), "--output", str(tmp_path), "--format", "pdf"]) == 0
    pictures = {path.suffix for path in (tmp_path / "visualizations").iterdir()}
    assert pictures == {".pdf", ".png"}
    assert ".pdf)" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img ") == page.count("data:image/png;base64,") > 0
