"""Profiles to tensors: concepts by number, dropout of photos and mixup, folds, data sets and the data module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from baselines.aware.profiles import Profile
from baselines.aware.records import Sample
from baselines.aware.task import SITUATIONS, DataConfig
from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.training.data import BaselineDataModule, Draw

Item = dict[str, Any]


class Batch(TypedDict):
    """Profiles, padded to the one with the most detections.

    Attributes:
        ids: User ids.
        concepts: ``(B, D) int64``, numbers of the concepts; one more than the last for concepts that the model doesn't know.
        confidences: ``(B, D) float32``, 0 where there is no detection.
        boxes: ``(B, D, 4) float32`` xyxy as shares of the photo.
        places: ``(B, D) int64``, number of the photo within the profile, from 0; -1 where there is no detection.
        images: ``(B,) float32``, how many photos there are, at least 1.
        targets: ``(B, 4) float32`` true ratings; NaN where there are none.
        folds: ``(B,) int64``, the fold of a training user; -1 of others.
    """

    ids: list[str]
    concepts: Tensor
    confidences: Tensor
    boxes: Tensor
    places: Tensor
    images: Tensor
    targets: Tensor
    folds: Tensor


def folds_of(ids: Sequence[str], count: int, seed: int) -> dict[str, int]:
    """Divide ids into folds whose sizes differ by one at most; the same ids and seed give the same folds in any order.

    >>> sorted(folds_of(["a", "b", "c", "d"], 2, seed=0).values())
    [0, 0, 1, 1]
    """
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).digest())
    return {name: rank % count for rank, name in enumerate(ranked)}


class Profiles(Dataset[Item]):
    """The profiles of a split, whole when asked for by index, augmented when asked for by a :class:`Draw`.

    Args:
        samples: The users.
        numbers: Numbers of the concepts.
        folds: Folds of the training users.
        config: The data configuration.
    """

    def __init__(
        self, samples: Sequence[Sample], numbers: Mapping[str, int], folds: Mapping[str, int], config: DataConfig
    ) -> None:
        self.config = config
        self.items = [_item(sample, numbers, folds) for sample in samples]
        self.mates: dict[int, list[int]] = {}
        for index, item in enumerate(self.items):
            self.mates.setdefault(item["fold"], []).append(index)

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.items)

    def __getitem__(self, key: int | Draw) -> Item:
        """Return one profile; a draw's seed decides all of its augmentation."""
        if not isinstance(key, Draw):
            return self.items[key]
        item, rng = self.items[key.index], np.random.default_rng(key.seed)
        if rng.random() < self.config.mixup:
            # Within the fold, or a network would see ratings of users that it is tested on.
            mates = self.mates[item["fold"]]
            return mix(item, self.items[mates[int(rng.integers(len(mates)))]], rng)
        return _keep(item, np.greater_equal(rng.random(item["images"]), rng.uniform(0, self.config.image_dropout)))


def _item(sample: Sample, numbers: Mapping[str, int], folds: Mapping[str, int]) -> Item:
    profile: Profile = sample.profile
    ratings = [sample.truth.ratings[key] for key in SITUATIONS] if sample.truth else [np.nan] * 4
    return {
        "id": sample.id,
        "concepts": np.array([numbers.get(name, len(numbers)) for name in profile.concepts], np.int64),
        "confidences": profile.confidences,
        "boxes": profile.boxes,
        "places": profile.places,
        "images": len(profile.images),
        "targets": np.array(ratings),
        "fold": folds.get(sample.id, -1),
    }


def _keep(item: Item, kept: NDArray[np.bool_]) -> Item:
    """Return a profile with some of its photos; all of them if none would be left."""
    if not kept.any():
        return item
    shown = kept[item["places"]]
    fields = {name: item[name][shown] for name in ("concepts", "confidences", "boxes")}
    places = (np.cumsum(kept) - 1)[item["places"][shown]]
    return item | fields | {"places": places, "images": int(kept.sum())}


def mix(first: Item, second: Item, rng: np.random.Generator) -> Item:
    """Return a profile with a random share of the photos of one user, and the rest of another's, rated in proportion."""
    share = rng.uniform()
    parts = ((first, share), (second, 1 - share))
    one, other = (_keep(item, np.less(rng.random(item["images"]), part)) for item, part in parts)
    count = one["images"] + other["images"]
    weight = one["images"] / count if count else 0.5
    joined = {name: np.concatenate([one[name], other[name]]) for name in ("concepts", "confidences", "boxes")}
    places = np.concatenate([one["places"], other["places"] + one["images"]])
    targets = weight * one["targets"] + (1 - weight) * other["targets"]
    return first | joined | {"places": places, "images": count, "targets": targets}


