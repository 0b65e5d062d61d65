"""Average precision and recall of detections at one IoU threshold, as pycocotools 2.0.11 counts them (spec page metrics.md, M6).

Matching detections with truths is done once, image by image. What it leaves, a flag per detection, is enough to compute every
number again on any resample of the images, so a bootstrap never matches twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_DETECTIONS = 300  # per image and class
EPSILON = float(np.spacing(1))  # pycocotools adds it to TP + FP
IOU_SLACK = 1e-10  # a threshold of 1 still matches equal boxes
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
RESAMPLES_AT_ONCE = 4_000_000  # elements of one chunk of the resampling arrays

Boxes = NDArray[np.floating]


def box_iou(left: Boxes, right: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of every pair of boxes, on continuous coordinates.

    Args:
        left: ``(N, 4)`` xyxy.
        right: ``(M, 4)`` xyxy, in the same units.

    Returns:
        ``(N, M)`` in [0, 1]; 0 wherever a box has no area.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [0, 0, 2, 2]])).round(3).tolist()
    [[0.333, 1.0]]
    """
    left, right = np.asarray(left, np.float64).reshape(-1, 4), np.asarray(right, np.float64).reshape(-1, 4)
    sides = np.minimum(left[:, None, 2:], right[None, :, 2:]) - np.maximum(left[:, None, :2], right[None, :, :2])
    intersection = np.maximum(sides, 0).prod(-1)
    union = _areas(left)[:, None] + _areas(right)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=intersection > 0)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(-1)


def match_image(ious: NDArray[np.float64], threshold: float = 0.5) -> NDArray[np.bool_]:
    """Match the detections of one class in one image with its truths.

    Each detection in turn takes the free truth with the highest IoU of at least the threshold, the later one of equals.

    Args:
        ious: ``(detections, truths)``, the detections by falling score.
        threshold: Least IoU of a match; an IoU of 0 never matches, so 0 asks for any overlap.

    Returns:
        ``(detections,)``, true for the hits.

    >>> match_image(np.array([[0.9], [0.8]])).tolist()
    [True, False]
    """
    least = min(threshold, 1 - IOU_SLACK)
    hits = np.zeros(len(ious), bool)
    candidates = (ious >= least) & (ious > 0)
    free = np.ones(ious.shape[1], bool)
    for detection in np.flatnonzero(candidates.any(1)):
        truths = np.flatnonzero(candidates[detection] & free)
        if len(truths):
            overlaps = ious[detection, truths]
            free[truths[len(truths) - 1 - np.argmax(overlaps[::-1])]] = False
            hits[detection] = True
    return hits


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """The matches of one class in one image: scores by falling value, a hit flag for each, and the number of truths."""

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int


def match_boxes(
    truths: Boxes, detections: Boxes, scores: NDArray[np.floating], threshold: float = 0.5, limit: int = MAX_DETECTIONS
) -> ImageMatches:
    """Match the boxes of one class in one image.

    Args:
        truths: ``(N, 4)`` xyxy.
        detections: ``(M, 4)`` xyxy, in the same units.
        scores: ``(M,)``; equal scores keep their order.
        threshold: Least IoU of a match.
        limit: How many detections count, the best first.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:limit]
    hits = match_image(box_iou(np.asarray(detections).reshape(-1, 4)[order], truths), threshold)
    return ImageMatches(np.asarray(scores, np.float64)[order], hits, len(truths))


class ClassMatches:
    """All matches of one class, in the order that average precision is computed in.

    Args:
        images: The matches of each image, in ascending order of the images' ids; an image without any may be left out.
            Each comes with the image's place among all images.
    """

    def __init__(self, images: Iterable[tuple[int, ImageMatches]]) -> None:
        places, matches = [], []
        for place, image in images:
            places.append(place)
            matches.append(image)
        scores = np.concatenate([np.empty(0), *(image.scores for image in matches)])
        order = np.argsort(-scores, kind="stable")  # ties across images rank by the images' order
        self.hits = np.concatenate([np.empty(0, bool), *(image.hits for image in matches)])[order]
        self.places = np.repeat(np.array(places, np.int64), [len(image.scores) for image in matches])[order]
        self.truth_places = np.array(places, np.int64)
        self.truth_counts = np.array([image.truths for image in matches], np.int64)

    @property
    def truths(self) -> int:
        """How many truths there are in all images."""
        return int(self.truth_counts.sum())

    def evaluate(self, weights: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return average precision and recall on resamples of the images.

        Args:
            weights: ``(R, images)``, how often each resample holds each image; ones for the set itself.

        Returns:
            Both ``(R,)``; NaN for a resample without a truth of the class.
        """
        precision, recall = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        step = max(1, RESAMPLES_AT_ONCE // max(1, len(self.hits)))
        for start in range(0, len(weights), step):
            part = slice(start, start + step)
            precision[part], recall[part] = self._evaluate(np.asarray(weights[part], np.float64))
        return precision, recall

    def _evaluate(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        truths = weights[:, self.truth_places] @ self.truth_counts
        counted = weights[:, self.places]
        total = counted.cumsum(1)[:, self.hits]  # precision peaks at hits, recall rises at hits: no other place matters
        hit = counted[:, self.hits].cumsum(1)
        precision = hit / (total + EPSILON)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        average, recall = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        for row in np.flatnonzero(truths):
            recalls = hit[row] / truths[row]
            first = np.searchsorted(recalls, RECALL_POINTS, side="left")
            reached = first < len(recalls)
            average[row] = precision[row, first[reached]].sum() / len(RECALL_POINTS)
            recall[row] = recalls[-1] if len(recalls) else 0.0
        return average, recall
