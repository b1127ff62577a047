"""From tables to estimates, verdicts and findings."""
