"""From a model's maps to objects: separating neighbours, naming and scoring each, and drawing its outline as a polygon.

Two ways to separate are offered. ``components`` takes the connected pixels of each substrate: touching colonies of one
substrate become a single blob. ``cores`` starts from what lies deep inside an object, by the predicted depth, and gives every
pixel to the nearest core, so that such neighbours are divided; as cores know no substrate, an object's is that of the mean over
its pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.coral.shapes import Shapes
from baselines.coral.task import ModelConfig

Map = NDArray[np.float32]
Objects = NDArray[np.int32]
Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Instances:
    """N objects found in an image.

    Attributes:
        shapes: Their outlines, in pixels of the image file.
        labels: ``(N,) int64`` campaign index of each one's substrate.
        scores: ``(N,) float64`` in [0, 1].
    """

    shapes: Shapes
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


def find_instances(probabilities: Map, depth: Map, size: tuple[int, int], config: ModelConfig) -> Instances:
    """Return the objects that the maps of an image show.

    Args:
        probabilities: ``(14, H, W)`` of background and the 13 substrates.
        depth: ``(H, W)`` in [0, 1]: how far inside an object each pixel is.
        size: Width and height of the image file, in whose pixels the outlines are.
        config: How to separate and draw.
    """
    separate = {"cores": by_cores, "components": by_components}[config.instances]
    objects = separate(probabilities, depth, config)
    areas, labels, scores = rate(objects, probabilities, depth)
    scale = size[0] / objects.shape[1], size[1] / objects.shape[0]
    rings, kept = [], []
    for index, box in enumerate(ndimage.find_objects(objects)):
        if box is None or areas[index] < config.min_area or scores[index] < config.min_score:
            continue
        mask = (objects[box] == index + 1).astype(np.uint8)
        ring = outline(mask, scale, tolerance=config.tolerance, hole=config.hole)
        if ring is not None:
            rings.append(ring + np.array([box[1].start * scale[0], box[0].start * scale[1]]))
            kept.append(index)
    return Instances(Shapes.of_rings(rings), labels[kept], scores[kept])


def by_components(probabilities: Map, _depth: Map, _config: ModelConfig) -> Objects:
    """Return the connected pixels of each most probable substrate, numbered from 1; ``(H, W)``."""
    classes = probabilities.argmax(axis=0)
    objects = np.zeros(classes.shape, np.int32)
    for label in np.unique(classes[classes > 0]).tolist():
        parts = cv2.connectedComponents((classes == label).astype(np.uint8), connectivity=8)[1]
        objects[parts > 0] = parts[parts > 0] + objects.max()
    return objects


def by_cores(probabilities: Map, depth: Map, config: ModelConfig) -> Objects:
    """Return the pixels nearest to each object's core, numbered from 1; ``(H, W)``.

    Cores are the connected pixels of the foreground that are deep enough; a part of the foreground without one is an object of
    its own, since small ones are shallow. As depth is a distance from the outline, the pixels between two cores are
    divided where the valley of the depth runs.
    """
    foreground = probabilities[0] < 1 - config.foreground
    parts = cv2.connectedComponents(foreground.astype(np.uint8), connectivity=8)[1]
    cores = foreground & (depth >= config.marker)
    has_core = np.zeros(int(parts.max(initial=0)) + 1, np.bool_)
    has_core[parts[cores]] = True
    cores |= foreground & ~has_core[parts]
    if not cores.any():
        return np.zeros(cores.shape, np.int32)
    elsewhere = (~cores).astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(elsewhere, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)[1]
    nearest[~foreground] = 0
    used = np.bincount(nearest.ravel()) > 0
    used[0] = False  # no object, and the numbers begin at 1
    return np.cumsum(used, dtype=np.int32)[nearest] * (nearest > 0)


def rate(objects: Objects, probabilities: Map, depth: Map) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the area ``(N,)`` in pixels, the substrate ``(N,)`` and the score ``(N,)`` of each object.

    The substrate is the most probable one on average over the object. The score is that mean probability times the depth of
    the object's core (the mean of the deepest quarter of its pixels): an object that is known for what it is, but not as one
    of its own, ranks behind others.
    """
    inside = np.flatnonzero(objects)
    numbers = objects.ravel()[inside] - 1
    count = int(numbers.max(initial=-1)) + 1
    areas = np.bincount(numbers, minlength=count)
    sums = np.stack([np.bincount(numbers, plane.ravel()[inside], count) for plane in probabilities[1:]])
    means = sums / np.maximum(areas, 1)
    labels = means.argmax(axis=0).astype(np.int64) + 1 if count else np.zeros(0, np.int64)
    scores = means.max(axis=0, initial=0) * _core_depth(numbers, depth.ravel()[inside], areas)
    return areas, labels, np.clip(scores, 0, 1)


