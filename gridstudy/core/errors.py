"""The error that tells a user's mistake."""


class StudyError(ValueError):
    """A user's mistake, told in one line: the rule, what came, what would work."""
