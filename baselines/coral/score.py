"""The scores of the coral tasks (spec pages metrics.md M6 and M7, coral.md 4) and their trivial run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from baselines.coral.archive import Kind
from baselines.coral.records import Prediction, Truth, TruthSet
from baselines.coral.shapes import NO_SHAPES, Shapes
from baselines.coral.task import MAX_DETECTIONS
from baselines.core.metrics.detection import DetectionStatistics, ImageMatches, PairIou, match_shapes, mean_of_defined, pair_iou
from baselines.core.metrics.raster import compare_classes, mask_iou, rasterise
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights

_EPSILON = 1e-15  # the organisers add it to the union

Counts = NDArray[np.int64]


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``map50``, ``recall50``, ``map0``, ``iou.overall`` and, of each substrate, ``iou`` and ``ap50``.

    The means of the first three go over the substrates with at least one object in the truth; predicting another one costs
    nothing there. ``map0`` counts any overlap as a match: our reading of the campaign's "without localisation". The pixel IoU
    looks at no confidence. An image without prediction counts as one without detections.

    Args:
        truth_set: The truths; every image of it counts.
        predictions: The predictions by image id; images that the truth set doesn't have are not looked at.

    >>> square = Shapes.of_boxes([[100, 100, 199, 199]])
    >>> truth = Truth("a", 4032, 3024, square, np.array([12]), np.array([0]))
    >>> found = Prediction("a", square, np.array([12]), np.array([0.9]))
    >>> scores = evaluate(TruthSet({"a": truth}, "boxes"), {"a": found}).metrics
    >>> scores["recall50"], scores["iou.overall"], scores["iou.c_soft_coral"]
    (1.0, 1.0, None)
    """
    images = {name: _look(truth, predictions.get(name), truth_set) for name, truth in sorted(truth_set.truths.items())}
    strict = DetectionStatistics({name: seen[0] for name, seen in images.items()})
    loose = DetectionStatistics({name: seen[1] for name, seen in images.items()})
    shape = (len(images), 2, len(truth_set.classes))
    # (images, 2, substrates): pixels in both truth and run, and in either.
    pixels = np.array([seen[2] for seen in images.values()], np.float64).reshape(shape)
    names = list(truth_set.classes.values())

    def measure(weights: Weights | None = None) -> dict[str, NDArray[np.float64]]:
        return _average_precisions(strict, loose, truth_set, weights) | _pixel_ious(pixels, names, weights)

    values = measure()
    order = ["map50", "recall50", "map0", "iou.overall"]
    order += [f"{group}.{name}" for group in ("iou", "ap50") for name in names]
    metrics = {name: float(values[name][0]) if np.isfinite(values[name][0]) else None for name in order}
    missing = sum(name not in predictions for name in images)
    return Evaluation(
        metrics,
        {name: _why(name) for name, value in metrics.items() if value is None},
        strict.ids,
        missing,
        _per_class(metrics, strict, truth_set),
        measure,
    )


def _why(metric: str) -> str:
    """Say why a metric is undefined."""
    group, _, substrate = metric.partition(".")
    if group == "iou":
        return "neither the truth nor the run has a pixel of " + ("any substrate" if substrate == "overall" else "it")
    return "no object of this substrate in the truth" if substrate else "no object in the truth"


def _look(truth: Truth, prediction: Prediction | None, truth_set: TruthSet) -> tuple[ImageMatches, ImageMatches, list[Counts]]:
    """Return the matches in an image at IoU 0.5 and with any overlap, and its pixels of each substrate."""
    if prediction is None:
        prediction = Prediction(truth.id, NO_SHAPES, np.zeros(0, np.int64), np.zeros(0))
    strict, loose = match_shapes(
        _iou_of(prediction.shapes, truth, truth_set.kind),
        truth.labels,
        prediction.labels,
        prediction.scores,
        thresholds=(0.5, 0.0),
        limit=MAX_DETECTIONS,
    )
    planes = {label: plane for plane, label in enumerate(sorted(truth_set.classes))}
    areas = [
        rasterise(shapes.points, shapes.offsets, [planes[label] for label in of], len(planes), (truth.width, truth.height))
        for shapes, of in ((truth.shapes, truth.labels.tolist()), (prediction.shapes, prediction.labels.tolist()))
    ]
    return strict, loose, list(compare_classes(*areas))


