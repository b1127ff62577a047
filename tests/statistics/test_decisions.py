"""What is left to do of a study, from its records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gridstudy.records.plans import new_plan
from gridstudy.statistics.decisions import TrialsLeft, decide
from tests.tables import describe_images, join_records, make_records, records_of, select


def until_decided(records, *names, **options):
    return decide(records, experiments=names, goal="decided", **options)


def race(records, *names, **options):
    return decide(records, experiments=names, goal="recommended", **options)


def test_before_the_first_trial_the_first_look_and_the_most_are_counted():
    plans = [new_plan(e, describe_images(), range(5)) for e in select(["depth", "learning_rate"])]
    decision = until_decided(records_of([], plans), "depth", "learning_rate")
    # three depths and six rates, of which one is the baseline of both; all depths and three rates in contrasts
    assert decision.left == TrialsLeft(40, None, 40 + 5 * 75, 40 + 5 * 75)
    assert decision.in_words() == "0 of 2 hypotheses decided; 40 to 415 trials to go"
    assert [(need.n_seeds, need.experiment) for need in decision.needs] == [(5, "depth"), (5, "learning_rate")]
    assert race(records_of([], plans), "depth", "learning_rate", most_seeds=20).left.most == 8 * 20


def test_a_configuration_that_several_experiments_need_is_counted_once():
    effects = {"depth=1": 0.8, "depth=3": 0.8, "learning_rate=0.005": 0.79, "learning_rate=0.0005": 0.79}
    records = make_records(["depth", "learning_rate"], n_seeds=5, effects=effects, sd=0.02)
    decision = until_decided(records, "depth", "learning_rate", most_seeds=20)
    assert {need.experiment: need.n_seeds for need in decision.needs} == {"depth": 10, "learning_rate": 10}
    assert decision.left.most == 5 * 15
    assert 5 * 5 <= decision.left.low <= decision.left.expected <= decision.left.high <= decision.left.most
    assert "at most 75" in decision.in_words() or decision.in_words().endswith("75 trials to go")


def test_only_the_named_experiments_are_asked_for():
    records = make_records(["depth", "learning_rate"], n_seeds=5, effects={}, sd=0.02)
    decision = until_decided(records, "depth")
    assert [need.experiment for need in decision.needs] == ["depth"]
    assert len(decision.verdicts) == 1
    # the verdicts on all are kept
    assert {v.experiment for v in decision.stored} == {"depth", "learning_rate"}


def test_what_is_decided_needs_nothing():
    effects = {"depth=1": 0.7, "depth=3": 0.9}
    decision = until_decided(make_records(["depth"], n_seeds=5, effects=effects, sd=0.001), "depth")
    assert decision.needs == ()
    assert decision.in_words() == "1 of 1 hypothesis decided"


def test_a_race_says_how_many_experiments_can_recommend_and_what_it_may_take():
    decision = race(make_records(["depth"], n_seeds=5, effects={"depth=1": 0.7}, sd=0.01), "depth", most_seeds=20)
    (need,) = decision.needs
    assert need.configurations == ("baseline", "depth=3")
    assert decision.left.most == 2 * 15
    assert decision.in_words().startswith("0 of 1 experiment can recommend a configuration; ")
    alone = race(make_records(["depth"], n_seeds=5, effects={"depth=1": 0.9}, sd=0.001), "depth")
    assert alone.in_words() == "1 of 1 experiment can recommend a configuration"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (TrialsLeft(30, 30, 30, 30), "30 trials to go"),
        (TrialsLeft(30, None, 90, 90), "30 to 90 trials to go"),
        (TrialsLeft(80, 120, 300, 1400), "about 120 trials to go (80 to 300), at most 1,400"),
        (TrialsLeft(80, 80, 80, 400), "about 80 trials to go, at most 400"),
    ],
)
def test_trials_left_in_words(left, words):
    assert left.in_words() == words


def test_a_verdict_on_other_data_is_not_taken_for_one_on_these():
    clear = make_records(["depth"], n_seeds=5, effects={"depth=1": 0.7, "depth=3": 0.9}, sd=0.001)
    stored = until_decided(clear, "depth").stored
    noise = make_records(["depth"], n_seeds=6, effects={}, sd=0.02, dataset="garments-small")
    both = until_decided(join_records(clear, noise), "depth", stored=stored)
    assert both.verdicts[0].verdict == "cannot tell"
    # and the other group's verdict is still there
    words = [(v.verdict, "garments-small" in v.group) for v in both.stored]
    assert words == [("contradicted", False), ("cannot tell", True)]
    again = until_decided(clear, "depth", stored=both.stored)
    assert again.verdicts[0].verdict == stored[0].verdict
    assert len(again.stored) == 2


# --- a hostile user ------------------------------------------------------------------------------------------------


def hide(records, chosen):
    """The records without the trials for which `chosen(configuration, seed)` holds."""
    trials = records.trials
    gone = [bool(chosen(c, int(s))) for c, s in zip(trials["configuration"], trials["seed"], strict=True)]
    kept = trials[~np.array(gone)]
    return type(records)(kept, records.curves, records.plans, records.problems, records.confusions)


@pytest.mark.parametrize("rng", range(3))
def test_a_verdict_never_flips_however_seeds_come_and_go(rng):
    generator = np.random.default_rng(rng)
    effects = {"epochs=3": 0.795, "epochs=10": 0.808}
    whole = make_records(["epochs"], n_seeds=40, effects=effects, sd=0.008, correlation=0.3, rng=rng)
    names = [c.name for c in whole.plans[0].experiment.configurations]
    stored, reached = (), ""
    for _ in range(8):
        most = {name: int(generator.integers(0, 41)) for name in names}
        lost = int(generator.integers(0, 41))
        part = hide(whole, lambda c, s, most=most, lost=lost: s >= most[c] or s == lost)
        if part.trials.empty:
            continue
        decision = until_decided(part, "epochs", stored=stored)
        stored, found = decision.stored, decision.verdicts[0].verdict
        assert found == reached or reached in ("", "cannot tell")
        reached = found
    # whatever came before, all seeds at once say the same, or what was reached already
    last = until_decided(whole, "epochs", stored=stored).verdicts[0].verdict
    assert last in (reached, until_decided(whole, "epochs").verdicts[0].verdict)


def test_an_objective_table_of_no_trials_has_its_columns():
    plans = [new_plan(e, describe_images(), range(5)) for e in select(["depth"])]
    (estimate,) = until_decided(records_of([], plans), "depth").experiments
    assert isinstance(estimate.objectives, pd.DataFrame)
    assert estimate.objectives.shape == (0, 3)
