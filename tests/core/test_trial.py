from __future__ import annotations

import re
from dataclasses import fields, replace

from gridstudy.core.selection import select_experiments
from gridstudy.core.trial import DataIdentity, TrialConfig
from gridstudy.fashion.experiments import GROUPS
from gridstudy.fashion.subject import SUBJECT
from tests.conftest import IDENTITY

EVENT_FILE = "20261125-041500/events.out.tfevents.1795581269.a-host-of-15-ab.12345.123"


def test_the_trial_fingerprint_changes_with_everything_that_defines_the_outcome():
    trial = TrialConfig(SUBJECT.name, SUBJECT.configure({}), 0, IDENTITY)
    others = [
        replace(trial, configuration=SUBJECT.configure({"epochs": 6})),
        replace(trial, seed=1),
        replace(trial, subject="other"),
        *(replace(trial, data=replace(IDENTITY, **{f.name: "other"})) for f in fields(DataIdentity)),
        replace(trial, training_version=trial.training_version + 1),
    ]
    assert len({t.fingerprint for t in [trial, *others]}) == 1 + len(others)


def test_paths_below_a_log_directory_fit_windows():
    for experiment in select_experiments(SUBJECT, [*GROUPS]):
        for configuration in experiment.configurations:
            trial = TrialConfig(SUBJECT.name, configuration, 999, IDENTITY)
            assert len(f"{trial.trial_id}/{EVENT_FILE}") <= 150
            for part in trial.trial_id.split("/"):
                assert not re.search(r'[<>:"\\|?*\x00-\x1f]', part)
                assert not part.endswith((".", " "))
