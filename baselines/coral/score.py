"""The scores of the coral tasks (spec pages metrics.md M6 and M7, coral.md 4) and their trivial run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.coral.archive import Kind
from baselines.coral.drawing import confusion, draw, draw_confusion, draw_table
from baselines.coral.records import Prediction, Split, Truth, TruthSet
from baselines.coral.shapes import NO_SHAPES, Shapes
from baselines.coral.task import MAX_DETECTIONS
from baselines.core.metrics.arrays import divide
from baselines.core.metrics.detection import (
    DetectionStatistics,
    ImageMatches,
    PairIou,
    box_iou,
    match_shapes,
    mean_of_defined,
    pair_iou,
)
from baselines.core.metrics.raster import Masks, compare_classes, mask_iou, rasterise, rasterise_classes
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights

__all__ = ["combine", "draw", "draw_run", "evaluate", "pair_ious", "trivial_predictions"]

_EPSILON = 1e-15  # the organisers add it to the union
_READING = (
    'map0: any overlap is a match; this is our reading of the campaign\'s "without localisation", whose formula is unknown'
)

Counts = NDArray[np.int64]


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``map50``, ``recall50``, ``map0``, ``iou.overall`` and, of each substrate, ``iou`` and ``ap50``.

    The means of the first three go over the substrates with at least one object in the truth; predicting another one costs
    nothing there. ``map0`` counts any overlap as a match: our reading of the campaign's "without localisation". The pixel IoU
    looks at no confidence. An image without prediction counts as one without detections, and both count as missing.

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

    precision, recall = strict.evaluate()
    columns = {int(label): column for column, label in enumerate(strict.classes)}

    def resample(weights: Weights) -> dict[str, NDArray[np.float64]]:
        found = _average_precisions(*strict.evaluate(weights), loose.evaluate(weights)[0], columns, truth_set)
        return found | _pixel_ious(pixels, names, weights)

    once = np.ones((1, len(images)), np.int64)
    values = _average_precisions(precision, recall, loose.evaluate()[0], columns, truth_set) | _pixel_ious(pixels, names, once)
    order = ["map50", "recall50", "map0", "iou.overall"]
    order += [f"{group}.{name}" for group in ("iou", "ap50") for name in names]
    metrics = {name: float(values[name][0]) if np.isfinite(values[name][0]) else None for name in order}
    missing = sum(name not in predictions or not len(predictions[name].labels) for name in images)
    per_class: dict[str, dict[str, Number]] = {
        name: {
            "iou": metrics[f"iou.{name}"],
            "ap50": metrics[f"ap50.{name}"],
            "recall50": float(recall[0, columns[label]]) if label in columns else None,
            "truths": int(strict.truths[columns[label]]) if label in columns else 0,
            "detections": strict.detections.get(label, 0),
        }
        for label, name in truth_set.classes.items()
    }
    undefined = {name: _why(name) for name, value in metrics.items() if value is None}
    return Evaluation(metrics, undefined, strict.ids, missing, per_class, resample, warnings=(_READING,))


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
    found_rings, found_pixels = _fill(prediction.shapes, prediction.labels, truth, truth_set)
    true_rings, true_pixels = _fill(truth.shapes, truth.labels, truth, truth_set)
    iou_of = pair_ious(prediction.shapes, truth, truth_set.kind, (found_rings, true_rings))
    strict, loose = match_shapes(
        iou_of, truth.labels, prediction.labels, prediction.scores, thresholds=(0.5, 0.0), limit=MAX_DETECTIONS
    )
    return strict, loose, list(compare_classes(true_pixels, found_pixels))


def _fill(shapes: Shapes, labels: Counts, truth: Truth, truth_set: TruthSet) -> tuple[Masks | None, Masks]:
    """Return the masks of polygons, each by itself, where average precision needs them, and of all shapes of each substrate."""
    classes = sorted(truth_set.classes)
    rings = shapes.points, shapes.offsets, np.searchsorted(classes, labels), len(classes), (truth.width, truth.height)
    return (None, rasterise(*rings)) if truth_set.kind == "boxes" else rasterise_classes(*rings)


def pair_ious(shapes: Shapes, truth: Truth, kind: Kind, masks: tuple[Masks | None, Masks | None] = (None, None)) -> PairIou:
    """Return what gives the IoU of pairs of a detection and a truth: of boxes as such, of polygons as masks.

    Args:
        shapes: The detections.
        truth: The objects.
        kind: Which of the two it is to be.
        masks: Those of the polygons of both, a plane each, where they are at hand.
    """
    boxes, true_boxes = shapes.boxes(), truth.shapes.boxes()

    def of_boxes(mine: Counts, theirs: Counts) -> NDArray[np.float64]:
        return pair_iou(boxes[mine], true_boxes[theirs])

    if kind == "boxes":
        return of_boxes
    size = truth.width, truth.height
    found, true = (
        rasterise(each.points, each.offsets, range(len(each)), len(each), size) if mask is None else mask
        for each, mask in zip((shapes, truth.shapes), masks, strict=True)
    )

    def of_masks(mine: Counts, theirs: Counts) -> NDArray[np.float64]:
        low, high = np.maximum(boxes[mine, :2], true_boxes[theirs, :2]), np.minimum(boxes[mine, 2:], true_boxes[theirs, 2:])
        # An edge of a mask is a pixel wide, so that rings which only touch have pixels in common.
        meet = (low <= high).all(axis=1)
        ious = np.zeros(len(mine))
        ious[meet] = mask_iou(found, true, mine[meet], theirs[meet])
        return ious

    return of_masks


def _average_precisions(
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
    loose: NDArray[np.float64],
    columns: Mapping[int, int],
    truth_set: TruthSet,
) -> dict[str, NDArray[np.float64]]:
    """Return what average precisions there are, each ``(R,)``, NaN where undefined, from those of the classes ``(R, C)``."""
    found = {"map50": mean_of_defined(precision), "recall50": mean_of_defined(recall), "map0": mean_of_defined(loose)}
    nothing = np.full(len(precision), np.nan)
    return found | {
        f"ap50.{name}": precision[:, columns[label]] if label in columns else nothing
        for label, name in truth_set.classes.items()
    }


def _pixel_ious(pixels: NDArray[np.float64], names: list[str], weights: Weights) -> dict[str, NDArray[np.float64]]:
    """Return the pixel IoU of each substrate and overall, each ``(R,)``, NaN where undefined (M7 step 7)."""
    shared, either = np.tensordot(np.asarray(weights, np.float64), pixels, axes=1).transpose(1, 0, 2)
    ious = divide(shared, either + _EPSILON * (either > 0))
    found = {"iou.overall": divide(shared.sum(1), either.sum(1))}
    return found | {f"iou.{name}": ious[:, column] for column, name in enumerate(names)}


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the same in every image: what a run scores that looks at no image.

    Of each substrate of the training set the box in the middle of all its objects is predicted: the median of each side, in
    pixels, as all images of a data set have one size. Its score is the share of the training images that have the substrate.

    Args:
        train: The truths to count.
        test: The images to predict; boxes are clipped to their sizes.
    """
    truths = [truth for _, truth in sorted(train.truths.items()) if len(truth.labels)]
    labels = np.concatenate([np.zeros(0, np.int64), *(truth.labels for truth in truths)])
    boxes = np.concatenate([np.zeros((0, 4)), *(truth.shapes.boxes() for truth in truths)])
    present = np.unique(labels)
    middle = np.array([np.median(boxes[labels == label], axis=0) for label in present.tolist()]).reshape(-1, 4)
    shares = np.array([sum(label in truth.labels for truth in truths) / len(train.truths) for label in present.tolist()])
    predictions = {}
    for name, truth in test.truths.items():
        clipped = np.clip(np.rint(middle), 0, [truth.width - 1, truth.height - 1] * 2)
        predictions[name] = Prediction(name, Shapes.of_boxes(clipped), present, shares)
    return predictions


