"""Results of other programs: a row per run to estimates, by what was recorded of seeds, sessions and starts."""
