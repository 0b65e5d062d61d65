"""Images with their concepts or captions to tensors: data sets and the data module of both caption tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.paths import cache_dir
from baselines.medical.caption import records
from baselines.medical.caption.records import CONCEPTS, Sample, Truth
from baselines.medical.caption.task import DataConfig
from baselines.medical.images import Squares, load_square, square_recipe, stack
from baselines.medical.splits import divide
from baselines.training.cache import PictureCache, cached_pictures
from baselines.training.data import BaselineDataModule


class Batch(TypedDict):
    """Images with what is true of them.

    Attributes:
        ids: Image ids.
        images: ``(B, 3, side, side) uint8`` RGB.
        labels: ``(B, K) float32``: whether an image has each of the K concepts, in ascending order of their codes; of
            ``caption-prediction`` K is 0, as its modules know the captions by id.
    """

    ids: list[str]
    images: Tensor
    labels: Tensor


class Images(Squares):
    """Images with the labels of their concepts.

    Args:
        samples: The images.
        pictures: Their cached squares.
        columns: The column of each concept in the labels, by the number in its code.
        config: The data configuration.
    """

    def __init__(
        self, samples: Sequence[Sample], pictures: PictureCache, columns: Mapping[int, int], config: DataConfig
    ) -> None:
        super().__init__(samples, pictures, config)
        self.columns = columns

    @override
    def truth(self, sample: Sample) -> dict[str, Any]:
        """Return the labels of an image."""
        return {"labels": label_row(sample.truth, self.columns)}


def label_row(truth: Truth | None, columns: Mapping[int, int]) -> NDArray[np.float32]:
    """Return the labels of an image, ``(K,)`` of 0 and 1; concepts without a column are left out."""
    row = np.zeros(len(columns), np.float32)
    if truth is not None:
        row[[columns[number] for number in map(records.concept_number, truth.concepts) if number in columns]] = 1
    return row


def collate(items: list[dict[str, Any]]) -> Batch:
    """Put images together."""
    return {
        "ids": [item["id"] for item in items],
        "images": stack([item["image"] for item in items]),
        "labels": torch.from_numpy(np.stack([item["labels"] for item in items])),
    }


class CaptionData(BaselineDataModule):
    """Splits, cached images and loaders of a caption task.

    Args:
        config: The run's configuration.
        classes: Names of the concepts by the number in their code, where a trained model says them; else those of the training
            data. ``caption-prediction`` has none.

    Attributes:
        predicts_only: Whether a trained model said the concepts, so that training data are not looked at.
        columns: The column of each concept in the labels, by the number in its code.

    Raises:
        InvalidInput: If the data can't be read.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        self.images = config.data
        self.predicts_only = classes is not None
        self.classes = dict(self.split("train").truth_set.classes if classes is None else classes)
        self.columns = {number: column for column, number in enumerate(sorted(self.classes))}
        self.data_hash = "" if self.predicts_only else self._hash()

    def truths(self, split: str) -> list[Truth]:
        """Return the truths of a split's images that exist on disk."""
        return [sample.truth for sample in self.split(split).samples if sample.truth is not None]

    def set_aside(self) -> frozenset[str]:
        """Return the ids of the training images that are tuned on instead of trained on (``caption-concepts``)."""
        if self.config.task != CONCEPTS:
            return frozenset()
        ids = [sample.id for sample in self.split("train").samples]
        return frozenset(divide(ids, self.images.set_aside, self.images.split_seed)[1])

    def train_dataset(self) -> Images:
        """Return the training images but for those that are set aside."""
        images, aside = self.predict_dataset("train"), self.set_aside()
        images.samples = [sample for sample in images.samples if sample.id not in aside]
        return images

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """Put images together; see :func:`collate`."""
        return collate(items)

    def predict_dataset(self, split: str) -> Images:
        """Return the images of a split; they are augmented when asked for by a :class:`Draw`."""
        samples, side = self.split(split).samples, self.images.image_side
        files = self.sources(split)
        pictures = cached_pictures(cache_dir(self.config), files, square_recipe(side), lambda path: load_square(path, side))
        return Images(samples, pictures, self.columns, self.images)

    def _hash(self) -> str:
        digest = hashlib.sha256(repr(sorted(self.classes.items())).encode())
        for name in ("train", "val"):
            for key, truth in sorted(self.split(name).truth_set.truths.items()):
                digest.update(repr((name, key, truth.concepts, truth.caption)).encode())
        return digest.hexdigest()


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> CaptionData:
    """Return the data module of a configuration; see :class:`CaptionData`."""
    return CaptionData(config, classes)
