"""The coral scores: the spec's table, a plain reference on random sets, runs that must not score well, and speed."""

import dataclasses
import importlib.util
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import baselines
from baselines.coral.records import Prediction, Truth, TruthSet, read_truth, truths_of_ids, write_truth
from baselines.coral.runs import read_run, write_run
from baselines.coral.score import evaluate, trivial_predictions
from baselines.coral.shapes import NO_SHAPES, Shapes
from baselines.coral.task import SUBSTRATES
from baselines.core.findings import Findings, InvalidInput
from baselines.core.statistics import draw_resamples
from baselines.core.tasks import get_task

BOXES, POLYGONS = "coral-annotation", "coral-parsing"
NOTHING = np.zeros(0, np.int64)

SQUARE = "100+100+199+100+199+199+100+199"
SHIFTED = "150+100+249+100+249+199+150+199"
TRIANGLE = "300+300+399+300+300+399"


def truth_lines(*objects):
    return "".join(f"{name} 0 {substrate} 1 {ring.replace('+', ' ')}\n" for name, substrate, ring in objects)


IMG = ("img", "c_sponge", SQUARE)


@pytest.fixture
def score(tmp_path):
    """Score texts of a truth and a run; what the validator refuses is scored all the same if asked for."""

    def write_and_score(truth, run, task=POLYGONS, *, force=False, **options):
        files = tmp_path / "truth.txt", tmp_path / "run.txt"
        for path, content in zip(files, (truth, run), strict=True):
            path.write_bytes(content.encode())
        if not force:
            return baselines.score(task, *files, **options).metrics
        findings = Findings()
        truth_set = read_truth(files[0], task, findings)
        return evaluate(truth_set, read_run(files[1], truth_set, findings)).metrics

    return write_and_score


