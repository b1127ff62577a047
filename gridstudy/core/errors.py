"""The errors that tell a user's mistake."""


class StudyError(ValueError):
    """A user's mistake, told in one line: the rule, what came, what would work."""


class StopStudy(StudyError):
    """A fault that every further trial would meet as well: the study ends instead of trying again."""
