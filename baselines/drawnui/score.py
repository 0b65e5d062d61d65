"""The scores of the drawnUI tasks (spec pages metrics.md M6 and drawnui.md 4), their trivial run and their pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from baselines.core.metrics.detection import MAX_DETECTIONS, DetectionStatistics, ImageMatches, match_boxes
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights
from baselines.drawnui.records import Prediction, Truth, TruthSet

_NO_TRUTH = "no box of this class in the truth"


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``map50``, ``recall50`` and ``ap50.<class>``.

    The two means go over the classes with at least one box in the truth; predicting a box of another class costs nothing. An
    image without prediction counts as one without detections.

    Args:
        truth_set: The truths; every image of it counts.
        predictions: The predictions by image id; images that the truth set doesn't have are not looked at.

    >>> boxes = np.array([[10.0, 10, 30, 30]])
    >>> truth = Truth("a.jpg", 100, 100, boxes, np.array([1]))
    >>> found = Prediction("a.jpg", boxes, np.array([1]), np.array([0.9]))
    >>> evaluate(TruthSet({"a.jpg": truth}, {1: "button"}), {"a.jpg": found}).metrics["recall50"]
    1.0
    """
    statistics = DetectionStatistics({name: _match(truth, predictions.get(name)) for name, truth in truth_set.truths.items()})
    precision, recall = statistics.evaluate()
    columns = {int(label): column for column, label in enumerate(statistics.classes)}
    names = {label: truth_set.classes.get(label, str(label)) for label in sorted({*truth_set.classes, *columns})}

    metrics: dict[str, float | None] = {"map50": None, "recall50": None}
    undefined = dict.fromkeys(metrics, "no box in the truth")
    if columns:
        metrics, undefined = {"map50": float(precision.mean()), "recall50": float(recall.mean())}, {}
    per_class: dict[str, dict[str, Number]] = {}
    for label, name in names.items():
        column = columns.get(label)
        average = None if column is None else float(precision[0, column])
        metrics[f"ap50.{name}"] = average
        if column is None:
            undefined[f"ap50.{name}"] = _NO_TRUTH
        per_class[name] = {
            "ap50": average,
            "recall50": None if column is None else float(recall[0, column]),
            "truths": 0 if column is None else int(statistics.truths[column]),
            "detections": statistics.detections.get(label, 0),
        }

    def resample(weights: Weights) -> dict[str, NDArray[np.float64]]:
        precision, recall = statistics.evaluate(weights)
        means = {"map50": _mean_of_defined(precision), "recall50": _mean_of_defined(recall)}
        return means | {f"ap50.{names[label]}": precision[:, column] for label, column in columns.items()}

    missing = sum(name not in predictions for name in statistics.ids)
    return Evaluation(metrics, undefined, statistics.ids, missing, per_class, resample)


def _match(truth: Truth, prediction: Prediction | None) -> ImageMatches:
    if prediction is None:
        prediction = Prediction(truth.id, np.empty((0, 4)), np.empty(0, np.int64), np.empty(0))
    return match_boxes(truth.boxes, truth.labels, prediction.boxes, prediction.labels, prediction.scores)


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean ``(R,)`` over the classes ``(R, C)`` that are not NaN; NaN where all are."""
    defined = np.isfinite(values)
    counts = defined.sum(1)
    sums = np.where(defined, values, 0.0).sum(1)
    means = np.full(len(values), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
