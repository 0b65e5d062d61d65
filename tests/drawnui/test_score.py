"""The drawnUI scores by hand-made truths, the trivial run, and the pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from baselines import score
from baselines.core.findings import Findings
from baselines.core.pictures import STYLES
from baselines.core.statistics import bootstrap_values, percentile_intervals
from baselines.drawnui.records import Prediction, Sample, Truth, TruthSet, read_split
from baselines.drawnui.score import draw, evaluate, trivial_predictions
from baselines.drawnui.task import MAX_DETECTIONS, WIREFRAME_CLASSES

CLASSES = {1: "button", 2: "link", 3: "table"}
BOX, OTHER, FAR = (10.0, 10, 30, 30), (50.0, 50, 90, 70), (0.0, 80, 20, 100)


def truth(name, *boxes, size=(100, 100)):
    return Truth(name, *size, np.array([box for box, _ in boxes]).reshape(-1, 4), np.array([label for _, label in boxes], int))


def prediction(name, *boxes):
    columns = ([each[column] for each in boxes] for column in range(3))
    found, labels, scores = columns
    return Prediction(name, np.array(found).reshape(-1, 4), np.array(labels, int), np.array(scores, float))


@pytest.fixture
def truth_set():
    return TruthSet(
        {"a.jpg": truth("a.jpg", (BOX, 1), (OTHER, 2)), "b.jpg": truth("b.jpg", (BOX, 1)), "c.jpg": truth("c.jpg")}, CLASSES
    )


def perfect(truth_set):
    return {
        name: Prediction(name, truth.boxes, truth.labels, np.linspace(0.9, 0.5, len(truth.labels)))
        for name, truth in truth_set.truths.items()
    }


def test_a_perfect_run(truth_set):
    result = evaluate(truth_set, perfect(truth_set))
    assert result.metrics["map50"] == pytest.approx(1.0, abs=1e-12)
    assert result.metrics["recall50"] == 1.0
    assert result.n == {"expected": 3, "scored": 3, "missing": 0}
    assert list(result.metrics) == ["map50", "recall50", "ap50.button", "ap50.link", "ap50.table"]


def test_one_button_of_two_found(truth_set):
    result = evaluate(truth_set, {"a.jpg": prediction("a.jpg", (BOX, 1, 0.9), (FAR, 3, 0.8))})
    assert result.metrics["ap50.button"] == pytest.approx(51 / 101)
    assert result.metrics["ap50.link"] == 0.0
    assert result.metrics["map50"] == pytest.approx(51 / 202)
    assert result.metrics["recall50"] == 0.25
    assert result.per_class["button"] == {"ap50": pytest.approx(51 / 101), "recall50": 0.5, "truths": 2, "detections": 1}
    assert result.n == {"expected": 3, "scored": 1, "missing": 2}


def test_a_class_without_truth_is_undefined_and_out_of_the_mean(truth_set):
    found = perfect(truth_set) | {"c.jpg": prediction("c.jpg", (BOX, 3, 1.0))}
    result = evaluate(truth_set, found)
    assert result.metrics["map50"] == pytest.approx(1.0, abs=1e-12)
    assert result.metrics["ap50.table"] is None
    assert result.undefined == {"ap50.table": "no box of this class in the truth"}
    assert result.per_class["table"] == {"ap50": None, "recall50": None, "truths": 0, "detections": 1}


def test_without_any_truth_the_scores_are_undefined():
    result = evaluate(TruthSet({"a.jpg": truth("a.jpg")}, {}), {})
    assert result.metrics == {"map50": None, "recall50": None}
    assert result.undefined.keys() == {"map50", "recall50"}
    assert percentile_intervals(bootstrap_values(result.resample, 5, 10, 0)) == {}


def everywhere(truth_set, *boxes):
    return {name: prediction(name, *boxes) for name in truth_set.truths}


ADVERSARIAL = {
    "empty": lambda _: {},
    "no detections": everywhere,
    "one box everywhere": lambda truths: everywhere(truths, (FAR, 1, 1.0), (FAR, 2, 1.0)),
    "the whole image": lambda truths: everywhere(truths, ((0, 0, 100, 100), 1, 1.0), ((0, 0, 100, 100), 2, 1.0)),
    "wrong classes": lambda truths: {
        name: Prediction(name, each.boxes, each.labels % 2 + 1, each.scores) for name, each in perfect(truths).items()
    },
    "the boxes of other images": lambda _: {"c.jpg": prediction("c.jpg", (BOX, 1, 1.0), (OTHER, 2, 1.0))},
}


@pytest.mark.parametrize("run", ADVERSARIAL)
def test_adversarial_runs_score_nothing(run, truth_set):
    result = evaluate(truth_set, ADVERSARIAL[run](truth_set))
    assert result.metrics["map50"] == 0.0
    assert result.metrics["recall50"] == 0.0


def test_duplicates_do_not_raise_the_score(truth_set):
    once = {"a.jpg": prediction("a.jpg", (BOX, 1, 0.9)), "b.jpg": prediction("b.jpg", (BOX, 1, 0.7))}
    twice = once | {"a.jpg": prediction("a.jpg", (BOX, 1, 0.9), (BOX, 1, 0.8))}
    assert evaluate(truth_set, twice).metrics["map50"] < evaluate(truth_set, once).metrics["map50"]


def test_predictions_of_other_images_are_not_looked_at(truth_set):
    found = perfect(truth_set) | {"zzz.jpg": prediction("zzz.jpg", (BOX, 1, 1.0))}
    assert evaluate(truth_set, found).metrics == evaluate(truth_set, perfect(truth_set)).metrics


def test_the_scale_of_an_axis_does_not_matter(truth_set):
    rng = np.random.default_rng(0)
    found = {
        name: Prediction(name, each.boxes + rng.integers(-6, 6, each.boxes.shape), each.labels, each.scores)
        for name, each in perfect(truth_set).items()
    }
    factor = np.array([4.0, 0.25, 4.0, 0.25])
    stretched = TruthSet(
        {name: Truth(name, 400, 25, each.boxes * factor, each.labels) for name, each in truth_set.truths.items()}, CLASSES
    )
    moved = {name: Prediction(name, each.boxes * factor, each.labels, each.scores) for name, each in found.items()}
    assert evaluate(truth_set, found).metrics == evaluate(stretched, moved).metrics


def test_the_set_itself_is_among_the_resamples(truth_set):
    result = evaluate(truth_set, {"a.jpg": prediction("a.jpg", (BOX, 1, 0.9), (OTHER, 2, 0.3))})
    again = result.resample(np.array([[1, 1, 1], [2, 0, 1], [0, 1, 2]]))
    defined = {name: value for name, value in result.metrics.items() if value is not None}
    assert {name: values[0] for name, values in again.items()} == pytest.approx(defined)
    assert again["map50"] == pytest.approx([(51 / 101 + 1) / 2, 1.0, 0.0])
    assert again["ap50.link"][:2] == pytest.approx([1.0, 1.0])
    assert np.isnan(again["ap50.link"][2])  # the third has no image with a link


def page(number, button, *others):
    return truth(f"{number}.jpg", (button, 1), *others)


def test_the_trivial_run_is_what_most_images_have():
    train = TruthSet(
        {
            "0": page(0, (10.0, 10, 30, 30), ((50.0, 50, 90, 70), 2)),
            "1": page(1, (11.0, 10, 30, 30)),
            "2": page(2, (10.0, 11, 30, 30)),
            "3": page(3, (70.0, 10, 90, 30)),
            "4": page(4, (70.0, 11, 90, 30)),
            "5": page(5, (0.0, 90, 5, 95)),
        },
        CLASSES,
    )
    test = TruthSet({"x.jpg": truth("x.jpg", size=(200, 50)), "y.jpg": truth("y.jpg")}, CLASSES)
    found = trivial_predictions(train, test)
    assert found.keys() == {"x.jpg", "y.jpg"}
    np.testing.assert_allclose(found["y.jpg"].scores, [3 / 6, 2 / 6, 1 / 6])
    assert found["y.jpg"].labels.tolist() == [1, 1, 2]
    np.testing.assert_allclose(found["y.jpg"].boxes[2], (50, 50, 90, 70))
    np.testing.assert_allclose(found["x.jpg"].boxes[2], (100, 25, 180, 35))


def test_the_trivial_run_is_a_valid_one_of_any_training_set():
    rng = np.random.default_rng(0)

    def many(name):
        corner = rng.uniform(0, 60, (80, 2))
        return Truth(name, 100, 100, np.hstack([corner, corner + rng.uniform(1, 40, (80, 2))]), rng.integers(1, 22, 80))

    train = TruthSet({str(number): many(str(number)) for number in range(40)}, WIREFRAME_CLASSES)
    (found,) = trivial_predictions(train, TruthSet({"a": truth("a")}, WIREFRAME_CLASSES)).values()
    assert set(found.labels.tolist()) == set(range(1, 22))
    assert len(found.scores) <= MAX_DETECTIONS
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() > 0
    assert found.scores.max() <= 1
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 100


def test_the_trivial_run_of_nothing_is_empty():
    (found,) = trivial_predictions(TruthSet({"a": truth("a")}, {}), TruthSet({"b": truth("b")}, {})).values()
    assert found.boxes.shape == (0, 4)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (300, 400), (120, 120, 120)).save(path)
    boxes = [((30.0 * label, 40, 30 * label + 20, 300), label) for label in (1, 2, 9)]
    return Sample("a.jpg", path, truth("a.jpg", *boxes, size=(300, 400)))


def has_colour(picture, colour):
    return (np.asarray(picture) == colour).all(-1).any()


def test_pictures_show_truth_and_prediction(sample):
    found = prediction("a.jpg", ((30.0, 40, 50, 300), 1, 0.9), ((200.0, 40, 250, 300), 3, 0.31), ((0.0, 0, 300, 400), 4, 0.29))
    picture = draw(sample, found, CLASSES)
    middle = picture.width // 2
    left, right = picture.crop((0, 0, middle, 400)), picture.crop((middle, 0, picture.width, 400))
    for label, in_truth, in_prediction in ((1, True, True), (2, True, False), (3, False, True), (4, False, False)):
        colour = STYLES[label - 1].colour
        assert has_colour(left, colour) == in_truth
        assert has_colour(right, colour) == in_prediction


def test_pictures_of_test_images_have_no_truth(sample):
    without = Sample(sample.id, sample.image, None)
    empty = prediction("a.jpg")
    assert draw(without, empty, CLASSES).width < draw(sample, empty, CLASSES).width


def test_pictures_of_large_pages_are_small(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (4032, 3024)).save(path)
    picture = draw(Sample("a.jpg", path, truth("a.jpg", size=(4032, 3024))), prediction("a.jpg"), CLASSES)
    assert max(picture.size) < 2100


@pytest.mark.data
def test_the_trivial_run_scores_little_on_real_wireframes(data_root):
    train, held_out = (read_split(data_root, "drawnui-wireframe", name, Findings()) for name in ("train", "val"))
    trivial = evaluate(held_out.truth_set, trivial_predictions(train.truth_set, held_out.truth_set))
    assert 0 < trivial.metrics["map50"] < 0.15
    assert evaluate(held_out.truth_set, perfect(held_out.truth_set)).metrics["map50"] == pytest.approx(1.0, abs=1e-12)


def test_an_iou_of_exactly_one_half_survives_the_relative_boxes_of_a_file(tmp_path):
    def page(height):
        note = {"box": [0.1, 0.1, height, 0.2], "detectionClass": 16, "detectionString": "button", "score": 1}
        return [{"file": "a.jpg", "width": 100, "height": 100, "annotations": [note]}]

    paths = tmp_path / "truth.json", tmp_path / "run.json"
    for path, height in zip(paths, (0.2, 0.1), strict=True):
        path.write_text(json.dumps(page(height)))
    assert score("drawnui-wireframe", *paths).metrics["recall50"] == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_files_score_as_in_pycocotools_where_rounding_decides(tmp_path, seed):
    # Boxes of whole pixels, written as shares of the image, whose halves are detected: an IoU of 0.5 but for rounding.
    rng = np.random.default_rng(seed)
    pages, found = [], []
    for number in range(9):
        width, height = rng.integers(200, 4000, 2).tolist()
        boxes = np.hstack([rng.integers(0, 90, (21, 2)), 2 * rng.integers(1, 50, (21, 2))]) / [height, width, height, width]
        halves = boxes * [1, 1, 1, 0.5]
        for records, mine, scores in ((pages, boxes, np.ones(21)), (found, halves, rng.random(21))):
            annotations = [
                {"box": box, "detectionClass": label, "detectionString": WIREFRAME_CLASSES[label], "score": sure}
                for label, (box, sure) in enumerate(zip(mine.tolist(), scores.tolist(), strict=True), start=1)
            ]
            records.append({"file": f"{number}.jpg", "width": width, "height": height, "annotations": annotations})
    for name, records in (("truth.json", pages), ("run.json", found)):
        (tmp_path / name).write_text(json.dumps(records))
    metrics = score("drawnui-wireframe", tmp_path / "truth.json", tmp_path / "run.json").metrics
    expected = coco_precision(pages, found)
    assert 0 < np.mean(expected) < 1
    assert [metrics[f"ap50.{name}"] for name in WIREFRAME_CLASSES.values()] == pytest.approx(expected, abs=1e-9)


def coco_precision(pages, found):
    """Return the average precision at IoU 0.5 of each class, by id, as pycocotools has it for the boxes of two files."""

    def annotations(records):
        for number, page in enumerate(records, start=1):
            for each in page["annotations"]:
                y, x, height, width = each["box"]
                box = [x * page["width"], y * page["height"], width * page["width"], height * page["height"]]
                yield {"image_id": number, "category_id": each["detectionClass"], "bbox": box, "score": each["score"]}

    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(pages) + 1)],
        "annotations": [
            each | {"id": number, "iscrowd": 0, "area": 1} for number, each in enumerate(annotations(pages), start=1)
        ],
        "categories": [{"id": label} for label in WIREFRAME_CLASSES],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(list(annotations(found))), "bbox")
    evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [300]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][0, :, :, 0, 0].mean(0).tolist()
