from __future__ import annotations

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.selection import read_study_file
from gridstudy.core.selection import select_experiments as select
from gridstudy.fashion.experiments import GROUPS
from gridstudy.fashion.subject import SUBJECT


def select_experiments(names, **options):
    return select(SUBJECT, names, **options)


def test_the_seven_have_61_entries_and_56_distinct_configurations():
    experiments = select_experiments(["all"])
    assert [len(e.configurations) for e in experiments] == [3, 36, 6, 3, 6, 4, 3]
    assert len({c for e in experiments for c in e.configurations}) == 56


def test_the_follow_ups_have_the_sizes_of_their_table():
    assert [len(e.configurations) for e in select_experiments(["follow-up"])] == [6, 25, 18, 20, 5, 1]


def test_the_follow_ups_at_equal_examples_are_at_equal_examples():
    for name in ("batch_size_equal_examples", "learning_rate_x_batch_size"):
        assert {c.budgets["examples"] for c in select_experiments([name])[0].configurations} == {32_000}


def test_quick_leaves_the_units_out_and_a_name_given_twice_counts_once():
    assert "units" not in GROUPS["quick"]
    assert len(select_experiments(["epochs", "quick"])) == 6


def test_every_experiment_asks_a_question_and_says_what_it_expects():
    for experiment in select_experiments(["all", "follow-up"]):
        assert experiment.question.endswith("?")
        assert experiment.hypothesis
        assert experiment.contrasts or experiment.name == "full_passes"


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(StudyError, match="unknown experiment or group 'epoch'; choose from epochs, units"):
        select_experiments(["epoch"])


def test_what_the_grid_sets_cannot_be_overridden():
    with pytest.raises(StudyError, match="epochs is set by the grid"):
        select_experiments(["epochs"], overrides={"epochs": 4})


def test_the_example_study_file_holds_two_experiments(request):
    tables = read_study_file(request.config.rootpath / "examples" / "own_study.toml", SUBJECT)
    experiments = select_experiments([], own=tables)
    assert [(e.name, len(e.configurations)) for e in experiments] == [("weight_decay", 6), ("wide_or_deep", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold \\[\\[experiment\\]\\] tables"),
        ("x = ", "is not valid TOML"),
        ("experiment = 3", "must hold"),
        ("experiment = [3]", "must hold"),
        ('[[experiment]]\nname = "epochs"\ngrid = {depth = [1]}', "which is built in"),
        (
            '[[experiment]]\nname = "a"\ngrid = {depth = [1]}\n[[experiment]]\nname = "a"\ngrid = {depth = [1]}',
            "one name",
        ),
        ("[[experiment]]\ngrid = {depth = [1]}", "an experiment's name"),
    ],
)
def test_a_study_file_at_fault_gets_one_line(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=message) as error:
        read_study_file(path, SUBJECT)
    assert "\n" not in str(error.value)


def test_a_study_file_may_begin_with_the_mark_of_its_encoding(request, tmp_path):
    example = request.config.rootpath / "examples" / "own_study.toml"
    marked = tmp_path / "marked.toml"
    marked.write_bytes(b"\xef\xbb\xbf" + example.read_bytes())
    assert read_study_file(marked, SUBJECT) == read_study_file(example, SUBJECT)


def test_a_study_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match="cannot read the study file"):
        read_study_file(tmp_path / "none.toml", SUBJECT)
