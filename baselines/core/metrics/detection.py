"""Average precision and recall of detections at one IoU threshold, as pycocotools 2.0.11 counts them (spec page metrics.md M6).

Matching detections with truths is done once, image by image. What it leaves, a hit flag per detection, is enough to compute
every number again on any resample of the images, so that a bootstrap never matches twice:

    boxes → match_images → DetectionStatistics, of the set → evaluate(weights), per resample

What else than boxes is detected, such as masks, comes with its own IoU to match_shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.core.metrics.arrays import blocks, divide, ranges

MAX_DETECTIONS = 300  # per image and class
EPSILON = float(np.spacing(1))  # pycocotools adds it to TP + FP
IOU_SLACK = 1e-10  # a threshold of 1 still matches equal boxes
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
BLOCK = 1 << 18  # elements of a block of resamples × detections, or pairs of boxes: 2 MiB, which stays in the cache

Scalar = TypeVar("Scalar", bound=np.generic)
PairIou = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Takes indices ``(P,)`` of detections and ``(P,)`` of truths; returns the IoU ``(P,)`` of each pair."""


def box_iou(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Return the intersection over union of every pair of boxes: |A ∩ B| / (|A| + |B| - |A ∩ B|), on continuous coordinates.

    Args:
        left: ``(N, 4)`` xyxy.
        right: ``(M, 4)`` xyxy, in the same units.

    Returns:
        ``(N, M)`` in [0, 1]; 0 wherever a box has no area.

    >>> box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [0, 0, 2, 2], [1, 1, 1, 2]]).round(3).tolist()
    [[0.333, 1.0, 0.0]]
    """
    return pair_iou(_as_boxes(left)[:, None], _as_boxes(right)[None])


def _as_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def pair_iou(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    areas: NDArray[np.float64] | None = None,
    other_areas: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the IoU of boxes ``(..., 4)`` xyxy that are broadcast against each other; see :func:`box_iou`.

    Of boxes that come as width and height COCO takes the product of these as the area. In its last bit that may differ from the
    area between the corners, which is enough to miss an IoU of exactly 0.5.

    Args:
        a: Boxes.
        b: Boxes.
        areas: ``(...)`` of the first ones; left out, those between the corners.
        other_areas: ``(...)`` of the second ones, likewise.
    """
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    intersection = sides[..., 0] * sides[..., 1]
    union = (box_areas(a) if areas is None else areas) + (box_areas(b) if other_areas is None else other_areas) - intersection
    ious: NDArray[np.float64] = np.zeros_like(intersection)
    np.divide(intersection, union, out=ious, where=intersection > 0)
    return ious


def box_areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas ``(...)`` of boxes ``(..., 4)`` xyxy."""
    areas: NDArray[np.float64] = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return areas


def rank_detections(labels: ArrayLike, scores: ArrayLike, limit: int = MAX_DETECTIONS) -> NDArray[np.int64]:
    """Return which detections of an image count, class by class and by falling score.

    Args:
        labels: ``(N,)`` class ids.
        scores: ``(N,)``; equal scores keep their order.
        limit: How many count of each class, the best first.

    Returns:
        Indices of at most N detections.

    >>> rank_detections([2, 1, 2, 2], [0.5, 0.1, 0.9, 0.5], limit=2).tolist()
    [1, 2, 0]
    """
    labels = np.asarray(labels, np.int64)
    order = np.lexsort((-np.asarray(scores, np.float64), labels))  # stable
    ranked = labels[order]
    place_in_class = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return order[place_in_class < limit]


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """What scoring needs to know of one image.

    Attributes:
        labels: ``(N,) int64`` class ids of the detections that count, ascending.
        scores: ``(N,) float64``, falling within a class.
        hits: ``(N,) bool``, whether the detection found a truth.
        truth_labels: ``(M,) int64`` class ids of the truths.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truth_labels: NDArray[np.int64]


class ImageBoxes(NamedTuple):
    """True and detected boxes of one image.

    Attributes:
        truths: ``(M, 4)`` xyxy.
        truth_labels: ``(M,)`` class ids.
        boxes: ``(N, 4)`` xyxy, in the same units.
        labels: ``(N,)`` class ids.
        scores: ``(N,)``; equal scores keep their order.
        truth_areas: ``(M,)``, width times height as the file has them; left out, those between the corners (see
            :func:`pair_iou`).
        areas: ``(N,)``, likewise.
    """

    truths: ArrayLike
    truth_labels: ArrayLike
    boxes: ArrayLike
    labels: ArrayLike
    scores: ArrayLike
    truth_areas: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None


