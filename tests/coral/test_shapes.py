"""Rings: what can be wrong with them, against slow and plain references, and how they are mended."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.coral import shapes as module
from baselines.coral.shapes import (
    NO_SHAPES,
    Shapes,
    are_flat,
    are_repeated,
    cross_themselves,
    have_repeats,
    shorten_ring,
    tidy_ring,
)

SQUARE = [(0, 0), (9, 0), (9, 9), (0, 9)]
BOW_TIE = [(10, 10), (40, 40), (40, 10), (10, 40)]


def cross(o, a, b):
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def on_segment(p, a, b):
    return cross(a, b, p) == 0 and all(min(a[i], b[i]) <= p[i] <= max(a[i], b[i]) for i in (0, 1))


def meet(a, b, c, d):
    """Whether two segments have a point in common."""
    if any((on_segment(a, c, d), on_segment(b, c, d), on_segment(c, a, b), on_segment(d, a, b))):
        return True
    return (
        (cross(a, b, c) > 0) != (cross(a, b, d) > 0)
        and (cross(c, d, a) > 0) != (cross(c, d, b) > 0)
        and all((cross(a, b, c), cross(a, b, d), cross(c, d, a), cross(c, d, b)))
    )


def crosses_itself(ring):
    points = [point for point, after in zip(ring, ring[1:] + ring[:1], strict=True) if point != after]
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    return any(meet(*edges[i], *edges[j]) for i, j in combinations(range(len(edges)), 2) if 1 < j - i < len(edges) - 1)


def random_rings(rng, count, side=8, most=12):
    return [[tuple(point) for point in rng.integers(0, side, (rng.integers(1, most), 2)).tolist()] for _ in range(count)]


@pytest.mark.parametrize("pairs", [1 << 20, 5])
def test_crossing_equals_all_pairs(pairs, monkeypatch):
    monkeypatch.setattr(module, "PAIRS", pairs)
    rings = random_rings(np.random.default_rng(0), 1500)
    assert cross_themselves(Shapes.of_rings(rings))[0].tolist() == [crosses_itself(ring) for ring in rings]


def test_crossing_of_known_rings():
    touching = [(0, 0), (8, 0), (8, 8), (4, 0), (0, 8)]
    twice = [(0, 0), (8, 0), (4, 4), (8, 8), (0, 8), (4, 4)]
    rings = [SQUARE, BOW_TIE, touching, twice, [(5, 5)], [(5, 5), (9, 9)], SQUARE + SQUARE[:1]]
    assert cross_themselves(Shapes.of_rings(rings))[0].tolist() == [False, True, True, True, False, False, False]


def test_crossing_stops_at_the_limit():
    rings = Shapes.of_rings([BOW_TIE] * 10)
    found, pairs = cross_themselves(rings)
    assert found.all()
    assert not cross_themselves(rings, 0)[0].any()
    assert pairs > 10


def test_flat_rings():
    rings = random_rings(np.random.default_rng(1), 1500, side=3, most=6)
    expected = [all(cross(a, b, c) == 0 for a, b, c in combinations(ring, 3)) for ring in rings]
    assert are_flat(Shapes.of_rings(rings)).tolist() == expected


def test_repeats():
    rings = random_rings(np.random.default_rng(2), 1500, side=4, most=7)

    assert have_repeats(Shapes.of_rings(rings)).tolist() == [
        any(
            ring[i] == ring[(i + 1) % len(ring)] or _goes_back(ring[i], ring[(i + 1) % len(ring)], ring[(i + 2) % len(ring)])
            for i in range(len(ring))
        )
        for ring in rings
    ]


def _goes_back(a, b, c):
    return cross(a, b, c) == 0 and (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0


def test_repeated_rings():
    rng = np.random.default_rng(3)
    rings, labels = random_rings(rng, 3000, side=2, most=4), rng.integers(1, 3, 3000)
    keys = [(label, *ring) for label, ring in zip(labels.tolist(), rings, strict=True)]
    expected = [key in keys[:index] for index, key in enumerate(keys)]
    assert are_repeated(Shapes.of_rings(rings), labels).tolist() == expected


def test_nothing():
    assert len(NO_SHAPES) == 0
    for test in (are_flat, have_repeats, lambda shapes: cross_themselves(shapes)[0]):
        assert test(NO_SHAPES).tolist() == []
    assert are_repeated(NO_SHAPES, np.zeros(0, int)).tolist() == []
    assert NO_SHAPES.boxes().shape == (0, 4)
    assert len(Shapes.joined([])) == 0
    with pytest.raises(ValueError, match="without points"):
        Shapes.of_rings([[]])


def test_putting_together_and_taking_apart():
    rings = random_rings(np.random.default_rng(4), 20)
    shapes = Shapes.of_rings(rings)
    assert [list(map(tuple, ring.tolist())) for ring in shapes] == rings
    chosen = np.array([3, 3, 0])
    assert [list(map(tuple, ring.tolist())) for ring in shapes.take(chosen)] == [rings[index] for index in chosen]
    mask = np.arange(20) % 2 == 0
    again = Shapes.joined([shapes.take(mask), NO_SHAPES, shapes.take(~mask)])
    assert [list(map(tuple, ring.tolist())) for ring in again] == rings[::2] + rings[1::2]
    assert shapes.boxes().tolist() == [[*np.min(ring, axis=0).tolist(), *np.max(ring, axis=0).tolist()] for ring in rings]
    boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert np.array_equal(Shapes.of_boxes(boxes).boxes(), boxes)


ring_points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(ring_points)
def test_tidy_rings_are_tidy(ring):
    tidy = tidy_ring(np.array(ring))
    assert set(map(tuple, tidy.tolist())) <= set(ring)
    shapes = Shapes.of_rings([tidy])
    assert not have_repeats(shapes).any() or are_flat(shapes).all()


@given(st.integers(0, 2**32), st.integers(4, 800), st.integers(4, 60))
def test_short_rings_are_subsets_within_the_limit(seed, count, limit):
    ring = np.random.default_rng(seed).integers(0, 50, (count, 2))
    short = shorten_ring(ring, limit)
    assert len(short) <= limit
    if count <= limit:
        assert np.array_equal(short, ring)
    points = iter(map(tuple, ring.tolist()))
    assert all(point in points for point in map(tuple, short.tolist()))  # in order


def test_shortening_keeps_the_form():
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    circle = np.rint(1500 + 1000 * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(int)
    short = shorten_ring(circle, 500)
    assert 100 < len(short) <= 500
    distances = np.hypot(*(short - 1500).T)
    assert np.abs(distances - 1000).max() < 1