def without(item: Item, concept: int) -> Item:
    """Return a profile whose photos don't show a concept."""
    kept = item["concepts"] != concept
    return item | {name: item[name][kept] for name in ("concepts", "confidences", "boxes", "places")}


def collate(items: Sequence[Item]) -> Batch:
    """Put profiles together; see :class:`Batch`."""
    longest = max(1, *(len(item["concepts"]) for item in items))

    def padded(name: str, kind: Any, fill: float) -> Tensor:
        shape = items[0][name].shape[1:]
        rows = np.full((len(items), longest, *shape), fill, kind)
        for row, item in zip(rows, items, strict=True):
            row[: len(item[name])] = item[name]
        return torch.from_numpy(rows)

    return {
        "ids": [item["id"] for item in items],
        "concepts": padded("concepts", np.int64, 0),
        "confidences": padded("confidences", np.float32, 0),
        "boxes": padded("boxes", np.float32, 0),
        "places": padded("places", np.int64, -1),
        "images": torch.tensor([max(1, item["images"]) for item in items], dtype=torch.float32),
        "targets": torch.from_numpy(np.array([item["targets"] for item in items], np.float32)),
        "folds": torch.tensor([item["fold"] for item in items]),
    }


class AwareData(BaselineDataModule):
    """Splits and loaders of the aware task. What validates while fitting are the training users, each by what held it out.

    Args:
        config: The run's configuration.
        classes: Concept names by number, where a trained model says them; else those of the training split.

    Attributes:
        ratings: ``(C, 4) float32`` ratings of the concepts; NaN where there is none.

    Raises:
        InvalidInput: If the data can't be read.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        self.settings = config.data
        self.predicts_only = classes is not None
        self.classes = dict(classes or self.split("train").truth_set.classes)
        self.numbers = {name: number for number, name in sorted(self.classes.items())}
        self.folds: dict[str, int] = {}
        self.ratings = torch.full((len(self.classes), len(SITUATIONS)), torch.nan)
        self.data_hash = ""
        if not classes:
            train = self.split("train")
            self.folds = folds_of(
                list(train.truth_set.truths), min(self.settings.folds, len(train.samples)), self.settings.split_seed
            )
            for name, ratings in train.ratings.items():
                self.ratings[self.numbers[name]] = torch.tensor([ratings[key] for key in SITUATIONS])
            self.data_hash = self._hash()

    def train_dataset(self) -> Profiles:
        """Return the training users."""
        return self.predict_dataset("train")

    def val_dataset(self) -> Profiles:
        """Return the training users: they validate by folds, and the validation split is kept for the end."""
        return self.predict_dataset("train")

    def predict_dataset(self, split: str) -> Profiles:
        """Return the users of a split; they are augmented when asked for by a :class:`Draw`."""
        return Profiles(self.split(split).samples, self.numbers, self.folds, self.settings)

    def collate(self, items: list[Item]) -> Batch:
        """Put profiles together; see :func:`collate`."""
        return collate(items)

    def _hash(self) -> str:
        digest = hashlib.sha256(repr(sorted(self.classes.items())).encode())
        digest.update(self.ratings.numpy().tobytes())
        for name in ("train", "val"):
            for sample in self.split(name).samples:
                profile = sample.profile
                digest.update(f"\n{name}\t{sample.id}\t{profile.images}\t{profile.concepts}\t{sample.truth}".encode())
                digest.update(profile.places.tobytes() + profile.confidences.tobytes() + profile.boxes.tobytes())
        return digest.hexdigest()


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> AwareData:
    """Return the data module of a configuration; see :class:`AwareData`.

    Raises:
        InvalidInput: If the data can't be read, or ``data.val_share`` is set, by which nothing is divided here.
    """
    if config.data.val_share != DataConfig.val_share:
        hint = "leave it out; data.folds and data.split_seed decide what is held out of the training users"
        raise invalid("CONFIG-VALUE", "the campaign has a validation split", value="data.val_share", hint=hint)
    return AwareData(config, classes)
