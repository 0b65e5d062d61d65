"""The streaming average precision is the scorer's, to the width of a bin."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.core.metrics.detection import DetectionStatistics, match_boxes
from baselines.training.streaming import SCORE_BINS, HistogramAveragePrecision


def random_image(rng, classes):
    truths = rng.uniform(0, 60, (rng.integers(0, 6), 4))
    truths[:, 2:] = truths[:, :2] + rng.uniform(5, 40, (len(truths), 2))
    jitter = np.concatenate([truths + rng.normal(0, 3, truths.shape), rng.uniform(0, 60, (4, 4))])
    jitter[:, 2:] = np.maximum(jitter[:, 2:], jitter[:, :2] + 1)
    labels = rng.integers(0, classes, len(truths))
    found = np.concatenate([labels, rng.integers(0, classes, 4)])
    # Scores in the middle of distinct bins, so that binning loses nothing.
    scores = (rng.permutation(SCORE_BINS)[: len(found)] + 0.5) / SCORE_BINS
    return truths, labels, jitter, found, scores


@pytest.mark.parametrize("seed", range(5))
def test_the_streaming_precision_of_one_image_is_the_scorers(seed):
    rng = np.random.default_rng(seed)
    truths, labels, boxes, found, scores = random_image(rng, 3)
    counts = HistogramAveragePrecision(3)
    matches = match_boxes(truths, labels, boxes, found, scores)
    counts.update(matches)
    average, _ = DetectionStatistics({"a": matches}).evaluate()
    expected = np.nanmean(average) if np.isfinite(average).any() else 0.0
    assert counts.compute(lambda tensor: tensor) == pytest.approx(expected, abs=1e-9)


def test_without_truth_the_streaming_precision_is_zero_and_reset_forgets():
    counts = HistogramAveragePrecision(2)
    assert counts.compute(lambda tensor: tensor) == 0.0
    box = np.array([[0.0, 0, 10, 10]])
    counts.update(match_boxes(box, [1], box, [1], [0.9]))
    assert counts.compute(lambda tensor: tensor) == pytest.approx(1.0)
    counts.reset()
    assert counts.compute(lambda tensor: tensor) == 0.0
