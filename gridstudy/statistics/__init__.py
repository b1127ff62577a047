"""From tables to estimates, verdicts and findings.

Other rooms may import the modules named here.
"""

__all__ = [
    "comparisons", "confusion", "decisions", "estimates", "findings", "flags", "interactions", "looks", "noise",
    "questions", "results", "standing",
    "verdicts",
]  # fmt: skip
