"""Which pixels a polygon covers, counted as the coral organisers count them, and what such masks have in common (M7 and M6).

A mask is kept as runs of pixels, never as a bitmap: a ring on an image of 12 million pixels is a few thousand numbers. Many
masks are made at once, each in a *plane* of its own:

    rings → rasterise_classes → Masks → mask_iou            of every ring by itself, for the average precision
                              → Masks → compare_classes     of all rings of a class together, for the pixel IoU

The fill rule is that of OpenCV's ``fillPoly``: outlines are drawn as lines, and what is inside by the even-odd rule is filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.core.metrics.arrays import blocks, offsets_of, ranges

MAX_COORDINATE = 1 << 24  # with larger ones a slope times a height might not fit into 64 bits
MAX_SIDE = 1 << 16
BLOCK = 1 << 20  # pairs of an edge and a row that are worked on at a time: some 100 MB

_FRACTION = 16  # bits of a crossing behind the point
_ONE = 1 << _FRACTION

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Masks:
    """Sets of pixels, one in each plane, as runs in row-major order: the pixel at column x of row y is ``y * width + x``.

    Attributes:
        starts: ``(K,)`` first pixels of the runs, ascending within a plane.
        ends: ``(K,)`` the pixels behind their last ones; the runs of a plane neither overlap nor touch.
        offsets: ``(planes + 1,)``: the runs of plane i are those from ``offsets[i]`` up to ``offsets[i + 1]``.
    """

    starts: Integers
    ends: Integers
    offsets: Integers

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def planes(self) -> Integers:
        """The plane of every run, ``(K,)``."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def areas(self) -> Integers:
        """The number of pixels in every plane, ``(planes,)``."""
        return _sums(self.ends - self.starts, self.offsets)

    def take(self, planes: Integers) -> Masks:
        """Return the masks of some planes."""
        counts = np.diff(self.offsets)[planes]
        runs = ranges(self.offsets[planes], counts)
        return Masks(self.starts[runs], self.ends[runs], offsets_of(counts))

    def joined(self, planes: Integers, count: int) -> Masks:
        """Return ``count`` planes, each the union of those masks that ``planes (len(self),)`` assigns to it."""
        stride = int(self.ends.max(initial=0)) + 1
        base = planes[self.planes] * stride
        return _split(*_merge(base + self.starts, base + self.ends), count, stride)

    def pixels(self, plane: int) -> Integers:
        """Return the positions of all pixels in a plane, ascending."""
        runs = slice(self.offsets[plane], self.offsets[plane + 1])
        return ranges(self.starts[runs], self.ends[runs] - self.starts[runs])


def rasterise(points: ArrayLike, offsets: ArrayLike, planes: ArrayLike, count: int, size: tuple[int, int]) -> Masks:
    """Fill rings, each in its plane; rings in one plane are filled together.

    A pixel counts if the outline of a ring runs through it, or if it is inside by the even-odd rule: where two rings of a plane
    overlap, their insides cancel each other and their outlines stay. Pixels outside the image don't count, whatever the
    coordinates; that costs no more than a ring that fills the image. A ring of one point is a pixel, one of two a line.

    Args:
        points: ``(P, 2)`` integers x, y of all rings, one ring after the other; at most ``MAX_COORDINATE`` away from 0.
        offsets: ``(rings + 1,)``: the points of ring i are those from ``offsets[i]`` up to ``offsets[i + 1]``.
        planes: ``(rings,)`` the plane of each ring.
        count: How many planes there are; some may have no ring.
        size: Width and height of the image in pixels.

    Raises:
        ValueError: If a coordinate or a side is too large.

    >>> square = [[100, 100], [199, 100], [199, 199], [100, 199]]
    >>> rasterise(square, [0, 4], [0], 1, (4032, 3024)).areas.tolist()
    [10000]
    >>> rasterise(square * 2, [0, 4, 8], [0, 0], 1, (4032, 3024)).areas.tolist()
    [396]
    """
    corners = np.asarray(points, np.int64).reshape(-1, 2)
    if len(corners) and not -MAX_COORDINATE <= corners.min() <= corners.max() <= MAX_COORDINATE:
        raise ValueError(f"a coordinate is more than {MAX_COORDINATE} away from 0")
    if not 0 < min(size) <= max(size) <= MAX_SIDE:
        raise ValueError(f"an image of {size[0]}x{size[1]} pixels")
    width, height = size
    edges = _Edges.of(corners, np.asarray(offsets, np.int64), np.asarray(planes, np.int64), height)
    starts, ends = [], []
    for block in edges.blocks(height):
        block_starts, block_ends = _merge(*_runs(block, width, height))
        starts.append(block_starts)
        ends.append(block_ends)
    # Only here, behind the blocks, may runs of two of them touch: where a plane was divided between two rows.
    return _split(*_merge(_joined(starts), _joined(ends)), count, width * (height + 1))