def _core_depth(numbers: Objects, depths: Map, areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean depth ``(N,)`` of the deepest quarter of each object's pixels.

    Args:
        numbers: ``(P,)`` the object of each pixel, from 0.
        depths: ``(P,)``.
        areas: ``(N,)`` pixels of each object.
    """
    order = np.lexsort((-depths, numbers))
    ends = np.cumsum(areas)
    running = np.concatenate([[0.0], np.cumsum(depths[order], dtype=np.float64)])
    quarter = np.maximum(areas // 4, 1)
    first = ends - areas
    return np.asarray((running[np.minimum(first + quarter, len(running) - 1)] - running[first]) / quarter)


# ------------------------------------------------------------------------------------------------------------- outlines


def outline(mask: Mask, scale: tuple[float, float], *, tolerance: float, hole: float) -> NDArray[np.float64] | None:
    """Return the outline of a mask's largest part in pixels of the image file; ``None`` if there is nothing of an area.

    Args:
        mask: ``(H, W)`` of 0 and 1, whose top left corner is that of the file's pixel (0, 0).
        scale: File pixels per pixel of the mask, along x and y.
        tolerance: How far the polygon may be from the outline, in file pixels.
        hole: A hole of at least this share of the part's area is opened by a slit; smaller ones are filled.

    Returns:
        Points ``(n, 2)`` x, y.

    >>> square = np.ones((3, 3), np.uint8)
    >>> outline(square, (4.0, 4.0), tolerance=0.0, hole=0.1).min(axis=0).tolist()
    [0.0, 0.0]
    """
    size = max(1, round(mask.shape[1] * scale[0])), max(1, round(mask.shape[0] * scale[1]))
    if size != (mask.shape[1], mask.shape[0]):
        # Enlarged before its outline is taken: the outline of a small mask runs through the middles of its outermost
        # pixels, and would lose half a pixel of the mask on every side, which is several of the file.
        smooth = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        mask = (smooth >= 0.5).astype(np.uint8)
    padded = np.pad(mask, 1)  # contours of OpenCV need a background
    contours, hierarchy = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    outer = [index for index in range(len(contours)) if hierarchy[0][index][3] < 0]
    largest = max(outer, key=lambda index: cv2.contourArea(contours[index]))
    area = cv2.contourArea(contours[largest])
    holes = [contours[index] for index in range(len(contours)) if hierarchy[0][index][3] == largest]
    large = [ring for ring in holes if cv2.contourArea(ring) >= max(hole * area, 1)]
    contour = contours[largest]
    if large:
        part = np.zeros_like(padded)
        cv2.drawContours(part, [contour], -1, 1, cv2.FILLED)
        for ring in large:
            _open(part, ring, contour, width=max(3, 2 * math.ceil(tolerance) + 1))
        pieces, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contour = max(pieces, key=cv2.contourArea)
    simple = cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0]
    if len(simple) < 3:
        simple = contour[:, 0]
    return simple.astype(np.float64) - 1 if len(simple) >= 3 and cv2.contourArea(simple) > 0 else None


def _open(part: Mask, hole: NDArray[Any], contour: NDArray[Any], width: int) -> None:
    """Cut a hole out of a filled part, with a slit from it to the nearest point of the contour.

    The slit is as wide as leaves its two sides apart when the outline is simplified.
    """
    inner, outer = hole[:, 0].astype(np.int64), contour[:, 0].astype(np.int64)
    inner, outer = inner[:: max(1, len(inner) // 64)], outer[:: max(1, len(outer) // 256)]
    distances = ((inner[:, None] - outer[None]) ** 2).sum(axis=-1)
    start, end = np.unravel_index(int(distances.argmin()), distances.shape)
    cv2.drawContours(part, [hole], -1, 0, cv2.FILLED)
    cv2.line(part, inner[start].tolist(), outer[end].tolist(), 0, width)
