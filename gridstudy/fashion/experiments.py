"""The experiments of the study and of its follow-ups: the only place where a grid value is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FACTORS_OF_2_UNITS = [16, 32, 64, 128, 256, 512]
FACTORS_OF_2_BATCHES = [4, 8, 16, 32, 64, 128]
EXAMPLES_PER_EPOCH = 6400
"""Images per epoch of the baseline: 100 steps of 64."""

STUDY: tuple[Mapping[str, Any], ...] = (
    {
        "name": "epochs",
        "treatment_budgets": ["updates", "examples"],
        "question": "What do more epochs bring, and what do they cost?",
        "hypothesis": "Each extension pays: five epochs of 100 updates beat three, and ten beat five.",
        "contrasts": [
            {"better": {"epochs": 5}, "worse": {"epochs": 3}},
            {"better": {"epochs": 10}, "worse": {"epochs": 5}},
        ],
        "scientific": ["epochs"],
        "grid": {"epochs": [3, 5, 10]},
    },
    {
        "name": "units",
        "treatment_budgets": ["parameters"],
        "question": "How wide should the two hidden layers be?",
        "hypothesis": "Width pays up to 256 units per layer and no further: 256 x 256 beats 64 x 64, "
        "and 512 units in either layer make no practical difference.",
        "contrasts": [
            {"better": {"units1": 256, "units2": 256}, "worse": {"units1": 64, "units2": 64}},
            {"alike": [{"units1": 512, "units2": 256}, {"units1": 256, "units2": 256}]},
            {"alike": [{"units1": 256, "units2": 512}, {"units1": 256, "units2": 256}]},
        ],
        "scientific": ["units1", "units2"],
        "grid": {"units1": FACTORS_OF_2_UNITS, "units2": FACTORS_OF_2_UNITS},
    },
    {
        "name": "batch_size",
        "question": "Which batch size is best at an equal number of updates?",
        "hypothesis": "At an equal number of updates each doubling from 16 to 128 pays.",
        "contrasts": [
            {"better": {"batch_size": 32}, "worse": {"batch_size": 16}},
            {"better": {"batch_size": 64}, "worse": {"batch_size": 32}},
            {"better": {"batch_size": 128}, "worse": {"batch_size": 64}},
        ],
        "scientific": ["batch_size"],
        "grid": {"batch_size": FACTORS_OF_2_BATCHES},
    },
    {
        "name": "depth",
        "treatment_budgets": ["parameters"],
        "question": "Does a second or a third hidden layer help?",
        "hypothesis": "A second hidden layer makes no practical difference, and neither does a third.",
        "contrasts": [{"alike": [{"depth": 2}, {"depth": 1}]}, {"alike": [{"depth": 3}, {"depth": 2}]}],
        "scientific": ["depth"],
        "grid": {"depth": [1, 2, 3]},
    },
    {
        "name": "learning_rate",
        "question": "Which learning rate suits Adam within 500 updates?",
        "hypothesis": "Adam's default rate of 1e-3 beats both its neighbours, 5e-3 and 5e-4.",
        "contrasts": [
            {"better": {"learning_rate": 1e-3}, "worse": {"learning_rate": 5e-3}},
            {"better": {"learning_rate": 1e-3}, "worse": {"learning_rate": 5e-4}},
        ],
        "scientific": ["learning_rate"],
        "grid": {"learning_rate": [1e-2, 5e-3, 1e-3, 5e-4, 1e-4, 1e-5]},
    },
    {
        "name": "optimizer",
        "question": "Which optimizer is best at a learning rate of 1e-3?",
        "hypothesis": "At a learning rate of 1e-3, AdamW is no different from Adam.",
        "contrasts": [{"alike": [{"optimizer": "AdamW"}, {"optimizer": "Adam"}]}],
        "scientific": ["optimizer"],
        "grid": {"optimizer": ["SGD", "Adam", "AdamW", "RMSprop"]},
    },
    {
        "name": "combined",
        "treatment_budgets": ["updates", "examples", "parameters"],
        "question": "Which of three hand-picked combinations is best: a wide, a deep or a quick one?",
        "hypothesis": "Ten epochs of a large network pay: both the wide and the deep one beat the quick one.",
        "contrasts": [
            {"better": {"batch_size": 32}, "worse": {"batch_size": 128}},
            {"better": {"batch_size": 64}, "worse": {"batch_size": 128}},
        ],
        "arms": [
            "wide: 512 + 256 units, 10 epochs of batch 32",
            "deep: 256 + 128 + 128 units, 10 epochs of batch 64, AdamW at 5e-4",
            "quick: 128 + 64 units, 5 epochs of batch 128",
        ],
        "scientific": ["epochs", "batch_size", "units1", "units2", "depth", "learning_rate", "optimizer"],
        "configurations": [
            {"epochs": 10, "batch_size": 32, "units1": 512, "units2": 256, "depth": 2, "learning_rate": 1e-3,
             "optimizer": "Adam"},
            {"epochs": 10, "batch_size": 64, "units1": 256, "units2": 128, "depth": 3, "learning_rate": 5e-4,
             "optimizer": "AdamW"},
            {"epochs": 5, "batch_size": 128, "units1": 128, "units2": 64, "depth": 2, "learning_rate": 1e-3,
             "optimizer": "Adam"},
        ],
    },
)  # fmt: skip

FOLLOW_UP: tuple[Mapping[str, Any], ...] = (
    {
        "name": "batch_size_equal_examples",
        "question": "Which batch size is best when every arm sees the same number of images?",
        "hypothesis": "At equal examples a batch of 32, with twice the updates, beats a batch of 64, and 64 beats 128.",
        "treatment_budgets": ["updates"],
        "contrasts": [
            {"better": {"batch_size": 32}, "worse": {"batch_size": 64}},
            {"better": {"batch_size": 64}, "worse": {"batch_size": 128}},
        ],
        "scientific": ["batch_size"],
        "configurations": [{"batch_size": b, "train_steps": EXAMPLES_PER_EPOCH // b} for b in FACTORS_OF_2_BATCHES],
    },
    {
        "name": "learning_rate_per_optimizer",
        "question": "Which optimizer is best when each has its own learning rate?",
        "hypothesis": "Adam at its best rate beats SGD with momentum at its best rate.",
        "contrasts": [
            {"better": {"optimizer": "Adam", "momentum": 0.0}, "worse": {"optimizer": "SGD", "momentum": 0.9}}
        ],
        "scientific": ["optimizer", "momentum"],
        "nuisance": ["learning_rate"],
        "configurations": [
            {"optimizer": optimizer, "momentum": momentum, "learning_rate": rate}
            for optimizer, momentum, rates in (
                ("SGD", 0.0, (1.0, 0.3, 0.1, 0.03, 0.01)),
                ("SGD", 0.9, (0.3, 0.1, 0.03, 0.01, 0.003)),
                ("Adam", 0.0, (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)),
                ("AdamW", 0.0, (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)),
                ("RMSprop", 0.0, (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)),
            )
            for rate in rates
        ],
    },
    {
        "name": "depth_x_units",
        "treatment_budgets": ["parameters"],
        "question": "Does the best width depend on the depth?",
        "hypothesis": "Width matters more than depth: one layer of 256 beats three layers of 16.",
        "contrasts": [{"better": {"depth": 1, "units1": 256}, "worse": {"depth": 3, "units1": 16}}],
        "scientific": ["depth", "units1"],
        "configurations": [
            {"depth": depth, "units1": units, "units2": units} for depth in (1, 2, 3) for units in FACTORS_OF_2_UNITS
        ],
        "arms": [f"{depth} x {units}" for depth in (1, 2, 3) for units in FACTORS_OF_2_UNITS],
    },
    {
        "name": "learning_rate_x_batch_size",
        "treatment_budgets": ["updates"],
        "question": "Does the best learning rate depend on the batch size, at equal examples?",
        "hypothesis": "Small batches want small rates and large ones large rates: "
        "1e-3 beats 1e-2 at a batch of 16, and 3e-3 beats 3e-4 at a batch of 128.",
        "contrasts": [
            {"better": {"batch_size": 16, "learning_rate": 1e-3}, "worse": {"batch_size": 16, "learning_rate": 1e-2}},
            {"better": {"batch_size": 128, "learning_rate": 3e-3}, "worse": {"batch_size": 128, "learning_rate": 3e-4}},
        ],
        "scientific": ["learning_rate", "batch_size"],
        "configurations": [
            {"learning_rate": rate, "batch_size": b, "train_steps": EXAMPLES_PER_EPOCH // b}
            for rate in (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
            for b in (16, 32, 64, 128)
        ],
    },
    {
        "name": "learning_rate_over_epochs",
        "question": "Does the best learning rate depend on the number of epochs?",
        "hypothesis": "After 20 epochs 1e-3 beats both ends of the range, 1e-2 and 1e-4.",
        "contrasts": [
            {"better": {"learning_rate": 1e-3}, "worse": {"learning_rate": 1e-2}},
            {"better": {"learning_rate": 1e-3}, "worse": {"learning_rate": 1e-4}},
        ],
        "scientific": ["learning_rate"],
        "curve_epochs": [1, 2, 5, 10, 20],
        "fixed": {"epochs": 20},
        "grid": {"learning_rate": [1e-2, 3e-3, 1e-3, 3e-4, 1e-4]},
    },
    {
        "name": "full_passes",
        "question": "Where does the baseline end when it sees the whole training split ten times?",
        "hypothesis": "Ten passes bring the baseline to the level that plain networks reach on these images.",
        "scientific": [],
        "configurations": [{"epochs": 10, "train_steps": 782}],
    },
)  # fmt: skip

GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": tuple(table["name"] for table in STUDY),
    "quick": tuple(table["name"] for table in STUDY if table["name"] != "units"),
    "follow-up": tuple(table["name"] for table in FOLLOW_UP),
}