def match_boxes(
    truths: ArrayLike,
    truth_labels: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float = 0.5,
    limit: int = MAX_DETECTIONS,
) -> ImageMatches:
    """Match the detected boxes in one image with the true ones; see :class:`ImageBoxes` and :func:`match_images`."""
    return match_images([ImageBoxes(truths, truth_labels, boxes, labels, scores)], threshold=threshold, limit=limit)[0]


def match_images(images: Sequence[ImageBoxes], *, threshold: float = 0.5, limit: int = MAX_DETECTIONS) -> list[ImageMatches]:
    """Match the detected boxes of many images with the true ones, each image and each class by itself.

    Args:
        images: The images.
        threshold: Least IoU of a match; 0 asks for any overlap.
        limit: How many detections of a class count in an image, the best first.

    Returns:
        The matches of each image.

    >>> image = ImageBoxes([[0, 0, 9, 9]], [1], [[0, 0, 9, 8], [0, 0, 9, 9]], [1, 1], [0.5, 0.9])
    >>> [matches.hits.tolist() for matches in match_images([image, image])]
    [[True, False], [True, False]]
    """
    truths = _Boxes.of([(image.truths, image.truth_labels, image.truth_areas) for image in images])
    found = _Boxes.of([(image.boxes, image.labels, image.areas) for image in images])
    # A class of one image is made a class of its own, so that one call matches all images.
    labels = np.concatenate([truths.labels, found.labels])
    lowest = labels.min(initial=0)
    span = labels.max(initial=0) - lowest + 1
    wanted, mine = (boxes.labels - lowest + span * boxes.images for boxes in (truths, found))

    def iou_of(detections: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
        return pair_iou(found.boxes[detections], truths.boxes[places], found.areas[detections], truths.areas[places])

    scores = _joined([np.asarray(image.scores, np.float64) for image in images], np.float64)
    (matches,) = match_shapes(iou_of, wanted, mine, scores, thresholds=(threshold,), limit=limit)
    owners, labels = np.divmod(matches.labels, span)
    bounds = np.searchsorted(owners, np.arange(len(images) + 1)).tolist()
    labels += lowest
    return [
        ImageMatches(
            labels[start:stop], matches.scores[start:stop], matches.hits[start:stop], np.asarray(image.truth_labels, np.int64)
        )
        for (start, stop), image in zip(pairwise(bounds), images, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Boxes of many images: corners ``(N, 4)``, areas, class ids and the place of the image, each ``(N,)``."""

    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, images: Sequence[tuple[ArrayLike, ArrayLike, NDArray[np.float64] | None]]) -> Self:
        """Put boxes, labels and areas, given image by image, one behind the other."""
        boxes = [_as_boxes(each) for each, _, _ in images]
        areas = [box_areas(its) if given is None else given for its, (_, _, given) in zip(boxes, images, strict=True)]
        labels = [np.asarray(its, np.int64) for _, its, _ in images]
        joined = np.concatenate([np.empty((0, 4)), *boxes])
        places = np.repeat(np.arange(len(images)), [len(its) for its in labels])
        return cls(joined, _joined(areas, np.float64), _joined(labels, np.int64), places)


def match_shapes(
    iou_of: PairIou,
    truth_labels: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    thresholds: Sequence[float] = (0.5,),
    limit: int = MAX_DETECTIONS,
) -> list[ImageMatches]:
    """Match detections of any shape in an image with the true ones, each class by itself.

    In the order of their scores each detection takes, of the truths of its class that are still free, the one with the highest
    IoU of at least the threshold; of equals the later one. A detection that finds none is a false positive, duplicates of a hit
    among them. An IoU of 0 never matches, so that a threshold of 0 asks for any overlap at all.

    Args:
        iou_of: Gives the IoU of pairs, many at once; it is only asked for pairs of equal classes, each pair once.
        truth_labels: ``(M,)`` class ids.
        labels: ``(N,)`` class ids.
        scores: ``(N,)``; equal scores keep their order.
        thresholds: Least IoU of a match, several to match again.
        limit: How many detections of a class count, the best first.

    Returns:
        The matches at each threshold.

    >>> strict, loose = match_shapes(lambda mine, _: np.full(len(mine), 0.3), [1], [1, 2], [0.9, 0.9], thresholds=(0.5, 0))
    >>> strict.hits.tolist(), loose.hits.tolist()
    ([False, False], [True, False])
    """
    kept = rank_detections(labels, scores, limit)
    wanted, found = np.asarray(truth_labels, np.int64), np.asarray(labels, np.int64)[kept]
    assignments = [_Assignment(threshold, len(found), len(wanted)) for threshold in thresholds]
    for detections, truths in _pairs(found, wanted):
        ious = iou_of(kept[detections], truths)
        for assignment in assignments:
            assignment.add(detections, truths, ious)
    ranked = np.asarray(scores, np.float64)[kept]
    return [ImageMatches(found, ranked, np.frombuffer(each.hits, np.bool_), wanted) for each in assignments]


def _pairs(labels: NDArray[np.int64], truth_labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs of a detection and a truth with equal labels, ascending, in blocks that hold all pairs of a detection."""
    order = np.argsort(truth_labels, kind="stable")
    first, behind = (np.searchsorted(truth_labels[order], labels, side) for side in ("left", "right"))
    counts = behind - first
    for start, stop in blocks(counts, BLOCK):
        yield np.repeat(np.arange(start, stop), counts[start:stop]), order[ranges(first[start:stop], counts[start:stop])]


class _Assignment:
    """Which detections hit at a threshold, and which truths are taken: a byte for each, which loops read fastest."""

    def __init__(self, threshold: float, detections: int, truths: int) -> None:
        self.least = min(threshold, 1 - IOU_SLACK)
        self.hits, self.taken = bytearray(detections), bytearray(truths)

    def add(self, detections: NDArray[np.int64], truths: NDArray[np.int64], ious: NDArray[np.float64]) -> None:
        """Match detections behind those of before; all pairs of a detection come together."""
        is_free = ~np.frombuffer(self.taken, np.bool_)[truths]
        kept = np.flatnonzero((ious >= self.least) & (ious > 0) & is_free)
        detections, truths = detections[kept], truths[kept]
        # In the order in which they may match: the detection's, then by falling IoU, then the later truth.
        order = np.lexsort((-truths, -ious[kept], detections))
        hits, taken = self.hits, self.taken
        for detection, truth in zip(detections[order].tolist(), truths[order].tolist(), strict=True):
            if not hits[detection] and not taken[truth]:
                hits[detection] = taken[truth] = True


class DetectionStatistics:
    """The matches of a whole set, arranged so that any resample of its images can be evaluated.

    Args:
        images: The matches of every image of the set, by id; an image without detections belongs to it too.

    Attributes:
        ids: The images, ascending by code point. Equal scores in two images rank in this order.
        classes: ``(C,) int64`` ids of the classes that have at least one truth, ascending.
        truths: ``(C,) int64``, how many truths each has.
        detections: How many detections count, of every class that has some, also of classes without a truth.
    """

    def __init__(self, images: Mapping[str, ImageMatches]) -> None:
        self.ids = tuple(sorted(images))
        matches = [images[name] for name in self.ids]
        labels = _joined([image.labels for image in matches], np.int64)
        scores = _joined([image.scores for image in matches], np.float64)
        hits = _joined([image.hits for image in matches], np.bool_)
        places = np.repeat(np.arange(len(matches)), [len(image.labels) for image in matches])
        truth_labels = _joined([image.truth_labels for image in matches], np.int64)
        truth_places = np.repeat(np.arange(len(matches)), [len(image.truth_labels) for image in matches])

        self.classes, truth_classes = np.unique(truth_labels, return_inverse=True)
        counts = np.zeros((len(matches), len(self.classes)), np.int64)
        np.add.at(counts, (truth_places, truth_classes), 1)
        self.truths = counts.sum(0)
        order = np.lexsort((-scores, labels))  # stable, so ties across images rank by id
        bounds = [np.searchsorted(labels[order], self.classes, side) for side in ("left", "right")]
        self.detections = dict(zip(*(array.tolist() for array in np.unique(labels, return_counts=True)), strict=True))
        self._classes = [
            _ClassStatistics(hits[order[start:end]], places[order[start:end]], counts[:, column].astype(np.float64))
            for column, (start, end) in enumerate(zip(*bounds, strict=True))
        ]

    def evaluate(self, weights: ArrayLike | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the average precision and the recall of every class, on the set or on resamples of it.

        An image of weight w counts as w images with the same matches whose equal detections rank next to each other.

        Args:
            weights: ``(R, images)``, how often each resample holds each image of ``ids``; without it the set as it is.

        Returns:
            Both ``(R, C)`` (R = 1 for the set itself); NaN where a resample has no truth of the class.
        """
        rows = np.ones((1, len(self.ids))) if weights is None else np.asarray(weights, np.float64)
        precision = np.full((len(rows), len(self._classes)), np.nan)
        recall = precision.copy()
        for column, statistics in enumerate(self._classes):
            step = max(1, BLOCK // max(1, len(statistics.hits)))
            for start in range(0, len(rows), step):
                block = slice(start, start + step)
                precision[block, column], recall[block, column] = statistics.evaluate(rows[block])
        return precision, recall


def interpolated_precision(
    hits: NDArray[np.float64], detections: NDArray[np.float64], truths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return average precision, interpolated at ``RECALL_POINTS``, and recall (M6 steps 5 to 7) of several lists of detections.

    Args:
        hits: ``(R, P)``, in each row how many hits there are among the best detections, up to each of P places.
        detections: ``(R, P)``, how many detections there are up to there.
        truths: ``(R,)``, how many truths.

    Returns:
        Both ``(R,)``; NaN where there is no truth.

    >>> average, recall = interpolated_precision(np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]]), np.array([1.0]))
    >>> average.round(3).tolist(), recall.tolist()
    ([0.5], [1.0])
    """
    precision = hits / (detections + EPSILON)
    average, recall = np.full(len(truths), np.nan), np.full(len(truths), np.nan)
    defined = np.flatnonzero(truths)
    for row, least in zip(defined, _least_hits(truths[defined]), strict=True):
        first = np.searchsorted(hits[row], least)  # the first place whose recall reaches each point
        first = first[first < hits.shape[1]]
        # The highest precision from each of these places on: that up to the next one, and then that of the next one on.
        peaks = np.maximum.reduceat(precision[row], first) if len(first) else np.zeros(0)
        average[row] = np.maximum.accumulate(peaks[::-1])[::-1].sum() / len(RECALL_POINTS)
        recall[row] = hits[row, -1] / truths[row] if hits.shape[1] else 0.0
    return average, recall


def _least_hits(truths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least numbers of hits whose recall reaches each point, ``(R, 101)``, by COCO's comparison of doubles."""
    hits = np.ceil(truths[:, None] * RECALL_POINTS)
    hits -= (hits - 1) / truths[:, None] >= RECALL_POINTS  # where the product was rounded up beyond a whole number
    return hits + (hits / truths[:, None] < RECALL_POINTS)


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean ``(R,)`` over the classes ``(R, C)`` that are not NaN; NaN where all are.

    >>> mean_of_defined(np.array([[0.5, np.nan], [np.nan, np.nan]])).tolist()
    [0.5, nan]
    """
    defined = np.isfinite(values)
    return divide(np.where(defined, values, 0.0).sum(1), defined.sum(1))


def _joined(arrays: list[NDArray[Scalar]], dtype: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate([np.empty(0, dtype), *arrays])


@dataclass(frozen=True, slots=True)
class _ClassStatistics:
    """The detections of one class by falling score: hit or not, and the place of the image; and the truths of each image."""

    hits: NDArray[np.bool_]
    places: NDArray[np.int64]
    truths: NDArray[np.float64]

    def evaluate(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return average precision and recall, both ``(R,)``, for weights ``(R, images)``."""
        truths = weights @ self.truths
        counted = np.take(weights, self.places, axis=1)
        # Precision peaks at hits and recall rises at hits, so that no other place decides anything.
        at_hits = np.flatnonzero(self.hits)
        all_so_far = np.take(counted.cumsum(1), at_hits, axis=1)
        hits_so_far = np.take(counted, at_hits, axis=1).cumsum(1)
        return interpolated_precision(hits_so_far, all_so_far, truths)
