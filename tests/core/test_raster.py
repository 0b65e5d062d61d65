"""The fill rule: the pixel counts of the spec, equality with OpenCV, masks against pycocotools, and hostile rings."""

import time
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco

from baselines.core.metrics import raster
from baselines.core.metrics.raster import Masks, compare_classes, edge_rows, mask_iou, rasterise, rasterise_classes

IMAGE = (4032, 3024)
SQUARE = [(100, 100), (199, 100), (199, 199), (100, 199)]
SHIFTED = [(x + 50, y) for x, y in SQUARE]


def fill(*rings, planes=None, count=None, size=IMAGE):
    """Fill rings, all in one plane unless said otherwise."""
    points = np.concatenate([np.zeros((0, 2), int), *(np.array(ring).reshape(-1, 2) for ring in rings)])
    planes = [0] * len(rings) if planes is None else planes
    count = max(planes, default=0) + 1 if count is None else count
    return rasterise(points, np.cumsum([0, *map(len, rings)]), planes, count, size)


def bitmap(masks, plane, size):
    picture = np.zeros(size[0] * size[1], np.uint8)
    picture[masks.pixels(plane)] = 1
    return picture.reshape(size[1], size[0])


@pytest.mark.parametrize(
    ("rings", "pixels"),
    [
        ([SQUARE], 10_000),
        ([[(300, 300), (399, 300), (300, 399)]], 5_050),
        ([[(10, 10), (30, 20), (20, 40), (5, 30)]], 466),
        ([[(10, 10), (40, 10), (10, 40)]], 496),
        ([[(10, 10), (40, 40), (40, 10), (10, 40)]], 511),
        ([[(5, 5), (15, 8)]], 11),
        ([[(5, 5)]], 1),
        ([SQUARE, SQUARE], 396),
        ([SQUARE, SHIFTED], 10_296),
    ],
)
def test_pixel_counts_of_the_spec(rings, pixels):
    masks = fill(*rings)
    assert masks.areas.tolist() == [pixels]
    assert len(masks.pixels(0)) == pixels


def random_rings(rng, size, most=5, points=9):
    return [
        np.stack([rng.integers(0, size[0], count), rng.integers(0, size[1], count)], 1)
        for count in rng.integers(1, points, rng.integers(1, most))
    ]


def blob(rng, size, count):
    """A ring such as annotators draw: around a centre, with some noise."""
    centre, radius = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.02, 0.3) * min(size)
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    ring = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * (radius * rng.uniform(0.6, 1.2, (count, 1)))
    return np.clip(np.rint(ring), 0, np.array(size) - 1).astype(int)


def assert_equals_opencv(rings, size):
    cv2 = pytest.importorskip("cv2")
    expected = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(expected, [np.asarray(ring, np.int32).reshape(-1, 1, 2) for ring in rings], 1)
    assert np.array_equal(bitmap(fill(*rings, size=size), 0, size), expected), rings


@pytest.mark.parametrize("block", [1 << 20, 30])
def test_equals_opencv_on_small_images(block, monkeypatch):
    monkeypatch.setattr(raster, "BLOCK", block)
    rng = np.random.default_rng(block)
    for _ in range(400):
        size = tuple(rng.integers(1, 60, 2).tolist())
        assert_equals_opencv(random_rings(rng, size), size)


@pytest.mark.slow
def test_equals_opencv_on_thousands_of_images():
    rng = np.random.default_rng(1)
    for _ in range(5000):
        size = tuple(rng.integers(1, 100, 2).tolist())
        assert_equals_opencv(random_rings(rng, size, points=30), size)


def test_equals_opencv_at_full_size():
    rng = np.random.default_rng(2)
    for _ in range(4):
        assert_equals_opencv([blob(rng, IMAGE, rng.integers(3, 200)) for _ in range(10)], IMAGE)
        assert_equals_opencv(random_rings(rng, IMAGE, points=50), IMAGE)


def test_every_plane_is_filled_by_itself(monkeypatch):
    rng = np.random.default_rng(3)
    for block in (1 << 20, 100, 7):
        monkeypatch.setattr(raster, "BLOCK", block)
        size = (40, 30)
        rings = random_rings(rng, size, most=30)
        planes = rng.integers(0, 9, len(rings)).tolist()
        masks = fill(*rings, planes=planes, count=12, size=size)
        assert len(masks) == 12
        for plane in range(12):
            alone = fill(*(ring for ring, its in zip(rings, planes, strict=True) if its == plane), size=size)
            assert np.array_equal(masks.pixels(plane), alone.pixels(0))


def test_planes_that_touch_stay_apart():
    whole = [(0, 0), (9, 0), (9, 4), (0, 4)]
    masks = fill(whole, whole, whole, planes=[0, 1, 2], size=(10, 5))
    assert masks.areas.tolist() == [50, 50, 50]
    assert masks.starts.tolist() == [0, 0, 0]


def test_runs_are_in_order_and_apart():
    rng = np.random.default_rng(4)
    for _ in range(100):
        masks = fill(*random_rings(rng, (30, 30)), size=(30, 30))
        assert (masks.starts < masks.ends).all()
        assert (masks.ends[:-1] < masks.starts[1:]).all()


def test_nothing():
    masks = fill(count=3)
    assert masks.areas.tolist() == [0, 0, 0]
    assert fill([], SQUARE, []).areas.tolist() == [10_000]
    assert mask_iou(masks, masks, [0, 1], [2, 1]).tolist() == [0.0, 0.0]
    assert mask_iou(masks, masks, [], []).tolist() == []


