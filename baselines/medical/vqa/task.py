"""The cards of the two VQA-Med tasks."""

from __future__ import annotations

from baselines.core.tasks import Metric, TaskCard

_EXAMPLE_IDS = ("synpic10001", "synpic10002")

CARDS = (
    TaskCard(
        id="vqa",
        package="baselines.medical.vqa",
        version="2021.1",
        predicts="answer to a question on an image",
        baseline="image + question fusion model",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("accuracy", "share of images whose answer equals a reference, both normalised"),
            Metric("bleu", "mean over images of the best BLEU over the references, as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
        ),
        run_file="run.txt",  # this project's name: the campaign prescribed none that is known
        secondary="bleu",
        example_ids=_EXAMPLE_IDS,
    ),
    TaskCard(
        id="vqg",
        package="baselines.medical.vqa",
        version="2021.1",
        predicts="questions about an image",
        baseline="the encoder-decoder captioner, on questions",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("bleu", "mean over images of the best BLEU of any question and reference, as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
        ),
        run_file="run.txt",  # this project's name, as above
        example_ids=_EXAMPLE_IDS,
    ),
)