def rasterise_classes(
    points: ArrayLike, offsets: ArrayLike, classes: Integers, count: int, size: tuple[int, int]
) -> tuple[Masks, Masks]:
    """Fill rings each by itself, and all rings of a class together, which is little more work than the first alone.

    Where no pixel is in two rings of a class, filling these together gives the union of their masks: the even-odd rule makes a
    difference only where they overlap. So only rings that overlap are filled a second time.

    Args:
        points: As for :func:`rasterise`.
        offsets: As for :func:`rasterise`.
        classes: ``(rings,)`` the class of each ring, from 0.
        count: How many classes there are.
        size: Width and height of the image in pixels.

    Returns:
        The masks of the rings, and those of the classes.

    >>> square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    >>> rings, classes = rasterise_classes(square * 3, [0, 4, 8, 12], np.array([0, 0, 1]), 2, (20, 20))
    >>> rings.areas.tolist(), classes.areas.tolist()
    ([100, 100, 100], [36, 100])
    """
    corners, bounds = np.asarray(points, np.int64).reshape(-1, 2), np.asarray(offsets, np.int64)
    rings = rasterise(corners, bounds, np.arange(len(classes)), len(classes), size)
    meet = _share_pixels(rings, classes)
    lengths = np.diff(bounds)[meet]
    again = rasterise(corners[ranges(bounds[:-1][meet], lengths)], offsets_of(lengths), classes[meet], count, size)
    alone = rings.take(np.flatnonzero(~meet))
    parts = Masks(
        np.concatenate([alone.starts, again.starts]),
        np.concatenate([alone.ends, again.ends]),
        np.concatenate([alone.offsets, alone.offsets[-1] + again.offsets[1:]]),
    )
    return rings, parts.joined(np.concatenate([classes[~meet], np.arange(count)]), count)


def edge_rows(points: ArrayLike, offsets: ArrayLike) -> int:
    """Return how many pairs of an edge and a row that it crosses rings have: the work, and the memory, of filling them.

    Args:
        points: As for :func:`rasterise`; within the image.
        offsets: As for :func:`rasterise`.

    >>> edge_rows([[0, 0], [9, 0], [9, 9], [0, 9]], [0, 4])
    22
    """
    y = np.asarray(points, np.int64).reshape(-1, 2)[:, 1]
    return int(np.abs(y[following(np.asarray(offsets, np.int64))] - y).sum()) + len(y)