def test_pixels_outside_the_image_do_not_count():
    assert fill([(-50, -50), (5000, -50), (5000, 4000), (-50, 4000)]).areas.tolist() == [4032 * 3024]
    assert fill([(4000, 10), (4041, 10), (4041, 19), (4000, 19)]).areas.tolist() == [32 * 10]
    for outside in ((-9, -9), (4032, 5), (5, 3024), (-1, 5)):
        assert fill([outside]).areas.tolist() == [0]
    large = [(x + 30, y + 20) for x, y in [(-60, -3), (3, 50), (40, 2), (90, 70)]]
    inner = bitmap(fill(large, size=(200, 200)), 0, (200, 200))[20:60, 30:80]
    moved = [(x - 30, y - 20) for x, y in large]
    assert np.array_equal(bitmap(fill(moved, size=(50, 40)), 0, (50, 40))[:, :], inner)


def test_hostile_coordinates_cost_no_more_than_the_image():
    far = raster.MAX_COORDINATE
    rng = np.random.default_rng(5)
    rings = [rng.integers(-far, far + 1, (500, 2)) for _ in range(20)]
    tracemalloc.start()
    started = time.process_time()
    areas = fill(*rings).areas
    assert time.process_time() - started < 60
    assert tracemalloc.get_traced_memory()[1] < 400 * 2**20
    tracemalloc.stop()
    assert 0 <= areas[0] <= IMAGE[0] * IMAGE[1]


@pytest.mark.parametrize("point", [(1 << 25, 0), (0, -(1 << 25))])
def test_too_large_numbers_are_refused(point):
    with pytest.raises(ValueError, match="coordinate"):
        fill([point])
    with pytest.raises(ValueError, match="image"):
        fill(SQUARE, size=(1 << 17, 5))
    with pytest.raises(ValueError, match="image"):
        fill(SQUARE, size=(0, 5))


@pytest.mark.parametrize("seed", range(60))
def test_mask_iou_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 80, 2).tolist())
    left, right = random_rings(rng, size, most=9), random_rings(rng, size, most=9)
    masks = [fill(*rings, planes=list(range(len(rings))), size=size) for rings in (left, right)]
    encoded = [[coco.encode(np.asfortranarray(bitmap(each, plane, size))) for plane in range(len(each))] for each in masks]
    expected = coco.iou(*encoded, [0] * len(right))
    pairs = np.nonzero(rng.random(expected.shape) < 0.8)
    np.testing.assert_allclose(mask_iou(*masks, *pairs), expected[pairs], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_compare_classes_equals_bitmaps(seed):
    rng = np.random.default_rng(seed)
    size, classes = (40, 30), int(rng.integers(1, 14))
    pictures, masks = [], []
    for _ in range(2):
        rings = random_rings(rng, size, most=9)
        planes = rng.integers(0, classes, len(rings)).tolist()
        masks.append(fill(*rings, planes=planes, count=classes, size=size))
        picture = np.full((30, 40), -1)
        for plane in range(classes):
            picture[bitmap(masks[-1], plane, size) > 0] = plane
        pictures.append(picture)
    shared, either = compare_classes(*masks)
    for plane in range(classes):
        truth, run = (picture == plane for picture in pictures)
        assert shared[plane] == (truth & run).sum()
        assert either[plane] == (truth | run).sum()


@pytest.mark.parametrize("seed", range(60))
def test_rings_and_classes_are_what_filling_them_twice_gives(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    if seed % 2:
        monkeypatch.setattr(raster, "BLOCK", 7)
    size = (40, 30)
    rings = random_rings(rng, size, most=15, points=6)
    rings = [ring // int(rng.integers(1, 5)) for ring in rings]
    points, offsets = np.concatenate(rings), np.cumsum([0, *map(len, rings)])
    classes = rng.integers(0, 4, len(rings))
    each, together = rasterise_classes(points, offsets, classes, 5, size)
    for masks, planes, count in ((each, np.arange(len(rings)), len(rings)), (together, classes, 5)):
        expected = rasterise(points, offsets, planes, count, size)
        for field in ("starts", "ends", "offsets"):
            assert np.array_equal(getattr(masks, field), getattr(expected, field))


def test_rings_that_meet_nothing_are_filled_once(monkeypatch):
    filled = []
    monkeypatch.setattr(raster, "rasterise", lambda *args: filled.append(len(args[2])) or rasterise(*args))
    far = [(x + 900, y) for x, y in SQUARE]
    points, offsets = np.concatenate([SQUARE, far, SQUARE, SHIFTED]), np.arange(0, 17, 4)
    raster.rasterise_classes(points, offsets, np.array([0, 0, 1, 2]), 3, IMAGE)
    raster.rasterise_classes(points, offsets, np.array([0, 0, 0, 0]), 3, IMAGE)
    assert filled == [4, 0, 4, 3]


def test_edge_rows_are_what_filling_works_on():
    rng = np.random.default_rng(6)
    rings = random_rings(rng, (50, 50), most=20)
    points, offsets = np.concatenate(rings), np.cumsum([0, *map(len, rings)])
    expected = sum(abs(int(a[1]) - int(b[1])) + 1 for ring in rings for a, b in zip(ring, np.roll(ring, -1, 0), strict=True))
    assert edge_rows(points, offsets) == expected
    assert edge_rows([], [0]) == 0


def test_compare_classes_allows_many_classes():
    last = fill(SQUARE, planes=[30], count=31)
    shared, either = compare_classes(last, last)
    assert shared.tolist() == either.tolist() == [0] * 30 + [10_000]


def test_taking_masks():
    masks = fill(SQUARE, [(5, 5)], SHIFTED, planes=[0, 1, 2])
    taken = masks.take(np.array([2, 0]))
    assert taken.areas.tolist() == [10_000, 10_000]
    assert np.array_equal(taken.pixels(0), masks.pixels(2))
    assert isinstance(taken, Masks)
