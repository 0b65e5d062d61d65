"""The outlines of objects: many rings of whole pixels in two arrays, what can be wrong with them, and how they are mended.

A box is the ring of its four corners, so that both tasks have one kind of object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.core.metrics.arrays import blocks, offsets_of, ranges
from baselines.core.metrics.raster import edge_rows, following

PAIRS = 1 << 20  # pairs of edges that are held against each other at a time: some 100 MB
NO_LIMIT = 1 << 62
MAX_PAIRS = 40_000_000  # of edges, held against each other in a file, some seconds' worth; rings beyond that count as sound

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shapes:
    """A number of rings, each of at least one point.

    Attributes:
        points: ``(P, 2)`` x, y of all rings, one ring after the other; whole pixels in files, whatever a model says before.
        offsets: ``(N + 1,) int64``: the points of ring i are those from ``offsets[i]`` up to ``offsets[i + 1]``.
    """

    points: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def of_rings(cls, rings: Iterable[ArrayLike]) -> Self:
        """Put rings ``(n, 2)`` together.

        Raises:
            ValueError: If a ring has no point.

        >>> shapes = Shapes.of_rings([[[0, 0], [4, 0], [4, 4]], [[9, 9]]])
        >>> [ring.tolist() for ring in shapes]
        [[[0, 0], [4, 0], [4, 4]], [[9, 9]]]
        """
        arrays = [np.asarray(ring).reshape(-1, 2) for ring in rings]
        if not all(map(len, arrays)):
            raise ValueError("a ring without points")
        points = np.concatenate(arrays) if arrays else np.zeros((0, 2), np.int32)
        return cls(points, np.cumsum([0, *map(len, arrays)], dtype=np.int64))

    @classmethod
    def of_boxes(cls, boxes: ArrayLike) -> Self:
        """Return the corners of boxes ``(N, 4)`` xyxy as rings, in the order of M7 step 1."""
        corners = np.asarray(boxes).reshape(-1, 4)[:, [0, 1, 0, 3, 2, 3, 2, 1]]
        return cls(corners.reshape(-1, 2), np.arange(len(corners) + 1, dtype=np.int64) * 4)

    @classmethod
    def joined(cls, parts: Sequence[Shapes]) -> Self:
        """Return the rings of several sets, in order."""
        counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
        return cls(np.concatenate([np.zeros((0, 2), np.int32), *(part.points for part in parts)]), counts.cumsum())

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return the points ``(n, 2)`` of a ring."""
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of points of each ring, ``(N,)``."""
        return np.diff(self.offsets)

    @property
    def rings(self) -> NDArray[np.int64]:
        """The ring of each point, ``(P,)``."""
        return np.repeat(np.arange(len(self)), self.counts)

    def take(self, which: NDArray[Any]) -> Shapes:
        """Return the rings at some indices, or where a mask ``(N,)`` is true."""
        indices = np.flatnonzero(which) if which.dtype == np.bool_ else which
        counts = self.counts[indices]
        offsets = offsets_of(counts)
        return Shapes(self.points[ranges(self.offsets[:-1][indices], counts)], offsets)

    def boxes(self) -> NDArray[np.float64]:
        """Return the extremes of each ring, ``(N, 4) float64`` xyxy.

        >>> Shapes.of_rings([[[3, 0], [4, 9], [1, 5]]]).boxes().tolist()
        [[1.0, 0.0, 4.0, 9.0]]
        """
        low = np.minimum.reduceat(self.points, self.offsets[:-1], axis=0) if len(self) else self.points
        high = np.maximum.reduceat(self.points, self.offsets[:-1], axis=0) if len(self) else self.points
        return np.hstack([low, high]).astype(np.float64)

    def any_point(self, flags: Flags) -> Flags:
        """Return which rings ``(N,)`` have a point with a flag, from flags ``(P,)``."""
        before = offsets_of(flags.astype(np.int64))
        return before[self.offsets[1:]] > before[self.offsets[:-1]]


NO_SHAPES = Shapes.of_rings([])


class Budget:
    """Bounds how much there is to fill, in an image and in a file: how many rows of pixels the edges of all outlines cross.

    An outline crosses twice as many rows as it is high, and more if it goes up and down. Objects are about 250 pixels high, and
    an image has 24 of them, at most 96 (of 2020). ``IMAGE`` is 10,000 such outlines, and ``FILE`` 400 in each of 485 images.
    """

    IMAGE = 5_000_000
    FILE = 100_000_000

    def __init__(self) -> None:
        self.spent = 0

    def why_over(self, shapes: Shapes) -> str:
        """Count the shapes of one more image; say what is too much, if anything is."""
        rows = edge_rows(shapes.points, shapes.offsets)
        self.spent += rows
        if rows > self.IMAGE:
            return f"the edges of its outlines cross {rows:,} rows of pixels, more than {self.IMAGE:,}"
        if self.spent > self.FILE:
            return f"up to here the edges of all outlines cross {self.spent:,} rows of pixels, more than {self.FILE:,}"
        return ""


# ------------------------------------------------------------------------------------------------------- what can be wrong


def are_flat(shapes: Shapes) -> Flags:
    """Return which rings ``(N,)`` have all points on one line, so those with fewer than three distinct ones, too.

    >>> are_flat(Shapes.of_rings([[[0, 0], [1, 1], [3, 3]], [[0, 0], [2, 2], [0, 2], [2, 0]], [[5, 5]]])).tolist()
    [True, False, True]
    """
    away = shapes.points.astype(np.int64) - shapes.points[shapes.offsets[:-1]].repeat(shapes.counts, axis=0)
    if not len(away):
        return np.zeros(len(shapes), np.bool_)
    elsewhere = np.where(away.any(axis=1), np.arange(len(away)), len(away) - 1)
    first = np.minimum.reduceat(elsewhere, shapes.offsets[:-1])  # of the points that are not where the ring starts
    direction = away[first].repeat(shapes.counts, axis=0)
    # A ring that is all in one place gets a direction of another ring, and no point of it is away.
    return ~shapes.any_point(_cross(direction, away) != 0)


def have_repeats(shapes: Shapes) -> Flags:
    """Return which rings ``(N,)`` repeat a point at once, return to their first point, or go back the way they came.

    >>> have_repeats(Shapes.of_rings([[[0, 0], [4, 0], [4, 4], [0, 0]], [[0, 0], [4, 0], [4, 4]]])).tolist()
    [True, False]
    """
    after = following(shapes.offsets)
    step = shapes.points[after].astype(np.int64) - shapes.points
    is_back = (_cross(step, step[after]) == 0) & ((step * step[after]).sum(axis=1) < 0)
    return shapes.any_point(~step.any(axis=1) | is_back)


def cross_themselves(shapes: Shapes, limit: int = NO_LIMIT) -> tuple[Flags, int]:
    """Return which rings meet themselves: two edges that are not neighbours have a point in common.

    Args:
        shapes: Rings with coordinates below 2**29.
        limit: How many pairs of edges to hold against each other at most; rings beyond that count as sound.

    Returns:
        Flags ``(N,)``, and how many pairs there were.

    >>> cross_themselves(Shapes.of_rings([[[0, 0], [4, 4], [4, 0], [0, 4]], [[0, 0], [4, 0], [4, 4], [0, 4]]]))[0].tolist()
    [True, False]
    """
    found = np.zeros(len(shapes), np.bool_)
    edges = _SortedEdges.of(shapes)
    done = 0
    for start, stop in blocks(edges.candidates, PAIRS):
        if done >= limit:
            break
        left = np.arange(start, stop)[~found[edges.ring[start:stop]]]
        found[edges.crossing(left)] = True
        done += int(edges.candidates[start:stop].sum())
    return found, done


@dataclass(frozen=True, slots=True)
class _SortedEdges:
    """The edges of rings that have a length, ring by ring and by ascending left end.

    Attributes:
        ring: ``(E,)``.
        place: ``(E,)`` which edge of its ring it is.
        most: ``(E,)`` the last place in its ring.
        ends: ``(E, 4)`` x, y of both ends.
        candidates: ``(E,)`` how many of those that follow start before it ends.
    """

    ring: NDArray[np.int64]
    place: NDArray[np.int64]
    most: NDArray[np.int64]
    ends: NDArray[np.int64]
    candidates: NDArray[np.int64]

    @classmethod
    def of(cls, shapes: Shapes) -> Self:
        """Return the edges of rings."""
        ends = np.hstack([shapes.points, shapes.points[following(shapes.offsets)]]).astype(np.int64)
        has_length = (ends[:, :2] != ends[:, 2:]).any(axis=1) & (shapes.counts > 3).repeat(shapes.counts)  # triangles are sound
        ring, ends = shapes.rings[has_length], ends[has_length]
        counts = np.bincount(ring, minlength=len(shapes))
        place = ranges(np.zeros(len(shapes), np.int64), counts)
        left, right = np.minimum(ends[:, 0], ends[:, 2]), np.maximum(ends[:, 0], ends[:, 2])
        keys = (ring << 32) + left
        order = np.argsort(keys, kind="stable")
        last = np.searchsorted(keys[order], ((ring << 32) + right)[order], side="right")
        return cls(ring[order], place[order], counts[ring[order]] - 1, ends[order], last - np.arange(len(order)) - 1)

    def crossing(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rings in which one of these edges meets a later one."""
        counts = self.candidates[edges]
        one, other = edges.repeat(counts), ranges(edges + 1, counts)
        low, high = np.minimum(self.ends[:, 1], self.ends[:, 3]), np.maximum(self.ends[:, 1], self.ends[:, 3])
        apart = np.abs(self.place[one] - self.place[other])
        kept = (low[one] <= high[other]) & (low[other] <= high[one]) & (apart > 1) & (apart < self.most[one])
        one, other = one[kept], other[kept]
        # Their bounding boxes meet. So they meet if each has an end on either side of the other, or on it.
        meet = self._is_between(one, other) & self._is_between(other, one)
        return self.ring[one[meet]]

    def _is_between(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Flags:
        """Whether the ends of the one edge are not both on the same side of the other."""
        start = self.ends[other, :2]
        direction = self.ends[other, 2:] - start
        sides = [np.sign(_cross(direction, self.ends[one, end : end + 2] - start)) for end in (0, 2)]
        return sides[0] * sides[1] <= 0


def are_repeated(shapes: Shapes, labels: NDArray[np.int64]) -> Flags:
    """Return which rings ``(N,)`` have the same points, in the same order, and the same label as an earlier one.

    >>> box = [[0, 0], [0, 4], [4, 4], [4, 0]]
    >>> are_repeated(Shapes.of_rings([box, box, box]), np.array([1, 2, 1])).tolist()
    [False, False, True]
    """
    if not len(shapes):
        return np.zeros(0, np.bool_)
    points = shapes.points.astype(np.int64).astype(np.uint64)
    place = ranges(np.zeros(len(shapes), np.int64), shapes.counts).astype(np.uint64)
    mixed = _mix(_mix(_mix(place) + points[:, 0]) + points[:, 1])
    keys = _mix(np.add.reduceat(mixed, shapes.offsets[:-1]) + labels.astype(np.uint64))  # 64 bits: no two by chance
    repeated = np.ones(len(shapes), np.bool_)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of MurmurHash3)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
    return values ^ (values >> np.uint64(33))


