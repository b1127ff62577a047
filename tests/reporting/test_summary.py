"""The first page: an answer to each question, and what to do next."""

from __future__ import annotations

import re
from dataclasses import replace

from gridstudy.core.subject import Objective
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.reporting.summary import answer_items, confirmed_line, first_screen, race_sentence, verdict_overview
from tests.reports import find, study_findings
from tests.tables import make_records


def test_the_first_screen_answers_each_question_in_order() -> None:
    findings = study_findings()
    text = "\n".join(first_screen(findings))
    places = [text.index(f"\n{e.experiment.name}") for e in findings.experiments]
    assert places == sorted(places)
    assert re.search(r"epochs +What do more epochs bring, and what do they cost\?", text)
    assert "verdicts    Of 4 hypotheses" in text


def test_the_first_screen_fits_a_terminal_and_holds_no_markup() -> None:
    for line in first_screen(study_findings()):
        assert len(line) <= 100
        assert not re.search(r"[`&]|\*\*", line)


def test_what_is_missing_of_the_seven_is_said_only_where_some_of_them_were_run() -> None:
    assert "Missing of the 7 experiments" in "\n".join(first_screen(find(make_records(["epochs"]))))
    assert "Missing of" not in "\n".join(first_screen(find(make_records(["depth_x_units"]))))


def test_the_overview_counts_each_verdict() -> None:
    text = verdict_overview(study_findings())
    assert text.startswith("Of 4 hypotheses, ")
    assert (
        sum(map(int, re.findall(r"(\d+) (?:is|are|makes?) (?:supported|contradicted|undecided|no practical)", text)))
        == 4
    )
    assert "`epochs`" in text


def test_the_overview_names_no_hypothesis_where_all_got_the_same_verdict() -> None:
    findings = study_findings()
    judged = [e for e in findings.experiments if e.verdict]
    for n, words in ((1, "The hypothesis is"), (2, "Both hypotheses are"), (3, "All 3 hypotheses are")):
        alike = [replace(e, verdict=replace(e.verdict, verdict=CANNOT_TELL)) for e in judged[:n]]
        estimates = replace(findings.estimates, experiments=tuple(alike))
        assert verdict_overview(replace(findings, estimates=estimates)) == f"{words} undecided."


def test_a_race_is_proposed_where_it_may_end() -> None:
    first, second = study_findings().experiments[:2]
    hopeful = replace(first, seeds_to_recommend="10 to 40")
    hopeless = replace(second, seeds_to_recommend="no recommendation expected by 80 seeds")
    assert race_sentence([]) == ""
    assert race_sentence([hopeful]).endswith("until a setting can be recommended.")
    assert race_sentence([hopeful, hopeless]).endswith(f"can be recommended in `{first.experiment.name}`.")
    assert race_sentence([hopeless]) == "More seeds are not expected to give a recommendation where there is none."


def test_an_interaction_is_told_where_its_question_is_answered() -> None:
    (item,) = answer_items(find(make_records(["learning_rate_over_epochs"], sd=0.001)))
    assert "Learning rate and epochs interact (p" in item


def test_a_confirmation_without_complete_trials_says_so() -> None:
    row = {
        "experiment": "epochs", "label": "10", "n": 0, "n_diverged": 0, "is_best": True,
        "selection_mean": 0.86, "selection_low": 0.85, "selection_high": 0.87,
    }  # fmt: skip
    assert confirmed_line(row, Objective()) == (
        "unconfirmed epochs: 10 has no complete trials on fresh seeds yet; in the selection it had 86.0 % [85.0, 87.0]."
    )
