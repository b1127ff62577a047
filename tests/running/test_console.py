"""What the command line prints: the names of arms in the progress display."""

from __future__ import annotations

from dataclasses import replace

from gridstudy.core.subject import Description
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running import console


def test_a_later_round_names_an_arm_by_the_experiment_that_needs_it_and_none_as_the_best(make_trial):
    epochs, depth = (SUBJECT.parse(t, order=0) for t in SUBJECT.experiments if t["name"] in ("epochs", "depth"))
    baseline = replace(make_trial(), configuration=SUBJECT.configure({}))
    description = Description(SUBJECT.name, SUBJECT.objective, SUBJECT.search_space.hyperparameters)
    first = console.choose_progress([epochs, depth], description, looks="the first look")
    later = console.choose_progress([epochs, depth], description, looks="...", later=[(depth, ("baseline",), (5, 6))])
    assert first.name_of(baseline) == "epochs 5 (baseline)"
    assert later.name_of(baseline) == "depth 2 (baseline)"
    assert "best so far" in first.headline()
    assert "best so far" not in later.headline()
