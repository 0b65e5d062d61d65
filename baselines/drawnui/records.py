"""Samples, truths and predictions of the drawnUI tasks, and the reader of the files as distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.findings import Findings


@dataclass(frozen=True, slots=True)
class Truth:
    """The boxes of one image.

    Attributes:
        id: File name of the image.
        width: Width in pixels: the image file's where it exists, else as declared.
        height: Height in pixels.
        boxes: ``(N, 4) float64`` xyxy in pixels, clipped to the image.
        labels: ``(N,) int64`` campaign class ids (``detectionClass``).
    """

    id: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and, where the split has them, its boxes.

    Attributes:
        id: File name of the image.
        image: Path of the image file; decoded without EXIF rotation.
        truth: Its boxes; ``None`` in a test set.
    """

    id: str
    image: Path
    truth: Truth | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Detections in one image.

    Attributes:
        id: File name of the image.
        boxes: ``(N, 4)`` float xyxy in pixels of the image file.
        labels: ``(N,) int64`` campaign class ids.
        scores: ``(N,)`` float in [0, 1].
    """

    id: str
    boxes: NDArray[np.floating]
    labels: NDArray[np.int64]
    scores: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and class names by campaign id, both taken from the data."""

    truths: Mapping[str, Truth]
    classes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val``, ``test`` or ``all``.
        samples: Its images that exist on disk, by ascending id.
        truth_set: Its truths, also those whose image is missing; of a test set truths without boxes, for the sizes.
            The classes are those of the whole development set.
    """

    name: str
    samples: tuple[Sample, ...]
    truth_set: TruthSet


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file in pixels, from its header alone, as stored (without EXIF rotation)."""
    raise NotImplementedError


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:
    """Read a ground-truth file, 2021 JSON or 2020 text."""
    raise NotImplementedError


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a ground-truth file in the 2021 format."""
    raise NotImplementedError


def read_split(
    root: Path, task: str, split: str, findings: Findings, *, split_seed: int = 0, val_share: float = 0.2
) -> Split:
    """Read one split of a data set in the campaign's layout."""
    raise NotImplementedError


def split_ids(truth_set: TruthSet, share: float, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the ids into a training and a held-out part."""
    raise NotImplementedError


def export_coco(truth_set: TruthSet) -> dict[str, Any]:
    """Return the truths as a COCO data set."""
    raise NotImplementedError
