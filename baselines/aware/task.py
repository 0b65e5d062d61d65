"""The card of the aware task."""

from __future__ import annotations

from baselines.core.tasks import Metric, TaskCard

# Situations in which somebody else rates a user's photos, by the key of the files.
SITUATIONS = {
    "acc": "searching for accommodation",
    "bank": "asking for a bank loan",
    "it": "applying for an IT job",
    "wait": "applying as a waiter or waitress",
}

CARDS = (
    TaskCard(
        id="aware",
        package="baselines.aware",
        version="2021.1",
        predicts="four ratings of a photo profile",
        baseline="multimodal regressor",
        unit="user",
        splits=("train", "val", "test"),
        metrics=(
            Metric("pearson.mean", "mean over situations of Pearson's correlation"),
            *(Metric(f"pearson.{key}", f"Pearson's correlation, {words}") for key, words in SITUATIONS.items()),
            Metric("spearman.mean", "mean over situations of Spearman's rank correlation"),
            *(Metric(f"spearman.{key}", f"Spearman's rank correlation, {words}") for key, words in SITUATIONS.items()),
        ),
        run_file="run.json",  # this project's name: the campaign prescribed none that is known
        example_ids=("0a1b2c3d4e5f6a7b", "8c9d0e1f2a3b4c5d"),
        example_truth=(
            "{\n"
            '"0a1b2c3d4e5f6a7b": {"acc": -1.2, "bank": -0.4, "it": 0.25, "wait": -0.8},\n'
            '"8c9d0e1f2a3b4c5d": {"acc": 0.5, "bank": 0.1, "it": -0.75, "wait": 1.1}\n'
            "}\n"
        ),
    ),
)
