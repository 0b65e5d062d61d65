"""Average precision and recall: the check values of the spec, and equality with pycocotools on nasty input."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from baselines.core.metrics.detection import (
    RECALL_POINTS,
    DetectionStatistics,
    ImageBoxes,
    _least_hits,
    box_iou,
    match_boxes,
    match_images,
    match_shapes,
    rank_detections,
)

BOX = (10, 10, 20, 20)  # x, y, width, height
FAR = (500, 500, 20, 20)


def corners(boxes):
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def areas(boxes):
    return np.array(boxes, dtype=float).reshape(-1, 4)[:, 2:].prod(axis=1)


def statistics(images, **options):
    """Match images given as ``{id: (truths, truth labels, boxes, labels, scores)}``, boxes as x, y, width, height."""
    matches = match_images(
        [
            ImageBoxes(corners(truths), truth_labels, corners(boxes), labels, scores, areas(truths), areas(boxes))
            for truths, truth_labels, boxes, labels, scores in images.values()
        ],
        **options,
    )
    return DetectionStatistics(dict(zip(images, matches, strict=True)))


def one_class(*images):
    """Turn ``(truths, [(box, score), …])`` into images of class 1."""
    return {
        f"{number:03d}": (truths, [1] * len(truths), [box for box, _ in found], [1] * len(found), [score for _, score in found])
        for number, (truths, found) in enumerate(images)
    }


CHECK_VALUES = {
    "one image, one hit": (one_class(([BOX], [(BOX, 0.9)])), {}, 1.0, 1.0, 1.0),
    "one of two images found": (one_class(([BOX], [(BOX, 0.9)]), ([BOX], [])), {}, 51 / 101, 0.5, 51 / 101),
    "equal scores, miss first": (one_class(([BOX], [(FAR, 0.9), (BOX, 0.9)])), {}, 0.5, 1.0, 0.5),
    "equal scores, hit first": (one_class(([BOX], [(BOX, 0.9), (FAR, 0.9)])), {}, 1.0, 1.0, 1.0),
    "the hit is the 151st, 100 count": (one_class(([BOX], [(FAR, 0.9)] * 150 + [(BOX, 0.1)])), {"limit": 100}, 0, 0, 0),
    "the hit is the 151st, 300 count": (one_class(([BOX], [(FAR, 0.9)] * 150 + [(BOX, 0.1)])), {}, 1 / 151, 1.0, 1 / 151),
    "IoU exactly 0.5": (one_class(([BOX], [((10, 10, 20, 10), 0.9)])), {}, 1.0, 1.0, 1.0),
    "IoU 1/3": (one_class(([BOX], [((20, 10, 20, 20), 0.9)])), {}, 0.0, 0.0, 1.0),
    "a duplicate behind the hit": (one_class(([BOX], [(BOX, 0.9), (BOX, 0.8)])), {}, 1.0, 1.0, 1.0),
    "a duplicate before another hit": (
        one_class(([BOX], [(BOX, 0.9), (BOX, 0.8)]), ([BOX], [(BOX, 0.7)])),
        {},
        0.834983,
        1.0,
        0.834983,
    ),
}


@pytest.mark.parametrize("case", CHECK_VALUES)
def test_check_values_of_the_spec(case):
    images, options, average_precision, recall, without_localisation = CHECK_VALUES[case]
    ap, found = statistics(images, **options).evaluate()
    assert ap.item() == pytest.approx(average_precision, abs=1e-6)
    assert found.item() == pytest.approx(recall, abs=1e-12)
    ap, _ = statistics(images, threshold=0.0, **options).evaluate()
    assert ap.item() == pytest.approx(without_localisation, abs=1e-6)


def coco_reference(images, limit=300):
    """Return AP and recall at IoU 0.5 of every class with truths, by id, as pycocotools computes them."""
    numbers = {name: number for number, name in enumerate(sorted(images), start=1)}
    annotations, results = [], []
    for name, (truths, truth_labels, boxes, labels, scores) in images.items():
        for box, label in zip(truths, truth_labels, strict=True):
            area = float(box[2]) * float(box[3])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[name],
                    "category_id": int(label),
                    "bbox": [float(side) for side in box],
                    "area": area,
                    "iscrowd": 0,
                }
            )
        results += [
            {"image_id": numbers[name], "category_id": int(label), "bbox": [float(side) for side in box], "score": float(score)}
            for box, label, score in zip(boxes, labels, scores, strict=True)
        ]
    classes = sorted({annotation["category_id"] for annotation in annotations})
    if not results:  # pycocotools refuses an empty run; the score is 0
        return dict.fromkeys(classes, (0.0, 0.0))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": number} for number in numbers.values()],
            "annotations": annotations,
            "categories": [{"id": label} for label in classes],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.maxDets = [limit]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return {label: (precision[0, :, k, 0, 0].mean(), recall[0, k, 0, 0]) for k, label in enumerate(classes)}


def assert_equals_pycocotools(images, limit=300):
    mine = statistics(images, limit=limit)
    expected = coco_reference(images, limit)
    assert mine.classes.tolist() == list(expected)
    ap, recall = mine.evaluate()
    np.testing.assert_allclose(np.column_stack([ap[0], recall[0]]).reshape(-1, 2), [*expected.values()], rtol=0, atol=1e-9)


def nasty(rng):
    """Draw a small set on a coarse grid, so that IoUs of exactly 0.5, equal IoUs, equal scores and empty boxes are common."""
    images = {}
    grid = rng.choice([1, 2, 4])
    classes = rng.integers(1, 4)
    for number in rng.permutation(rng.integers(1, 7)):
        truths, found = rng.integers(0, 6), rng.integers(0, 12)

        def boxes(count):
            sides = np.hstack([rng.integers(0, 4, (count, 2)), rng.integers(0 if rng.random() < 0.3 else 1, 4, (count, 2))])
            return sides * grid / rng.choice([1.0, 1.0, 8.0])

        scores = rng.integers(0, 4, found) / 3 if rng.random() < 0.7 else rng.random(found)
        labels = rng.integers(1, classes + 2, found)  # one class may be absent from the truth
        images[f"image{number}"] = (boxes(truths), rng.integers(1, classes + 1, truths), boxes(found), labels, scores)
    if not any(len(image[0]) for image in images.values()):
        images["zz"] = ([BOX], [1], [], [], [])
    return images


def realistic(rng):
    """Draw a larger set whose detections lie around the truths."""
    images = {}
    for number in range(rng.integers(5, 30)):
        count = rng.integers(1, 15)
        truths = np.hstack([rng.uniform(0, 500, (count, 2)), rng.uniform(5, 150, (count, 2))])
        labels = rng.integers(1, 6, count)
        chosen = rng.integers(0, count, rng.integers(0, 40))
        boxes = truths[chosen] + rng.normal(0, 4, (len(chosen), 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
        found = np.where(rng.random(len(chosen)) < 0.9, labels[chosen], rng.integers(1, 8, len(chosen)))
        images[f"{number}.jpg"] = (truths, labels, boxes, found, rng.random(len(chosen)).round(2))
    return images


@pytest.mark.parametrize("seed", range(200))
def test_equals_pycocotools_on_nasty_input(seed):
    rng = np.random.default_rng(seed)
    assert_equals_pycocotools(nasty(rng), limit=int(rng.choice([300, 3])))


def halves(rng, scale):
    """Draw images whose boxes, scaled like those of a file, are halves of truths: an IoU of exactly 0.5 but for rounding."""
    images = {}
    for number in range(20):
        truths = np.hstack([rng.integers(0, 90, (9, 2)), 2 * rng.integers(1, 60, (9, 2))]).astype(float)
        boxes = truths.copy()
        boxes[:, 2] /= 2
        boxes[::2, 0] += boxes[::2, 2]
        size = rng.integers(200, 4000, 2)
        labels = np.arange(9)
        images[f"{number}"] = (scale(truths, size), labels, scale(boxes, size), labels, rng.random(9))
    return images


SCALES = {
    "pixels": lambda boxes, _: boxes,
    "tenths": lambda boxes, _: boxes / 10,
    "sums of tenths": lambda boxes, _: boxes * (0.1 + 0.2),
    "relative to the image and back": lambda boxes, size: boxes / np.tile(size, 2) * np.tile(size, 2),
}


@pytest.mark.parametrize("scale", SCALES)
def test_equals_pycocotools_where_rounding_decides(scale):
    for seed in range(5):
        assert_equals_pycocotools(halves(np.random.default_rng(seed), SCALES[scale]))


def test_areas_as_the_file_has_them_decide():
    images = halves(np.random.default_rng(0), SCALES["relative to the image and back"])
    by_corners = match_images([ImageBoxes(corners(t), tl, corners(b), bl, s) for t, tl, b, bl, s in images.values()])
    by_sides = match_images(
        [ImageBoxes(corners(t), tl, corners(b), bl, s, areas(t), areas(b)) for t, tl, b, bl, s in images.values()]
    )
    assert any((one.hits != other.hits).any() for one, other in zip(by_corners, by_sides, strict=True))


def test_images_are_matched_each_by_itself(monkeypatch):
    rng = np.random.default_rng(7)
    images = [
        ImageBoxes(corners(truths), np.array(labels) - 2, corners(boxes), found - 2, scores)
        for each in (nasty(rng) for _ in range(30))
        for truths, labels, boxes, found, scores in each.values()
        if len(scores)
    ]
    together = match_images(images)
    monkeypatch.setattr("baselines.core.metrics.detection.BLOCK", 5)
    for image, matches in zip(images, together, strict=True):
        for one in (match_images([image])[0], match_boxes(*image[:5])):
            for field in ("labels", "scores", "hits", "truth_labels"):
                np.testing.assert_array_equal(getattr(one, field), getattr(matches, field))
    assert match_images([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_equals_pycocotools_on_realistic_input(seed):
    assert_equals_pycocotools(realistic(np.random.default_rng(seed)))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_equals_pycocotools_on_thousands_of_inputs(block):
    for seed in range(300):
        rng = np.random.default_rng((block, seed))
        assert_equals_pycocotools(nasty(rng), limit=int(rng.choice([300, 3])))
        if seed % 10 == 0:
            assert_equals_pycocotools(realistic(rng))


def test_equals_pycocotools_on_more_than_300_detections():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 50, 700) / 50
    boxes = np.hstack([rng.integers(0, 20, (700, 2)), np.full((700, 2), 4)])
    assert_equals_pycocotools(
        {
            "a": (boxes[:40], [1, 2] * 20, boxes, [1] * 650 + [2] * 50, scores),
            "b": (boxes[:5], [1] * 5, boxes[:10], [1] * 10, scores[:10]),
        }
    )


def test_recall_reaches_a_point_as_doubles_compare():
    for truths in (*range(1, 400), 9_999, 123_457):
        hits = np.arange(truths + 1)
        expected = np.searchsorted(hits / truths, RECALL_POINTS)
        assert np.array_equal(_least_hits(np.array([float(truths)]))[0], expected)


def test_the_limit_is_per_class():
    images = {"a": ([BOX, BOX], [1, 2], [FAR] * 300 + [BOX], [1] * 300 + [2], [0.9] * 300 + [0.1])}
    ap, _ = statistics(images).evaluate()
    assert ap[0] == pytest.approx([0.0, 1.0])


def test_of_equal_overlaps_the_later_truth_is_taken():
    left, right, both = (0, 0, 10, 10), (10, 0, 10, 10), (0, 0, 20, 10)
    # The wide box takes the later of its two halves; the second detection fits the other half only if that is free.
    for truths, second, recall in (
        ([left, right], left, 1.0),
        ([left, right], right, 0.5),
        ([right, left], right, 1.0),
        ([right, left], left, 0.5),
    ):
        images = one_class((truths, [(both, 0.9), (second, 0.8)]))
        assert statistics(images).evaluate()[1].item() == recall
        assert_equals_pycocotools(images)


def test_a_detection_that_finds_its_best_truth_taken_takes_the_next_best():
    ious = np.array([[0.9, 0.6], [0.8, 0.7], [0.7, 0.9]])
    (matches,) = match_shapes(lambda mine, theirs: ious[mine, theirs], [1, 1], [1, 1, 1], [0.9, 0.8, 0.7])
    assert matches.hits.tolist() == [True, True, False]


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_boxes_without_area_never_match(threshold):
    for empty in ((10, 10, 0, 20), (10, 10, 20, 0), (10, 10, 0, 0)):
        for truth, found in ((empty, empty), (BOX, empty), (empty, BOX)):
            _, recall = statistics(one_class(([truth], [(found, 0.9)])), threshold=threshold).evaluate()
            assert recall.item() == 0.0


def test_a_threshold_of_one_asks_for_equal_boxes():
    images = one_class(([BOX, FAR], [(BOX, 0.9), ((500, 500, 20, 21), 0.8)]))
    assert statistics(images, threshold=1.0).evaluate()[1].item() == 0.5


def test_box_iou_is_symmetric_and_bounded():
    rng = np.random.default_rng(0)
    boxes = corners(np.hstack([rng.normal(0, 50, (60, 2)), rng.exponential(30, (60, 2))]))
    ious = box_iou(boxes, boxes)
    assert np.array_equal(ious, ious.T)
    assert np.array_equal(np.diag(ious), np.ones(60))
    assert ious.min() >= 0
    assert box_iou(np.empty((0, 4)), boxes).shape == (0, 60)


def test_ranking_keeps_the_order_of_equal_scores():
    assert rank_detections([1, 1, 1, 1], [0.2, 0.5, 0.2, 0.5]).tolist() == [1, 3, 0, 2]


def test_classes_without_truth_cost_nothing_and_are_counted():
    images = {"a": ([BOX], [1], [BOX, FAR, FAR], [1, 7, 7], [0.5, 0.9, 0.9])}
    found = statistics(images)
    assert found.classes.tolist() == [1]
    assert found.detections == {1: 1, 7: 2}
    assert found.evaluate()[0].item() == pytest.approx(1.0)


def test_a_set_without_truths_has_no_classes():
    assert statistics({"a": ([], [], [BOX], [1], [0.5])}).evaluate()[0].shape == (1, 0)
    assert statistics({}).evaluate()[0].shape == (1, 0)


def test_neither_the_order_of_images_nor_that_of_detections_matters():
    rng = np.random.default_rng(1)
    images = realistic(rng)
    images = {name: (*image[:4], rng.random(len(image[4]))) for name, image in images.items()}  # without ties
    shuffled = {}
    for name in rng.permutation(list(images)):
        truths, truth_labels, boxes, labels, scores = images[name]
        order, truth_order = rng.permutation(len(scores)), rng.permutation(len(truths))
        shuffled[name] = (truths[truth_order], truth_labels[truth_order], boxes[order], labels[order], scores[order])
    for before, after in zip(statistics(images).evaluate(), statistics(shuffled).evaluate(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_ties_across_images_rank_by_id():
    hit, miss = ([BOX], [1], [BOX], [1], [0.5]), ([], [], [FAR], [1], [0.5])
    assert statistics({"b": miss, "a": hit}).evaluate()[0].item() == pytest.approx(1.0)
    assert statistics({"a": miss, "b": hit}).evaluate()[0].item() == pytest.approx(0.5)
    assert statistics({"10": hit, "9": miss}).evaluate()[0].item() == pytest.approx(1.0)  # by code point, not by number


@pytest.mark.parametrize("seed", range(30))
def test_a_resample_equals_the_set_with_its_images_repeated(seed):
    rng = np.random.default_rng(seed)
    images = realistic(rng)
    images = {name: (*image[:4], rng.random(len(image[4]))) for name, image in images.items()}  # no ties within an image
    original = statistics(images)
    weights = rng.integers(0, 4, (3, len(images)))
    ap, recall = original.evaluate(weights)
    for row, counts in enumerate(weights):
        repeated = {
            f"{name}#{copy}": images[name] for name, count in zip(original.ids, counts, strict=True) for copy in range(count)
        }
        expected = statistics(repeated)
        columns = np.searchsorted(original.classes, expected.classes)
        absent = np.setdiff1d(np.arange(len(original.classes)), columns)
        for mine, theirs in zip((ap[row], recall[row]), expected.evaluate(), strict=True):
            np.testing.assert_allclose(mine[columns], theirs[0], rtol=0, atol=1e-12)
            assert np.isnan(mine[absent]).all()


def test_many_resamples_are_evaluated_block_by_block_with_the_same_result(monkeypatch):
    original = statistics(realistic(np.random.default_rng(3)))
    weights = np.random.default_rng(4).integers(0, 3, (50, len(original.ids)))
    whole = original.evaluate(weights)
    monkeypatch.setattr("baselines.core.metrics.detection.BLOCK", 7)
    for before, after in zip(whole, original.evaluate(weights), strict=True):
        np.testing.assert_array_equal(before, after)