def _cross(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    product: NDArray[np.int64] = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return product


# ------------------------------------------------------------------------------------------------------------- mending


def tidy_ring(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a ring without repeated points, and without the ends of ways that are gone there and back.

    >>> tidy_ring(np.array([[0, 0], [4, 0], [4, 0], [9, 0], [4, 0], [4, 4], [0, 0]])).tolist()
    [[4, 4], [0, 0], [4, 0]]
    """
    points, before = [tuple(point) for point in ring.tolist()], -1
    while len(points) != before and len(points) > 2:
        before = len(points)
        # Twice, from two starts, because the first look doesn't see what lies on both sides of the first and the last point.
        for _ in range(2):
            points = _without_returns(points)
            points = points[2:] + points[:2]
    return np.array(points, np.int64).reshape(-1, 2)


def _without_returns(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for point in points:
        while kept and (kept[-1] == point or (len(kept) > 1 and _returns(kept[-2], kept[-1], point))):
            kept.pop()
        kept.append(point)
    return kept


def _returns(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    there, back = (b[0] - a[0], b[1] - a[1]), (c[0] - b[0], c[1] - b[1])
    is_straight = there[0] * back[1] == there[1] * back[0]
    return is_straight and there[0] * back[0] + there[1] * back[1] < 0


def shorten_ring(ring: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return a ring with at most ``limit`` of its points: those that Douglas and Peucker keep at the least tolerance that fits.

    Douglas and Peucker, Algorithms for the reduction of the number of points required to represent a digitized line or its
    caricature, Cartographica 10 (1973).

    >>> shorten_ring(np.array([[0, 0], [5, 1], [9, 0], [9, 9], [0, 9]]), 4).tolist()
    [[0, 0], [9, 0], [9, 9], [0, 9]]
    """
    if len(ring) <= limit:
        return ring
    tolerances = _tolerances(ring)
    return ring[tolerances > np.sort(tolerances)[-limit - 1]]


def _tolerances(ring: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the tolerance ``(n,)`` up to which each point stays: no more than its distance, and than that of its ancestors."""
    count = len(ring)
    closed = np.vstack([ring, ring[:1]]).astype(np.float64)
    far = int(((closed - closed[0]) ** 2).sum(axis=1).argmax())
    tolerances = np.zeros(count + 1)
    tolerances[[0, far]] = np.inf
    pending = [(0, far, np.inf), (far, count, np.inf)]
    while pending:
        start, stop, most = pending.pop()
        if stop - start < 2:
            continue
        distances = _distances(closed[start + 1 : stop], closed[start], closed[stop])
        farthest = int(distances.argmax())
        tolerance = min(most, float(distances[farthest]))
        middle = start + 1 + farthest
        tolerances[middle] = tolerance
        pending += [(start, middle, tolerance), (middle, stop, tolerance)]
    return tolerances[:count]


def _distances(points: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances ``(n,)`` of points from the straight line between two others."""
    way = stop - start
    share = np.clip((points - start) @ way / max(float(way @ way), 1e-300), 0, 1)
    distances: NDArray[np.float64] = np.hypot(*(points - start - share[:, None] * way).T)
    return distances
