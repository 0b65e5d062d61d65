"""Pictures of coral runs, ensembles, and the trivial run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from baselines.coral.drawing import confusion, draw_confusion, draw_table
from baselines.coral.records import Prediction, Sample, Split, Truth, TruthSet
from baselines.coral.score import combine, draw, draw_run, evaluate, trivial_predictions
from baselines.coral.shapes import NO_SHAPES, Shapes
from baselines.coral.task import SUBSTRATES

SIZE = (400, 300)


def truth(name, boxes, labels):
    return Truth(
        name, *SIZE, Shapes.of_boxes(boxes) if len(boxes) else NO_SHAPES, np.array(labels, np.int64), np.arange(len(labels))
    )


def prediction(name, boxes, labels, scores):
    shapes = Shapes.of_boxes(np.array(boxes, float)) if len(boxes) else NO_SHAPES
    return Prediction(name, shapes, np.array(labels, np.int64), np.array(scores, float))


A, B = [20, 20, 120, 120], [200, 50, 350, 250]


def test_the_panels_show_outlines_in_the_colours_of_the_legend(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", SIZE, (0, 60, 80)).save(path)
    sample = Sample("a", path, truth("a", [A, B], [3, 12]), "place")
    found = prediction("a", [A, B], [3, 12], [0.9, 0.1])
    both = np.asarray(draw(sample, found, SUBSTRATES))
    truth_alone = np.asarray(draw(sample, prediction("a", [], [], []), SUBSTRATES))
    assert both.shape[1] >= 400
    assert (both[: SIZE[1]] != truth_alone[: SIZE[1]]).any()
    all_shown = np.asarray(draw(sample, found, SUBSTRATES, least_score=0.0))
    assert (all_shown[: SIZE[1]] != both[: SIZE[1]]).any()
    assert draw(Sample("a", path, None, "place"), found, SUBSTRATES).width >= 400


def test_the_confusion_counts_pixels_of_true_and_predicted_substrates():
    truths = {"a": truth("a", [A], [3]), "b": truth("b", [B], [12])}
    counts = confusion(truths, {"a": prediction("a", [A], [5], [0.5])}, 13)
    assert counts[3, 5] == 101 * 101
    assert counts[12, 0] == 151 * 201
    assert counts.sum() == 2 * SIZE[0] * SIZE[1]
    assert draw_confusion(counts, ["background", *SUBSTRATES.values()]).width > 600


def test_a_table_has_a_row_for_each_substrate():
    rows = {name: {"ap50": None if index % 2 else 0.5, "truths": index} for index, name in enumerate(SUBSTRATES.values())}
    table = draw_table(rows)
    assert table.height == 14 * (table.height // 14)
    assert np.asarray(table).min() < 100


def test_a_whole_run_has_a_table_and_a_matrix():
    split = Split("val", (), TruthSet({"a": truth("a", [A, B], [3, 12])}, "polygons"))
    drawn = draw_run(split, {"a": prediction("a", [[20.4, 20, 120, 119.7]], [3], [0.5])}, SUBSTRATES)
    assert set(drawn) == {"substrates", "confusion"}


def test_what_all_runs_agree_on_ranks_first():
    runs = [
        {"a": prediction("a", [A, B], [3, 12], [0.6, 0.7])},
        {"a": prediction("a", [[22, 20, 121, 121]], [3], [0.5])},
    ]
    combined = combine(runs)["a"]
    scores = dict(zip(combined.labels.tolist(), combined.scores.tolist(), strict=True))
    assert scores == pytest.approx({3: (0.6 + 0.5) / 2, 12: 0.7 / 2})
    assert combined.shapes.boxes()[combined.labels.tolist().index(3)].tolist() == A


def test_objects_of_other_substrates_and_of_one_run_stay_apart():
    one = {"a": prediction("a", [A, A], [3, 5], [0.6, 0.4])}
    assert combine([one])["a"].labels.tolist() == [3, 5]
    assert combine([one, {"a": prediction("a", [], [], [])}])["a"].scores.tolist() == pytest.approx([0.3, 0.2])
    assert len(combine([{"a": prediction("a", [], [], [])}])["a"].labels) == 0


def test_the_trivial_run_has_the_median_box_of_each_substrate_in_pixels():
    train = TruthSet({"a": truth("a", [A, B], [3, 3]), "b": truth("b", [A], [3]), "c": truth("c", [B], [12])}, "boxes")
    test = TruthSet({"x": truth("x", [], [])}, "boxes")
    found = trivial_predictions(train, test)["x"]
    assert found.labels.tolist() == [3, 12]
    assert found.scores.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found.shapes.boxes()[0].tolist() == A
    assert evaluate(TruthSet({"x": truth("x", [A], [3])}, "boxes"), {"x": found}).metrics["map50"] == pytest.approx(1)