def mask_iou(left: Masks, right: Masks, mine: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    """Return the intersection over union of pairs of masks.

    Args:
        left: Masks.
        right: Masks of images of the same size.
        mine: ``(P,)`` which of the left ones each pair has.
        theirs: ``(P,)`` which of the right ones.

    Returns:
        ``(P,)`` in [0, 1]; 0 for two empty masks.

    >>> masks = rasterise([[0, 0], [9, 0], [9, 9], [0, 9], [5, 0], [14, 0], [14, 9], [5, 9]], [0, 4, 8], [0, 1], 2, (20, 20))
    >>> mask_iou(masks, masks, [0, 0], [0, 1]).round(3).tolist()
    [1.0, 0.333]
    """
    rows, columns = np.asarray(mine, np.int64), np.asarray(theirs, np.int64)
    shared = np.zeros(len(rows), np.int64)
    # The runs of the one are looked up among those of the other, so the fewer ones are.
    is_less = np.diff(left.offsets)[rows] <= np.diff(right.offsets)[columns]
    for pairs, masks, its, others, theirs_of in (
        (np.flatnonzero(is_less), left, rows, right, columns),
        (np.flatnonzero(~is_less), right, columns, left, rows),
    ):
        shared[pairs] = _shared_pixels(masks, its[pairs], others, theirs_of[pairs])
    ious: NDArray[np.float64] = shared / np.maximum(left.areas[rows] + right.areas[columns] - shared, 1)
    return ious


def compare_classes(left: Masks, right: Masks) -> tuple[Integers, Integers]:
    """Count the pixels of each class in two images, where every class has a plane and a later one covers an earlier one.

    Args:
        left: C masks, at most 31.
        right: C masks of an image of the same size.

    Returns:
        For every class ``(C,)``: the pixels that have it in both images, and those that have it in at least one.

    >>> square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    >>> both, first = (rasterise(square * len(p), np.arange(len(p) + 1) * 4, p, 2, (20, 20)) for p in ([0, 1], [0]))
    >>> [counts.tolist() for counts in compare_classes(both, first)]
    [[0, 0], [100, 100]]
    """
    classes = len(left)
    # A sweep over the pixels: each run sets the bit of its class where it starts and takes it back where it ends.
    bits = np.concatenate([1 << left.planes, 1 << (right.planes + classes)])
    positions = np.concatenate([left.starts, right.starts, left.ends, right.ends])
    order = np.argsort(positions, kind="stable")
    state = np.concatenate([bits, -bits])[order].cumsum()[:-1]
    lengths = np.diff(positions[order])
    seen = (_highest_bit(state & ((1 << classes) - 1)), _highest_bit(state >> classes))  # -1 where there is no class
    same = seen[0] == seen[1]
    shared = _count(seen[0][same], lengths[same], classes)
    return shared, _count(seen[0], lengths, classes) + _count(seen[1], lengths, classes) - shared


def following(offsets: Integers) -> Integers:
    """Return the index of the point that follows each point of rings; the first one follows the last.

    >>> following(np.array([0, 3, 4])).tolist()
    [1, 2, 0, 3]
    """
    indices = np.arange(1, offsets[-1] + 1)
    has_points = offsets[1:] > offsets[:-1]
    indices[offsets[1:][has_points] - 1] = offsets[:-1][has_points]
    return indices


# -------------------------------------------------------------------------------------------------------------- filling


@dataclass(frozen=True, slots=True)
class _Edges:
    """The edges of rings that cross rows of the image, plane by plane.

    Attributes:
        plane: ``(E,)``.
        ends: ``(E, 4)`` x, y of the end with the smaller x, and of the other one.
        top: ``(E,)`` first row of the edge within the image.
        bottom: ``(E,)`` last one.
    """

    plane: Integers
    ends: Integers
    top: Integers
    bottom: Integers

    @classmethod
    def of(cls, points: Integers, offsets: Integers, planes: Integers, height: int) -> _Edges:
        """Return the edges of rings, from every point to the next one and from the last to the first."""
        ends = np.hstack([points, points[following(offsets)]])
        ends = np.where(ends[:, :1] > ends[:, 2:3], ends[:, [2, 3, 0, 1]], ends)
        plane = np.repeat(planes, np.diff(offsets))
        top = np.maximum(np.minimum(ends[:, 1], ends[:, 3]), 0)
        bottom = np.minimum(np.maximum(ends[:, 1], ends[:, 3]), height - 1)
        kept = np.flatnonzero(top <= bottom)
        kept = kept[np.argsort(plane[kept], kind="stable")]
        return cls(plane[kept], ends[kept], top[kept], bottom[kept])

    def blocks(self, height: int) -> Iterator[_Edges]:
        """Divide the edges among blocks of limited work: whole planes as long as that works, else bands of rows of one."""
        work = np.cumsum(self.bottom - self.top + 1)
        done = start = 0
        while start < len(work):
            stop = int(np.searchsorted(work, done + BLOCK, side="right"))
            if stop < len(work):  # back to where the plane starts
                stop = int(np.searchsorted(self.plane, self.plane[stop]))
            if stop > start:
                yield self.select(slice(start, stop))
            else:  # this plane alone is too much
                stop = int(np.searchsorted(self.plane, self.plane[start], side="right"))
                yield from self.select(slice(start, stop)).bands(height)
            done, start = int(work[stop - 1]), stop

    def bands(self, height: int) -> Iterator[_Edges]:
        """Divide the edges of one plane among bands of rows."""
        step = max(1, BLOCK // len(self.plane))
        for first in range(0, height, step):
            top, bottom = np.maximum(self.top, first), np.minimum(self.bottom, first + step - 1)
            kept = top <= bottom
            yield _Edges(self.plane[kept], self.ends[kept], top[kept], bottom[kept])

    def select(self, which: slice) -> _Edges:
        """Return some of the edges."""
        return _Edges(self.plane[which], self.ends[which], self.top[which], self.bottom[which])


def _runs(edges: _Edges, width: int, height: int) -> tuple[Integers, Integers]:
    """Return the runs of pixels of outlines and insides, in no order.

    The planes stand one below the other, with an empty row between them, so that runs of two planes never touch.
    """
    rows_of_edge = edges.bottom - edges.top + 1
    y = ranges(edges.top, rows_of_edge)
    edge = np.repeat(np.arange(len(edges.plane)), rows_of_edge)
    row = (edges.plane * (height + 1))[edge] + y
    outline = _outline(edges.ends, edge, y)
    inside = _inside(edges.ends, edge, y, row, width)
    first = np.concatenate([row, inside[0]]) * width
    left = np.maximum(np.concatenate([outline[0], inside[1]]), 0)
    right = np.minimum(np.concatenate([outline[1], inside[2]]), width - 1)
    kept = left <= right
    return (first + left)[kept], (first + right + 1)[kept]


def _outline(ends: Integers, edge: Integers, y: Integers) -> tuple[Integers, Integers]:
    """Return the first and the last column of the line along an edge in a row (M7 step 5a, without stepping).

    After k steps along the longer axis, of which there are M, the line has made n = ceil((2mk - M) / 2M) of the m steps along
    the other. A row is one step of a steep line; of a flat one it holds all k with the same n.

    In floats, which divide several times as fast. The results are exact: numerators are below 2**52, denominators below 2**27,
    so no fraction is so close to a whole number that rounding could reach it.
    """
    x0, y0, x1, y1 = ends.T
    across, down = x1 - x0, np.abs(y1 - y0)
    is_flat = (across >= down)[edge]
    step = np.abs(y - y0[edge]).astype(np.float64)
    left, right = np.empty(len(edge)), np.empty(len(edge))
    steep = np.flatnonzero(~is_flat)
    longer, shorter = down[edge[steep]].astype(np.float64), across[edge[steep]]
    left[steep] = right[steep] = np.ceil((2 * shorter * step[steep] - longer) / (2 * longer))
    flat = np.flatnonzero(is_flat)
    longer, shorter, step = across[edge[flat]].astype(np.float64), down[edge[flat]], step[flat]
    halves = 2 * np.maximum(shorter, 1)
    first = np.floor(longer * (2 * step - 1) / halves) + 1
    last = np.floor(longer * (2 * step + 1) / halves)
    left[flat] = np.where(shorter > 0, np.maximum(first, 0), 0)
    right[flat] = np.where(shorter > 0, np.minimum(last, longer), longer)
    start = x0[edge]
    return start + left.astype(np.int64), start + right.astype(np.int64)


def _inside(ends: Integers, edge: Integers, y: Integers, row: Integers, width: int) -> tuple[Integers, Integers, Integers]:
    """Return row, first and last column of what lies between the crossings of each row, taken in pairs (M7 steps 5b and 5c)."""
    x0, y0, x1, y1 = np.where(ends[:, 1:2] <= ends[:, 3:4], ends, ends[:, [2, 3, 0, 1]]).T
    across = (x1 - x0) * _ONE
    slope = np.sign(across) * (np.abs(across) // np.maximum(y1 - y0, 1))  # cut toward zero
    crosses = np.flatnonzero(y < y1[edge])  # an edge crosses the rows above its lower end; a horizontal one none
    edge, y, row = edge[crosses], y[crosses], row[crosses]
    crossing = x0[edge] * _ONE + slope[edge] * (y - y0[edge])
    # Beyond the image it doesn't matter where: so row and crossing fit into one number, which is faster to sort than two.
    bits = ((width + 2) * _ONE).bit_length()
    lowest = int(row.min()) if len(row) else 0
    keys = np.sort(((row - lowest) << bits) + (np.clip(crossing, -_ONE, width * _ONE) + _ONE), kind="stable")
    places = (keys & ((1 << bits) - 1)) - _ONE  # an even number in every row, because rings are closed
    return (keys[::2] >> bits) + lowest, -(-places[::2] >> _FRACTION), places[1::2] >> _FRACTION


def _merge(starts: Integers, ends: Integers) -> tuple[Integers, Integers]:
    """Return the union of runs as runs that are in order and neither overlap nor touch.

    Starts and ends are sorted each by themselves: something new begins where as many runs have ended as have started.
    """
    starts, ends = np.sort(starts, kind="stable"), np.sort(ends, kind="stable")  # which is fast where stretches are in order
    is_first = np.ones(len(starts), np.bool_)
    is_first[1:] = starts[1:] > ends[:-1]
    return starts[is_first], ends[np.roll(is_first, -1)]


def _split(starts: Integers, ends: Integers, count: int, stride: int) -> Masks:
    """Return masks from runs whose plane p starts at ``p * stride``."""
    firsts = np.arange(count + 1) * stride
    offsets = np.searchsorted(starts, firsts).astype(np.int64)
    base = np.repeat(firsts[:-1], np.diff(offsets))
    return Masks(starts - base, ends - base, offsets)


def _share_pixels(masks: Masks, classes: Integers) -> NDArray[np.bool_]:
    """Return which masks may have a pixel in common with another of their class, ``(len(masks),)``; none is missed."""
    planes = masks.planes
    base = classes[planes] * (int(masks.ends.max(initial=0)) + 1)
    order = np.argsort(base + masks.starts, kind="stable")
    starts, ends = (base + masks.starts)[order], np.sort(base + masks.ends)
    heap = np.cumsum(starts[1:] >= ends[:-1])  # runs that overlap, be it through others, lie in one
    heap = np.concatenate([np.zeros(min(1, len(starts)), np.int64), heap])
    is_shared = np.zeros(len(masks), np.bool_)
    is_shared[planes[order][np.bincount(heap)[heap] > 1]] = True
    return is_shared


# ------------------------------------------------------------------------------------------------------------- counting


def _shared_pixels(masks: Masks, mine: Integers, others: Masks, theirs: Integers) -> Integers:
    """Return how many pixels the masks of each pair have in common, ``(P,)``."""
    stride = int(max(masks.ends.max(initial=0), others.ends.max(initial=0))) + 1
    starts = others.starts + others.planes * stride  # ascending over all planes
    before = offsets_of(others.ends - others.starts)
    shared = np.zeros(len(mine), np.int64)
    for start, stop in blocks(np.diff(masks.offsets)[mine], BLOCK):
        runs = masks.take(mine[start:stop])
        plane = theirs[start:stop][runs.planes]
        pixels = np.zeros(len(plane), np.int64)
        for sign, positions in ((1, runs.ends), (-1, runs.starts)):
            index = np.searchsorted(starts, positions + plane * stride) - 1  # the run that starts below, if any
            is_there = index >= others.offsets[plane]
            index = index[is_there]
            count = before[index] + np.minimum(positions[is_there], others.ends[index]) - others.starts[index]
            pixels[is_there] += sign * (count - before[others.offsets[plane[is_there]]])
        shared[start:stop] = _sums(pixels, runs.offsets)
    return shared


def _highest_bit(values: Integers) -> Integers:
    """Return the number of the highest bit that is set, -1 for 0; exact for the values below 2**53."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1


def _count(classes: Integers, lengths: Integers, count: int) -> Integers:
    return np.bincount(classes + 1, lengths, count + 1)[1:].astype(np.int64)


def _sums(values: Integers, offsets: Integers) -> Integers:
    """Return the sum of each list."""
    before = offsets_of(values)
    return before[offsets[1:]] - before[offsets[:-1]]


def _joined(arrays: list[Integers]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *arrays])
