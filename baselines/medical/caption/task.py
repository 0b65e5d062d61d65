"""The cards of the two caption tasks."""

from __future__ import annotations

from baselines.core.tasks import Metric, TaskCard

_EXAMPLE_IDS = ("synpic101", "synpic102")

CARDS = (
    TaskCard(
        id="caption-concepts",
        package="baselines.medical.caption",
        version="2021.1",
        predicts="UMLS concepts of an image",
        baseline="multi-label classifier and retrieval",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(Metric("f1", "mean over images of the F1 between true and predicted concepts"),),
        run_file="run.csv",  # this project's name: the campaign prescribed none that is known
        example_ids=_EXAMPLE_IDS,
    ),
    TaskCard(
        id="caption-prediction",
        package="baselines.medical.caption",
        version="2021.1",
        predicts="one caption of an image",
        baseline="encoder-decoder captioner",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("bleu", "mean over images of BLEU as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
            Metric("rouge1_f", "mean over images of the F1 between true and predicted words"),
        ),
        run_file="run.csv",  # this project's name, as above
        example_ids=_EXAMPLE_IDS,
    ),
)
