"""The words of a study as frozen values: search space, configuration, experiment, trial, result, subject."""
