"""Images with their questions and answers to tensors: data sets and the data module of both VQA-Med tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypedDict

from torch import Tensor
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.paths import cache_dir
from baselines.medical.images import Squares, load_square, square_recipe, stack
from baselines.medical.vqa import records
from baselines.medical.vqa.questions import AnswerVocabulary
from baselines.medical.vqa.records import Sample
from baselines.medical.vqa.task import DataConfig
from baselines.training.cache import cached_pictures
from baselines.training.data import BaselineDataModule


class Batch(TypedDict):
    """Images with their questions.

    Attributes:
        ids: Image ids.
        images: ``(B, 3, side, side) uint8``.
        questions: The question of each image, as written.
        texts: What is true of each: reference answers (``vqa``) or questions (``vqg``), as written; empty in a test set.
    """

    ids: list[str]
    images: Tensor
    questions: list[str]
    texts: list[tuple[str, ...]]


class Images(Squares):
    """Images with their questions and what is true of them."""

    @override
    def truth(self, sample: Sample) -> dict[str, Any]:
        """Return the question of an image, and its reference texts."""
        return {"question": sample.question, "texts": sample.truth.texts if sample.truth else ()}


def collate(items: list[dict[str, Any]]) -> Batch:
    """Put images together."""
    return {
        "ids": [item["id"] for item in items],
        "images": stack([item["image"] for item in items]),
        "questions": [item["question"] for item in items],
        "texts": [item["texts"] for item in items],
    }


class VqaData(BaselineDataModule):
    """Splits, cached images and loaders of a VQA-Med task.

    Args:
        config: The run's configuration.
        classes: Answers by number from 1, where a trained model says them; else those of the training data. ``vqg`` has none.

    Attributes:
        answers: The answers of :attr:`classes` (``vqa``).
        predicts_only: Whether a trained model said the answers, so that training data are not looked at.

    Raises:
        InvalidInput: If the data can't be read.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        self.images = config.data
        self.predicts_only = classes is not None
        if classes is None:
            found = AnswerVocabulary.from_truths(self.train_truths()) if config.task == "vqa" else AnswerVocabulary(())
            classes = dict(enumerate(found.answers, start=1))
        self.classes = dict(classes)
        self.answers = AnswerVocabulary(tuple(self.classes[number] for number in sorted(self.classes)))
        self.data_hash = "" if self.predicts_only else self._hash()

    def train_truths(self) -> list[records.Truth]:
        """Return the truths of the training images that exist."""
        return [sample.truth for sample in self.split("train").samples if sample.truth is not None]

    def train_dataset(self) -> Images:
        """Return the training images."""
        return self.predict_dataset("train")

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """Put images together; see :func:`collate`."""
        return collate(items)

    def predict_dataset(self, split: str) -> Images:
        """Return the images of a split; they are augmented when asked for by a :class:`Draw`."""
        samples, side = self.split(split).samples, self.images.image_side
        files = self.sources(split)
        pictures = cached_pictures(cache_dir(self.config), files, square_recipe(side), lambda path: load_square(path, side))
        return Images(samples, pictures, self.images)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        for name in ("train", "val"):
            for key, truth in sorted(self.split(name).truth_set.truths.items()):
                digest.update(repr((name, key, truth.question, truth.texts)).encode())
        return digest.hexdigest()


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> VqaData:
    """Return the data module of a configuration; see :class:`VqaData`."""
    return VqaData(config, classes)
