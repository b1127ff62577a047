"""The words of a study as frozen values: search space, configuration, experiment, trial, result, subject.

Other rooms may import the modules named here.
"""

__all__ = [
    "data", "errors", "experiment", "files", "forks", "labels", "lock", "machine", "selection", "source", "space",
    "subject", "trial", "values",
]  # fmt: skip
