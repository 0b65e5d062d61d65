"""Validation metrics of bounded memory, whatever the number of samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from baselines.core.metrics.detection import ImageMatches, interpolated_precision

SCORE_BINS = 1000


class HistogramAveragePrecision:
    """Mean AP from histograms of scores, whose size doesn't depend on the number of images.

    Detections whose scores fall into the same of ``SCORE_BINS`` bins count as tied; otherwise it is the AP of the scorer.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        self.detections = np.zeros((2, self.classes, SCORE_BINS))  # misses, hits
        self.truths = np.zeros(self.classes)

    def update(self, found: ImageMatches) -> None:
        """Count the matches in one image; its classes are indices from 0, its scores in [0, 1]."""
        self.truths += np.bincount(found.truth_labels, minlength=self.classes)
        bins = np.minimum((found.scores * SCORE_BINS).astype(int), SCORE_BINS - 1)
        np.add.at(self.detections, (found.hits.astype(int), found.labels, bins), 1)

    def compute(self, sum_over_processes: Callable[[Tensor], Tensor]) -> float:
        """Return the mean over classes with truth; 0 without any."""
        misses, hits = sum_over_processes(torch.from_numpy(self.detections)).cpu().numpy()[..., ::-1].cumsum(-1)
        truths = sum_over_processes(torch.from_numpy(self.truths)).cpu().numpy()
        average, _ = interpolated_precision(hits, hits + misses, truths)
        return float(np.nanmean(average)) if truths.any() else 0.0