# Truth, run, iou.overall; the Project column of the table in M7.
TABLE = {
    "same square": (truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE}\n", 1.0),
    "same square twice in the class": (truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE},0.4:{SQUARE}\n", 0.0396),
    "square and square shifted, same class": (truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE},0.4:{SHIFTED}\n", 0.353067),
    "as c_sponge and as c_soft_coral": (truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE};c_soft_coral 0.9:{SQUARE}\n", 1.0),
    "the same; truth is c_soft_coral": (
        truth_lines(("img", "c_soft_coral", SQUARE)),
        f"img;c_sponge 0.5:{SQUARE};c_soft_coral 0.9:{SQUARE}\n",
        0.0,
    ),
    "another class beside it": (truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE};c_soft_coral 0.9:{TRIANGLE}\n", 0.664452),
    "truth with CRLF": (truth_lines(IMG).replace("\n", "\r\n"), f"img;c_sponge 0.5:{SQUARE}\n", 1.0),
    "only at x >= 3024": (
        truth_lines(("img", "c_sponge", "3100+100+3199+100+3199+199+3100+199")),
        "img;c_sponge 0.5:3100+100+3199+100+3199+199+3100+199\n",
        1.0,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_table_of_the_spec(score, case):
    truth, run, overall = TABLE[case]
    assert score(truth, run)["iou.overall"] == pytest.approx(overall, abs=1e-6)


def test_a_box_found_exactly(score):
    metrics = score("img 0 c_sponge 1 100 100 199 199\n", "img;c_sponge 0.5:99x99+100+100\n", BOXES)
    assert metrics["iou.overall"] == metrics["iou.c_sponge"] == 1.0
    assert metrics["map50"] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_every_output_says_whose_reading_map0_is(task):
    assert any("map0" in line and "our reading" in line for line in evaluate(truths_of_ids(["a"], task), {}).warnings)


def test_a_truth_image_that_the_run_lacks(score):
    truth = truth_lines(IMG, ("other", "c_sponge", SQUARE))
    metrics = score(truth, f"img;c_sponge 0.5:{SQUARE}\n", allow_missing=True)
    assert metrics["iou.overall"] == 0.5
    with pytest.raises(InvalidInput, match="RUN-MISSING-ID"):
        score(truth, f"img;c_sponge 0.5:{SQUARE}\n")


INVALID = {
    "extra image": (f"img;c_sponge 0.5:{SQUARE}\nextra;c_sponge 0.5:{SQUARE}\n", "RUN-UNKNOWN-ID", 1.0),
    "last line without newline": (f"img;c_sponge 0.5:{SQUARE}", "RUN-NO-FINAL-NEWLINE", 1.0),
    "trailing semicolon": (f"img;c_sponge 0.5:{SQUARE};\n", "RUN-TRAILING-SEPARATOR", 1.0),
    "id and semicolon": ("img;\n", "RUN-TRAILING-SEPARATOR", 0.0),
    "id alone": ("img\n", "RUN-NO-DETECTION", 0.0),
    "no confidence": (f"img;c_sponge {SQUARE}\n", "RUN-NO-CONFIDENCE", 0.0),
    "decimals": (f"img;c_sponge 0.5:{SQUARE}.5\n", "RUN-NOT-INTEGER", 0.0),
    "the id twice": (f"img;c_sponge 0.5:{SQUARE}\nimg;c_soft_coral 0.5:{TRIANGLE}\n", "RUN-DUPLICATE-ID", 1.0),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_the_validator_refuses(score, case):
    run, code, overall = INVALID[case]
    with pytest.raises(InvalidInput, match=code):
        score(truth_lines(IMG), run)
    assert score(truth_lines(IMG), run, force=True)["iou.overall"] == overall


def test_names_are_those_of_the_card(score):
    names = list(score(truth_lines(IMG), f"img;c_sponge 0.5:{SQUARE}\n"))
    card = get_task(POLYGONS)
    assert names[: len(card.metrics)] == [metric.name for metric in card.metrics]
    assert names[len(card.metrics) :] == [f"{group}.{name}" for group in ("iou", "ap50") for name in SUBSTRATES.values()]


# ---------------------------------------------------------------------------------------------------------- references


def square(x, y, side):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def random_ring(rng, size):
    if rng.random() < 0.5:
        return square(*rng.integers(0, 30, 2).tolist(), int(rng.integers(1, 20)))
    while True:
        ring = rng.integers(0, size, (rng.integers(3, 8), 2))
        if len(np.unique(ring[:, 0])) > 1 and len(np.unique(ring[:, 1])) > 1:
            return ring


def random_pair(rng, size=(50, 50), images=4, classes=3):
    truths, found = {}, {}
    for image in rng.permutation(images).tolist():
        name = f"im{image}"
        rings = [random_ring(rng, size) for _ in range(rng.integers(0, 5))]
        truths[name] = Truth(
            name, *size, Shapes.of_rings(rings), rng.integers(1, classes + 1, len(rings)), np.arange(len(rings))
        )
        guesses = [*rings[: rng.integers(0, 5)], *(random_ring(rng, size) for _ in range(rng.integers(0, 6)))]
        if rng.random() < 0.8:
            scores = rng.integers(0, 5, len(guesses)) / 4
            found[name] = Prediction(name, Shapes.of_rings(guesses), rng.integers(1, classes + 2, len(guesses)), scores)
    return truths, found


def fill(rings, size):
    cv2 = pytest.importorskip("cv2")
    picture = np.zeros((size[1], size[0]), np.uint8)
    if rings:
        cv2.fillPoly(picture, [np.asarray(ring, np.int32).reshape(-1, 1, 2) for ring in rings], 1)
    return picture


def pixel_reference(truths, found, size):
    """The pixel IoU as M7 counts it, on bitmaps of OpenCV."""
    totals = np.zeros((14, 2))
    for name, truth in truths.items():
        pictures = []
        nothing = Prediction(name, NO_SHAPES, NOTHING, NOTHING)
        for shapes, labels in ((each.shapes, each.labels) for each in (truth, found.get(name, nothing))):
            picture = np.zeros((size[1], size[0]), int)
            for label in range(1, 14):
                rings = [ring for ring, its in zip(shapes, labels.tolist(), strict=True) if its == label]
                picture[fill(rings, size) > 0] = label
            pictures.append(picture)
        for label in range(1, 14):
            truth_is, run_is = (picture == label for picture in pictures)
            totals[label] += (truth_is & run_is).sum(), (truth_is | run_is).sum()
    return totals


def mask_reference(truths, found, size):
    """AP at IoU 0.5 of masks, as pycocotools computes it from bitmaps; by substrate index."""
    import contextlib
    import io

    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def encode(ring):
        encoded = coco_mask.encode(np.asfortranarray(fill([ring], size)))
        return encoded | {"counts": encoded["counts"].decode()}

    numbers = {name: number for number, name in enumerate(sorted(truths), start=1)}
    annotations, results = [], []
    for name, truth in truths.items():
        for ring, label in zip(truth.shapes, truth.labels.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[name],
                    "category_id": label,
                    "segmentation": encode(ring),
                    "area": 1,
                    "iscrowd": 0,
                }
            )
        if name in found:
            results += [
                {"image_id": numbers[name], "category_id": label, "segmentation": encode(ring), "score": score}
                for ring, label, score in zip(
                    found[name].shapes, found[name].labels.tolist(), found[name].scores.tolist(), strict=True
                )
            ]
    if not annotations or not results:
        return {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": number, "width": size[0], "height": size[1]} for number in numbers.values()],
            "annotations": annotations,
            "categories": [{"id": label} for label in range(1, 14)],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [300]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 0].mean(0)
    return {label: value for label, value in enumerate(precision, start=1) if value >= 0}


@pytest.mark.parametrize("seed", range(60))
def test_equals_opencv_and_pycocotools(seed):
    rng = np.random.default_rng(seed)
    size = (50, 50)
    truths, found = random_pair(rng, size)
    metrics = evaluate(TruthSet(truths, "polygons"), found).metrics
    totals = pixel_reference(truths, found, size)
    for label, name in SUBSTRATES.items():
        shared, either = totals[label]
        assert metrics[f"iou.{name}"] == (None if either == 0 else pytest.approx(shared / either, abs=1e-12))
    either = totals[:, 1].sum()
    assert metrics["iou.overall"] == (None if either == 0 else pytest.approx(totals[:, 0].sum() / either, abs=1e-12))
    expected = mask_reference(truths, found, size)
    for label, value in expected.items():
        assert metrics[f"ap50.{SUBSTRATES[label]}"] == pytest.approx(value, abs=1e-9)
    if expected:
        assert metrics["map50"] == pytest.approx(np.mean(list(expected.values())), abs=1e-9)


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_every_resample_equals_a_set_made_of_it(task):
    rng = np.random.default_rng(5)
    truths, found = random_pair(rng, images=7)
    # Without equal scores, which copies of an image would rank differently from one image of more weight.
    found = {name: Prediction(name, one.shapes, one.labels, rng.random(len(one.labels))) for name, one in found.items()}
    kind = "boxes" if task == BOXES else "polygons"
    whole = evaluate(TruthSet(truths, kind), found)
    (weights,) = draw_resamples(7, 20, 0)
    resampled = whole.resample(weights)
    assert np.array_equal(
        [whole.resample(np.ones((1, 7), int))[name][0] for name in whole.metrics if whole.metrics[name] is not None],
        [value for value in whole.metrics.values() if value is not None],
    )
    for row, drawn in enumerate(weights):
        copies = {f"{name}-{copy}": name for name, times in zip(whole.units, drawn, strict=True) for copy in range(times)}
        again = evaluate(
            TruthSet({copy: truths[name] for copy, name in copies.items()}, kind),
            {copy: found[name] for copy, name in copies.items() if name in found},
        ).metrics
        for name, value in again.items():
            mine = resampled[name][row]
            assert np.isnan(mine) if value is None else mine == pytest.approx(value, abs=1e-9)


# -------------------------------------------------------------------------------------------------- what must not score


def many(rng, task, images=12):
    """A set with a few objects an image, apart from each other."""
    truths = {}
    for image in range(images):
        corners = [(400 * place, 300 * int(rng.integers(0, 9)), 40 * int(rng.integers(2, 8))) for place in range(5)]
        shapes = Shapes.of_rings([square(*corner) for corner in corners])
        name = f"2018_0712_{image:03d}"
        truths[name] = Truth(name, 4032, 3024, shapes, rng.integers(1, 14, 5), np.arange(5))
    return TruthSet(truths, "boxes" if task == BOXES else "polygons")


def perfect(truth_set):
    return {
        name: Prediction(name, truth.shapes, truth.labels, np.linspace(0.9, 0.5, len(truth.labels)))
        for name, truth in truth_set.truths.items()
    }


def everywhere(truth_set):
    """Every substrate at every place of a grid."""
    grid = [square(x, y, 300) for x in range(0, 3600, 600) for y in range(0, 2700, 600)]
    shapes = Shapes.of_rings(grid * 13)
    labels = np.repeat(np.arange(1, 14), len(grid))
    return {name: Prediction(name, shapes, labels, np.ones(len(labels))) for name in truth_set.truths}


def whole_images(truth_set):
    shapes = Shapes.of_rings([[[0, 0], [4031, 0], [4031, 3023], [0, 3023]]] * 13)
    return {name: Prediction(name, shapes, np.arange(1, 14), np.ones(13)) for name in truth_set.truths}


def constant(truth_set):
    """The objects of the first image, in every image."""
    first = next(iter(perfect(truth_set).values()))
    return {name: Prediction(name, first.shapes, first.labels, first.scores) for name in truth_set.truths}


def duplicated(truth_set):
    return {
        name: Prediction(name, Shapes.joined([one.shapes] * 9), np.tile(one.labels, 9), np.tile(one.scores, 9))
        for name, one in perfect(truth_set).items()
    }


def shuffled(truth_set):
    """The predictions of other images."""
    names = list(truth_set.truths)
    right = perfect(truth_set)
    moved = dict(zip(names, [*names[1:], names[0]], strict=True))
    return {name: dataclasses.replace(right[moved[name]], id=name) for name in names}


def wrong_classes(truth_set):
    return {name: Prediction(name, one.shapes, one.labels % 13 + 1, one.scores) for name, one in perfect(truth_set).items()}


RUNS = {
    "empty": lambda _: {},
    "everywhere": everywhere,
    "whole images": whole_images,
    "constant": constant,
    "shuffled": shuffled,
    "wrong classes": wrong_classes,
}


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
@pytest.mark.parametrize("run", RUNS)
def test_adversarial_runs_score_little(run, task):
    truth_set = many(np.random.default_rng(0), task)
    metrics = evaluate(truth_set, RUNS[run](truth_set)).metrics
    assert metrics["map50"] < 0.15
    assert metrics["iou.overall"] < 0.15
    assert evaluate(truth_set, perfect(truth_set)).metrics["map50"] == pytest.approx(1.0, abs=1e-9)
    if run in {"empty", "wrong classes"}:
        assert metrics["map50"] == metrics["recall50"] == metrics["map0"] == metrics["iou.overall"] == 0.0


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_duplicates_are_never_better(task):
    truth_set = many(np.random.default_rng(1), task)
    once, again = (evaluate(truth_set, make(truth_set)).metrics for make in (perfect, duplicated))
    assert again["map50"] <= once["map50"]
    assert again["iou.overall"] == once["iou.overall"] == 1.0  # nine copies: an odd number
    partly = dict(list(perfect(truth_set).items())[:6])
    twice = partly | {
        name: Prediction(name, Shapes.joined([one.shapes] * 2), np.tile(one.labels, 2), np.tile(one.scores, 2))
        for name, one in partly.items()
    }
    assert evaluate(truth_set, twice).metrics["map50"] <= evaluate(truth_set, partly).metrics["map50"]
    assert evaluate(truth_set, twice).metrics["iou.overall"] < 0.1


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_the_order_of_lines_never_matters(tmp_path, task):
    rng = np.random.default_rng(2)
    truth_set = many(rng, task)
    moved = [
        Prediction(name, Shapes(one.shapes.points + rng.integers(-9, 10), one.shapes.offsets), one.labels, one.scores)
        for name, one in perfect(truth_set).items()
    ]
    write_truth(tmp_path / "truth", truth_set)
    write_run(tmp_path / "run", moved, truth_set)
    before = baselines.score(task, tmp_path / "truth", tmp_path / "run", bootstrap=20)
    for name in ("truth", "run"):
        lines = (tmp_path / name).read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(rng.permutation(lines).tolist()))
    after = baselines.score(task, tmp_path / "truth", tmp_path / "run", bootstrap=20)
    assert after.metrics == before.metrics
    assert after.intervals == before.intervals
    assert 0 < before.metrics["map50"] <= 1


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_images_without_detections_count_as_missing(tmp_path, task):
    truth_set = many(np.random.default_rng(6), task, images=5)
    names = list(truth_set.truths)
    found = [one for name, one in perfect(truth_set).items() if name in names[:2]]
    write_truth(tmp_path / "truth", truth_set)
    write_run(tmp_path / "run", found, truth_set, one_each=False)
    text = (tmp_path / "run").read_text().splitlines(keepends=True)
    assert sum(";" not in line for line in text) == 3
    (tmp_path / "run").write_text("".join(text[:-1]))  # two lines without detections, and an image without a line
    assert baselines.score(task, tmp_path / "truth", tmp_path / "run", allow_missing=True).n == {
        "expected": 5,
        "scored": 2,
        "missing": 3,
    }


def test_undefined_values_have_reasons():
    truths = TruthSet({"a": Truth("a", 50, 50, NO_SHAPES, NOTHING, NOTHING)}, "polygons")
    result = evaluate(truths, {})
    assert set(result.metrics.values()) == {None}
    assert result.undefined.keys() == result.metrics.keys()
    assert result.undefined["iou.c_sponge"] == "neither the truth nor the run has a pixel of it"
    assert result.undefined["map50"] == "no object in the truth"
    assert result.missing == 1
    found = {"a": Prediction("a", Shapes.of_rings([square(1, 1, 9)]), np.array([12]), np.array([1.0]))}
    metrics = evaluate(truths, found).metrics
    assert metrics["iou.c_sponge"] == metrics["iou.overall"] == 0.0
    assert metrics["map50"] is None


def test_a_class_only_in_the_run_costs_pixels_but_no_precision():
    truth_set = many(np.random.default_rng(3), POLYGONS)
    some = {
        name: Truth(name, 4032, 3024, one.shapes, one.labels * 0 + 10, one.numbers) for name, one in truth_set.truths.items()
    }
    truths = TruthSet(some, "polygons")
    found = perfect(truths)
    extra = {
        name: Prediction(
            name,
            Shapes.joined([one.shapes, Shapes.of_rings([square(3000, 2900, 100)])]),
            np.append(one.labels, 1),
            np.append(one.scores, 1.0),
        )
        for name, one in found.items()
    }
    metrics = evaluate(truths, extra).metrics
    assert metrics["map50"] == evaluate(truths, found).metrics["map50"]
    assert metrics["iou.overall"] < 1
    assert evaluate(truths, extra).per_class["c_algae_macro_or_leaves"] == {
        "iou": 0.0,
        "ap50": None,
        "recall50": None,
        "truths": 0,
        "detections": 12,
    }


def test_any_overlap_counts_for_map0():
    truth = Truth("a", 4032, 3024, Shapes.of_boxes([[100, 100, 200, 200]]), np.array([12]), np.array([0]))
    for box, with_boxes, with_masks in (
        ([199, 199, 300, 300], 1.0, 1.0),
        ([200, 200, 300, 300], 0.0, 1.0),  # boxes that touch have no area in common, masks a pixel
        ([201, 201, 300, 300], 0.0, 0.0),
    ):
        found = {"a": Prediction("a", Shapes.of_boxes([box]), np.array([12]), np.array([0.5]))}
        for kind, expected in (("boxes", with_boxes), ("polygons", with_masks)):
            metrics = evaluate(TruthSet({"a": truth}, kind), found).metrics
            assert metrics["map0"] == pytest.approx(expected, abs=1e-12)
            assert metrics["map50"] == 0.0


def test_the_301st_detection_counts_for_pixels_alone():
    truth = Truth("a", 4032, 3024, Shapes.of_boxes([[100, 100, 200, 200]]), np.array([12]), np.array([0]))
    far = [[1000 + index, 1000, 1001 + index, 1001] for index in range(300)]
    shapes = Shapes.of_boxes([*far, [100, 100, 200, 200]])
    found = {"a": Prediction("a", shapes, np.full(301, 12), np.linspace(1, 0.5, 301))}
    metrics = evaluate(TruthSet({"a": truth}, "polygons"), found).metrics
    assert metrics["recall50"] == 0.0
    assert metrics["iou.overall"] > 0.9


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_the_trivial_run(tmp_path, task):
    rng = np.random.default_rng(4)
    train, test = many(rng, task), many(rng, task)
    found = trivial_predictions(train, test)
    assert found.keys() == test.truths.keys()
    first = next(iter(found.values()))
    assert first.labels.tolist() == sorted(set(np.concatenate([truth.labels for truth in train.truths.values()]).tolist()))
    assert ((first.scores > 0) & (first.scores <= 1)).all()
    write_truth(tmp_path / "truth", test)
    write_run(tmp_path / "run", found.values(), test)
    assert baselines.score(task, tmp_path / "truth", tmp_path / "run").metrics["map50"] < 0.2
    empty = trivial_predictions(truths_of_ids(["x"], task), test)
    assert all(len(prediction.shapes) == 0 for prediction in empty.values())
    assert evaluate(test, empty).metrics["map50"] == 0.0


@pytest.mark.slow
def test_a_full_test_set_in_a_minute_and_a_gigabyte(tmp_path):
    spec = importlib.util.spec_from_file_location("large", Path(__file__).parent / "large.py")
    large = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(large)
    large.make_pair(tmp_path / "truth", tmp_path / "run")
    tracemalloc.start()
    started = time.process_time()
    assert baselines.score(POLYGONS, tmp_path / "truth", tmp_path / "run").metrics["map50"] > 0.5
    assert time.process_time() - started < 60  # tracemalloc slows it down
    assert tracemalloc.get_traced_memory()[1] < 2**30
    tracemalloc.stop()