def combine(runs: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Make one run of several: objects that overlap by more than half, and are of one substrate, become one.

    Non-maximum suppression by box over all runs, the best score first; an object's score is multiplied by the share of the
    runs that have it, so that what all agree on ranks first.

    Args:
        runs: Predictions by image id, of the same images.
    """
    return {
        name: _merge([run[name] for run in runs if name in run], len(runs))
        for name in dict.fromkeys(key for run in runs for key in run)
    }


def _merge(predictions: Sequence[Prediction], count: int) -> Prediction:
    shapes = Shapes.joined([prediction.shapes for prediction in predictions])
    labels = np.concatenate([prediction.labels for prediction in predictions])
    scores = np.concatenate([prediction.scores for prediction in predictions])
    source = np.repeat(np.arange(len(predictions)), [len(prediction.labels) for prediction in predictions])
    same = (box_iou(shapes.boxes(), shapes.boxes()) > 0.5) & (labels[:, None] == labels)
    left = np.ones(len(labels), np.bool_)
    kept, merged = [], []
    for index in np.argsort(-scores, kind="stable").tolist():
        if left[index]:
            group = same[index] & left
            group[index] = True
            left &= ~group
            kept.append(index)
            best = [scores[group & (source == run)].max(initial=0) for run in range(len(predictions))]
            merged.append(sum(best) / count)
    return Prediction(predictions[0].id, shapes.take(np.array(kept, np.int64)), labels[kept], np.array(merged))


def draw_run(split: Split, predictions: Mapping[str, Prediction], classes: Mapping[int, str]) -> dict[str, Image.Image]:
    """Draw a table of the substrates and the confusion matrix of a split's pixels.

    Args:
        split: The images with their truths.
        predictions: The predictions by image id.
        classes: Class names by campaign id.
    """
    whole = {
        name: replace(found, shapes=Shapes(np.rint(found.shapes.points).astype(np.int64), found.shapes.offsets))
        for name, found in predictions.items()
    }
    numbers = evaluate(split.truth_set, whole).per_class
    counts = confusion(split.truth_set.truths, whole, len(classes))
    return {
        "substrates": draw_table(numbers),
        "confusion": draw_confusion(counts, ["background", *(classes[label] for label in sorted(classes))]),
    }
