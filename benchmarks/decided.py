"""The time until the hypotheses of the seven experiments are decided, beside a fixed design of the same power."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.measurement import Measurement
from benchmarks.setting import Setting, study_command, time_command
from gridstudy.records.tables import find_results
from gridstudy.records.trials import read_result
from gridstudy.records.verdicts import CANNOT_TELL, read_verdicts


def measure_decided(setting: Setting) -> Iterator[Measurement]:
    """Run the study until all of its hypotheses are decided or have all their seeds.

    A fixed design of the same power gives every configuration the seeds that the last look needed.
    """
    logdir = setting.work / "decided"
    options = (*setting.study_options, *setting.data_options, "--until-decided")
    _, duration_s = time_command(study_command(setting, logdir, *options), setting)
    n_seeds = Counter(read_result(path)[0].trial.configuration for path in find_results(logdir))
    verdicts = read_verdicts(logdir)
    n_decided = sum(verdict["verdict"] != CANNOT_TELL for verdict in verdicts)
    most = max(n_seeds.values())
    yield Measurement("until decided", "time", duration_s, "s", note=f"{n_decided} of {len(verdicts)} decided")
    yield Measurement("until decided", "trials", n_seeds.total(), "")
    yield Measurement("until decided", "trials of a fixed design", len(n_seeds) * most, "", note=f"{most} seeds each")
