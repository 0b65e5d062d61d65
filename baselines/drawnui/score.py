"""The scores of the drawnUI tasks (spec pages metrics.md M6 and drawnui.md 4), their trivial run and their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.core import pictures
from baselines.core.metrics.detection import DetectionStatistics, ImageBoxes, box_iou, match_images, mean_of_defined
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights
from baselines.drawnui.records import Prediction, Sample, Truth, TruthSet
from baselines.drawnui.task import MAX_DETECTIONS

CANDIDATES = 400  # boxes of a class that the trivial run chooses from
SHOWN_SCORE = 0.3  # least score of a detection that is drawn
PANEL_SIDE = 1000  # longer side of each of the two panels of a picture, in pixels

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
    images = [_boxes_of(truth, predictions.get(name)) for name, truth in truth_set.truths.items()]
    statistics = DetectionStatistics(dict(zip(truth_set.truths, match_images(images), strict=True)))
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
        means = {"map50": mean_of_defined(precision), "recall50": mean_of_defined(recall)}
        return means | {f"ap50.{names[label]}": precision[:, column] for label, column in columns.items()}

    missing = sum(name not in predictions for name in statistics.ids)
    return Evaluation(metrics, undefined, statistics.ids, missing, per_class, resample)


def _boxes_of(truth: Truth, prediction: Prediction | None) -> ImageBoxes:
    if prediction is None:
        return ImageBoxes(truth.boxes, truth.labels, (), (), (), truth.areas)
    found = prediction.boxes, prediction.labels, prediction.scores
    return ImageBoxes(truth.boxes, truth.labels, *found, truth.areas, prediction.areas)


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the most frequent boxes of the training set in every image: what a run scores that looks at no image.

    Of each class the box is chosen that has an IoU of at least 0.5, in relative coordinates, with a box in the most training
    images; then the one that does so with the boxes that are left, and so on. Its score is the share of these images.

    Args:
        train: The truths to count.
        test: The images to predict; only their sizes are used.

    Returns:
        At most ``MAX_DETECTIONS`` boxes for each image, the same everywhere but for the size.
    """
    truths = [truth for _, truth in sorted(train.truths.items()) if len(truth.boxes)]
    boxes = np.concatenate([np.empty((0, 4)), *(truth.boxes / ([truth.width, truth.height] * 2) for truth in truths)])
    labels = np.concatenate([np.empty(0, np.int64), *(truth.labels for truth in truths)])
    images = np.repeat(np.arange(len(truths)), [len(truth.boxes) for truth in truths])
    frequent = sorted(
        (
            (count / len(train.truths), label, box)
            for label in np.unique(labels).tolist()
            for count, box in _frequent_boxes(boxes[labels == label], images[labels == label])
        ),
        key=lambda found: -found[0],
    )[:MAX_DETECTIONS]
    shares = np.array([share for share, _, _ in frequent])
    chosen = np.array([label for _, label, _ in frequent], np.int64)
    relative = np.array([box for _, _, box in frequent]).reshape(-1, 4)
    return {
        name: Prediction(name, relative * ([truth.width, truth.height] * 2), chosen, shares)
        for name, truth in test.truths.items()
    }


def _frequent_boxes(boxes: NDArray[np.float64], images: NDArray[np.int64]) -> list[tuple[int, list[float]]]:
    """Choose boxes greedily by how many images they hit, until one hits a single image; the first in any case.

    Args:
        boxes: ``(N, 4)`` relative xyxy of one class.
        images: ``(N,)`` ascending numbers of the images they are in.
    """
    candidates = boxes[np.linspace(0, len(boxes) - 1, min(CANDIDATES, len(boxes)), dtype=np.int64)]
    hits = box_iou(candidates, boxes) >= 0.5
    found: list[tuple[int, list[float]]] = []
    while len(images):
        starts = np.flatnonzero(np.diff(images, prepend=-1))
        counts = np.logical_or.reduceat(hits, starts, axis=1).sum(1)
        best = int(counts.argmax())
        if counts[best] < 2 and found:
            break
        found.append((int(counts[best]), candidates[best].tolist()))
        left = ~hits[best]
        hits, images = hits[:, left], images[left]
    return found


def draw(
    sample: Sample, prediction: Prediction, classes: Mapping[int, str], *, least_score: float = SHOWN_SCORE
) -> Image.Image:
    """Draw the prediction beside the truth, under a title each, above a legend of the classes with their counts.

    Args:
        sample: The image, and its truth where it has one.
        prediction: Its detections.
        classes: Class names by campaign id.
        least_score: Detections with lower scores are not drawn.

    Raises:
        OSError: If the image can't be read.
    """
    with Image.open(sample.image) as image:
        size = image.size
        page = pictures.shrink(image, PANEL_SIDE)
    scale = np.array([page.width / size[0], page.height / size[1]] * 2)
    shown = np.flatnonzero(prediction.scores >= least_score)
    shown = shown[np.argsort(-prediction.scores[shown], kind="stable")]
    captions = [
        f"{classes.get(label, label)} {score:.2f}"
        for label, score in zip(prediction.labels[shown].tolist(), prediction.scores[shown].tolist(), strict=True)
    ]
    title = f"prediction: {len(shown)} of {len(prediction.scores)} boxes have a score of at least {least_score:g}"
    panels = [(title, _panel(page, prediction.boxes[shown] * scale, prediction.labels[shown], captions))]
    counts = {"predicted": Counter(prediction.labels[shown].tolist())}
    if sample.truth is not None:
        counts = {"true": Counter(sample.truth.labels.tolist())} | counts
        captions = [str(classes.get(label, label)) for label in sample.truth.labels.tolist()]
        title = f"truth: {len(captions)} boxes, {sample.id}"
        panels.insert(0, (title, _panel(page, sample.truth.boxes * scale, sample.truth.labels, captions)))
    return pictures.beside_with_counts(panels, counts, classes)


def _panel(page: Image.Image, boxes: NDArray[np.floating], labels: NDArray[np.int64], captions: list[str]) -> Image.Image:
    return pictures.draw_boxes(page, boxes, [pictures.style_of(label) for label in labels.tolist()], captions)
