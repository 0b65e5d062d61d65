"""Samples, truths and predictions of the drawnUI tasks, and the reader of the files as distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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