def _iou_of(shapes: Shapes, truth: Truth, kind: Kind) -> PairIou:
    """Return what gives the IoU of pairs of a detection and a truth: of boxes as such, of polygons as masks."""
    boxes, true_boxes = shapes.boxes(), truth.shapes.boxes()

    def of_boxes(mine: Counts, theirs: Counts) -> NDArray[np.float64]:
        return pair_iou(boxes[mine], true_boxes[theirs])

    def of_masks(mine: Counts, theirs: Counts) -> NDArray[np.float64]:
        low, high = np.maximum(boxes[mine, :2], true_boxes[theirs, :2]), np.minimum(boxes[mine, 2:], true_boxes[theirs, 2:])
        # An edge of a mask is a pixel wide, so that rings which only touch have pixels in common.
        meet = (low <= high).all(axis=1)
        detections, places = np.unique(mine[meet], return_inverse=True)  # the others need no mask
        size = truth.width, truth.height
        found, true = (
            rasterise(each.points, each.offsets, range(len(each)), len(each), size)
            for each in (shapes.take(detections), truth.shapes)
        )
        ious = np.zeros(len(mine))
        ious[meet] = mask_iou(found, true, places, theirs[meet])
        return ious

    return of_boxes if kind == "boxes" else of_masks


def _average_precisions(
    strict: DetectionStatistics, loose: DetectionStatistics, truth_set: TruthSet, weights: Weights | None
) -> dict[str, NDArray[np.float64]]:
    """Return what average precisions there are, each ``(R,)``, NaN where undefined."""
    precision, recall = strict.evaluate(weights)
    found = {"map50": mean_of_defined(precision), "recall50": mean_of_defined(recall)}
    found["map0"] = mean_of_defined(loose.evaluate(weights)[0])
    columns = {int(label): column for column, label in enumerate(strict.classes)}
    nothing = np.full(len(precision), np.nan)
    for label, name in truth_set.classes.items():
        found[f"ap50.{name}"] = precision[:, columns[label]] if label in columns else nothing
    return found


def _pixel_ious(pixels: NDArray[np.float64], names: list[str], weights: Weights | None) -> dict[str, NDArray[np.float64]]:
    """Return the pixel IoU of each substrate and overall, each ``(R,)``, NaN where undefined (M7 step 7)."""
    rows = np.ones((1, len(pixels))) if weights is None else np.asarray(weights, np.float64)
    shared, either = np.tensordot(rows, pixels, axes=1).transpose(1, 0, 2)
    found = {"iou.overall": _divide(shared.sum(1), either.sum(1), 0.0)}
    return found | {f"iou.{name}": _divide(shared[:, column], either[:, column], _EPSILON) for column, name in enumerate(names)}


def _divide(part: NDArray[np.float64], whole: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Return ratios ``(R,)``, NaN where the whole is 0."""
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole + epsilon, out=ratio, where=whole > 0)
    return ratio


def _per_class(
    metrics: Mapping[str, float | None], statistics: DetectionStatistics, truth_set: TruthSet
) -> dict[str, dict[str, Number]]:
    """Return the numbers of each substrate."""
    recall = statistics.evaluate()[1]
    columns = {int(label): column for column, label in enumerate(statistics.classes)}
    return {
        name: {
            "iou": metrics[f"iou.{name}"],
            "ap50": metrics[f"ap50.{name}"],
            "recall50": float(recall[0, columns[label]]) if label in columns else None,
            "truths": int(statistics.truths[columns[label]]) if label in columns else 0,
            "detections": statistics.detections.get(label, 0),
        }
        for label, name in truth_set.classes.items()
    }


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the same in every image: what a run scores that looks at no image.

    Of each substrate of the training set the box in the middle of all its objects is predicted: the median of each side, as a
    share of the image. Its score is the share of the training images that have the substrate.

    Args:
        train: The truths to count.
        test: The images to predict; only their sizes are used.
    """
    truths = [truth for _, truth in sorted(train.truths.items()) if len(truth.labels)]
    labels = np.concatenate([np.zeros(0, np.int64), *(truth.labels for truth in truths)])
    boxes = np.concatenate([np.zeros((0, 4)), *(truth.shapes.boxes() / ([truth.width, truth.height] * 2) for truth in truths)])
    present = np.unique(labels)
    middle = np.array([np.median(boxes[labels == label], axis=0) for label in present.tolist()]).reshape(-1, 4)
    shares = np.array([sum(label in truth.labels for truth in truths) / len(train.truths) for label in present.tolist()])
    return {
        name: Prediction(name, Shapes.of_boxes(np.rint(middle * ([truth.width - 1, truth.height - 1] * 2))), present, shares)
        for name, truth in test.truths.items()
    }
