"""Scans to tensors: prepared once into a cache, drawn with more or less balance, and divided so that no choice sees the report.

Augmentation is the module's, since a graphics card does it faster.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from baselines.core.config import Config
from baselines.core.files import Report
from baselines.core.findings import Findings, invalid, show_id
from baselines.core.paths import cache_dir
from baselines.medical.tuberculosis import records
from baselines.medical.tuberculosis.folds import divide
from baselines.medical.tuberculosis.records import Sample, Split
from baselines.medical.tuberculosis.task import TYPES, DataConfig
from baselines.medical.tuberculosis.volumes import MARGIN, RECIPE, prepare_files
from baselines.training.arrays import ERROR, ArrayCache, cached_arrays
from baselines.training.data import BaselineDataModule, Draw

CHANNELS = 2  # the CT and the lung mask
TUNE = "tune"  # the part of the training scans that is set aside


class Batch(TypedDict):
    """Scans.

    Attributes:
        ids: File names.
        volumes: ``(B, 2, D, H, W) uint8``, as :class:`~baselines.medical.tuberculosis.volumes.Prepared` has them.
        labels: ``(B,) int64`` class indices from 0; -1 where unknown.
        seeds: Of each scan's augmentation; ``None`` where it is not to be augmented.
        usable: ``(B,) bool``, whether the scan could be read; the volume is empty where not.
    """

    ids: list[str]
    volumes: Tensor
    labels: Tensor
    seeds: list[int | None]
    usable: Tensor


class Scans(Dataset[dict[str, Any]]):
    """Prepared scans.

    Args:
        samples: The scans.
        arrays: Their prepared volumes.
        grid: The shape of these.
        order: Which sample each index stands for; a sample may be there more than once.
    """

    def __init__(
        self, samples: Sequence[Sample], arrays: ArrayCache, grid: tuple[int, int, int], order: Sequence[int] | None = None
    ) -> None:
        self.samples, self.arrays, self.grid = samples, arrays, grid
        self.order = range(len(samples)) if order is None else order

    def __len__(self) -> int:
        """Return how many indices there are."""
        return len(self.order)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """Return one scan in the terms of :class:`Batch`; a draw has a seed to augment it by."""
        sample = self.samples[self.order[key.index if isinstance(key, Draw) else key]]
        usable = sample.id in self.arrays
        volume = np.array(self.arrays[sample.id]) if usable else np.zeros((CHANNELS, *self.grid), np.uint8)
        return {
            "id": sample.id,
            "volume": volume,
            "label": sorted(TYPES).index(sample.truth.label) if sample.truth else -1,
            "seed": key.seed if isinstance(key, Draw) else None,
            "usable": usable,
        }


def balanced_order(labels: Sequence[int], balance: float, seed: int) -> list[int]:
    """Return indices in which rare classes are repeated.

    A class of ``n`` samples gets ``n ** (1 - balance) * most ** balance`` places, where ``most`` is the size of the largest.
    All of its samples are there as often, but for some, chosen by the seed, that are there once more.

    >>> balanced_order([0, 0, 0, 0, 1], balance=1.0, seed=0)
    [0, 1, 2, 3, 4, 4, 4, 4]
    """
    places: dict[int, list[int]] = defaultdict(list)
    for place, label in enumerate(labels):
        places[label].append(place)
    most = max((len(own) for own in places.values()), default=0)
    order: list[int] = []
    for label, own in sorted(places.items()):
        count = round(len(own) ** (1 - balance) * most**balance)
        shuffled = np.random.default_rng([seed, label]).permutation(own).tolist()
        order += [shuffled[place % len(own)] for place in range(count)]
    return sorted(order)


class TuberculosisData(BaselineDataModule):
    """Splits, prepared scans and loaders.

    The training scans are divided once more: a part is set aside, on which the module is validated while it is trained and the
    decision rule is tuned. Scans that can't be read are not trained on.

    Args:
        config: The run's configuration.
        classes: Class names by campaign id, where a trained model says them; they are always those of the task.

    Raises:
        InvalidInput: If the data can't be read, or the configuration has a fold that isn't there.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        self.scans = config.data
        if self.scans.fold >= (self.scans.folds or 1):
            hint = "data.fold counts from 0 to data.folds - 1, and is 0 without folds"
            value = f"data.fold={self.scans.fold}, data.folds={self.scans.folds}"
            raise invalid("CONFIG-VALUE", "there is no such fold", value=value, hint=hint)
        self.classes = dict(TYPES)
        self._splits: dict[str, Split] = {}
        self._arrays: dict[str, ArrayCache] = {}
        self.predicts_only = classes is not None
        self.data_hash = "" if self.predicts_only else self._hash()

    def split(self, name: str) -> Split:
        """Return a split: ``train`` without the scans that can't be read, ``val``, ``all`` or ``test``."""
        if name not in self._splits:
            self._read(name)
        return self._splits[name]

    def train_dataset(self) -> Scans:
        """Return the training scans that are not set aside, rare types more often."""
        samples = self.training_parts()["fit"]
        labels = [sample.truth.label for sample in samples if sample.truth]
        return self._scans(samples, "train", balanced_order(labels, self.scans.balance, self.scans.split_seed))

    def val_dataset(self) -> Scans:
        """Return the training scans that are set aside: the held-out ones are reported on, and nothing is chosen on them."""
        return self._scans(self.training_parts()[TUNE], "train")

    def predict_dataset(self, split: str) -> Scans:
        """Return the scans of a split."""
        return self._scans(self.split(split).samples, split)

    def training_parts(self) -> dict[str, tuple[Sample, ...]]:
        """Return the training scans to fit, ``fit``, and to choose by, ``tune``; too few to divide are both."""
        samples = {sample.id: sample for sample in self.split("train").samples}
        labels = {name: sample.truth.label for name, sample in samples.items() if sample.truth}
        groups = {name: sample.patient for name, sample in samples.items()}
        share = self.scans.tune_share
        parts = divide(labels, groups, [1 - share, share], self.scans.split_seed + 1)
        if not all(parts):
            parts = [tuple(samples)] * 2
        return {name: tuple(samples[key] for key in part) for name, part in zip(("fit", TUNE), parts, strict=True)}

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """Put scans together."""
        return {
            "ids": [item["id"] for item in items],
            "volumes": torch.from_numpy(np.stack([item["volume"] for item in items])),
            "labels": torch.tensor([item["label"] for item in items]),
            "seeds": [item["seed"] for item in items],
            "usable": torch.tensor([item["usable"] for item in items]),
        }

    def _scans(self, samples: Sequence[Sample], split: str, order: Sequence[int] | None = None) -> Scans:
        self.split(split)
        return Scans(samples, self._arrays[split], self.scans.grid, order)

    def _read(self, name: str) -> None:
        """Read a split and prepare its scans; what is wrong with their voxels comes out here."""
        findings, settings = Findings(pass_on=self.findings.add), self.scans
        split = records.read_split(
            Path(settings.root),
            self.config.task,
            name,
            findings,
            split_seed=settings.split_seed,
            val_share=settings.val_share,
            folds=settings.folds,
            fold=settings.fold,
        )
        findings.raise_errors()
        self._arrays[name] = arrays = cached_arrays(
            cache_dir(self.config),
            {sample.id: (sample.ct, *sample.masks) for sample in split.samples if sample.is_readable},
            f"tuberculosis {RECIPE} grid {settings.grid} margin {MARGIN}",
            partial(prepare_files, grid=settings.grid),
            workers=settings.workers,
            progress=self.config.trainer.progress,
        )
        for sample in split.samples:
            _tell_facts(sample, arrays.facts.get(sample.id, {}), findings)
        if name == "train":
            usable = tuple(sample for sample in split.samples if sample.id in arrays)
            split = Split(name, usable, split.truth_set)
        self._splits[name] = split

    def sources(self, split: str) -> Mapping[str, Path]:
        """Return the files of a split's prepared scans and of their masks, each by the scan's id and its place among these."""
        usable = [sample for sample in self.split(split).samples if sample.id in self._arrays[split]]
        return {f"{sample.id} {place}": path for sample in usable for place, path in enumerate((sample.ct, *sample.masks))}

    def _hash(self) -> str:
        digest = hashlib.sha256()
        for name in ("train", "val"):
            for sample in self.split(name).samples:
                label = sample.truth.label if sample.truth else None
                digest.update(f"{name}\t{sample.id}\t{label}\t{sample.patient}\t{sample.ct.stat().st_size}\n".encode())
        return digest.hexdigest()


def _tell_facts(sample: Sample, facts: Mapping[str, Any], findings: Findings) -> None:
    """Report what the preparation of a scan found out."""
    if ERROR in facts:
        records.tell_unreadable(sample.ct, sample.id, facts[ERROR], findings)
    for rule, message, value in facts.get("notes", ()):
        report = Report(findings, str(sample.ct), "DATA")
        report.warning(rule, message, id=show_id(sample.id), value=value)


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> TuberculosisData:
    """Return the data module of a configuration; see :class:`TuberculosisData`."""
    return TuberculosisData(config, classes)
