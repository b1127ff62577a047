"""The study questions, answered from the records at no extra training: numbers and booleans, no prose.

Each question is a module that returns frozen answers, one per experiment; `StudyAnswers.table` has all their numbers.
Unstable configurations and those with fewer than 3 seeds are in no answer, and only seeds count that all others have.
Differences are positive where the first is better. Intervals are 95 % t intervals over seeds unless an answer says
otherwise.
"""

from gridstudy.statistics.questions.answers import QUESTION_COLUMNS, StudyAnswers, answer_questions
from gridstudy.statistics.questions.epochs import EpochGain, EpochsAnswer
from gridstudy.statistics.questions.factors_of_2 import CoarseGrid, QuadraticFit
from gridstudy.statistics.questions.interactions import Interaction, InteractionsAnswer, SimpleEffect
from gridstudy.statistics.questions.ranking_by_epoch import EpochRanking, RankingAnswer
from gridstudy.statistics.questions.replay import Interval
from gridstudy.statistics.questions.search import HalvingAnswer, RandomSearchAnswer

__all__ = [
    "QUESTION_COLUMNS",
    "CoarseGrid",
    "EpochGain",
    "EpochRanking",
    "EpochsAnswer",
    "HalvingAnswer",
    "Interaction",
    "InteractionsAnswer",
    "Interval",
    "QuadraticFit",
    "RandomSearchAnswer",
    "RankingAnswer",
    "SimpleEffect",
    "StudyAnswers",
    "answer_questions",
]
